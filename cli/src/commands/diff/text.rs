//! The list as lines, and the summary, for people and for `cut` and `grep`.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use mocker_core::Result;
use mocker_core::change::{Aspect, Change, Kind, What};
use mocker_core::image::escaped;

use super::{Amount, Summary};
use crate::output;

const ADDED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const DELETED: Style = AnsiColor::Red.on_default();

/// Shows the changes, one line each.
pub(super) fn show(changes: &[Change], raw: bool) -> Result<()> {
    if raw {
        // Nothing may be taken for a colour and left out.
        return output::written(write(changes, true, io::stdout().lock()));
    }
    output::written(write(changes, false, anstream::stdout().lock()))
}

/// Writes a line for each change, and for each directory above one. The list is
/// in the order of the paths, so the last one says which of those were told.
fn write(changes: &[Change], raw: bool, out: impl Write) -> io::Result<()> {
    let mut lines = Lines { raw, out: io::BufWriter::new(out) };
    let mut last = Path::new("");
    for change in changes.iter().filter(|change| !is_top_in_passing(change)) {
        let above = change.path.ancestors().skip(1);
        let fresh: Vec<_> =
            above.take_while(|path| !path.as_os_str().is_empty() && !last.starts_with(path)).collect();
        for directory in fresh.into_iter().rev() {
            lines.add(CHANGED, 'C', directory, What::NOTHING)?;
        }
        match change.kind {
            Kind::Added => lines.add(ADDED, 'A', &change.path, What::NOTHING)?,
            Kind::Deleted => lines.add(DELETED, 'D', &change.path, What::NOTHING)?,
            Kind::Modified(what) => {
                let shown = if what.is_metadata_only() { what } else { What::NOTHING };
                lines.add(CHANGED, 'C', &change.path, shown)?;
            }
        }
        last = &change.path;
    }
    lines.out.flush()
}

/// Whether it is the top of the tree, of which there is nothing to tell: it came
/// with all the rest, or something came or went in it.
fn is_top_in_passing(change: &Change) -> bool {
    let touched = Kind::Modified(What::NOTHING.and(Aspect::Mtime));
    change.path.as_os_str().is_empty() && [Kind::Added, touched].contains(&change.kind)
}

struct Lines<W: Write> {
    raw: bool,
    out: io::BufWriter<W>,
}

impl<W: Write> Lines<W> {
    fn add(&mut self, style: Style, letter: char, path: &Path, what: What) -> io::Result<()> {
        if self.raw {
            write!(self.out, "{letter} /")?;
            self.out.write_all(path.as_os_str().as_bytes())?;
            return self.out.write_all(&[0]);
        }
        write!(self.out, "{style}{letter}{style:#} {}", shown(path))?;
        if !what.is_nothing() {
            let aspects: Vec<_> = what.aspects().map(|aspect| aspect.to_string()).collect();
            write!(self.out, "\t({})", aspects.join(", "))?;
        }
        self.out.write_all(b"\n")
    }
}

/// A path for a line of text: what is no UTF-8, and what a terminal would obey,
/// as escapes.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::from("/");
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// The summary.
pub(super) fn stat(summary: &Summary) -> String {
    let line = |word: &str, entries: u64, rest: String| format!("{word:<14} {entries:>8}  {rest}\n");
    let amount = |amount: Amount| format!("{:>12}", output::size(amount.bytes));
    let mut text = line("added", summary.added.entries, amount(summary.added));
    text += &line("changed", summary.changed.entries, amount(summary.changed));
    text += &line("metadata only", summary.metadata_only, String::new());
    text += &line("deleted", summary.deleted, String::new());
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use rustix::fs::FileType;

    use super::*;

    fn added(path: &str) -> Change {
        Change {
            path: path.into(),
            kind: Kind::Added,
            file_type: FileType::RegularFile,
            size: 1,
            size_before: 0,
            link: None,
        }
    }

    #[test]
    fn each_directory_above_a_change_is_told_once_and_before_it() {
        let changes = ["", "a", "a/b", "c/d/e", "c/d/f", "c/g", "h/i"].map(added);
        let mut told = Vec::new();
        write(&changes, true, &mut told).unwrap();
        let told = String::from_utf8(told).unwrap().replace('\0', " ");
        assert_eq!(told, "A /a A /a/b C /c C /c/d A /c/d/e A /c/d/f A /c/g C /h A /h/i ");
    }

    #[test]
    fn a_path_is_one_line_whatever_is_in_it() {
        let path = Path::new(OsStr::from_bytes(b"a b/\xff\n\x1b[31mc"));
        assert_eq!(shown(path), "/a b/\\xff\\n\\u{1b}[31mc");
    }
}
