//! On a terminal there are colours and wider tables, and elsewhere neither.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use super::base_and_work;
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_terminal_gets_wider_tables,
        a_history_fits_a_terminal_and_is_whole_elsewhere,
        colours_are_for_a_terminal_that_has_them,
        a_progress_bar_is_for_a_terminal,
    ]
}

/// What a command of mocker shows on a terminal of its own, and its status.
/// `surroundings` stand before it, as in a shell.
#[track_caller]
fn on_a_terminal(fixture: &Fixture, surroundings: &str, words: &str) -> (String, i32) {
    const PROGRAM: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let script = format!("TERM=xterm COLUMNS=150 {surroundings} exec python3 -c '{PROGRAM}' $mocker {words}");
    let ended = living::script(fixture, &script);
    (String::from_utf8(ended.out).unwrap(), ended.code.unwrap())
}

fn a_terminal_gets_wider_tables(fixture: &Fixture) {
    let [image, container] = base_and_work(fixture);
    let (shown, _) = on_a_terminal(fixture, "", "images");
    for word in ["IMAGE_ID", "NAME", "VERSION", "SOURCE", &image, "base:latest"] {
        assert!(shown.contains(word), "{word} is missing: {shown}");
    }
    let (shown, _) = on_a_terminal(fixture, "", "ps");
    for word in
        ["CONTAINER_ID", "IMAGE", "STATUS", "COMMAND", &container, "work", "base:latest", "exited (3)"]
    {
        assert!(shown.contains(word), "{word} is missing: {shown}");
    }
    assert!(!shown.contains('\t'), "{shown:?}");
    // What is asked for as ids or JSON is the same everywhere.
    let (shown, _) = on_a_terminal(fixture, "", "ps -q");
    assert_eq!(shown.trim(), container);
    let (shown, _) = on_a_terminal(fixture, "", "images --format json");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, fixture.images());
}

fn a_history_fits_a_terminal_and_is_whole_elsewhere(fixture: &Fixture) {
    base_and_work(fixture);
    let long = "a long word, ".repeat(10);
    fixture.ok(&["commit", "-m", &long, "work", "base"]);
    let (shown, _) = on_a_terminal(fixture, "", "history base");
    for word in ["VERSION", "STATE", "current", "LAYERS", "just now", "a long word,", "…"] {
        assert!(shown.contains(word), "{word} is missing: {shown}");
    }
    assert!(!shown.contains('\t') && shown.matches("a long").count() < 5, "{shown:?}");
    let (shown, _) = on_a_terminal(fixture, "", "history --no-trunc base");
    assert_eq!(shown.matches("a long").count(), 10, "{shown}");
    let elsewhere = fixture.ok(&["history", "base"]);
    assert!(elsewhere.contains(&long) && !elsewhere.contains("just now"), "{elsewhere}");
    assert_eq!(elsewhere, fixture.ok(&["history", "--no-trunc", "base"]));
    // Which version is current is seen in the list of images too.
    let listed = |words: &str| on_a_terminal(fixture, "", words).0;
    assert!(!listed("images").contains(" of "), "{}", listed("images"));
    fixture.ok(&["rollback", "base"]);
    assert!(listed("images").contains("1 of 2"), "{}", listed("images"));
    assert!(listed("tree").contains("current"), "{}", listed("tree"));
}

fn colours_are_for_a_terminal_that_has_them(fixture: &Fixture) {
    fixture.image("base");
    let colour = "\u{1b}[";
    let (shown, code) = on_a_terminal(fixture, "", "logs nowhere");
    assert_eq!(code, 1);
    assert!(shown.contains(colour) && shown.contains("No container named 'nowhere' exists"), "{shown:?}");
    let (shown, _) = on_a_terminal(fixture, "", "help");
    assert!(shown.contains("Usage:"), "{shown:?}");
    for without in ["NO_COLOR=1", "TERM=dumb"] {
        let (shown, _) = on_a_terminal(fixture, without, "logs nowhere");
        assert!(!shown.contains(colour) && shown.contains("mocker: No container"), "{without}: {shown:?}");
    }
    let elsewhere = fixture.fails(&["logs", "nowhere"], 1);
    assert!(elsewhere.starts_with("mocker: No container named 'nowhere' exists\n"), "{elsewhere:?}");
    let traced = fixture.mocker(&["--trace", "images"]).run();
    assert!(!traced.err().contains('\u{1b}'), "{}", traced.err());
}

fn a_progress_bar_is_for_a_terminal(fixture: &Fixture) {
    fixture.image("base");
    let source = fixture.rootfs();
    // It shows after a moment, so the copy must take one.
    for number in 0..4000 {
        std::fs::write(source.join(format!("file-{number}")), [7; 5000]).unwrap();
    }
    let (shown, code) = on_a_terminal(fixture, "", &format!("init {}", source.display()));
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Created: img_"), "{shown:?}");
    assert!(shown.contains("copying"), "nothing is said while it copies: {shown:?}");
    let elsewhere = fixture.mocker(&["init", source.to_str().unwrap()]).run();
    assert_eq!((elsewhere.code, elsewhere.err().as_str()), (0, ""));
}
