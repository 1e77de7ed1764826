// Finding bitnet-probe.
#ifndef TOOLS_COMMON_HELPER_H
#define TOOLS_COMMON_HELPER_H

#include <stddef.h>

// Writes the path of the bitnet-probe that belongs to this program: in the build folder, or under the same prefix. NULL if
// there is none, or if $BITNET_PROBE is set: then the library looks itself.
const char *tool_find_probe(char *path, size_t size);

#endif
