//! F9, F18–F29: a source that has everything, from the directory into an
//! image, a container, a committed version and an image of its own.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{bash, elsewhere, init, rootfs_at};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("f9_f18_to_f29_everything_comes_through_init_run_and_commit", from_the_same_file_system),
        case("f9_f18_to_f29_everything_comes_through_from_another_file_system", from_another_file_system),
        case("f18_to_f23_what_a_container_does_to_metadata_is_in_its_commit", changed_inside),
        case("f22_an_attribute_is_kept_or_refused_by_name", large_attribute),
        case("f24_a_tebibyte_of_hole_takes_no_space_in_any_layer", holes),
        case("f28_a_tree_deeper_than_a_path_can_say", deep),
    ]
}

/// Something of everything, in the current directory.
const EVERYTHING: &str = r#"
    umask 077
    echo hi > plain; : > empty; echo dot > .dot; mkdir .hidden ..double; echo in > .hidden/.in; : > '...'
    echo set > setid; chmod 6755 setid; mkdir -m 3777 sticky; mkdir -m 2750 setgid; echo no > unreadable; chmod 0 unreadable
    mkdir -p far/away; ln plain far/away/linked; ln plain .hidden/third; echo two > far/one; ln far/one two
    ln -s plain sym; ln -s /etc/passwd absolute; ln -s nowhere dangling; ln -s loop loop; ln sym sym-linked; ln -s $(printf %01000d 7) long
    mkfifo -m 644 fifo; ln fifo far/fifo; mknod -m 600 null c 1 3; mknod -m 660 large c 510 262143; mknod block b 7 200
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'; chmod 700 socket

    setfattr -n user.plain -v value plain; setfattr -n user.empty plain; setfattr -n user.$'\xff odd=\n' -v x plain
    setfattr -n user.binary -v 0x000aff00 plain; setfattr -n user.long -v $(printf %03000d 7) empty
    setfattr -n trusted.t -v 1 plain; setfattr -n trusted.empty far; setfattr -h -n trusted.sym -v 2 sym
    setfattr -n trusted.fifo -v 3 fifo; setfattr -n trusted.null -v 4 null; setfattr -n user.dir -v 5 .hidden
    echo acl > acl; setfacl -m u:5:rwx,g:6:r,m::rx acl; mkdir defaults; setfacl -m u:7:rx defaults
    setfacl -d -m g:6:rx,u:4294967290:rwx defaults; echo inherits > defaults/file; mkdir -m 700 defaults/directory
    cp /bin/true capable; chown 3:4 capable; chmod 4755 capable; setcap cap_net_raw,cap_net_admin+ep capable

    echo big > owned; chown 4294967294:4294967293 owned; mkdir owned-dir; chown 65534:2147483648 owned-dir
    chown -h 1234:5678 dangling; chown 11:12 fifo; chown 13:14 block; chown 15:16 socket

    truncate -s 1T huge; printf data | dd of=huge bs=1 seek=700G conv=notrunc status=none
    truncate -s 5M hole; truncate -s 1M end; printf x | dd of=end conv=notrunc status=none
    printf y | dd of=middle bs=1 seek=3M status=none; truncate -s 6000001 middle; head -c 300001 /dev/urandom > dense
    head -c 8192 /dev/zero > zeros

    echo 1 > $'new\nline'; echo 2 > $'bytes\xff\xfe'; echo 3 > ./-dash; echo 4 > 'trailing '; echo 5 > ' leading'
    echo 6 > $(printf %0255d 1); echo 7 > $'\r\t\x01\x7f'; echo 8 > '\'; echo 9 > $'\xcc\x88'; echo 10 > $'e\xcc\x81'
    echo 11 > '*'; echo 12 > '%s'; echo 13 > $'\xe2\x80\xaetxt'; ln -s $'to\n\xff' $'link\n\xff'; mkdir $'dir\n\xff '; : > $'dir\n\xff /~'

    mkdir -p closed/inside; echo deep > closed/inside/file; chmod 0 closed/inside closed
    here=$PWD; for level in $(seq 60); do mkdir $(printf %045d $level); cd -P ./$(printf %045d $level); done; echo end > end; cd $here
    mkdir -p flat; for number in $(seq 700); do echo $number > flat/$number; done

    touch -d @1.123456789 plain; touch -d 1969-12-31T23:59:59.5 sticky; touch -d 1902-01-02 dense; touch -d @0 empty
    touch -d 2038-01-19T03:14:08.000000001 far/away; touch -d 2105-06-07 .dot; touch -h -d @5.999999999 sym
    touch -h -d 1950-01-01 dangling; touch -d @7.000000007 fifo null block socket; touch -d @8.8 closed; touch -d @9.000000009 .
"#;

/// The same at the top, where the engine's own mount points have to go: they
/// must not be seen in the times, nor inherit anything that stays.
const TOP: &str = r"
    setfacl -d -m u:7:rwx etc; chmod 2775 etc; chown 0:3 etc; setfattr -n user.e -v 1 etc
    touch -d @1000000000.000000001 etc; setfattr -n user.top -v 1 .; setfacl -d -m u:9:rx .; setfacl -m u:9:rx .
    chown 0:5 .; chmod 2755 .; touch -d @999999999.999999999 .
";

fn make_at(fixture: &Fixture, place: &Path) {
    rootfs_at(fixture, place);
    let inner = place.join("everything");
    std::fs::create_dir(&inner).unwrap();
    bash(&inner, EVERYTHING);
    bash(place, TOP);
}

fn from_the_same_file_system(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    make_at(fixture, &source);
    through_everything(fixture, &source);
}

fn from_another_file_system(fixture: &Fixture) {
    let folder = elsewhere();
    let source = folder.path().join("source");
    make_at(fixture, &source);
    through_everything(fixture, &source);
}

