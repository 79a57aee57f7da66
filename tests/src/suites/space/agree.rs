//! A1: the figures of `du` are those of the file system, before and after a
//! removal.

use serde_json::Value;

use super::{agree, alone, bytes, du, image_of_its_own, number, of, used};
use crate::fixture::Fixture;
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    alone![
        a1_ten_containers_with_overlaps_hold_what_the_file_system_charges,
        a1_what_comes_back_is_what_du_says,
        a1_what_an_image_shares_with_the_directory_it_was_made_of_does_not_come_back,
    ]
}

/// What is done to the tree of each container; the file system decides whether a
/// copy shares data.
const EDITS: [&str; 10] = [
    // Nothing of its own.
    "true",
    // Data that two files share.
    "head -c 3M /dev/urandom > own; cp --reflink=auto own twin",
    // One file with three names.
    "head -c 2M /dev/urandom > own; ln own two; ln own three",
    "head -c 2M /dev/urandom > own",
    // Mostly holes.
    "truncate -s 300M sparse; head -c 1M /dev/urandom | dd of=sparse bs=1M seek=100 conv=notrunc status=none",
    // Written over in part, and whole.
    "head -c 256k /dev/urandom | dd of=data/1 bs=64k seek=3 conv=notrunc 2>/dev/null",
    "head -c 1M /dev/urandom > data/2; head -c 1M /dev/urandom > data/3",
    // Less than it had.
    "rm data/4 data/5; truncate -s 0 data/6",
    // As little as possible many times.
    "mkdir many; for i in $(seq 100); do echo $i > many/$i; done",
    // Longer than it was, and moved.
    "head -c 1M /dev/urandom >> data/7; mkdir new; mv data/8 new",
];

/// An image `base` of two versions and one `other` that stands on it, and ten
/// containers with what the two have in common and their own. The image has so many
/// files.
fn ten_containers(fixture: &Fixture, files: usize) {
    image_of_its_own(fixture, "base", files);
    for (number, edit) in EDITS.iter().enumerate() {
        let name = format!("c{number}");
        let image = match number {
            0..3 => "base@1",
            3..6 => "base",
            _ => "other",
        };
        // What two of them have written is in a version then, and in those made of it.
        if let Some((_, target)) = [(2, "base"), (5, "other")].iter().find(|(of, _)| *of == number) {
            fixture.ok(&["run", "--name", &name, image, "sh", "-c", edit]);
            fixture.ok(&["commit", &name, target]);
        } else {
            fixture.ok(&["run", "--name", &name, image, "true"]);
            fixture.edit(&name, edit);
        }
    }
    fixture.edit("c2", "head -c 1M /dev/urandom > later");
}

/// What is there before anything is measured: whatever the first use leaves.
fn first_use(fixture: &Fixture) -> u64 {
    fixture.image("first");
    fixture.ok(&["run", "--rm", "first", "true"]);
    fixture.ok(&["rm", "--wait", "first"]);
    used(fixture)
}

fn held(du: &Value) -> u64 {
    number(&du["backends"][0]["size"])
}

fn a1_ten_containers_with_overlaps_hold_what_the_file_system_charges(fixture: &Fixture) {
    let before = first_use(fixture);
    // What the trees of the file system itself take, some 600 KB, is nobody's and is not told: there must be
    // so much data that it stays below the hundredth.
    ten_containers(fixture, 100);
    let told = du(fixture);
    let charged = used(fixture) - before;
    let exact = fixture.capabilities().usage_exact;
    assert_eq!(told["backends"][0]["exact"], exact);
    if exact {
        let off = held(&told).abs_diff(charged);
        assert!(off <= charged / 100, "{} bytes are said, and it is {charged}", held(&told));
    } else {
        assert!(held(&told) + (256 << 10) >= charged, "{} bytes are said, and it is {charged}", held(&told));
    }
    // The two kinds are the whole.
    let totals = &told["totals"];
    let kinds = number(&totals["images"]["size"]) + number(&totals["containers"]["size"]);
    assert_eq!(kinds, held(&told), "{told:#}");
    assert_eq!((&totals["images"]["count"], &totals["images"]["active"]), (&2.into(), &2.into()));
    assert_eq!((&totals["containers"]["count"], &totals["containers"]["active"]), (&10.into(), &0.into()));
    // Of each, what is its own and what is not are all of it, and nobody holds more than there is.
    let mut alone = 0;
    for found in ["images", "containers"].iter().flat_map(|list| told[list].as_array().unwrap()) {
        let [size, shared, exclusive] = ["size", "shared", "exclusive"].map(|figure| number(&found[figure]));
        assert_eq!(size, shared + exclusive, "{found:#}");
        assert!(size <= held(&told), "{found:#}");
        alone += exclusive;
    }
    assert!(alone < held(&told), "nothing is shared: {told:#}");
    // A container of which nothing was changed has nothing to give.
    let little = match fixture.capabilities().commit_cost {
        mocker_core::backend::CommitCost::Constant => 256 << 10,
        mocker_core::backend::CommitCost::Tree => u64::MAX,
    };
    assert!(bytes(&told, "containers", "c0", "exclusive") < little, "{:#}", of(&told, "containers", "c0"));
}

fn a1_what_comes_back_is_what_du_says(fixture: &Fixture) {
    first_use(fixture);
    ten_containers(fixture, 12);
    let exact = fixture.capabilities().usage_exact;
    // In this order what the containers pin comes back with the last of them.
    for (list, name) in [
        ("containers", "c1"),
        ("containers", "c2"),
        ("containers", "c4"),
        ("images", "other"),
        ("containers", "c7"),
        ("images", "base"),
        ("containers", "c0"),
        ("containers", "c9"),
        ("containers", "c3"),
        ("containers", "c5"),
        ("containers", "c6"),
        ("containers", "c8"),
    ] {
        let said = bytes(&du(fixture), list, name, "exclusive");
        let before = used(fixture);
        fixture.ok(&["rm", "--wait", name]);
        let came_back = before.saturating_sub(used(fixture));
        if exact {
            agree(name, said, came_back);
        } else {
            assert!(said + (256 << 10) >= came_back, "{name}: {said} bytes are said, and it is {came_back}");
        }
    }
    let told = du(fixture);
    assert_eq!((&told["images"], &told["containers"]), (&serde_json::json!([]), &serde_json::json!([])));
}

/// A copy may share data with what it is a copy of. That is not the image's to
/// give back, until the directory is gone.
fn a1_what_an_image_shares_with_the_directory_it_was_made_of_does_not_come_back(fixture: &Fixture) {
    first_use(fixture);
    let source = fixture.rootfs();
    crate::suites::nodes::bash(&source, "head -c 8M /dev/urandom > much");
    fixture.image("base");
    let said = bytes(&du(fixture), "images", "base", "exclusive");
    let before = used(fixture);
    fixture.ok(&["rm", "--wait", "base"]);
    let came_back = before.saturating_sub(used(fixture));
    if fixture.capabilities().usage_exact {
        agree("the image", said, came_back);
    }
    fixture.image("base");
    std::fs::remove_dir_all(&source).unwrap();
    used(fixture);
    let said = bytes(&du(fixture), "images", "base", "exclusive");
    assert!(said >= 8 << 20, "{said}");
}
