// What is in a model's file or folder, and whether two hold the same.
#ifndef BN_CONVERT_INSPECT_H
#define BN_CONVERT_INSPECT_H

#include "convert/source.h"

enum bn_shown_kind { BN_SHOWN_INTEGER, BN_SHOWN_REAL, BN_SHOWN_BOOL, BN_SHOWN_TEXT, BN_SHOWN_LIST };

// A key; which of the values counts, `kind` says.
struct bn_shown_key {
    struct bn_str name;
    enum bn_shown_kind kind;
    const char *type; // "u32"; of the elements, for lists
    int64_t integer;  // an unsigned one above its range is shown as a real
    double real;
    struct bn_str text;
    uint64_t count; // of a list's elements
};

// Key i of the source; false: there are no more.
bool bn_inspect_key(const struct bn_source *source, uint32_t i, struct bn_shown_key *key);

struct bn_shown_tensor {
    char name[72];
    const char *type; // GGUF's, "I2_S"
    const char *
        layout; // "i2_s 128/32"; NULL: it is none of the model's matrices and norms, or the model cannot be loaded; what
                // follows `bytes` is not known
    uint64_t rows, cols;
    uint64_t offset, bytes;
    bool ternary;
    // Ternary: how often -1, 0 and +1 occur, and the scales.
    uint64_t codes[3], n_scales;
    double least_scale, greatest_scale;
    // Floats.
    double least, greatest, mean_magnitude;
};

// Those of the model, then what else the file has: scales, the scan copy.
size_t bn_inspect_count(const struct bn_source *source);
// Tensor i, all of which is read. Errors: BN_ERR_MODEL (an unused code), BN_ERR_NO_MEMORY.
enum bn_result bn_inspect_tensor(const struct bn_source *source, size_t i, struct bn_shown_tensor *shown,
                                 struct bn_error *err);

// The next difference of two models from place *at on, which starts at 0: a figure of the geometry, a token, or a tensor. False: there
// is none, or result is not BN_OK. Matrices that are still to be quantised are compared as what they become; layouts, types and
// names of files do not count.
struct bn_difference {
    char what[96];
    char text[160];
};
bool bn_compare(const struct bn_source *a, const struct bn_source *b, size_t *at, struct bn_difference *difference,
                enum bn_result *result, struct bn_error *err);

#endif
