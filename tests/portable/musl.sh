#!/bin/sh
# musl.sh BUILD-FOLDER: the library, its tools and the kernels on musl, with Debian's musl-tools; the logits must be the same.
# Debian has no PCRE2 for musl. Its static one, made for glibc, asks the C library for nothing that musl lacks but the
# memcpy that checks sizes, which is supplied here: good for a test, not for a release.
set -eu
build=$1
cd "$(dirname "$0")/../.."
pcre2=$(pkg-config --variable=libdir libpcre2-8 2>/dev/null)/libpcre2-8.a
if ! command -v musl-gcc >/dev/null || ! test -e "$pcre2"; then
    echo "skipped: no musl-gcc (Debian: musl-tools) or no $pcre2"
    exit 77
fi
machine=$(uname -m)
mkdir -p "$build"
made=$(cd "$build" && pwd)/musl
mkdir -p "$made"
cc="musl-gcc -idirafter /usr/include -idirafter /usr/include/$machine-linux-gnu" # for the headers of the kernel

cat >"$made/checked.c" <<'END'
#include <stdlib.h>
#include <string.h>
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
    return n <= room ? memcpy(to, from, n) : (abort(), to);
}
END
$cc -O2 -fPIC -c "$made/checked.c" -o "$made/checked.o"
ar rcs "$made/libchecked.a" "$made/checked.o"
cat >"$made/libpcre2-8.pc" <<END
Name: libpcre2-8
Description: made for glibc
Version: $(pkg-config --modversion libpcre2-8)
Libs: $pcre2 $made/libchecked.a
END
cat >"$made/musl.ini" <<END
[binaries]
c = ['$(echo "$cc" | sed "s/ /', '/g")']
ar = 'ar'
strip = 'strip'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'

[properties]
pkg_config_libdir = '$made'

[host_machine]
system = 'linux'
cpu_family = '$machine'
cpu = '$machine'
endian = 'little'
END
test -e "$build/build.ninja" ||
    meson setup "$build" --cross-file "$made/musl.ini" -Dtests=false -Dwerror=true -Djansson=disabled
ninja -C "$build"

# Tests that need no Check.
program() { # NAME SOURCE...
    name=$1
    shift
    # shellcheck disable=SC2086 # words of a command
    $cc -std=c17 -O2 -D_GNU_SOURCE -ffp-contract=off -I. -Iinclude -I"$build" "$@" "$build/libbitnet.a" "$pcre2" \
        "$made/libchecked.a" -pthread -lm -o "$made/$name"
}
program logits_hash tests/portable/logits_hash.c
program cts tests/cts/*.c
program kern tests/kern/*.c
BITNET_TEST_MODELS=models "$made/logits_hash" tests/portable/expected.txt
"$made/cts" --device=cpu
"$made/cts" --device=null
"$made/kern"
"$build/tools/run/bitnet-run" -m models/stories.gguf -p "Once upon a time" -n 16 --greedy
