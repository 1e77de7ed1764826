// Asks each API in a process of its own, all at once: a driver that crashes or hangs takes only its helper with it.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bn_config.h"
#include "runtime/base/child.h"
#include "runtime/base/fail.h"
#include "runtime/base/sysfs.h"
#include "runtime/survey/survey_impl.h"

enum { OUTPUT = 256 << 10, DEFAULT_MS = 5000, SLOWEST_MS = 60000 };

static const char *helper_of(const struct bn_survey_options *options)
{
    const char *path = options->helper ? options->helper : bn_env("BITNET_PROBE");
    return path ? path : BN_LIBEXEC_DIR "/bitnet-probe";
}

static bool is_wanted(const char *list, const char *name)
{
    if (!list)
        return true;
    size_t length = strlen(name);
    for (const char *word = list; *word; word += strcspn(word, ","), word += *word == ',')
        if (strcspn(word, ",") == length && strncmp(word, name, length) == 0)
            return true;
    return false;
}

static enum bn_result check_names(const char *list, struct bn_error *err)
{
    for (const char *word = list ? list : ""; *word; word += strcspn(word, ","), word += *word == ',') {
        size_t n = strcspn(word, ",");
        bool known = strncmp(word, "none", n) == 0 && n == 4;
        char names[160] = "", name[32];
        for (size_t r = 0; r < bn_survey_n_rules; r++) {
            size_t at = strlen(names);
            known |= strlen(bn_survey_rules[r].name) == n && strncmp(word, bn_survey_rules[r].name, n) == 0;
            snprintf(names + at, sizeof(names) - at, "%s%s", r ? ", " : "", bn_survey_rules[r].name);
        }
        snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : 31, word);
        if (!known)
            return bn_fail_at(err, BN_ERR_ARGUMENT, NULL, name, UINT64_MAX, "no such API; there are %s, none", names);
    }
    return BN_OK;
}

// What an API is that says nothing because its helper ended badly.
static void judge(struct bn_survey_api *api, const char *name, const struct bn_child *child, bool complete)
{
    if (complete) // crashing on the way out harms nobody here, but would there
        complete = child->end == BN_CHILD_EXITED;
    if (complete)
        return;
    api->state = child->end == BN_CHILD_TIMED_OUT ? BN_STATE_TIMED_OUT
                 : child->end == BN_CHILD_KILLED  ? BN_STATE_CRASHED
                                                  : BN_STATE_FAULTED;
    switch (child->end) {
    case BN_CHILD_TIMED_OUT:
        snprintf(api->reason, sizeof(api->reason), "the driver did not answer within %u ms",
                 (unsigned)(child->ns / 1000000));
        break;
    case BN_CHILD_KILLED:
        snprintf(api->reason, sizeof(api->reason), "the driver crashed its process (signal %d%s)", child->code,
                 child->code == SIGSEGV   ? ", SIGSEGV"
                 : child->code == SIGABRT ? ", SIGABRT"
                 : child->code == SIGILL  ? ", SIGILL"
                 : child->code == SIGBUS  ? ", SIGBUS"
                                          : "");
        break;
    case BN_CHILD_FLOODED:
        snprintf(api->reason, sizeof(api->reason), "the driver filled the helper's standard output");
        break;
    default:
        snprintf(api->reason, sizeof(api->reason), "the driver ended its process (status %d)", child->code);
    }
    snprintf(api->mend, sizeof(api->mend), "update or remove the driver; bitnet-probe %s shows its messages", name);
}

struct taking {
    struct bn_survey *survey;
    const struct bn_survey_api *bad; // the API, if its driver must not be trusted
    bool own;
};

static void take(void *user, const struct bn_survey_record *record)
{
    struct taking *taking = user;
    struct bn_survey_record own = *record;
    own.own = taking->own;
    if (taking->bad) {
        own.api.state = taking->bad->state;
        snprintf(own.api.reason, sizeof(own.api.reason), "%s", taking->bad->reason);
        snprintf(own.api.mend, sizeof(own.api.mend), "%s", taking->bad->mend);
    }
    bn_survey_merge(taking->survey, &own);
}

