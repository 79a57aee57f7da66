//! Versions after `prune`: what is kept, what is said of those that went, and what
//! is refused.

use serde_json::json;

use super::prune::{numbers, prune};
use super::{du, of};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::living;
use crate::suites::nodes::bash;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_dry_run_changes_nothing,
        as_many_versions_are_kept_as_is_said,
        the_current_version_stays_wherever_it_is,
        a_pruned_version_is_told_of_and_cannot_be_read,
        a_version_with_a_container_stays,
        versions_of_other_images_on_the_same_layer_stay_whole,
        containers_go_only_where_that_is_asked_for,
        only_the_images_that_are_named_are_pruned,
        what_no_record_knows_goes_too,
        nothing_is_pruned_without_being_asked_twice,
        the_name_that_docker_has_for_it_works,
    ]
}

/// An image of so many versions that do not stand on each other.
fn versions(fixture: &Fixture, name: &str, count: u32) -> String {
    let source = fixture.rootfs();
    let mut id = String::new();
    for number in 1..=count {
        bash(&source, &format!("echo {number} > number"));
        id = fixture.ok(&["init", "-q", "--name", name, source.to_str().unwrap()]);
    }
    id
}

fn a_dry_run_changes_nothing(fixture: &Fixture) {
    versions(fixture, "base", 4);
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let state = fixture.state();
    let history = fixture.ok(&["history", "base"]);
    let said = prune(fixture, &["--dry-run", "--containers"]);
    assert_eq!(numbers(&said, "versions"), [1, 2, 3]);
    let shown = fixture.ok(&["prune", "--dry-run"]);
    assert!(shown.contains("Would prune: ") && shown.contains("Would come back: "), "{shown}");
    assert_eq!(fixture.ok(&["prune", "--dry-run", "-q"]).lines().count(), 3);
    assert_eq!((fixture.state(), fixture.ok(&["history", "base"])), (state, history));
}

fn as_many_versions_are_kept_as_is_said(fixture: &Fixture) {
    let id = versions(fixture, "base", 6);
    assert_eq!(numbers(&prune(fixture, &["--keep", "4", "--force"]), "versions"), [1, 2]);
    let shown = fixture.ok(&["prune", "--keep", "2", "-f", "-q"]);
    assert_eq!(shown, format!("{id}@4\n{id}@3"));
    for number in 5..=6 {
        let cat = ["run", "--rm", &format!("base@{number}"), "cat", "/number"];
        assert_eq!(fixture.ok(&cat), number.to_string());
    }
    // There is nothing more to do.
    let again = fixture.mocker(&["prune", "--keep", "2"]).run();
    assert_eq!((again.code, again.out()), (0, String::new()));
    assert!(again.err().contains("nothing to prune"), "{}", again.err());
    // What is made next has the next number.
    assert_eq!(versions(fixture, "base", 1), id);
    assert_eq!(fixture.record("base").unwrap()["version"], 7);
    fixture.assert_consistent();
}

fn the_current_version_stays_wherever_it_is(fixture: &Fixture) {
    versions(fixture, "base", 5);
    fixture.ok(&["rollback", "base", "2"]);
    let pruned = prune(fixture, &["--keep", "2", "--force"]);
    assert_eq!(numbers(&pruned, "versions"), [1, 3, 4]);
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/number"]), "2");
    fixture.ok(&["rollback", "base", "5"]);
    assert_eq!(numbers(&prune(fixture, &["--force"]), "versions"), [2]);
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/number"]), "5");
    fixture.assert_consistent();
}

fn a_pruned_version_is_told_of_and_cannot_be_read(fixture: &Fixture) {
    versions(fixture, "base", 3);
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    fixture.ok(&["commit", "-m", "why it was made", "--squash=all", "work", "base"]);
    versions(fixture, "base", 1);
    fixture.ok(&["rm", "--wait", "work"]);
    prune(fixture, &["--force"]);
    let history = fixture.ok(&["history", "base"]);
    assert_eq!(history.lines().filter(|line| line.contains("\tpruned\t")).count(), 4, "{history}");
    assert!(history.contains("why it was made"), "{history}");
    for words in [
        &["run", "--rm", "base@2", "true"][..],
        &["tag", "base@2", "other"],
        &["rollback", "base", "2"],
        &["diff", "base@2"],
        &["convert", "base@2", "--to", fixture.another_backend()],
    ] {
        let refused = fixture.mocker(words).run();
        assert_ne!(refused.code, 0, "{words:?}");
        assert!(refused.err().contains("version 2 of image base:latest was pruned"), "{}", refused.err());
    }
    let told = du(fixture);
    let versions = of(&told, "images", "base")["versions"].as_array().unwrap();
    let pruned: Vec<_> = versions.iter().map(|version| version["pruned"] == true).collect();
    assert_eq!(pruned, [false, true, true, true, true]);
    assert_eq!(versions[2]["size"], 0);
    // The difference to what is left can still be told.
    fixture.ok(&["rm", "base"]);
    fixture.assert_consistent();
}

