// THE table of instruction set levels, from oldest to newest: BN_ISA(name, CPU features it needs). Each names a table
// of kernels bn_kernels_<name>; cpu/meson.build has the row that says how its file is compiled.
BN_ISA(scalar, 0)
