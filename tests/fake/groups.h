// Runs the groups of a kernel on the host: a work-item is a fiber, a barrier goes to the next one. For the fake libraries of
// vendors whose kernels were compiled as C.
#ifndef TESTS_FAKE_GROUPS_H
#define TESTS_FAKE_GROUPS_H

#include <stdint.h>

// A kernel compiled as C: its name, its parameters' sizes in bytes, a call of it with pointers to them.
struct fake_kernel {
    const char *name;
    int n;
    const uint8_t *sizes;
    void (*run)(void *const *parameters);
};

extern const struct fake_kernel fake_kernels[]; // made by the build; ends with a NULL name

// What a work-item asks: shaders/portable/prelude.h, SERIAL.
uint32_t bn_serial_thread(void);
uint32_t bn_serial_group(uint32_t axis);
uint32_t bn_serial_groups(uint32_t axis);
void bn_serial_meet(void);
// matrix.c: an instruction for matrices, which all work-items of a group come to: shaders/portable/matrix.h.
void bn_serial_multiply(int instruction, const uint32_t *a, const uint32_t *b, int *d);

// Runs a whole grid; one at a time. NULL, or what the kernel did wrong.
const char *fake_run(const struct fake_kernel *kernel, void *const *parameters, uint32_t x, uint32_t y, uint32_t items);

#endif
