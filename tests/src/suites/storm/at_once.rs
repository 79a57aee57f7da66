//! N1, C8: the same command many times at the same moment.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use serde_json::Value;

use crate::suites::background::{self, End};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("n1_of_many_runs_with_one_name_exactly_one_wins", one_name),
        case("n1_many_commits_onto_one_name_each_count_once", one_target),
        case("c8_sixteen_commits_from_one_base_at_once_all_succeed", from_one_base),
        case("n1_of_many_rm_of_one_container_exactly_one_wins", one_removal),
        case("n1_many_containers_of_one_image_at_once", many_containers),
    ]
}

const MANY: usize = 8;

/// Starts the same command many times, and waits for all of them.
fn at_once(fixture: &Fixture, words: &[&str]) -> Vec<End> {
    let start = |_| background::start(&mut background::mocker(fixture, words));
    let jobs: Vec<_> = (0..MANY).map(start).collect();
    let ended: Vec<_> = jobs.into_iter().map(background::Job::end).collect();
    ended.iter().for_each(End::clear);
    ended
}

/// Those that won; each of the others must have said one of `refusals`.
#[track_caller]
fn winners(ended: &[End], refusals: &[&str]) -> usize {
    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|ended| ended.code == Some(0));
    for lost in lost {
        let said = lost.refused_with_a_hint();
        assert!(refusals.iter().any(|words| said.contains(words)), "{said}");
    }
    won.len()
}

fn records(fixture: &Fixture, verb: &str) -> Vec<Value> {
    serde_json::from_str(&fixture.ok(&[verb, "--format", "json"])).unwrap()
}

fn one_name(fixture: &Fixture) {
    fixture.image("base");
    let ended = at_once(fixture, &["run", "--name", "work", "base", "true"]);
    let refusals = ["container work is held by 'mocker run' (process ", "a container named 'work' exists"];
    assert_eq!(winners(&ended, &refusals), 1);
    let containers = records(fixture, "ps");
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0]["name"], "work");
    fixture.assert_consistent();
}

fn one_target(fixture: &Fixture) {
    fixture.image("base");
    for name in ["one", "two"] {
        fixture.ok(&["run", "--name", name, "base", "sh", "-c", "echo made > /made"]);
    }
    let start = |number: usize| {
        let container = ["one", "two"][number % 2];
        background::start(&mut background::mocker(fixture, &["commit", container, "fresh"]))
    };
    let jobs: Vec<_> = (0..MANY).map(start).collect();
    let ended: Vec<_> = jobs.into_iter().map(background::Job::end).collect();
    let won = winners(&ended, &["is held by 'mocker commit' (process "]);
    assert!(won >= 1);
    let images = records(fixture, "images");
    let fresh: Vec<_> = images.iter().filter(|image| image["name"] == "fresh:latest").collect();
    assert_eq!(fresh.len(), 1, "the name leads to several images: {fresh:?}");
    assert_eq!(fresh[0]["versions"], won);
    fixture.assert_consistent();
}

/// In Docker those that came at the same moment were told that the parent did not
/// exist (moby/moby#44450).
fn from_one_base(fixture: &Fixture) {
    let commits = if crate::soaks() { 64 } else { 16 };
    fixture.image("base");
    for number in 0..commits {
        let script = format!("echo {number} > /mine; rm /etc/group");
        fixture.ok(&["run", "--name", &format!("work{number}"), "base", "sh", "-c", &script]);
    }
    let start = |number: i32| {
        let words = ["commit", &format!("work{number}"), &format!("made{number}")];
        background::start(&mut background::mocker(fixture, &words))
    };
    let jobs: Vec<_> = (0..commits).map(start).collect();
    for job in jobs {
        job.end().ok();
    }
    assert_eq!(records(fixture, "images").len(), usize::try_from(commits).unwrap() + 1);
    for number in 0..commits {
        let (work, made) = (format!("work{number}"), format!("made{number}"));
        oracle::assert_same(&fixture.tree(&work), &fixture.tree(&made));
        assert_eq!(std::fs::read_to_string(fixture.tree(&made).join("mine")).unwrap(), format!("{number}\n"));
    }
    assert_eq!(fixture.ok(&["run", "--rm", "made7", "cat", "/mine"]), "7");
    fixture.assert_consistent();
}

fn one_removal(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let ended = at_once(fixture, &["rm", "work"]);
    assert_eq!(winners(&ended, &["is held by 'mocker rm' (process ", "No container named '"]), 1);
    assert!(records(fixture, "ps").is_empty());
    fixture.assert_consistent();
}

fn many_containers(fixture: &Fixture) {
    fixture.image("base");
    let words = ["run", "base", "sh", "-c", "echo mine > /mine"];
    let ended = at_once(fixture, &words);
    assert_eq!(winners(&ended, &[]), MANY);
    let containers = records(fixture, "ps");
    assert_eq!(containers.len(), MANY);
    for container in &containers {
        let tree = fixture.tree(container["id"].as_str().unwrap());
        assert_eq!(std::fs::read_to_string(tree.join("mine")).unwrap(), "mine\n");
    }
    assert!(!fixture.tree("base").join("mine").exists());
    let ids: Vec<_> = containers.iter().map(|container| container["id"].as_str().unwrap()).collect();
    let start = |id: &&str| background::start(&mut background::mocker(fixture, &["rm", id]));
    let jobs: Vec<_> = ids.iter().map(start).collect();
    for job in jobs {
        job.end().ok();
    }
    fixture.assert_consistent();
}
