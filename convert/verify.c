// Files against the checksums that stand in them.
#include <inttypes.h>
#include <string.h>

#include "convert/hf_write.h"
#include "convert/part_file.h"
#include "runtime/base/fail.h"
#include "runtime/base/folder.h"
#include "runtime/base/runtime.h"
#include "runtime/model/checkpoint.h"

static enum bn_result compare_sums(const struct bn_gguf *gguf, const struct bn_gguf_key *key,
                                   bool (*progress)(void *user, uint64_t done, uint64_t total), void *user,
                                   struct bn_error *err)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        const struct bn_gguf_tensor *tensor = &gguf->tensors[i];
        uint64_t stored;
        memcpy(&stored, key->data + i * sizeof(stored), sizeof(stored));
        uint64_t sum = bn_tensor_sum(gguf->data + tensor->offset, (size_t)tensor->room);
        if (sum != stored)
            return bn_gguf_fail(gguf, BN_ERR_MODEL, &tensor->name, tensor->offset, err,
                                "the data does not have the checksum that was stored with it");
        done += tensor->room;
        if (progress && !progress(user, done, gguf->size))
            return bn_fail(err, BN_ERR_CANCELLED, "interrupted");
    }
    return BN_OK;
}

enum bn_result bn_verify(struct bn_runtime *runtime, const char *path,
                         bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                         struct bn_error *err)
{
    struct bn_checkpoint checkpoint;
    const struct bn_gguf_key *key;
    *n = 0;
    if (bn_path_is_folder(path))
        return bn_verify_folder(runtime, path, progress, user, n, err);
    enum bn_result result = bn_checkpoint_open(&checkpoint, &runtime->host, path, true, err);
    if (result != BN_OK)
        return result;
    const struct bn_gguf *gguf = &checkpoint.gguf;
    result = bn_gguf_get_array(gguf, BN_SUMS_KEY, false, BN_GGUF_U64, &key, err);
    if (result == BN_OK && !key)
        result = bn_fail_at(err, BN_ERR_NOT_FOUND, path, BN_SUMS_KEY, UINT64_MAX,
                            "has no checksums: files that bitnet-convert wrote have them");
    if (result == BN_OK && key->count != gguf->n_tensors)
        result = bn_gguf_fail(gguf, BN_ERR_MODEL, &key->name, key->offset, err,
                              "%" PRIu64 " checksums of %" PRIu32 " tensors", key->count, gguf->n_tensors);
    if (result == BN_OK)
        result = compare_sums(gguf, key, progress, user, err);
    if (result == BN_OK)
        *n = gguf->n_tensors;
    bn_checkpoint_close(&checkpoint);
    return result;
}
