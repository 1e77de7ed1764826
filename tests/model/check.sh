#!/bin/sh
# check.sh DIRECTORY MODEL [broken]: visits every reachable state of a model with spin. A model's -DBROKEN variant must be
# found faulty, which shows that the check can fail.
set -eu
command -v spin >/dev/null || { echo "skipped: spin is not installed (package spin)"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
work=$1/$2${3:+-$3}
rm -rf "$work"
mkdir -p "$work"
cd "$work"
spin ${3:+-DBROKEN} -a "$here/$2.pml"
${CC:-cc} -w -O2 -DSAFETY -o pan pan.c
./pan -m100000 >pan.log
grep -E "errors:|states, stored" pan.log
if grep -q "max search depth too small" pan.log; then exit 1; fi
expected=none
if [ "${3:-}" ]; then expected=some; fi
if grep -q "errors: 0" pan.log; then found=none; else found=some; fi
[ "$found" = "$expected" ] || { cat pan.log; exit 1; }
