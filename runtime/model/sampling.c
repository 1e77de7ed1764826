// How the model's authors want its tokens chosen: general.sampling.*, which are llama.cpp's keys. Others of that prefix ask for
// samplers that are not built, and are left alone, as all that a command line may change.
#include <math.h>
#include <string.h>

#include "runtime/model/load.h"

#define PREFIX "general.sampling."
#define MOST_LAST_N 4096

static enum bn_result fail_range(struct bn_load *load, const char *name)
{
    const struct bn_gguf_key *key = bn_gguf_find(load->gguf, name);
    return bn_gguf_fail(load->gguf, BN_ERR_MODEL, &key->name, key->offset, load->err, "the value is out of range");
}

static enum bn_result read_floats(struct bn_load *load, struct bn_model_sampling *sampling)
{
    const struct {
        const char *name;
        float *value, least, most;
        enum bn_sampling_part part;
    } floats[] = {
        {PREFIX "temp", &sampling->temperature, 0, 1000, BN_SAMPLING_TEMPERATURE},
        {PREFIX "top_p", &sampling->top_p, 0, 1, BN_SAMPLING_TOP_P},
        {PREFIX "min_p", &sampling->min_p, 0, 1, BN_SAMPLING_MIN_P},
        {PREFIX "penalty_repeat", &sampling->repeat_penalty, 0.01f, 100, BN_SAMPLING_REPEAT_PENALTY},
    };
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]) && result == BN_OK; i++) {
        if (!bn_gguf_find(load->gguf, floats[i].name))
            continue;
        result = bn_gguf_get_f32(load->gguf, floats[i].name, true, floats[i].value, load->err);
        if (result == BN_OK && !(*floats[i].value >= floats[i].least && *floats[i].value <= floats[i].most))
            result = fail_range(load, floats[i].name);
        sampling->given |= floats[i].part;
    }
    return result;
}

// Less than 0 means everything there is, as 0 does for us in top_k.
static enum bn_result read_counts(struct bn_load *load, struct bn_model_sampling *sampling)
{
    const struct {
        const char *name;
        uint32_t *value;
        int64_t most, all;
        enum bn_sampling_part part;
    } counts[] = {
        {PREFIX "top_k", &sampling->top_k, INT32_MAX, 0, BN_SAMPLING_TOP_K},
        {PREFIX "penalty_last_n", &sampling->repeat_last_n, MOST_LAST_N, MOST_LAST_N, BN_SAMPLING_REPEAT_LAST_N},
    };
    enum bn_result result = BN_OK;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && result == BN_OK; i++) {
        int64_t value = 0;
        if (!bn_gguf_find(load->gguf, counts[i].name))
            continue;
        result = bn_gguf_get_i64(load->gguf, counts[i].name, true, &value, load->err);
        value = value < 0 ? counts[i].all : value > counts[i].most ? counts[i].most : value;
        *counts[i].value = (uint32_t)value;
        sampling->given |= counts[i].part;
    }
    return result;
}

enum bn_result bn_load_sampling(struct bn_load *load)
{
    enum bn_result result = read_floats(load, &load->model->sampling);
    return result == BN_OK ? read_counts(load, &load->model->sampling) : result;
}
