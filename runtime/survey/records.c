// What helpers write: one record per line, a word and then fields "key=value", separated by tabs. The text comes out of a
// process in which a driver ran, so it is not to be trusted.
//   device  a device of the API       api  the API as a whole       end  the helper came to its end
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/fail.h"
#include "runtime/survey/survey_impl.h"

enum field_type { TEXT, U64, U32, I32, BOOL, STATE, KIND, ADDRESS, CACHE };

#define DEVICE(key, type, field)                                                                                       \
    {                                                                                                                  \
        key, type, offsetof(struct bn_survey_record, device.field),                                                    \
            sizeof(((struct bn_survey_record *)0)->device.field)                                                       \
    }
#define API(key, type, field)                                                                                          \
    {                                                                                                                  \
        key, type, offsetof(struct bn_survey_record, api.field), sizeof(((struct bn_survey_record *)0)->api.field)     \
    }

static const struct field {
    const char *key;
    enum field_type type;
    size_t offset, size;
} fields[] = {
    API("api", TEXT, name),
    API("version", TEXT, version),
    API("label", TEXT, label),
    API("driver", TEXT, driver),
    API("reason", TEXT, reason),
    API("mend", TEXT, mend),
    API("state", STATE, state),
    API("usable", BOOL, usable),
    DEVICE("name", TEXT, name),
    DEVICE("kind", KIND, kind),
    DEVICE("pci", ADDRESS, address),
    DEVICE("uuid", TEXT, uuid),
    DEVICE("partition", TEXT, partition),
    DEVICE("isa", TEXT, isa),
    DEVICE("kernel", TEXT, driver_version),
    DEVICE("shared", BOOL, shares_memory),
    DEVICE("load", I32, load),
    DEVICE("temperature", U32, temperature_c),
    DEVICE("power", U32, power_mw),
    DEVICE("clock", U32, clock_mhz),
    DEVICE("memory_clock", U32, memory_clock_mhz),
    DEVICE("limits", U32, limits),
    DEVICE("total", U64, memory_total),
    DEVICE("free", U64, memory_free),
    DEVICE("link_width", U32, link_width),
    DEVICE("link_mts", U32, link_mts),
    DEVICE("threads", U32, threads_total),
    DEVICE("cores", U32, cores),
    DEVICE("packages", U32, packages),
    DEVICE("numa", U32, numa_nodes),
    DEVICE("cache", CACHE, caches),
    {"render", TEXT, offsetof(struct bn_survey_record, number), sizeof(((struct bn_survey_record *)0)->number)},
};

_Static_assert(sizeof(enum bn_device_state) == sizeof(int) && sizeof(enum bn_device_kind) == sizeof(int),
               "set_word stores an int");

static bool number(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !errno && !*end;
}

static void set_word(void *target, const char *text, const char *(*name)(int), int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(text, name(i)) == 0)
            memcpy(target, &i, sizeof(i));
    }
}

static const char *state_name(int state)
{
    return bn_device_state_name((enum bn_device_state)state);
}

static const char *kind_name(int kind)
{
    return bn_device_kind_name((enum bn_device_kind)kind);
}

static void set_cache(struct bn_survey_cache *caches, const char *text)
{
    unsigned level, count;
    unsigned long long bytes;
    if (sscanf(text, "%u %u %llu", &level, &count, &bytes) == 3 && level >= 1 && level <= 4)
        caches[level - 1] = (struct bn_survey_cache){level, count, bytes};
}

static void set_field(struct bn_survey_record *record, const struct field *field, const char *text)
{
    char *target = (char *)record + field->offset;
    uint64_t value;
    switch (field->type) {
    case TEXT:
        snprintf(target, field->size, "%s", text);
        bn_make_printable(target);
        break;
    case ADDRESS:
        bn_survey_pci(target, field->size, text);
        break;
    case STATE:
        set_word(target, text, state_name, BN_STATE_POISONED + 1);
        break;
    case KIND:
        set_word(target, text, kind_name, BN_DEVICE_NULL);
        break;
    case CACHE:
        set_cache((struct bn_survey_cache *)(void *)target, text);
        break;
    case U64:
        if (number(text, &value))
            memcpy(target, &value, sizeof(value));
        break;
    case U32:
    case I32:
        if (number(text, &value) && value <= INT32_MAX)
            memcpy(target, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
        break;
    case BOOL:
        *(bool *)target = strcmp(text, "1") == 0;
        break;
    }
}

static void read_fields(struct bn_survey_record *record, char *text)
{
    for (char *rest = NULL, *word = strtok_r(text, "\t", &rest); word; word = strtok_r(NULL, "\t", &rest)) {
        char *value = strchr(word, '=');
        if (!value)
            continue;
        *value++ = '\0';
        for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
            if (strcmp(fields[i].key, word) == 0)
                set_field(record, &fields[i], value);
    }
}

bool bn_survey_read(const char *text, struct bn_survey_api *api, void (*each)(void *, const struct bn_survey_record *),
                    void *user)
{
    while (*text) {
        char line[2048];
        size_t n = strcspn(text, "\n");
        bool whole = text[n] == '\n' && n < sizeof(line);
        snprintf(line, sizeof(line), "%.*s", whole ? (int)n : 0, text);
        text += n + (text[n] == '\n');
        if (strcmp(line, "end") == 0)
            return true;
        struct bn_survey_record record;
        memset(&record, 0, sizeof(record));
        record.device.kind = BN_DEVICE_GPU;
        record.device.memory_free = UINT64_MAX;
        record.device.numa_node = record.device.load = -1;
        record.api = *api;
        char *tab = strchr(line, '\t');
        if (tab)
            *tab++ = '\0';
        if (strcmp(line, "api") == 0 && tab) {
            read_fields(&record, tab);
            *api = record.api;
        } else if (strcmp(line, "device") == 0 && tab) {
            record.api.reason[0] = record.api.mend[0] = '\0';
            record.api.state = BN_STATE_READY;
            read_fields(&record, tab);
            if (record.device.load > 100)
                record.device.load = -1;
            each(user, &record);
        }
    }
    return false;
}
