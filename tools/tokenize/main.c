// bitnet-tokenize: text from stdin to token ids, and back.
#include "common/escape.h"
#include "common/fail.h"
#include "common/json.h"
#include "common/model_path.h"
#include "common/options.h"
#include "common/term.h"

#include <bitnet/bitnet.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "bitnet-tokenize"
#define S struct settings

struct settings {
    const char *model, *models;
    bool decode, pieces, json, bos, special;
};

static const struct settings defaults = {.bos = true, .special = true};

static const struct tool_option options[] = {
    {.group = "Model",
     .names = "-m --model",
     TOOL_STRING(S, model),
     .arg = "NAME",
     .shown = TOOL_DEFAULT_MODEL,
     .help = "model file or vocabulary-only file, or a name to look for in the folders of models"},
    TOOL_ROW_MODELS(S),
    {.group = "What to do",
     .names = "-d --decode",
     TOOL_FLAG(S, decode),
     .help = "turn ids on stdin, plain or a JSON array, back into the bytes they stand for"},
    {.names = "--bos",
     TOOL_FLAG(S, bos),
     .help = "put the model's BOS first if it wants one; with --decode, leave it out"},
    {.names = "--special",
     TOOL_FLAG(S, special),
     .help = "read the names of special tokens as these tokens, not as text"},
    {.group = "Output", .names = "--pieces", TOOL_FLAG(S, pieces), .help = "one line per token: id, tab, its text"},
    {.names = "--json", TOOL_FLAG(S, json), .help = "a JSON array of ids; with --pieces of objects"},
};

static const struct tool_foreign foreign[] = {
    {"-p --prompt -f --file --stdin", "the text is read from stdin"},
    {"--ids", "use --json"},
    {"--no-parse-special", "use --no-special"},
    {"--no-escape", "not needed: text is taken as it is"},
    {"--log-disable", "not needed: stdout carries the ids only"},
    {"--show-count", "use --json, or count with wc -w"},
};

static const struct tool_program program = {
    .name = PROGRAM,
    .usage = "[-m MODEL] [options] < TEXT\n[-m MODEL] --decode < IDS",
    .about = "Turns text into token ids, separated by spaces, and back.",
    .notes = "Exit: 0 done, 2 usage or unreadable path, 3 model refused, 5 memory or disk.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .foreign = foreign,
    .n_foreign = sizeof foreign / sizeof *foreign,
    .defaults = &defaults,
    .size = sizeof defaults,
};

static int out_of_memory(void)
{
    tool_say(PROGRAM, "out of memory");
    return TOOL_EXIT_RESOURCE;
}

// The escaped text of a token. Ownership: the caller frees it.
static char *piece(const struct bn_tokenizer *tokenizer, int32_t id)
{
    size_t bytes;
    const char *text = bn_token_bytes(tokenizer, id, &bytes);
    char *shown = bytes <= SIZE_MAX / 4 - 1 ? malloc(4 * bytes + 1) : NULL;
    if (shown)
        tool_escape(text ? text : "", bytes, shown);
    return shown;
}

static int print_plain(struct tool_out *out, const int32_t *ids, size_t n)
{
    // Eleven characters and a space each.
    char *text = n <= SIZE_MAX / 12 - 1 ? malloc(12 * n + 2) : NULL;
    size_t used = 0;
    if (!text)
        return out_of_memory();
    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, 13, i ? " %d" : "%d", ids[i]);
    text[used++] = '\n';
    tool_out_write(out, text, used);
    free(text);
    return 0;
}

static int print_pieces(struct tool_out *out, const struct bn_tokenizer *tokenizer, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char id[16];
        char *shown = piece(tokenizer, ids[i]);
        if (!shown)
            return out_of_memory();
        snprintf(id, sizeof id, "%d\t", ids[i]);
        tool_out_text(out, id);
        tool_out_text(out, shown);
        tool_out_text(out, "\n");
        free(shown);
    }
    return 0;
}

static int print_json(struct tool_out *out, const struct bn_tokenizer *tokenizer, const int32_t *ids, size_t n,
                      bool pieces)
{
#if BN_HAVE_JANSSON
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char *shown = pieces ? piece(tokenizer, ids[i]) : NULL;
        json_t *item = json_integer(ids[i]);
        if (pieces) {
            json_t *object = json_object();
            json_object_set_new(object, "id", item);
            json_object_set_new(object, "piece", shown ? json_string(shown) : json_null());
            item = object;
        }
        json_array_append_new(list, item);
        free(shown);
    }
    return tool_json_print(out, PROGRAM, list);
