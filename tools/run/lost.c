// --on-device-lost: the same device again, the CPU, or the end.
#include "run/run.h"

#include "common/device.h"
#include "common/fail.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_IN_A_ROW = 3, PAUSE_MS = 200 };

int run_open_device(struct run *run, const char *selector, struct bn_error *err)
{
    const struct settings *settings = &run->settings;
    struct bn_device_options options;
    BN_INIT(options);
    options.threads = settings->threads;
    options.wait = settings->wait ? BN_WAIT_SPIN : BN_WAIT_SLEEP;
    options.packing = (enum bn_packing)settings->packing;
    options.isa = settings->isa;
    options.fault = settings->fault;
    options.trace = settings->trace != NULL;
    enum bn_result result = bn_device_open(run->runtime, selector, &options, &run->device, err);
    if (result == BN_OK && run->losses == 0)
        tool_note_unused(PROGRAM, run->device, &options);
    return result;
}

// A name of the device that is its own, whatever else comes or goes.
static void name_device(const struct bn_device_info *info, char *selector, size_t bytes)
{
    const char *prefix = info->pci[0] ? "pci:" : info->uuid[0] ? "uuid:" : "";
    const char *name = info->pci[0] ? info->pci : info->uuid[0] ? info->uuid : info->id;
    snprintf(selector, bytes, "%s%s/%s", prefix, name, info->driver);
}

// Whether it is worth another try: not if the device was lost again and again without a token in between.
static bool may_try(struct run *run)
{
    size_t length = run->session ? bn_session_length(run->session) : 0;
    if (length > run->lost_at)
        run->losses = 0;
    run->lost_at = length;
    if (run->losses++ < MOST_IN_A_ROW)
        return true;
    tool_say(PROGRAM, "the device was lost %d times and made no token in between: giving up", MOST_IN_A_ROW + 1);
    return false;
}

bool run_replace_device(struct run *run, struct bn_error *err)
{
    bool to_cpu = run->settings.on_device_lost == ON_LOST_CPU;
    char selector[80];
    if (run->settings.on_device_lost == ON_LOST_FAIL)
        return false;
    if (!run->lost_device[0])
        name_device(bn_device_get_info(run->device), run->lost_device, sizeof run->lost_device);
    snprintf(selector, sizeof selector, "%s", to_cpu ? "cpu" : run->lost_device);
    while (may_try(run)) {
        if (run->out.at_middle && isatty(STDERR_FILENO))
            fputc('\n', stderr);
        tool_say(PROGRAM, "%s%s%s%s%s", run->lost_device, err->subject[0] ? ": " : "", err->subject,
                 err->message[0] ? ": " : "", err->message);
        tool_say(PROGRAM,
                 to_cpu ? "going on with %s; what was lost is computed again"
                        : "opening %s again; what was lost is computed again",
                 selector);
        bn_device_close(run->device);
        run->device = NULL;
        if (run->losses > 1) // a device that resets may take a moment
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
        if (run_open_device(run, selector, err) == BN_OK)
            return true;
    }
    return false;
}

static enum bn_result recover(void *user, struct bn_engine *engine, const struct bn_error *lost, struct bn_error *err)
{
    struct run *run = user;
    enum bn_result result;
    *err = *lost;
    do {
        bn_engine_detach(engine);
        if (!run_replace_device(run, err))
            return err->code;
        result = bn_engine_attach(engine, run->device, err);
    } while (result == BN_ERR_DEVICE_LOST);
    return result;
}

void run_watch_device(struct run *run)
{
    if (run->settings.on_device_lost != ON_LOST_FAIL)
        bn_engine_set_recovery(run->engine, recover, run);
}
