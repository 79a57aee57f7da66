//! What came of the cases: for people, and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use mocker::Report;
use mocker_core::image::escaped;
use mocker_core::{Error, Result};
use serde::Serialize;

use super::junit;
use super::runner::{Outcome, Verdict};
use crate::lane::{Ground, Lane};
use crate::registry::{Entry, GROUPS, Level, entry};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Of what one case found, at most so many lines are shown to people.
const LINES: usize = 60;

#[derive(Debug, Serialize)]
struct Whole {
    kernel: String,
    lanes: Vec<OneLane>,
}

#[derive(Debug, Serialize)]
pub(super) struct OneLane {
    pub(super) name: &'static str,
    pub(super) backend: &'static str,
    pub(super) on: String,
    /// The option that chooses that.
    #[serde(skip)]
    again: String,
    pub(super) groups: Vec<Group>,
    pub(super) cases: Vec<Line>,
}

/// Passed, of all that ran, is the score of a group.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    pub(super) group: String,
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) waiting: usize,
    pub(super) for_other_backends: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) outcome: &'static str,
    pub(super) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits_for: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) only_for: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stems_from: Vec<String>,
}

/// Shows the outcomes; answers the exit status.
pub(super) fn show(format: Report, lanes: &[Lane], outcomes: &[Outcome]) -> Result<u8> {
    let lanes: Vec<_> = lanes.iter().map(|lane| OneLane::of(*lane, outcomes)).collect();
    let failed: usize = lanes.iter().flat_map(|lane| &lane.groups).map(|group| group.failed).sum();
    let text = match format {
        Report::Table => lanes.iter().map(for_people).collect::<Vec<_>>().join("\n"),
        Report::Junit => junit::text(&lanes)?,
        Report::Json => {
            let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
            serde_json::to_string_pretty(&Whole { kernel, lanes })
                .map_err(|error| Error::io("cannot write JSON", error))?
                + "\n"
        }
    };
    print(&text)?;
    Ok(u8::from(failed > 0))
}

/// Shows the list of cases; answers the exit status.
pub(super) fn list(entries: &[&Entry]) -> Result<u8> {
    let mut text = String::new();
    for Entry { id, level, what, waits_for, .. } in entries {
        let waits = waits_for.map(|feature| format!(" (waits for {feature})")).unwrap_or_default();
        let _written = writeln!(text, "{id:4} {:10} {what}{waits}", level.to_string());
    }
    print(&text)?;
    Ok(0)
}

/// A reader that is gone is no failure: `mocker conformance | head`.
pub(super) fn print(text: &str) -> Result<()> {
    match anstream::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(|error| Error::io("cannot write the report", error)),
    }
}

impl OneLane {
    fn of(lane: Lane, outcomes: &[Outcome]) -> Self {
        let mut cases: Vec<_> =
            outcomes.iter().filter(|outcome| outcome.lane == lane).map(Line::of).collect();
        cases.sort_by_key(|line| (line.place(), line.name.clone()));
        let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
        for line in &cases {
            let (place, _) = line.place();
            let group = groups.entry(place).or_default();
            group.group = match GROUPS.get(place) {
                Some((letter, name)) => format!("{letter}  {name}"),
                None => "-  random scripts".to_owned(),
            };
            match line.outcome {
                "passed" => group.passed += 1,
                "failed" => group.failed += 1,
                "waits" => group.waiting += 1,
                _ => group.for_other_backends += 1,
            }
        }
        let (on, again) = match lane.ground() {
            Ground::Here(path) => (format!("'{}'", path.display()), String::new()),
            fresh => {
                let kind = format!("{fresh:?}").to_lowercase();
                (format!("a fresh {kind}"), format!(" --on {kind}"))
            }
        };
        Self {
            name: lane.name(),
            backend: lane.backend(),
            on,
            again,
            groups: groups.into_values().collect(),
            cases,
        }
    }
}

