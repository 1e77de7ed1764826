// Opens model files that are not to be trusted, each in a process of its own, and goes on to five tokens if one opens.
//
// Reads lines "GOOD <tab> NAME <tab> EXPECTED <tab> SUBJECT <tab> PATH" and answers each with one line, "ok" or "FAIL" first. EXPECTED
// is a list of codes, OK or SAME (make.py); what SAME is compared with are the tokens of the line whose NAME is "good".
// A file has failed if it crashes or hangs the process, makes the library ask for more memory than LIMIT says, ends in
// anything not expected, or in an error that does not say where it is or cannot be printed.
#include <bitnet/bitnet.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

enum { N_TOKENS = 5, N_CTX = 64, DEADLINE_S = 60, HEADER = 64, MIB = 1 << 20 };
#define LIMIT(file_bytes) (4 * (uint64_t)(file_bytes) + 16 * MIB)
#define ADDRESS_SPACE ((rlim_t)1 << 30)

// What the child tells, in memory shared with the parent.
struct outcome {
    enum bn_result result; // of the first call that failed
    struct bn_error error;
    bool opened; // the model; what comes later need not name a place in the file
    int32_t tokens[N_TOKENS];
    uint64_t largest, live, peak, limit; // bytes asked for
    char complaint[512];                 // what else is wrong; empty if nothing
};
static struct outcome *outcome;

static void complain(const char *format, ...) BN_PRINTF(1, 2);
static void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!outcome->complaint[0])
        vsnprintf(outcome->complaint, sizeof(outcome->complaint), format, args);
    va_end(args);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // weights are placed by several threads

static void *limited_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    pthread_mutex_lock(&lock);
    outcome->largest = bytes > outcome->largest ? bytes : outcome->largest;
    if (bytes > outcome->limit - outcome->live) {
        complain("asked for %zu bytes with %" PRIu64 " in use", bytes, outcome->live);
    } else if (posix_memalign(&memory, align > HEADER ? align : HEADER, bytes + HEADER) == 0) {
        memcpy(memory, &bytes, sizeof(bytes));
        outcome->live += bytes;
        outcome->peak = outcome->live > outcome->peak ? outcome->live : outcome->peak;
    }
    pthread_mutex_unlock(&lock);
    return memory ? (uint8_t *)memory + HEADER : NULL;
}

static void limited_free(void *user, void *memory)
{
    uint8_t *block = (uint8_t *)memory - HEADER;
    size_t bytes;
    memcpy(&bytes, block, sizeof(bytes));
    pthread_mutex_lock(&lock);
    outcome->live -= bytes;
    pthread_mutex_unlock(&lock);
    free(block);
}

