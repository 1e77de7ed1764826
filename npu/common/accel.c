#include "npu/common/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/fail.h"
#include "runtime/base/sysfs.h"

enum { MAX_NODES = 64 };

bool bn_accel_ioctl(int fd, unsigned long request, void *argument)
{
    int result;
    do
        result = ioctl(fd, request, argument);
    while (result != 0 && (errno == EINTR || errno == EAGAIN));
    return result == 0;
}

static int open_node(unsigned node)
{
    char path[BN_SYS_PATH];
    int n = snprintf(path, sizeof(path), "%s/dev/accel/accel%u", bn_sys_root(), node);
    if (n < 0 || n >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, O_RDWR | O_CLOEXEC);
}

static void refused(struct bn_device_info *info, unsigned node, int error)
{
    char text[64];
    info->state = BN_STATE_PERMISSION_DENIED;
    snprintf(info->reason, sizeof(info->reason), "/dev/accel/accel%u: %s", node,
             bn_errno_text(error, text, sizeof(text)));
    snprintf(info->mend, sizeof(info->mend), "%s",
             error == ENOENT ? "in a container: start it with --device /dev/accel" : "sudo usermod -aG render $USER");
}

static void describe(const struct bn_accel_probe *probe, unsigned node, struct bn_device_info *info)
{
    char device[32], about[96] = "";
    *info = (struct bn_device_info){.size = sizeof(*info), .kind = BN_DEVICE_NPU, .index = node};
    snprintf(info->id, sizeof(info->id), "npu%u", node);
    snprintf(info->driver, sizeof(info->driver), "%s", probe->driver);
    snprintf(info->name, sizeof(info->name), "%s", probe->name);
    bn_sys_link(device, sizeof(device), "/sys/class/accel/accel%u/device", node);
    snprintf(info->pci, sizeof(info->pci), "%.23s", strchr(device, ':') ? device : "");
    bn_sys_read(info->node, sizeof(info->node), "/sys/class/accel/accel%u/dev", node);
    int fd = open_node(node);
    if (fd < 0) {
        refused(info, node, errno);
        return;
    }
    if (probe->ask(fd, info, about, sizeof(about))) {
        info->state = BN_STATE_DISABLED;
        snprintf(info->reason, sizeof(info->reason), "%.90s; no graphs for it yet", about);
        snprintf(info->mend, sizeof(info->mend), "use another device: this driver only tells what is there");
    } else {
        info->state = BN_STATE_FAULTED;
        snprintf(info->reason, sizeof(info->reason), "the kernel's driver does not answer: %s",
                 bn_errno_text(errno, about, sizeof(about)));
        snprintf(info->mend, sizeof(info->mend), "sudo dmesg tells more; the firmware may be missing");
    }
    close(fd);
}

enum bn_result bn_accel_list(const struct bn_accel_probe *probe, struct bn_device_info *list, size_t capacity,
                             size_t *count)
{
    *count = 0;
    for (unsigned node = 0; node < MAX_NODES; node++) {
        char kernel[32];
        if (!bn_sys_link(kernel, sizeof(kernel), "/sys/class/accel/accel%u/device/driver", node) ||
            strcmp(kernel, probe->kernel) != 0)
            continue;
        if (*count < capacity)
            describe(probe, node, &list[*count]);
        ++*count;
    }
    return BN_OK;
}

enum bn_result bn_accel_open(const struct bn_device_info *info, struct bn_error *err)
{
    return bn_fail_at(err, BN_ERR_UNSUPPORTED, NULL, info->id, UINT64_MAX, "%s; %s", info->reason, info->mend);
}
