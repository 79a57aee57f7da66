#!/usr/bin/env bash
# Installs what this machine lacks for one purpose, after a look at Rust and the
# kernel. Does nothing, quickly, where everything is there.
#
#   scripts/setup.sh build   compile mocker
#   scripts/setup.sh run     compile and run it, and the demo
#   scripts/setup.sh test    compile, run and test it
#   scripts/setup.sh bench   compile it, and time it beside its peers
#
# Rust is looked for, never installed. Root is needed where something has to be
# installed, and for everything but `build`, because what comes next needs it.
set -euo pipefail

cd "$(dirname "$0")/.."
# A root shell got by `su` may lack the directories of mkfs.btrfs and modprobe.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

what=${1:-}
manager=
reasons=()
packages=()

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE [WAY-OUT…]
die() {
    printf 'setup: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '  try: %s\n' "$@" >&2; fi
    exit 1
}

# has PROGRAM…: whether all of them are on the PATH.
has() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || return 1
    done
}

# --- What no package brings ---

check_user() {
    if [ "$(uname -s)" != Linux ]; then
        die "mocker needs Linux, and this is $(uname -s)" "a virtual machine with Debian, Ubuntu, Fedora or Arch"
    fi
    if [ "$what" != build ] && [ "$(id -u)" -ne 0 ]; then
        # sudo hides ~/.cargo/bin, and the home that rustup looks into. CARGO_HOME is
        # not handed on, or root's downloads would lie in the user's own.
        # shellcheck disable=SC2016 # The reader's own shell is to expand it.
        die "root is needed: mocker mounts, makes namespaces and keeps owners" \
            'sudo env "PATH=$PATH" "RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}" make …'
    fi
}

check_rust() {
    local wanted found oldest hint home
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    hint="https://rustup.rs, or the distribution's package if that is rustc $wanted or newer"
    if ! has cargo rustc; then
        home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
        if [ -x "$home/.cargo/bin/cargo" ]; then
            die "Rust is in $home/.cargo, but not on the PATH" \
                "env \"PATH=$home/.cargo/bin:\$PATH\" RUSTUP_HOME=$home/.rustup make …"
        fi
        die "Rust (cargo and rustc) is missing, and this script does not install it" "$hint"
    fi
    if ! found=$(cargo --version 2>&1) || ! found=$(rustc --version 2>&1); then
        die "cargo or rustc does not start: $found" \
            "'rustup default stable'; under sudo, hand RUSTUP_HOME on"
    fi
    found=${found#rustc }
    found=${found%% *}
    oldest=$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)
    if [ "$oldest" != "$wanted" ]; then
        die "rustc is $found, and mocker needs $wanted or newer" "'rustup update stable'" "$hint"
    fi
}

has_btrfs() { grep -qw btrfs /proc/filesystems; }
has_loop() { [ -e /dev/loop-control ]; }

# loads MODULE CHECK: whether CHECK holds, at the latest after loading MODULE.
loads() { "$2" || { has modprobe && modprobe "$1" 2>/dev/null && "$2"; }; }

check_kernel() {
    if ! loads btrfs has_btrfs; then
        die "this kernel ($(uname -r)) has no btrfs" \
            "'modprobe btrfs', which says why it fails" \
            "the distribution's full kernel (some cloud kernels leave btrfs out, and those of Red Hat do)" \
            "'modprobe btrfs' on the host, if this is a container"
    fi
    if ! loads loop has_loop; then
        die "this machine has no loop devices (/dev/loop-control)" \
            "'modprobe loop', which says why it fails" \
            "--privileged, if this is a container"
    fi
}

# --- What packages bring ---

# need WHY DEBIAN-PACKAGES FEDORA-PACKAGES ARCH-PACKAGES CHECK…: notes the
# packages down unless the command CHECK… says that they are not needed.
need() {
    local why=$1 names=$2 package
    case "$manager" in
    dnf) names=$3 ;;
    pacman) names=$4 ;;
    esac
    shift 4
    if "$@"; then return; fi
    reasons+=("$(printf '%-36s %s' "$names" "$why")")
    for package in $names; do packages+=("$package"); done
}

# A compiler without headers is of no use, nor is one that cannot link.
compiles() {
    has cc && printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        cc -x c -o /dev/null - 2>/dev/null
}

# Whether a program can have the C library in it.
links_statically() {
    has cc && printf 'int main(void) { return 0; }\n' | cc -static -x c -o /dev/null - 2>/dev/null
}

# Where the distributions keep what cargo checks crates.io's certificate with.
has_certificates() {
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ]
}

