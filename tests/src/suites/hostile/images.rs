//! S3: an image in which a place that the engine mounts on or reads is
//! something else. A run works or says what is wrong; it never hangs, and
//! nothing outside is touched.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("s3_etc_is_something_else", |fixture| every_kind(fixture, "etc")),
        case("s3_resolv_conf_is_something_else", |fixture| every_kind(fixture, "etc/resolv.conf")),
        case("s3_hosts_is_something_else", |fixture| every_kind(fixture, "etc/hosts")),
        case("s3_hostname_is_something_else", |fixture| every_kind(fixture, "etc/hostname")),
        case("s3_passwd_is_something_else", |fixture| every_kind(fixture, "etc/passwd")),
        case("s3_group_is_something_else", |fixture| every_kind(fixture, "etc/group")),
        case("s3_proc_is_something_else", |fixture| every_kind(fixture, "proc")),
        case("s3_sys_is_something_else", |fixture| every_kind(fixture, "sys")),
        case("s3_dev_is_something_else", |fixture| every_kind(fixture, "dev")),
        case("s3_what_lies_in_dev_is_covered", inside_dev),
        case("s3_links_inside_the_image_are_followed_inside", harmless_links),
        case("s10_a_user_database_without_end", endless_database),
    ]
}

/// Nothing that has to do with such an image may take longer.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Files of the host that no container may reach.
pub(super) struct Outside {
    pub(super) top: PathBuf,
    before: oracle::Tree,
    changed: i64,
}

impl Outside {
    pub(super) fn new(fixture: &Fixture) -> Self {
        let top = fixture.scratch().join("outside");
        fs::create_dir_all(top.join("etc")).unwrap();
        for name in
            ["file", "etc/resolv.conf", "etc/hosts", "etc/hostname", "resolv.conf", "hosts", "hostname"]
        {
            // Empty ones are what the engine may remove in a tree of its own.
            fs::write(top.join(name), if name == "file" { "root:x:0:0::/:/bin/sh\n" } else { "" }).unwrap();
        }
        for name in ["proc", "sys", "dev"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        Self { before: oracle::look(&top), changed: newest_change(&top), top }
    }

    #[track_caller]
    pub(super) fn assert_untouched(&self, during: &str) {
        let differences = oracle::differences(&self.before, &oracle::look(&self.top));
        assert!(differences.is_empty(), "{during}: the host's files have changed: {differences:?}");
        assert_eq!(newest_change(&self.top), self.changed, "{during}: the host's files were written to");
    }
}

/// The latest time of change of any inode, which nobody can set back.
fn newest_change(top: &Path) -> i64 {
    let own = fs::symlink_metadata(top).unwrap();
    let entries = if own.is_dir() { fs::read_dir(top).unwrap().flatten().collect() } else { Vec::new() };
    let below = entries.iter().map(|entry| newest_change(&entry.path())).max();
    below.unwrap_or_default().max(own.ctime() * 1_000_000_000 + own.ctime_nsec())
}

/// What something is instead of what it should be, and how it is made.
type Kind = (String, Box<dyn Fn(&Path)>);

/// Ways to be something else than what is expected.
fn kinds(outside: &Path) -> Vec<Kind> {
    let up = "../".repeat(30);
    let shown = outside.display();
    let targets = [
        format!("{shown}"),
        format!("{shown}/etc"),
        format!("{shown}/file"),
        format!("{shown}/missing"),
        format!("{up}{shown}"),
        format!("{up}{shown}/file"),
        format!("/proc/self/root{shown}/file"),
        format!("/proc/1/root{shown}"),
        format!("/proc/self/cwd{shown}/file"),
        "/proc/self/fd/0".to_owned(),
        "/proc/self/exe".to_owned(),
        "/proc".to_owned(),
        "/".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "nowhere".to_owned(),
        "itself".to_owned(),
    ];
    let link = |target: String| -> Kind {
        let made = target.clone();
        let make = move |path: &Path| {
            let own_name = path.file_name().unwrap().to_str().unwrap();
            symlink(if made == "itself" { own_name } else { &made }, path).unwrap();
        };
        (format!("a link to '{target}'"), Box::new(make))
    };
    let node = |kind: FileType, name: &str| -> Kind {
        // The device is the host's own null, 1:3, which does no harm.
        let device = if kind == FileType::CharacterDevice { rustix::fs::makedev(1, 3) } else { 0 };
        let make = move |path: &Path| mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), device).unwrap();
        (name.to_owned(), Box::new(make))
    };
    let mut kinds: Vec<_> = targets.into_iter().map(link).collect();
    kinds.push(node(FileType::Fifo, "a FIFO"));
    kinds.push(node(FileType::Socket, "a socket"));
    kinds.push(node(FileType::CharacterDevice, "a device"));
    kinds.push(("a directory".to_owned(), Box::new(|path| fs::create_dir(path).unwrap())));
    kinds.push((
        "a directory that is not empty".to_owned(),
        Box::new(|path| fs::create_dir_all(path.join("full/of")).unwrap()),
    ));
    kinds.push(("an empty file".to_owned(), Box::new(|path| fs::write(path, "").unwrap())));
    kinds.push(("a file".to_owned(), Box::new(|path| fs::write(path, "not what you think").unwrap())));
    kinds.push(("missing".to_owned(), Box::new(|_| {})));
    kinds
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Makes an image small that is made many times.
fn keep_only(directory: &Path, names: &[&str]) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if !names.iter().any(|name| entry.file_name() == *name) {
            remove(&entry.path());
        }
    }
}

