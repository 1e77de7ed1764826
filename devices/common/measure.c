#include "devices/common/measure.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/host.h"

enum bn_result bn_measure_init(struct bn_measure *measure, const struct bn_host *host,
                               const struct bn_device_options *options, struct bn_error *err)
{
    if (!options->profile && !options->trace)
        return BN_OK;
    measure->traced = options->trace;
    measure->profiles = bn_alloc_array(host, BN_MAX_PROFILES, sizeof(*measure->profiles));
    return measure->profiles ? BN_OK : bn_fail_memory(err, BN_MAX_PROFILES * sizeof(*measure->profiles), "a profile");
}

void bn_measure_finish(struct bn_measure *measure, const struct bn_host *host)
{
    bn_free(host, measure->profiles);
}

static struct bn_op_profile *profile_of(struct bn_measure *measure, const struct bn_op_span *op)
{
    for (size_t i = 0; i < measure->n_profiles; i++)
        if (measure->profiles[i].kind == op->kind && measure->profiles[i].rows == op->rows &&
            measure->profiles[i].cols == op->cols)
            return &measure->profiles[i];
    if (measure->n_profiles == BN_MAX_PROFILES)
        return NULL;
    struct bn_op_profile *profile = &measure->profiles[measure->n_profiles++];
    *profile = (struct bn_op_profile){.kind = op->kind, .rows = op->rows, .cols = op->cols};
    return profile;
}

enum bn_result bn_measure_ops(struct bn_measure *measure, const struct bn_host *host, const struct bn_op *ops,
                              uint32_t n, struct bn_measured_op **out, struct bn_error *err)
{
    struct bn_measured_op *list = bn_alloc_array(host, n, sizeof(*list));
    *out = list;
    if (!list)
        return bn_fail_memory(err, n * sizeof(*list), "times of ops");
    for (uint32_t i = 0; i < n; i++) {
        list[i].span = (struct bn_op_span){.op = i,
                                           .kind = ops[i].kind,
                                           .rows = ops[i].w[0].rows + ops[i].w[1].rows + ops[i].w[2].rows,
                                           .cols = ops[i].cols};
        list[i].profile = profile_of(measure, &list[i].span);
    }
    return BN_OK;
}

// The device's clock has an epoch of its own and drifts. What is known: the submission did not begin before it was made, and
// had ended when that was seen. The offset is moved just as far as this one asks for.
int64_t bn_measure_align(struct bn_measure *measure, uint64_t first, uint64_t last, uint64_t submitted_ns)
{
    int64_t least = (int64_t)(submitted_ns - first), most = (int64_t)(bn_clock_ns() - last);
    if (!measure->aligned || measure->offset < least)
        measure->offset = least;
    else if (measure->offset > most)
        measure->offset = most;
    measure->aligned = true;
    return measure->offset;
}

void bn_measure_add(const struct bn_measured_op *op, struct bn_spans *spans, uint64_t signal, uint64_t start_ns,
                    uint64_t end_ns, uint64_t work_ns)
{
    struct bn_op_span span = op->span;
    span.signal = signal;
    span.start_ns = start_ns;
    span.end_ns = end_ns;
    if (spans->list)
        bn_spans_push(spans, &span);
    if (!op->profile)
        return;
    op->profile->runs++;
    op->profile->barriers += op->dispatches;
    op->profile->ns += end_ns - start_ns;
    op->profile->work_ns += work_ns;
}

enum bn_result bn_measure_profile(const struct bn_measure *measure, const struct bn_device *device,
                                  struct bn_op_profile *list, size_t capacity, size_t *count, struct bn_error *err)
{
    if (!measure->profiles)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, NULL, UINT64_MAX,
                          "the device was not opened to measure its ops, or has no timestamps");
    *count = measure->n_profiles;
    if (capacity > 0)
        memcpy(list, measure->profiles, (*count < capacity ? *count : capacity) * sizeof(*list));
    return BN_OK;
}

enum bn_result bn_measure_take(struct bn_spans *spans, const struct bn_device *device, struct bn_op_span *list,
                               size_t capacity, size_t *count, struct bn_error *err)
{
    if (!spans->list)
        return bn_fail_at(err, BN_ERR_UNSUPPORTED, device->info.id, NULL, UINT64_MAX,
                          "the device was not opened to trace its ops, or has no timestamps");
    *count = bn_spans_take(spans, list, capacity);
    return BN_OK;
}
