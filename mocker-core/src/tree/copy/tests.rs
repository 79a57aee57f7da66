//! A copy beside its source, looked at with plain system calls. As root.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FileType, Mode};

use super::*;
use crate::error::ErrorKind;

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A source made by a shell script, and an empty destination beside it.
struct Pair {
    folder: tempfile::TempDir,
}

impl Pair {
    fn new(script: &str) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make devices and owners: run them as root"
        );
        // Not in a tmpfs: that has no user attributes on old kernels.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        for name in ["source", "copy"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let source = folder.path().join("source");
        let built = Command::new("bash").arg("-euc").arg(script).current_dir(source).status().unwrap();
        assert!(built.success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn copy(&self, progress: &dyn Progress) -> Result<Copied> {
        copy_tree(open(&self.path("source")).as_fd(), open(&self.path("copy")).as_fd(), progress)
    }

    fn assert_faithful(&self) {
        self.copy(&Unwatched).unwrap();
        let (source, copy) = (look(&self.path("source")), look(&self.path("copy")));
        for (path, entry) in &source {
            assert_eq!(copy.get(path), Some(entry), "{}", path.to_string_lossy());
        }
        assert_eq!(copy.len(), source.len());
    }
}

/// Everything that can be asked about an entry, as text.
fn look(top: &Path) -> BTreeMap<OsString, String> {
    let mut found = BTreeMap::new();
    let mut groups: BTreeMap<(u64, u64), OsString> = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let name = path.strip_prefix(top).unwrap().as_os_str().to_owned();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let kind = FileType::from_raw_mode(meta.mode());
        let mut line = format!(
            "{kind:?} {:o} {}:{} m{}.{:09} rdev{}",
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.rdev()
        );
        match kind {
            FileType::Directory => {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            FileType::Symlink => line += &format!(" {:?}", std::fs::read_link(&path).unwrap()),
            FileType::RegularFile => {
                line += &format!(" {} bytes {:?}", meta.len(), content(&path, meta.len()));
            }
            _ => {}
        }
        if kind != FileType::Directory && meta.nlink() > 1 {
            let group = groups.entry((meta.dev(), meta.ino())).or_insert_with(|| name.clone());
            line += &format!(" nlink{} with {group:?}", meta.nlink());
        }
        let attributes =
            Command::new("getfattr").args(["-h", "-d", "-m", "-", "-e", "hex"]).arg(&path).output().unwrap();
        let text = String::from_utf8_lossy(&attributes.stdout).into_owned();
        line += &text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
        found.insert(name, line);
    }
    found
}

/// Data by 4 KiB block; holes are left out.
fn content(path: &Path, size: u64) -> Vec<(u64, Vec<u8>)> {
    let file = std::fs::File::open(path).unwrap();
    let mut blocks = Vec::new();
    let mut at = 0;
    while let Ok(start) = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(start)).unwrap().min(size);
        let mut data = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut data, start).unwrap();
        blocks.push((start, data));
        at = end;
    }
    blocks
}

#[test]
fn everything_that_a_file_system_holds_comes_along() {
    Pair::new(
        "umask 077
         echo hi > plain; touch -d @1.123456789 plain; chmod 4751 plain; : > empty; echo x > .dot
         mkdir -m 2775 dir; mkdir -p deep/a/b/c; echo y > deep/a/b/c/f; chmod 0 deep/a
         ln plain dir/linked; ln plain deep/another; ln -s nowhere sym; chown -h 7:8 sym; touch -h -d @5.5 sym
         ln -s loop loop; ln sym symlinked
         mkfifo -m 0644 fifo; mknod -m 0600 null c 1 3; mknod block b 7 200; chown 4294967293:4294967294 fifo
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'
         setfattr -n user.a -v 1 plain; setfattr -n user.empty plain; setfattr -n trusted.t -v 2 dir
         setfattr -h -n trusted.s -v 3 sym; setfattr -n user.big -v $(printf %03000d 7) empty
         setfacl -m u:5:rwx plain; setfacl -d -m g:6:rx dir; echo z > dir/inherits
         cp /bin/true caps; chown 3:4 caps; setcap cap_net_raw+ep caps
         echo n > $'new\\nline'; echo b > $'bytes\\xff\\xfe'; echo d > -dash; echo s > 'trail '; echo 1 > $(printf %0255d 1)
         touch -d 1969-12-31 old; touch -d 2040-01-01 dir; touch -d @3.000000001 .",
    )
    .assert_faithful();
}

