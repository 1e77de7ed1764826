// bitnet-devices: what its files share.
#ifndef TOOLS_DEVICES_DEVICES_H
#define TOOLS_DEVICES_DEVICES_H

#include "common/term.h"

#include <bitnet/bitnet.h>

#define PROGRAM "bitnet-devices"

// What was measured of one way into one device.
struct figures {
    size_t device, api;      // indices into the survey
    double bytes_per_second; // weights read, one row of activations
    double ops_per_second;   // int8 multiplications and additions, many rows
    bool cached;             // measured by an earlier run
};

enum { MAX_FIGURES = 64 };

// What is printed.
struct report {
    struct bn_runtime *runtime;
    const struct bn_survey *survey;
    struct figures figures[MAX_FIGURES];
    size_t n_figures;
    const char *model_path; // NULL: no model
    struct bn_model *model;
    char chosen[64]; // "cpu/cpu": what an automatic choice takes; "" if nothing
    char why[128];
};

// Measures every way that this build can use, or takes the figures of an earlier run from the cache folder; `again`: does
// not. What cannot be measured is told on stderr.
void devices_measure(struct report *report, bool again);

// Opens the model and finds the device that would run it. Returns an exit code.
int devices_choose(struct report *report);

// NULL if it was not measured.
const struct figures *devices_figures(const struct report *report, size_t device, size_t api);

// Tokens per second that the device could reach if reading the weights were all: the ceiling.
double devices_ceiling(const struct report *report, const struct figures *figures);

// Whether the model's weights fit in the device's memory, or the host's where it has none of its own.
bool devices_fits(const struct report *report, const struct bn_survey_device *device);

// The tree for people.
void devices_print(struct tool_out *out, const struct report *report, bool colour);

// One JSON object on a line. Returns an exit code.
int devices_print_json(struct tool_out *out, const struct report *report);

#endif
