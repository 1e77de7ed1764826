#!/bin/sh
# qemu.sh KERN SANITIZERS: the kernels on x86-64 machines that lack features, under user-mode emulation. The levels found must be
# the expected ones, and the tests must pass there.
kern=$1
if test "$2" != none; then
    echo "skipped: sanitizers do not run under user-mode emulation"
    exit 77
fi
for qemu in qemu-x86_64-static qemu-x86_64 ''; do
    test -n "$qemu" && command -v "$qemu" >/dev/null && break
done
if test -z "$qemu"; then
    echo "skipped: no qemu-x86_64-static or qemu-x86_64"
    exit 77
fi
failed=0
levels_are() {
    found=$("$qemu" -cpu "$1" "$kern" --levels 2>/dev/null | tr '\n' ' ')
    echo "$1: $found"
    test "$found" = "$2 " || { echo "expected: $2"; failed=1; }
}
levels_are Nehalem scalar
levels_are max,-avx2 scalar
levels_are max,-fma scalar
levels_are max,-f16c scalar
levels_are max,-xsave scalar
"$qemu" -cpu Nehalem "$kern" 2>/dev/null || failed=1
exit $failed
