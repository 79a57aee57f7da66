//! L6–L9, L15, L16: how words lead to images and containers: ids, beginnings of
//! ids, names and tags; what is recorded of them, and what becomes of a name's
//! versions.

use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::Value;

mod drawn;
mod history;
mod ids;
mod inspect;
mod lasting;
mod lists;
mod markup;
mod parents;
mod removal;
mod rollback;
mod selected;
mod tags;
mod tree;
mod versions;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let parts = [
        ids::cases,
        drawn::cases,
        parents::cases,
        lasting::cases,
        lists::cases,
        tags::cases,
        versions::cases,
        selected::cases,
        history::cases,
        inspect::cases,
        rollback::cases,
        tree::cases,
        removal::cases,
    ];
    cases.extend(parts.iter().flat_map(|part| part()));
    cases
}

/// One field of the record of an image or a container.
#[track_caller]
fn field(fixture: &Fixture, object: &str, name: &str) -> Value {
    let record = fixture.record(object).unwrap_or_else(|| panic!("there is no '{object}'"));
    record.get(name).unwrap_or_else(|| panic!("'{object}' has no {name}: {record}")).clone()
}

/// The id of an image or a container.
#[track_caller]
fn id(fixture: &Fixture, object: &str) -> String {
    field(fixture, object, "id").as_str().unwrap().to_owned()
}

/// Makes a container that writes a word into a file, and keeps it.
#[track_caller]
fn write(fixture: &Fixture, container: &str, image: &str, word: &str) {
    let script = format!("echo {word} > /word");
    fixture.ok(&["run", "--name", container, image, "sh", "-c", &script]);
}

/// The word that an image has, read in a container of it.
#[track_caller]
fn word(fixture: &Fixture, image: &str) -> String {
    fixture.ok(&["run", "--rm", image, "sh", "-c", "test ! -e /word || cat /word"])
}
