#include "common/json.h"

#include "run/run.h"

#include "common/fail.h"

#include <math.h>
#include <string.h>

#if BN_HAVE_JANSSON

static json_t *text_of(const char *text)
{
    return tool_json_text(text, strlen(text));
}

static json_t *milliseconds(uint64_t ns)
{
    return ns ? tool_json_number((double)ns / 1e6) : json_null();
}

static json_t *token_ids(const struct reply *reply)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < reply->n_tokens; i++)
        json_array_append_new(ids, json_integer(reply->tokens[i].id));
    return ids;
}

static json_t *token_object(const struct bn_tokenizer *tokenizer, int32_t id, double log_probability)
{
    size_t bytes;
    const char *text = bn_token_bytes(tokenizer, id, &bytes);
    json_t *object = json_object();
    json_object_set_new(object, "id", json_integer(id));
    json_object_set_new(object, "text", tool_json_text(text, bytes));
    json_object_set_new(object, "log_probability", tool_json_number(log_probability));
    return object;
}

static json_t *log_probabilities(const struct reply *reply)
{
    json_t *list = json_array();
    for (size_t i = 0; i < reply->n_tokens; i++) {
        const struct token_note *token = &reply->tokens[i];
        json_t *object = token_object(reply->run->tokenizer, token->id, token->log_probability);
        json_t *top = json_array();
        for (size_t j = token->first_top; j < token->first_top + token->n_top; j++)
            json_array_append_new(top,
                                  token_object(reply->run->tokenizer, reply->top[j].id, reply->top[j].log_probability));
        json_object_set_new(object, "top", top);
        json_array_append_new(list, object);
    }
    return list;
}

static void add_place(json_t *object, struct run *run)
{
    const struct bn_device_info *device = bn_device_get_info(run->device);
    const struct bn_model_info *model = bn_model_get_info(run->model);
    struct bn_engine_stats stats;
    BN_INIT(stats);
    bn_engine_get_stats(run->engine, &stats);
    json_object_set_new(object, "device", text_of(device->id));
    json_object_set_new(object, "driver", text_of(device->driver));
    json_object_set_new(object, "device_name", text_of(device->name));
    json_object_set_new(object, "isa", device->isa[0] ? text_of(device->isa) : json_null());
    json_object_set_new(object, "threads", device->threads ? json_integer(device->threads) : json_null());
    json_object_set_new(object, "model", text_of(run->model_path));
    json_object_set_new(object, "model_name", text_of(model->name));
    json_object_set_new(object, "architecture", text_of(model->architecture));
    json_object_set_new(object, "context", json_integer(bn_engine_get_config(run->engine)->n_ctx));
    bool int8 = bn_engine_get_config(run->engine)->kv_type == BN_KV_INT8;
    json_object_set_new(object, "cache_type", json_string(int8 ? "int8" : "f16"));
    json_object_set_new(object, "weights_ready_ms", milliseconds(run->figures.ready_ns));
    json_object_set_new(object, "kv_bytes", json_integer((json_int_t)stats.kv_bytes));
    json_object_set_new(object, "memory_bytes", json_integer((json_int_t)figures_peak_memory()));
    figures_note_memory(&run->figures);
    const struct figures *figures = &run->figures;
    json_object_set_new(object, "memory_anonymous_bytes",
                        figures->anonymous ? json_integer((json_int_t)figures->anonymous) : json_null());
    json_object_set_new(object, "memory_file_bytes",
                        figures->anonymous ? json_integer((json_int_t)figures->mapped) : json_null());
    json_object_set_new(object, "device_recoveries", json_integer((json_int_t)stats.recoveries));
    json_object_set_new(object, "restored_rows", json_integer((json_int_t)stats.restored_rows));
    json_object_set_new(object, "version", text_of(bn_version()));
}

static json_t *sampling_of(const struct run *run)
{
    const struct bn_sampling *sampling = &run->sampling;
    json_t *object = json_object();
    json_object_set_new(object, "greedy", json_boolean(sampling->greedy));
    json_object_set_new(object, "temperature", tool_json_number((double)sampling->temperature));
    json_object_set_new(object, "top_k", json_integer(sampling->top_k));
    json_object_set_new(object, "top_p", tool_json_number((double)sampling->top_p));
    json_object_set_new(object, "min_p", tool_json_number((double)sampling->min_p));
    json_object_set_new(object, "repeat_penalty", tool_json_number((double)sampling->repeat_penalty));
    json_object_set_new(object, "repeat_last_n", json_integer(sampling->repeat_last_n));
    json_object_set_new(object, "from_model", json_boolean(run->model_samples));
    return object;
}

