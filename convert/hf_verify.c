// Files of a folder against the checksums that stand in their headers.
#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#include "convert/hf_write.h"
#include "convert/part_file.h"
#include "runtime/base/fail.h"
#include "runtime/base/folder.h"
#include "runtime/base/runtime.h"
#include "runtime/model/checkpoint.h"
#include "runtime/model/json.h"
#include "runtime/model/safetensors.h"

struct verifier {
    const struct bn_host *host;
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    uint64_t done, total, *n;
    struct bn_error *err;
};

// The sums of the header, as text. Ownership: *text lies in the JSON.
static enum bn_result find_sums(const struct bn_json *json, size_t n_tensors, const char **text)
{
    json_t *metadata;
    struct bn_str sums = {0};
    enum bn_result result = bn_json_object(json, json->root, "__metadata__", false, &metadata);
    if (result == BN_OK && metadata)
        result = bn_json_str(json, metadata, BN_SUMS_KEY, false, &sums);
    if (result == BN_OK && !sums.data)
        result = bn_json_fail(json, BN_ERR_NOT_FOUND, BN_SUMS_KEY,
                              "has no checksums: files that bitnet-convert wrote have them");
    if (result == BN_OK && sums.bytes != 16 * n_tensors)
        result = bn_json_fail(json, BN_ERR_MODEL, BN_SUMS_KEY, "%zu digits of checksums of %zu tensors", sums.bytes,
                              n_tensors);
    *text = sums.data;
    return result;
}

static enum bn_result compare(struct verifier *v, const struct bn_file_map *map, struct bn_str header)
{
    struct bn_safetensors st = {0};
    struct bn_json json = {0};
    const char *sums = NULL;
    enum bn_result result = bn_safetensors_init(&st, v->host, map->name, header, map->size, v->err);
    if (result != BN_OK)
        return result;
    result = bn_json_init(&json, map->name, header, v->err);
    if (result == BN_OK)
        result = find_sums(&json, st.n_tensors, &sums);
    for (size_t i = 0; i < st.n_tensors && result == BN_OK; i++) {
        const struct bn_safetensor *tensor = &st.tensors[i];
        if (bn_tensor_sum(map->data + tensor->offset, (size_t)tensor->bytes) != bn_sum_of_text(sums + 16 * i))
            result = bn_fail_at(v->err, BN_ERR_MODEL, map->name, tensor->name.data, tensor->offset,
                                "the data does not have the checksum that was stored with it");
        v->done += tensor->bytes;
        if (result == BN_OK && v->progress && !v->progress(v->user, v->done, v->total))
            result = bn_fail(v->err, BN_ERR_CANCELLED, "interrupted");
        *v->n += result == BN_OK;
    }
    bn_json_finish(&json);
    bn_safetensors_finish(&st);
    return result;
}

static enum bn_result verify_file(struct verifier *v, const struct bn_folder *folder, const char *name)
{
    struct bn_file file;
    struct bn_file_map map;
    uint64_t bytes;
    uint8_t first[8] = {0};
    enum bn_result result = bn_folder_file(folder, name, true, &file, v->err);
    if (result != BN_OK)
        return result;
    result = bn_file_map_open_fd(&map, file.fd, file.name, v->err);
    bn_file_close(&file);
    if (result != BN_OK)
        return result;
    memcpy(first, map.data, map.size < sizeof(first) ? (size_t)map.size : sizeof(first));
    result = bn_safetensors_header(map.name, first, map.size, &bytes, v->err);
    if (result == BN_OK)
        result = compare(v, &map, (struct bn_str){(const char *)map.data + sizeof(first), (size_t)bytes});
    bn_file_map_close(&map);
    return result;
}

static bool is_weights(const char *name)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(name);
    return n > sizeof(end) && strcmp(name + n - (sizeof(end) - 1), end) == 0;
}

enum bn_result bn_verify_folder(struct bn_runtime *runtime, const char *path,
                                bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                                struct bn_error *err)
{
    struct verifier v = {.host = &runtime->host, .progress = progress, .user = user, .n = n, .err = err};
    struct bn_checkpoint checkpoint;
    struct bn_folder folder;
    // That nothing is missing, the reader of folders knows.
    enum bn_result result = bn_checkpoint_open(&checkpoint, &runtime->host, path, false, err);
    if (result != BN_OK)
        return result;
    v.total = checkpoint.map.size;
    bn_checkpoint_close(&checkpoint);
    result = bn_folder_open(&folder, path, err);
    if (result != BN_OK)
        return result;
    DIR *dir = opendir(path);
    if (!dir)
        result = bn_fail_at(err, BN_ERR_IO, path, NULL, UINT64_MAX, "cannot be read");
    for (const struct dirent *entry; result == BN_OK && (entry = readdir(dir)) != NULL;)
        if (is_weights(entry->d_name))
            result = verify_file(&v, &folder, entry->d_name);
    if (dir)
        closedir(dir);
    bn_folder_close(&folder);
    return result;
}
