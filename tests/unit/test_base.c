// Errors, allocation, words that threads wait on, the packet ring, the cache folder.
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/common/ring.h"
#include "runtime/base/cache.h"
#include "runtime/base/clock.h"
#include "runtime/base/fail.h"
#include "runtime/base/thread.h"

START_TEST(errors_are_printable)
{
    struct bn_error err;
    memset(&err, 0xff, sizeof(err));
    ck_assert_int_eq(bn_fail_at(&err, BN_ERR_MODEL, "a\nb", "key\x1b[31m", 7, "bad %s", "\x7f"), BN_ERR_MODEL);
    ck_assert_str_eq(err.file, "a?b");
    ck_assert_str_eq(err.subject, "key?[31m");
    ck_assert_str_eq(err.message, "bad ?");
    ck_assert_uint_eq(err.offset, 7);
    ck_assert_int_eq(err.native, 0);
    ck_assert_int_eq(bn_fail(NULL, BN_ERR_IO, "nobody listens"), BN_ERR_IO);

    char path[600];
    memset(path, 'x', sizeof(path));
    memcpy(path + 590, "model.gguf", 10);
    path[599] = '\0';
    bn_fail_errno(&err, 2, path, "cannot be opened");
    ck_assert_uint_eq(strlen(err.file), sizeof(err.file) - 1);
    ck_assert_ptr_nonnull(strstr(err.file, "model.ggu")); // the end of a path is what is kept
    ck_assert_int_eq(err.native, 2);
    ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
    ck_assert_uint_eq(err.offset, UINT64_MAX);

    // A character cut by the buffer's end is dropped whole.
    char name[200] = "";
    for (int i = 0; i < 60; i++)
        strcat(name, "é");
    bn_fail_at(&err, BN_ERR_MODEL, NULL, name, 0, "x");
    ck_assert_uint_eq(strlen(err.subject) % 2, 0);
}
END_TEST

START_TEST(text_from_files_steers_no_terminal)
{
    static const char *const cases[][2] = {
        {"caf\u00e9 \u2603 \U0001f600", "caf\u00e9 \u2603 \U0001f600"},
        {"\x1b[2J\a\t\x7f", "?[2J???"},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "??31m\xc2\xa0"}, // C1: what some terminals take for ESC [
        {"a\xe2\x80\xae"
         "gpj.exe",
         "a???gpj.exe"}, // right-to-left override
        {"\xff\x9b\xc0\x80x\xed\xa0\x80\xf4\x90\x80\x80", "????x???????"},
        {"cut \xe2\x98", "cut "},
        {"not cut \xe2\x98x", "not cut ??x"},
        {"\xe2", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        strcpy(text, cases[i][0]);
        bn_make_printable(text);
        ck_assert_str_eq(text, cases[i][1]);
    }
}
END_TEST

START_TEST(result_names)
{
    for (int i = BN_OK; i <= BN_ERR_INTERNAL; i++)
        ck_assert_str_ne(bn_result_name((enum bn_result)i), "?");
    ck_assert_str_eq(bn_result_name((enum bn_result)1000), "?");
}
END_TEST

static int allocations;

static void *counting_alloc(void *user, size_t bytes, size_t align)
{
    void *memory = NULL;
    allocations++;
    return posix_memalign(&memory, align, bytes) == 0 ? memory : NULL;
}

static void counting_free(void *user, void *memory)
{
    allocations--;
    free(memory);
}

