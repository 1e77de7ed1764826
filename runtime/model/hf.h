// A Hugging Face folder (config.json, tokenizer.json, safetensors) as the GGUF file that it would be: the same keys, the same
// names of tensors, so that everything behind the reader is common to both.
#ifndef BN_MODEL_HF_H
#define BN_MODEL_HF_H

#include "runtime/base/folder.h"
#include "runtime/model/gguf.h"

// Maps the folder's files and makes the view: map is what gguf->data views. The files must not change while it lives.
// vocab_only: keys only, and the folder need not have weights.
// On failure there is nothing to finish.
// Errors: BN_ERR_IO, BN_ERR_MODEL, BN_ERR_UNSUPPORTED (by name; always, in a build without Jansson), BN_ERR_NO_MEMORY.
enum bn_result bn_hf_open(const struct bn_host *host, const char *path, bool vocab_only, struct bn_file_map *map,
                          struct bn_gguf *gguf, struct bn_error *err);

#endif
