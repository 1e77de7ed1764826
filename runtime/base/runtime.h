// The runtime object.
#ifndef BN_BASE_RUNTIME_H
#define BN_BASE_RUNTIME_H

#include "runtime/base/host.h"

struct bn_runtime {
    struct bn_host host;
};

#endif
