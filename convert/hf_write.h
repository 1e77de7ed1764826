// Any model that can be read, as a folder of Hugging Face.
#ifndef BN_CONVERT_HF_WRITE_H
#define BN_CONVERT_HF_WRITE_H

#include "convert/convert.h"

// What the matrices become: uint8 with a scale that multiplies, or divides, or floats that are ternary.
enum bn_folder_form { BN_FOLDER_PACKED, BN_FOLDER_INVERSE, BN_FOLDER_FLOATS };

// Writes config.json, generation_config.json, tokenizer.json, chat_template.jinja if there is one, and model.safetensors, or shards and
// their index, to the folder `to`, which must not exist; it appears under its name when it is complete, until then it is `to`.part, which
// is left as bn_convert leaves a file. Of `conversion` matrices, embeddings, order and scan_from count for nothing. done->bytes: of the
// weights. Memory: the vocabulary, and a few rows for each thread. Errors: those of bn_convert; BN_ERR_UNSUPPORTED also for a model that no
//   class of transformers is known for, or whose figures config.json has no words for; always, in a build without Jansson.
enum bn_result bn_convert_to_folder(struct bn_runtime *runtime, const char *from, const char *to,
                                    enum bn_folder_form form, const struct bn_conversion *conversion,
                                    struct bn_converted *done, struct bn_error *err);

// bn_verify of a folder.
enum bn_result bn_verify_folder(struct bn_runtime *runtime, const char *path,
                                bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                                struct bn_error *err);

#endif
