//! The command line: what stands on stdout and what on stderr, for people and
//! for programs.

use std::collections::BTreeSet;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::Value;

mod capabilities;
mod conformance;
mod fields;
mod help;
mod terminal;
mod trace;
mod usage;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        quiet_prints_ids_and_nothing_else,
        json_has_the_promised_fields,
        ps_can_be_narrowed_to_what_runs,
        rm_goes_on_after_a_failure_and_says_so_in_its_status,
        options_of_every_verb_stand_before_or_after_it,
        a_reader_that_leaves_is_no_failure,
        output_that_cannot_be_written_is_a_failure,
        data_is_all_that_stands_on_stdout,
    ];
    let parts =
        [capabilities::cases, conformance::cases, help::cases, terminal::cases, trace::cases, usage::cases];
    for part in parts {
        cases.extend(part());
    }
    cases
}

/// The image `base` and the container `work`, which has ended with status 3.
fn base_and_work(fixture: &Fixture) -> [String; 2] {
    let image = fixture.image("base");
    let words = ["run", "--name", "work", "base", "sh", "-c", "echo out; echo err >&2; exit 3"];
    assert_eq!(fixture.mocker(&words).run().code, 3);
    [image, fixture.ok(&["ps", "-q"])]
}

fn quiet_prints_ids_and_nothing_else(fixture: &Fixture) {
    let [image, container] = base_and_work(fixture);
    let other = fixture.ok(&["commit", "-q", "work"]);
    assert_eq!(fixture.ok(&["images", "-q"]), format!("{other}\n{image}"), "the newest comes first");
    assert_eq!(fixture.ok(&["ps", "--quiet"]), container);
    assert_eq!(fixture.ok(&["tag", "-q", &other, "named"]), other);
    let source = fixture.rootfs();
    assert_eq!(fixture.ok(&["init", "-q", source.to_str().unwrap(), "--name", "named"]), other);
    assert_eq!(fixture.ok(&["rm", "-q", &other, "work"]), format!("{other}\n{container}"));
    for verb in ["images", "ps"] {
        fixture.fails(&[verb, "-q", "--format", "json"], 2);
    }
}

/// The fields of a JSON object.
#[track_caller]
fn fields(record: &Value) -> BTreeSet<&str> {
    record.as_object().unwrap_or_else(|| panic!("no object: {record}")).keys().map(String::as_str).collect()
}

