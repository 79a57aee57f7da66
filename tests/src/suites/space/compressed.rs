//! A1 where the file system compresses: what counts is what lies on the disk.

use super::{agree, alone, bytes, du, image_of_its_own, number, used};
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::nodes::bash;

pub(crate) fn cases() -> Vec<Case> {
    alone![a1_compressed_data_counts_as_it_is_stored]
}

fn a1_compressed_data_counts_as_it_is_stored(fixture: &Fixture) {
    fixture.image("first");
    fixture.ok(&["rm", "--wait", "first"]);
    let before = used(fixture);
    image_of_its_own(fixture, "base", 4);
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let work = number(&fixture.record("work").unwrap()["work"]);
    // Each word eight times, and half a mebibyte of what cannot be compressed.
    let script =
        "mkdir small; chattr +c small; seq 800000 | awk '{ for (i = 0; i < 8; i++) print }' > small/text
        head -c 512K /dev/urandom > small/noise; sync -f .";
    bash(&fixture.node(work), script);
    let text = std::fs::metadata(fixture.node(work).join("small/text")).unwrap().len();
    let told = du(fixture);
    let said = bytes(&told, "containers", "work", "exclusive");
    assert!(said < text / 3, "{said} bytes are said, and the text has {text}: is anything compressed?");
    agree("all that is held", number(&told["backends"][0]["size"]), used(fixture) - before);
    let before = used(fixture);
    fixture.ok(&["rm", "--wait", "work"]);
    agree("the container", said, before - used(fixture));
}
