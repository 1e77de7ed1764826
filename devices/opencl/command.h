// Recorded commands of the OpenCL driver: kernels whose parameters were set when they were recorded. Drivers copy these when
// a kernel is queued, so the same ones serve every replay. cl_khr_command_buffer is not used: where it was measured (PoCL), a
// replay of 300 kernels took 990 us by it, and 392 us one by one.
#ifndef BN_DEVICES_OPENCL_COMMAND_H
#define BN_DEVICES_OPENCL_COMMAND_H

#include "devices/opencl/device.h"

struct run {
    cl_kernel kernel;
    size_t global[2], local[2];
};

// What is brought to the device before the kernels of a command run, or back behind them, of buffers with a copy in host memory.
struct transfer {
    cl_mem memory;
    uint8_t *host;
    uint64_t offset, bytes;
    uint64_t row_bytes; // not 0: those rows only that the slot's outputs write
    bool up, down;
};

struct command {
    struct bn_command base;
    struct bn_slot *slot;
    struct transfer slot_up;     // memory is NULL where the device sees what the host writes
    struct bn_buffer *temporary; // NULL if the ops need none
    struct run *runs;
    uint32_t n_runs;
    struct transfer *transfers;
    uint32_t n_transfers;
    struct bn_opencl_stamps *stamps; // NULL unless the device measures
    uint32_t n_ops;
    uint8_t kinds[]; // enum bn_op_kind of each op, for the report of a lost device
};

#endif