fn json_has_the_promised_fields(fixture: &Fixture) {
    let json = |words: &[&str]| -> Value {
        let printed = fixture.ok(&[words, &["--format", "json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{words:?}: {error} in {printed}"))
    };
    assert_eq!(json(&["images"]), Value::Array(Vec::new()));
    assert_eq!(json(&["ps"]), Value::Array(Vec::new()));

    let source = fixture.rootfs();
    let made = json(&["init", source.to_str().unwrap(), "--name", "base"]);
    assert!(fields(&made).is_superset(&["image", "name", "version", "notes"].into()), "{made}");
    assert_eq!((&made["name"], &made["version"]), (&"base:latest".into(), &1.into()));
    assert_eq!(fixture.mocker(&["run", "--name", "work", "base", "sh", "-c", "exit 3"]).run().code, 3);
    let committed = json(&["commit", "work", "base"]);
    assert_eq!((&committed["image"], &committed["version"]), (&made["image"], &2.into()));
    assert_eq!(committed["notes"].as_array().map(Vec::len), Some(1), "whose command was kept: {committed}");
    let tagged = json(&["tag", "base", "other:v1"]);
    assert_eq!(tagged["name"], "other:v1");

    let images = json(&["images"]);
    let expected = ["id", "name", "source", "version", "versions", "backend", "created", "layer"];
    assert!(fields(&images[0]).is_superset(&expected.into()), "{images}");
    assert_eq!(images.as_array().map(Vec::len), Some(2));
    assert_eq!(images[1]["source"], source.to_str().unwrap());

    let containers = json(&["ps"]);
    let expected = [
        "id",
        "name",
        "image",
        "image_name",
        "image_version",
        "command",
        "status",
        "exit_code",
        "failure",
        "pid",
        "backend",
        "created",
        "started",
        "finished",
        "work",
    ];
    assert!(fields(&containers[0]).is_superset(&expected.into()), "{containers}");
    let container = &containers[0];
    assert_eq!(container["command"], serde_json::json!(["sh", "-c", "exit 3"]));
    assert_eq!((&container["status"], &container["exit_code"]), (&"exited".into(), &3.into()));
    assert_eq!((&container["image_name"], &container["image_version"]), (&"base:latest".into(), &1.into()));
    let [created, started, finished] =
        ["created", "started", "finished"].map(|name| container[name].as_u64().unwrap());
    assert!(created <= started && started <= finished, "{container}");
    json(&["pool", "status"]);
}

fn ps_can_be_narrowed_to_what_runs(fixture: &Fixture) {
    let [_, ended] = base_and_work(fixture);
    fixture.ok(&["rm", "work"]);
    let job = crate::suites::living::start(fixture, &[], crate::suites::living::UNTIL_ENDED);
    let living = fixture.ok(&["ps", "--running", "-q"]);
    assert_ne!(living, ended);
    assert_eq!(fixture.mocker(&["run", "--name", "other", "base", "false"]).run().code, 1);
    assert_eq!(fixture.ok(&["ps", "--running", "-q"]), living);
    assert_eq!(fixture.ok(&["ps", "-q"]).lines().nth(1), Some(living.as_str()), "the newest comes first");
    assert_eq!(fixture.ok(&["ps", "-a"]), fixture.ok(&["ps"]));
    crate::suites::living::end(fixture, job).ok();
    assert_eq!(fixture.ok(&["ps", "--running"]), "CONTAINER_ID\t\tCOMMAND");
}

fn rm_goes_on_after_a_failure_and_says_so_in_its_status(fixture: &Fixture) {
    let [image, container] = base_and_work(fixture);
    let ended = fixture.mocker(&["rm", "nowhere", "work", "img_nowhere", "base"]).run();
    assert_eq!(ended.code, 1);
    assert_eq!(ended.out(), format!("Removed: {container}\nRemoved: {image}"));
    assert!(ended.err().contains("'nowhere'") && ended.err().contains("'img_nowhere'"), "{}", ended.err());
    assert_eq!(fixture.ok(&["images", "-q"]) + &fixture.ok(&["ps", "-q"]), "");
    fixture.assert_consistent();
}

fn options_of_every_verb_stand_before_or_after_it(fixture: &Fixture) {
    let image = fixture.image("base");
    let root = fixture.root().to_str().unwrap();
    let other = fixture.scratch().join("other");
    for words in
        [["--root", root, "images", "-q"], ["images", "--root", root, "-q"], ["images", "-q", "--root", root]]
    {
        // The option wins over the variable.
        assert_eq!(fixture.mocker(&words).env("MOCKER_ROOT", &other).run().out(), image);
    }
    assert!(!other.exists());
    // Behind the image everything is the command's.
    assert_eq!(
        fixture.ok(&["run", "--rm", "base", "echo", "--root", "x", "--trace", "--rm"]),
        "--root x --trace --rm"
    );
    let said = fixture.fails(&["run", "--rm", "--no-such-option", "base", "true"], 2);
    assert!(said.contains("--no-such-option"), "{said}");
}

fn a_reader_that_leaves_is_no_failure(fixture: &Fixture) {
    base_and_work(fixture);
    for words in ["images", "ps --format json", "logs work", "completions bash", "help run"] {
        // The reader is gone before anything is written.
        let script = format!(
            "mkfifo \"$MOCKER_ROOT.fifo\"; exec 3<> \"$MOCKER_ROOT.fifo\" 4> \"$MOCKER_ROOT.fifo\" 3>&-; \
            rm \"$MOCKER_ROOT.fifo\"; $mocker {words} >&4"
        );
        let ended = crate::suites::living::script(fixture, &script);
        assert_eq!(ended.code, Some(0), "{words}: {ended:?}");
        ended.clear();
    }
}

fn output_that_cannot_be_written_is_a_failure(fixture: &Fixture) {
    base_and_work(fixture);
    for words in ["images", "ps -q", "logs work", "images --format json"] {
        let ended = crate::suites::living::script(fixture, &format!("$mocker {words} > /dev/full"));
        assert_eq!(ended.code, Some(1), "{words}: {ended:?}");
        assert!(ended.err.contains("cannot write the output"), "{words}: {}", ended.err);
    }
}

fn data_is_all_that_stands_on_stdout(fixture: &Fixture) {
    let source = fixture.rootfs();
    let bare = |words: &[&str]| fixture.mocker(words).without("MOCKER_BACKEND").run();
    // The first use has much to say: which backend was chosen, that a pool was made.
    let first = bare(&["init", source.to_str().unwrap()]);
    assert_eq!(first.code, 0, "{}", first.err());
    let printed = String::from_utf8(first.stdout.clone()).unwrap();
    let id = printed.strip_prefix("Created: ").and_then(|rest| rest.strip_suffix('\n')).unwrap();
    assert!(
        id.starts_with("img_") && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    );
    assert!(first.err().lines().all(|line| line.starts_with("note: ")), "{}", first.err());
    assert!(first.err().contains("storage backend: "), "nothing is said about the backend: {}", first.err());
    // The second has nothing to say.
    for words in
        [&["init", source.to_str().unwrap()][..], &["run", "--name", "work", id, "true"], &["logs", "work"]]
    {
        let ended = bare(words);
        assert_eq!((ended.code, ended.err().as_str()), (0, ""), "{words:?}");
        assert_eq!(ended.out().is_empty(), words[0] != "init", "{words:?}: {}", ended.out());
    }
    let all = [bare(&["ps", "-q"]).out(), bare(&["images", "-q"]).out()].join("\n");
    assert_eq!(bare(&[&["rm", "-q"], &all.lines().collect::<Vec<_>>()[..]].concat()).out(), all);
}
