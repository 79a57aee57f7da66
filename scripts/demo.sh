#!/usr/bin/env bash
# What `make demo` shows: from a directory to an image, a container, a commit,
# and back, in a scratch directory that is gone afterwards.
set -euo pipefail

cd "$(dirname "$0")/.."
scratch=

if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m'
else
    bold='' plain=''
fi

chapter() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
tell() { printf '%s\n' "$@"; }

# show 'COMMAND LINE': prints it as one types it, then runs it just so.
show() {
    printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"
    eval "$1"
}

# Everything that the demo made, also after a failure and after Ctrl-C.
clean_up() {
    local status=$?
    # A second Ctrl-C must not leave half of it behind.
    trap '' INT TERM HUP
    trap - EXIT
    if [ -n "$scratch" ]; then
        remove_scratch || {
            printf 'demo: could not remove %s; see the messages above\n' "$scratch" >&2
            status=1
        }
    fi
    exit "$status"
}

remove_scratch() {
    if [ -e "$MOCKER_ROOT/pool/btrfs.img" ]; then
        mocker pool destroy --force >/dev/null || return
    elif [ -d "$MOCKER_ROOT" ]; then
        # The scratch directory is on btrfs: its subvolumes go first, because
        # read-only ones cannot be removed like directories.
        local left
        mapfile -t left < <(mocker ps -q && mocker images -q)
        if [ ${#left[@]} -gt 0 ]; then mocker rm --force --wait "${left[@]}" >/dev/null || return; fi
    fi
    rm -rf --one-file-system "$scratch"
}

chapter "What it needs"
scripts/setup.sh run
tell "Everything is installed: a C compiler, btrfs-progs, a static busybox, Rust."

chapter "The program"
tell "The first build fetches and compiles some 70 packages: a few minutes."
show 'scripts/build.sh mocker'
PATH="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Whatever the reader has set, the demo shows the same.
unset MOCKER_BACKEND MOCKER_CRASH_AT

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# Not in /tmp, which is often memory.
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/mocker-demo.XXXXXX")
export MOCKER_ROOT="$scratch/root"
rootfs="$scratch/rootfs"

chapter "A root file system"
tell "A directory with the host's static busybox, one link for each of its programs," \
    "two users and /tmp. mocker keeps all it makes below MOCKER_ROOT."
mkdir -p "$rootfs"/{bin,etc,tmp,root}
cp "$(command -v busybox)" "$rootfs/bin/busybox"
for name in $("$rootfs/bin/busybox" --list); do
    [ "$name" = busybox ] || ln -s busybox "$rootfs/bin/$name"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$rootfs/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$rootfs/etc/group"
chmod 1777 "$rootfs/tmp"
cd "$scratch"
show "export MOCKER_ROOT=$(printf %q "$MOCKER_ROOT")"
show 'ls rootfs'

chapter "init: the directory becomes an image"
tell "It is copied once, faithfully, into a btrfs subvolume. With --trace, mocker says" \
    "what it does, and which kernel calls it makes."
show 'mocker --trace init rootfs --name base'

chapter "run: a command in a container"
tell "A container's tree is a writable snapshot of the image. The command sees that" \
    "tree as /, and processes, mounts and host name of its own. (--trace=story leaves" \
    "the kernel calls out: there are sixty.)"
show "mocker --trace=story run --name work base sh -c 'echo \"hello from \$(hostname)\" > /greeting'"

chapter "commit: the container's tree becomes a version of the image"
tell "One snapshot and one database transaction; the earlier version stays."
show "mocker --trace commit -m 'a greeting' --config-from image work base"

chapter "run again: what was committed is there"
show 'mocker run --rm base cat /greeting' | tee "$scratch/said"
# A container's host name is its id, and so far there is one.
if ! grep -qx "hello from $(mocker ps -q)" "$scratch/said"; then
    echo "demo: this is not the greeting that was written" >&2
    exit 1
fi

chapter "A commit costs the same after large changes"
tell "The time of the snapshot, beside the one above: nothing is copied."
show "mocker run --name heavy base sh -c 'dd if=/dev/zero of=/heavy bs=1M count=128 && sync'"
show "mocker --trace commit --config-from image heavy heavy:v1"

chapter "What there is, and away with it"
show 'mocker images'
show 'mocker ps'
show 'mocker rm work heavy base heavy:v1'
show 'mocker images -q; mocker ps -q'

chapter "Done"
tell "The greeting was written in one container, committed, and read in another." \
    "The scratch directory goes now, with the pool in it. 'make install' installs" \
    "mocker; docs/guide.md goes on from here."