fn a_version_with_a_container_stays(fixture: &Fixture) {
    versions(fixture, "base", 2);
    fixture.ok(&["run", "--name", "stopped", "base@1", "cat", "/number"]);
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    versions(fixture, "base", 2);
    let said = prune(fixture, &["--force"]);
    assert_eq!((numbers(&said, "versions"), numbers(&said, "stay")), (vec![3], vec![1, 2]));
    let id = |name| fixture.record(name).unwrap()["id"].clone();
    assert_eq!(said["stay"][1]["because"], json!({ "container": id("stopped") }), "{said:#}");
    // One that runs stays even where containers are to go.
    let said = prune(fixture, &["--force", "--containers"]);
    assert_eq!(said["containers"].as_array().unwrap().len(), 1);
    assert_eq!((numbers(&said, "versions"), numbers(&said, "stay")), (vec![1], vec![2]));
    assert_eq!(said["stay"][0]["because"], json!({ "container": id("work") }), "{said:#}");
    living::end(fixture, job).ok();
    fixture.ok(&["start", "work"]);
    fixture.assert_consistent();
}

fn versions_of_other_images_on_the_same_layer_stay_whole(fixture: &Fixture) {
    versions(fixture, "base", 2);
    fixture.ok(&["tag", "base@1", "kept"]);
    versions(fixture, "base", 1);
    let said = prune(fixture, &["--force"]);
    // Its tree would stay for the other image: to prune it would bring nothing back.
    assert_eq!((numbers(&said, "versions"), numbers(&said, "stay")), (vec![2], vec![1]));
    for image in ["kept", "base@1"] {
        assert_eq!(fixture.ok(&["run", "--rm", image, "cat", "/number"]), "1");
    }
    fixture.ok(&["rm", "kept"]);
    assert_eq!(numbers(&prune(fixture, &["--force"]), "versions"), [1]);
    fixture.assert_consistent();
}

fn containers_go_only_where_that_is_asked_for(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "one", "base", "true"]);
    fixture.ok(&["run", "--name", "two", "base", "true"]);
    prune(fixture, &["--force"]);
    assert_eq!(fixture.ok(&["ps", "-q"]).lines().count(), 2);
    fixture.image("other");
    fixture.ok(&["run", "--name", "three", "other", "true"]);
    prune(fixture, &["--force", "--containers", "other"]);
    assert!(fixture.record("three").is_none() && fixture.record("one").is_some());
    let shown = fixture.ok(&["prune", "--force", "--containers"]);
    assert_eq!(shown.matches("Removed: ps_").count(), 2, "{shown}");
    assert_eq!(fixture.ok(&["ps", "-q"]), "");
    assert_eq!(fixture.ok(&["images", "-q"]).lines().count(), 2);
    fixture.assert_consistent();
}

fn only_the_images_that_are_named_are_pruned(fixture: &Fixture) {
    versions(fixture, "one", 3);
    versions(fixture, "two", 3);
    let said = prune(fixture, &["--force", "one"]);
    assert_eq!(numbers(&said, "versions"), [1, 2]);
    assert_eq!(fixture.ok(&["run", "--rm", "two@1", "cat", "/number"]), "1");
    let said = fixture.fails(&["prune", "--force", "one", "nowhere"], 1);
    assert!(said.contains("No image named 'nowhere' exists"), "{said}");
    let said = fixture.fails(&["prune", "--force", "two@1"], 1);
    assert!(said.contains("\n  try: "), "{said}");
    assert_eq!(fixture.ok(&["run", "--rm", "two@1", "cat", "/number"]), "1");
    fixture.fails(&["prune", "--keep", "0", "--force"], 2);
}

fn what_no_record_knows_goes_too(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    let store = fixture.store();
    // As a power cut leaves it, which took the records back.
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    store.execute_batch("DELETE FROM container; DELETE FROM node WHERE role = 'work'").unwrap();
    let shown = fixture.ok(&["prune", "--dry-run"]);
    assert!(shown.contains("Left over, belonging to nothing: 1"), "{shown}");
    assert_eq!(prune(fixture, &["--force"])["strays"], 1);
    let directory = fixture.root().join("containers");
    for entry in std::fs::read_dir(directory).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    assert_eq!(fixture.state(), state);
    fixture.assert_consistent();
}

fn nothing_is_pruned_without_being_asked_twice(fixture: &Fixture) {
    versions(fixture, "base", 2);
    let state = fixture.state();
    let said = fixture.fails(&["prune"], 1);
    assert!(said.contains("--force") && said.contains("--dry-run"), "{said}");
    assert_eq!(fixture.state(), state);
}

fn the_name_that_docker_has_for_it_works(fixture: &Fixture) {
    versions(fixture, "base", 2);
    let shown = fixture.ok(&["system", "prune", "-f"]);
    assert!(shown.contains("Pruned: ") && shown.contains("Comes back: "), "{shown}");
    fixture.assert_consistent();
}
