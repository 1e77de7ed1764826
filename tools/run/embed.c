#include "run/run.h"

#include "common/fail.h"

#include <stdio.h>
#include <stdlib.h>

// Nine digits tell every float from its neighbours.
static void print_vector(struct run *run, const float *vector, uint32_t n)
{
    char text[32];
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s%.9g", i ? " " : "", (double)vector[i]);
        tool_out_text(&run->out, text);
    }
    tool_out_text(&run->out, "\n");
}

int run_embed(struct run *run, const char *text, size_t bytes)
{
    uint32_t n_embd = bn_model_get_info(run->model)->n_embd;
    struct bn_error err = {0};
    int32_t *ids;
    size_t n;
    int exit_code = run_tokenize(run, text, bytes, BN_TOKENIZE_BOS | BN_TOKENIZE_EOS | BN_TOKENIZE_SPECIAL, &ids, &n);
    if (exit_code)
        return exit_code;
    float *vector = calloc(n_embd, sizeof *vector);
    if (!vector) {
        tool_say(PROGRAM, "out of memory");
        exit_code = TOOL_EXIT_RESOURCE;
    } else if (n == 0) {
        tool_say(PROGRAM, "there is no text: use -p or -f");
        exit_code = TOOL_EXIT_USAGE;
    } else {
        exit_code = reply_check_room(run, n);
    }
    interrupts_watch(run->session);
    enum bn_result result = exit_code ? BN_OK : bn_embed(run->session, ids, n, vector, &err);
    interrupts_watch(NULL);
    if (result != BN_OK && result != BN_ERR_CANCELLED)
        exit_code = tool_fail_device(PROGRAM, &err, NULL);
    else if (!exit_code && result == BN_OK && run->settings.json)
        exit_code = run_print_embedding_json(run, vector, n_embd, n);
    else if (!exit_code && result == BN_OK)
        print_vector(run, vector, n_embd);
    free(vector);
    free(ids);
    return exit_code;
}
