//! What goes to stdout: ids, tables and JSON, and nothing else.

use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use mocker_core::engine::Created;
use mocker_core::image::{escaped, is_obeyed};
use mocker_core::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::exit;

/// How a record or a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The options of every verb that shows something.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Shape {
    /// Print ids only
    #[arg(short, long, conflicts_with = "format")]
    pub(crate) quiet: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// Writes to stdout. A reader that is gone is no failure: `mocker ps | head -1`.
///
/// # Errors
/// Those of writing, such as a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    bytes(io::stdout().lock(), text.as_bytes())
}

/// Writes bytes as they are.
pub(crate) fn bytes(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    written(to.write_all(bytes).and_then(|()| to.flush()))
}

/// What became of writing the output. A reader that is gone is no failure.
pub(crate) fn written(outcome: io::Result<()>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Error::io("cannot write the output", error)),
    }
}

/// Shows a record as JSON, in which no letter is one that a terminal obeys.
pub(crate) fn json(record: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(record)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write JSON: {error}")))?;
    print(&(harmless(&text) + "\n"))
}

/// JSON has to escape some control characters in a text; this does so with all,
/// and it means the same. What is left between texts is white space.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_obeyed(letter) && letter != '\n' {
            // None of them lies beyond the first plane.
            out += &format!("\\u{:04x}", u32::from(letter));
        } else {
            out.push(letter);
        }
    }
    out
}

/// Shows what a verb made.
pub(crate) fn created(created: &Created, shape: Shape) -> Result<()> {
    for note in &created.notes {
        exit::note(note);
    }
    match (shape.quiet, shape.format) {
        (true, _) => print(&format!("{}\n", created.image)),
        (false, Format::Json) => json(created),
        (false, Format::Table) => print(&format!("Created: {}\n", created.image)),
    }
}

/// Two ways to show a list: for a terminal as many columns as help, and
/// otherwise the two columns of the programs that this one grew out of, which
/// scripts cut at the tabs.
pub(crate) struct Listing<const N: usize> {
    /// The headings on a terminal.
    pub(crate) wide: [&'static str; N],
    /// The headings elsewhere.
    pub(crate) narrow: [&'static str; 2],
}

impl<const N: usize> Listing<N> {
    /// Shows rows of the columns for a terminal and of those for elsewhere.
    pub(crate) fn show(&self, rows: impl Iterator<Item = ([String; N], [String; 2])>) -> Result<()> {
        if !is_for_people() {
            let mut text = format!("{}\t\t{}\n", self.narrow[0], self.narrow[1]);
            for (_, [first, second]) in rows {
                text += &format!("{}\t\t{}\n", escaped(&first), escaped(&second));
            }
            return print(&text);
        }
        aligned(self.wide, rows.map(|(cells, _)| cells))
    }
}

/// Whether somebody reads stdout as it comes.
pub(crate) fn is_for_people() -> bool {
    io::stdout().is_terminal()
}

/// Shows a table that only this program has: aligned on a terminal, and
/// otherwise all of it, with a tab between columns.
pub(crate) fn table<const N: usize>(
    headings: [&'static str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<()> {
    if is_for_people() {
        return aligned(headings, rows);
    }
    let mut text = headings.join("\t") + "\n";
    for row in rows {
        text += &(row.map(|cell| escaped(&cell)).join("\t") + "\n");
    }
    print(&text)
}

fn aligned<const N: usize>(
    headings: [&'static str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // A terminal that does not know its width says 0.
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout())
        && size.ws_col > 0
    {
        table.set_width(size.ws_col);
    }
    table.set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| escaped(&cell)));
    }
    print(&(table.trim_fmt() + "\n"))
}

/// When something was: how long ago for people, the moment for programs.
pub(crate) fn when(moment: i64) -> String {
    if is_for_people() { ago(moment) } else { mocker_core::time::rfc3339(moment) }
}

/// How long ago something was, as people say it. `then` is in nanoseconds
/// since 1970.
pub(crate) fn ago(then: i64) -> String {
    const UNITS: [(i64, &str); 5] =
        [(365 * 86_400, "year"), (7 * 86_400, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = (mocker_core::store::now() - then) / 1_000_000_000;
    let counted = UNITS.iter().find_map(|(length, name)| match seconds / length {
        0 => None,
        1 => Some(format!("1 {name} ago")),
        count => Some(format!("{count} {name}s ago")),
    });
    match counted {
        Some(text) => text,
        None if seconds < 1 => "just now".to_owned(),
        None => format!("{seconds} s ago"),
    }
}

/// A text that is short enough for a column.
pub(crate) fn cut(text: String) -> String {
    // As many letters as Docker shows of a command.
    const LONGEST: usize = 45;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned() + "…",
        None => text,
    }
}

/// A number of bytes, as people say it, in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let odd = "\u{1b}[31m\u{7f}\u{9b}2J\u{202e}\u{2066}\n\t\"\\ \u{0} 名 \u{1f600}";
        let text = harmless(&serde_json::to_string_pretty(&[odd]).unwrap());
        assert!(!text.contains(|letter: char| is_obeyed(letter) && letter != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [odd]);
    }

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        let before = |seconds: i64| ago(mocker_core::store::now() - seconds * 1_000_000_000);
        let told = [0, 5, 61, 3 * 3_600, 86_400, 20 * 86_400, 800 * 86_400].map(before);
        assert_eq!(
            told,
            ["just now", "5 s ago", "1 minute ago", "3 hours ago", "1 day ago", "2 weeks ago", "2 years ago"]
        );
    }
}