START_TEST(allocation_is_hooked_zeroed_and_checked)
{
    const struct bn_allocator allocator = {counting_alloc, counting_free, NULL};
    struct bn_runtime_config config = {.size = sizeof(config), .allocator = &allocator};
    struct bn_host host;
    bn_host_init(&host, &config);
    uint8_t *memory = bn_alloc(&host, 1000);
    ck_assert_int_eq(allocations, 1);
    ck_assert_uint_eq((uintptr_t)memory % 64, 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_uint_eq(memory[i], 0);
    void *empty = bn_alloc(&host, 0);
    ck_assert_ptr_nonnull(empty);
    ck_assert_ptr_null(bn_alloc_array(&host, SIZE_MAX / 2, 3));
    bn_free(&host, memory);
    bn_free(&host, empty);
    bn_free(&host, NULL);
    ck_assert_int_eq(allocations, 0);
}
END_TEST

START_TEST(machine)
{
    uint64_t total, available, now = bn_clock_ns();
    bn_memory_info(&total, &available);
    ck_assert_uint_gt(total, 0);
    ck_assert_uint_le(available, total);
    ck_assert_uint_ge(bn_cpu_count(), 1);
    ck_assert_uint_ge(bn_clock_ns(), now);
}
END_TEST

struct ping {
    struct bn_word ping, pong;
    int rounds;
    uint32_t spin_ns;
};

static void *answer(void *argument)
{
    struct ping *ping = argument;
    struct bn_spin spin;
    bn_spin_init(&spin, ping->spin_ns, ping->spin_ns);
    for (uint32_t i = 0; i < (uint32_t)ping->rounds; i++) {
        ck_assert_uint_eq(bn_word_wait(&ping->ping, i, &spin), i + 1);
        atomic_fetch_add(&ping->pong.value, 1);
        bn_word_wake(&ping->pong);
    }
    return NULL;
}

// Nobody sleeps through a wake-up, whether the waiter spins or sleeps.
START_TEST(words_wake_their_waiters)
{
    static const uint32_t spins[] = {0, 1000, 1000000};
    for (int s = 0; s < 3; s++) {
        struct ping ping = {.rounds = 2000, .spin_ns = spins[s]};
        struct bn_spin spin;
        bn_spin_init(&spin, spins[s], spins[s]);
        pthread_t thread;
        struct bn_error err;
        ck_assert_int_eq(bn_thread_start(&thread, "answer", answer, &ping, &err), BN_OK);
        for (uint32_t i = 0; i < (uint32_t)ping.rounds; i++) {
            atomic_fetch_add(&ping.ping.value, 1);
            bn_word_wake(&ping.ping);
            ck_assert_uint_eq(bn_word_wait(&ping.pong, i, &spin), i + 1);
        }
        pthread_join(thread, NULL);
    }
}
END_TEST

enum { PRODUCERS = 3, PER_PRODUCER = 20000 };

struct shared {
    struct bn_ring ring;
    _Atomic uint64_t busy;
};

struct producer {
    struct shared *shared;
    uint64_t id;
};

// signal carries who made the packet and which it was.
static void *produce(void *argument)
{
    struct producer *producer = argument;
    for (uint64_t i = 0; i < PER_PRODUCER; i++) {
        struct bn_submission submission = {.signal = producer->id << 32 | i, .stop_at = (uint32_t)i};
        while (!bn_ring_push(&producer->shared->ring, &submission)) {
            atomic_fetch_add(&producer->shared->busy, 1);
            usleep(1);
        }
    }
    return NULL;
}

// Several producers, one consumer, hundreds of times around: every packet arrives whole, once, in its producer's order.
START_TEST(ring_wraps_around_and_pushes_back)
{
    struct shared *shared = aligned_alloc(64, (sizeof(*shared) + 63) / 64 * 64);
    bn_ring_init(&shared->ring);
    atomic_store(&shared->busy, 0);
    struct producer producers[PRODUCERS];
    pthread_t threads[PRODUCERS];
    for (uint64_t p = 0; p < PRODUCERS; p++) {
        producers[p] = (struct producer){shared, p};
        pthread_create(&threads[p], NULL, produce, &producers[p]);
    }
    uint64_t next[PRODUCERS] = {0};
    struct bn_spin spin;
    bn_spin_init(&spin, 1000, 50000);
    for (size_t n = 0; n < (size_t)PRODUCERS * PER_PRODUCER;) {
        uint32_t rung = atomic_load(&shared->ring.doorbell.value);
        const struct bn_packet *packet = bn_ring_peek(&shared->ring);
        if (!packet) {
            bn_word_wait(&shared->ring.doorbell, rung, &spin);
            continue;
        }
        uint64_t who = packet->signal >> 32, number = packet->signal & UINT32_MAX;
        ck_assert_uint_lt(who, PRODUCERS);
        ck_assert_uint_eq(number, next[who]);
        ck_assert_uint_eq(packet->stop_at, number);
        next[who]++;
        uint64_t signal = packet->signal;
        bn_ring_retire(&shared->ring);
        ck_assert_uint_eq(bn_ring_timeline(&shared->ring), signal);
        n++;
    }
    for (int p = 0; p < PRODUCERS; p++)
        pthread_join(threads[p], NULL);
    ck_assert_ptr_null(bn_ring_peek(&shared->ring));

    struct bn_submission submission = {.signal = 1};
    for (int i = 0; i < BN_RING_CAPACITY; i++)
        ck_assert(bn_ring_push(&shared->ring, &submission));
    ck_assert(!bn_ring_push(&shared->ring, &submission));
    bn_ring_retire(&shared->ring);
    ck_assert(bn_ring_push(&shared->ring, &submission));
    free(shared);
}
END_TEST

// Files of one prefix go, the oldest first, until the rest fits; others stay, whatever they weigh.
START_TEST(the_cache_is_bounded)
{
    static const char *const names[] = {"a-3", "a-1", "b-1", "a-2", "a-4"};
    static const int ages[] = {30, 50, 99, 40, 20};
    char folder[] = "/tmp/bitnet-cache-XXXXXX", data[100] = {0}, found[sizeof(data)], path[BN_CACHE_PATH_BYTES];
    size_t bytes;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(setenv("BITNET_CACHE_DIR", folder, 1), 0);
    for (int i = 0; i < 5; i++) {
        const struct timespec times[2] = {{.tv_sec = 1000000000 - ages[i]}, {.tv_sec = 1000000000 - ages[i]}};
        ck_assert_int_eq(bn_cache_write(names[i], data, sizeof(data), NULL), BN_OK);
        ck_assert(bn_cache_path(path, names[i], false));
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    }
    bn_cache_trim("a-", 400);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(bn_cache_read(names[i], found, sizeof(found), &bytes, NULL), BN_OK);
    bn_cache_trim("a-", 299);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(bn_cache_read(names[i], found, sizeof(found), &bytes, NULL),
                         ages[i] == 50 || ages[i] == 40 ? BN_ERR_NOT_FOUND : BN_OK);
    bn_cache_trim("a-", 0);
    bn_cache_trim("b-", 0);
    ck_assert_int_eq(rmdir(folder), 0);
    bn_cache_trim("b-", 0); // no folder
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, errors_are_printable);
    tcase_add_test(tests, text_from_files_steers_no_terminal);
    tcase_add_test(tests, result_names);
    tcase_add_test(tests, allocation_is_hooked_zeroed_and_checked);
    tcase_add_test(tests, machine);
    tcase_add_test(tests, words_wake_their_waiters);
    tcase_add_test(tests, ring_wraps_around_and_pushes_back);
    tcase_add_test(tests, the_cache_is_bounded);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
