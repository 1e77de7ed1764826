#!/bin/sh
# older.sh LOGITS_HASH EXPECTED SANITIZERS: the same logits on an x86-64 machine without AVX, under user-mode emulation.
if test "$3" != none; then
    echo "skipped: the sanitizers do not run under emulation"
    exit 77
fi
for qemu in qemu-x86_64-static qemu-x86_64 ''; do
    test -n "$qemu" && command -v "$qemu" >/dev/null && break
done
if test -z "$qemu"; then
    echo "skipped: no qemu-x86_64-static or qemu-x86_64"
    exit 77
fi
"$qemu" -cpu Nehalem "$1" "$2" >"$1.older" 2>&1
status=$?
cat "$1.older"
test $status = 0 || exit $status
grep -q '^cpu scalar,' "$1.older" || { echo "these are not the kernels of that machine"; exit 1; }
