#include "devices/common/unpack.h"

#define ZLIB_CONST // of what is read
#include <zlib.h>

static void *take(void *host, unsigned count, unsigned bytes)
{
    return bn_alloc_array(host, count, bytes);
}

static void give(void *host, void *memory)
{
    bn_free(host, memory);
}

enum bn_result bn_unpack(const struct bn_host *host, const void *packed, size_t packed_bytes, void *out, size_t bytes,
                         struct bn_error *err)
{
    z_stream stream = {
        .next_in = packed,
        .avail_in = (unsigned)packed_bytes,
        .next_out = out,
        .avail_out = (unsigned)bytes,
        .zalloc = take,
        .zfree = give,
        .opaque = (void *)(uintptr_t)host,
    };
    int native = inflateInit(&stream);
    if (native == Z_OK) {
        native = inflate(&stream, Z_FINISH);
        inflateEnd(&stream);
    }
    if (native == Z_MEM_ERROR)
        return bn_fail_memory(err, bytes, "unpacking");
    return native == Z_STREAM_END && stream.avail_out == 0 ? BN_OK
                                                           : bn_fail(err, BN_ERR_INTERNAL, "packed data is damaged");
}