// Terminated, UTF-8, and without anything that could steer a terminal: C0, C1, marks of direction.
static bool is_printable(const char *text, size_t capacity)
{
    const unsigned char *c = (const unsigned char *)text;
    const unsigned char *end = memchr(text, 0, capacity);
    while (end && c < end) {
        unsigned n = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;
        if (n == 0 || n > (size_t)(end - c))
            return false;
        uint32_t code = n == 1 ? *c : *c & (0xffu >> (n + 1));
        for (unsigned i = 1; i < n; i++) {
            if ((c[i] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (c[i] & 0x3f);
        }
        if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
            (code >= 0x2066 && code <= 0x2069) || (n == 3 && code < 0x800) || (code >= 0xd800 && code < 0xe000))
            return false;
        c += n;
    }
    return end != NULL;
}

static enum bn_result note(enum bn_result result, const struct bn_error *error)
{
    if (result == BN_OK)
        return result;
    if (error->code != result)
        complain("%s returned, %s in the error", bn_result_name(result), bn_result_name(error->code));
    if (!is_printable(error->file, sizeof(error->file)) || !is_printable(error->subject, sizeof(error->subject)) ||
        !is_printable(error->message, sizeof(error->message)))
        complain("an error that cannot be printed");
    size_t n = strnlen(error->message, sizeof(error->message));
    if (n == 0 || error->message[n - 1] == '.' || strstr(error->message, "(null)"))
        complain("the message is \"%s\"", error->message);
    return result;
}

static void check_info(const struct bn_model *model)
{
    const struct bn_model_info *info = bn_model_get_info(model);
    if (!is_printable(info->name, strlen(info->name) + 1) ||
        !is_printable(info->architecture, strlen(info->architecture) + 1))
        complain("the model's name cannot be printed");
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(model);
    for (int32_t id = -1; id <= (int32_t)info->n_vocab; id++) {
        size_t bytes;
        const char *data = bn_token_bytes(tokenizer, id, &bytes);
        if ((data != NULL) != (id >= 0 && id < (int32_t)info->n_vocab) || bytes > outcome->limit)
            complain("token %" PRId32 " has %zu bytes", id, bytes);
    }
}

static const char prompt[] = "Once upon a time, <|eot_id|> there was a\xff\n dragon";

// The prompt's ids, at least one and at most n of them; the tokenizer must be able to give each of them back.
static enum bn_result tokenize(const struct bn_model *model, int32_t *ids, size_t *n)
{
    const struct bn_tokenizer *tokenizer = bn_model_get_tokenizer(model);
    struct bn_chat_message message = {"user", "hi <|eot_id|>"};
    size_t capacity = *n, count;
    enum bn_result result =
        bn_chat_tokenize(tokenizer, &message, 1, true, true, ids, capacity, &count, &outcome->error);
    if (result != BN_ERR_UNSUPPORTED && note(result, &outcome->error) != BN_OK)
        return result;
    result = bn_tokenize(tokenizer, prompt, sizeof(prompt) - 1, BN_TOKENIZE_BOS | BN_TOKENIZE_SPECIAL, ids, capacity,
                         &count, &outcome->error);
    *n = count < capacity ? count : capacity;
    if (result == BN_OK && count == 0)
        complain("text without tokens");
    return note(result, &outcome->error);
}

static bool take_token(void *user, const struct bn_generated *token)
{
    size_t *n = user;
    if (*n < N_TOKENS)
        outcome->tokens[(*n)++] = token->token;
    return true;
}

static enum bn_result generate(struct bn_engine *engine, const struct bn_model *model)
{
    int32_t ids[48];
    size_t n_ids = sizeof(ids) / sizeof(ids[0]), made = 0;
    struct bn_sampling sampling;
    struct bn_session *session;
    enum bn_result result = tokenize(model, ids, &n_ids);
    uint32_t room = bn_engine_get_config(engine)->n_ctx;
    if (result != BN_OK)
        return result;
    n_ids = n_ids < room ? n_ids : room; // a context of one position is a context
    bn_sampling_defaults(&sampling);
    sampling.greedy = true;
    result = note(bn_session_create(engine, &sampling, &session, &outcome->error), &outcome->error);
    if (result != BN_OK)
        return result;
    struct bn_generate_options options;
    struct bn_generate_result done;
    BN_INIT(options);
    options.prompt = ids;
    options.n_prompt = n_ids;
    options.n_predict = N_TOKENS;
    options.ignore_eos = true;
    options.on_token = take_token;
    options.user = &made;
    result = note(bn_generate(session, &options, &done, &outcome->error), &outcome->error);
    if (result == BN_OK && made != N_TOKENS && made + n_ids < room)
        complain("%zu tokens were made", made);
    bn_session_destroy(session);
    return result;
}

static enum bn_result use(struct bn_runtime *runtime, struct bn_model *model)
{
    struct bn_device_options device_options;
    struct bn_engine_config config;
    struct bn_device *device;
    struct bn_engine *engine;
    BN_INIT(device_options);
    BN_INIT(config);
    device_options.threads = 1;
    config.n_ctx = bn_model_get_info(model)->n_ctx_train < N_CTX ? 0 : N_CTX;
    check_info(model);
    enum bn_result result =
        note(bn_device_open(runtime, "cpu", &device_options, &device, &outcome->error), &outcome->error);
    if (result != BN_OK)
        return result;
    int32_t first[N_TOKENS] = {0};
    for (int head = BN_HEAD_FULL; head <= BN_HEAD_SCAN; head++) {
        enum bn_result before = result;
        memcpy(first, outcome->tokens, sizeof(first));
        memset(outcome->tokens, 0, sizeof(outcome->tokens));
        config.head = (enum bn_head)head;
        result = note(bn_engine_create(runtime, model, device, &config, &engine, &outcome->error), &outcome->error);
        if (result == BN_OK) {
            result = generate(engine, model);
            bn_engine_destroy(engine);
        }
        if (head == BN_HEAD_SCAN && (result != before || memcmp(first, outcome->tokens, sizeof(first)) != 0))
            complain("the scanned head ends differently: %s, %s", bn_result_name(before), bn_result_name(result));
    }
    bn_device_close(device);
    return result;
}

static void *read_whole(const char *path, size_t bytes)
{
    void *data = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (posix_memalign(&data, HEADER, bytes) != 0 || fd < 0 || read(fd, data, bytes) != (ssize_t)bytes)
        _exit(3);
    close(fd);
    return data;
}

// The other ways in must say the same; the copy in memory ends where the file does, so that ASan sees a read beyond.
static void open_otherwise(struct bn_runtime *runtime, const char *path, size_t bytes, bool large)
{
    struct bn_model *model;
    struct bn_model_options options;
    struct bn_error error = {0};
    BN_INIT(options);
    options.vocab_only = true;
    enum bn_result result = note(bn_model_open(runtime, path, &options, &model, &error), &error);
    if (result == BN_OK)
        check_info(model);
    else if (outcome->result == BN_OK)
        complain("opens, but not for its vocabulary: %s", error.message);
    bn_model_destroy(model);
    if (large || bytes == 0)
        return;
    uint8_t *data = read_whole(path, bytes);
    memset(&error, 0, sizeof(error));
    result = bn_model_open_memory(runtime, data, bytes, path, NULL, &model, &error);
    if (result != outcome->result || memcmp(&error, &outcome->error, sizeof(error)) != 0)
        complain("from memory: %s: %s: %s", bn_result_name(result), error.subject, error.message);
    bn_model_destroy(model);
    free(data);
}

static void check_place(const char *path, size_t bytes)
{
    const struct bn_error *error = &outcome->error;
    size_t n = strlen(error->file), whole = strlen(path);
    if (n == 0 || n > whole || strcmp(path + whole - n, error->file) != 0)
        complain("the file is called \"%s\"", error->file);
    if (!error->subject[0] && error->offset == UINT64_MAX)
        complain("the error does not say where");
    if (error->offset != UINT64_MAX && error->offset > bytes)
        complain("offset %" PRIu64 " of %zu bytes", error->offset, bytes);
}

static void child(const char *path, size_t bytes)
{
    bool large = bytes > ADDRESS_SPACE / 4;
    const struct rlimit none = {0, 0}, space = {ADDRESS_SPACE, ADDRESS_SPACE};
    setrlimit(RLIMIT_CORE, &none);
    if (!SANITIZED && !large)
        setrlimit(RLIMIT_AS, &space);
    alarm(DEADLINE_S);
    outcome->limit = large ? LIMIT(MIB) : LIMIT(bytes);
    const struct bn_allocator allocator = {limited_alloc, limited_free, NULL};
    struct bn_runtime_config config;
    struct bn_runtime *runtime;
    struct bn_model *model;
    BN_INIT(config);
    config.allocator = &allocator;
    if (bn_runtime_create(&config, &runtime, NULL) != BN_OK)
        _exit(3);
    outcome->result = note(bn_model_open(runtime, path, NULL, &model, &outcome->error), &outcome->error);
    outcome->opened = outcome->result == BN_OK;
    if (!outcome->opened)
        check_place(path, bytes);
    open_otherwise(runtime, path, bytes, large);
    if (outcome->opened)
        outcome->result = use(runtime, model);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    if (outcome->live)
        complain("%" PRIu64 " bytes were not given back", outcome->live);
    exit(0); // not _exit: LeakSanitizer looks at exit
}

static bool is_expected(const char *expected, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = expected; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (strncmp(at, name, n) == 0 && (at[n] == '|' || at[n] == '\0'))
            return true;
    }
    return false;
}

