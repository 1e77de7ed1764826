#!/bin/sh
# qemu.sh KERN SANITIZERS FAMILY: which levels the kernels find on processors of that family that lack features, under user-mode
# emulation. They must be the expected ones; the least processor also runs the tests.
kern=$1 family=$3
if test "$2" != none; then
    echo "skipped: sanitizers do not run under user-mode emulation"
    exit 77
fi
for qemu in "qemu-$family-static" "qemu-$family" ''; do
    test -n "$qemu" && command -v "$qemu" >/dev/null && break
done
if test -z "$qemu"; then
    echo "skipped: no qemu-$family-static or qemu-$family"
    exit 77
fi
test "$family" = "$(uname -m)" || QEMU_LD_PREFIX=/usr/$family-linux-gnu
export QEMU_LD_PREFIX
failed=0
levels_are() {
    found=$("$qemu" -cpu "$1" "$kern" --levels 2>/dev/null | tr '\n' ' ')
    echo "$1: $found"
    test "$found" = "$2 " || { echo "expected: $2"; failed=1; }
}
case $family in
x86_64)
    levels_are Nehalem 'scalar'
    levels_are max,-avx2 'scalar'
    levels_are max,-fma 'scalar'
    levels_are max,-f16c 'scalar'
    levels_are max,-xsave 'scalar'
    "$qemu" -cpu Nehalem "$kern" 2>/dev/null || failed=1
    ;;
aarch64)
    levels_are cortex-a53 'scalar neon'
    levels_are cortex-a72 'scalar neon'
    levels_are neoverse-n1 'scalar neon dotprod'
    levels_are max 'scalar neon dotprod i8mm'
    ;;
riscv64)
    levels_are rv64 'scalar'
    levels_are rv64,v=true,vext_spec=v1.0 'scalar rvv'
    ;;
esac
exit $failed
