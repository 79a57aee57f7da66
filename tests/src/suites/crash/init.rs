//! `init` dies: no image, or a whole one.

use std::fs;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{at_points, die_at, lasting, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        nothing_new,
        "init_made_nothing",
        ["init.after-intent", "init.after-create", "init.after-copy", "init.after-snapshot"]
    ));
    cases.extend(at_points!(
        a_whole_image,
        "init_made_a_whole_image",
        ["init.after-commit-point", "init.after-delete"]
    ));
    cases.extend(at_points!(
        first_use,
        "the_first_use_of_a_root_can_be_repeated",
        ["init.after-intent", "init.after-create", "init.after-copy", "init.after-snapshot"]
    ));
    cases
}

/// An image of one version, and a source that has changed since.
fn base(fixture: &Fixture) -> String {
    fixture.image("base");
    fs::write(fixture.rootfs().join("second"), "of the second version").unwrap();
    fixture.rootfs().into_os_string().into_string().unwrap()
}

fn nothing_new(fixture: &Fixture, point: &str) {
    let source = base(fixture);
    let before = fixture.state();
    for words in
        [&["init", "--name", "fresh", &source][..], &["init", "--name", "base", &source], &["init", &source]]
    {
        let left = die_at(fixture, point, words);
        next_command(fixture, &left);
        assert_eq!(fixture.state(), before, "after {words:?}");
        assert!(!fixture.tree("base").join("second").exists());
    }
    // Nothing stands in the way of another try.
    fixture.ok(&["init", "--name", "base", &source]);
    assert_eq!(fixture.record("base").unwrap()["versions"], 2);
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
}

fn a_whole_image(fixture: &Fixture, point: &str) {
    let source = base(fixture);
    let old = fixture.tree("base");
    fixture.ok(&["init", "--name", "undisturbed", &source]);

    let left = die_at(fixture, point, &["init", "--name", "fresh", &source]);
    next_command(fixture, &left);
    let [fresh, undisturbed] = ["fresh", "undisturbed"].map(|name| lasting(fixture.record(name)));
    assert_eq!(fresh, undisturbed);
    oracle::assert_same(&fixture.tree("fresh"), &fixture.rootfs());

    let left = die_at(fixture, point, &["init", "--name", "base", &source]);
    next_command(fixture, &left);
    assert_eq!(fixture.record("base").unwrap()["versions"], 2);
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
    assert!(old.join("bin").exists() && !old.join("second").exists(), "the first version has changed");

    fixture.ok(&["run", "--rm", "fresh", "test", "-e", "/second"]);
}

fn first_use(fixture: &Fixture, point: &str) {
    let source = fixture.rootfs().into_os_string().into_string().unwrap();
    let left = die_at(fixture, point, &["init", "--name", "base", &source]);
    next_command(fixture, &left);
    assert_eq!(fixture.ok(&["images", "-q"]), "");
    fixture.ok(&["init", "--name", "base", &source]);
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
}
