// A model as it is stored, whatever the format: keys and tensors, in the words of GGUF.
#ifndef BN_MODEL_CHECKPOINT_H
#define BN_MODEL_CHECKPOINT_H

#include "runtime/base/file_map.h"
#include "runtime/model/gguf.h"

struct bn_checkpoint {
    struct bn_file_map map;
    struct bn_gguf gguf; // views the map
};

// A GGUF file, or a folder of Hugging Face; vocab_only: the folder's weights are not looked at.
// Errors: those of bn_model_open.
enum bn_result bn_checkpoint_open(struct bn_checkpoint *checkpoint, const struct bn_host *host, const char *path,
                                  bool vocab_only, struct bn_error *err);
// From a map of a GGUF file, which is taken over, also on failure.
enum bn_result bn_checkpoint_from_map(struct bn_checkpoint *checkpoint, const struct bn_host *host,
                                      const struct bn_file_map *map, struct bn_error *err);
void bn_checkpoint_close(struct bn_checkpoint *checkpoint);

#endif
