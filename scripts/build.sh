#!/usr/bin/env bash
# Compiles packages for release and leaves their programs in target/release.
#
#   scripts/build.sh mocker [mocker-conformance] [mocker-bench]
#
# The C library is linked in. Loading and binding three libraries takes 0.9 ms
# at each start of the program, of which `run` needs two; the start of a
# container is one of the things that mocker is measured by ('make bench').
# cargo applies such a flag to its own plugins as well, which must not have it,
# unless the target is named; hence more than 'cargo build --release', whose
# program does the same and starts later.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
flags=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUSTFLAGS
export "$flags=${!flags:-} -C target-feature=+crt-static"

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/release"
for program in "$@"; do
    # One by one: the conformance kit wants crash points in the core, and cargo would
    # give them to all that it builds with it.
    "${CARGO:-cargo}" build --locked --release --target "$host" --package "$program"
    ln -f "$target/$host/release/$program" "$target/release/$program"
done