# The surest sign of a static program is that it runs where no library is.
has_static_busybox() {
    local busybox directory outcome=0
    busybox=$(command -v busybox) || return 1
    directory=$(mktemp -d)
    cp "$busybox" "$directory/busybox"
    chroot "$directory" /busybox true 2>/dev/null || outcome=1
    rm -r "$directory"
    return "$outcome"
}

# debootstrap checks what it fetches against Debian's keys.
has_debootstrap() {
    has debootstrap && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]
}

look() {
    reasons=()
    packages=()
    need "compiles SQLite, and links" "gcc libc6-dev" gcc gcc compiles
    need "puts the C library into the program" libc6-dev glibc-static glibc links_statically
    need "cargo fetches packages with them" ca-certificates ca-certificates ca-certificates has_certificates
    if [ "$what" = build ]; then return; fi

    need "formats the storage pool" btrfs-progs btrfs-progs btrfs-progs has mkfs.btrfs btrfs
    need "makes a small root file system" busybox-static busybox busybox has_static_busybox
    if [ "$what" = run ]; then return; fi

    need "mounts, loop devices, namespaces" "util-linux mount" util-linux util-linux \
        has mount umount losetup findmnt unshare nsenter setpriv
    if [ "$what" = bench ]; then
        need "a container runtime to compare with" crun crun crun has crun
        need "a sandbox to compare with" bubblewrap bubblewrap bubblewrap has bwrap
        need "a file system for overlays" e2fsprogs e2fsprogs e2fsprogs has mkfs.ext4
        return
    fi

    need "makes a Debian root file system" "debootstrap debian-archive-keyring" \
        "debootstrap debian-keyring" "debootstrap debian-archive-keyring" has_debootstrap
    need "debootstrap is written for it" perl-base perl-interpreter perl has perl
    need "a file system to copy from" xfsprogs xfsprogs xfsprogs has mkfs.xfs
    need "a file system to keep a pool on" e2fsprogs e2fsprogs e2fsprogs has mkfs.ext4 chattr
    need "access control lists" acl acl acl has setfacl getfacl
    need "extended attributes" attr attr attr has setfattr getfattr
    need "file capabilities" libcap2-bin libcap libcap has setcap getcap
    need "test scripts look for files with it" findutils findutils findutils has find xargs
    need "makes a socket file" python3 python3 python has python3
}

# run COMMAND…: shows the command, and its output only where it fails.
run() {
    local log status=0
    say "  \$ $*"
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then cat "$log" >&2; fi
    rm "$log"
    return "$status"
}

install() {
    case "$manager" in
    apt-get)
        export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
        # A source that cannot be reached need not matter; the next step tells.
        run apt-get -q update || say "setup: not all package lists are up to date; going on"
        # A fresh virtual machine is often busy updating itself: wait for it.
        run apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "${packages[@]}"
        ;;
    dnf)
        run dnf -y --setopt=install_weak_deps=False install "${packages[@]}"
        ;;
    pacman)
        # A new machine may have no package lists yet.
        run pacman -S --noconfirm --needed "${packages[@]}" || run pacman -Sy --noconfirm --needed "${packages[@]}"
        ;;
    esac
}

install_missing() {
    local candidate
    for candidate in apt-get dnf pacman; do
        if has "$candidate"; then
            manager=$candidate
            break
        fi
    done
    look
    if [ ${#packages[@]} -eq 0 ]; then return; fi
    say "To $what mocker, this machine lacks:"
    printf '  %s\n' "${reasons[@]}" >&2
    if [ -z "$manager" ]; then
        die "there is neither apt-get nor dnf nor pacman" "installing these (the names are Debian's) by hand, then again"
    fi
    if [ "$(id -u)" -ne 0 ]; then
        die "installing needs root" "sudo $0 $what, then again"
    fi
    say "Installing with $manager:"
    install || die "$manager failed" "what it says above, then again"
    hash -r
    look
    if [ ${#packages[@]} -gt 0 ]; then
        printf '  %s\n' "${reasons[@]}" >&2
        die "still missing, although $manager succeeded"
    fi
}

case "$what" in
build | run | test | bench) ;;
*) die "no such purpose: '$what'" "one of build, run, test, bench" ;;
esac
check_user
check_rust
if [ "$what" != build ]; then check_kernel; fi
install_missing
# It brings much along, and is only one more to compare with.
if [ "$what" = bench ] && ! has podman; then
    say "setup: podman is not installed, and its rows are left out; its package is called podman"
fi
