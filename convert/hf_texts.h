// The JSON files of a folder that is written, made of a model and its keys. All return what is wrong, by name.
#ifndef BN_CONVERT_HF_TEXTS_H
#define BN_CONVERT_HF_TEXTS_H

#include <jansson.h>

#include "convert/hf_write.h"
#include "convert/source.h"
#include "runtime/model/hf_impl.h"

struct bn_folder_source {
    const struct bn_source *source;
    const struct bn_hf_family *family;
    enum bn_folder_form form;
    void *user; // of functions that make objects
    bool lost;  // a value, for want of memory: then what was made is not used
    struct bn_error *err;
};

// The class that the model is one of. Errors: BN_ERR_UNSUPPORTED.
enum bn_result bn_folder_find_family(struct bn_folder_source *from);
// Each makes a new object. Errors: BN_ERR_UNSUPPORTED, BN_ERR_MODEL, BN_ERR_NO_MEMORY.
enum bn_result bn_folder_config(struct bn_folder_source *from, json_t **out);
enum bn_result bn_folder_generation(struct bn_folder_source *from, json_t **out);
enum bn_result bn_folder_tokenizer(struct bn_folder_source *from, json_t **out);

#endif
