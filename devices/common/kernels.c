#include "devices/common/kernels.h"

const struct bn_kernel_info bn_kernel_infos[BN_KERNEL_COUNT] = {
#define BN_KERNEL_ROW(id, name, variants) {name, variants},
    BN_KERNELS(BN_KERNEL_ROW)
#undef BN_KERNEL_ROW
};
