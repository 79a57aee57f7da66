//! S7: ids and names that are paths, flags, control characters or endless are
//! refused wherever one can be given.

use std::fs;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use mocker_core::ErrorKind;
use mocker_core::image::{Reference, check_container_name};

use crate::suites::background::{self, End};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("s7_bad_names_of_images", image_names),
        case("s7_bad_names_of_containers", container_names),
        case("s7_bad_ids_for_rm", ids_to_remove),
        case("s7_bad_words_for_the_verbs_about_versions", words_about_versions),
        case("s7_bad_host_names_users_directories_and_settings", settings),
        case("s7_bad_directories_for_init", directories),
        case("s7_names_that_are_not_utf8", not_utf8),
        case("s7_nul_is_refused_where_names_are_read", nul),
        case("s7_ids_that_are_parts_of_others", parts_of_ids),
    ]
}

/// What nothing can be called. A command line cannot carry NUL: see [`nul`].
fn bad_names() -> Vec<String> {
    let short = [
        "",
        ".",
        "..",
        "../x",
        "../../../../../../tmp/x",
        "a/../../b",
        "/etc/passwd",
        "x/",
        "-x",
        "--",
        "-",
        "a\nb",
        "\n",
        "x\n",
        "a\tb",
        "a\rb",
        "\u{1b}[31mred",
        "\u{1b}]0;title\u{7}",
        "\u{7f}",
        "\u{202e}txt",
        "a b",
        " ",
        "a;b",
        "$(touch x)",
        "`x`",
        "a|b",
        "*",
        "naïve",
        "名",
        "%s%n",
        "img_../../etc",
        "ps_../../etc",
        "img_\n",
        "ps_\u{1b}",
        "img_%",
        "ps__",
        "img_'--",
        "x:",
        ":x",
        "a:b:c",
        "a//b",
        "a..b",
    ];
    let long = ["x", "img_", "ps_", "../", "\n"].map(|text| text.repeat(10 * 1024 / text.len() + 1));
    short.into_iter().map(str::to_owned).chain(long).collect()
}

/// Runs each command line once with each bad name in the place of `@`. Each is
/// refused, and nothing anywhere has changed.
fn each_is_refused(
    fixture: &Fixture,
    lines: &[&[&str]],
    names: &[String],
    acceptable: impl Fn(&[&str], &str) -> bool,
) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    // Where a relative path would lead.
    let here = fixture.scratch().join("here/deep");
    fs::create_dir_all(&here).unwrap();
    let outside = || {
        let scratch = fs::read_dir(fixture.scratch()).unwrap().flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = scratch.collect();
        names.sort_unstable();
        (names, oracle::look(&fixture.scratch().join("here")))
    };
    let (state, (beside, tree)) = (fixture.state(), outside());
    for line in lines {
        for name in names {
            let words: Vec<&str> = line.iter().map(|word| if *word == "@" { name } else { *word }).collect();
            if acceptable(line, name) {
                continue;
            }
            let mut command = background::mocker(fixture, &words);
            let ended = background::finish(command.current_dir(&here));
            said_clearly(&ended, &words);
        }
        assert_eq!(fixture.state(), state, "after {line:?}");
        let now = outside();
        assert_eq!(now.0, beside, "after {line:?}");
        assert_eq!(oracle::differences(&tree, &now.1), Vec::<String>::new(), "after {line:?}");
    }
    fixture.ok(&["start", "work"]);
}

/// What is shown on the terminal is short, and has no control characters.
#[track_caller]
fn said_clearly(ended: &End, words: &[&str]) {
    let said = ended.refused();
    assert!(!said.contains('\u{202e}'), "{words:?} said {said:?}");
    let by_the_engine = ended.code != Some(2);
    assert!(said.starts_with(if by_the_engine { "mocker: " } else { "error: " }), "{words:?} said {said:?}");
    assert!(said.len() < 1024 || !by_the_engine, "{words:?} said {} bytes", said.len());
}

/// Every name is bad for every line.
fn none(_: &[&str], _: &str) -> bool {
    false
}

fn image_names(fixture: &Fixture) {
    let source = fixture.rootfs().into_os_string().into_string().unwrap();
    let lines: [&[&str]; 6] = [
        &["init", &source, "--name", "@"],
        &["run", "@", "true"],
        &["run", "--rm", "@"],
        &["commit", "work", "@"],
        &["tag", "@", "fresh"],
        &["tag", "base", "@"],
    ];
    // "--" says that no options follow; the image may then be left away. A directory can be run.
    let acceptable = |line: &[&str], name: &str| {
        line.ends_with(&["@"]) && name == "--" || line[0] == "run" && [".", ".."].contains(&name)
    };
    each_is_refused(fixture, &lines, &bad_names(), acceptable);
}

fn container_names(fixture: &Fixture) {
    let lines: [&[&str]; 5] = [
        &["run", "--name", "@", "base", "true"],
        &["run", "--rm", "--name", "@", "base", "true"],
        &["start", "@"],
        &["logs", "@"],
        &["commit", "@"],
    ];
    // Two dots in a row are no path.
    each_is_refused(fixture, &lines, &bad_names(), |line, name| line.contains(&"--name") && name == "a..b");
}

fn ids_to_remove(fixture: &Fixture) {
    let lines: [&[&str]; 4] = [&["rm", "@"], &["rm", "-f", "@"], &["rm", "--", "@"], &["rm", "@", "@"]];
    each_is_refused(fixture, &lines, &bad_names(), none);
}

