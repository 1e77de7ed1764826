// Converting, and comparing with checksums.
#include "common/fail.h"
#include "convert/convert.h"
#include "convert/hf_write.h"
#include "convert/tool.h"

#include <inttypes.h>
#include <stdio.h>

struct bn_model_options reading(const struct settings *settings)
{
    struct bn_model_options options;
    BN_INIT(options);
    options.activation = (enum bn_activation)settings->activation;
    return options;
}

static enum bn_i2s_order order_of(const struct settings *settings)
{
    return (enum bn_i2s_order)(settings->order > BN_I2S_C ? settings->order - BN_I2S_C : settings->order);
}

static int stopped(const struct settings *settings, const char *to)
{
    if (to)
        tool_say(PROGRAM, "interrupted, %s was not written; --resume goes on with %s.part", to, to);
    return TOOL_EXIT_SIGNAL + caught_signal();
}

int run_conversion(const struct settings *settings, struct bn_runtime *runtime, const char *from, const char *to)
{
    struct progress progress;
    struct bn_error err = {0};
    struct bn_converted done;
    const struct bn_conversion conversion = {
        .matrices = settings->pack ? "i2_s" : settings->matrices,
        .embeddings = settings->embeddings,
        .options = reading(settings),
        .order = settings->pack ? BN_I2S_A : order_of(settings),
        .scan_from = settings->pack ? BN_SCAN_FROM : 0,
        .lossy = settings->lossy,
        .shard_bytes = settings->shard_megabytes * 1000000,
        .resume = settings->resume,
        .threads = (uint32_t)settings->threads,
        .progress = progress_report,
        .user = &progress,
    };
    progress_start(&progress, settings);
    enum bn_result result = settings->folder
                                ? bn_convert_to_folder(runtime, from, to, (enum bn_folder_form)(settings->folder - 1),
                                                       &conversion, &done, &err)
                                : bn_convert(runtime, from, to, &conversion, &done, &err);
    progress_end(&progress);
    if (result == BN_ERR_CANCELLED)
        return stopped(settings, to);
    if (result != BN_OK)
        return tool_fail(PROGRAM, &err, NULL);
    double seconds = progress_seconds(&progress);
    if (!settings->quiet)
        tool_say(PROGRAM, "%s: %.1f MB, %" PRIu64 " tensors, %" PRIu64 " of them as they were; %.2f s, %.0f MB/s", to,
                 (double)done.bytes / 1e6, done.n_tensors, done.n_copied, seconds,
                 seconds > 0 ? (double)(done.bytes - done.kept) / seconds / 1e6 : 0);
    if (!settings->quiet && done.kept)
        tool_say(PROGRAM, "%.1f MB were there from an earlier attempt", (double)done.kept / 1e6);
    return 0;
}

int run_verify(const struct settings *settings, struct bn_runtime *runtime, const char *path)
{
    struct progress progress;
    struct bn_error err = {0};
    uint64_t n;
    progress_start(&progress, settings);
    enum bn_result result = bn_verify(runtime, path, progress_report, &progress, &n, &err);
    progress_end(&progress);
    if (result == BN_ERR_CANCELLED)
        return stopped(settings, NULL);
    if (result != BN_OK) {
        int exit_code = tool_fail(PROGRAM, &err, NULL);
        return result == BN_ERR_MODEL || result == BN_ERR_NOT_FOUND ? TOOL_EXIT_CHECK : exit_code;
    }
    if (!settings->quiet)
        tool_say(PROGRAM, "%s: %" PRIu64 " tensors have their checksums", path, n);
    return 0;
}