int reply_print_json(struct run *run, const struct reply *reply)
{
    const struct bn_generate_result *result = &reply->result;
    size_t n_decoded = result->n_tokens ? result->n_tokens - 1 : 0;
    json_t *object = json_object();
    json_object_set_new(object, "schema", json_string("bitnet-run/1"));
    json_object_set_new(object, "text", tool_json_text(reply->text ? reply->text : "", reply->bytes));
    json_object_set_new(object, "prompt_tokens", json_integer((json_int_t)result->n_prompt));
    json_object_set_new(object, "tokens", token_ids(reply));
    json_object_set_new(object, "stop", text_of(bn_stop_name(result->stop)));
    json_object_set_new(object, "seed", json_integer((json_int_t)run->seed));
    json_object_set_new(object, "sampling", sampling_of(run));
    json_object_set_new(object, "prompt_tokens_per_second",
                        tool_json_number(figures_rate(result->n_prompt, result->prompt_ns)));
    json_object_set_new(object, "decode_tokens_per_second",
                        tool_json_number(figures_rate(n_decoded, result->decode_ns)));
    json_object_set_new(object, "prompt_ms", milliseconds(result->prompt_ns));
    json_object_set_new(object, "first_token_ms", milliseconds(result->first_token_ns));
    json_object_set_new(object, "decode_ms", milliseconds(result->decode_ns));
    if (run->settings.log_probs >= 0)
        json_object_set_new(object, "log_probabilities", log_probabilities(reply));
    add_place(object, run);
    return tool_json_print(&run->out, PROGRAM, object);
}

int run_print_embedding_json(struct run *run, const float *vector, uint32_t n_embd, size_t n_tokens)
{
    json_t *object = json_object(), *list = json_array();
    for (uint32_t i = 0; i < n_embd; i++)
        json_array_append_new(list, tool_json_number((double)vector[i]));
    json_object_set_new(object, "schema", json_string("bitnet-embedding/1"));
    json_object_set_new(object, "embedding", list);
    json_object_set_new(object, "tokens", json_integer((json_int_t)n_tokens));
    add_place(object, run);
    return tool_json_print(&run->out, PROGRAM, object);
}

int run_print_perplexity_json(struct run *run, const struct perplexity *result)
{
    json_t *object = json_object();
    json_object_set_new(object, "schema", json_string("bitnet-perplexity/1"));
    json_object_set_new(object, "perplexity", tool_json_number(result->value));
    json_object_set_new(object, "error", tool_json_number(result->error));
    json_object_set_new(object, "tokens", json_integer((json_int_t)result->n_tokens));
    json_object_set_new(object, "tokens_scored", json_integer((json_int_t)result->n_scored));
    json_object_set_new(object, "window", json_integer(result->window));
    json_object_set_new(object, "windows", json_integer((json_int_t)result->n_windows));
    json_object_set_new(object, "prompt_tokens_per_second",
                        tool_json_number(figures_rate(run->figures.n_prompt, run->figures.prompt_ns)));
    add_place(object, run);
    return tool_json_print(&run->out, PROGRAM, object);
}

int run_print_devices_json(struct run *run, const struct bn_device_info *list, size_t n)
{
    json_t *object = json_object();
    json_t *devices = json_array();
    json_object_set_new(object, "schema", json_string("bitnet-run-devices/1"));
    for (size_t i = 0; i < n; i++) {
        json_t *device = json_object();
        json_object_set_new(device, "id", text_of(list[i].id));
        json_object_set_new(device, "driver", text_of(list[i].driver));
        json_object_set_new(device, "kind", text_of(bn_device_kind_name(list[i].kind)));
        json_object_set_new(device, "state", text_of(bn_device_state_name(list[i].state)));
        json_object_set_new(device, "name", text_of(list[i].name));
        json_object_set_new(device, "isa", list[i].isa[0] ? text_of(list[i].isa) : json_null());
        json_object_set_new(device, "reason", list[i].reason[0] ? text_of(list[i].reason) : json_null());
        json_object_set_new(device, "mend", list[i].mend[0] ? text_of(list[i].mend) : json_null());
        json_object_set_new(device, "threads", list[i].threads ? json_integer(list[i].threads) : json_null());
        json_object_set_new(device, "memory_total",
                            list[i].memory_total ? json_integer((json_int_t)list[i].memory_total) : json_null());
        json_object_set_new(device, "memory_free",
                            list[i].memory_free ? json_integer((json_int_t)list[i].memory_free) : json_null());
        json_array_append_new(devices, device);
    }
    json_object_set_new(object, "devices", devices);
    return tool_json_print(&run->out, PROGRAM, object);
}

#else // main has refused --json before any of these is called

int reply_print_json(struct run *run, const struct reply *reply)
{
    return tool_json_missing(PROGRAM);
}

int run_print_embedding_json(struct run *run, const float *vector, uint32_t n_embd, size_t n_tokens)
{
    return tool_json_missing(PROGRAM);
}

int run_print_perplexity_json(struct run *run, const struct perplexity *result)
{
    return tool_json_missing(PROGRAM);
}

int run_print_devices_json(struct run *run, const struct bn_device_info *list, size_t n)
{
    return tool_json_missing(PROGRAM);
}

#endif
