// bitnet-devices: what its files share.
#ifndef TOOLS_DEVICES_DEVICES_H
#define TOOLS_DEVICES_DEVICES_H

#include "common/term.h"

#include <bitnet/bitnet.h>

#define PROGRAM "bitnet-devices"

// The tree for people.
void devices_print(struct tool_out *out, const struct bn_survey *survey, bool colour);

// One JSON object on a line. Returns an exit code.
int devices_print_json(struct tool_out *out, const struct bn_survey *survey);

#endif
