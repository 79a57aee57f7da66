//! An edit on both sides, where the backend declares a difference with that in
//! mind.

use mocker_core::backend::{HardlinkCopyup, RenameDir};
use rustix::io::Errno;

use super::Play;
use crate::edit::Edit;
use crate::script::reference::Deed;

impl Play<'_> {
    pub(super) fn edit(&mut self, place: usize, number: u64, edit: &Edit) -> Result<(), String> {
        let work = self.works.get_mut(&self.current).ok_or("no current work area")?;
        work.open(&self.nodes)?;
        let view = work.view.as_ref().ok_or("no view")?;
        let outcome = edit.apply(view.top(), number);
        self.tally.edits += 1;
        let across = self.capabilities.rename_dir == RenameDir::Exdev
            && matches!(edit, Edit::Rename { from, to } if from != to && work.model.is_directory_beneath(from));
        if across && outcome == Err(Errno::XDEV) {
            self.tally.renames_across += 1;
            return Ok(());
        }
        if across && outcome.is_ok() {
            return Err("a directory from a layer was renamed, which is declared to be refused".to_owned());
        }
        let one_name = matches!(edit, Edit::Rename { from, to } if from == to);
        if self.capabilities.hardlink_copyup == HardlinkCopyup::Break
            && outcome.is_ok()
            && !one_name
            && let Some(subject) = edit.subject()
            && work.model.is_link_beneath(subject)
        {
            work.plain.split(subject)?;
            work.model.split(subject);
            work.deeds.push(Deed::Split(place));
            self.tally.links_broken += 1;
        }
        let expected = edit.apply(work.plain.top(), number);
        if outcome != expected {
            let told = |outcome: rustix::io::Result<()>| match outcome {
                Ok(()) => "is done".to_owned(),
                Err(errno) => format!("fails: {errno}"),
            };
            return Err(format!("it {}; in a plain directory it {}", told(outcome), told(expected)));
        }
        match outcome {
            Ok(()) => {
                work.model.follow(edit);
                work.deeds.push(Deed::Edit(place));
            }
            Err(_) => self.tally.refused += 1,
        }
        Ok(())
    }
}
