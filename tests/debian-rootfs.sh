#!/usr/bin/env bash
# Makes a small Debian root file system in DIR with debootstrap, as real input
# for tests. Does nothing where DIR is there already.
#
#   tests/debian-rootfs.sh DIR
#
# On a machine with apt it is the machine's own release, from the machine's own
# mirror; elsewhere it is Debian's stable release, from where debootstrap looks
# for it. DIR appears in one step: stopped before, there is none, and what was
# made so far goes with the next call.
set -euo pipefail

umask 022
# A root shell got by `su` may lack the directories of debootstrap and chroot.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# die MESSAGE WAY-OUT
die() {
    printf 'debian-rootfs: %s\n  try: %s\n' "$1" "$2" >&2
    exit 1
}

[ $# -eq 1 ] || die "one directory has to be named" "tests/debian-rootfs.sh DIR"
directory=$(realpath -m -- "$1")
unfinished="$directory.unfinished"
mkdir -p "$(dirname "$directory")"

# One at a time: whoever comes second finds it made.
exec 9<"$(dirname "$directory")"
flock 9
if [ -d "$directory" ]; then exit 0; fi

command -v debootstrap >/dev/null || die "debootstrap is missing" "scripts/setup.sh test"

# The release of this machine, where it has apt, and the mirror that apt takes
# it from.
release=
mirror=
if command -v apt-get >/dev/null && [ -e /etc/os-release ]; then
    # shellcheck disable=SC1091 # It belongs to the machine.
    release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --no-release-info --format "\$(RELEASE) \$(REPO_URI)" \
        'Created-By: Packages' 'Component: main' | awk -v release="$release" '$1 == release { print $2; exit }')
fi
if [ -z "$mirror" ]; then release=stable; fi

rm -rf --one-file-system -- "$unfinished"
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
mkdir -- "$unfinished"
# In mounts of its own: what it mounts inside goes with it, whatever ends it.
# And by another name, because debootstrap takes no path with blanks.
# shellcheck disable=SC2016 # The inner shell is to expand it.
if ! unshare --mount --propagation private sh -euc 'mount --bind -- "$1" /mnt
    shift; exec debootstrap --variant=minbase "$1" /mnt ${2:+"$2"}' \
    sh "$unfinished" "$release" "$mirror" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    if [ -e "$unfinished/debootstrap/debootstrap.log" ]; then tail -n 20 "$unfinished/debootstrap/debootstrap.log" >&2; fi
    die "debootstrap cannot make '$release' from ${mirror:-its own mirror}" "what it says above; is the mirror reachable?"
fi
# The packages are in it; the files that they came in need not be.
rm -f -- "$unfinished"/var/cache/apt/archives/*.deb
mv -T -- "$unfinished" "$directory"
