#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#elif defined(__riscv)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

// CPU features that the table names; set only if the operating system saves the registers too.
enum {
#if defined(__x86_64__)
    BN_CPU_AVX2 = 1 << 0,
    BN_CPU_FMA = 1 << 1,
    BN_CPU_F16C = 1 << 2,
    BN_CPU_BMI2 = 1 << 3,
    BN_CPU_AVX512 = 1 << 4, // F, BW, DQ and VL
    BN_CPU_AVX512_VNNI = 1 << 5,
    BN_CPU_AVX_VNNI = 1 << 6,
    BN_CPU_AMX = 1 << 7, // tiles of int8; needs bn_isa_permit
#elif defined(__aarch64__)
    BN_CPU_NEON = 1 << 0,
    BN_CPU_DOTPROD = 1 << 1,
    BN_CPU_I8MM = 1 << 2,
#elif defined(__riscv)
    BN_CPU_RVV = 1 << 0, // version 1.0
#endif
};

#define BN_ISA(isa, features) extern const struct bn_kernels bn_kernels_##isa;
#include "isa.inl"
#undef BN_ISA

static const struct {
    const char *name;
    const struct bn_kernels *kernels;
    uint32_t features;
} levels[] = {
#define BN_ISA(isa, features) {#isa, &bn_kernels_##isa, features},
#include "isa.inl"
#undef BN_ISA
};

#if defined(__x86_64__)
static uint32_t cpu_features(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    uint32_t basic = c, saved = 0;
    if (basic & bit_OSXSAVE) {
        uint32_t high;
        __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    }
    bool ymm = (saved & 6) == 6;       // XCR0: SSE and AVX state
    bool zmm = (saved & 0xe6) == 0xe6; // and masks, upper halves, upper registers
    bool tiles = (saved >> 17 & 3) == 3;
    if (!ymm || !(basic & bit_AVX))
        return 0;
    uint32_t features = 0;
    if (basic & bit_FMA)
        features |= BN_CPU_FMA;
    if (basic & bit_F16C)
        features |= BN_CPU_F16C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if (b & bit_AVX2)
        features |= BN_CPU_AVX2;
    if (b & bit_BMI2)
        features |= BN_CPU_BMI2;
    if (tiles && d >> 24 & d >> 25 & 1) // AMX-TILE, AMX-INT8
        features |= BN_CPU_AMX;
    uint32_t high[4];
    if (__get_cpuid_count(7, 1, &high[0], &high[1], &high[2], &high[3]) && (high[0] & 1 << 4))
        features |= BN_CPU_AVX_VNNI;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!zmm || (b & avx512) != avx512)
        return features;
    features |= BN_CPU_AVX512;
    if (c & bit_AVX512VNNI)
        features |= BN_CPU_AVX512_VNNI;
    return features;
}

// Linux gives a process tiles when asked, since they make its signal frames larger.
static bool ask_for(uint32_t features)
{
    const long request_permission = 0x1023, tile_data = 18;
    return !(features & BN_CPU_AMX) || syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

static bool brand_string(char *name)
{
    uint32_t r[12];
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]))
            return false;
    memcpy(name, r, sizeof r);
    name[sizeof r] = '\0';
    return true;
}
#elif defined(__aarch64__)
static uint32_t cpu_features(void)
{
    unsigned long have = getauxval(AT_HWCAP);
    uint32_t features = 0;
    if (have & HWCAP_ASIMD)
        features |= BN_CPU_NEON;
    if (have & HWCAP_ASIMDDP)
        features |= BN_CPU_DOTPROD;
    if (getauxval(AT_HWCAP2) & HWCAP2_I8MM)
        features |= BN_CPU_I8MM;
    return features;
}
#elif defined(__riscv)
#define HWCAP_V (1ul << ('V' - 'A'))
#define RISCV_V_GET_CONTROL 70 // of prctl, Linux 6.5
#define RISCV_V_OFF 1

// The kernel's bit alone does not say which version: old ones of some vendors set it for 0.7.1 also. There the last three bits
// of a type are two of register groups and one of the width, so that the type of 16-bit elements in single registers means
// 32 bits. The instruction runs on both.
static bool is_version_1(void)
{
    unsigned long bytes, halves;
    __asm__ volatile(".insn i 0x57, 7, %0, x0, 0" : "=r"(bytes));  // vsetvli %0, zero, e8, m1
    __asm__ volatile(".insn i 0x57, 7, %0, x0, 8" : "=r"(halves)); // vsetvli %0, zero, e16, m1
    return bytes == 2 * halves;
}

static uint32_t cpu_features(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_V))
        return 0;
    int control = prctl(RISCV_V_GET_CONTROL, 0, 0, 0, 0); // an error before Linux 6.5: nobody forbids it
    if (control >= 0 && (control & 3) == RISCV_V_OFF)
        return 0;
    return is_version_1() ? BN_CPU_RVV : 0;
}
#else
static uint32_t cpu_features(void)
{
    return 0;
}
#endif

#if !defined(__x86_64__)
static bool ask_for(uint32_t features)
{
    return true;
}

static bool brand_string(char *name)
{
    return false;
}
#endif

size_t bn_isa_list(struct bn_isa *list, size_t capacity)
{
    uint32_t have = cpu_features();
    size_t n = sizeof levels / sizeof levels[0];
    if (n > capacity)
        n = capacity;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct bn_isa){
            .name = levels[i].name,
            .kernels = levels[i].kernels,
            .usable = (levels[i].features & ~have) == 0,
        };
    return n;
}

const struct bn_isa *bn_isa_find(struct bn_isa *list, size_t n, const char *name)
{
    const struct bn_isa *found = NULL;
    for (size_t i = 0; i < n; i++)
        if (name ? strcmp(list[i].name, name) == 0 : list[i].usable)
            found = &list[i];
    return found;
}

bool bn_kernels_quantise16(const struct bn_kernels *k, const float *x, const float *norm, size_t n, float eps,
                           int8_t *high, int8_t *low, struct bn_row_scale *scales)
{
    return (k->quantise16 ? k : &bn_kernels_scalar)->quantise16(x, norm, n, eps, high, low, scales);
}

void bn_kernels_activate(const struct bn_kernels *k, const float *gate, const float *up, size_t n,
                         enum bn_op_activation activation, float *out)
{
    (k->activate ? k : &bn_kernels_scalar)->activate(gate, up, n, activation, out);
}

bool bn_isa_permit(const struct bn_isa *isa)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (levels[i].kernels == isa->kernels)
            return isa->usable && ask_for(levels[i].features);
    return false;
}

void bn_cpu_name(char *name)
{
    if (!brand_string(name))
        name[0] = '\0';
    size_t skip = strspn(name, " "), n = strlen(name + skip);
    memmove(name, name + skip, n + 1);
    while (n && name[n - 1] == ' ')
        name[--n] = '\0';
    if (n == 0)
        memcpy(name, "unknown CPU", sizeof "unknown CPU");
}
