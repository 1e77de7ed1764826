// A model on a device, opened as one configuration of the benchmark says.
#ifndef TOOLS_BENCH_RIG_H
#define TOOLS_BENCH_RIG_H

#include "bench/bench.h"

struct rig {
    struct bn_runtime *runtime;
    struct bn_model *model;
    struct bn_device *device;
    struct bn_engine *engine;
    struct bn_session **sessions;
    size_t n_sessions;
    struct bn_engine_stats stats; // when the engine was new
    double huge_share;            // of the weights copied; NaN if none was
    struct bn_trace *trace;       // of the bench; NULL: none
};

// threads 0: the device's choice. On failure rig_close is still to be called.
int rig_open_device(struct rig *rig, const struct bench *bench, uint32_t threads, enum pages pages);
int rig_open_model(struct rig *rig, const struct bench *bench);
int rig_open_engine(struct rig *rig, const struct bn_engine_config *config);
int rig_open_sessions(struct rig *rig, size_t n);
void rig_close_sessions(struct rig *rig);
void rig_close_engine(struct rig *rig);
void rig_close(struct rig *rig);

// copy.c. GB/s, read and written, of the device's copy op; at most `mem` bytes are copied.
int copy_measure(const struct rig *rig, size_t mem, double *gb);

#endif
