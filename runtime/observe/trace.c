// Traces in the JSON trace event format of Chrome, which ui.perfetto.dev reads: complete events ("X") that need no partner, so
// that a ring may drop any of them, and times in microseconds with three decimals.
#include "runtime/observe/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/out_file.h"
#include "runtime/base/runtime.h"
#include "runtime/base/thread.h"

enum { DEFAULT_EVENTS = 1 << 17, MOST_EVENTS = 1 << 24 };

struct bn_trace {
    const struct bn_host *host;
    pthread_mutex_t lock;
    uint64_t start; // clock when it was made: time 0 of the file
    struct bn_out_file file;
    bool written;
    char path[256]; // for messages; the end of it
    char tracks[BN_TRACE_TRACKS][64];
    uint32_t n_tracks;
    uint64_t n; // events so far; the last `capacity` of them are there
    size_t capacity;
    struct bn_trace_event events[];
};

enum bn_result bn_trace_create(struct bn_runtime *runtime, const char *path, size_t n_events, struct bn_trace **out,
                               struct bn_error *err)
{
    if (!runtime || !path || !out || n_events > MOST_EVENTS)
        return bn_fail(err, BN_ERR_ARGUMENT, "runtime, path or out is NULL, or more than %d events", MOST_EVENTS);
    *out = NULL;
    size_t capacity = n_events ? n_events : DEFAULT_EVENTS;
    size_t bytes = sizeof(struct bn_trace) + capacity * sizeof(struct bn_trace_event);
    struct bn_trace *trace = bn_alloc(&runtime->host, bytes);
    if (!trace)
        return bn_fail_memory(err, bytes, "a trace");
    trace->host = &runtime->host;
    trace->capacity = capacity;
    size_t length = strlen(path), cut = length < sizeof(trace->path) ? 0 : length - sizeof(trace->path) + 1;
    memcpy(trace->path, path + cut, length - cut + 1);
    enum bn_result result = bn_out_open(&trace->file, path, err);
    if (result != BN_OK) {
        bn_free(trace->host, trace);
        return result;
    }
    pthread_mutex_init(&trace->lock, NULL);
    trace->start = bn_clock_ns();
    bn_trace_track(trace, "host");
    *out = trace;
    return BN_OK;
}

void bn_trace_destroy(struct bn_trace *trace)
{
    if (!trace)
        return;
    struct bn_error ignored;
    if (!trace->written)
        (void)!bn_out_close(&trace->file, trace->path, &ignored);
    pthread_mutex_destroy(&trace->lock);
    bn_free(trace->host, trace);
}

uint32_t bn_trace_track(struct bn_trace *trace, const char *name)
{
    pthread_mutex_lock(&trace->lock);
    uint32_t track = trace->n_tracks < BN_TRACE_TRACKS ? trace->n_tracks++ : BN_TRACE_TRACKS - 1;
    snprintf(trace->tracks[track], sizeof(trace->tracks[track]), "%s", name);
    bn_make_printable(trace->tracks[track]);
    pthread_mutex_unlock(&trace->lock);
    return track;
}

void bn_trace_add(struct bn_trace *trace, const struct bn_trace_event *event)
{
    pthread_mutex_lock(&trace->lock);
    trace->events[trace->n++ % trace->capacity] = *event;
    pthread_mutex_unlock(&trace->lock);
}

// By track, then time; what encloses others before them.
static int compare(const void *a, const void *b)
{
    const struct bn_trace_event *x = a, *y = b;
    if (x->track != y->track)
        return x->track < y->track ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->end < y->end) - (x->end > y->end);
}

// Names are our own, and free of control characters.
static void escape(const char *text, char *out, size_t bytes)
{
    size_t n = 0;
    for (; *text && n + 2 < bytes; text++) {
        if (*text == '"' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = '\0';
}

static void print_event(struct bn_trace *trace, const struct bn_trace_event *event)
{
    struct bn_out_file *file = &trace->file;
    // Devices' clocks are known to some microseconds only: nothing lies before the beginning.
    uint64_t start = event->start > trace->start ? event->start - trace->start : 0;
    uint64_t ns = event->end > event->start ? event->end - event->start : 0;
    bn_out_format(file,
                  ",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%" PRIu32 ",\"name\":\"%s\",\"ts\":%" PRIu64
                  ".%03u,\"dur\":%" PRIu64 ".%03u",
                  event->track + 1, event->name, start / 1000, (unsigned)(start % 1000), ns / 1000,
                  (unsigned)(ns % 1000));
    for (int i = 0; event->keys && i < BN_TRACE_ARGS && event->keys->names[i]; i++)
        bn_out_format(file, "%s\"%s\":%" PRIu64, i ? "," : ",\"args\":{", event->keys->names[i], event->values[i]);
    bn_out_format(file, event->keys ? "}}" : "}");
}

static void print_track(struct bn_trace *trace, uint32_t track)
{
    char name[2 * sizeof(trace->tracks[0])];
    escape(trace->tracks[track], name, sizeof(name));
    bn_out_format(&trace->file,
                  ",\n{\"ph\":\"M\",\"pid\":1,\"tid\":%" PRIu32
                  ",\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}},\n"
                  "{\"ph\":\"M\",\"pid\":1,\"tid\":%" PRIu32
                  ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%" PRIu32 "}}",
                  track + 1, name, track + 1, track);
}

enum bn_result bn_trace_write(struct bn_trace *trace, struct bn_error *err)
{
    if (!trace || trace->written)
        return bn_fail(err, BN_ERR_ARGUMENT, "the trace is NULL, or it is written already");
    pthread_mutex_lock(&trace->lock);
    size_t n = trace->n < trace->capacity ? (size_t)trace->n : trace->capacity;
    qsort(trace->events, n, sizeof(trace->events[0]), compare);
    bn_out_format(&trace->file,
                  "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"schema\":\"bitnet-trace/1\",\"version\":\"%s\","
                  "\"dropped_events\":%" PRIu64 "},\n\"traceEvents\":[\n"
                  "{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":\"bitnet\"}}",
                  bn_version(), trace->n - n);
    for (uint32_t t = 0; t < trace->n_tracks; t++)
        print_track(trace, t);
    for (size_t i = 0; i < n; i++)
        print_event(trace, &trace->events[i]);
    bn_out_format(&trace->file, "\n]}\n");
    trace->written = true;
    enum bn_result result = bn_out_close(&trace->file, trace->path, err);
    pthread_mutex_unlock(&trace->lock);
    return result;
}
