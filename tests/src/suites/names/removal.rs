//! What `rm` takes away is gone with everything that only it needed, and
//! nothing that anything else needs.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{field, id, word, write};
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        l5_containers_of_an_image_that_goes_stay_whole,
        l5_a_running_container_of_an_image_that_goes_runs_on,
        l5_images_that_stand_on_others_stay_whole,
        r6_the_last_one_takes_everything_along,
        r6_what_nothing_needs_any_more_goes_with_what_needed_it,
        rm_goes_on_after_a_failure_and_says_which,
        rm_refuses_what_runs_unless_it_is_forced,
    ]
}

fn l5_containers_of_an_image_that_goes_stay_whole(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "mine");
    fixture.ok(&["commit", "-c", "ENV FROM=second", "work", "base"]);
    fixture.ok(&["run", "--name", "second", "base", "sh", "-c", "echo $FROM; cat /word"]);
    let trees = ["work", "second"].map(|name| oracle::look(&fixture.tree(name)));
    let removed = fixture.mocker(&["rm", "--wait", "base"]).run();
    assert_eq!((removed.code, removed.out()), (0, format!("Removed: {base}")));
    assert!(removed.err().contains("note: 2 container(s)"), "{}", removed.err());

    for (name, tree) in ["work", "second"].iter().zip(&trees) {
        oracle::assert_equal(tree, &oracle::look(&fixture.tree(name)));
        assert_eq!(field(fixture, name, "image"), base);
        assert_eq!(field(fixture, name, "image_name"), serde_json::Value::Null);
    }
    assert_eq!(fixture.ok(&["start", "second"]), "second\nmine");
    fixture.fails(&["run", "base", "true"], 125);
    let said = fixture.fails(&["commit", "work", &base], 1);
    assert!(said.contains(&format!("No image named '{base}' exists")), "{said}");
    let said = fixture.fails(&["commit", "--config-from", "image", "work", "saved"], 1);
    assert!(said.contains("is gone") && said.contains("\n  try: "), "{said}");
    // Out of a container the image can be had again, by its name, not by its id.
    assert_ne!(fixture.ok(&["commit", "-q", "work", "base"]), base);
    assert_eq!(word(fixture, "base"), "mine");
    fixture.assert_consistent();
}

fn l5_a_running_container_of_an_image_that_goes_runs_on(fixture: &Fixture) {
    fixture.image("base");
    let script = format!("{}; /bin/cat /etc/passwd", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    fixture.ok(&["rm", "--wait", "base"]);
    assert_eq!(field(fixture, "work", "status"), "running");
    fixture.ok(&["commit", "work", "saved"]);
    let printed = living::end(fixture, job).ok();
    assert_eq!(printed.trim(), std::fs::read_to_string(fixture.rootfs().join("etc/passwd")).unwrap().trim());
    assert_eq!(fixture.ok(&["run", "--rm", "saved", "echo", "it runs"]), "it runs");
    fixture.assert_consistent();
}

fn l5_images_that_stand_on_others_stay_whole(fixture: &Fixture) {
    fixture.image("base");
    for (container, image, target) in
        [("one", "base", "second"), ("two", "second", "third"), ("three", "third", "third")]
    {
        write(fixture, container, image, container);
        fixture.ok(&["commit", container, target]);
    }
    let names = ["third", "one", "two", "three"];
    let trees = names.map(|name| oracle::look(&fixture.tree(name)));
    fixture.ok(&["rm", "--wait", "second", "base"]);
    for (name, tree) in names.iter().zip(&trees) {
        oracle::assert_equal(tree, &oracle::look(&fixture.tree(name)));
    }
    fixture.ok(&["start", "two"]);
    fixture.ok(&["rm", "--wait", "one", "two"]);
    assert_eq!(word(fixture, "third"), "three");
    oracle::assert_equal(&trees[0], &oracle::look(&fixture.tree("third")));
    fixture.assert_consistent();
}

/// In whatever order: at the end there is nothing at all.
fn r6_the_last_one_takes_everything_along(fixture: &Fixture) {
    // Whatever the first use leaves for good is there already.
    fixture.image("base");
    fixture.ok(&["rm", "--wait", "base"]);
    let nothing = fixture.state();
    for order in [
        ["base", "work", "second", "again", "other"],
        ["other", "again", "second", "work", "base"],
        ["work", "base", "again", "other", "second"],
    ] {
        fixture.image("base");
        write(fixture, "work", "base", "one");
        fixture.ok(&["commit", "work", "base"]);
        write(fixture, "again", "base", "two");
        fixture.ok(&["commit", "again", "second"]);
        fixture.ok(&["commit", "again", "second"]);
        fixture.ok(&["tag", "second", "other"]);
        for name in order {
            fixture.ok(&["rm", "--wait", name]);
            fixture.assert_consistent();
        }
        assert_eq!(fixture.state(), nothing, "{order:?}");
    }
}

fn r6_what_nothing_needs_any_more_goes_with_what_needed_it(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    write(fixture, "work", "base", "one");
    let with_work = fixture.state();
    fixture.ok(&["commit", "work", "side"]);
    fixture.ok(&["rm", "--wait", "side"]);
    // Where the work area stands on what was committed, that stays as long as it does.
    assert_eq!(fixture.images(), serde_json::json!([fixture.record("base").unwrap()]));
    fixture.ok(&["start", "work"]);
    fixture.ok(&["rm", "--wait", "work"]);
    assert_eq!(fixture.state(), state);
    assert_ne!(state, with_work);
    // A container that is not kept leaves nothing, however it ends.
    fixture.ok(&["run", "--rm", "base", "sh", "-c", "echo x > /x"]);
    assert_eq!(fixture.mocker(&["run", "--rm", "base", "no-such-program"]).run().code, 127);
    assert_eq!(fixture.mocker(&["run", "--rm", "base", "sh", "-c", "exit 9"]).run().code, 9);
    fixture.assert_consistent();
    assert_eq!(fixture.state(), state);
}

fn rm_goes_on_after_a_failure_and_says_which(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "one");
    let work = id(fixture, "work");
    let ended = fixture.mocker(&["rm", "nowhere", "work", "work", "base", "img_nothing"]).run();
    assert_eq!((ended.code, ended.out()), (1, format!("Removed: {work}\nRemoved: {base}")));
    let said = ended.err();
    for name in ["'nowhere'", "'work'", "'img_nothing'"] {
        assert!(said.contains(name), "nothing is said of {name}: {said}");
    }
    assert_eq!(said.matches("mocker: ").count(), 3, "{said}");
    assert_eq!(fixture.ok(&["images", "-q"]), "");
    fixture.assert_consistent();
}

fn rm_refuses_what_runs_unless_it_is_forced(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let work = id(fixture, "work");
    let said = fixture.fails(&["rm", "work"], 1);
    assert!(said.contains("is running") && said.contains("\n  try: "), "{said}");
    assert_eq!(field(fixture, "work", "status"), "running");
    assert_eq!(fixture.ok(&["rm", "-f", "--wait", "work"]), format!("Removed: {work}"));
    assert_eq!(job.end().code, Some(137));
    assert_eq!(fixture.ok(&["ps", "-q"]), "");
    fixture.assert_consistent();
}
