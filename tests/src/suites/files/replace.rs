//! F1–F6, F8: what is overwritten, deleted, replaced and renamed over the layers
//! beneath is what it was made, and nothing beneath shines through.

use rustix::fs::{FileType, makedev};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::Action;

use super::{
    LAYER, append, make_directory, make_file, make_node, make_symlink, play, remove_directory, rename,
    unlink, write,
};
use crate::edit::Edit;

pub(super) fn cases() -> Vec<Case> {
    cases![
        f1_the_last_of_five_overwrites_wins,
        f2_what_was_deleted_is_absent_in_every_layer_above,
        f3_a_directory_made_again_in_the_same_layer_is_empty,
        f4_a_directory_made_again_a_layer_later_is_empty,
        f5_anything_can_take_the_place_of_anything,
        f6_files_are_renamed_over_files_back_forth_and_in_a_circle,
        f8_new_directories_are_renamed_also_over_removed_ones,
    ]
}

/// Docker built an image of the older of two files that were written in the same
/// second, because length and second were equal.
fn f1_the_last_of_five_overwrites_wins(fixture: &Fixture) {
    let mut story = vec![make_file("same"), make_file("longer"), make_file("timeless"), LAYER];
    for round in 1..=5 {
        story.extend([
            write("same", round, 5000),
            Action::Edit(Edit::Truncate { path: "longer".into(), size: 0 }),
            write("longer", round, 1000 * usize::from(round)),
            write("timeless", round, 5000),
            // Nothing but its content tells it from the one before.
            Action::Edit(Edit::SetTime { path: "timeless".into(), nanoseconds: 1_500_000_000_000_000_000 }),
            LAYER,
        ]);
    }
    play(fixture, &story);
}

fn f2_what_was_deleted_is_absent_in_every_layer_above(fixture: &Fixture) {
    play(
        fixture,
        &[
            make_file("file"),
            make_symlink("link", "file"),
            make_directory("directory"),
            make_file("directory/inside"),
            make_file("directory/stays"),
            make_directory("tree"),
            make_directory("tree/deep"),
            make_file("tree/deep/inside"),
            LAYER,
            unlink("file"),
            unlink("link"),
            unlink("directory/inside"),
            unlink("tree/deep/inside"),
            remove_directory("tree/deep"),
            remove_directory("tree"),
            LAYER,
            make_file("grandchild"),
            // What is not there cannot be removed again.
            unlink("file"),
            remove_directory("tree"),
            LAYER,
        ],
    );
}

/// overlay2 of Docker showed the old entries in the new directory.
fn f3_a_directory_made_again_in_the_same_layer_is_empty(fixture: &Fixture) {
    let removed = [
        unlink("d/sub/deep"),
        remove_directory("d/sub"),
        unlink("d/old"),
        remove_directory("d"),
        make_directory("d"),
    ];
    let mut story = vec![
        make_directory("d"),
        make_file("d/old"),
        make_directory("d/sub"),
        make_file("d/sub/deep"),
        LAYER,
    ];
    story.extend(removed.clone());
    // The same subdirectory is new too, and what was in the old one is not in it.
    story.extend([make_file("d/new"), make_directory("d/sub"), LAYER]);
    story.extend([unlink("d/new"), remove_directory("d/sub"), remove_directory("d"), make_directory("d")]);
    story.push(LAYER);
    play(fixture, &story);
}

/// BuildKit lost the deletion when the directory came back in another layer.
fn f4_a_directory_made_again_a_layer_later_is_empty(fixture: &Fixture) {
    play(
        fixture,
        &[
            make_directory("d"),
            make_file("d/old"),
            make_directory("d/sub"),
            make_file("d/sub/deep"),
            make_file("f"),
            write("f", b'1', 10),
            LAYER,
            unlink("d/sub/deep"),
            remove_directory("d/sub"),
            unlink("d/old"),
            remove_directory("d"),
            unlink("f"),
            LAYER,
            make_directory("d"),
            make_file("d/new"),
            make_file("f"),
            LAYER,
            make_directory("d/sub"),
            append("f", 1),
            LAYER,
        ],
    );
}

/// The kinds of entries that take each other's place.
const KINDS: [&str; 6] = ["file", "directory", "full", "symlink", "dangling", "node"];

