#include "run/run.h"

#include "common/fail.h"

#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t figures_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double figures_rate(uint64_t count, uint64_t ns)
{
    return count && ns ? (double)count * 1e9 / (double)ns : NAN;
}

uint64_t figures_peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

void figures_note_memory(struct figures *figures)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1 && kib * 1024 > figures->anonymous)
            figures->anonymous = kib * 1024;
        else if (sscanf(line, "RssFile: %llu kB", &kib) == 1 && kib * 1024 > figures->mapped)
            figures->mapped = kib * 1024;
    }
    if (file)
        fclose(file);
}

static void print_rate(FILE *stream, const char *what, uint64_t count, uint64_t timed, uint64_t ns)
{
    fprintf(stream, "%s %llu token%s", what, (unsigned long long)count, count == 1 ? "" : "s");
    if (timed && ns)
        fprintf(stream, ", %.1f tokens/s", figures_rate(timed, ns));
    fputs("; ", stream);
}

static void print_engine(const struct run *run)
{
    struct bn_engine_stats stats;
    BN_INIT(stats);
    bn_engine_get_stats(run->engine, &stats);
    fprintf(stderr,
            "weights %.1f MiB in place, %.1f MiB copied, ready in %.1f ms; KV %.1f MiB, %u of %u pages; work %.1f MiB; "
            "%llu steps, %llu "
            "rows, %llu commands recorded, %llu sleeps, %llu wakes\n",
            (double)stats.weight_bytes_imported / 1048576.0, (double)stats.weight_bytes_copied / 1048576.0,
            (double)run->figures.ready_ns / 1e6, (double)stats.kv_bytes / 1048576.0, stats.pages_used,
            stats.pages_total, (double)stats.work_bytes / 1048576.0, (unsigned long long)stats.steps,
            (unsigned long long)stats.rows, (unsigned long long)stats.records, (unsigned long long)stats.sleeps,
            (unsigned long long)stats.wakes);
}

void figures_print(const struct run *run)
{
    const struct figures *figures = &run->figures;
    struct bn_engine_stats stats;
    if (run->settings.quiet || !run->device)
        return;
    BN_INIT(stats);
    bn_engine_get_stats(run->engine, &stats);
    bool color = tool_use_color((enum tool_color)run->settings.color, STDERR_FILENO);
    const struct bn_device_info *device = bn_device_get_info(run->device);
    if (color)
        fputs("\033[2m", stderr);
    print_rate(stderr, "prompt", figures->n_prompt, figures->n_prompt, figures->prompt_ns);
    print_rate(stderr, "decode", figures->n_tokens, figures->n_decoded, figures->decode_ns);
    if (figures->first_token_ns)
        fprintf(stderr, "first token %.1f ms; ", (double)figures->first_token_ns / 1e6);
    fprintf(stderr, "%s%s%s", device->id, device->isa[0] ? " " : "", device->isa);
    if (device->threads)
        fprintf(stderr, ", %u thread%s", device->threads, device->threads == 1 ? "" : "s");
    if (stats.recoveries)
        fprintf(stderr, "; device lost %llu time%s", (unsigned long long)stats.recoveries,
                stats.recoveries == 1 ? "" : "s");
    if (run->model_samples)
        fprintf(stderr, "; the model's sampling: temperature %g, top-k %u, top-p %g, min-p %g, repeat penalty %g",
                (double)run->sampling.temperature, run->sampling.top_k, (double)run->sampling.top_p,
                (double)run->sampling.min_p, (double)run->sampling.repeat_penalty);
    fprintf(stderr, "; memory %.0f MiB", (double)figures_peak_memory() / 1048576.0);
    if (figures->anonymous)
        fprintf(stderr, " (%.0f anonymous, %.0f of files)", (double)figures->anonymous / 1048576.0,
                (double)figures->mapped / 1048576.0);
    fprintf(stderr, "; seed %llu", (unsigned long long)run->seed);
    fputs(color ? "\033[0m\n" : "\n", stderr);
    if (run->settings.verbose)
        print_engine(run);
}
