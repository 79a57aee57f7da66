//! D1–D4, D8, D12, D14, D19: what came, went and changed.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use mocker_core::backend::HardlinkCopyup;

use super::{assert_told, prepare, record};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d1_what_nobody_changed_is_not_told,
        d2_kinds_and_directories_above_are_exact_at_ten_depths,
        d3_a_new_directory_was_added_and_nothing_in_it_deleted,
        d8_links_are_told_by_all_their_names,
        d8_links_that_are_grouped_otherwise_are_told,
        d12_a_moved_directory_is_told_with_all_that_is_in_it,
        d14_a_removed_directory_is_one_deletion,
        d14_what_became_another_type_went_and_came,
        d19_sizes_are_the_sum_of_the_entries,
        d19_names_are_told_whatever_is_in_them,
    ]
}

/// Docker listed the whole tree of an unchanged layer.
fn d1_what_nobody_changed_is_not_told(fixture: &Fixture) {
    prepare(fixture, "mkdir d; echo x > d/f; ln d/f d/g; echo x > d/h");
    assert_told(fixture, "cat d/f > /dev/null; chmod 644 d/h; touch -r d/h d/h", &[]);
    for words in [&["work"][..], &["base"], &["base", "work"], &["base@1", "base@1"]] {
        let call = fixture.mocker(&[&["diff", "--exit-code"], words].concat()).run();
        assert_eq!((call.code, call.out()), (0, String::new()), "{words:?}: {}", call.err());
    }
    fixture.edit("work", "echo y >> d/f");
    assert_eq!(fixture.mocker(&["diff", "--exit-code", "work"]).run().code, 1);
    assert_eq!(fixture.mocker(&["diff", "work"]).run().code, 0);
}

fn d2_kinds_and_directories_above_are_exact_at_ten_depths(fixture: &Fixture) {
    let depths: Vec<String> = (1..=10).map(|depth| "/d".repeat(depth)).collect();
    let each = |what: &str| depths.iter().map(|at| format!("(cd .{at}; {what}); ")).collect::<String>();
    prepare(
        fixture,
        &format!(
            "mkdir -p .{}; {}",
            depths[9],
            each("echo old > changed; echo old > gone; echo old > stays")
        ),
    );
    let mut expected = Vec::new();
    for at in &depths {
        expected.extend([format!("C {at}\t(mtime)")]);
    }
    // A directory comes before all that is in it, and names are in order: `d` is after `changed`.
    let mut lines = Vec::new();
    for (depth, at) in depths.iter().enumerate().rev() {
        let inner = std::mem::take(&mut lines);
        lines.push(expected[depth].clone());
        lines.extend([format!("A {at}/added"), format!("C {at}/changed")]);
        lines.extend(inner);
        lines.push(format!("D {at}/gone"));
    }
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let edit = each("echo new > added; echo new! > changed; rm gone");
    assert_told(fixture, &edit, &lines);
}

/// Docker told a new directory as deleted.
fn d3_a_new_directory_was_added_and_nothing_in_it_deleted(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir -p old/inner; echo x > old/file; echo x > old/inner/file; touch -d @7 old old/inner",
    );
    assert_told(
        fixture,
        "mkdir -p new/inner; rm -r old; mkdir -p old/fresh; echo y > old/fresh/file; touch -d @7 old",
        &[
            "A /new",
            "A /new/inner",
            "C /old",
            "D /old/file",
            "A /old/fresh",
            "A /old/fresh/file",
            "D /old/inner",
        ],
    );
}

fn d8_links_are_told_by_all_their_names(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir d; echo x > d/a; ln d/a d/b; echo y > d/alone; echo z > d/to; ln d/to d/other; touch -d @7 d",
    );
    let kept = fixture.capabilities().hardlink_copyup == HardlinkCopyup::Keep;
    let mut expected = vec!["C /d", "C /d/a"];
    expected.extend(kept.then_some("C /d/b"));
    expected.extend(["A /d/c", "A /d/more", "D /d/to"]);
    // Written through one name, a name more, a name less.
    let edit = "echo more >> d/a; ln d/a d/c; ln d/alone d/more; rm d/to; touch -d @7 d";
    assert_told(fixture, edit, &expected);
    let changes = record(fixture, &["base@1", "base@2"]);
    let link = |path: &str| {
        let changes = changes["changes"].as_array().unwrap();
        changes.iter().find(|change| change["path"] == path).unwrap()["link"].clone()
    };
    assert_eq!((link("/d/c"), link("/d/more")), ("/d/a".into(), "/d/alone".into()));
}

