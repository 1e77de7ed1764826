// What the files of the lowering share.
#ifndef BN_DEVICES_LOWER_IMPL_H
#define BN_DEVICES_LOWER_IMPL_H

#include <string.h>

#include "devices/common/lower.h"
#include "shaders/constants.h"

enum { LANES = 8 }; // work-items that share a row of weights

struct lowering {
    const struct bn_lower_target *target;
    const struct bn_op *op;
    uint32_t index;
    struct bn_span slot, temporary;
};

// Work-items of a group of the kernel.
uint32_t bn_lower_threads(const struct bn_lower_target *target, enum bn_kernel kernel);

// Starts a dispatch of as many groups; as many as fit, for the kernels go round if there are too few.
struct bn_dispatch *bn_lower_begin(const struct lowering *l, struct bn_dispatch *dispatch, enum bn_kernel kernel,
                                   uint64_t x, uint64_t y);

// The op's input, normed if it has a norm, as integers.
void bn_lower_quantise(const struct lowering *l, struct bn_dispatch *dispatch, const struct bn_span *out,
                       const struct bn_span *scales);

// What follows the products q, k and v of an op.
void bn_lower_append(const struct lowering *l, struct bn_dispatch *dispatch, const struct bn_span *q,
                     const struct bn_span *k, const struct bn_span *v);

// Flags of the op's activation.
uint32_t bn_lower_activation(const struct bn_op *op);

// lower_ternary.c: products with ternary matrices.
uint32_t bn_lower_ternary(const struct lowering *l, struct bn_dispatch *list);
uint64_t bn_lower_ternary_temporary(const struct bn_lower_target *target, const struct bn_op *op);

// Operands and words in the order of the kernel's parameters.
#define SPANS(dispatch, ...)                                                                                           \
    bn_lower_spans(dispatch, (const struct bn_span *const[]){__VA_ARGS__},                                             \
                   sizeof((const struct bn_span *const[]){__VA_ARGS__}) / sizeof(const struct bn_span *))
#define WORDS(dispatch, ...)                                                                                           \
    bn_lower_words(dispatch, (const uint32_t[]){__VA_ARGS__},                                                          \
                   sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static inline void bn_lower_spans(struct bn_dispatch *dispatch, const struct bn_span *const *spans, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dispatch->spans[dispatch->n_spans++] = *spans[i];
}

static inline void bn_lower_words(struct bn_dispatch *dispatch, const uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dispatch->words[dispatch->n_words++] = words[i];
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline uint64_t groups_of(uint64_t items, uint32_t per_group)
{
    return (items + per_group - 1) / per_group;
}

// What follows the first bytes of a span.
static inline struct bn_span part_of(const struct bn_span *span, uint64_t offset)
{
    return (struct bn_span){span->buffer, span->offset + offset, span->size - offset};
}

static inline uint32_t page_bytes(const struct bn_op *op)
{
    return (uint32_t)bn_kv_page_bytes(op->n_layers, op->kv_heads, op->head_dim, op->kv_type);
}

// As kernels that append to the KV pool take them.
static inline uint32_t packed_heads(const struct bn_op *op)
{
    return op->heads | op->kv_heads << 16;
}

static inline uint32_t packed_place(const struct bn_op *op)
{
    return op->head_dim | (op->rope_order == BN_ROPE_PAIRS ? 0x8000u : 0u) | op->layer << 16;
}

#endif
