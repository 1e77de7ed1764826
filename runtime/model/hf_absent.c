// In place of the other hf files in a build without Jansson.
#include "runtime/base/fail.h"
#include "runtime/model/hf.h"

enum bn_result bn_hf_open(const struct bn_host *host, const char *path, bool vocab_only, struct bn_file_map *map,
                          struct bn_gguf *gguf, struct bn_error *err)
{
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, path, NULL, UINT64_MAX,
                      "a folder; this build reads GGUF files only, because it was made without Jansson");
}