/// What the names hold is the same before and after.
fn d8_links_that_are_grouped_otherwise_are_told(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir d; echo x > d/a; echo x > d/b; echo x > d/c; ln d/a d/a2; ln d/b d/b2; touch -d @5 d/*; touch -d @7 d",
    );
    let kept = fixture.capabilities().hardlink_copyup == HardlinkCopyup::Keep;
    let mut expected = vec!["C /d", "C /d/a2\t(links)", "C /d/b\t(links)", "C /d/c\t(links)"];
    // Where a further link makes the name a file of its own, `b` has left `b2`.
    expected.retain(|line| !kept || !line.starts_with("C /d/b\t"));
    assert_told(fixture, "ln -f d/b d/a2; ln -f d/a d/c; touch -d @7 d", &expected);
}

/// With `redirect_dir=on` a moved directory is a mark on an empty one, and its
/// content was missing in Docker's diff.
fn d12_a_moved_directory_is_told_with_all_that_is_in_it(fixture: &Fixture) {
    prepare(fixture, "mkdir -p d/inner; echo 1 > d/one; echo 2 > d/inner/two; mkdir e; echo 3 > e/three");
    let expected = ["D /d", "A /e/two", "A /moved", "A /moved/inner", "A /moved/inner/two", "A /moved/one"];
    let told = |fixture: &Fixture| fixture.ok(&["diff", "work"]);
    fixture.edit("work", "mv d moved; ln moved/inner/two e/two");
    let lines: Vec<_> =
        told(fixture).lines().filter(|line| !line.starts_with("C ")).map(str::to_owned).collect();
    assert_eq!(lines, expected);
    // Swapped: both names are there before and after.
    fixture.edit("work", "mv moved d; rm e/two; touch -d @9 d e; mv d x; mv e d; mv x e");
    let told = told(fixture);
    for line in
        ["D /d/inner", "D /d/one", "A /d/three", "A /e/inner", "A /e/inner/two", "A /e/one", "D /e/three"]
    {
        assert!(told.lines().any(|told| told == line), "{line} is missing in:\n{told}");
    }
}

fn d14_a_removed_directory_is_one_deletion(fixture: &Fixture) {
    prepare(fixture, "mkdir -p d/inner e; touch d/{1..100} d/inner/{1..100} e/x; touch -d @7 .");
    assert_told(fixture, "rm -r d; rm e/x; touch -d @7 .", &["D /d", "C /e\t(mtime)", "D /e/x"]);
    let deleted = record(fixture, &["base@1", "base@2"]);
    assert_eq!(deleted["summary"]["deleted"], 2);
}

fn d14_what_became_another_type_went_and_came(fixture: &Fixture) {
    prepare(
        fixture,
        "mkdir d link; echo x > d/f; echo x > file; ln -s d symbolic; mkfifo fifo; touch -d @7 .",
    );
    assert_told(
        fixture,
        "rm -r d; echo now > d; rm file; mkdir file; echo x > file/in; rm symbolic; echo x > symbolic
         rm fifo; ln -s nowhere fifo; touch -d @7 .",
        &[
            "D /d",
            "A /d",
            "D /fifo",
            "A /fifo",
            "D /file",
            "A /file",
            "A /file/in",
            "D /symbolic",
            "A /symbolic",
        ],
    );
}

fn d19_sizes_are_the_sum_of_the_entries(fixture: &Fixture) {
    prepare(fixture, "head -c 1000 /dev/zero > a; head -c 500 /dev/zero > b; echo x > c; echo x > d");
    fixture.edit(
        "work",
        "head -c 70 /dev/urandom > a; rm b; chmod 600 c; head -c 30000 /dev/zero > new; ln new other; mkdir dir",
    );
    let told = record(fixture, &["work"]);
    let expected = serde_json::json!({
        "added": { "entries": 3, "bytes": 30_000 },
        "changed": { "entries": 1, "bytes": 70 },
        // The top of the tree has another time.
        "metadata_only": 2,
        "deleted": 1,
    });
    assert_eq!(told["summary"], expected);
    let entry = |path: &str| {
        told["changes"].as_array().unwrap().iter().find(|change| change["path"] == path).unwrap().clone()
    };
    assert_eq!((entry("/a")["size"].clone(), entry("/a")["size_before"].clone()), (70.into(), 1000.into()));
    let stat = fixture.ok(&["diff", "--stat", "work"]);
    let words: Vec<Vec<_>> = stat.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..2], ["added", "3"]);
    assert_eq!(words[3], ["deleted", "1"]);
    assert!(record(fixture, &["--stat", "work"]).get("changes").is_none());
}

fn d19_names_are_told_whatever_is_in_them(fixture: &Fixture) {
    prepare(fixture, "true");
    fixture.edit("work", "touch $'new\\nline' $'\\e[31mred' $'\\xff' -- -dash 'a b'; touch -d @7 .");
    let told = fixture.ok(&["diff", "work"]);
    for line in ["A /new\\nline", "A /\\u{1b}[31mred", "A /\\xff", "A /-dash", "A /a b"] {
        assert!(told.lines().any(|told| told == line), "{line} is missing in:\n{told}");
    }
    let raw = fixture.mocker(&["diff", "-z", "work"]).run();
    let raw: Vec<_> = raw.stdout.split(|byte| *byte == 0).collect();
    for line in [&b"A /new\nline"[..], b"A /\xff", b"A /\x1b[31mred"] {
        assert!(raw.contains(&line), "{:?} is missing", line.escape_ascii().to_string());
    }
    let changes = record(fixture, &["work"]);
    let bytes: Vec<_> =
        changes["changes"].as_array().unwrap().iter().filter_map(|change| change.get("path_bytes")).collect();
    assert_eq!(bytes, [&serde_json::json!([b'/', 0xff])]);
}
