//! F19–F21, F23, F29, F33: modes, owners, capabilities, times and space go
//! through layers as they were set.

use rustix::fs::{FileType, makedev};

use crate::cases;
use crate::edit::Edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::Action;

use super::{
    LAYER, append, chmod, chown, link, make_directory, make_file, make_node, make_symlink, play,
    remove_attribute, remove_directory, rename, set_attribute, unlink, write,
};

pub(super) fn cases() -> Vec<Case> {
    cases![
        f19_all_twelve_bits_of_a_mode_survive,
        f20_a_directory_keeps_owner_and_mode_when_neighbours_change,
        f21_capabilities_of_files_survive,
        f23_times_survive_to_the_nanosecond,
        f29_the_highest_ids_survive,
        f33_space_is_taken_shared_and_given_back_as_by_the_file_system,
    ]
}

/// docker-machine lost set-id bits in its images.
fn f19_all_twelve_bits_of_a_mode_survive(fixture: &Fixture) {
    let modes = || (0..12).map(|bit| 1 << bit).chain([0, 0o7777, 0o4755, 0o2755, 0o1777, 0o6711]);
    let mut story = Vec::new();
    for mode in modes() {
        story.extend([make_file(format!("f{mode:o}")), make_directory(format!("d{mode:o}"))]);
    }
    // In the layer where they are made, and over it.
    let set = |kind: char| modes().map(move |mode| chmod(format!("{kind}{mode:o}"), mode));
    story.extend(set('f'));
    story.extend([LAYER]);
    story.extend(set('d'));
    story.push(LAYER);
    story.extend(modes().map(|mode| chmod(format!("f{mode:o}"), 0o7777 - mode)));
    story.push(LAYER);
    // An owner takes the set-id bits off a program, and a write too unless root does it.
    story.extend([chmod("f0", 0o6755), chown("f0", 7, 7), append("f0", 1), LAYER]);
    story.extend([chmod("f0", 0o6755), append("f0", 1), LAYER, append("f0", 1)]);
    play(fixture, &story);
}

/// A commit by Docker gave directories another owner, because what was changed was
/// in them.
fn f20_a_directory_keeps_owner_and_mode_when_neighbours_change(fixture: &Fixture) {
    let mut story = Vec::new();
    for (name, mode, owner) in
        [("a", 0o2750, 10), ("a/b", 0o700, 20), ("a/b/c", 0o1777, 30), ("other", 0o511, 40)]
    {
        story.extend([make_directory(name), chown(name, owner, owner + 1), chmod(name, mode)]);
    }
    story.extend([
        make_file("a/b/c/file"),
        make_file("a/b/gone"),
        chown(".", 3, 4),
        chmod(".", 0o751),
        LAYER,
    ]);
    story.extend([append("a/b/c/file", 1), LAYER]);
    story.extend([unlink("a/b/gone"), make_file("a/b/new"), LAYER]);
    story.extend([make_directory("a/b/c/d"), rename("a/b/new", "a/new"), make_file("beside"), LAYER]);
    story.extend([remove_directory("a/b/c/d"), unlink("beside")]);
    play(fixture, &story);
}

const CAPABILITY: &str = "security.capability";

/// Capabilities as the attribute keeps them (`vfs_ns_cap_data` of
/// linux/capability.h): permitted ones and the flag "effective", for all users, or
/// for user namespaces whose root has this id.
fn capability(permitted: u32, root: Option<u32>) -> Vec<u8> {
    let revision: u32 = if root.is_some() { 0x0300_0001 } else { 0x0200_0001 };
    let mut value = Vec::new();
    for word in [revision, permitted, 0, 0, 0].into_iter().chain(root) {
        value.extend(word.to_le_bytes());
    }
    value
}

/// Docker's aufs and the storage library lost capabilities in commits and when
/// ids were shifted; BuildKit by the order in which owner and attribute were set.
fn f21_capabilities_of_files_survive(fixture: &Fixture) {
    let (raw, admin, shifted) =
        (capability(1 << 13, None), capability(1 << 12, None), capability(1 << 13, Some(100_000)));
    let names = ["set", "changed", "removed", "chowned", "written", "shifted"];
    let mut story: Vec<Action> = names.into_iter().map(make_file).collect();
    // A change of owner takes a capability away, so what counts is the order.
    story.extend([
        chown("set", 1000, 1000),
        set_attribute("set", CAPABILITY, &raw),
        set_attribute("changed", CAPABILITY, &raw),
        set_attribute("removed", CAPABILITY, &raw),
        set_attribute("chowned", CAPABILITY, &raw),
        set_attribute("written", CAPABILITY, &raw),
        set_attribute("shifted", CAPABILITY, &shifted),
        LAYER,
        set_attribute("changed", CAPABILITY, &admin),
        remove_attribute("removed", CAPABILITY),
        chown("chowned", 1000, 1000),
        append("written", 1),
        LAYER,
        // With other changes that copy the file up.
        chmod("set", 0o700),
        set_attribute("set", "user.more", b"1"),
        chown("changed", 1, 1),
        set_attribute("changed", CAPABILITY, &raw),
        set_attribute("removed", CAPABILITY, &shifted),
        chown("shifted", 100_000, 100_000),
        set_attribute("shifted", CAPABILITY, &shifted),
        LAYER,
        rename("set", "renamed"),
        link("shifted", "linked"),
    ]);
    play(fixture, &story);
}

