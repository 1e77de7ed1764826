#include "convert/hf_write.h"

#include "runtime/base/fail.h"

enum bn_result bn_convert_to_folder(struct bn_runtime *runtime, const char *from, const char *to,
                                    enum bn_folder_form form, const struct bn_conversion *conversion,
                                    struct bn_converted *done, struct bn_error *err)
{
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, to, NULL, UINT64_MAX,
                      "this build cannot write folders of Hugging Face: it has no Jansson");
}

enum bn_result bn_verify_folder(struct bn_runtime *runtime, const char *path,
                                bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, uint64_t *n,
                                struct bn_error *err)
{
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, path, NULL, UINT64_MAX,
                      "this build cannot read folders of Hugging Face: it has no Jansson");
}
