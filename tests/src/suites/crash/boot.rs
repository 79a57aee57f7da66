//! The machine goes down: what a power cut may leave behind is gone after the
//! first command, and everything else is there.

use std::fs;

use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, End};

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "k4_after_a_boot_what_no_record_knows_is_gone",
        run: what_no_record_knows,
        alone: false,
    }]
}

/// Makes the next boot of the machine appear to have come, for one command.
const AFTER_A_BOOT: &str = "mount --bind \"$1\" /proc/sys/kernel/random/boot_id; \"$mocker\" ps -q";

/// Runs the first command after a boot.
pub(crate) fn first_command(fixture: &Fixture) -> End {
    let boot_id = fixture.scratch().join("boot_id");
    fs::write(&boot_id, "01234567-89ab-cdef-0123-456789abcdef\n").unwrap();
    background::finish(&mut background::in_own_mounts(fixture, fixture.root(), AFTER_A_BOOT, &[&boot_id]))
}

fn what_no_record_knows(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let before = fixture.state();
    let [image, work] = ["base", "work"].map(|name| fixture.tree(name));

    // A power cut can keep what was made and take back the record of who made it.
    let nodes = fixture.root().join(fixture.lane().backend()).join("nodes");
    let planted = [
        nodes.join("987654"),
        fixture.root().join("containers/ps_planted00000"),
        fixture.root().join("leases/0123456789abcdef"),
    ];
    fs::create_dir(&planted[0]).unwrap();
    fs::create_dir(&planted[1]).unwrap();
    fs::write(planted[1].join("log"), "").unwrap();
    fs::write(&planted[2], "").unwrap();

    // An ordinary command has no reason to look; the first one after a boot has.
    first_command(fixture).ok();
    for path in &planted {
        assert!(!path.exists(), "'{}' is still there", path.display());
    }
    assert_eq!(fixture.state(), before);
    assert!(image.exists() && work.exists());
    assert_eq!(fixture.record("work").unwrap()["status"], "exited");
    fixture.ok(&["start", "work"]);
    fixture.assert_consistent();
}