fn through_everything(fixture: &Fixture, source: &Path) {
    let expected = oracle::look(source);
    assert!(expected.len() > 800, "{} entries are not everything", expected.len());
    for path in
        ["/everything/closed/inside/file", "/everything/trailing ", "/everything/socket", "/everything/huge"]
    {
        assert!(expected.has(path), "{path} was not made");
    }
    let assert_is = |object: &str| {
        let differences = oracle::differences(&expected, &oracle::look(&fixture.tree(object)));
        assert!(differences.is_empty(), "{object} is not as the source:\n{}", differences.join("\n"));
    };
    init(fixture, "all", source);
    assert_is("all");
    oracle::assert_equal(&expected, &oracle::look(source));

    fixture.ok(&["run", "--name", "work", "all", "true"]);
    assert_is("work");
    fixture.ok(&["commit", "work", "committed"]);
    assert_is("committed");
    assert_is("work");
    fixture.ok(&["commit", "work", "all"]);
    assert_is("all");
    // A second generation, and one that ran again.
    let read = "find /everything /etc > /dev/null && cat /everything/dense /everything/flat/* > /dev/null";
    fixture.ok(&["run", "--name", "second", "committed", "sh", "-c", read]);
    assert_is("second");
    fixture.ok(&["start", "work"]);
    fixture.ok(&["start", "second"]);
    fixture.ok(&["commit", "second", "last"]);
    for object in ["work", "second", "last", "committed", "all"] {
        assert_is(object);
    }
    fixture.ok(&["rm", "--wait", "work", "second", "last", "committed", "all"]);
    fixture.assert_consistent();
}

/// The same changes, by a container and by a shell on a plain copy.
fn changed_inside(fixture: &Fixture) {
    const CHANGES: &str = "
        cd /; chown 7:8 bin/busybox; chmod 4711 bin/busybox; chown -R 1000:1000 home; chmod 1700 var; mkdir -m 2751 new
        mkfifo new/fifo; mknod new/null c 1 3; mknod new/block b 7 9; ln -s ../etc new/link; chown -h 5:6 new/link
        ln etc/passwd new/passwd; echo more >> etc/group; rm -r home; mkdir home; mv etc/group etc/moved
        truncate -s 5M new/hole; printf x | dd of=new/hole bs=1 seek=3000000 conv=notrunc 2> log; rm log
        touch -h -d @1 new/link; touch -d @77 etc etc/* new new/fifo new/null new/block new/hole home bin bin/busybox var
        touch -d @4000000000 /";
    let plain = fixture.scratch().join("plain");
    rootfs_at(fixture, &plain);
    let mut inside = std::process::Command::new("chroot");
    inside.arg(&plain).args(["/bin/env", "PATH=/bin", "sh", "-euc", CHANGES]);
    let inside = inside.status().unwrap();
    assert!(inside.success());
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-euc", CHANGES]);
    oracle::assert_same(&plain, &fixture.tree("work"));
    fixture.ok(&["commit", "work", "base"]);
    oracle::assert_same(&plain, &fixture.tree("base"));
}

fn large_attribute(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    let watched = super::Mounted::watching(source.clone());
    rootfs_at(fixture, &source);
    // More than a block of most file systems, less than the kernel's limit.
    bash(&source, "echo x > noted; setfattr -n trusted.note -v $(printf %060000d 7) noted");
    let before = fixture.state();
    let ended =
        crate::suites::background::run(fixture, &["init", "--name", "noted", source.to_str().unwrap()]);
    if ended.code == Some(0) {
        oracle::assert_same(&source, &fixture.tree("noted"));
    } else {
        let said = ended.refused_with_a_hint();
        assert!(said.contains("'trusted.note'") && said.contains("'noted'"), "{said}");
        assert_eq!(fixture.state(), before);
        fixture.assert_consistent();
    }
    drop(watched);
}

fn holes(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(&source, "truncate -s 1T huge; printf 1 | dd of=huge bs=1 seek=1T conv=notrunc status=none");
    init(fixture, "base", &source);
    let script = "printf 2 | dd of=/huge bs=1 seek=500000000000 conv=notrunc 2> /dev/null";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    fixture.ok(&["commit", "work", "base"]);
    for (object, most) in [("work", 64), ("base", 64)] {
        let huge = std::fs::metadata(fixture.tree(object).join("huge")).unwrap();
        assert_eq!(huge.len(), (1 << 40) + 1);
        assert!(huge.blocks() <= most, "{object}: {} blocks of 512 bytes", huge.blocks());
    }
}

/// The kernel takes no path of more than 4095 bytes, but any number of steps.
fn deep(fixture: &Fixture) {
    const LEVELS: usize = 40;
    let source = fixture.rootfs();
    let step = "d".repeat(200);
    bash(
        &source,
        &format!("for level in $(seq {LEVELS}); do mkdir {step}; cd -P ./{step}; done; echo reached > end"),
    );
    init(fixture, "deep", &source);
    let descend = format!("cd /; for level in $(seq {LEVELS}); do cd -P ./{step} || exit; done; cat end");
    assert_eq!(fixture.ok(&["run", "--name", "work", "deep", "sh", "-c", &descend]), "reached");
    fixture.ok(&[
        "run",
        "--name",
        "changed",
        "deep",
        "sh",
        "-c",
        &descend.replace("cat end", "echo changed > end"),
    ]);
    fixture.ok(&["commit", "changed", "deep"]);
    assert_eq!(fixture.ok(&["run", "--rm", "deep", "sh", "-c", &descend]), "changed");
    fixture.ok(&["rm", "--wait", "work", "changed", "deep"]);
    fixture.assert_consistent();
    // Std cannot remove it.
    bash(fixture.scratch(), "rm -rf rootfs");
}