static void ignore(void *user, const struct bn_survey_record *record)
{
}

static void read_answer(struct bn_survey *survey, const struct bn_survey_rule *rule, struct bn_survey_api *api,
                        const struct bn_child *child)
{
    struct bn_survey_api scratch = *api;
    struct taking taking = {survey, NULL, rule == bn_survey_rules};
    bool complete = bn_survey_read(child->output, api, ignore, NULL);
    snprintf(scratch.driver, sizeof(scratch.driver), "%s", api->driver);
    snprintf(scratch.version, sizeof(scratch.version), "%s", api->version);
    judge(api, rule->name, child, complete);
    if (api->state != BN_STATE_READY) {
        taking.bad = api;
        if (!*api->mend)
            snprintf(api->mend, sizeof(api->mend), "%s", rule->mend ? rule->mend : "");
    }
    if (child->end != BN_CHILD_FLOODED) // else nothing of it is worth anything
        bn_survey_read(child->output, &scratch, take, &taking);
    api->ns = child->ns;
}

static void start(struct bn_survey_api *api, struct bn_child *child, const char *helper, const char *fs_root)
{
    const char *argv[] = {helper, api->name, NULL};
    // hwloc shall not load its plugins, which open vendors' libraries, and read the files that we read.
    const char *more[] = {"HWLOC_PLUGINS_PATH=/dev/null", "HWLOC_HIDE_ERRORS=2", *fs_root ? fs_root : NULL, NULL};
    struct bn_error err = {0};
    if (bn_child_start(child, argv, more, &err) == BN_OK)
        return;
    bool absent = err.native == ENOENT || err.native == EACCES;
    api->state = absent ? BN_STATE_MISSING_LIBRARY : BN_STATE_FAULTED;
    snprintf(api->reason, sizeof(api->reason), "%.100s: %.80s", helper, err.message);
    snprintf(api->mend, sizeof(api->mend),
             "install the whole of bitnet, or set BITNET_PROBE to its program bitnet-probe");
}

enum bn_result bn_survey_ask(struct bn_survey *survey, const struct bn_survey_options *options, struct bn_error *err)
{
    struct bn_child children[MAX_APIS];
    char fs_root[BN_SYS_PATH + 16] = "";
    uint64_t ms = options->timeout_ms ? options->timeout_ms : DEFAULT_MS;
    enum bn_result result = check_names(options->apis, err);
    if (result != BN_OK)
        return result;
    memset(children, 0, sizeof(children));
    if (*bn_sys_root())
        snprintf(fs_root, sizeof(fs_root), "HWLOC_FSROOT=%.*s", BN_SYS_PATH - 1, bn_sys_root());
    for (size_t r = 0; r < bn_survey_n_rules; r++) {
        struct bn_survey_api *api = &survey->apis[survey->n_apis];
        struct bn_child *child = &children[survey->n_apis++];
        snprintf(api->name, sizeof(api->name), "%s", bn_survey_rules[r].name);
        if (!is_wanted(options->apis, api->name)) {
            api->state = BN_STATE_DISABLED;
            snprintf(api->reason, sizeof(api->reason), "not asked");
            snprintf(api->mend, sizeof(api->mend), "name it in the list of APIs, or leave the list out");
            continue;
        }
        child->capacity = OUTPUT;
        child->output = bn_alloc(survey->host, OUTPUT);
        if (!child->output)
            result = bn_fail_memory(err, OUTPUT, "the answer of a helper");
        else
            start(api, child, helper_of(options), fs_root);
    }
    bn_children_wait(children, survey->n_apis, (ms < SLOWEST_MS ? ms : SLOWEST_MS) * 1000000);
    for (size_t i = 1; i <= survey->n_apis; i++) {
        size_t a =
            i % survey->n_apis; // the drivers of this library last: they have something to say of the others' rows
        if (children[a].output && survey->apis[a].state == BN_STATE_READY)
            read_answer(survey, &bn_survey_rules[a], &survey->apis[a], &children[a]);
        bn_free(survey->host, children[a].output);
    }
    return result;
}
