// Part of streams.c: modules, functions, launches, graphs.

static int capability(int device)
{
    const char *name = fake.devices[device].name;
    return strstr(name, "GTX 1080") ? 61 : strstr(name, "Orin") ? 87 : 90;
}

static const char *architecture(int device)
{
    static char name[32][16];
    const char *said = strstr(fake.devices[device].name, "(gfx");
    snprintf(name[device], sizeof name[device], "gfx1100");
    if (said)
        sscanf(said + 1, "%15[a-z0-9]", name[device]);
    return name[device];
}

// PTX: text, for this device or one before it.
static int check_ptx(const char *text)
{
    int target = 0;
    const char *at = strstr(text, ".target sm_");
    if (!strstr(text, ".version ") || !at || sscanf(at, ".target sm_%d", &target) != 1 || !strstr(text, ".entry "))
        return BAD_PTX;
    return target > capability(device_now()) ? NOT_FOR_DEVICE : 0;
}

// A code object: ELF for this very chip.
static int check_elf(const char *image)
{
    static const struct {
        const char *name;
        unsigned machine;
    } chips[] = {{"gfx906", 0x2f},  {"gfx90a", 0x3f},  {"gfx942", 0x4c}, {"gfx1030", 0x36},
                 {"gfx1100", 0x41}, {"gfx1151", 0x4a}, {"gfx1200", 0x48}};
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
    if (memcmp(image, ELFMAG, SELFMAG) != 0 || header->e_machine != 224 || header->e_type != ET_DYN)
        return BAD_IMAGE;
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++)
        if (strcmp(chips[i].name, architecture(device_now())) == 0)
            return chips[i].machine == (header->e_flags & 0xff) ? 0 : NOT_FOR_DEVICE;
    return NOT_FOR_DEVICE;
}

// Whether the code has a kernel of this name.
static int has_kernel(const char *image, const char *name)
{
    char wanted[96];
    if (!IS_HIP) {
        snprintf(wanted, sizeof wanted, ".entry %s(", name);
        return strstr(image, wanted) != NULL;
    }
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(image + header->e_shoff);
    snprintf(wanted, sizeof wanted, "%s.kd", name);
    for (int s = 0; s < header->e_shnum; s++) {
        const Elf64_Sym *symbols = (const Elf64_Sym *)(const void *)(image + sections[s].sh_offset);
        const char *names = image + sections[sections[s].sh_link].sh_offset;
        for (size_t i = 0; sections[s].sh_type == SHT_DYNSYM && i < sections[s].sh_size / sizeof *symbols; i++)
            if (strcmp(names + symbols[i].st_name, wanted) == 0)
                return 1;
    }
    return 0;
}

static size_t image_bytes(const char *image)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)image;
    return IS_HIP ? header->e_shoff + (size_t)header->e_shnum * header->e_shentsize : strlen(image) + 1;
}

int NAME(cuModuleLoadDataEx, hipModuleLoadDataEx)(void **out, const void *image, unsigned n, int *options, void **values)
{
    int code = begin(__func__, 1);
    for (unsigned i = 0; code && i < n; i++)
        if (options[i] == 5)
            snprintf(values[i], 64, "ptxas error: the fake\nwas told to refuse");
    if (code)
        return code;
    code = IS_HIP ? check_elf(image) : check_ptx(image);
    if (code)
        return end(code);
    struct object *module = make(MODULE);
    module->image = malloc(image_bytes(image));
    memcpy(module->image, image, image_bytes(image));
    *out = module;
    return end(0);
}

int NAME(cuModuleUnload, hipModuleUnload)(void *handle)
{
    BEGIN(1);
    struct object *module = find(__func__, handle, MODULE);
    for (struct object *object = objects, *next; object; object = next) {
        next = object->next;
        if (object->kind == EXEC)
            complain(__func__, "there still is a graph of its functions");
        if (object->kind == FUNCTION && object->owner == module)
            drop(object);
    }
    drop(module);
    return end(0);
}