impl Line {
    fn of(outcome: &Outcome) -> Self {
        let entry = outcome.id.as_deref().and_then(entry);
        let mut line = Self {
            id: outcome.id.clone(),
            name: outcome.name.clone(),
            outcome: "passed",
            seconds: (outcome.took.as_secs_f64() * 1000.0).round() / 1000.0,
            expected: None,
            found: None,
            waits_for: None,
            only_for: None,
            stems_from: Vec::new(),
        };
        match &outcome.verdict {
            Verdict::Passed => {}
            Verdict::Failed(found) => {
                line.outcome = "failed";
                line.expected = entry.map(|entry| entry.what);
                line.found = Some(found.trim().to_owned());
                line.stems_from = entry.into_iter().flat_map(Entry::addresses).collect();
            }
            Verdict::Waits(feature) => (line.outcome, line.waits_for) = ("waits", Some(*feature)),
            Verdict::Elsewhere(level) => {
                line.outcome = "for another backend";
                line.only_for = Some(match level {
                    Level::Btrfs => "btrfs in a pool, or on btrfs".to_owned(),
                    level => level.to_string(),
                });
            }
        }
        line
    }

    /// Of its group, and of its number in there.
    fn place(&self) -> (usize, u32) {
        let id = self.id.as_deref().unwrap_or_default();
        let group = GROUPS.iter().position(|(letter, _)| id.starts_with(*letter)).unwrap_or(GROUPS.len());
        (group, id.get(1..).and_then(|number| number.parse().ok()).unwrap_or(0))
    }
}

fn for_people(lane: &OneLane) -> String {
    let mut text = format!("{} on {}\n", lane.backend, lane.on);
    let sum = |count: fn(&Group) -> usize| lane.groups.iter().map(count).sum::<usize>();
    for group in &lane.groups {
        let ran = group.passed + group.failed;
        let colour = if group.failed == 0 { GOOD } else { BAD };
        let mut notes = String::new();
        if group.waiting > 0 {
            let _written = write!(notes, "  {} wait", group.waiting);
        }
        if group.for_other_backends > 0 {
            let _written = write!(notes, "  {} for other backends", group.for_other_backends);
        }
        let name = &group.group;
        let _written =
            writeln!(text, "  {name:30} {colour}{:4} of {ran:3}{colour:#} passed{notes}", group.passed);
    }
    waiting(&mut text, lane);
    for line in lane.cases.iter().filter(|line| line.outcome == "failed") {
        failure(&mut text, lane, line);
    }
    let seconds: f64 = lane.cases.iter().map(|line| line.seconds).sum();
    let (passed, failed) = (sum(|group| group.passed), sum(|group| group.failed));
    let colour = if failed == 0 { GOOD } else { BAD };
    let _written =
        writeln!(text, "  {colour}{passed} passed, {failed} failed{colour:#}, {seconds:.0} s of work");
    text
}

/// What waits, by what it waits for.
fn waiting(text: &mut String, lane: &OneLane) {
    let mut features: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lane.cases {
        if let (Some(feature), Some(id)) = (line.waits_for, &line.id) {
            features.entry(feature).or_default().push(id);
        }
    }
    for (feature, ids) in features {
        let _written = writeln!(text, "  waiting for {feature}: {}", ids.join(" "));
    }
}

fn failure(text: &mut String, lane: &OneLane, line: &Line) {
    let _written = writeln!(text, "\n  {BAD}FAILED{BAD:#} {} {}", lane.name, line.name);
    if let Some(expected) = line.expected {
        let _written = writeln!(text, "    expected: {expected}");
    }
    let found = line.found.as_deref().unwrap_or_default();
    for (number, found) in found.lines().take(LINES).enumerate() {
        let _written =
            writeln!(text, "    {} {}", if number == 0 { "found:   " } else { "         " }, escaped(found));
    }
    if found.lines().count() > LINES {
        let _written = writeln!(text, "              … (all of it with --format json)");
    }
    for address in &line.stems_from {
        let _written = writeln!(text, "    stems from {address}");
    }
    let name = line.name.rsplit("::").next().unwrap_or(&line.name);
    let _written = writeln!(
        text,
        "    again:    mocker conformance --backend {}{} --filter {name}\n",
        lane.backend, lane.again
    );
}
