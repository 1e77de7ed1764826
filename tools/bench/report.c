// The results as a Markdown table with notes, and as CSV.
#include "bench/bench.h"

#include "common/fail.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void print(struct bench *bench, const char *format, ...) BN_PRINTF(2, 3);

static void print(struct bench *bench, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    tool_out_text(&bench->out, line);
}

// A number with so many digits after the point, or "-" if it is unknown.
static const char *number(char *text, size_t bytes, int digits, double value)
{
    if (isfinite(value))
        snprintf(text, bytes, "%.*f", digits, value);
    else
        snprintf(text, bytes, "-");
    return text;
}

static const char *percent(char *text, size_t bytes, double value)
{
    if (isfinite(value))
        snprintf(text, bytes, "%.0f %%", value * 100);
    else
        snprintf(text, bytes, "-");
    return text;
}

#define PERCENT(value) percent((char[32]){0}, 32, value)
#define NUMBER(digits, value) number((char[32]){0}, 32, digits, value)

const char *report_pages(const struct result *result)
{
    return isnan(result->huge_share) ? "file" : result->huge_share > 0.5 ? "huge" : "4k";
}

void report_head(const struct result *result, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s%s", result->scanned ? "int8 scan, " : "", result->head);
}

const char *report_model(const struct bench *bench)
{
    const char *slash = strrchr(bench->model_path, '/');
    return slash ? slash + 1 : bench->model_path;
}

static void print_tests(struct bench *bench)
{
    print(bench,
          "| model | size | params | device | threads | pages | test | tokens/s | p50 ms | p99 ms | MB/token | GB/s | "
          "of bandwidth | of int8 | submissions | dispatches | host us | J/token |\n");
    print(bench, "|---|--:|--:|---|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < bench->n_results; i++) {
        const struct result *r = &bench->results[i];
        print(bench,
              "| %s | %.1f MiB | %.2f M | %s%s%s | %u | %s | %s | %s ± %s | %s | %s | %s | %s | %s | %s | %s | %s | %s "
              "| %s |\n",
              report_model(bench), (double)bench->model.bytes / 1048576.0, (double)bench->model.n_params * 1e-6,
              r->device, r->isa[0] ? " " : "", r->isa, r->threads, report_pages(r), r->test, NUMBER(2, r->mean),
              NUMBER(2, r->stdev), NUMBER(2, r->p50_ms), NUMBER(2, r->p99_ms), NUMBER(2, r->bytes_per_token * 1e-6),
              NUMBER(2, r->achieved_gb), PERCENT(r->bandwidth_share), PERCENT(r->int8_share), NUMBER(2, r->submissions),
              NUMBER(2, r->dispatches), NUMBER(2, r->host_us), NUMBER(3, r->joules_per_token));
    }
    print(bench, "\n");
}

static void print_limits(struct bench *bench)
{
    for (size_t i = 0; i < bench->n_copies; i++)
        print(bench, "%s copies %.2f GB/s, read and written\n", bench->copies[i].device, bench->copies[i].gb);
    if (!bench->n_limits)
        return;
    print(bench, "| read loop, GB/s |");
    for (size_t l = 0; l < bench->n_limits; l++)
        print(bench, " %u thread%s, 4k | huge |", bench->limits[l].threads, bench->limits[l].threads == 1 ? "" : "s");
    print(bench, "\n|---|");
    for (size_t l = 0; l < bench->n_limits; l++)
        print(bench, "--:|--:|");
    print(bench, "\n");
    for (size_t i = 0; i < bench->limits[0].n_loops; i++) {
        print(bench, "| %s |", bench->limits[0].loops[i].name);
        for (size_t l = 0; l < bench->n_limits; l++)
            print(bench, " %s | %s |", NUMBER(2, bench->limits[l].loops[i].gb[PAGES_SMALL]),
                  NUMBER(2, bench->limits[l].loops[i].gb[PAGES_HUGE]));
        print(bench, "\n");
    }
    print(bench, "\n");
    for (size_t i = 0; i < bench->n_limits; i++) {
        const struct limits *l = &bench->limits[i];
        const double *read = l->read_gb, *best = l->best_gb;
        print(bench, "%u thread%s, %.0f MiB: reads %.1f GB/s in 4k pages (%s; best pass %.1f), ", l->threads,
              l->threads == 1 ? "" : "s", (double)l->mem / 1048576.0, read[PAGES_SMALL], l->read_loop[PAGES_SMALL],
              best[PAGES_SMALL]);
        print(bench, "%.1f GB/s in huge pages (%s; best pass %.1f; %.0f %% were huge); ", read[PAGES_HUGE],
              l->read_loop[PAGES_HUGE], best[PAGES_HUGE], l->huge_share[PAGES_HUGE] * 100);
        if (l->mac_loop)
            print(bench, "int8 %.0f GMAC/s (%s)", l->macs * 1e-9, l->mac_loop);
        else
            print(bench, "int8 not measured: no loop for this processor");
        if (isfinite(l->handoff_ns))
            print(bench, "; from core to core and back %.0f ns", l->handoff_ns);
        print(bench, "\n");
    }
}

