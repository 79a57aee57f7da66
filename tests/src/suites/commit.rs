//! `commit`: a container's tree as a version of an image.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use mocker_core::backend::Views;

use crate::suites::living;

mod convert;
mod cost;
mod flat;
mod instructions;
pub(crate) mod nested;
mod pause;
mod refused;
mod running;
mod squash;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        c1_what_a_container_wrote_is_read_back_from_the_image,
        c7_many_commits_in_a_row_keep_everything,
        c10_a_commit_onto_an_image_adds_a_version_and_the_old_one_stays_valid,
        l12_an_image_cannot_be_written_to,
        l13_what_is_written_after_a_commit_never_reaches_the_image,
        a_container_is_committed_after_its_image_is_gone,
        a_commit_that_fails_changes_nothing,
        a_container_is_committed_twice_and_goes_on,
    ];
    let parts = [
        cost::cases,
        flat::cases,
        instructions::cases,
        running::cases,
        pause::cases,
        squash::cases,
        convert::cases,
        refused::cases,
    ];
    cases.extend(parts.iter().flat_map(|part| part()));
    cases
}

/// A container `work` of the image `base` after a shell script.
#[track_caller]
fn worked(fixture: &Fixture, script: &str) {
    if fixture.record("base").is_none() {
        fixture.image("base");
    }
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
}

/// How many layers lie one over the other in the current version of an image;
/// one where each layer is a whole tree, and those beneath it have gone.
#[track_caller]
fn layers(fixture: &Fixture, image: &str) -> usize {
    let store = rusqlite::Connection::open(fixture.root().join("mocker.db")).unwrap();
    let record = fixture.record(image).unwrap_or_else(|| panic!("there is no '{image}'"));
    let top = record["layer"].as_u64();
    let parent = |layer: &u64| {
        let query =
            "SELECT parent FROM node WHERE id = ?1 AND parent IN (SELECT id FROM node WHERE role = 'layer')";
        store.query_row(query, [layer], |row| row.get::<_, u64>(0)).ok()
    };
    std::iter::successors(top, parent).count()
}

fn c1_what_a_container_wrote_is_read_back_from_the_image(fixture: &Fixture) {
    worked(fixture, "echo written > /made; rm /etc/group; mkdir -p /deep/er && ln /made /deep/er/link");
    let printed = fixture.ok(&["commit", "work", "made:v1"]);
    let image = printed.strip_prefix("Created: ").unwrap();
    let record = fixture.record("made:v1").unwrap();
    assert_eq!(
        (&record["id"], &record["version"], &record["versions"]),
        (&image.into(), &1.into(), &1.into())
    );
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("made:v1"));
    let script = "cat /made /deep/er/link; test -e /etc/group || echo removed; stat -c %h /made";
    assert_eq!(fixture.ok(&["run", "--rm", "made:v1", "sh", "-c", script]), "written\nwritten\nremoved\n2");
    // And the image that it came from is as it was.
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("base"));
    // An image needs no name.
    let nameless = fixture.ok(&["commit", "-q", "work"]);
    assert!(fixture.record(&nameless).unwrap()["name"].is_null());
    assert_eq!(fixture.ok(&["run", "--rm", &nameless, "cat", "/made"]), "written");
    fixture.assert_consistent();
}

fn c7_many_commits_in_a_row_keep_everything(fixture: &Fixture) {
    const ROUNDS: u32 = 40;
    let image = fixture.image("base");
    for round in 1..=ROUNDS {
        let script = format!("echo {round} >> /rounds; echo {round} > /file-{round}");
        fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
        assert_eq!(fixture.ok(&["commit", "-q", "work", "base"]), image);
        fixture.ok(&["rm", "work"]);
    }
    assert_eq!(fixture.record("base").unwrap()["versions"], ROUNDS + 1);
    let seen = fixture.ok(&["run", "--rm", "base", "sh", "-c", "cat /rounds; cat /file-* | wc -l"]);
    let expected: Vec<_> = (1..=ROUNDS).chain([ROUNDS]).map(|round| round.to_string()).collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    fixture.ok(&["rm", "base"]);
    fixture.assert_consistent();
    assert_eq!(fixture.ok(&["images", "-q"]), "");
}

