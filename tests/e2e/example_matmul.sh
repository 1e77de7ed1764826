#!/bin/sh
# The low-level example prints what its comment says.
set -eu
printf '%s\n' -96 -93 -90 -87 >"$2.expected"
"$1" cpu >"$2.printed"
cmp "$2.expected" "$2.printed"
