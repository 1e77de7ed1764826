#include "fake/groups.h"

#include <stdlib.h>
#include <ucontext.h>

enum { MOST_ITEMS = 256, STACK_BYTES = 128 << 10 };

#if defined(__x86_64__)
// Keeps the registers that a call may not change on the stack, and takes another stack. Its floating-point modes are the same.
void fake_switch(void **from, void *to);
__asm__(".text\n.globl fake_switch\n.hidden fake_switch\n.type fake_switch,@function\n"
        "fake_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size fake_switch, .-fake_switch\n");
#define OWN_SWITCH 1
#else
#define OWN_SWITCH 0
#endif

struct item {
#if !OWN_SWITCH
    ucontext_t context;
#endif
    void *at, *stack;
    int waits, done;
};

static struct { // one grid runs at a time
    struct item items[MOST_ITEMS];
#if !OWN_SWITCH
    ucontext_t context;
#endif
    void *at;
    uint32_t n_ready, running, x, y, n_x, n_y;
    const struct fake_kernel *kernel;
    void *const *parameters;
} group;

uint32_t bn_serial_thread(void)
{
    return group.running;
}

uint32_t bn_serial_group(uint32_t axis)
{
    return axis == 0 ? group.x : axis == 1 ? group.y : 0;
}

uint32_t bn_serial_groups(uint32_t axis)
{
    return axis == 0 ? group.n_x : axis == 1 ? group.n_y : 1;
}

static void back(struct item *item)
{
#if OWN_SWITCH
    fake_switch(&item->at, group.at);
#else
    swapcontext(&item->context, &group.context);
#endif
}

static void go(struct item *item)
{
#if OWN_SWITCH
    fake_switch(&group.at, item->at);
#else
    swapcontext(&group.context, &item->context);
#endif
}

void bn_serial_meet(void)
{
    struct item *item = &group.items[group.running];
    item->waits = 1;
    back(item);
}

// What a fiber does, for ever: one work-item of one group after the other.
static void live(void)
{
    struct item *item = &group.items[group.running];
    for (;;) {
        group.kernel->run(group.parameters);
        item->done = 1;
        back(item);
    }
}

static int prepare(struct item *item)
{
    if (item->stack)
        return 1;
    item->stack = malloc(STACK_BYTES);
    if (!item->stack)
        return 0;
#if OWN_SWITCH
    void **top = (void **)((char *)item->stack + STACK_BYTES);
    void (*start)(void) = live;
    *--top = NULL; // where live would return to: its stack is as after a call
    *--top = *(void **)(void *)&start;
    item->at = top - 6;
#else
    getcontext(&item->context);
    item->context.uc_stack.ss_sp = item->stack;
    item->context.uc_stack.ss_size = STACK_BYTES;
    item->context.uc_link = NULL;
    makecontext(&item->context, live, 0);
#endif
    return 1;
}

// From barrier to barrier: either all items of the group come to it, or none.
static const char *run_group(uint32_t items)
{
    for (uint32_t i = 0; i < items; i++)
        group.items[i].done = 0;
    for (uint32_t n_done = 0; n_done < items;) {
        uint32_t n_waits = 0;
        for (group.running = 0; group.running < items; group.running++) {
            struct item *item = &group.items[group.running];
            item->waits = 0;
            go(item);
            n_waits += (uint32_t)item->waits;
        }
        n_done = items - n_waits;
        if (n_waits != 0 && n_done != 0)
            return "some work-items of a group wait at a barrier, others have ended";
    }
    return NULL;
}

const char *fake_run(const struct fake_kernel *kernel, void *const *parameters, uint32_t x, uint32_t y, uint32_t items)
{
    if (items == 0 || items > MOST_ITEMS)
        return "a group of this size cannot be run";
    for (uint32_t i = 0; i < items; i++)
        if (!prepare(&group.items[i]))
            return "there is no memory for stacks";
    group.kernel = kernel;
    group.parameters = parameters;
    group.n_x = x;
    group.n_y = y;
    for (group.y = 0; group.y < y; group.y++)
        for (group.x = 0; group.x < x; group.x++) {
            const char *wrong = run_group(items);
            if (wrong)
                return wrong;
        }
    return NULL;
}

__attribute__((destructor)) static void finish(void)
{
    for (int i = 0; i < MOST_ITEMS; i++)
        free(group.items[i].stack);
}
