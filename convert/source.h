// What is converted, inspected or compared: a checkpoint and the model that it loads as, whose tensors are checked.
#ifndef BN_CONVERT_SOURCE_H
#define BN_CONVERT_SOURCE_H

#include <bitnet/model.h>

#include "runtime/layout/layout.h"
#include "runtime/model/checkpoint.h"
#include "runtime/model/model_impl.h"

enum bn_source_kind { BN_SOURCE_VECTOR, BN_SOURCE_EMBEDDING, BN_SOURCE_LINEAR };

struct bn_source {
    const struct bn_host *host;
    struct bn_checkpoint checkpoint;
    struct bn_model *model;
};

// Errors: those of bn_model_open.
enum bn_result bn_source_open(struct bn_source *source, struct bn_runtime *runtime, const char *path,
                              const struct bn_model_options *options, struct bn_error *err);
// The keys and the list of tensors only, of a model that cannot be loaded; `model` is NULL.
enum bn_result bn_source_open_raw(struct bn_source *source, struct bn_runtime *runtime, const char *path,
                                  struct bn_error *err);
void bn_source_close(struct bn_source *source);

enum bn_source_kind bn_source_kind_of(const struct bn_source *source, const struct bn_tensor *tensor);

// GGUF files of families whose RoPE turns neighbours have the rows of Q and K in another order than Hugging Face's. Where the row
// `r` of the GGUF file lies in this source's tensor: r itself, if there is no difference.
bool bn_source_is_permuted(const struct bn_source *source, const struct bn_tensor *tensor);
uint32_t bn_source_row(const struct bn_source *source, uint32_t r);

// The tensor of that name, or NULL.
const struct bn_tensor *bn_source_find(const struct bn_source *source, const char *name);

#endif