/// Before 1970, to the nanosecond, after 2038 and after 2106; all within what
/// ext4 keeps in an inode of 256 bytes, which is 1901 to 2446.
const TIMES: [i64; 6] = [
    -1,
    1,
    -1_000_000_000_000_000_001,
    1_234_567_890_987_654_321,
    3_000_000_000_000_000_003,
    5_000_000_000_123_456_789,
];

/// Docker's images kept whole seconds only, so that programs thought their caches
/// were stale.
fn f23_times_survive_to_the_nanosecond(fixture: &Fixture) {
    let mut story = Vec::new();
    let set = |name: String, nanoseconds| Action::Edit(Edit::SetTime { path: name.into(), nanoseconds });
    for number in 0..TIMES.len() {
        story.extend([
            make_file(format!("f{number}")),
            make_directory(format!("d{number}")),
            make_file(format!("d{number}/inside")),
            make_symlink(format!("s{number}"), "nowhere"),
            make_node(format!("p{number}"), FileType::Fifo, 0),
        ]);
    }
    for shift in 0..3 {
        for number in 0..TIMES.len() {
            let time = TIMES[(number + shift) % TIMES.len()];
            story.extend(['f', 'd', 's', 'p'].map(|kind| set(format!("{kind}{number}"), time)));
        }
        story.extend([set(".".to_owned(), TIMES[shift]), LAYER]);
    }
    // What is in a directory says nothing of the directory's own time; and of a time, its neighbours nothing.
    story.extend([append("d0/inside", 1), chmod("f1", 0o600), chown("s2", 5, 5), chmod("p3", 0o600), LAYER]);
    play(fixture, &story);
}

/// Archives of charliecloud could not hold large ids; those of Go refused them.
fn f29_the_highest_ids_survive(fixture: &Fixture) {
    // 2³²−1 means "leave it as it is".
    let ids = [65_535, 65_536, 2_097_151, 2_097_152, i32::MAX as u32, 1 << 31, u32::MAX - 1];
    let mut story = Vec::new();
    for (number, id) in ids.into_iter().enumerate() {
        let names = ["f", "d", "s", "c"].map(|kind| format!("{kind}{number}"));
        story.extend([
            make_file(&names[0]),
            make_directory(&names[1]),
            make_symlink(&names[2], "nowhere"),
            make_node(&names[3], FileType::CharacterDevice, makedev(1, 3)),
        ]);
        story.extend(names.iter().map(|name| chown(name, id, ids[ids.len() - 1 - number])));
    }
    story.push(LAYER);
    story.extend(["f0", "d0", "s0", "c0"].map(|name| chown(name, u32::MAX - 1, u32::MAX - 1)));
    story.extend([
        append("f6", 1),
        chmod("d6", 0o700),
        make_file("d6/inside"),
        chown(".", u32::MAX - 1, 1),
        LAYER,
    ]);
    play(fixture, &story);
}

/// Nothing is declared of these, so they do what they do in a plain directory of
/// the file system that the trees lie on, and are refused where they are there.
/// Of holes, see [`Sparse`](mocker_core::Sparse).
fn f33_space_is_taken_shared_and_given_back_as_by_the_file_system(fixture: &Fixture) {
    let allocate = |path: &str, at, length| Action::Edit(Edit::Allocate { path: path.into(), at, length });
    let punch = |path: &str, at, length| Action::Edit(Edit::PunchHole { path: path.into(), at, length });
    let clone = |from: &str, to: &str| Action::Edit(Edit::Clone { from: from.into(), to: to.into() });
    let unnamed = |path: &str| Action::Edit(Edit::CreateUnnamed { path: path.into(), mode: 0o640 });
    let changes = |story: &mut Vec<Action>| {
        story.extend([
            // Inside a block too, where zeros are written.
            punch("punched", 8192, 16384),
            punch("punched", 40_000, 1000),
            punch("punched", 61_440, 1 << 20),
            allocate("allocated", 20_000, 100_000),
            clone("punched", "cloned"),
            append("cloned", 10),
            write("punched", b'n', 10),
        ]);
    };
    let mut story = vec![unnamed("unnamed"), append("unnamed", 10)];
    for name in ["punched", "allocated", "cloned"] {
        story.extend([make_file(name), write(name, b'x', 65_536)]);
    }
    changes(&mut story);
    story.push(LAYER);
    changes(&mut story);
    story.extend([unnamed("later"), unnamed("unnamed"), LAYER]);
    story.extend([clone("cloned", "later"), punch("later", 0, 4096), allocate("unnamed", 0, 4096), LAYER]);
    play(fixture, &story);
}
