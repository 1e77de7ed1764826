// What the kernels ask of their language. The same source is
// - OpenCL C 1.2 and up, compiled by the device's driver at run time,
// - PTX, by clang -x cl -target nvptx64-nvidia-cuda,
// - code objects for AMD, by clang -x cl -target amdgcn-amd-amdhsa,
// - functions of this machine, one work-item after the other, by clang -x cl -target x86_64 (SERIAL), for checks.
// Beyond vectors and address spaces nothing of OpenCL's library is used, so that no such library is needed at build time.
//
// C0 .. C5 are the constants of a variant (devices/common/lower.h). C0 is the work-items of a group.
// DOT: packed integer dot products. SUBGROUP: shuffles in subgroups. HALF: arithmetic of f16. WIDE: a CPU's vectors.
#include "shaders/constants.h"

#pragma OPENCL FP_CONTRACT OFF

#define THREADS ((uint)C0)
// Always inlined: where a compiler makes one copy of a function for one group's memory, PoCL 3.1 leaves that memory to all groups.
#define INLINE static inline __attribute__((always_inline))
#define FUNCTION static // as the compiler likes; where it compiles ahead, inlined
#define GLOBAL __global
#define LOCAL __local
#define KERNEL __kernel __attribute__((reqd_work_group_size(C0, 1, 1))) void

#if defined(__NVPTX__) || defined(__AMDGCN__) || defined(SERIAL)
#define COMPILED_AHEAD
#undef FUNCTION
#define FUNCTION INLINE
#endif

// Operands. OpenCL has memory objects and no addresses: each comes with the byte at which it begins.
#ifdef COMPILED_AHEAD
#define SPAN(type, name) GLOBAL type *name
#define OPEN(type, name)
#else
#define SPAN(type, name) GLOBAL type *name##_memory, ulong name##_at
#define OPEN(type, name) GLOBAL type *name = (GLOBAL type *)((GLOBAL uchar *)name##_memory + name##_at)
#endif

#if defined(__NVPTX__)
FUNCTION uint thread(void)
{
    return __nvvm_read_ptx_sreg_tid_x();
}
FUNCTION uint group_x(void)
{
    return __nvvm_read_ptx_sreg_ctaid_x();
}
FUNCTION uint group_y(void)
{
    return __nvvm_read_ptx_sreg_ctaid_y();
}
FUNCTION uint groups_x(void)
{
    return __nvvm_read_ptx_sreg_nctaid_x();
}
FUNCTION uint groups_y(void)
{
    return __nvvm_read_ptx_sreg_nctaid_y();
}
#define meet() __syncthreads()

#elif defined(__AMDGCN__)
// struct hsa_kernel_dispatch_packet_s: the grid in work-items, from byte 12 on.
FUNCTION uint grid(uint axis)
{
    return ((__constant const uint *)__builtin_amdgcn_dispatch_ptr())[3 + axis];
}
FUNCTION uint thread(void)
{
    return __builtin_amdgcn_workitem_id_x();
}
FUNCTION uint group_x(void)
{
    return __builtin_amdgcn_workgroup_id_x();
}
FUNCTION uint group_y(void)
{
    return __builtin_amdgcn_workgroup_id_y();
}
FUNCTION uint groups_x(void)
{
    return grid(0) / THREADS;
}
FUNCTION uint groups_y(void)
{
    return grid(1);
}
#define meet()                                                                                                         \
    do {                                                                                                               \
        __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");                                                         \
        __builtin_amdgcn_s_barrier();                                                                                  \
        __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");                                                         \
    } while (0)

#elif defined(SERIAL)
uint bn_serial_thread(void);
uint bn_serial_group(uint axis);
uint bn_serial_groups(uint axis);
void bn_serial_meet(void); // goes on with the group's next work-item until all have come here
#define thread() bn_serial_thread()
#define group_x() bn_serial_group(0)
#define group_y() bn_serial_group(1)
#define groups_x() bn_serial_groups(0)
#define groups_y() bn_serial_groups(1)
#define meet() bn_serial_meet()

#else
#define thread() ((uint)get_local_id(0))
#define group_x() ((uint)get_group_id(0))
#define group_y() ((uint)get_group_id(1))
#define groups_x() ((uint)get_num_groups(0))
#define groups_y() ((uint)get_num_groups(1))
#define meet() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#endif

