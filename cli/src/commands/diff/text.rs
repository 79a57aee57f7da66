//! The list as lines, and the summary, for people and for `cut` and `grep`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use mocker_core::Result;
use mocker_core::change::{Aspect, Change, Kind, What};
use mocker_core::image::escaped;

use super::{Amount, Summary, directories_above};
use crate::output;

const ADDED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const DELETED: Style = AnsiColor::Red.on_default();

/// Shows the changes, one line each.
pub(super) fn show(changes: &[Change], raw: bool) -> Result<()> {
    let told: Vec<_> = changes.iter().filter(|change| !is_top_in_passing(change)).cloned().collect();
    let mut above = directories_above(&told);
    let mut lines = Lines { raw, out: Vec::new() };
    for (place, change) in told.iter().enumerate() {
        for directory in above.remove(&place).unwrap_or_default() {
            lines.add(CHANGED, 'C', directory, What::NOTHING);
        }
        match change.kind {
            Kind::Added => lines.add(ADDED, 'A', &change.path, What::NOTHING),
            Kind::Deleted => lines.add(DELETED, 'D', &change.path, What::NOTHING),
            Kind::Modified(what) => {
                let shown = if what.is_metadata_only() { what } else { What::NOTHING };
                lines.add(CHANGED, 'C', &change.path, shown);
            }
        }
    }
    if raw {
        // Nothing may be taken for a colour and left out.
        return output::bytes(std::io::stdout().lock(), &lines.out);
    }
    output::bytes(anstream::stdout().lock(), &lines.out)
}

/// Whether it is the top of the tree, of which there is nothing to tell: it came
/// with all the rest, or something came or went in it.
fn is_top_in_passing(change: &Change) -> bool {
    let touched = Kind::Modified(What::NOTHING.and(Aspect::Mtime));
    change.path.as_os_str().is_empty() && [Kind::Added, touched].contains(&change.kind)
}

struct Lines {
    raw: bool,
    out: Vec<u8>,
}

impl Lines {
    fn add(&mut self, style: Style, letter: char, path: &Path, what: What) {
        let aspects: Vec<_> = what.aspects().map(|aspect| aspect.to_string()).collect();
        if self.raw {
            self.out.extend([letter as u8, b' ', b'/']);
            self.out.extend(path.as_os_str().as_bytes());
            self.out.push(0);
            return;
        }
        self.out.extend(format!("{style}{letter}{style:#} {}", shown(path)).into_bytes());
        if !aspects.is_empty() {
            self.out.extend(format!("\t({})", aspects.join(", ")).into_bytes());
        }
        self.out.push(b'\n');
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

    use super::*;

    #[test]
    fn a_path_is_one_line_whatever_is_in_it() {
        let path = Path::new(OsStr::from_bytes(b"a b/\xff\n\x1b[31mc"));
        assert_eq!(shown(path), "/a b/\\xff\\n\\u{1b}[31mc");
    }
}
