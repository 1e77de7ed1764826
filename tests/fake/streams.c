// libcuda.so.1, and with FAKE_HIP libamdhip64.so.6: devices that report what fake.h says, and compute on the host. A stream is a
// thread, a kernel the C function that was compiled from the same source as the code that is loaded. Every handle, its life, its
// context and the order of calls are checked: who breaks a rule of the library is told, and the process ends.
//
// $BITNET_TEST_FAKE_FAIL="NAME@N=CODE,...": the N-th call of NAME fails with the error; "kernel" is a kernel that runs. Errors that
// a real library cannot leave behind (700, 719 ...) stay: each call after them fails with the same.
#include <elf.h>
#include <pthread.h>

#include "fake/fake.h"
#include "fake/groups.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // they are the vendor's
#pragma GCC visibility push(default)

#ifdef FAKE_HIP
#define NAME(cuda, hip) hip
enum { IS_HIP = 1 };
static const char variable[] = "BITNET_TEST_FAKE_HIP";
#else
#define NAME(cuda, hip) cuda
enum { IS_HIP = 0 };
static const char variable[] = "BITNET_TEST_FAKE_CUDA";
#endif

enum { INVALID = 1, NO_MEMORY = 2, BAD_IMAGE = 200, NO_CONTEXT = 201, NOT_FOR_DEVICE = 209, BAD_PTX = 218 };
enum { BAD_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, BAD_ADDRESS = 700, REGISTERED = 712, CAPTURING = 900 };
enum { MOST_PARAMETERS = 40, MOST_ITEMS = 1024 };

enum kind { CONTEXT, STREAM, EVENT, MODULE, FUNCTION, GRAPH, EXEC, MEMORY, PINNED, FOREIGN };

struct launch {
    const struct fake_kernel *kernel; // NULL: a copy
    void *to;
    const void *from;
    size_t bytes;
    uint32_t x, y, items;
    uint64_t parameters[MOST_PARAMETERS];
};

struct object {
    struct object *next;
    enum kind kind;
    int device;
    uint8_t *memory; // of memory; its size
    size_t bytes;
    const struct fake_kernel *kernel; // of a function; its module is `owner`
    struct object *owner;
    char *image;             // of a module
    struct launch *launches; // of a graph, an exec, a stream that is captured
    int n_launches, capturing;
    int users; // submissions of an exec, of an event, that are not done
    // A stream.
    pthread_t thread;
    pthread_cond_t news;
    struct task *first, **last;
    int busy, ends;
};

