// The parts of bitnet-shader.
#ifndef TOOLS_SHADER_SHADER_H
#define TOOLS_SHADER_SHADER_H

#include <bitnet/compute.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRAM "bitnet-shader"

// Where results go: report.c.
struct report {
    bool json;
    struct json_t *list;
    size_t n;
    const char *device; // what it calls itself
    double copy_gb;     // per second, of its copy op
};

struct settings {
    const char *device, *source, *out, *isa;
    const char *shape;      // as it was given; NULL: those of the table
    uint32_t n, cols, rows; // with shape
    uint32_t count, repetitions;
    bool json;
    struct report *report;
};

// A constant of a variant that is fixed when it is compiled, or a parameter.
struct shader_constant {
    uint32_t id, value; // its default, or its first value
    char name[32];
    char values[32]; // "64", "0|1|2"; "?": whatever the model has; "": a parameter
};
enum { MAX_CONSTANTS = 32 };

struct shader_variant {
    const char *name, *data;
    size_t bytes;
    struct shader_constant constants[MAX_CONSTANTS];
    size_t n_constants;
};

// What the kernels of a driver are written in. The commands are run by the shell with these variables: SOURCE (the folder of
// the sources), NAME (the variant), ISA, and for build FILE, DEFINES (" -DSUBGROUP") and OUT (the file to write).
struct shader_kind {
    const char *driver;
    const char *manifest, *folder; // in the folder of the sources
    const char *compiler;          // for messages
    const char *suffix;            // of what build writes
    const char *build;             // prints FILE:LINE: what is wrong
    const char *disasm;            // gets the built-in variant as its input
    const char *package;           // that has the program which disasm needs
    bool overrides;                // the driver uses what build writes if BITNET_SHADER_DIR says so
    // Variant `i` that is built in; false: there are no more.
    bool (*variant)(size_t i, struct shader_variant *variant);
    // Whether build leaves the variant out, as the build of the program did. May be NULL.
    bool (*left_out)(const char *name, const char *defines);
};

// The kind of a device: "opencl", "gpu0/vulkan". NULL: its name does not tell.
const struct shader_kind *shader_kind_of(const char *device);
// The drivers of all kinds, for messages.
const char *shader_kinds(void);

// An op at a shape, and the shader that it runs: what check and bench work on.
struct problem {
    const char *shader; // its variants begin with this
    enum bn_op_kind kind;
    uint32_t rows;    // of activations
    uint32_t n, cols; // of the weights; positions and head size of attention
    bool bench;       // a shape of the published 2B model, to be timed; else one to be checked
};

extern const struct problem problems[];
extern const size_t n_problems;

// An op with its operands on a device. Zero it first; rig_finish releases what there is.
struct rig {
    struct bn_device *device;
    struct bn_queue *queue;
    struct bn_buffer *slot;
    struct bn_op op, quantise; // quantise.kind is BN_OP_COUNT unless the op's input must be quantised first
    struct bn_command *command;
    uint64_t bytes; // read and written by one run of the op, about
};

// problem.c. Operands of the problem with values that depend on the problem alone, so two devices get the same. `copies`: how
// often the command runs the op.
enum bn_result rig_init(struct rig *rig, struct bn_device *device, const struct problem *problem, uint32_t copies,
                        struct bn_error *err);
enum bn_result rig_run(struct rig *rig, struct bn_error *err);
void rig_finish(struct rig *rig);
// How the outputs of two rigs compare; `text` says it. Integers must be equal, floats close.
bool rig_compare(const struct rig *got, const struct rig *want, char *text, size_t size);

// Seconds of one op, and the bytes that it reads and writes.
struct timing {
    double best, median;
    uint64_t bytes;
};

// report.c. What is said of variants, checks and times, as lines or, with end, as JSON. begin and end return an exit code.
int report_begin(struct report *report, bool json);
int report_end(struct report *report, bool print);
void report_variant(struct report *report, const char *driver, const struct shader_variant *variant);
void report_check(struct report *report, const struct problem *problem, bool good, const char *text);
void report_copy(struct report *report, double gb, bool changes);
void report_bench(struct report *report, const struct problem *problem, const struct timing *timing, double before);

// run.c: the actions that use a device. They return the exit code; `shader` is NULL for all.
int shader_check(const struct settings *settings, struct bn_runtime *runtime, const char *shader, const char *folder);
// `before`: seconds of each problem at the last call, or 0; updated, and the change is printed. May be NULL.
int shader_bench(const struct settings *settings, struct bn_runtime *runtime, const char *shader, const char *folder,
                 double *before);

// build.c: compiles the variants whose name begins with `name` (NULL: all) from settings->source into settings->out.
int shader_build(const struct settings *settings, const struct shader_kind *kind, const char *name);
// When the newest file of the sources was changed, nanoseconds; 0: there are none.
uint64_t shader_source_time(const struct settings *settings, const struct shader_kind *kind);
int shader_list(const struct settings *settings, const struct shader_kind *kind, const char *name);
int shader_disasm(const struct settings *settings, const struct shader_kind *kind, const char *name);
// Whether there is a shader whose variants begin with the name.
bool shader_exists(const struct shader_kind *kind, const char *name);

#endif
