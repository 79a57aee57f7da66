//! What the backends declare stands in the documentation, as the code says it.
//!
//! Each lane answers for its own column. `MOCKER_UPDATE_GOLDEN=1` writes it anew;
//! read the difference before it is committed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use std::sync::{Mutex, PoisonError};

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::lane::{Ground, Lane};

use super::fields::FIELDS;

pub(super) fn cases() -> Vec<Case> {
    vec![Case { name: "what_is_declared_stands_in_the_docs", run: is_in_the_docs, alone: false }]
}

const ABOVE: &str = "\
# What the backends declare

Backends differ, and each says how, as a value of `Capabilities` (`mocker-core/src/capability.rs`). Commands and the
conformance kit go by what is declared, never by a backend's name: what is not declared is refused before the backend
is reached, and a difference that is not declared is a failure of the kit, as is a declared one that is not there.

This page is written by the test `what_is_declared_stands_in_the_docs`, out of the code.
";

fn is_in_the_docs(fixture: &Fixture) {
    // Two lanes that write the file at once would each undo what the other did.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../docs/capabilities.md"].iter().collect();
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let mut cells = cells(&found);
    let declared = fixture.capabilities();
    for field in FIELDS {
        let value = field.value(&declared);
        let known = field.values.iter().any(|(name, _)| *name == value) || value.parse::<u64>().is_ok();
        assert!(known, "{}: '{value}' is described nowhere", field.name);
        cells.insert((field.name.to_owned(), heading(fixture.lane())), value);
    }
    let expected = page(&cells);
    if std::env::var_os("MOCKER_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &expected).unwrap();
    } else {
        assert!(
            found == expected,
            "{} is not what lane {} declares; where it is right, MOCKER_UPDATE_GOLDEN=1 writes it.\n{expected}",
            file.display(),
            fixture.lane()
        );
    }
}

/// The column of a lane.
fn heading(lane: Lane) -> String {
    let ground = match lane.ground().kind() {
        Ground::Btrfs => "btrfs",
        Ground::Xfs => "xfs",
        Ground::Ext4 | Ground::Here(_) => "ext4",
    };
    format!("{} on {ground}", lane.backend())
}

/// The cells of the table in a page, by field and column.
fn cells(page: &str) -> HashMap<(String, String), String> {
    let mut rows = page.lines().filter(|line| line.starts_with('|')).map(|line| {
        let words = line.trim_matches('|').split('|');
        words.map(|word| word.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
    });
    let headings = rows.next().unwrap_or_default();
    let mut cells = HashMap::new();
    for row in rows {
        for (heading, cell) in headings.iter().zip(&row).skip(1) {
            cells.insert((row[0].clone(), heading.clone()), cell.clone());
        }
    }
    cells
}

/// The whole page; a cell that no lane has filled yet is a question mark.
fn page(cells: &HashMap<(String, String), String>) -> String {
    let headings: Vec<_> = Lane::built_in().iter().map(|lane| heading(*lane)).collect();
    let mut page =
        format!("{ABOVE}\n| | {} |\n|---|{}\n", headings.join(" | "), "---|".repeat(headings.len()));
    for field in FIELDS {
        let _infallible = write!(page, "| `{}` |", field.name);
        for heading in &headings {
            let cell = cells.get(&(field.name.to_owned(), heading.clone()));
            let _infallible = write!(page, " `{}` |", cell.map_or("?", String::as_str));
        }
        page.push('\n');
    }
    page.push_str("\nOn a file system that is no btrfs, the btrfs backend makes itself one in a file.\n");
    for field in FIELDS {
        let _infallible = write!(page, "\n## `{}`\n\n{}\n\n", field.name, field.about);
        for (value, promise) in field.values {
            let _infallible = writeln!(page, "- `{value}`: {promise}");
        }
    }
    page
}