#[test]
fn f24_holes_stay_holes_and_a_tebibyte_of_them_is_quick() {
    let pair = Pair::new(
        "truncate -s 1T huge; printf data | dd of=huge bs=1 seek=700G conv=notrunc status=none
         truncate -s 1M end; printf x | dd of=end conv=notrunc status=none; truncate -s 5M all
         printf y | dd of=middle bs=1 seek=3M status=none; head -c 300000 /dev/urandom > dense",
    );
    pair.assert_faithful();
    let blocks = std::fs::metadata(pair.path("copy/huge")).unwrap().blocks();
    assert!(blocks <= 16, "{blocks} blocks of 512 bytes");
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long() {
    let name = "d".repeat(200);
    let pair = Pair::new(&format!(
        "for i in $(seq 40); do mkdir {name}; cd -P ./{name}; done; echo x > bottom; ln bottom again"
    ));
    let copied = pair.copy(&Unwatched).unwrap();
    assert_eq!(copied.entries, 43);
    // Removed by a program that can; std cannot either.
    assert!(
        Command::new("rm")
            .arg("-rf")
            .arg(pair.path("copy"))
            .arg(pair.path("source"))
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_source_is_not_changed() {
    let pair = Pair::new("mkdir d; echo x > d/f; touch -a -d 2001-02-03 d/f d .");
    let before = std::fs::metadata(pair.path("source/d/f")).unwrap();
    pair.copy(&Unwatched).unwrap();
    let after = std::fs::metadata(pair.path("source/d/f")).unwrap();
    let stamps =
        |meta: &std::fs::Metadata| (meta.atime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    assert_eq!(stamps(&before), stamps(&after));
}

struct Refusing(AtomicU64);

impl Progress for Refusing {
    fn entries(&self, _count: u64) -> Result<()> {
        Ok(())
    }

    fn directory(&self, _identity: (u64, u64)) -> Result<()> {
        Ok(())
    }

    fn data(&self, bytes: u64) -> Result<()> {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Interrupted, "stopped"))
    }
}

#[test]
fn the_watcher_stops_the_copy_before_the_bytes_are_written() {
    let pair = Pair::new("for i in $(seq 200); do head -c 9000 /dev/urandom > f$i; done");
    let refused = pair.copy(&Refusing(AtomicU64::new(0))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Interrupted);
    let written: u64 = look(&pair.path("copy"))
        .keys()
        .map(|name| {
            std::fs::metadata(pair.path("copy").join(name))
                .map_or(0, |meta| if meta.is_file() { meta.len() } else { 0 })
        })
        .sum();
    assert_eq!(written, 0);
}

#[test]
fn f22_an_attribute_that_the_store_cannot_hold_is_an_error_that_names_it() {
    let pair = Pair::new("echo x > f; setfattr -n user.note -v 1 f");
    // ramfs has no user attributes.
    let mounted =
        Command::new("mount").args(["-t", "ramfs", "none"]).arg(pair.path("copy")).status().unwrap();
    assert!(mounted.success());
    let outcome = pair.copy(&Unwatched);
    assert!(Command::new("umount").arg(pair.path("copy")).status().unwrap().success());
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("user.note") && error.to_string().contains("'f'"), "{error}");
    assert!(error.hint().is_some());
}

/// A tree with something of everything, and changes to it that are hard to see.
const BEFORE: &str = "
    mkdir -p d/e gone same; echo one > f; echo 1 > d/a; echo 2 > d/e/b; echo x > gone/x; echo s > same/s
    ln d/a d/e/linked; ln f twice; ln -s f sym; mkfifo fifo; mknod null c 1 3; setfattr -n user.k -v 1 d/e/b
    mkdir turns; echo t > turns/inner; echo u > becomes; chmod 4755 f; setfacl -m u:5:r d/a; truncate -s 1M hole
    find . -exec touch -h -d @1000.5 {} +";

const CHANGES: [(&str, &str); 13] = [
    ("nothing", "true"),
    ("content of the same size and time", "printf two > f; echo >> f; touch -d @1000.5 f"),
    ("an attribute", "setfattr -n user.k -v 2 d/e/b; touch -d @1000.5 d/e/b"),
    ("an attribute less", "setfattr -x user.k d/e/b"),
    ("an ACL", "setfacl -m u:5:rw d/a; touch -d @1000.5 d/a"),
    ("a link less", "rm twice; touch -d @1000.5 ."),
    ("a link more", "ln f d/third; touch -d @1000.5 d"),
    ("a link broken", "cp -a twice new; mv new twice; touch -d @1000.5 ."),
    ("types swapped", "rm -r turns; echo n > turns; rm becomes; mkdir becomes; echo m > becomes/m"),
    ("a directory's mode, owner and time", "chmod 700 same; chown 7:8 d; touch -d @2 d/e"),
    (
        "a directory's attributes",
        "setfattr -n user.d -v 1 d; setfacl -d -m u:5:rwx same; touch -d @1000.5 d same",
    ),
    ("things gone", "rm -r gone sym fifo; touch -d @1000.5 ."),
    (
        "a link retargeted, a device another",
        "ln -sfn d sym; rm null; mknod null c 1 5; touch -h -d @1000.5 sym null .",
    ),
];

#[test]
fn merging_makes_equal_whatever_differs() {
    for (what, change) in CHANGES {
        for newer in ["source", "copy"] {
            let pair = Pair::new(BEFORE);
            let run = |script: &str, at: &str| {
                let built = Command::new("bash").arg("-euc").arg(script).current_dir(pair.path(at)).status();
                assert!(built.unwrap().success(), "{what}");
            };
            run(BEFORE, "copy");
            run(change, newer);
            merge_tree(open(&pair.path("source")).as_fd(), open(&pair.path("copy")).as_fd(), &Unwatched)
                .unwrap();
            let (source, copy) = (look(&pair.path("source")), look(&pair.path("copy")));
            for (path, entry) in &source {
                assert_eq!(
                    copy.get(path),
                    Some(entry),
                    "{what}, {newer} changed: {}",
                    path.to_string_lossy()
                );
            }
            assert_eq!(copy.len(), source.len(), "{what}, {newer} changed");
        }
    }
}

#[test]
fn merging_does_not_touch_what_is_equal() {
    let pair = Pair::new(BEFORE);
    pair.copy(&Unwatched).unwrap();
    let changed = || -> BTreeMap<PathBuf, (u64, i64, i64)> {
        let walk = walkdir::WalkDir::new(pair.path("copy"));
        walk.into_iter()
            .map(|entry| {
                let entry = entry.unwrap();
                let meta = entry.metadata().unwrap();
                (entry.into_path(), (meta.ino(), meta.ctime(), meta.ctime_nsec()))
            })
            .collect()
    };
    let before = changed();
    std::fs::write(pair.path("source/same/new"), "").unwrap();
    let copied =
        merge_tree(open(&pair.path("source")).as_fd(), open(&pair.path("copy")).as_fd(), &Unwatched).unwrap();
    assert_eq!(copied.bytes + copied.reflinked, 0);
    let after = changed();
    let touched: Vec<_> = after.iter().filter(|(path, look)| before.get(*path) != Some(look)).collect();
    let expected = [pair.path("copy/same"), pair.path("copy/same/new")];
    assert_eq!(touched.into_iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), expected);
}
