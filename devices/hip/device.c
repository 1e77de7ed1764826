// The HIP driver: AMD's cards through libamdhip64, which is opened at run time. What it does is in devices/common/streams*.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "devices/common/streams.h"
#include "hip_kernels.inl"

extern const struct bn_driver bn_driver_hip;

enum { INTEGRATED = 16 }; // hipDeviceAttribute_t
enum { PROPERTIES_BYTES = 8192, NAME_BYTES = 256 };

static const struct bn_streams_image images[] = {HIP_IMAGES{NULL, NULL, NULL, 0, 0}};
static struct bn_streams_process process = {.lock = PTHREAD_MUTEX_INITIALIZER};

// "gfx90a" of "gfx90a:sramecc+:xnack-". Where it stands in struct hipDeviceProp_t depends on the version; it is the only text
// behind the card's name that begins so.
static void find_isa(const struct bn_streams_api *api, int device, char *isa, size_t size)
{
    static const char prefix[] = "gfx";
    char properties[PROPERTIES_BYTES] = "";
    isa[0] = '\0';
    if (api->properties ? api->properties(properties, device) != 0
                        : !api->old_properties || api->old_properties(properties, device) != 0)
        return;
    for (const char *at = properties + NAME_BYTES; at < properties + sizeof(properties) - 16; at++)
        if (memcmp(at, prefix, 3) == 0 && isdigit((unsigned char)at[3])) {
            size_t n = 3;
            while (n < 15 && isalnum((unsigned char)at[n]))
                n++;
            snprintf(isa, size, "%.*s", (int)n, at);
            return;
        }
}

static void judge(const struct bn_streams_api *api, int device, struct bn_device_info *info)
{
    find_isa(api, device, info->isa, sizeof(info->isa));
    for (const struct bn_streams_image *image = images; image->data; image++)
        if (strcmp(image->isa, info->isa) == 0)
            return;
    info->state = BN_STATE_TOO_OLD;
    snprintf(info->reason, sizeof(info->reason), "this build has no kernels for %s",
             info->isa[0] ? info->isa : "the card");
    snprintf(info->mend, sizeof(info->mend),
             "use -d vulkan; HSA_OVERRIDE_GFX_VERSION=10.3.0 lets a relative of gfx1030 pass for it");
}

static const char *const libraries[] = {
    "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so", "/opt/rocm/lib/libamdhip64.so", NULL};

static const struct bn_streams_vendor vendor = {
    .driver = &bn_driver_hip,
    .number = 1,
    .title = "HIP",
    .libraries = libraries,
    .without = "BITNET_HIP_WITHOUT",
    .no_library = "install ROCm's HIP runtime (Debian: libamdhip64-5)",
    .no_device = "rocminfo tells more; HIP_VISIBLE_DEVICES may hide devices",
    .no_kernel = "rocminfo and dmesg tell more",
    .integrated = INTEGRATED,
    .images = images,
    .process = &process,
    .judge = judge,
};

static enum bn_result hip_probe(const struct bn_host *host, struct bn_device_info *list, size_t capacity, size_t *count,
                                struct bn_error *err)
{
    return bn_streams_probe(&vendor, list, capacity, count);
}

static enum bn_result hip_open(const struct bn_host *host, const struct bn_device_info *info,
                               const struct bn_device_options *options, struct bn_device **out, struct bn_error *err)
{
    return bn_streams_open(&vendor, host, info, out, err);
}

const struct bn_driver bn_driver_hip = {
    .size = sizeof(struct bn_driver),
    .api = BN_DRIVER_API,
    .name = "hip",
    .about = "AMD's cards, through HIP (prototype)",
    .probe = hip_probe,
    .open = hip_open,
    BN_STREAMS_SLOTS,
};
