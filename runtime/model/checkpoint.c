#include "runtime/model/checkpoint.h"

#include "runtime/base/folder.h"
#include "runtime/model/hf.h"

enum bn_result bn_checkpoint_open(struct bn_checkpoint *checkpoint, const struct bn_host *host, const char *path,
                                  bool vocab_only, struct bn_error *err)
{
    if (bn_path_is_folder(path))
        return bn_hf_open(host, path, vocab_only, &checkpoint->map, &checkpoint->gguf, err);
    struct bn_file_map map;
    enum bn_result result = bn_file_map_open(&map, path, err);
    return result == BN_OK ? bn_checkpoint_from_map(checkpoint, host, &map, err) : result;
}

enum bn_result bn_checkpoint_from_map(struct bn_checkpoint *checkpoint, const struct bn_host *host,
                                      const struct bn_file_map *map, struct bn_error *err)
{
    checkpoint->map = *map;
    enum bn_result result = bn_gguf_init(&checkpoint->gguf, host, checkpoint->map.name, map->data, map->size, err);
    if (result != BN_OK)
        bn_file_map_close(&checkpoint->map);
    return result;
}

void bn_checkpoint_close(struct bn_checkpoint *checkpoint)
{
    bn_gguf_finish(&checkpoint->gguf);
    bn_file_map_close(&checkpoint->map);
}
