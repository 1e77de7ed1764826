// Buffers in blocks of device memory: small ones share a block, each of the others has one of its own. For drivers whose
// allocations are few and large.
#ifndef BN_DEVICES_BLOCKS_H
#define BN_DEVICES_BLOCKS_H

#include <bitnet/driver.h>

enum { BN_SHARED_BLOCK = 4 << 20 }; // bytes of a block that is shared

// The first member of a driver's own block.
struct bn_block {
    struct bn_block *next; // of those that are shared
    uint8_t *host;         // NULL if the host cannot reach it
    uint64_t size, used;
    uint32_t users;
};

struct bn_block_buffer {
    struct bn_buffer base;
    struct bn_block *block;
    uint64_t offset; // in the block
};

// A driver's side. Blocks are created and destroyed under its lock.
struct bn_block_driver {
    void (*lock)(struct bn_device *device);
    void (*unlock)(struct bn_device *device);
    // Fills in host (NULL: out of the host's reach) and size.
    enum bn_result (*create)(struct bn_device *device, uint64_t size, bool local, struct bn_block **out,
                             struct bn_error *err);
    void (*destroy)(struct bn_device *device, struct bn_block *block);
};

// Where a buffer shall lie.
struct bn_block_wish {
    uint64_t size;
    uint64_t unit; // buffers begin at multiples of it
    bool local;    // for the device only
    bool shares;   // small ones may share a block
    bool mixes;    // ... with those that are not local
};

// Zeroed memory: by the host where that reaches it, else by the slot buffer_write without data.
enum bn_result bn_block_buffer_create(const struct bn_block_driver *driver, struct bn_device *device,
                                      struct bn_block **list, const struct bn_block_wish *wish, struct bn_buffer **out,
                                      struct bn_error *err);
void bn_block_buffer_destroy(const struct bn_block_driver *driver, struct bn_block **list, struct bn_buffer *buffer);

#endif
