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
    uint64_t recoveries;            // times that a step went on after the device was lost
    uint64_t restored_rows;         // of `rows`, those computed again because a device was lost or left
};

// Threads: any; figures of a running step may be of different moments. Waits while the engine is taken to a device.
BN_API void bn_engine_get_stats(const struct bn_engine *engine, struct bn_engine_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
