// Runs a fuzz target without libFuzzer: TARGET [-runs=N] [FILE...]
// Each file is an input; then come N inputs that are random bytes, or, if there are files, changed copies of them.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define LONGEST 65536
#define MAX_FILES 256

static uint64_t state = 88172645463325252u;

static uint32_t random_below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * limit >> 32);
}

struct input {
    uint8_t *data;
    size_t bytes;
};

// An exact copy on the heap, so that sanitizers see a read beyond the end.
static void run(const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes ? bytes : 1);
    if (!copy)
        abort();
    if (bytes)
        memcpy(copy, data, bytes);
    LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
}

static int read_input(const char *path, struct input *input)
{
    FILE *file = fopen(path, "rb");
    input->data = malloc(LONGEST);
    if (!file || !input->data)
        return -1;
    input->bytes = fread(input->data, 1, LONGEST, file);
    fclose(file);
    return 0;
}

static size_t change(const struct input *input, uint8_t *out)
{
    size_t n = input->bytes;
    memcpy(out, input->data, n);
    for (uint32_t changes = random_below(8) + 1; changes > 0 && n > 0; changes--) {
        uint32_t at = random_below((uint32_t)n);
        switch (random_below(4)) {
        case 0:
            out[at] = (uint8_t)random_below(256);
            break;
        case 1:
            out[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            n = at;
            break;
        default:
            memset(out + at, random_below(2) ? 0xff : 0, n - at < 8 ? n - at : 8);
        }
    }
    return n;
}

static size_t random_bytes(uint8_t *out)
{
    size_t n = random_below(random_below(4) ? 64 : 4096);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)random_below(random_below(2) ? 256 : 128);
    return n;
}

int main(int argc, char **argv)
{
    static struct input inputs[MAX_FILES];
    static uint8_t bytes[LONGEST];
    uint32_t n_inputs = 0;
    long runs = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-runs=", 6) == 0) {
            runs = strtol(argv[i] + 6, NULL, 10);
        } else if (n_inputs == MAX_FILES || read_input(argv[i], &inputs[n_inputs]) != 0) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 2;
        } else {
            run(inputs[n_inputs].data, inputs[n_inputs].bytes);
            n_inputs++;
        }
    }
    for (long i = 0; i < runs; i++)
        run(bytes, n_inputs ? change(&inputs[random_below(n_inputs)], bytes) : random_bytes(bytes));
    for (uint32_t i = 0; i < n_inputs; i++)
        free(inputs[i].data);
    if (runs <= 0 && n_inputs == 0) {
        fprintf(stderr, "usage: %s [-runs=N] [FILE...]\n", argv[0]);
        return 2;
    }
    fprintf(stderr, "%ld inputs\n", runs + (long)n_inputs); // a target may have taken stdout away
    return 0;
}