fn made(kind: &str, name: &str) -> Vec<Action> {
    let inside = || format!("{name}/{kind}-inside");
    match kind {
        "file" => vec![make_file(name), write(name, b'f', 100)],
        "directory" => vec![make_directory(name)],
        "full" => vec![make_directory(name), make_file(inside())],
        "symlink" => vec![make_symlink(name, "target")],
        "dangling" => vec![make_symlink(name, "nowhere")],
        _ => vec![make_node(name, FileType::CharacterDevice, makedev(1, 3))],
    }
}

fn removed(kind: &str, name: &str) -> Vec<Action> {
    match kind {
        "directory" => vec![remove_directory(name)],
        "full" => vec![unlink(format!("{name}/{kind}-inside")), remove_directory(name)],
        _ => vec![unlink(name)],
    }
}

/// Docker's overlay2 could not unpack a layer in which a directory takes the
/// place of a symlink to one.
fn f5_anything_can_take_the_place_of_anything(fixture: &Fixture) {
    let mut story = vec![make_directory("target"), make_file("target/kept")];
    let pairs = || KINDS.iter().flat_map(|one| KINDS.iter().map(move |other| (*one, *other)));
    for (one, other) in pairs() {
        story.extend(made(one, &format!("{one}-{other}")));
    }
    story.push(LAYER);
    // Over what is beneath; then over what is new itself; then back to the first.
    for (one, other) in pairs() {
        let name = format!("{one}-{other}");
        story.extend(removed(one, &name));
        story.extend(made(other, &name));
    }
    story.push(LAYER);
    for (one, other) in pairs() {
        let name = format!("{one}-{other}");
        for (old, new) in [(other, one), (one, other), (other, one)] {
            story.extend(removed(old, &name));
            story.extend(made(new, &name));
        }
    }
    story.push(LAYER);
    play(fixture, &story);
}

fn f6_files_are_renamed_over_files_back_forth_and_in_a_circle(fixture: &Fixture) {
    let mut story = Vec::new();
    for (name, byte) in [("a", b'a'), ("b", b'b'), ("c", b'c')] {
        story.extend([make_file(name), write(name, byte, 5000)]);
    }
    story.extend([make_symlink("s", "a"), LAYER]);
    // Over a lower file, and over an upper one.
    story.extend([make_file("new"), write("new", b'n', 10), rename("new", "a"), rename("b", "a"), LAYER]);
    // Back and forth; twice, so that each name was removed once.
    for _ in 0..2 {
        story.extend([
            rename("a", "elsewhere"),
            rename("elsewhere", "a"),
            rename("c", "d"),
            rename("d", "c"),
        ]);
    }
    story.push(LAYER);
    // In a circle, over three layers.
    for _ in 0..3 {
        story.extend([rename("a", "t"), rename("c", "a"), rename("s", "c"), rename("t", "s"), LAYER]);
    }
    play(fixture, &story);
}

fn f8_new_directories_are_renamed_also_over_removed_ones(fixture: &Fixture) {
    let full = |name: &str, inside: &str| {
        vec![
            make_directory(name),
            make_directory(format!("{name}/sub")),
            make_file(format!("{name}/sub/{inside}")),
        ]
    };
    let empty = |name: &str, inside: &str| {
        vec![unlink(format!("{name}/sub/{inside}")), remove_directory(format!("{name}/sub"))]
    };
    let mut story = Vec::new();
    for name in ["same", "other", "emptied"] {
        story.extend(full(name, "old"));
    }
    story.push(LAYER);
    for (name, inside) in [("same", "old"), ("other", "new")] {
        story.extend(empty(name, "old"));
        story.push(remove_directory(name));
        story.extend(full("fresh", inside));
        story.extend([rename("fresh", "way"), rename("way", name)]);
    }
    // Onto a lower directory that is there and empty.
    story.extend(empty("emptied", "old"));
    story.extend(full("fresh", "new"));
    story.extend([rename("fresh", "emptied"), LAYER]);
    // What was new there is beneath now; a new one goes over it just so.
    story.extend(empty("same", "old"));
    story.push(remove_directory("same"));
    story.extend(full("fresh", "third"));
    story.extend([rename("fresh", "same"), rename("same", "last"), rename("last", "same"), LAYER]);
    play(fixture, &story);
}
