// Rows of a tensor of the source, as they are written.
#ifndef BN_CONVERT_ROWS_H
#define BN_CONVERT_ROWS_H

#include "convert/source.h"

struct bn_rows {
    const struct bn_source *source;
    const struct bn_tensor *from;
    enum bn_layout layout; // of the result, none whose rows are not apart
    bool turned;           // row r of the result is another one of the source: `row` says which
    uint32_t (*row)(const struct bn_source *source, uint32_t r);
    enum bn_repack_loss loss;
};

// Memory for parts of at most `rows` rows. One for each thread.
struct bn_rows_memory {
    size_t made, gathered, trits, repack; // bytes
};
struct bn_rows_room {
    uint8_t *made;     // the result
    uint8_t *gathered; // rows in the order of the result
    uint8_t *trits;    // of floats, before they are packed
    void *repack;
};

// Enlarges *memory to what these rows need. False if they are more than memory can be.
bool bn_rows_add_memory(const struct bn_rows *rows, uint32_t n, struct bn_rows_memory *memory);
// Errors: BN_ERR_NO_MEMORY; then, too, the room is to be freed.
enum bn_result bn_rows_reserve(const struct bn_host *host, const struct bn_rows_memory *memory,
                               struct bn_rows_room *room, struct bn_error *err);
void bn_rows_free(const struct bn_host *host, struct bn_rows_room *room);

// Rows r0 .. r1 - 1 of the result to room->made, and to *made with their scale, which bn_repack_join joins. Both are multiples of
// BN_REPACK_ROWS unless they are the end. Errors: those of bn_repack, with the tensor.
enum bn_result bn_rows_make(const struct bn_rows *rows, uint32_t r0, uint32_t r1, const struct bn_rows_room *room,
                            struct bn_repacked *made, struct bn_error *err);

// The scale that stands for the whole tensor, of what its parts joined to.
float bn_rows_scale(const struct bn_rows *rows, const struct bn_repacked *whole);
// bn_repack_join of parts that bn_rows_make has made.
enum bn_result bn_rows_join(const struct bn_rows *rows, struct bn_repacked *whole, const struct bn_repacked *next,
                            struct bn_error *err);

#endif