// Arithmetic that is one instruction, or the library's.
#ifdef COMPILED_AHEAD
#define fma1(a, b, c) __builtin_fmaf(a, b, c)
#define sqrt1(x) __builtin_sqrtf(x)
#define round_even(x) __builtin_rintf(x)
#define magnitude(x) __builtin_fabsf(x)
#define convert(v, type) __builtin_convertvector(v, type)
FUNCTION float2 fma2(float2 a, float2 b, float2 c)
{
    return (float2)(fma1(a.x, b.x, c.x), fma1(a.y, b.y, c.y));
}
FUNCTION float4 fma4(float4 a, float4 b, float4 c)
{
    return (float4)(fma2(a.xy, b.xy, c.xy), fma2(a.zw, b.zw, c.zw));
}
FUNCTION float4 round_even4(float4 v)
{
    return (float4)(round_even(v.x), round_even(v.y), round_even(v.z), round_even(v.w));
}
#define compare_and_swap(at, old, new) __sync_val_compare_and_swap(at, old, new)
#define count_one(at) __sync_fetch_and_add(at, 1u)
#else
#define fma1(a, b, c) fma(a, b, c)
#define fma2(a, b, c) fma(a, b, c)
#define fma4(a, b, c) fma(a, b, c)
#define sqrt1(x) sqrt(x)
#define round_even(x) rint(x)
#define round_even4(v) rint(v)
#define magnitude(x) fabs(x)
#define convert(v, type) convert_##type(v)
#define compare_and_swap(at, old, new) atomic_cmpxchg(at, old, new)
#define count_one(at) atomic_inc(at)
#endif

FUNCTION uint least(uint a, uint b)
{
    return a < b ? a : b;
}
FUNCTION uint most(uint a, uint b)
{
    return a > b ? a : b;
}
FUNCTION float most_float(float a, float b)
{
    return a > b ? a : b;
}
FUNCTION float clamp_float(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

// The two halves of a word.
#if defined(COMPILED_AHEAD)
FUNCTION float2 halves(uint word)
{
    ushort low = (ushort)word, high = (ushort)(word >> 16);
    return (float2)(__builtin_load_halff((const half *)&low), __builtin_load_halff((const half *)&high));
}
#elif defined(HALF) // the device lists cl_khr_fp16; a compiler may know it all the same
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define halves(word) convert_float2(as_half2(word))
#else
FUNCTION float2 halves(uint word)
{
    return vload_half2(0, (const half *)&word);
}
#endif

// Sums of four products of bytes, and a third operand: signed ones with the codes 0 .. 3 of weights; signed ones.
#if defined(DOT) && defined(__NVPTX__)
FUNCTION int dot4(uint x, uint code, int sum)
{
    int result;
    __asm__("dp4a.s32.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(code), "r"(sum));
    return result;
}
FUNCTION int dot8(uint x, uint w, int sum)
{
    int result;
    __asm__("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(w), "r"(sum));
    return result;
}
#elif defined(DOT) && defined(__AMDGCN__) && (defined(__GFX11__) || defined(__GFX12__))
#define dot4(x, code, sum) __builtin_amdgcn_sudot4(true, (int)(x), false, (int)(code), sum, false)
#define dot8(x, w, sum) __builtin_amdgcn_sudot4(true, (int)(x), true, (int)(w), sum, false)
#elif defined(DOT) && defined(__AMDGCN__)
#define dot4(x, code, sum) __builtin_amdgcn_sdot4((int)(x), (int)(code), sum, false)
#define dot8(x, w, sum) __builtin_amdgcn_sdot4((int)(x), (int)(w), sum, false)
#elif defined(DOT) && !defined(COMPILED_AHEAD)
#define dot4(x, code, sum) ((sum) + dot_4x8packed_su_int(x, code))
#define dot8(x, w, sum) ((sum) + dot_4x8packed_ss_int(x, w))
#else
FUNCTION int byte_of(uint word, uint i)
{
    return (int)(word << (24 - 8 * i)) >> 24;
}
FUNCTION int dot8(uint x, uint w, int sum)
{
    return sum + (byte_of(x, 0) * byte_of(w, 0) + byte_of(x, 1) * byte_of(w, 1)) +
           (byte_of(x, 2) * byte_of(w, 2) + byte_of(x, 3) * byte_of(w, 3));
}
FUNCTION int dot4(uint x, uint code, int sum)
{
    return sum + (byte_of(x, 0) * (int)(code & 3) + byte_of(x, 1) * (int)(code >> 8 & 3)) +
           (byte_of(x, 2) * (int)(code >> 16 & 3) + byte_of(x, 3) * (int)(code >> 24));
}
#endif

// Subgroups: their size, a work-item's place, the value of the one whose place differs in the bits of `mask`.
#ifdef SUBGROUP
#if defined(__NVPTX__)
#define subgroup_size() 32u
#define shuffle(x, mask) ((uint)__nvvm_shfl_sync_bfly_i32(0xffffffffu, (int)(x), (int)(mask), 31))
#elif defined(__AMDGCN__)
#define subgroup_size() ((uint)__AMDGCN_WAVEFRONT_SIZE)
FUNCTION uint shuffle(uint x, uint mask)
{
    uint lane = thread() % subgroup_size();
    return (uint)__builtin_amdgcn_ds_bpermute((int)((lane ^ mask) * 4), (int)x);
}
#elif defined(cl_khr_subgroup_shuffle)
#pragma OPENCL EXTENSION cl_khr_subgroup_shuffle : enable
#define subgroup_size() ((uint)get_sub_group_size())
#define shuffle(x, mask) sub_group_shuffle_xor((uint)(x), (uint)(mask))
#elif defined(cl_intel_subgroups)
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#define subgroup_size() ((uint)get_sub_group_size())
#define shuffle(x, mask) intel_sub_group_shuffle_xor((uint)(x), (uint)(mask))
#endif
#endif
