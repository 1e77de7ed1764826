// Ids of devices, the same in a survey and in the list of the drivers' devices.
#ifndef BN_SURVEY_IDS_H
#define BN_SURVEY_IDS_H

#include <bitnet/device.h>

#include "runtime/base/host.h"

// Numbers the GPUs and NPUs of a list as a survey does, by what the kernel has at their addresses, so that the same hardware
// has one id in all drivers. Those without an address get the numbers behind.
void bn_survey_give_ids(const struct bn_host *host, struct bn_device_info *list, size_t n);

#endif
