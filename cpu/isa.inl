// THE table of instruction set levels, from oldest to newest: BN_ISA(name, CPU features it needs). Each names a table
// of kernels bn_kernels_<name>; cpu/meson.build has the row that says how its file is compiled.
BN_ISA(scalar, 0)
#if defined(__x86_64__)
BN_ISA(avx2, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C)
BN_ISA(avx512bw, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C | BN_CPU_BMI2 | BN_CPU_AVX512)
BN_ISA(avxvnni, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C | BN_CPU_AVX_VNNI)
BN_ISA(avx512vl_vnni, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C | BN_CPU_AVX512 | BN_CPU_AVX512_VNNI)
BN_ISA(avx512vnni, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C | BN_CPU_BMI2 | BN_CPU_AVX512 | BN_CPU_AVX512_VNNI)
BN_ISA(amx, BN_CPU_AVX2 | BN_CPU_FMA | BN_CPU_F16C | BN_CPU_BMI2 | BN_CPU_AVX512 | BN_CPU_AVX512_VNNI | BN_CPU_AMX)
#elif defined(__aarch64__)
BN_ISA(neon, BN_CPU_NEON)
BN_ISA(dotprod, BN_CPU_NEON | BN_CPU_DOTPROD)
BN_ISA(i8mm, BN_CPU_NEON | BN_CPU_DOTPROD | BN_CPU_I8MM)
#elif defined(BN_HAVE_RVV) // and the compiler knows the intrinsics
BN_ISA(rvv, BN_CPU_RVV)
#endif
