#include "common/json.h"

#include "bench/bench.h"

#include "common/fail.h"

#include <math.h>
#include <string.h>

#if BN_HAVE_JANSSON

static json_t *text_of(const char *text)
{
    return tool_json_text(text, strlen(text));
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

// What every object says; fields of a test that do not apply are null.
static json_t *new_object(const char *test, const char *isa, uint32_t threads, const char *machine)
{
    json_t *object = json_object();
    json_object_set_new(object, "schema", json_string("bitnet-bench/1"));
    json_object_set_new(object, "test", text_of(test));
    json_object_set_new(object, "device", json_null());
    json_object_set_new(object, "isa", isa && isa[0] ? text_of(isa) : json_null());
    json_object_set_new(object, "threads", threads ? integer(threads) : json_null());
    static const char *const unknown[] = {"batch",
                                          "depth",
                                          "tokens_per_second",
                                          "tokens_per_second_stdev",
                                          "bytes_per_token",
                                          "achieved_gb_per_second",
                                          "read_gb_per_second",
                                          "int8_peak_share",
                                          "head",
                                          "joules_per_token"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        json_object_set_new(object, unknown[i], json_null());
    json_object_set_new(object, "version", text_of(bn_version()));
    json_object_set_new(object, "build",
                        json_pack("{s:s, s:s}", "compiler", machine_compiler(), "commit", machine_commit()));
    json_object_set_new(object, "device_name", text_of(machine));
    char system[128];
    machine_system(system, sizeof system);
    json_object_set_new(object, "system", text_of(system));
    json_object_set_new(object, "cpu_mhz", tool_json_number(machine_mhz()));
    return object;
}

static void add_model(json_t *object, const struct bench *bench)
{
    json_object_set_new(object, "model", text_of(bench->model_path));
    json_object_set_new(object, "model_name", text_of(bench->model.name));
    json_object_set_new(object, "architecture", text_of(bench->model.architecture));
    json_object_set_new(object, "model_n_params", integer(bench->model.n_params));
    json_object_set_new(object, "model_size", integer(bench->model.bytes));
}

static void add_limits(json_t *object, const struct limits *limits)
{
    json_object_set_new(object, "read_gb_per_second_4k",
                        limits ? tool_json_number(limits->read_gb[PAGES_SMALL]) : json_null());
    json_object_set_new(object, "read_gb_per_second_huge",
                        limits ? tool_json_number(limits->read_gb[PAGES_HUGE]) : json_null());
    json_object_set_new(object, "int8_gmac_per_second", limits ? tool_json_number(limits->macs * 1e-9) : json_null());
}

static json_t *breakdown_of(const struct result *result)
{
    struct breakdown_row rows[MAX_PROFILE];
    double rest_us;
    size_t n = breakdown_rows(result, rows, MAX_PROFILE, &rest_us);
    json_t *list = json_array();
    for (size_t i = 0; i <= n; i++) {
        json_t *object = json_object();
        bool rest = i == n;
        json_object_set_new(object, "op", rest ? json_null() : text_of(rows[i].op));
        json_object_set_new(object, "calls_per_token", rest ? json_null() : tool_json_number(rows[i].calls));
        json_object_set_new(object, "us_per_token", tool_json_number(rest ? rest_us : rows[i].us));
        json_object_set_new(object, "wait_share", rest ? json_null() : tool_json_number(rows[i].wait_share));
        json_object_set_new(object, "barriers_per_token", rest ? json_null() : tool_json_number(rows[i].barriers));
        json_array_append_new(list, object);
    }
    return list;
}

// Of the card, right after the test: what baselines are worth depends on it.
static void add_sensors(json_t *object, const struct bn_device_sensors *sensors)
{
    const uint32_t clocks[] = {sensors->clock_mhz, sensors->memory_clock_mhz};
    json_object_set_new(object, "device_clock_mhz", clocks[0] ? integer(clocks[0]) : json_null());
    json_object_set_new(object, "device_memory_clock_mhz", clocks[1] ? integer(clocks[1]) : json_null());
    json_object_set_new(object, "device_power_watts", tool_json_number((double)sensors->power_w));
    json_object_set_new(object, "device_temperature_celsius", tool_json_number((double)sensors->temperature_c));
    json_object_set_new(object, "device_limited_by", text_of(bn_device_limits_text(sensors->limits)));
}

static json_t *object_of(const struct bench *bench, const struct result *r)
{
    json_t *object = new_object(r->test, r->isa, r->threads, r->machine), *samples = json_array();
    const struct limits *limits = report_limits(bench, r->threads);
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        {"tokens_per_second", r->mean},
        {"tokens_per_second_stdev", r->stdev},
        {"tokens_per_second_median", r->median},
        {"token_p50_ms", r->p50_ms},
        {"token_p99_ms", r->p99_ms},
        {"bytes_per_token", r->bytes_per_token},
        {"macs_per_token", r->macs_per_token},
        {"achieved_gb_per_second", r->achieved_gb},
        {"read_gb_per_second", r->read_gb},
        {"read_gb_per_second_best", r->read_best_gb},
        {"handoff_ns", r->handoff_ns},
        {"int8_peak_share", r->int8_share},
        {"joules_per_token", r->joules_per_token},
        {"huge_page_share", r->huge_share},
        {"rescored_rows", r->rescored},
        {"copy_gb_per_second", r->copy_gb},
        {"bandwidth_share", r->bandwidth_share},
        {"submissions_per_token", r->submissions},
        {"dispatches_per_token", r->dispatches},
        {"host_us_per_token", r->host_us},
    };
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"batch", r->batch},       {"depth", r->depth},     {"n_prompt", r->n_prompt}, {"n_gen", r->n_gen},
        {"sessions", r->sessions}, {"n_batch", r->n_batch}, {"n_ubatch", r->n_ubatch},
    };
    add_model(object, bench);
    json_object_set_new(object, "device", text_of(r->device));
    json_object_set_new(object, "driver", text_of(r->driver));
    json_object_set_new(object, "pages", text_of(report_pages(r)));
    char head[48];
    report_head(r, head, sizeof head);
    json_object_set_new(object, "head", text_of(head));
    json_object_set_new(object, "cache_type", text_of(r->kv_type == BN_KV_INT8 ? "int8" : "f16"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        json_object_set_new(object, counts[i].name, integer(counts[i].value));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(object, numbers[i].name, tool_json_number(numbers[i].value));
    if (r->has_sensors)
        add_sensors(object, &r->sensors);
    for (size_t i = 0; i < r->n_samples; i++)
        json_array_append_new(samples, tool_json_number(r->samples[i]));
    json_object_set_new(object, "tokens_per_second_samples", samples);
    add_limits(object, limits);
    if (machine_joules_note())
        json_object_set_new(object, "note", text_of(machine_joules_note()));
    if (r->profile)
        json_object_set_new(object, "breakdown", breakdown_of(r));
    return object;
}

// A measure of the machine is an object too.
static json_t *object_of_limits(const struct bench *bench, const struct limits *limits, enum pages pages)
{
    json_t *object = new_object("read", NULL, limits->threads, limits->machine), *loops = json_array();
    for (size_t i = 0; i < limits->n_loops; i++) {
        json_t *loop = json_object();
        json_object_set_new(loop, "name", text_of(limits->loops[i].name));
        json_object_set_new(loop, "gb_per_second", tool_json_number(limits->loops[i].gb[pages]));
        json_array_append_new(loops, loop);
    }
    json_object_set_new(object, "pages", json_string(pages == PAGES_HUGE ? "huge" : "4k"));
    json_object_set_new(object, "huge_page_share", tool_json_number(limits->huge_share[pages]));
    json_object_set_new(object, "bytes", integer(limits->mem));
    json_object_set_new(object, "read_gb_per_second", tool_json_number(limits->read_gb[pages]));
    json_object_set_new(object, "read_gb_per_second_best", tool_json_number(limits->best_gb[pages]));
    json_object_set_new(object, "loops", loops);
    json_object_set_new(object, "handoff_ns", tool_json_number(limits->handoff_ns));
    add_limits(object, limits);
    return object;
}

static json_t *object_of_kernel(const struct bench *bench, const struct kernel_result *kernel)
{
    json_t *object = new_object(kernel->name, kernel->isa, 1, bench->machine);
    json_object_set_new(object, "seconds", tool_json_number(kernel->seconds));
    json_object_set_new(object, "gb_per_second", tool_json_number(kernel->gb));
    json_object_set_new(object, "gmac_per_second", tool_json_number(kernel->gmac));
    return object;
}

json_t *report_objects(const struct bench *bench)
{
    json_t *list = json_array();
    for (size_t i = 0; i < bench->n_results; i++)
        json_array_append_new(list, object_of(bench, &bench->results[i]));
    for (size_t i = 0; i < bench->n_limits; i++) {
        json_array_append_new(list, object_of_limits(bench, &bench->limits[i], PAGES_SMALL));
        json_array_append_new(list, object_of_limits(bench, &bench->limits[i], PAGES_HUGE));
    }
    for (size_t i = 0; i < bench->n_kernels; i++)
        json_array_append_new(list, object_of_kernel(bench, &bench->kernels[i]));
    return list;
}

int report_print_json(struct bench *bench)
{
    report_notes(bench);
    return tool_json_print(&bench->out, PROGRAM, report_objects(bench));
}

#else // main has refused --json and --compare before these are called

struct json_t *report_objects(const struct bench *bench)
{
    (void)bench;
    return NULL;
}

int report_print_json(struct bench *bench)
{
    return tool_json_missing(PROGRAM);
}

#endif
