//! The conformance cases, a line each: the id, the level, what must hold, the
//! real bugs and attacks that the case stems from, and, where the program cannot
//! do it yet, what the case waits for.

use super::{Entry, Level};

macro_rules! entries {
    ($($id:ident $level:ident $what:literal $(from $($from:literal)+)? $(waits $waits:literal)?;)+) => {
        &[$(Entry {
            id: stringify!($id),
            level: Level::$level,
            what: $what,
            from: &[$($($from),+)?],
            waits_for: entries!(@waits $($waits)?),
        }),+]
    };
    (@waits $waits:literal) => { Some($waits) };
    (@waits) => { None };
}

/// All of them, by group.
pub static ENTRIES: &[Entry] = entries! {
    L1 Core "prepare from nothing, write, commit, view: tree identical, active key gone, parent empty";
    L2 Core "prepare/view with a used key: AlreadyExists; the first object unchanged" from "containerd/nerdctl#1421" "moby/moby#44450";
    L3 Core "remove, then reuse the key as active, view and commit name: works";
    L4 Core "commit of a missing key, a view, or a committed layer: three distinct errors, no side effect";
    L5 Core "remove a layer that has children (committed or active): refused, children intact" from "moby/moby#9997";
    L6 Core "chain A←B←C: direct and transitive parents reported";
    L7 Core "labels and created/updated times persist over reopen; parent/kind/name cannot be edited";
    L8 Core "list with filters; stat and remove inside a walk do not deadlock";
    L9 Core "close twice, reopen: nothing lost" from "containerd/stargz-snapshotter#2126" "containerd/stargz-snapshotter#134";
    L10 Core "new root directory is 0755 0:0 whatever the umask; declared root mode survives commit";
    L11 Core "store directories are 0700: another host uid cannot traverse them" from "CVE-2021-41103" "CVE-2024-25621";
    L12 Core "a view refuses writes, proven by a real write" from "containerd/containerd#1368";
    L13 Core "commit while an old handle to the active layer is still open: later writes through it never reach the committed layer";
    L14 Core "two children of one parent: writes, deletes and renames in one are invisible in the other and in the parent";
    L15 Core "10 000 ids in a row: no collision, no retry loop";
    L16 Core "ids that are prefixes or substrings of one another are never confused";
    L17 Core "create from a template (copy of an active layer): equal content, empty diff" waits "mocker diff";

    F1 Core "overwrite a lower file, same and different length, five times across second boundaries: last content wins" from "moby/moby#21555";
    F2 Core "delete a lower file/dir; absent in grandchild";
    F3 Core "delete a lower dir, recreate it in the same layer: old entries gone" from "moby/moby#25244";
    F4 Core "delete in layer n, recreate in layer n+1: entries of n−1 stay gone" from "moby/buildkit#2614";
    F5 Core "replace file↔dir, symlink↔dir, dir↔file, in lower and upper" from "docker/for-linux#307";
    F6 Core "rename file over lower file, over upper file, back and forth, in cycles";
    F7 Declared "rename an (un)populated lower directory: works, or EXDEV and `mv` falls back correctly" from "moby/moby#25409" "orbstack/orbstack#2338";
    F8 Core "rename upper-created directories, also over removed lower ones (same and different children)";
    F9 Core "hard links made in one layer: one inode, right nlink, also after commit";
    F10 Declared "write through one name of a lower hard-linked pair: the other sees it, or \"break\" is declared; never two contents under one inode number" from "moby/moby#16813" "containers/storage#1258" "opencontainers/image-spec#1211";
    F11 Core "nlink does not depend on which name was looked up first" from "containers/fuse-overlayfs#435";
    F12 Declared "inode number of file and directory stable over first write, and unique in the tree" from "moby/moby#12327" "moby/moby#19647";
    F13 Declared "descriptor opened read-only before another descriptor writes: sees the write, or staleness declared (read, mmap, inotify)" from "moby/moby#10180" "moby/moby#31587" "docker/docs#3709";
    F14 Core "readdir: no duplicates, no whiteouts shown, also in opaque dirs; d_type right" from "containers/fuse-overlayfs#309" "containers/fuse-overlayfs#151";
    F15 Core "getcwd and relative paths stay valid while parents are modified" from "moby/moby#19082";
    F16 Core "open(2) matrix O_CREAT/O_EXCL/O_TRUNC/O_APPEND/O_DIRECTORY on file, dir, absent, symlink, symlink-to-symlink, dangling";
    F17 Core "permission refusals (truncate, utimes, append by another uid) do not copy up or alter anything";
    F18 Core "chown of lower dir tree and files survives commit" from "moby/moby#20240" "moby/moby#24913" "moby/moby#28391";
    F19 Core "chmod incl. setuid, setgid, sticky survives commit" from "docker/machine#3327";
    F20 Core "mode/owner of untouched directories unaffected by commit of neighbours" from "moby/moby#27298";
    F21 Core "security.capability set, changed, removed; survives commit, chown-then-setcap order, and id shifting" from "moby/moby#3845" "containers/storage#217" "moby/moby#42655";
    F22 Core "user.* xattrs (odd keys, empty values, 64 KiB limit) and POSIX ACLs survive; refusal by the backing fs is an error, not silence";
    F23 Core "mtime in ns of files, dirs, symlinks survives commit (or tar truncation is declared)" from "moby/moby#40004";
    F24 Core "1 TiB file with 8 KiB data: commit, diff, export, import in bounded time and space, still sparse (or exported with declared expansion and size guard)" from "moby/moby#5419" "moby/moby#28920" "sagemathinc/cocalc#2287";
    F25 Privileged "char/block nodes keep rdev; without privilege: clear, early error or recorded substitute" from "containers/storage#1095";
    F26 Core "FIFOs survive commit and export; nothing ever opens one (no hang)";
    F27 Core "socket files: bind, hard-link-then-connect work at run time; export skips them with a note and does not fail" from "moby/moby#12080" "contiv/vpp#823" "podman-container-tools/buildah#1888" "containers/storage#1115";
    F28 Core "names: 255 bytes, non-UTF-8, newline, backslash, leading dash, trailing space, combining characters; paths near PATH_MAX" from "docker/for-linux#484";
    F29 Core "uid/gid up to 2³²−2 at rest, in diff and in tar" from "hpc/charliecloud#1573" "golang/go#17630";
    F30 Declared "a user file called `.wh.x`: usable in the container; diff/export refuse loudly rather than turn it into a deletion" from "opencontainers/image-spec#24" "containers/fuse-overlayfs#151";
    F31 Declared "a 0:0 char device and overlay xattrs created inside the container (nested engine) are preserved or refused with reason, never interpreted by us" from "lxc/incus#3783" "google/gvisor#12941";
    F32 Core "immutable/append-only flags and a live swap file in the layer: rm clears flags and succeeds, or names the blocker" from "containers/storage#1354" "canonical/lxd#6998" "docker/for-mac#5691" "moby/moby#30392";
    F33 Declared "`cp --reflink`, fallocate, punch hole, O_TMPFILE behave as declared";
    F34 Declared "one byte appended to a 1 GiB lower file: bytes written ≤ declared unit";
    F35 Declared "chmod/chown of a 1 GiB lower file: data bytes written as declared" from "docker/for-linux#964" "openshift/origin#7289";

    D1 Core "unchanged layer: empty list" from "moby/moby#23021";
    D2 Core "A/C/D kinds and parent entries exact, at ten depths";
    D3 Core "new directory is A, never D, also under an opaque parent" from "moby/moby#37880" "docker/cli#1508" "containers/storage#141";
    D4 Core "content changed, size and mtime second equal: reported" from "moby/moby#8242" "containerd/containerd#1945";
    D5 Declared "content changed, size and mtime ns restored exactly: reported (btrfs: by generation/ctime)";
    D6 Core "only an xattr or ACL changed (mtime untouched): reported";
    D7 Core "only mtime/mode/owner changed: C, and marked \"metadata only\"" from "wagoodman/dive#305";
    D8 Core "link added, removed, re-pointed: entries and parents complete";
    D9 Core "parent dir's size-only or mtime-only change is not reported as content" from "moby/moby#9874";
    D10 Core "files made by the engine never appear in diff or commit unless the container changed them" from "podman-container-tools/buildah#4242" "AlmaLinux/docker-images#102";
    D11 Core "diff of a running container leaves it fully usable and mounts nothing writable twice" from "containerd/containerd#3145";
    D12 Overlay "kernel default redirect_dir=on: moved dir's whole content is in the diff" from "moby/buildkit#2490" "containers/storage#118" "containers/storage#224";
    D13 Overlay "metacopy=on: data present, and base not duplicated into the layer" from "containers/storage#640" "containers/storage#815";
    D14 Core "removed parent gives one deletion, not one per child; replaced dir gives delete+add in an order that applies";
    D15 Core "property test: for random trees A,B: apply(A, diff(A,B)) = B";
    D16 Core "diff of any two layers, unrelated ones too" from "moby/moby#12641" "podman-container-tools/podman#19746";
    D17 Core "same state, two runs, two machines: byte-identical tar (with SOURCE_DATE_EPOCH)" from "podman-container-tools/buildah#1294" waits "mocker export and import";
    D18 Core "diff returns without waiting for the clock";
    D19 Core "size from diff = size applied = sum of entries";
    D20 Core "volume and bind paths excluded, and the user told" from "distribution/distribution#2429";

    C1 Core "committed image contains the change; container keeps running and changing";
    C2 Core "paused during commit, resumed after success and failure; user-paused stays paused; `--pause=false` works" from "moby/moby#3675" "moby/moby#6267" "moby/moby#10932";
    C3 Core "writer that appends records with checksums during commit: image holds a consistent prefix" from "moby/moby#6267" "Glyndor/podup#914";
    C4 Core "bind mounts leave at most an empty mount point; image runs without them" from "podman-container-tools/podman#699";
    C5 Declared "commit of 10 MB, 1 GB, 10 GB changed: bytes written and time constant where `commit_cost=const`" from "moby/moby#10091" "moby/moby#6261" "moby/moby#31953";
    C6 Declared "base of 10², 10⁴, 10⁶ files: commit time flat where declared" from "containerd/containerd#6581" "containerd/containerd#4217";
    C7 Core "500 rounds run→change→commit: latency of round 500 ≤ 2× round 5, or a clear limit message" from "moby/moby#33633" "podman-container-tools/buildah#1778";
    C8 Core "16 concurrent commits from one base all succeed" from "moby/moby#44450";
    C9 Fault "SIGINT/SIGKILL during commit, then retry: succeeds, nothing left over" from "containerd/nerdctl#1421";
    C10 Core "commit onto an existing name: old image valid until the switch, then merely untagged" from "moby/moby#41983";
    C11 Fault "ENOSPC (data, then metadata) during commit: error, no partial image, container usable, rm works" from "podman-container-tools/podman#16192" "podman-container-tools/podman#25317";
    C12 Core "squash: same tree, one layer, no whiteouts, deleted secrets absent from the bytes" from "moby/moby#22641" "goldmann/docker-squash#187" "podman-container-tools/buildah#714";
    C13 Core "author, message, created_by, time in history; layer count = non-empty history count" from "podman-container-tools/buildah#7039";
    C14 Core "each `--change` instruction, quoting, env expansion; container's own config not altered";
    C15 Core "container in removing/failed state: conflict, not a broken image";

    T1 Core "`.wh.`, `.wh..`, `.wh...` and other empty/dot whiteouts rejected, tree untouched" from "opencontainers/image-spec#1301" "opencontainers/image-spec#1314" waits "mocker export and import";
    T2 Core "opaque marker applied before siblings whatever its position; affects lower layers only" from "opencontainers/image-spec#840" "opencontainers/image-spec#1215" "composefs/composefs-rs#205" waits "mocker export and import";
    T3 Core "whiteout through a symlinked parent, of a symlink, of a missing name: safe and exact" waits "mocker export and import";
    T4 Core "apply order owner → mode → xattr/caps → times; dir times last" from "opencontainers/umoci#166" "opencontainers/umoci#169" "podman-container-tools/buildah#3294" "mafintosh/tar-fs#95" waits "mocker export and import";
    T5 Core "PAX: path/link > 100 and > 255, size > 8 GiB, ns times, ids > 2²¹, xattr keys with `=`; mixed ustar/GNU" from "moby/moby#1426" "golang/go#9683" waits "mocker export and import";
    T6 Core "hard link before its target, to a symlink, to a lower-layer file" waits "mocker export and import";
    T7 Core "missing parents created with defaults; existing parents' mode/owner kept" waits "mocker export and import";
    T8 Core "duplicate entries, entry replacing an earlier one, `./` and trailing-slash forms, entry for root itself" from "opencontainers/image-spec#1301" waits "mocker export and import";
    T9 Core "junk, truncated, wrong-compression streams (none, gzip, bzip2, xz, zstd): clean error, no layer" waits "mocker export and import";
    T10 Core "mixed compression per layer, multi-member gzip" waits "mocker export and import";
    T11 Core "digest or size mismatch, malformed digest: refused before unpack" from "CVE-2024-3727" "CVE-2014-8179" waits "mocker export and import";
    T12 Core "export→import equal tree; save→load equal config, tags, history, digests" from "moby/moby#34187" "docker/cli#2891" waits "mocker export and import";
    T13 Core "zero-layer image, zero-size layer, empty diff, same layer twice in a chain" waits "mocker export and import";
    T14 Core "10⁶ entries and a 10 GiB file: memory bounded" waits "mocker export and import";
    T15 Core "overlay-private xattrs and 0:0 devices in foreign tars neutralised" waits "mocker export and import";
    T16 Core "our export is accepted by an independent unpacker, theirs by us (umoci, tar, docker/podman load)" waits "mocker export and import";
    T17 Core "directories with mode 0000 and read-only files can be diffed, exported, removed without root" waits "mocker export and import";

    R1 Core "rm while the layer is mounted in another namespace: succeeds detached, or names the holder; retry succeeds" from "moby/moby#27381" "moby/moby#22260" "moby/moby#34652" "moby/moby#35673";
    R2 Btrfs "nested subvolumes, two levels, some read-only: rm succeeds" from "moby/moby#9939" "canonical/lxd#2911";
    R3 Btrfs "snapshot of a layer holding nested subvolumes: commit contains their data or refuses; never silently empty directories" from "moby/moby#9939" "systemd/systemd#193";
    R4 Btrfs "unprivileged delete with and without user_subvol_rm_allowed; read-only subvolume" from "podman-container-tools/podman#3963" "containers/storage#508" "systemd/systemd#42048" "systemd/systemd#42678";
    R5 Btrfs "no qgroup left; file-system-wide quota state never changed by us" from "moby/moby#29325" "moby/moby#34593" "docker/for-linux#78";
    R6 Core "free space returns to baseline ±ε after rm (and after asynchronous clean-up finishes); time to return reported" from "moby/moby#27653" "moby/moby#17839";
    R7 Core "1000 create/run/rm cycles: no extra mounts, subvolumes, directories, loop devices, cgroups" from "moby/moby#38207";
    R8 Core "`check` finds every planted orphan and every planted hole; `gc` removes only unreferenced ones" from "moby/moby#9939";
    R9 Fault "rm works on a 100 % full file system" from "podman-container-tools/podman#25317" "podman-container-tools/podman#13967";
    R10 Core "rm −f of a running container kills everything and removes its cgroup";
    R11 Core "async removal: id free at once, space later, survives restart";

    K1 Fault "kill −9 at every step of prepare, commit, remove, import, squash: reopen shows old or new state" from "containers/storage#1136" "containers/storage#1148" "podman-container-tools/podman#9588";
    K2 Fault "power cut (block-level replay) after commit returned: no zero-length or missing files" from "containerd/containerd#5854" "containerd/containerd#10457" "containerd/containerd#14164" "podman-container-tools/podman#8005";
    K3 Fault "truncated/corrupted metadata: explicit error, repair rebuilds from disk" from "containers/storage#920" "moby/moby#42978";
    K4 Core "reboot simulated (all mounts gone): store usable, mounts re-made on demand" from "containerd/stargz-snapshotter#134";
    K5 Fault "damaged layer + re-import heals it" from "containerd/containerd#8973" waits "mocker pull";

    N1 Core "64 parallel prepares on one parent; 64 on the same key → exactly one wins";
    N2 Core "gc running during import or commit never deletes what they will need" from "containerd/containerd#3787";
    N3 Core "mixed storm (run, exec, diff, commit, rm) from several processes for 60 s, then `check` is clean; a killed process releases its lock" from "moby/moby#34501" "moby/moby#11390";

    M1 Core "128 layers, each touching the same paths: equals flat oracle";
    M2 Declared "as many layers as are declared work, 500 where none are, and one more is refused before mounting, with the limit" from "containers/storage#489" "moby/moby#26380" "docker/for-linux#414";
    M3 Overlay "mount data of exactly 4095, 4096, 4097 bytes" from "containers/storage#1159" "moby/buildkit#4810";
    M4 Core "store path with spaces, comma, colon, backslash, percent, 200+ bytes, symlink component";
    M5 Btrfs "metadata ENOSPC is told apart from data ENOSPC, with advice" from "moby/moby#29601" "ocurrent/ocluster#92";

    A1 Declared "exclusive + shared = what the file system charges, for 10 containers with known overlaps, with and without compression" from "moby/moby#52476" "moby/moby#38848";
    A2 Core "fresh snapshot ≈ 0 exclusive bytes; parent's figure unchanged" from "moby/moby#27653";
    A3 Declared "usage does not read file contents or walk the parent; 1 Hz polling of 50 containers stays under a CPU bound" from "containerd/containerd#4217";
    A4 Core "usage of a vanishing or missing key: NotFound, no error storm" from "containerd/containerd#2457";

    U1 Declared "whole life cycle in a user namespace" from "podman-container-tools/podman#3963" "containerd/containerd#7514" waits "running without root";
    U2 Core "probe states the mode chosen and each failed prerequisite truthfully" from "podman-container-tools/podman#10740" "moby/moby#42201";
    U3 Core "ids stored unshifted; commit under remapping keeps container-side ids and caps" from "vpsfreecz/vpsadminos#61" waits "running without root";
    U4 Core "unsupported file system: refusal with instructions; never a silent fall-back to full copies" from "podman-container-tools/podman#3846";
    U5 Btrfs "store on a subvolume, on a multi-device fs, under compress/nodatacow, below an already nested subvolume; device never found via st_dev" from "kubernetes/kubernetes#94335" "containerd/containerd#6581";
    U6 Btrfs "auto-provisioned loop file: second init is a no-op, init never formats existing data, destroy frees the loop device";
    U7 Overlay "d_type=false, nested overlay upper, noexec/nosuid store, tmpfs upper: detected and explained" from "containerd/containerd#2071";

    S1 Core "containerd's breakout set (all 34) plus umoci scoping set: nothing outside the root created, changed or chmod-ed" from "CVE-2021-32760" waits "mocker import";
    S2 Fault "symlink swapped between check and use by a racing process during unpack, diff, export, and engine file writes" from "CVE-2025-47290" "CVE-2018-15664" "podman-container-tools/podman#17528";
    S3 Core "image whose /etc, /etc/resolv.conf, /proc, /dev, /etc/passwd is a symlink (absolute, relative, to /proc/self/…, dangling) or FIFO: run/exec/commit touch nothing outside and never hang" from "CVE-2024-9676";
    S4 Core "no inherited descriptor in the container; working directory inside root checked after chdir" from "CVE-2024-21626";
    S5 Core "engine binary cannot be rewritten via /proc/self/exe of init/exec" from "CVE-2019-5736";
    S6 Core "size, entry-count, ratio, depth and time limits on unpack; sparse bombs; refusal leaves nothing" from "moby/moby#5419" waits "mocker import";
    S7 Core "names/ids/digests/tags with `../`, NUL, control characters, leading dash, 10 KiB length rejected at every entry point" from "CVE-2014-9358" "CVE-2024-3727";
    S8 Core "command, env, label, message, tag with shell metacharacters, newlines, escape codes: passed as data; terminal output escaped";
    S9 Core "nothing is executed from, or configured by, the image on the host side (helpers, labels, annotations)" from "CVE-2026-41567" "CVE-2026-53488";
    S10 Core "numeric USER beyond 2³¹, empty USER, 10⁶-line /etc/group: no overflow to root, bounded time" from "CVE-2024-40635" "CVE-2026-47262";
    S11 Btrfs "container cannot mount other subvolumes, nor use btrfs ioctls to list, create, snapshot, or delete outside its root";
};