#else
    (void)out, (void)tokenizer, (void)ids, (void)n, (void)pieces;
    return tool_json_missing(PROGRAM);
#endif
}

static int encode(const struct settings *settings, const struct bn_tokenizer *tokenizer, const char *text, size_t bytes,
                  struct tool_out *out)
{
    unsigned flags = (settings->bos ? BN_TOKENIZE_BOS : 0) | (settings->special ? BN_TOKENIZE_SPECIAL : 0);
    struct bn_error err = {0};
    size_t n;
    if (bn_tokenize(tokenizer, text, bytes, flags, NULL, 0, &n, &err))
        return tool_fail(PROGRAM, &err, NULL);
    int32_t *ids = calloc(n ? n : 1, sizeof *ids);
    if (!ids)
        return out_of_memory();
    int exit_code = bn_tokenize(tokenizer, text, bytes, flags, ids, n, &n, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
    if (!exit_code && settings->json)
        exit_code = print_json(out, tokenizer, ids, n, settings->pieces);
    else if (!exit_code && settings->pieces)
        exit_code = print_pieces(out, tokenizer, ids, n);
    else if (!exit_code)
        exit_code = print_plain(out, ids, n);
    free(ids);
    return exit_code;
}

// Ids are numbers separated by spaces, commas and brackets: plain output and a JSON array alike.
static int decode(const struct settings *settings, const struct bn_tokenizer *tokenizer, char *text, size_t bytes,
                  struct tool_out *out)
{
    const struct bn_tokenizer_info *info = bn_tokenizer_get_info(tokenizer);
    size_t count = 0;
    for (size_t at = 0; at < bytes;) {
        if (text[at] && (strchr("[],", text[at]) || isspace((unsigned char)text[at]))) {
            at++;
            continue;
        }
        size_t n = strcspn(text + at, "[], \t\r\n\v\f");
        char *word = text + at;
        char end = word[n];
        int64_t id;
        size_t length;
        word[n] = '\0';
        const char *token = NULL;
        if (n && tool_parse_i64(word, &id) && id >= 0 && id <= INT32_MAX)
            token = bn_token_bytes(tokenizer, (int32_t)id, &length);
        if (!token) {
            tool_say(PROGRAM, "standard input: '%s' is not an id of this model (0 to %u)", word, info->n_vocab - 1);
            return TOOL_EXIT_USAGE;
        }
        if (count++ || !settings->bos || !info->add_bos || id != info->bos)
            tool_out_write(out, token, length);
        word[n] = end;
        at += n;
    }
    return 0;
}

static int open_model(const struct settings *settings, struct bn_runtime *runtime, struct bn_model **model)
{
    struct bn_model_options model_options;
    struct bn_error err = {0};
    char *path;
    int exit_code =
        tool_find_model(PROGRAM, settings->model ? settings->model : TOOL_DEFAULT_MODEL, settings->models, &path);
    if (exit_code)
        return exit_code;
    BN_INIT(model_options);
    model_options.vocab_only = true;
    if (bn_model_open(runtime, path, &model_options, model, &err))
        exit_code = tool_fail(PROGRAM, &err, NULL);
    free(path);
    return exit_code;
}

static int work(const struct settings *settings)
{
    struct tool_out out = {.gather = true};
    struct bn_error err = {0};
    struct bn_runtime *runtime = NULL;
    struct bn_model *model = NULL;
    char *text = NULL;
    size_t bytes;
    int exit_code = bn_runtime_create(NULL, &runtime, &err) ? tool_fail(PROGRAM, &err, NULL) : 0;
    if (!exit_code)
        exit_code = open_model(settings, runtime, &model);
    if (!exit_code)
        exit_code = tool_read_file(PROGRAM, "-", &text, &bytes);
    if (!exit_code && settings->decode)
        exit_code = decode(settings, bn_model_get_tokenizer(model), text, bytes, &out);
    else if (!exit_code)
        exit_code = encode(settings, bn_model_get_tokenizer(model), text, bytes, &out);
    if (!exit_code)
        exit_code = tool_out_finish(&out, PROGRAM);
    free(text);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct settings settings;
    int exit_code;
    tool_start();
    if (!tool_parse(&program, &settings, argc, argv, NULL, &exit_code))
        return exit_code;
    if (settings.decode && (settings.pieces || settings.json)) {
        tool_say(PROGRAM, "--decode writes bytes: leave out --json and --pieces");
        return TOOL_EXIT_USAGE;
    }
    if (settings.json && (exit_code = tool_json_missing(PROGRAM)) != 0)
        return exit_code;
    return work(&settings);
}
