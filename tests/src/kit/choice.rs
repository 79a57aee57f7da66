//! What `mocker conformance` runs, and where.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mocker::{FileSystem, Request};
use mocker_core::backend::Probe;
use mocker_core::{Error, ErrorKind, Result};

use super::runner::{Job, Outcome, Verdict};
use crate::lane::{Ground, Lane};
use crate::registry::{self, ENTRIES, Entry, GROUPS};
use crate::suites;

/// Areas whose cases prove several entries of the list at once, or what is
/// declared, and so have no id in their names.
const WITHOUT_IDS: [&str; 3] = ["random", "machine", "declared"];

/// The directory of the program's root; where it was made for this run, it
/// goes again.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    made: bool,
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.made {
            // Not where somebody has put something there meanwhile.
            let _gone = std::fs::remove_dir(&self.path);
        }
    }
}

/// Makes the directory, below which the cases get theirs, unless it is there.
pub(super) fn place(root: &Path) -> Result<Place> {
    let failed = |error| Error::io(format_args!("cannot use '{}' for the cases", root.display()), error);
    let path = std::path::absolute(root).map_err(failed)?;
    let made = match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(error)),
    };
    let path = path.canonicalize().map_err(failed)?;
    Ok(Place { path, made })
}

/// The backends that were chosen, or those that work here, on each of the file
/// systems that were chosen.
pub(super) fn lanes(request: &Request<'_>, place: &Path) -> Result<Vec<Lane>> {
    let grounds: Vec<(Ground, &str)> = if request.options.on.is_empty() {
        // It is needed until the process ends.
        vec![(Ground::Here(Box::leak(place.to_owned().into_boxed_path())), "")]
    } else {
        request.options.on.iter().map(|kind| ground(*kind)).collect()
    };
    let known = || request.drivers.iter().map(|driver| driver.name).collect::<Vec<_>>().join(", ");
    if let Some(name) = request.backend
        && !request.drivers.iter().any(|driver| driver.name == name)
    {
        let what = format!("there is no backend '{name}'; there are: {}", known());
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    let mut lanes = Vec::new();
    for driver in request.drivers {
        let works = || matches!((driver.probe)(place), Probe::Works(_));
        let is_chosen = match request.backend {
            Some(name) => name == driver.name,
            None => !request.options.on.is_empty() || works(),
        };
        for (ground, suffix) in grounds.iter().filter(|_| is_chosen) {
            let name = format!("{}{suffix}", driver.name);
            lanes.push(Lane::new(Box::leak(name.into_boxed_str()), driver, *ground));
        }
    }
    if lanes.is_empty() {
        let what = format!("none of the backends works below '{}'", place.display());
        return Err(Error::new(ErrorKind::Unsupported, what).with_hint("'mocker backends' says why"));
    }
    Ok(lanes)
}

fn ground(kind: FileSystem) -> (Ground, &'static str) {
    match kind {
        FileSystem::Btrfs => (Ground::Btrfs, "-on-btrfs"),
        FileSystem::Ext4 => (Ground::Ext4, "-on-ext4"),
        FileSystem::Xfs => (Ground::Xfs, "-on-xfs"),
    }
}

/// The cases of all lanes that the filters let through.
pub(super) fn cases(lanes: &[Lane], filters: &[String]) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for lane in lanes {
        for area in suites::areas().iter().filter(|area| (area.applies)(*lane)) {
            let counts = |id: Option<&str>| id.is_some() || WITHOUT_IDS.contains(&area.name);
            for case in &area.cases {
                let id = case.id();
                if counts(id.as_deref()) && lets_through(filters, id.as_deref(), &[area.name, case.name]) {
                    jobs.push(Job { lane: *lane, area: area.name, case: *case, id });
                }
            }
        }
    }
    if jobs.is_empty() && entries(filters)?.is_empty() {
        return Err(nothing(filters));
    }
    Ok(jobs)
}

/// The entries of the list that the filters let through.
pub(super) fn entries(filters: &[String]) -> Result<Vec<&'static Entry>> {
    let found: Vec<_> =
        ENTRIES.iter().filter(|entry| lets_through(filters, Some(entry.id), &[entry.what])).collect();
    if found.is_empty() && !suites_have(filters) {
        return Err(nothing(filters));
    }
    Ok(found)
}

fn suites_have(filters: &[String]) -> bool {
    let has = |area: &crate::harness::Area| {
        area.cases.iter().any(|case| lets_through(filters, case.id().as_deref(), &[area.name, case.name]))
    };
    suites::areas().iter().any(has)
}

fn nothing(filters: &[String]) -> Error {
    let what = format!("no case has '{}' in its id, group or name", filters.join("' or '"));
    Error::new(ErrorKind::InvalidInput, what).with_hint("'mocker conformance --list' shows them all")
}

/// Adds what none of the cases that ran is about: it waits, or is for another
/// backend.
pub(super) fn with_the_rest(mut outcomes: Vec<Outcome>, lanes: &[Lane], filters: &[String]) -> Vec<Outcome> {
    for lane in lanes {
        for entry in entries(filters).unwrap_or_default() {
            let is_it = |outcome: &Outcome| outcome.lane == *lane && outcome.id.as_deref() == Some(entry.id);
            if outcomes.iter().any(is_it) {
                continue;
            }
            let verdict = match entry.waits_for {
                Some(feature) => Verdict::Waits(feature),
                None => Verdict::Elsewhere(entry.level),
            };
            outcomes.push(Outcome::without_a_run(*lane, entry, verdict));
        }
    }
    outcomes
}

/// A filter is an id, the letter of a group, or a part of a name.
fn lets_through(filters: &[String], id: Option<&str>, names: &[&str]) -> bool {
    let matches = |filter: &String| {
        let upper = filter.to_uppercase();
        let is_group = upper.len() == 1 && GROUPS.iter().any(|(letter, _)| upper.starts_with(*letter));
        if is_group {
            return id.is_some_and(|id| id.starts_with(&upper));
        }
        if registry::entry(&upper).is_some() {
            return id == Some(&*upper);
        }
        names.iter().any(|name| name.contains(filter.as_str()))
    };
    filters.is_empty() || filters.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::lets_through;

    #[test]
    fn a_filter_is_an_id_a_group_or_a_part_of_a_name() {
        let through = |filter: &str, id| lets_through(&[filter.to_owned()], id, &["files", "f1_overwritten"]);
        assert!(through("F1", Some("F1")) && through("f1", Some("F1")));
        assert!(!through("F1", Some("F10")), "an id is no beginning");
        assert!(through("F", Some("F1")) && !through("L", Some("F1")) && !through("F", None));
        assert!(through("overwr", Some("F1")) && through("files", None) && !through("nothing", Some("F1")));
        assert!(lets_through(&[], None, &[]));
    }
}
