//! Ids can be shortened as long as they say which one is meant; never is
//! anything but the beginning of an id taken for it.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use super::{field, id, word, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        l16_a_beginning_that_only_one_id_has_stands_for_it,
        l16_a_beginning_that_several_ids_have_is_refused_with_all_of_them,
        l16_an_id_needs_a_digit_at_least,
        l16_a_whole_id_is_never_ambiguous,
        l16_only_beginnings_of_ids_count,
        l16_names_are_never_shortened,
        l16_a_name_that_two_objects_have_means_what_the_verb_is_about,
    ]
}

/// The shortest beginning of an id that no other has, and the longest that
/// another one has too.
fn shortest<'a>(id: &'a str, others: &[String]) -> (&'a str, &'a str) {
    let common = |other: &String| id.bytes().zip(other.bytes()).take_while(|(one, two)| one == two).count();
    let longest = others
        .iter()
        .filter(|other| *other != id)
        .map(common)
        .max()
        .unwrap_or_else(|| id.find('_').unwrap() + 1);
    (&id[..=longest], &id[..longest])
}

/// Ids as they are listed.
fn listed(fixture: &Fixture, verb: &str) -> Vec<String> {
    fixture.ok(&[verb, "-q"]).lines().map(str::to_owned).collect()
}

fn l16_a_beginning_that_only_one_id_has_stands_for_it(fixture: &Fixture) {
    let first = fixture.image("first");
    fixture.image("second");
    write(fixture, "work", "first", "of-work");
    write(fixture, "other", "second", "of-other");
    let work = id(fixture, "work");
    let images = listed(fixture, "images");
    let containers = listed(fixture, "ps");
    let (image, container) = (shortest(&first, &images).0, shortest(&work, &containers).0);

    assert_eq!(fixture.ok(&["run", "--rm", image, "echo", "it ran"]), "it ran");
    fixture.ok(&["start", container]);
    assert_eq!(fixture.ok(&["logs", container]), fixture.ok(&["logs", "work"]));
    assert_eq!(fixture.ok(&["commit", container, image]), format!("Created: {first}"));
    assert_eq!(word(fixture, "first"), "of-work");
    assert_eq!(
        fixture.ok(&["tag", image, "tagged"]).strip_prefix("Created: "),
        Some(id(fixture, "tagged").as_str())
    );
    assert_eq!(word(fixture, "tagged"), "of-work");
    assert_eq!(fixture.ok(&["rm", container]), format!("Removed: {work}"));
    let images = listed(fixture, "images");
    let image = shortest(&first, &images).0;
    assert_eq!(fixture.ok(&["rm", image]), format!("Removed: {first}"));
    assert_eq!(word(fixture, "second"), "");
    fixture.assert_consistent();
}

fn l16_a_beginning_that_several_ids_have_is_refused_with_all_of_them(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "of-work");
    let image_twins = twins(fixture, "images", &|number| {
        fixture.ok(&["tag", "base", &format!("tag{number}")]);
    });
    let container_twins = twins(fixture, "ps", &|_| {
        fixture.ok(&["run", "base", "true"]);
    });
    let (images, containers) = (listed(fixture, "images"), listed(fixture, "ps"));
    let state = fixture.state();
    let lines: &[(&[&str], i32, &str, &[String])] = &[
        (&["run", "@", "true"], 125, &image_twins, &images),
        (&["tag", "@", "never"], 1, &image_twins, &images),
        (&["commit", "work", "@"], 1, &image_twins, &images),
        (&["rm", "@"], 1, &image_twins, &images),
        (&["start", "@"], 125, &container_twins, &containers),
        (&["logs", "@"], 1, &container_twins, &containers),
        (&["commit", "@"], 1, &container_twins, &containers),
        (&["rm", "-f", "@"], 1, &container_twins, &containers),
    ];
    for (line, code, beginning, ids) in lines {
        let words: Vec<&str> = line.iter().map(|word| if *word == "@" { beginning } else { *word }).collect();
        let said = fixture.fails(&words, *code);
        for id in *ids {
            assert_eq!(said.contains(id), id.starts_with(beginning), "{words:?}, {id}: {said}");
        }
        assert!(said.contains("\n  try: "), "{words:?}: {said}");
        assert_eq!(fixture.state(), state, "{words:?}");
    }
}

/// Makes more of them until two ids begin with the same digit. With 33 ids two
/// must, of 32 digits; mostly a few will do.
fn twins(fixture: &Fixture, verb: &str, one_more: &dyn Fn(usize)) -> String {
    for number in 0..33 {
        let ids = listed(fixture, verb);
        let mut common = ids.iter().map(|id| shortest(id, &ids).1);
        if let Some(common) = common.find(|common| !common.ends_with('_')) {
            return common.to_owned();
        }
        one_more(number);
    }
    panic!("33 ids that begin with different digits");
}

/// What all ids begin with stands for none of them, not even where there is
/// one alone.
fn l16_an_id_needs_a_digit_at_least(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "of-work");
    let state = fixture.state();
    for line in [
        &["rm", "img_"][..],
        &["rm", "ps_"],
        &["tag", "img_", "new"],
        &["commit", "ps_"],
        &["commit", "work", "img_"],
    ] {
        let said = fixture.fails(line, 1);
        assert!(said.contains("\n  try: "), "{line:?}: {said}");
        assert_eq!(fixture.state(), state, "{line:?}");
    }
}