int NAME(cuModuleGetFunction, hipModuleGetFunction)(void **out, void *handle, const char *name)
{
    BEGIN(1);
    struct object *module = find(__func__, handle, MODULE);
    for (struct object *object = objects; object; object = object->next)
        if (object->kind == FUNCTION && object->owner == module && strcmp(object->kernel->name, name) == 0) {
            *out = object;
            return end(0);
        }
    const struct fake_kernel *kernel = fake_kernels;
    while (kernel->name && strcmp(kernel->name, name) != 0)
        kernel++;
    if (!kernel->name || !has_kernel(module->image, name))
        return end(NOT_FOUND);
    struct object *function = make(FUNCTION);
    function->owner = module;
    function->kernel = kernel;
    *out = function;
    return end(0);
}

int NAME(cuLaunchKernel, hipModuleLaunchKernel)(void *handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                                unsigned by, unsigned bz, unsigned shared, void *stream_handle,
                                                void **parameters, void **extra)
{
    BEGIN(1);
    struct object *function = find(__func__, handle, FUNCTION), *stream = stream_of(__func__, stream_handle);
    struct launch launch = {.kernel = function->kernel, .x = gx, .y = gy, .items = bx};
    if (!gx || !gy || gz != 1 || gy > 65535 || !bx || bx > MOST_ITEMS || by != 1 || bz != 1 || shared > 48 << 10 || extra)
        return end(INVALID);
    for (int i = 0; i < function->kernel->n; i++)
        memcpy(&launch.parameters[i], parameters[i], function->kernel->sizes[i]);
    if (stream->capturing)
        append(stream, &launch);
    else
        push(stream, &(struct task){.what = RUN, .launch = launch});
    return end(0);
}

int NAME(cuStreamBeginCapture_v2, hipStreamBeginCapture)(void *handle, int mode)
{
    BEGIN(1);
    struct object *stream = stream_of(__func__, handle);
    if (stream->capturing || mode < 0 || mode > 2)
        return end(INVALID);
    stream->capturing = 1;
    return end(0);
}

int NAME(cuStreamEndCapture, hipStreamEndCapture)(void *handle, void **out)
{
    *out = NULL;
    int code = begin(__func__, 1);
    if (code)
        pthread_mutex_lock(&lock);
    struct object *stream = stream_of(__func__, handle);
    if (!stream->capturing)
        complain(__func__, "nothing is captured");
    stream->capturing = 0;
    if (code) {
        stream->n_launches = 0;
        return end(code);
    }
    struct object *graph = make(GRAPH);
    graph->launches = stream->launches;
    graph->n_launches = stream->n_launches;
    stream->launches = NULL;
    stream->n_launches = 0;
    *out = graph;
    return end(0);
}

int NAME(cuGraphInstantiateWithFlags, hipGraphInstantiateWithFlags)(void **out, void *handle, unsigned long long flags)
{
    BEGIN(1);
    struct object *graph = find(__func__, handle, GRAPH), *exec = make(EXEC);
    for (int i = 0; i < graph->n_launches; i++)
        append(exec, &graph->launches[i]);
    *out = exec;
    return end(flags ? INVALID : 0);
}

int NAME(cuGraphLaunch, hipGraphLaunch)(void *handle, void *stream)
{
    BEGIN(1);
    push(stream_of(__func__, stream), &(struct task){.what = RUN, .object = find(__func__, handle, EXEC)});
    return end(0);
}

int NAME(cuGraphDestroy, hipGraphDestroy)(void *handle)
{
    BEGIN(1);
    drop(find(__func__, handle, GRAPH));
    return end(0);
}

int NAME(cuGraphExecDestroy, hipGraphExecDestroy)(void *handle)
{
    BEGIN(1);
    struct object *exec = find(__func__, handle, EXEC);
    if (exec->users)
        complain(__func__, "the graph still runs");
    drop(exec);
    return end(0);
}
