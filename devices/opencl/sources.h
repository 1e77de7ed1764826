// The text of the portable kernels: shaders/portable/manifest.txt lists them, the build embeds them.
#ifndef BN_DEVICES_OPENCL_SOURCES_H
#define BN_DEVICES_OPENCL_SOURCES_H

#include <stddef.h>

#include "devices/common/kernels.h"

struct source {
    const char *name; // of the kernel
    const char *text;
    size_t bytes;
    const char *options; // for the compiler: " -DFUSED"
    uint32_t parameters; // bits of the constants that are parameters, behind the others
};

// NULL if there is none, which a test of the build rules out.
const struct source *bn_opencl_source(enum bn_kernel kernel);

#endif
