// Every allocation, system call for files and memory, and thread start on the way from a path to N_TOKENS tokens fails once:
// each time a typed error or the same tokens, nothing leaks, and the next run works. System calls are failed through the
// linker's --wrap (under the names that 64-bit file offsets give them), so the library has no hook for tests.
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/harness.h"

enum { N_TOKENS = 20, DEADLINE_S = 240 };

enum call { ALLOC, OPEN, FSTAT, MMAP, THREAD, CALLS };
static const char *const call_names[CALLS] = {"allocation", "open", "fstat", "mmap", "thread start"};
static unsigned long counts[CALLS];  // only this thread makes these calls
static unsigned long fail_at[CALLS]; // 0: never
static _Atomic long allocated;
static bool armed;

static bool fails(enum call call)
{
    return armed && ++counts[call] == fail_at[call];
}

static void *failing_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    if (fails(ALLOC) || posix_memalign(&memory, align, bytes) != 0)
        return NULL;
    allocated++;
    return memory;
}

static void failing_free(void *user, void *memory)
{
    allocated--;
    free(memory);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    if (fails(OPEN)) {
        errno = EMFILE;
        return -1;
    }
    return __real_open64(path, flags, 0600);
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st)
{
    if (fails(FSTAT)) {
        errno = EIO;
        return -1;
    }
    return __real_fstat64(fd, st);
}

void *__real_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fails(MMAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap64(address, bytes, protection, flags, fd, offset);
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*main)(void *), void *argument)
{
    return fails(THREAD) ? EAGAIN : __real_pthread_create(thread, attributes, main, argument);
}

static enum bn_result run(int32_t *tokens)
{
    const struct bn_allocator allocator = {failing_alloc, failing_free, NULL};
    struct bn_runtime_config config;
    struct bn_device_options options;
    struct bn_engine_config engine_config;
    BN_INIT(config);
    BN_INIT(options);
    BN_INIT(engine_config);
    config.allocator = &allocator;
    options.threads = 3;
    engine_config.n_ctx = 128;
    struct bn_runtime *runtime = NULL;
    struct bn_model *model = NULL;
    struct bn_device *device = NULL;
    struct bn_engine *engine = NULL;
    struct bn_session *session = NULL;
    char path[4096];
    snprintf(path, sizeof(path), "%s/stories.gguf", getenv("BITNET_TEST_MODELS"));

    enum bn_result result = bn_runtime_create(&config, &runtime, &error);
    if (result == BN_OK)
        result = bn_model_open(runtime, path, NULL, &model, &error);
    if (result == BN_OK)
        result = bn_device_open(runtime, "cpu", &options, &device, &error);
    if (result == BN_OK)
        result = bn_engine_create(runtime, model, device, &engine_config, &engine, &error);
    if (result == BN_OK)
        result = bn_session_create(engine, NULL, &session, &error);
    int32_t ids[32];
    size_t n = 0;
    if (result == BN_OK)
        result =
            bn_tokenize(bn_model_get_tokenizer(model), "Once upon a time", 16, BN_TOKENIZE_BOS, ids, 32, &n, &error);
    struct bn_generate_options generate;
    BN_INIT(generate);
    generate.prompt = ids;
    generate.n_prompt = n;
    generate.n_predict = N_TOKENS;
    struct bn_generate_result made;
    if (result == BN_OK)
        result = bn_generate(session, &generate, &made, &error);
    if (result == BN_OK) // the last token made has not been stepped
        memcpy(tokens, bn_session_tokens(session) + n, (N_TOKENS - 1) * sizeof(*tokens));
    bn_session_destroy(session);
    bn_engine_destroy(engine);
    bn_device_close(device);
    bn_model_destroy(model);
    bn_runtime_destroy(runtime);
    return result;
}

int main(void)
{
    alarm(DEADLINE_S);
    int32_t expected[N_TOKENS] = {0}, tokens[N_TOKENS];
    unsigned long totals[CALLS];
    MUST(run(expected)); // what only the first run of a process allocates is out of the way
    armed = true;
    MUST(run(expected));
    for (int c = 0; c < CALLS; c++)
        totals[c] = counts[c];
    for (int c = 0; c < CALLS; c++) {
        unsigned refused = 0;
        CHECK(totals[c] > 0, "%s: never called, so nothing is tested", call_names[c]);
        for (unsigned long n = 1; n <= totals[c]; n++) {
            memset(counts, 0, sizeof(counts));
            memset(&error, 0, sizeof(error));
            memset(tokens, 0, sizeof(tokens));
            fail_at[c] = n;
            enum bn_result result = run(tokens);
            fail_at[c] = 0;
            refused += result != BN_OK;
            CHECK(result != BN_OK || memcmp(tokens, expected, sizeof(tokens)) == 0, "%s %lu: other tokens",
                  call_names[c], n);
            CHECK(result == BN_OK || result == BN_ERR_NO_MEMORY || result == BN_ERR_IO, "%s %lu: %s", call_names[c], n,
                  bn_result_name(result));
            CHECK(result == BN_OK || (error.code == result && error.message[0]), "%s %lu: %s without a message",
                  call_names[c], n, bn_result_name(result));
            CHECK(allocated == 0, "%s %lu: %ld allocations were lost", call_names[c], n, (long)allocated);
        }
        printf("%s: %lu calls failed one by one, %u runs refused\n", call_names[c], totals[c], refused);
    }
    memset(counts, 0, sizeof(counts));
    MUST(run(tokens));
    CHECK(memcmp(tokens, expected, sizeof(tokens)) == 0, "the run after all that gives other tokens");
    return finish();
}