struct task {
    struct task *next;
    enum { RUN, COPY, FILL, WRITE, RECORD } what;
    struct object *object; // exec, event
    struct launch launch;
    void *to;
    const void *from;
    size_t bytes;
    uint32_t value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct object *objects;
static int sticky;
static size_t used[32];
static _Thread_local struct object *stack[8];
static _Thread_local int depth, current;

static void complain(const char *function, const char *what)
{
    fprintf(stderr, "fake: %s: %s\n", function, what);
    abort();
}

static int stays(int code)
{
    return code == 214 || code == BAD_ADDRESS || code == 702 || (code >= 714 && code <= 719);
}

// What the plan says of this call.
static int planned(const char *name)
{
    static struct {
        char name[48];
        int n, code;
    } plan[8];
    static int n_plan = -1;
    if (n_plan < 0) {
        const char *text = getenv("BITNET_TEST_FAKE_FAIL");
        n_plan = 0;
        for (; text && n_plan < 8; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL)
            n_plan += sscanf(text, "%47[^@]@%d=%d", plan[n_plan].name, &plan[n_plan].n, &plan[n_plan].code) == 3;
    }
    for (int i = 0; i < n_plan; i++)
        if (strcmp(plan[i].name, name) == 0 && --plan[i].n == 0)
            return plan[i].code;
    return 0;
}

// Begins a call: the lock is held after it unless it says an error.
static int begin(const char *function, int needs_context)
{
    pthread_mutex_lock(&lock);
    if (!fake.mode)
        complain(function, "called before the library was initialised");
    if (needs_context && !IS_HIP && depth == 0)
        complain(function, "the thread has no current context");
    int code = sticky ? sticky : planned(function);
    if (stays(code))
        sticky = code;
    if (code)
        pthread_mutex_unlock(&lock);
    return code;
}

#define BEGIN(needs_context)                                                                                           \
    do {                                                                                                               \
        int begin_code = begin(__func__, needs_context);                                                               \
        if (begin_code)                                                                                                \
            return begin_code;                                                                                         \
    } while (0)

static int end(int code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

static int device_now(void)
{
    return IS_HIP ? current : stack[depth - 1]->device;
}

static struct object *make(enum kind kind)
{
    struct object *object = calloc(1, sizeof *object);
    object->kind = kind;
    object->device = depth || IS_HIP ? device_now() : 0;
    object->next = objects;
    objects = object;
    return object;
}

static struct object *find(const char *function, const void *handle, enum kind kind)
{
    for (struct object *object = objects; object; object = object->next)
        if (object == handle) {
            if (object->kind != kind)
                complain(function, "a handle of the wrong kind");
            if (!IS_HIP && kind != CONTEXT && object->device != device_now())
                complain(function, "a handle of another context");
            return object;
        }
    complain(function, "a handle that there is not, or no longer");
    return NULL;
}

static void drop(struct object *object)
{
    struct object **link = &objects;
    while (*link != object)
        link = &(*link)->next;
    *link = object->next;
    free(object->image);
    free(object->launches);
    free(object);
}

static struct object *memory_at(uint64_t address, size_t bytes)
{
    for (struct object *object = objects; object; object = object->next) {
        uint64_t from = (uint64_t)(uintptr_t)object->memory;
        if (object->kind >= MEMORY && address >= from && bytes <= object->bytes &&
            address - from <= object->bytes - bytes)
            return object;
    }
    return NULL;
}

// Streams.
static int run_launch(const struct launch *launch)
{
    void *parameters[MOST_PARAMETERS];
    if (!launch->kernel) {
        memcpy(launch->to, launch->from, launch->bytes);
        return 0;
    }
    pthread_mutex_lock(&lock);
    int code = sticky ? sticky : planned("kernel");
    for (int i = 0; i < launch->kernel->n && !code; i++)
        if (launch->kernel->sizes[i] == 8 && launch->parameters[i] && !memory_at(launch->parameters[i], 1))
            code = BAD_ADDRESS;
    if (stays(code))
        sticky = code;
    pthread_mutex_unlock(&lock);
    if (code)
        return code;
    for (int i = 0; i < launch->kernel->n; i++)
        parameters[i] = (void *)(uintptr_t)&launch->parameters[i];
    static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&running);
    const char *wrong = fake_run(launch->kernel, parameters, launch->x, launch->y, launch->items);
    pthread_mutex_unlock(&running);
    if (wrong)
        complain(launch->kernel->name, wrong);
    return 0;
}

static void run_task(struct task *task)
{
    int n = task->object && task->object->kind == EXEC ? task->object->n_launches : 1;
    switch (task->what) {
    case RUN:
        for (int i = 0; i < n; i++)
            if (run_launch(task->object ? &task->object->launches[i] : &task->launch))
                return;
        break;
    case COPY:
        memcpy(task->to, task->from, task->bytes);
        break;
    case FILL:
        memset(task->to, (int)task->value, task->bytes);
        break;
    case WRITE:
        __atomic_store_n((uint32_t *)task->to, task->value, __ATOMIC_RELEASE);
        break;
    case RECORD:
        break;
    }
}

static void *serve(void *handle)
{
    struct object *stream = handle;
    pthread_mutex_lock(&lock);
    while (!stream->ends || stream->first) {
        struct task *task = stream->first;
        if (!task) {
            pthread_cond_wait(&stream->news, &lock);
            continue;
        }
        int broken = sticky;
        pthread_mutex_unlock(&lock);
        if (!broken)
            run_task(task);
        pthread_mutex_lock(&lock);
        if (task->object)
            task->object->users--;
        stream->first = task->next;
        stream->last = stream->first ? stream->last : &stream->first;
        free(task);
        pthread_cond_broadcast(&idle);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static struct object *stream_of(const char *function, void *handle)
{
    return find(function, handle, STREAM);
}

static void push(struct object *stream, const struct task *task)
{
    struct task *copy = malloc(sizeof *copy);
    *copy = *task;
    copy->next = NULL;
    if (copy->object)
        copy->object->users++;
    *stream->last = copy;
    stream->last = &copy->next;
    pthread_cond_signal(&stream->news);
}

static void append(struct object *object, const struct launch *launch)
{
    object->launches = realloc(object->launches, (size_t)(object->n_launches + 1) * sizeof *launch);
    object->launches[object->n_launches++] = *launch;
}

static void wait_idle(struct object *stream)
{
    while (stream->first)
        pthread_cond_wait(&idle, &lock);
}

int NAME(cuStreamCreate, hipStreamCreateWithFlags)(void **out, unsigned flags)
{
    BEGIN(1);
    struct object *stream = make(STREAM);
    pthread_cond_init(&stream->news, NULL);
    stream->last = &stream->first;
    if (pthread_create(&stream->thread, NULL, serve, stream) != 0)
        complain(__func__, "no thread");
    *out = stream;
    return end(flags > 1 ? INVALID : 0);
}

int NAME(cuStreamDestroy_v2, hipStreamDestroy)(void *handle)
{
    int code = begin(__func__, 1);
    if (code)
        pthread_mutex_lock(&lock); // it goes even so, as it does in the real libraries when the process ends
    struct object *stream = stream_of(__func__, handle);
    stream->ends = 1;
    pthread_cond_signal(&stream->news);
    pthread_mutex_unlock(&lock);
    pthread_join(stream->thread, NULL);
    pthread_mutex_lock(&lock);
    pthread_cond_destroy(&stream->news);
    drop(stream);
    return end(code);
}

int NAME(cuStreamQuery, hipStreamQuery)(void *handle)
{
    BEGIN(1);
    struct object *stream = stream_of(__func__, handle);
    return end(stream->capturing ? CAPTURING : stream->first ? NOT_READY : 0);
}

int NAME(cuStreamSynchronize, hipStreamSynchronize)(void *handle)
{
    BEGIN(1);
    struct object *stream = stream_of(__func__, handle);
    if (stream->capturing)
        return end(CAPTURING);
    wait_idle(stream);
    return end(sticky);
}

int NAME(cuStreamWriteValue32_v2, hipStreamWriteValue32)(void *handle, uint64_t address, uint32_t value, unsigned flags)
{
    BEGIN(1);
    struct object *stream = stream_of(__func__, handle);
    if (stream->capturing || flags || address % 4 || !memory_at(address, 4))
        return end(INVALID);
    push(stream, &(struct task){.what = WRITE, .to = (void *)(uintptr_t)address, .value = value});
    return end(0);
}

// Events.
int NAME(cuEventCreate, hipEventCreateWithFlags)(void **out, unsigned flags)
{
    BEGIN(1);
    *out = make(EVENT);
    return end(flags & ~3u ? INVALID : 0);
}

int NAME(cuEventDestroy_v2, hipEventDestroy)(void *handle)
{
    BEGIN(1);
    struct object *event = find(__func__, handle, EVENT);
    while (event->users)
        pthread_cond_wait(&idle, &lock);
    drop(event);
    return end(0);
}

int NAME(cuEventRecord, hipEventRecord)(void *handle, void *stream)
{
    BEGIN(1);
    push(stream_of(__func__, stream), &(struct task){.what = RECORD, .object = find(__func__, handle, EVENT)});
    return end(0);
}

int NAME(cuEventQuery, hipEventQuery)(void *handle)
{
    BEGIN(1);
    return end(find(__func__, handle, EVENT)->users ? NOT_READY : 0);
}

int NAME(cuEventSynchronize, hipEventSynchronize)(void *handle)
{
    BEGIN(1);
    struct object *event = find(__func__, handle, EVENT);
    while (event->users)
        pthread_cond_wait(&idle, &lock);
    return end(sticky);
}

// Memory.
static int allocate(enum kind kind, void **out, size_t bytes)
{
    int device = device_now();
    if (!bytes || (kind == MEMORY && used[device] + bytes > fake.devices[device].memory))
        return bytes ? NO_MEMORY : INVALID;
    struct object *object = make(kind);
    if (posix_memalign((void **)&object->memory, 4096, bytes) != 0) {
        drop(object);
        return NO_MEMORY;
    }
    memset(object->memory, 0xa5, bytes); // nobody promises zeros
    object->bytes = bytes;
    used[device] += kind == MEMORY ? bytes : 0;
    *out = object->memory;
    return 0;
}

static int release(const char *function, uint64_t address, enum kind kind)
{
    struct object *object = memory_at(address, 1);
    if (!object || object->kind != kind || (uint64_t)(uintptr_t)object->memory != address)
        complain(function, "memory that was not allocated so, or is gone");
    for (struct object *stream = objects; stream; stream = stream->next)
        if (stream->kind == STREAM && stream->device == object->device)
            wait_idle(stream);
    used[object->device] -= kind == MEMORY ? object->bytes : 0;
    if (kind != FOREIGN)
        free(object->memory);
    drop(object);
    return 0;
}

int NAME(cuMemGetInfo_v2, hipMemGetInfo)(size_t *left, size_t *total)
{
    BEGIN(1);
    *total = fake.devices[device_now()].memory;
    *left = *total - used[device_now()];
    return end(0);
}

int NAME(cuMemAlloc_v2, hipMalloc)(void **out, size_t bytes)
{
    BEGIN(1);
    return end(allocate(MEMORY, out, bytes));
}

int NAME(cuMemFree_v2, hipFree)(uint64_t address)
{
    BEGIN(1);
    return end(release(__func__, address, MEMORY));
}

int NAME(cuMemHostAlloc, hipHostMalloc)(void **out, size_t bytes, unsigned flags)
{
    BEGIN(1);
    return end(allocate(PINNED, out, bytes));
}

int NAME(cuMemFreeHost, hipHostFree)(void *memory)
{
    BEGIN(1);
    return end(release(__func__, (uint64_t)(uintptr_t)memory, PINNED));
}

int NAME(cuMemHostGetDevicePointer_v2, hipHostGetDevicePointer)(uint64_t *address, void *memory, unsigned flags)
{
    BEGIN(1);
    *address = (uint64_t)(uintptr_t)memory;
    struct object *object = memory_at(*address, 1);
    return end(object && object->kind != MEMORY && flags == 0 ? 0 : INVALID);
}

int NAME(cuMemHostRegister_v2, hipHostRegister)(void *memory, size_t bytes, unsigned flags)
{
    BEGIN(1);
    if (memory_at((uint64_t)(uintptr_t)memory, 1))
        return end(REGISTERED);
    struct object *object = make(FOREIGN);
    object->memory = memory;
    object->bytes = bytes;
    return end(0);
}

int NAME(cuMemHostUnregister, hipHostUnregister)(void *memory)
{
    BEGIN(1);
    return end(release(__func__, (uint64_t)(uintptr_t)memory, FOREIGN));
}

int NAME(cuMemcpyHtoDAsync_v2, hipMemcpyHtoDAsync)(uint64_t to, const void *from, size_t bytes, void *stream)
{
    BEGIN(1);
    struct object *source = memory_at((uint64_t)(uintptr_t)from, bytes);
    if (!source || source->kind == MEMORY)
        complain(__func__, "the source is not pinned: the copy would not be asynchronous");
    if (!memory_at(to, bytes))
        return end(INVALID);
    struct object *object = stream_of(__func__, stream);
    if (object->capturing)
        append(object, &(struct launch){.to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
    else
        push(object, &(struct task){.what = COPY, .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
    return end(0);
}

int NAME(cuMemsetD8Async, hipMemsetD8Async)(uint64_t to, unsigned char value, size_t bytes, void *stream)
{
    BEGIN(1);
    if (!memory_at(to, bytes))
        return end(INVALID);
    push(stream_of(__func__, stream),
         &(struct task){.what = FILL, .to = (void *)(uintptr_t)to, .value = value, .bytes = bytes});
    return end(0);
}

#include "fake/streams_code.inl"
#include "fake/streams_devices.inl"
