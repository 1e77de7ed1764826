// Buffers in host memory, for drivers whose devices read it directly.
#ifndef BN_DEVICES_HOST_BUFFER_H
#define BN_DEVICES_HOST_BUFFER_H

#include <bitnet/driver.h>

// The buffer slots of struct bn_driver; see there.
enum bn_result bn_host_buffer_create(struct bn_device *device, uint64_t size, struct bn_buffer **out,
                                     struct bn_error *err);
enum bn_result bn_host_buffer_import(struct bn_device *device, void *memory, uint64_t size, struct bn_buffer **out,
                                     struct bn_error *err);
void bn_host_buffer_destroy(struct bn_buffer *buffer);

// The host address of a span; NULL for an unused operand.
static inline void *bn_span_host(const struct bn_span *span)
{
    return span->buffer ? (uint8_t *)span->buffer->host + span->offset : NULL;
}

#endif
