// Diagnostics: what an engine uses and has done.
#ifndef BITNET_DIAG_H
#define BITNET_DIAG_H

#include <bitnet/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

// Counts since the engine was created, and sizes.
struct bn_engine_stats {
    size_t size;
    uint64_t steps;                 // device submissions of the engine
    uint64_t rows;                  // rows computed
    uint64_t outputs;               // rows of logits computed
    uint64_t rescored;              // rows of the head whose exact logit was computed after a scan
    uint64_t scanned;               // outputs that were scanned
    uint64_t records;               // commands recorded; does not grow once every shape was seen
    uint64_t sleeps;                // times the device's threads or the waiting caller slept in the kernel
    uint64_t wakes;                 // times one was woken by a system call
    uint64_t weight_bytes_imported; // read in place from the model file
    uint64_t weight_bytes_copied;   // copied or repacked into device memory
    uint64_t layer_bytes;           // weights as placed that each chunk of a step streams once, without the head
    uint64_t head_bytes;            // the head as placed; a chunk with outputs streams it once
    uint64_t kv_position_bytes;     // KV of one position, all layers
    const char *head;               // layout of the head; static
    uint64_t scan_bytes;            // the int8 copy of the head
    uint64_t kv_bytes;              // the KV pool
    uint64_t work_bytes;            // activations, slots, tables, logits
    uint32_t pages_total;           // pages of the KV pool, 64 positions each
    uint32_t pages_used;            // of them, those that sessions hold
    uint64_t wait_ns;       // time that steps waited for the device; on a device without threads of its own, its work
    uint64_t recoveries;    // times that a step went on after the device was lost
    uint64_t restored_rows; // of `rows`, those computed again because a device was lost or left
};

// Threads: any; figures of a running step may be of different moments. Waits while the engine is taken to a device.
BN_API void bn_engine_get_stats(const struct bn_engine *engine, struct bn_engine_stats *stats);

// A trace: what the host and the queues of devices did when, in a file for https://ui.perfetto.dev (docs/traces.md).
struct bn_trace;

// Opens the file, so that a path that cannot be written is told now. The events are kept in memory, the last `n_events` of
// them (0: 131072, 9 MiB), and written by bn_trace_write.
// Ownership: the caller destroys *out, after the engines that write to it. Threads: any.
// Errors: BN_ERR_ARGUMENT, BN_ERR_NO_MEMORY, BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_trace_create(struct bn_runtime *runtime, const char *path, size_t n_events,
                                                    struct bn_trace **out, struct bn_error *err);

// Writes the file and closes it, once. No engine writes to the trace any more. Threads: one at a time.
// Errors: BN_ERR_ARGUMENT, BN_ERR_IO.
BN_API BN_MUST_CHECK enum bn_result bn_trace_write(struct bn_trace *trace, struct bn_error *err);

// Threads: one at a time.
BN_API void bn_trace_destroy(struct bn_trace *trace);

// From now on the engine's steps are in the trace; NULL: no longer. The host has one track, each queue one of its own. On a
// device that was opened with options.trace there is an event for each op, if its driver can tell; else one per submission,
// as the host saw it. Costs some microseconds per step and op, and nothing while there is no trace.
// Threads: one at a time per engine; engines of several threads may share a trace.
BN_API void bn_engine_set_trace(struct bn_engine *engine, struct bn_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
