#!/bin/sh
# sysroot.sh FOLDER [yes|no, may they be fetched]: the libraries of 64-bit Arm that a cross build with all tests needs, unpacked from Debian's packages
# into FOLDER; nothing is installed, and no root is needed. FOLDER/aarch64.ini is the cross file that goes with
# tests/cross/aarch64.ini.
set -eu
packages='libpcre2-8-0 libpcre2-dev libjansson4 libjansson-dev check libsubunit0 libsubunit-dev'
skip() {
    echo "skipped: $*"
    exit 77
}
command -v aarch64-linux-gnu-gcc >/dev/null || skip "no aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu)"
for qemu in qemu-aarch64-static qemu-aarch64 ''; do
    test -n "$qemu" && command -v "$qemu" >/dev/null && break
done
test -n "$qemu" || skip "no qemu-aarch64-static or qemu-aarch64"
if test -e "$1/aarch64.ini"; then
    exit 0
fi
test "${2:-yes}" = yes || skip "the libraries are not here, and must not be fetched"
command -v apt-get >/dev/null || skip "the libraries come from Debian's packages"

mkdir -p "$1/lists/lists/partial" "$1/packages/archives/partial" "$1/root"
folder=$(cd "$1" && pwd)
arm64() {
    apt-get -q -o Dir::State="$folder/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$folder/packages" \
        -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Acquire::Languages=none "$@"
}
arm64 update || skip "apt has no lists of arm64 packages"
# shellcheck disable=SC2086 # words
(cd "$folder" && arm64 download $packages) || skip "the arm64 packages could not be had"
for package in "$folder"/*_arm64.deb "$folder"/*_all.deb; do
    test ! -e "$package" || dpkg -x "$package" "$folder/root"
done
rm -rf "$folder/lists" "$folder/packages" "$folder"/*.deb
cat >"$folder/aarch64.new" <<END
[binaries]
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = ['$qemu', '-L', '/usr/aarch64-linux-gnu']

[properties]
sys_root = '$folder/root'
pkg_config_libdir = '$folder/root/usr/lib/aarch64-linux-gnu/pkgconfig'
END
mv "$folder/aarch64.new" "$folder/aarch64.ini"
