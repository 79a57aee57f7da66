//! S8: the words of a command are data: any bytes, any number, through no
//! shell, and harmless on a terminal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("s8_words_reach_the_command_byte_for_byte", bytes),
        case("s8_empty_words_are_words", empty),
        case("s8_a_mebibyte_of_words", many),
        case("s8_an_empty_command_is_refused", no_command),
        case("s8_no_shell_sees_the_words", no_shell),
        case("s8_escape_codes_do_not_reach_the_terminal", escape_codes),
    ]
}

/// Runs words that need not be text; answers what came out.
fn run(fixture: &Fixture, words: &[&OsStr]) -> Vec<u8> {
    let before = ["run", "--rm", "base"].map(OsStr::new);
    let words: Vec<_> = before.iter().chain(words).collect();
    let ended = background::run(fixture, &words);
    ended.ok();
    ended.out
}

fn bytes(fixture: &Fixture) {
    fixture.image("base");
    let every_byte: Vec<u8> = (1..=255).collect();
    let odd: [&[u8]; 6] =
        [&every_byte, b"\xff\xfe\x80", b"a\nb\rc", b"--rm", b"'\"\\$`", "名\u{1b}[31m".as_bytes()];
    for word in odd {
        let out = run(
            fixture,
            &[
                "sh".as_ref(),
                "-c".as_ref(),
                "printf %s \"$1\"".as_ref(),
                "x".as_ref(),
                OsStr::from_bytes(word),
            ],
        );
        assert_eq!(out, word, "{}", word.escape_ascii());
    }
}

fn empty(fixture: &Fixture) {
    fixture.image("base");
    let words =
        ["sh", "-c", "echo $#; for word; do echo \"<$word>\"; done", "x", "", "a", "", ""].map(OsStr::new);
    assert_eq!(run(fixture, &words), b"4\n<>\n<a>\n<>\n<>\n");
}

fn many(fixture: &Fixture) {
    fixture.image("base");
    // The kernel takes 128 KiB in one word, and 2 MiB in all with an ordinary stack (execve(2)).
    let word = OsString::from("w".repeat(1023));
    let words: Vec<&OsStr> = ["sh", "-c", "echo $#", "x"]
        .map(OsStr::new)
        .into_iter()
        .chain((0..1024).map(|_| word.as_os_str()))
        .collect();
    assert_eq!(run(fixture, &words), b"1024\n");
    let long = OsString::from("l".repeat(127 << 10));
    let script = "echo ${#1}";
    let out = run(fixture, &["sh".as_ref(), "-c".as_ref(), script.as_ref(), "x".as_ref(), &long]);
    assert_eq!(out, format!("{}\n", 127 << 10).as_bytes());
    fixture.assert_consistent();
}

fn no_command(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    for words in [
        &["run", "base"][..],
        &["run", "base", ""],
        &["run", "base", " \t\n"],
        &["run", "--entrypoint", "", "base"],
    ] {
        let ended = background::run(fixture, words);
        assert_eq!(ended.code, Some(125), "{ended:?}");
        ended.refused_with_a_hint();
    }
    for words in [&["run"][..], &["run", "--rm"], &["run", "--nonsense", "base", "true"], &[]] {
        let ended = background::run(fixture, words);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        ended.refused();
    }
    assert_eq!(fixture.state(), state);
}

fn no_shell(fixture: &Fixture) {
    fixture.image("base");
    let witness = fixture.scratch().join("witness");
    let evil = format!("$(touch {0}); `touch {0}`; touch {0}", witness.display());
    let evil = evil.as_str();
    assert_eq!(run(fixture, &["echo".as_ref(), evil.as_ref()]), format!("{evil}\n").as_bytes());
    fixture.ok(&["run", "--name", "work", "-e", &format!("EVIL={evil}"), "base", "true"]);
    fixture.ok(&["commit", "-a", evil, "-m", evil, "-c", &format!("LABEL a='{evil}'"), "work", "evil"]);
    assert_eq!(fixture.mocker(&["run", "--rm", "--entrypoint", evil, "base"]).run().code, 127);
    fixture.ok(&["images"]);
    fixture.ok(&["ps"]);
    assert!(!witness.exists(), "a shell on the host has run what was to be data");
}

fn escape_codes(fixture: &Fixture) {
    fixture.image("base");
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}";
    fixture.ok(&["run", "--name", "work", "base", "echo", evil, "two\nlines\tand tabs"]);
    let listed = fixture.ok(&["ps"]);
    assert_eq!(listed.lines().count(), 2, "{listed:?}");
    assert!(!listed.contains(|letter: char| letter.is_control() && !"\n\t".contains(letter)), "{listed:?}");
    assert!(!listed.contains('\u{202e}'), "{listed:?}");
    let ended = background::run(fixture, &["run", "--rm", "base", evil]);
    assert_eq!(ended.code, Some(127));
    ended.clear();
    let ended = background::run(fixture, &["commit", "work", "base"]);
    ended.ok();
    ended.clear();
}