static void print_breakdown(struct bench *bench, const struct result *result)
{
    struct breakdown_row rows[MAX_PROFILE];
    double rest_us;
    size_t n = breakdown_rows(result, rows, MAX_PROFILE, &rest_us);
    print(bench, "\n%s, %u thread%s: per token\n\n", result->test, result->threads, result->threads == 1 ? "" : "s");
    print(bench, "| op | calls | us | share | of it waiting | barriers |\n|---|--:|--:|--:|--:|--:|\n");
    struct breakdown_row all = {.op = "all"};
    double waiting = 0;
    for (size_t i = 0; i < n; i++) {
        print(bench, "| %s | %.2f | %.2f | %.1f %% | %s | %.2f |\n", rows[i].op, rows[i].calls, rows[i].us,
              rows[i].share * 100, PERCENT(rows[i].wait_share), rows[i].barriers);
        all.calls += rows[i].calls;
        all.us += rows[i].us;
        all.share += rows[i].share;
        all.barriers += rows[i].barriers;
        waiting += rows[i].us * rows[i].wait_share;
    }
    print(bench, "| outside of ops | | %.2f | %.1f %% | | |\n", rest_us, (1 - all.share) * 100);
    print(bench, "| all | %.2f | %.2f | 100 %% | %s | %.2f |\n", all.calls, all.us + rest_us,
          PERCENT(waiting / (all.us + rest_us)), all.barriers);
}

static void print_kernels(struct bench *bench)
{
    print(bench, "| kernel | isa | us | GB/s | GMAC/s |\n|---|---|--:|--:|--:|\n");
    for (size_t i = 0; i < bench->n_kernels; i++) {
        const struct kernel_result *k = &bench->kernels[i];
        print(bench, "| %s | %s | %.2f | %s | %s |\n", k->name, k->isa, k->seconds * 1e6, NUMBER(2, k->gb),
              NUMBER(2, k->gmac));
    }
    print(bench, "\n");
}

// What a reader should know before trusting the figures.
void report_notes(const struct bench *bench)
{
    for (size_t i = 0; i < bench->n_results; i++) {
        const struct result *r = &bench->results[i];
        if (r->stdev > 0.1 * r->mean)
            bench_progress(
                bench, "note: %s, %u threads: the repetitions differ by %.0f %%: the machine is busy with other things",
                r->test, r->threads, r->stdev / r->mean * 100);
    }
    for (size_t i = 0; i < bench->n_limits; i++) {
        const struct limits *l = &bench->limits[i];
        if (l->best_gb[PAGES_HUGE] > 1.25 * l->read_gb[PAGES_HUGE] ||
            l->best_gb[PAGES_SMALL] > 1.25 * l->read_gb[PAGES_SMALL])
            bench_progress(bench, "note: reading, %u threads: the best pass is more than 25 %% faster than the median",
                           l->threads);
        if (l->huge_share[PAGES_HUGE] < 0.9)
            bench_progress(bench, "note: only %.0f %% of the memory came in huge pages",
                           l->huge_share[PAGES_HUGE] * 100);
    }
    if (bench->n_results && machine_joules_note())
        bench_progress(bench, "note: %s", machine_joules_note());
}

static void print_csv_header(struct bench *bench)
{
    print(bench,
          "version,commit,compiler,machine,model,model_size,model_n_params,test,device,isa,threads,pages,n_batch,"
          "n_ubatch,batch,n_prompt,n_gen,depth,sessions,tokens_per_second,tokens_per_second_stdev,"
          "tokens_per_second_median,token_p50_ms,token_p99_ms,bytes_per_token,achieved_gb_per_second,"
          "read_gb_per_second,read_gb_per_second_4k,read_gb_per_second_huge,int8_gmac_per_second,int8_peak_share,"
          "head,rescored_rows,joules_per_token,cache_type,copy_gb_per_second,bandwidth_share,"
          "submissions_per_token,dispatches_per_token,host_us_per_token\n");
}

