#!/bin/sh
# riscv64.sh BUILD-FOLDER: the library for 64-bit RISC-V by cross compiler; the kernels and the CPU driver under user-mode emulation,
# without V and with registers of several lengths. Debian 12 has no PCRE2 of that machine, so no model with text is run.
set -eu
build=$1
cd "$(dirname "$0")/../.."
skip() {
    echo "skipped: $*"
    exit 77
}
for tool in clang-19 ld.lld-19; do
    command -v $tool >/dev/null || skip "no $tool"
done
command -v riscv64-linux-gnu-gcc >/dev/null || skip "no libgcc (Debian: gcc-riscv64-linux-gnu)"
test -e /usr/riscv64-linux-gnu/include/stdio.h || skip "no C library (Debian: libc6-dev-riscv64-cross)"
command -v qemu-riscv64-static >/dev/null || skip "no qemu-riscv64-static"
test -e "$build/build.ninja" || meson setup "$build" --cross-file tests/cross/riscv64.ini -Dtests=false -Dwerror=true
ninja -C "$build"

program() { # NAME SOURCE...
    name=$1
    shift
    clang-19 --target=riscv64-linux-gnu -fuse-ld=lld -std=c17 -O2 -D_GNU_SOURCE -ffp-contract=off -I. -Iinclude -I"$build" \
        "$@" "$build/libbitnet.a" -pthread -lm -o "$build/$name"
}
machine() { # CPU PROGRAM ARGUMENT...
    qemu-riscv64-static -L /usr/riscv64-linux-gnu -cpu "$@"
}
program kern tests/kern/*.c
program cts tests/cts/*.c
sh tests/kern/qemu.sh "$build/kern" none riscv64
for bits in 128 256 1024; do
    echo "registers of $bits bits"
    machine "rv64,v=true,vext_spec=v1.0,vlen=$bits" "$build/kern"
done
machine rv64,v=true,vext_spec=v1.0 "$build/cts" --device=cpu
