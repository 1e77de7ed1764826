// Part of streams.c: the library, its devices and contexts; and at the end of the process, what was left behind.

// Leaves the devices that the variable names, by number or UUID, in its order; up to the first name that fits none.
static void choose(const char *names)
{
    struct fake_device chosen[32];
    int n = 0;
    for (const char *at = names; at && n < 32; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t length = strcspn(at, ",");
        int found = -1;
        for (int i = 0; i < fake.n; i++)
            if (strncmp(fake.devices[i].uuid_text, at, length) == 0 && length >= 8)
                found = i;
        if (length > 0 && length < 3)
            found = atoi(at) < fake.n ? atoi(at) : -1;
        if (found < 0)
            break;
        chosen[n++] = fake.devices[found];
    }
    memcpy(fake.devices, chosen, (size_t)n * sizeof *chosen);
    fake.n = n;
}

int NAME(cuInit, hipInit)(unsigned flags)
{
    if (fake.mode && strncmp(fake.mode, "ok", 2) == 0)
        return 0; // as often as one likes
    int code = fake_start(variable, 100);
    const char *visible = getenv(IS_HIP ? "HIP_VISIBLE_DEVICES" : "CUDA_VISIBLE_DEVICES");
    if (code == 0 && visible)
        choose(visible);
    return code == 0 && fake.n == 0 && visible ? 100 : code;
}

int NAME(cuDriverGetVersion, hipRuntimeGetVersion)(int *version)
{
    *version = IS_HIP ? 60140092 : 12040;
    return 0;
}

int NAME(cuDeviceGetCount, hipGetDeviceCount)(int *count)
{
    *count = fake.n;
    return fake.n || !IS_HIP ? 0 : 100;
}

int NAME(cuDeviceGet, hipDeviceGet)(int *device, int index)
{
    *device = index;
    return index >= 0 && index < fake.n ? 0 : 101;
}

int NAME(cuDeviceGetName, hipDeviceGetName)(char *name, int size, int device)
{
    fake_text(name, (size_t)size, fake.devices[device].name);
    return 0;
}

int NAME(cuDeviceGetPCIBusId, hipDeviceGetPCIBusId)(char *address, int size, int device)
{
    fake_text(address, (size_t)size, fake.devices[device].address);
    return 0;
}

int NAME(cuDeviceTotalMem_v2, hipDeviceTotalMem)(size_t *bytes, int device)
{
    *bytes = fake_memory(device);
    return 0;
}

int NAME(cuDeviceGetUuid_v2, hipDeviceGetUuid)(uint8_t *uuid, int device)
{
    const char *text = fake.devices[device].uuid_text;
    memset(uuid, 0, 16);
    if (IS_HIP) // its number as text
        memcpy(uuid, strlen(text) == 20 ? text + 4 : "0000000000000000", 16);
    else
        memcpy(uuid, fake.devices[device].uuid, 16);
    return 0;
}

int NAME(cuDeviceGetAttribute, hipDeviceGetAttribute)(int *value, int attribute, int device)
{
    int integrated = strstr(fake.devices[device].name, "Orin") || strstr(fake.devices[device].name, "APU");
    if (IS_HIP)
        *value = attribute == 16 ? integrated : 0;
    else
        *value = attribute == 75   ? capability(device) / 10
                 : attribute == 76 ? capability(device) % 10
                 : attribute == 18 ? integrated
                                   : 0;
    return 0;
}

#ifdef FAKE_HIP
int hipGetDevicePropertiesR0600(void *properties, int device)
{
    // The place of the chip's name in ROCm 6.
    snprintf((char *)properties, 256, "%s", fake.devices[device].name);
    snprintf((char *)properties + 1160, 256, "%s:sramecc+:xnack-", architecture(device));
    return 0;
}

int hipSetDevice(int device)
{
    current = device;
    return device >= 0 && device < fake.n ? 0 : 101;
}

int hipGetDevice(int *device)
{
    *device = current;
    return 0;
}
#else
static int retained[32];

int cuDevicePrimaryCtxRetain(void **out, int device)
{
    BEGIN(0);
    struct object *context = objects;
    while (context && (context->kind != CONTEXT || context->device != device))
        context = context->next;
    if (!context) {
        context = make(CONTEXT);
        context->device = device;
    }
    retained[device]++;
    *out = context;
    return end(0);
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    BEGIN(0);
    if (--retained[device] < 0)
        complain(__func__, "the context was not retained as often");
    struct object *context = NULL;
    for (struct object *object = objects; object; object = object->next) {
        if (object->kind == CONTEXT && object->device == device)
            context = object;
        else if (object->device == device && retained[device] == 0)
            complain(__func__, "the context still has objects");
    }
    if (retained[device] == 0)
        drop(context);
    return end(0);
}

int cuCtxPushCurrent_v2(void *handle)
{
    pthread_mutex_lock(&lock);
    if (depth == 8)
        complain(__func__, "pushed more often than popped");
    stack[depth] = find(__func__, handle, CONTEXT);
    depth++;
    return end(sticky);
}

int cuCtxPopCurrent_v2(void **out)
{
    pthread_mutex_lock(&lock);
    if (depth == 0)
        complain(__func__, "popped more often than pushed");
    *out = stack[--depth];
    return end(sticky);
}
#endif

// Whatever has not been given back when the process ends was lost, unless the library had failed for good. Its streams are left
// in that case, and what they hold.
__attribute__((destructor)) static void look_for_leaks(void)
{
    static const char *const names[] = {"context", "stream", "event",  "module", "function",
                                        "graph",   "exec",   "memory", "host memory", "registered memory"};
    int found = 0;
    for (const struct object *object = objects; object && !sticky; object = object->next) {
        fprintf(stderr, "fake: the process ends with a %s of %zu bytes\n", names[object->kind], object->bytes);
        found = 1;
    }
    fflush(NULL);
    if (found)
        _exit(3);
}
