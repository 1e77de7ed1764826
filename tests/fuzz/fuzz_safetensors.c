// The JSON of a safetensors header: whatever it says, reading it gives a typed error, or tensors that lie within the file, apart
// from each other.
#include "input.h"
#include "runtime/base/runtime.h"
#include "runtime/model/safetensors.h"

enum { DATA = 1 << 16 }; // bytes behind the header

static struct bn_runtime *runtime;

static void check(const struct bn_safetensors *st, uint64_t start, uint64_t size)
{
    for (size_t i = 0; i < st->n_tensors; i++) {
        const struct bn_safetensor *tensor = &st->tensors[i];
        require(tensor->offset >= start && tensor->bytes <= size - tensor->offset);
        require(tensor->n_dims <= 4 && tensor->elements > 0 && tensor->elements <= tensor->bytes);
        require(tensor->name.data[tensor->name.bytes] == '\0');
        require(bn_safetensors_find(st, tensor->name.data) == tensor);
        for (size_t k = 0; k < i && i < 64; k++)
            require(st->tensors[k].offset + st->tensors[k].bytes <= tensor->offset ||
                    tensor->offset + tensor->bytes <= st->tensors[k].offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!runtime)
        require(bn_runtime_create(NULL, &runtime, NULL) == BN_OK);
    struct bn_safetensors st;
    struct bn_error error = {0};
    uint64_t bytes, total = 8 + (uint64_t)size + DATA;
    uint8_t first[8] = {0};
    memcpy(first, data, size < sizeof(first) ? size : sizeof(first));
    if (bn_safetensors_header("fuzz", first, total, &bytes, &error) == BN_OK)
        require(bytes <= total - 8);
    const struct bn_str header = {(const char *)data, size};
    enum bn_result result = bn_safetensors_init(&st, &runtime->host, "fuzz", header, total, &error);
    require(result == BN_OK || (result == error.code && error.message[0] && result != BN_ERR_ARGUMENT));
    if (result != BN_OK)
        return 0;
    check(&st, 8 + size, total);
    bn_safetensors_finish(&st);
    return 0;
}
