// Every device of OpenCL, one of Vulkan and the CPU open in one process, and each copies what it is given, at the same time.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bitnet/bitnet.h>
#include <bitnet/compute.h>

enum { MOST = 16, BYTES = 100000, SLOT_BYTES = 4096 };

struct one {
    struct bn_device *device;
    struct bn_queue *queue;
    struct bn_buffer *from, *to, *slot;
    struct bn_command *command;
};

static struct bn_error error;
static int failures;

static bool good(enum bn_result result, const char *what, const char *who)
{
    if (result == BN_OK)
        return true;
    printf("%s: %s: %s: %s\n", who, what, bn_result_name(result), error.message);
    failures++;
    return false;
}

static bool start(struct one *one, struct bn_runtime *runtime, const char *selector, int seed)
{
    struct bn_slot_limits limits = {1, 1, 1, 1, 1};
    if (!good(bn_device_open(runtime, selector, NULL, &one->device, &error), "open", selector) ||
        !good(bn_queue_open(one->device, &one->queue, &error), "queue", selector) ||
        !good(bn_buffer_create(one->device, BYTES, &one->from, &error), "buffer", selector) ||
        !good(bn_buffer_create(one->device, BYTES, &one->to, &error), "buffer", selector) ||
        !good(bn_buffer_create(one->device, SLOT_BYTES, &one->slot, &error), "slot", selector))
        return false;
    bn_slot_init(one->slot->host, &limits);
    for (int i = 0; i < BYTES; i++)
        ((uint8_t *)one->from->host)[i] = (uint8_t)(i * 7 + seed);
    struct bn_op op = {.kind = BN_OP_COPY, .rows = 1, .in = {one->from, 0, BYTES}, .out = {one->to, 0, BYTES}};
    struct bn_span slot = {one->slot, 0, bn_slot_bytes(&limits)};
    struct bn_submission submission = {.signal = 1};
    if (!good(bn_command_record(one->device, &op, 1, &slot, &one->command, &error), "record", selector))
        return false;
    submission.command = one->command;
    return good(bn_queue_submit(one->queue, &submission, &error), "submit", selector);
}

static void end(struct one *one, const char *selector)
{
    if (one->command && good(bn_queue_wait(one->queue, 1, UINT64_MAX, &error), "wait", selector) &&
        memcmp(one->from->host, one->to->host, BYTES) != 0) {
        printf("%s: the copy differs\n", selector);
        failures++;
    }
    bn_command_destroy(one->command);
    bn_buffer_destroy(one->from);
    bn_buffer_destroy(one->to);
    bn_buffer_destroy(one->slot);
    if (one->queue)
        bn_queue_close(one->queue);
    bn_device_close(one->device);
}

int main(void)
{
    static struct bn_device_info list[64];
    struct bn_runtime *runtime;
    struct one devices[MOST] = {{NULL}};
    char selectors[MOST][40];
    size_t count = 0, n = 0, of_opencl = 0;
    if (bn_runtime_create(NULL, &runtime, &error) != BN_OK)
        return 1;
    if (!good(bn_device_list(runtime, list, 64, &count, &error), "list", "devices"))
        return 1;
    for (size_t i = 0; i < count && i < 64 && n < MOST; i++) {
        if (list[i].state != BN_STATE_READY || list[i].kind == BN_DEVICE_NULL)
            continue;
        of_opencl += strcmp(list[i].driver, "opencl") == 0;
        snprintf(selectors[n++], sizeof(selectors[0]), "%s/%s", list[i].id, list[i].driver);
    }
    for (size_t i = 0; i < n; i++)
        start(&devices[i], runtime, selectors[i], (int)i);
    for (size_t i = 0; i < n; i++) {
        end(&devices[i], selectors[i]);
        printf("%s\n", selectors[i]);
    }
    bn_runtime_destroy(runtime);
    if (of_opencl == 0) {
        printf("no device of OpenCL is ready\n");
        return 77;
    }
    return failures > 0;
}
