// libbitnet: run ternary language models on any device of the machine. This header includes all others
// but driver.h, which is for authors of drivers. The rules that hold everywhere are in base.h.
#ifndef BITNET_BITNET_H
#define BITNET_BITNET_H

#include <bitnet/base.h>
#include <bitnet/error.h>
#include <bitnet/runtime.h>
#include <bitnet/device.h>
#include <bitnet/survey.h>
#include <bitnet/doctor.h>
#include <bitnet/model.h>
#include <bitnet/text.h>
#include <bitnet/compute.h>
#include <bitnet/engine.h>
#include <bitnet/diag.h>

#endif
