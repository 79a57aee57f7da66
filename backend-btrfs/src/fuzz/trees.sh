#!/usr/bin/env bash
# Makes two subvolumes in a directory on btrfs that have a bit of everything in
# common and apart, and writes them to trees.bin:
#
#   backend-btrfs/src/fuzz/trees.sh /mnt/somewhere
set -euo pipefail
crate=$(cd "$(dirname "$0")/../.." && pwd)
cd "$1"

btrfs -q subvolume create work
mkdir -p work/a/b/c work/d work/e work/gone/inner
for i in $(seq 12); do echo "$i" >"work/a/$i"; done
head -c 9000 /dev/urandom >work/a/b/large
touch work/a/b/c/deep work/gone/inner/file work/e/$'bytes\xff\xfe' work/e/$'new\nline'
ln -s ../a work/e/link
mkfifo work/e/fifo
setfattr -n user.one -v value work/d
# More names in one directory than an item has room for.
long=$(printf '%0240d' 0)
for i in $(seq -w 20); do ln work/a/1 "work/d/$long$i"; done
mkdir work/mount

# The older one is changed after it was made, as where something is left out.
btrfs -q subvolume snapshot work older
rmdir older/mount
echo flattened >older/e/new
btrfs -q property set older ro true

echo more >>work/a/b/c/deep
echo more >>work/a/1
rm -r work/gone work/a/2
mv work/e work/a/e
mv work/a/3 work/a/4
mkdir work/gone
touch work/gone/again
chmod 700 work/d
mv work/a/5 work/a/five
mv work/a/five work/a/5
btrfs -q subvolume snapshot -r work newer

MOCKER_FUZZ_TREES=$PWD/newer:$PWD/older \
    cargo test --manifest-path "$crate/Cargo.toml" fuzz::record -- --ignored
btrfs -q property set older ro false
btrfs -q subvolume delete work older newer