// A field between quotes, as RFC 4180 wants them.
static void print_quoted(struct bench *bench, const char *text)
{
    tool_out_text(&bench->out, "\"");
    for (; *text; text++) {
        if (*text == '"')
            tool_out_text(&bench->out, "\"");
        tool_out_write(&bench->out, text, 1);
    }
    tool_out_text(&bench->out, "\",");
}

// An unknown number is an empty field.
static void print_field(struct bench *bench, double value, char end)
{
    if (isfinite(value))
        print(bench, "%.9g", value);
    print(bench, "%c", end);
}

const struct limits *report_limits(const struct bench *bench, uint32_t threads)
{
    for (size_t i = 0; i < bench->n_limits; i++) {
        if (bench->limits[i].threads == threads)
            return &bench->limits[i];
    }
    return NULL;
}

static void print_csv(struct bench *bench)
{
    print_csv_header(bench);
    for (size_t i = 0; i < bench->n_results; i++) {
        const struct result *r = &bench->results[i];
        const struct limits *l = report_limits(bench, r->threads);
        const char *texts[] = {bn_version(), machine_commit(), machine_compiler(), r->machine, bench->model_path};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            print_quoted(bench, texts[t]);
        print(bench, "%llu,%llu,", (unsigned long long)bench->model.bytes, (unsigned long long)bench->model.n_params);
        print(bench, "%s,%s,%s,%u,%s,%u,%u,%u,%u,%u,%u,%u,", r->test, r->device, r->isa, r->threads, report_pages(r),
              r->n_batch, r->n_ubatch, r->batch, r->n_prompt, r->n_gen, r->depth, r->sessions);
        const double values[] = {r->mean,
                                 r->stdev,
                                 r->median,
                                 r->p50_ms,
                                 r->p99_ms,
                                 r->bytes_per_token,
                                 r->achieved_gb,
                                 r->read_gb,
                                 l ? l->read_gb[PAGES_SMALL] : NAN,
                                 l ? l->read_gb[PAGES_HUGE] : NAN,
                                 l ? l->macs * 1e-9 : NAN,
                                 r->int8_share};
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            print_field(bench, values[v], ',');
        char head[48];
        report_head(r, head, sizeof head);
        print_quoted(bench, head);
        print_field(bench, r->rescored, ',');
        print_field(bench, r->joules_per_token, ',');
        print(bench, "%s,", r->kv_type == BN_KV_INT8 ? "int8" : "f16");
        print_field(bench, r->copy_gb, ',');
        print_field(bench, r->bandwidth_share, ',');
        print_field(bench, r->submissions, ',');
        print_field(bench, r->dispatches, ',');
        print_field(bench, r->host_us, '\n');
    }
}

static void print_kernels_csv(struct bench *bench)
{
    print(bench, "version,commit,compiler,machine,test,isa,threads,seconds,gb_per_second,gmac_per_second\n");
    for (size_t i = 0; i < bench->n_kernels; i++) {
        const struct kernel_result *k = &bench->kernels[i];
        const char *texts[] = {bn_version(), machine_commit(), machine_compiler(), bench->machine};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            print_quoted(bench, texts[t]);
        print(bench, "%s,%s,1,", k->name, k->isa);
        print_field(bench, k->seconds, ',');
        print_field(bench, k->gb, ',');
        print_field(bench, k->gmac, '\n');
    }
}

int report_print(struct bench *bench)
{
    if (bench->settings.output == OUTPUT_CSV) {
        if (bench->settings.kernels)
            print_kernels_csv(bench);
        else
            print_csv(bench);
    } else {
        print(bench, "%s; %s %s, %s, commit %s\n\n", bench->machine, PROGRAM, bn_version(), machine_compiler(),
              machine_commit());
        if (bench->settings.kernels)
            print_kernels(bench);
        else if (bench->n_results)
            print_tests(bench);
        print_limits(bench);
        for (size_t i = 0; i < bench->n_results && bench->settings.breakdown; i++)
            print_breakdown(bench, &bench->results[i]);
    }
    report_notes(bench);
    return 0;
}