fn every_kind(fixture: &Fixture, place: &str) {
    let outside = Outside::new(fixture);
    let rootfs = fixture.rootfs();
    keep_only(&rootfs.join("bin"), &["busybox", "sh", "true"]);
    for (number, (kind, make)) in kinds(&outside.top).into_iter().enumerate() {
        let what = format!("/{place} is {kind}");
        remove(&rootfs.join(place));
        make(&rootfs.join(place));
        let name = format!("image{number}");
        // As somebody who has to be looked up, where it is about that.
        let users: &[&str] = if place.ends_with("passwd") || place.ends_with("group") {
            &["nobody", "0:nogroup"]
        } else {
            &["0"]
        };
        fixture.ok(&["init", "--name", &name, rootfs.to_str().unwrap()]);
        outside.assert_untouched(&what);
        for user in users {
            try_it(fixture, &name, user, &what);
            outside.assert_untouched(&what);
        }
        fixture.ok(&["rm", &name]);
    }
    fixture.assert_consistent();
}

/// Runs and commits; what works must leave nothing of ours, and what is refused
/// before it starts leaves no container.
fn try_it(fixture: &Fixture, image: &str, user: &str, what: &str) {
    let words = ["run", "--name", "work", "-u", user, image, "true"];
    let ended = background::start(&mut background::mocker(fixture, &words)).end_within(LIMIT);
    if ended.code != Some(0) {
        assert_eq!(ended.code, Some(125), "{what}: {ended:?}");
        let said = ended.refused_with_a_hint();
        assert!(
            said.contains("/etc") || said.contains("/proc") || said.contains("/sys") || said.contains("/dev"),
            "{what}: {said}"
        );
    }
    if fixture.record("work").is_none() {
        assert_eq!(ended.code, Some(125), "{what}: it ran, and is gone");
        fixture.assert_consistent();
        return;
    }
    // Started or not, the container's tree is the image's, and a commit is the container's.
    let [of_image, of_work] = [image, "work"].map(|name| oracle::look(&fixture.tree(name)));
    let differences = oracle::differences(&of_image, &of_work);
    assert!(differences.is_empty(), "{what}: the run left something: {differences:?}");
    let commit = ["commit", "work", "committed"];
    background::start(&mut background::mocker(fixture, &commit)).end_within(LIMIT).ok();
    let differences = oracle::differences(&of_work, &oracle::look(&fixture.tree("committed")));
    assert!(differences.is_empty(), "{what}: the commit differs: {differences:?}");
    fixture.ok(&["rm", "work", "committed"]);
}

fn inside_dev(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    let dev = fixture.rootfs().join("dev");
    remove(&dev);
    fs::create_dir(&dev).unwrap();
    for name in ["null", "zero", "ptmx", "shm", "pts", "mqueue", "fd", "stdout", "core", "tty"] {
        symlink(outside.top.join("file"), dev.join(name)).unwrap();
    }
    fixture.image("base");
    let script = "echo lost > /dev/null; test -c /dev/null && test -d /dev/shm && echo seen > /dev/stdout";
    assert_eq!(fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]), "seen");
    outside.assert_untouched("a run");
    let differences =
        oracle::differences(&oracle::look(&fixture.tree("base")), &oracle::look(&fixture.tree("work")));
    assert!(differences.is_empty(), "{differences:?}");
}

fn harmless_links(fixture: &Fixture) {
    let rootfs = fixture.rootfs();
    for name in ["resolv.conf", "hosts", "hostname"] {
        remove(&rootfs.join("etc").join(name));
    }
    fs::create_dir_all(rootfs.join("var/real")).unwrap();
    fs::write(rootfs.join("var/real/hosts"), "of the image").unwrap();
    symlink("/var/real/hosts", rootfs.join("etc/hosts")).unwrap();
    // As systemd-resolved has it: it dangles until something runs.
    symlink("../run/systemd/resolve/stub-resolv.conf", rootfs.join("etc/resolv.conf")).unwrap();
    fixture.image("base");
    let words =
        ["run", "--name", "work", "base", "sh", "-c", "cat /etc/hosts /var/real/hosts; cat /etc/resolv.conf"];
    let out = fixture.ok(&words);
    assert!(out.contains("127.0.1.1") && !out.contains("of the image"), "{out}");
    let differences =
        oracle::differences(&oracle::look(&fixture.tree("base")), &oracle::look(&fixture.tree("work")));
    assert!(differences.is_empty(), "the run left something: {differences:?}");
}

fn endless_database(fixture: &Fixture) {
    let passwd = fixture.rootfs().join("etc/passwd");
    for size in [1_u64 << 40, 64 << 20] {
        let file = fs::File::create(&passwd).unwrap();
        file.set_len(size).unwrap();
        fixture.image("base");
        for user in ["0", "nobody", "1000"] {
            let words = ["run", "--rm", "-u", user, "base", "true"];
            let ended = background::start(&mut background::mocker(fixture, &words)).end_within(LIMIT);
            assert!(ended.code == Some(0) || ended.refused().contains("/etc/passwd"), "{ended:?}");
        }
    }
    for user in ["4294967295", "4294967296", "-1", "99999999999999999999", "0x0", "2147483648:99999999999"] {
        let ended = background::run(fixture, &["run", "--rm", "-u", user, "base", "id", "-u"]);
        assert_ne!(ended.code, Some(0), "-u {user} ran as {:?}", String::from_utf8_lossy(&ended.out));
        ended.refused();
    }
}
