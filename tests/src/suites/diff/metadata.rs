//! D4–D7, D9, D13: changes that a look at size and time does not show, and such
//! as are none of content.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use mocker_core::backend::Sparse;

use super::{assert_told, prepare};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d4_another_content_of_the_same_length_and_second_is_told,
        d4_one_byte_of_a_large_file_is_told_before_it_is_on_the_disk,
        d5_another_content_is_told_though_its_time_was_put_back,
        d6_an_attribute_alone_is_told,
        d7_metadata_alone_is_told_as_such,
        d7_another_target_of_a_symlink_is_a_change_of_content,
        d7_a_hole_in_the_place_of_zeros_is_told_where_holes_are_kept,
        d9_a_directory_that_was_only_touched_is_not_told_as_changed_content,
        d13_a_change_of_mode_leaves_the_content_where_it_is,
    ]
}

/// Docker dropped such a change on btrfs, and containerd still may.
fn d4_another_content_of_the_same_length_and_second_is_told(fixture: &Fixture) {
    prepare(fixture, "mkdir d; echo aaaa > d/f; touch -d @1000.2 d/f; touch -d @7 d");
    assert_told(fixture, "echo bbbb > d/f; touch -d @1000.7 d/f; touch -d @7 d", &["C /d", "C /d/f"]);
}

/// What two files share on the disk is not read; what is to replace it soon must
/// not be taken for it.
fn d4_one_byte_of_a_large_file_is_told_before_it_is_on_the_disk(fixture: &Fixture) {
    prepare(
        fixture,
        "head -c 8M /dev/urandom > big; cp big same; touch -d @5 big same; touch -d @7 .; sync -f .",
    );
    let edit = |at: u64| {
        format!(
            "[ \"$(tail -c +{next} big | head -c 1 | od -An -tx1)\" = ' 58' ] && byte=Y || byte=X
             printf $byte | dd of=big bs=1 seek={at} conv=notrunc status=none; touch -d @5 big
             chmod 600 same; chmod 644 same",
            next = at + 1
        )
    };
    for at in [0, 5_000_000, (8 << 20) - 1] {
        fixture.edit("work", &edit(at));
        assert_eq!(fixture.ok(&["diff", "work"]), "C /big", "byte {at}");
        fixture.ok(&["commit", "work", "base"]);
        assert_eq!(fixture.ok(&["diff", "base"]), "C /big", "byte {at}");
    }
}

fn d5_another_content_is_told_though_its_time_was_put_back(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir d; echo aaaa > d/f; echo aaaa > d/g; touch -d @1000.123456789 d/f d/g; touch -d @7 d",
    );
    assert_told(
        fixture,
        "echo bbbb > d/f; touch -d @1000.123456789 d/f
         echo cccc > d/x; touch -d @1000.123456789 d/x; mv d/x d/g; touch -d @7 d",
        &["C /d", "C /d/f", "C /d/g"],
    );
}

/// Neither Docker nor containerd compares other attributes than capabilities.
fn d6_an_attribute_alone_is_told(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir d d/dir; touch d/{changed,cap,removed,acl,set}; setfattr -n user.a -v 1 d/changed d/removed
         ln -s x d/symbolic; touch -d @7 d d/dir",
    );
    assert_told(
        fixture,
        "setfattr -n user.a -v 2 d/changed; setfattr -x user.a d/removed; setfattr -n user.b d/set
         setfacl -m u:7:r d/acl; setfacl -d -m u:7:rwx d/dir; setfattr -h -n trusted.t -v 1 d/symbolic
         setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 d/cap",
        &[
            "C /d",
            "C /d/acl\t(xattr)",
            "C /d/cap\t(xattr)",
            "C /d/changed\t(xattr)",
            "C /d/dir\t(xattr)",
            "C /d/removed\t(xattr)",
            "C /d/set\t(xattr)",
            "C /d/symbolic\t(xattr)",
        ],
    );
}

fn d7_metadata_alone_is_told_as_such(fixture: &Fixture) {
    prepare(fixture, "mkdir -p d/dir; touch d/{mode,owner,time,all}; touch -d @7 d d/dir d/all");
    assert_told(
        fixture,
        "chmod 4711 d/mode; chown 5:6 d/owner; touch -d @1.000000001 d/time; chmod 700 d/dir
         chown 5 d/all; chmod 1 d/all; touch -d @8 d/all; setfattr -n trusted.x d/all",
        &[
            "C /d",
            "C /d/all\t(mode, owner, mtime, xattr)",
            "C /d/dir\t(mode)",
            "C /d/mode\t(mode)",
            "C /d/owner\t(owner)",
            "C /d/time\t(mtime)",
        ],
    );
}

fn d7_another_target_of_a_symlink_is_a_change_of_content(fixture: &Fixture) {
    prepare(fixture, "ln -s one link; mknod device c 1 3; touch -h -d @5 link device; touch -d @7 .");
    assert_told(
        fixture,
        "ln -sfn two link; rm device; mknod device c 1 5; touch -h -d @5 link device; touch -d @7 .",
        &["C /device", "C /link"],
    );
}

fn d7_a_hole_in_the_place_of_zeros_is_told_where_holes_are_kept(fixture: &Fixture) {
    prepare(fixture, "mkdir d; head -c 1M /dev/zero > d/f; touch -d @5 d/f; touch -d @7 d");
    let expected: &[&str] = match fixture.capabilities().sparse {
        Sparse::Kept => &["C /d", "C /d/f\t(holes)"],
        // There it happens that a hole is filled, and nobody has changed anything.
        Sparse::Filled => &[],
    };
    assert_told(fixture, "fallocate -p -o 64K -l 128K d/f; touch -d @5 d/f", expected);
}

fn d9_a_directory_that_was_only_touched_is_not_told_as_changed_content(fixture: &Fixture) {
    prepare(fixture, "mkdir -p d/grown d/same; touch d/grown/x; touch -d @7 d/grown d/same d");
    assert_told(
        fixture,
        "touch d/grown/{1..500}; rm d/grown/{1..500}; touch d/same/x; rm d/same/x; touch -d @7 d/same",
        &["C /d", "C /d/grown\t(mtime)"],
    );
}

fn d13_a_change_of_mode_leaves_the_content_where_it_is(fixture: &Fixture) {
    prepare(fixture, "head -c 3M /dev/urandom > big; chmod 644 big; touch -d @5 big; touch -d @7 .");
    assert_told(fixture, "chmod 600 big; touch -d @7 .", &["C /big\t(mode)"]);
    assert_eq!(
        std::fs::read(fixture.tree("base").join("big")).unwrap(),
        std::fs::read(fixture.rootfs().join("big")).unwrap()
    );
}
