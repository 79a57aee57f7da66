//! The source of an image is only read: nothing in it changes, not even the
//! times at which things were last looked at.

use std::path::Path;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{Mounted, Watched, bash, elsewhere, init, rootfs_at};
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("an_init_leaves_no_mark_on_its_source", untouched),
        case("an_init_that_is_refused_leaves_no_mark_on_its_source", refused),
        case("a_source_on_a_read_only_file_system_will_do", read_only),
        case("what_is_done_to_an_image_does_not_reach_its_source", unshared),
        case("a_source_with_mounts_in_it_is_copied_as_it_is_seen", mounts_inside),
        case("f22_how_xfs_keeps_an_acl_stays_with_xfs", acl_of_xfs),
        case("an_empty_directory_makes_an_image", empty),
        case("the_directory_is_found_from_where_one_stands", relative),
    ]
}

/// Something of every type, as far as reading it could be noticed.
fn some_of_everything(place: &Path) {
    bash(
        place,
        "mkdir -p dir/inner closed; echo file > dir/inner/file; ln dir/inner/file linked; ln -s dir sym
         ln -s nowhere dangling; mkfifo fifo; mknod null c 1 3; truncate -s 1M hole; head -c 200000 /dev/urandom > dense
         setfattr -n trusted.t -v 1 dir/inner/file; setfacl -m u:5:r dense; chmod 0 closed; : > empty",
    );
}

fn untouched(fixture: &Fixture) {
    let (folder, in_memory) = (elsewhere(), fixture.scratch().join("in-memory"));
    let mounted = Mounted::watching(in_memory.clone());
    let nearby = fixture.scratch().join("nearby");
    for (name, place) in [("first", folder.path().join("source")), ("second", in_memory), ("third", nearby)] {
        rootfs_at(fixture, &place);
        some_of_everything(&place);
        let watched = Watched::new(&place);
        init(fixture, name, &place);
        watched.assert_untouched();
        // Looking at the source is what touches it; so last.
        oracle::assert_same(&place, &fixture.tree(name));
    }
    drop(mounted);
}

fn refused(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    let mounted = Mounted::watching(source.clone());
    rootfs_at(fixture, &source);
    some_of_everything(&source);
    let watched = Watched::new(&source);
    let shown = source.to_str().unwrap();
    let fifo = source.join("fifo");
    for words in [
        &["init", "--name", "Not A Name", shown][..],
        &["init", "--name", "x", fifo.to_str().unwrap()],
        &["init", "--nonsense", shown],
        // It holds the root that is asked for, which is not there yet.
        &["--root", source.join("dir/root").to_str().unwrap(), "init", shown],
        &["--root", shown, "init", shown],
    ] {
        background::run(fixture, words).refused();
        assert!(!source.join("dir/root").exists(), "{words:?} made a root");
        watched.assert_untouched();
    }
    drop(mounted);
}

fn read_only(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    let mounted = Mounted::watching(source.clone());
    rootfs_at(fixture, &source);
    some_of_everything(&source);
    bash(&source, "mount -o remount,ro .");
    init(fixture, "base", &source);
    oracle::assert_same(&source, &fixture.tree("base"));
    drop(mounted);
}

/// Where data is shared with the source, it is shared for reading only.
fn unshared(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(&source, "head -c 1000000 /dev/urandom > data; touch -d @5.5 data");
    fixture.image("base");
    let before = oracle::look(&source);
    let script = "dd if=/dev/zero of=/data bs=4096 count=10 seek=3 conv=notrunc 2> /log; rm /bin/busybox; chmod 0 /etc";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    fixture.ok(&["commit", "work", "base"]);
    oracle::assert_equal(&before, &oracle::look(&source));
    // Nor does it go the other way.
    let image = oracle::look(&fixture.tree("base"));
    bash(
        &source,
        "dd if=/dev/zero of=data bs=4096 count=10 conv=notrunc status=none; rm -r etc; chmod 0 bin",
    );
    oracle::assert_equal(&image, &oracle::look(&fixture.tree("base")));
}

fn mounts_inside(fixture: &Fixture) {
    let source = fixture.rootfs();
    let other = fixture.scratch().join("other");
    std::fs::create_dir(&other).unwrap();
    bash(&other, "echo seen > through; touch -d @1.5 through; chown 3:4 .; touch -d @2.5 .");
    bash(&source, "mkdir bound memory; echo hidden > bound/hidden");
    let bound = Mounted::bind(&other, source.join("bound"));
    let memory = Mounted::watching(source.join("memory"));
    bash(&source, "echo in memory > memory/file; touch -d @3.5 memory/file");
    init(fixture, "base", &source);
    let tree = fixture.tree("base");
    assert!(tree.join("bound/through").exists() && !tree.join("bound/hidden").exists());
    oracle::assert_same(&source, &tree);
    drop((bound, memory));
}

/// XFS lists an ACL as an attribute of its own as well, which means nothing on
/// another file system.
fn acl_of_xfs(fixture: &Fixture) {
    let (file, source) = (fixture.scratch().join("xfs.img"), fixture.scratch().join("source"));
    bash(fixture.scratch(), "truncate -s 512M xfs.img && mkfs.xfs -q xfs.img");
    let mounted = Mounted::device(&file, source.clone());
    bash(
        &source,
        "echo x > file; setfacl -m u:5:r file; mkdir dir; setfacl -d -m u:6:rwx dir; setfattr -n trusted.t -v 1 dir",
    );
    init(fixture, "base", &source);
    let tree = fixture.tree("base");
    oracle::assert_same(&source, &tree);
    // On another xfs it is there again, and right.
    let listed = "getfattr --absolute-names -R -h -d -m - . | grep SGI_ACL";
    let beside = fixture.scratch().join("beside");
    std::fs::create_dir(&beside).unwrap();
    bash(&beside, "echo x > file; setfacl -m u:5:r file");
    bash(&beside, &format!("if ! {listed}; then cd {}; ! {listed}; fi", tree.display()));
    drop(mounted);
}

fn empty(fixture: &Fixture) {
    let source = fixture.scratch().join("empty");
    std::fs::create_dir(&source).unwrap();
    bash(&source, "chmod 2711 .; chown 3:4 .; setfattr -n user.a -v 1 .; touch -d @5.000000005 .");
    init(fixture, "empty", &source);
    oracle::assert_same(&source, &fixture.tree("empty"));
    assert_eq!(fixture.mocker(&["run", "--name", "work", "empty", "sh"]).run().code, 127);
    oracle::assert_same(&source, &fixture.tree("work"));
    fixture.ok(&["commit", "work", "empty"]);
    oracle::assert_same(&source, &fixture.tree("empty"));
}

/// A relative path, one with links in it, and one that cannot be written as
/// text.
fn relative(fixture: &Fixture) {
    use std::os::unix::ffi::OsStrExt;
    let source = fixture.scratch().join(std::ffi::OsStr::from_bytes(b"odd \xff\n"));
    rootfs_at(fixture, &source);
    std::os::unix::fs::symlink(&source, fixture.scratch().join("link")).unwrap();
    for words in [&["init", "-q", "."][..], &["init", "-q", "../link"], &["init", "-q", "../link/bin/.."]] {
        let ended = background::finish(background::mocker(fixture, words).current_dir(&source));
        let id = ended.ok();
        oracle::assert_same(&source, &fixture.tree(&id));
    }
    init(fixture, "odd", &source);
    oracle::assert_same(&source, &fixture.tree("odd"));
    // The table stays a table: one line for each image.
    assert_eq!(fixture.ok(&["images"]).lines().count(), 5);
}