fn words_about_versions(fixture: &Fixture) {
    let lines: [&[&str]; 7] = [
        &["history", "@"],
        &["history", "-q", "@"],
        &["rollback", "@"],
        &["rollback", "@", "1"],
        &["rollback", "base", "@"],
        &["tree", "@"],
        &["tree", "base", "@"],
    ];
    // "--" says that no options follow; all words may be left away for a tree.
    each_is_refused(fixture, &lines, &bad_names(), |line, name| line[0] == "tree" && name == "--");
    for name in bad_names() {
        for words in [["run", &format!("base@{name}"), "true"], ["tag", &format!("base@{name}"), "fresh"]] {
            said_clearly(&background::run(fixture, &words), &words);
        }
        // It answers for what was found all the same, which is nothing.
        let ended = background::run(fixture, &["inspect", &name]);
        assert!(matches!(ended.code, Some(1 | 2)) && [&b""[..], b"[]\n"].contains(&&*ended.out), "{ended:?}");
        ended.clear();
    }
}

fn settings(fixture: &Fixture) {
    let lines: [&[&str]; 6] = [
        &["run", "--hostname", "@", "base", "true"],
        &["run", "--rm", "-e", "@", "base", "true"],
        &["run", "--rm", "-u", "@", "base", "true"],
        &["run", "--rm", "-w", "@", "base", "true"],
        &["commit", "-c", "@", "work"],
        &["--backend", "@", "init", "/nonexistent"],
    ];
    // An empty user is root, and a host may be called so.
    let acceptable = |line: &[&str], name: &str| {
        line.contains(&"-u") && name.is_empty() || line.contains(&"--hostname") && name == "ps__"
    };
    each_is_refused(fixture, &lines, &bad_names(), acceptable);
}

fn directories(fixture: &Fixture) {
    // Those of them that no directory has.
    let here = fixture.scratch().join("here/deep");
    let names: Vec<_> =
        bad_names().into_iter().filter(|name| name.is_empty() || !here.join(name).exists()).collect();
    let exists_there = |_: &[&str], name: &str| {
        [".", "..", "/etc/passwd"].contains(&name) || name.trim_matches('/').is_empty() && !name.is_empty()
    };
    each_is_refused(fixture, &[&["init", "@"], &["init", "--name", "fresh", "@"]], &names, exists_there);
}

fn not_utf8(fixture: &Fixture) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let state = fixture.state();
    let bad = OsStr::from_bytes(b"\xff\xfe/..");
    let source = fixture.rootfs();
    let lines: [&[&OsStr]; 8] = [
        &["init".as_ref(), "--name".as_ref(), bad, source.as_os_str()],
        &["run".as_ref(), bad, "true".as_ref()],
        &["run".as_ref(), "--name".as_ref(), bad, "base".as_ref(), "true".as_ref()],
        &["start".as_ref(), bad],
        &["logs".as_ref(), bad],
        &["commit".as_ref(), "work".as_ref(), bad],
        &["tag".as_ref(), "base".as_ref(), bad],
        &["rm".as_ref(), bad],
    ];
    for words in lines {
        background::run(fixture, words).refused();
    }
    assert_eq!(fixture.state(), state);

    // A directory can have any name.
    let source = fixture.scratch().join(OsStr::from_bytes(b"dir\xff\n\x1b[31m"));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "there").unwrap();
    let words: [&OsStr; 4] = ["init".as_ref(), "--name".as_ref(), "odd".as_ref(), source.as_ref()];
    let ended = background::run(fixture, &words);
    ended.ok();
    ended.clear();
    assert_eq!(fs::read(fixture.tree("odd").join("file")).unwrap(), b"there");
    let listed = fixture.ok(&["images"]);
    assert!(!listed.contains('\u{1b}'), "{listed:?}");
    assert_eq!(listed.lines().count(), 3, "{listed}");
}

/// The command line cannot carry NUL, so the places that read names are asked
/// themselves.
fn nul(_: &Fixture) {
    for bad in ["\0", "a\0", "\0a", "a\0b", "a:\0", "img_\0", "ps_\0", "../\0"] {
        let refused = bad.parse::<Reference>().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert!(!refused.to_string().contains('\0') && refused.hint().is_some(), "{refused}");
        let refused = check_container_name(bad).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad:?}");
        assert!(!refused.to_string().contains('\0') && refused.hint().is_some(), "{refused}");
    }
}

/// L16: the beginning of an id stands for it, its middle and its end do not.
fn parts_of_ids(fixture: &Fixture) {
    let image = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let container = fixture.ok(&["ps", "-q"]);
    let state = fixture.state();
    for id in [&image, &container] {
        let (prefix, digits) = id.split_once('_').unwrap();
        let (middle, end) = (&digits[1..], &digits[2..]);
        let parts = [
            middle,
            end,
            digits,
            &format!("{prefix}_{middle}"),
            &format!("{id}0"),
            &id.to_uppercase(),
            &format!(" {id}"),
        ];
        for part in parts {
            background::run(fixture, &["rm", part]).refused();
        }
    }
    assert_eq!(fixture.state(), state);
    // What every id begins with means none of them, not even where there is only one.
    for prefix in ["img_", "ps_"] {
        let said = fixture.fails(&["rm", prefix], 1);
        assert!(said.contains("only the beginning"), "{said}");
    }
    assert_eq!(fixture.state(), state);
    fixture.ok(&["rm", &container[..container.len() - 2]]);
}