fn c10_a_commit_onto_an_image_adds_a_version_and_the_old_one_stays_valid(fixture: &Fixture) {
    let image = fixture.image("base");
    // One container of the old version that has run, and one that is not yet made.
    worked(fixture, "echo of the first > /mine; echo one >> /runs; wc -l < /runs");
    let first = fixture.tree("base");
    let before = oracle::look(&first);
    fixture.ok(&["run", "--name", "next", "base", "sh", "-c", "echo second > /version"]);
    assert_eq!(fixture.ok(&["commit", "-q", "next", &image]), image);
    let record = fixture.record("base").unwrap();
    assert_eq!((&record["version"], &record["versions"]), (&2.into(), &2.into()));
    assert_eq!(record["source"], fixture.rootfs().to_str().unwrap(), "where it came from stays");
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/version"]), "second");

    assert_ne!(fixture.tree("base"), first);
    oracle::assert_equal(&before, &oracle::look(&first));
    let work = fixture.record("work").unwrap();
    assert_eq!((&work["image"], &work["image_version"]), (&image.clone().into(), &1.into()));
    assert_eq!(fixture.ok(&["start", "work"]), "2");
    assert!(!fixture.tree("work").join("version").exists(), "a container stands on what it was made of");
    // It can go onto the same image in turn, and brings its own tree.
    assert_eq!(fixture.ok(&["commit", "-q", "work", "base"]), image);
    assert_eq!(fixture.record("base").unwrap()["version"], 3);
    assert_eq!(fixture.mocker(&["run", "--rm", "base", "cat", "/version"]).run().code, 1);
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/mine"]), "of the first");
    fixture.assert_consistent();
}

fn l12_an_image_cannot_be_written_to(fixture: &Fixture) {
    worked(fixture, "echo x > /made");
    fixture.ok(&["commit", "work", "made"]);
    for image in ["base", "made"] {
        let tree = fixture.tree(image);
        let written = std::fs::File::options().append(true).open(tree.join("etc/passwd")).map(drop);
        let made = std::fs::create_dir(tree.join("new"));
        for outcome in [written, made] {
            let expected = match fixture.capabilities().views {
                Views::ReadOnly => Some(std::io::ErrorKind::ReadOnlyFilesystem),
                Views::Plain => None,
            };
            assert_eq!(outcome.err().map(|error| error.kind()), expected, "{image}");
        }
    }
}

fn l13_what_is_written_after_a_commit_never_reaches_the_image(fixture: &Fixture) {
    fixture.image("base");
    // The descriptor is open before the commit, and written through after it.
    let script = format!("exec 5>> /file; echo before >&5; {}; echo after >&5; sync", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    fixture.ok(&["commit", "work", "made"]);
    let committed = oracle::look(&fixture.tree("made"));
    living::end(fixture, job).ok();
    oracle::assert_equal(&committed, &oracle::look(&fixture.tree("made")));
    assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/file"]), "before");
    assert_eq!(std::fs::read_to_string(fixture.tree("work").join("file")).unwrap(), "before\nafter\n");
}

fn a_container_is_committed_after_its_image_is_gone(fixture: &Fixture) {
    worked(fixture, "echo kept > /kept");
    let said = fixture.mocker(&["rm", "base"]).run();
    assert_eq!(said.code, 0);
    assert!(said.err().contains("1 container"), "nothing is said about the container: {}", said.err());
    assert_eq!(fixture.ok(&["start", "work"]), "");
    fixture.ok(&["commit", "work", "again"]);
    assert_eq!(
        fixture.ok(&["run", "--rm", "again", "cat", "/kept", "/etc/group"]).lines().next(),
        Some("kept")
    );
    let said = fixture.fails(&["commit", "--config-from", "image", "work", "other"], 1);
    assert!(said.contains("is gone") && said.contains("\n  try: "), "{said}");
    fixture.ok(&["rm", "work"]);
    oracle::assert_equal(
        &oracle::look(&fixture.rootfs()).without_time("/"),
        &oracle::look(&fixture.tree("again")).without("/kept").without_time("/"),
    );
    fixture.assert_consistent();
}

fn a_commit_that_fails_changes_nothing(fixture: &Fixture) {
    worked(fixture, "echo x > /made");
    let (state, tree) = (fixture.state(), oracle::look(&fixture.tree("work")));
    let wrong: &[&[&str]] = &[
        &["work", "img_0123456789ab"],
        &["work", "UPPER"],
        &["work", "base:"],
        &["base", "base"],
        &["-c", "CMD", "work", "base"],
        &["-c", "ENV novalue", "work", "base"],
        &["-c", "ENV A=1", "-c", "EXPOSE 99999", "work", "base"],
        &["-c", "RUN true", "work", "base"],
        &["--backend", "nonsense", "work", "base"],
    ];
    for words in wrong {
        fixture.fails(&[&["commit"], *words].concat(), 1);
        assert_eq!(fixture.state(), state, "{words:?}");
    }
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree("work")));
    fixture.assert_consistent();
}

fn a_container_is_committed_twice_and_goes_on(fixture: &Fixture) {
    worked(fixture, "echo x >> /count; wc -l < /count");
    for expected in ["2", "3"] {
        fixture.ok(&["commit", "work", &format!("after:v{expected}")]);
        assert_eq!(fixture.ok(&["start", "work"]), expected);
    }
    for (image, lines) in [("after:v2", "1"), ("after:v3", "2")] {
        assert_eq!(fixture.ok(&["run", "--rm", image, "sh", "-c", "wc -l < /count"]), lines);
    }
}
