// What a device says that it runs, for capabilities.py. capabilities DRIVER: a line for each op, its name and the layouts
// of its weights, "yes" for one without weights; then one for each option of ops. Tabs are between words. 77: no such device.
#include <stdio.h>

#include <bitnet/bitnet.h>
#include <bitnet/compute.h>

static const struct {
    enum bn_op_option option;
    const char *name;
} options[] = {
    {BN_OP_WITH_PLANES, "with planes"}, {BN_OP_WITH_WINDOW, "with window"}, {BN_OP_WITH_HEAD_NORM, "with head_norm"},
    {BN_OP_WITH_GELU, "with gelu"},     {BN_OP_WITH_SCALE, "with scale"},   {BN_OP_WITH_INT8_KV, "with int8_kv"},
};

int main(int argc, char **argv)
{
    struct bn_runtime *runtime;
    struct bn_device *device;
    struct bn_error err = {0};
    struct bn_caps caps;
    if (argc != 2 || bn_runtime_create(NULL, &runtime, &err) != BN_OK)
        return 1;
    if (bn_device_open(runtime, argv[1], NULL, &device, &err) != BN_OK) {
        printf("%s: %s\n", argv[1], err.message);
        bn_runtime_destroy(runtime);
        return 77;
    }
    for (int kind = 0; kind < BN_OP_COUNT; kind++) {
        printf("%s", bn_op_name(kind));
        for (int layout = 0; layout < BN_LAYOUT_COUNT; layout++)
            if (bn_device_supports(device, kind, layout))
                printf("\t%s", bn_layout_name(layout));
        printf("%s\n", bn_device_supports(device, kind, BN_LAYOUT_COUNT) ? "\tyes" : "");
    }
    bn_device_get_caps(device, &caps);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        printf("%s%s\n", options[i].name, caps.op_options & options[i].option ? "\tyes" : "");
    bn_device_close(device);
    bn_runtime_destroy(runtime);
    return 0;
}
