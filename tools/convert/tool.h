// What the files of bitnet-convert share.
#ifndef TOOLS_CONVERT_TOOL_H
#define TOOLS_CONVERT_TOOL_H

#include <bitnet/bitnet.h>

#include "common/options.h"

#define PROGRAM "bitnet-convert"

struct settings {
    const char *synthetic, *architecture, *matrices, *embeddings;
    int order, activation, folder;
    uint32_t threads;
    uint64_t seed, shard_megabytes;
    bool inspect, diff, verify, pack, lossy, resume, json, force, quiet;
};

struct progress {
    bool shown;             // stderr is a terminal
    uint64_t started, said; // ns
    uint64_t first;         // bytes that were there at the start
};

void progress_start(struct progress *progress, const struct settings *settings);
// For bn_conversion.progress and its like; false after a signal.
bool progress_report(void *user, uint64_t done, uint64_t total);
void progress_end(const struct progress *progress);
double progress_seconds(const struct progress *progress);
int caught_signal(void); // 0: none

// How the source is read.
struct bn_model_options reading(const struct settings *settings);

// Each returns the exit code, and has told what went wrong.
int run_conversion(const struct settings *settings, struct bn_runtime *runtime, const char *from, const char *to);
int run_verify(const struct settings *settings, struct bn_runtime *runtime, const char *path);
int run_inspect(const struct settings *settings, struct bn_runtime *runtime, const char *path);
int run_diff(const struct settings *settings, struct bn_runtime *runtime, const char *a, const char *b);

#endif