/// Also where it is the beginning of another one, which no id that was drawn
/// is: here the records are changed by hand.
fn l16_a_whole_id_is_never_ambiguous(fixture: &Fixture) {
    let base = fixture.image("base");
    fixture.image("longer");
    write(fixture, "work", "base", "of-work");
    fixture.ok(&["commit", "work", "longer"]);
    let store = rusqlite::Connection::open(fixture.root().join("mocker.db")).unwrap();
    store.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let longer = id(fixture, "longer");
    let new = format!("{base}0");
    for change in ["UPDATE version SET image = ?1 WHERE image = ?2", "UPDATE image SET id = ?1 WHERE id = ?2"]
    {
        assert!(store.execute(change, [&new, &longer]).unwrap() > 0);
    }
    drop(store);
    assert_eq!(word(fixture, &base), "");
    assert_eq!(word(fixture, &new), "of-work");
    let said = fixture.fails(&["rm", &base[..base.len() - 1]], 1);
    assert!(said.contains(&new), "{said}");
    assert_eq!(fixture.ok(&["rm", &base]), format!("Removed: {base}"));
    assert_eq!(word(fixture, &new), "of-work");
}

fn l16_only_beginnings_of_ids_count(fixture: &Fixture) {
    let image = fixture.image("base");
    write(fixture, "work", "base", "of-work");
    let container = id(fixture, "work");
    let state = fixture.state();
    for (whole, other) in [(&image, "ps_"), (&container, "img_")] {
        let (kind, digits) = whole.split_once('_').unwrap();
        let parts = [
            digits.to_owned(),
            digits[..4].to_owned(),
            format!("{kind}_{}", &digits[1..]),
            format!("{kind}_{}", &digits[6..]),
            format!("{other}{digits}"),
            format!("{whole}0"),
            format!("{whole}:latest"),
            format!("{kind}_{}", digits.to_uppercase() + "A"),
            format!("{kind}_%"),
            format!("{kind}_*"),
            format!("{kind}_____________"),
            whole.replace('_', "-"),
        ];
        for part in &parts {
            for line in [
                &["run", part, "true"][..],
                &["start", part],
                &["logs", part],
                &["commit", part],
                &["tag", part, "new"],
                &["rm", part],
            ] {
                let ended = fixture.mocker(line).run();
                assert!(matches!(ended.code, 1 | 125), "{line:?} worked: {ended:?}");
            }
            // Onto what can be a name it would make an image of that name.
            if part.contains('_') {
                fixture.fails(&["commit", "work", part], 1);
            }
        }
    }
    assert_eq!(fixture.state(), state);
}

fn l16_names_are_never_shortened(fixture: &Fixture) {
    fixture.image("database");
    write(fixture, "worker", "database", "of-worker");
    let state = fixture.state();
    for (line, code) in [
        (&["run", "data", "true"][..], 125),
        (&["run", "database:la", "true"], 125),
        (&["run", "database:latest2", "true"], 125),
        (&["run", "library/database", "true"], 125),
        (&["start", "work"], 125),
        (&["logs", "work"], 1),
        (&["commit", "work"], 1),
        (&["tag", "base", "x"], 1),
        (&["rm", "work"], 1),
        (&["rm", "base"], 1),
        (&["rm", "Worker"], 1),
    ] {
        let said = fixture.fails(line, code);
        assert!(said.contains("No ") && said.contains(" exists"), "{line:?}: {said}");
    }
    assert_eq!(fixture.state(), state);
    // Nor is a name that looks like one taken for the beginning of an id.
    fixture.ok(&["tag", "database", "img"]);
    fixture.ok(&["run", "--name", "ps", "img", "true"]);
    assert_eq!(fixture.ok(&["rm", "ps", "img"]).lines().count(), 2);
    assert_eq!(fixture.state(), state);
}

fn l16_a_name_that_two_objects_have_means_what_the_verb_is_about(fixture: &Fixture) {
    let image = fixture.image("same");
    write(fixture, "same", "same", "of-the-container");
    let container = fixture.ok(&["ps", "-q"]);
    assert_eq!(word(fixture, "same"), "");
    fixture.ok(&["start", "same"]);
    assert_eq!(fixture.ok(&["commit", "same", "same"]), format!("Created: {image}"));
    assert_eq!(word(fixture, "same"), "of-the-container");
    let state = fixture.state();
    let said = fixture.fails(&["rm", "same"], 1);
    assert!(said.contains(&image) && said.contains(&container), "{said}");
    assert_eq!(fixture.state(), state);
    // With a tag it can only be the image.
    assert_eq!(fixture.ok(&["rm", "same:latest"]), format!("Removed: {image}"));
    assert_eq!(fixture.ok(&["rm", "same"]), format!("Removed: {container}"));
    // A name is free again when its owner is gone, and one container has it at a time.
    fixture.image("same");
    fixture.ok(&["run", "--name", "same", "same", "true"]);
    let said = fixture.fails(&["run", "--name", "same", "same", "true"], 125);
    assert!(said.contains("a container named 'same' exists"), "{said}");
    assert_eq!(field(fixture, &fixture.ok(&["ps", "-q"]), "name"), "same");
}
