#include "devices/common/blocks.h"

#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/base/host.h"

enum { SMALL = 1 << 20 };

// A place for `room` bytes: at the end of a shared block, or a block of its own.
static enum bn_result place(const struct bn_block_driver *driver, struct bn_device *device, struct bn_block **list,
                            const struct bn_block_wish *wish, uint64_t room, struct bn_block **out,
                            struct bn_error *err)
{
    bool shares = wish->shares && room <= SMALL, local = wish->local && !(shares && wish->mixes);
    for (struct bn_block *block = *list; shares && block; block = block->next)
        if ((wish->mixes || !block->host == local) && block->size - block->used >= room) {
            *out = block;
            return BN_OK;
        }
    enum bn_result result = driver->create(device, shares ? BN_SHARED_BLOCK : room, local, out, err);
    if (result == BN_OK && shares) {
        (*out)->next = *list;
        *list = *out;
    }
    return result;
}

static void leave(const struct bn_block_driver *driver, struct bn_device *device, struct bn_block **list,
                  struct bn_block *block)
{
    if (--block->users > 0)
        return;
    for (struct bn_block **at = list; *at; at = &(*at)->next)
        if (*at == block) {
            *at = block->next;
            break;
        }
    driver->destroy(device, block);
}

enum bn_result bn_block_buffer_create(const struct bn_block_driver *driver, struct bn_device *device,
                                      struct bn_block **list, const struct bn_block_wish *wish, struct bn_buffer **out,
                                      struct bn_error *err)
{
    struct bn_block_buffer *buffer = bn_alloc(device->host, sizeof(*buffer));
    if (!buffer)
        return bn_fail_memory(err, sizeof(*buffer), "a buffer object");
    uint64_t room = (wish->size + wish->unit - 1) / wish->unit * wish->unit;
    driver->lock(device);
    enum bn_result result = place(driver, device, list, wish, room, &buffer->block, err);
    if (result == BN_OK) {
        buffer->offset = buffer->block->used;
        buffer->block->used += room;
        buffer->block->users++;
    }
    driver->unlock(device);
    if (result != BN_OK) {
        bn_free(device->host, buffer);
        return result;
    }
    buffer->base = (struct bn_buffer){.device = device, .size = wish->size};
    if (buffer->block->host) {
        buffer->base.host = buffer->block->host + buffer->offset;
        memset(buffer->base.host, 0, wish->size); // touched, too
    } else {
        result = device->driver->buffer_write(&buffer->base, 0, NULL, wish->size, err);
    }
    if (result != BN_OK) {
        bn_block_buffer_destroy(driver, list, &buffer->base);
        return result;
    }
    *out = &buffer->base;
    return BN_OK;
}

void bn_block_buffer_destroy(const struct bn_block_driver *driver, struct bn_block **list, struct bn_buffer *base)
{
    struct bn_block_buffer *buffer = (struct bn_block_buffer *)base;
    struct bn_device *device = base->device;
    driver->lock(device);
    leave(driver, device, list, buffer->block);
    driver->unlock(device);
    bn_free(device->host, buffer);
}