static bool judge(const char *good, const char *name, const char *expected, const char *subject, const char *path)
{
    static struct {
        char name[32];
        int32_t tokens[N_TOKENS];
    } goods[8];
    static size_t n_goods;
    struct stat st;
    char verdict[700] = "";
    if (stat(path, &st) != 0)
        return printf("FAIL %s: no file\n", name), false;
    memset(outcome, 0, sizeof(*outcome));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        child(path, (size_t)st.st_size);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return printf("FAIL %s: no process\n", name), false;
    const struct bn_error *error = &outcome->error;
    const char *code = outcome->result == BN_OK ? "OK" : bn_result_name(outcome->result);
    if (strcmp(name, "good") == 0 && n_goods < 8 && outcome->result == BN_OK) {
        snprintf(goods[n_goods].name, sizeof(goods[0].name), "%s", good);
        memcpy(goods[n_goods++].tokens, outcome->tokens, sizeof(outcome->tokens));
    }
    bool same = false;
    for (size_t i = 0; i < n_goods; i++)
        same |=
            strcmp(goods[i].name, good) == 0 && memcmp(goods[i].tokens, outcome->tokens, sizeof(outcome->tokens)) == 0;
    if (WIFSIGNALED(status))
        snprintf(verdict, sizeof(verdict), "%s", WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        snprintf(verdict, sizeof(verdict), "exit status %d", WEXITSTATUS(status));
    else if (outcome->complaint[0])
        snprintf(verdict, sizeof(verdict), "%s", outcome->complaint);
    else if (!is_expected(expected, code) && !(same && outcome->result == BN_OK && is_expected(expected, "SAME")))
        snprintf(verdict, sizeof(verdict), "expected %s%s", expected, outcome->result == BN_OK ? ", other tokens" : "");
    else if (outcome->result != BN_OK && !strstr(error->subject, subject))
        snprintf(verdict, sizeof(verdict), "expected the subject %s", subject);
    printf("%s %s: %s", verdict[0] ? "FAIL" : "ok", name, code);
    if (outcome->result != BN_OK)
        printf(" %s @%" PRId64 ": %s", error->subject, (int64_t)error->offset, error->message);
    printf(" [%" PRIu64 " KiB of %lld]%s%s\n", outcome->peak >> 10, (long long)st.st_size >> 10,
           verdict[0] ? " -- " : "", verdict);
    return !verdict[0];
}

int main(void)
{
    char line[8192];
    unsigned n = 0, failed = 0;
    outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcome == MAP_FAILED)
        return 99;
    while (fgets(line, sizeof(line), stdin)) {
        char *fields[5], *at = line;
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < 5; i++) {
            fields[i] = at ? at : line + strlen(line);
            at = at ? strchr(at, '\t') : NULL;
            if (at)
                *at++ = '\0';
        }
        n++;
        failed += !judge(fields[0], fields[1], fields[2], fields[3], fields[4]);
        fflush(stdout);
    }
    fprintf(stderr, "%u files, %u failed\n", n, failed);
    return n == 0 || failed > 0;
}
