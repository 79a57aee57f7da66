//! `mocker check`: whether the records and the storage agree.

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::{CheckRequest, Engine, Finding, Outcome, Report};
use mocker_core::image::escaped;

use super::options;
use crate::exit;
use crate::output::{self, Format, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker check                          look, and change nothing
  mocker check --repair                 make good what can be made good
  mocker check --format json | jq -r '.findings[].code'
  mocker check -q || echo 'something is wrong'

What images and containers need is never touched. A damaged database is set aside and made anew, out
of ROOT/manifests and of what the backends hold; nothing else may be at work in the root then.

The exit status is 0 where nothing is wrong, or not any more, 1 where something is, and 125 where it
could not be found out.";

/// Look whether the records and the storage agree
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Make good what is found: delete what nothing needs, write anew what is missing
    #[arg(long)]
    repair: bool,

    /// Remove versions and containers whose layers are gone, too: they cannot be used any more
    #[arg(long, requires = "repair")]
    remove_broken: bool,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let request = CheckRequest { repair: self.repair, remove_broken: self.remove_broken };
        let verb = if self.repair { "check --repair" } else { "check" };
        let report = complete(Engine::check(&options(args, verb)?, request))?;
        match (self.shape.quiet, self.shape.format) {
            (true, _) => {
                let left = report.findings.iter().filter(|finding| finding.outcome == Outcome::Left);
                let lines =
                    left.map(|finding| format!("{} {}\n", finding.code.as_str(), escaped(&finding.subject)));
                output::print(&lines.collect::<String>())?;
            }
            (false, Format::Json) => output::json(&report)?,
            (false, Format::Table) => {
                output::print(&report.findings.iter().map(told).collect::<String>())?;
                summarize(&report);
            }
        }
        Ok(if report.is_clean() { 0 } else { exit::FAILED })
    }
}

/// A finding, in lines.
fn told(finding: &Finding) -> String {
    let Finding { code, subject, problem, consequence, remedy, .. } = finding;
    let mut text = format!("{}: {}: {}\n", code.as_str(), escaped(subject), escaped(problem));
    text += &match (finding.outcome, &finding.failure) {
        (Outcome::Repaired, _) => format!("  repaired: {remedy}\n"),
        (Outcome::Left, None) => format!("  so: {consequence}\n  repair: {remedy}\n"),
        (Outcome::Left, Some(why)) => {
            format!("  so: {consequence}\n  not repaired: {}\n", escaped(why))
        }
    };
    text
}

/// What people want to know besides.
fn summarize(report: &Report) {
    if let Some(aside) = &report.set_aside {
        exit::note(format_args!("the damaged database lies in '{}' now", aside.display()));
    }
    if report.reclaimed > 0 {
        exit::note(format_args!("the space of {} deleted nodes is back", report.reclaimed));
    }
    let left = report.findings.iter().filter(|finding| finding.outcome == Outcome::Left).count();
    let Report { images, containers, nodes, .. } = report;
    let outcome = match (left, report.findings.len()) {
        (0, 0) => "nothing is wrong".to_owned(),
        (0, repaired) => format!("{repaired} found, and repaired"),
        (left, all) if left == all => format!("{left} found"),
        (left, all) => format!("{all} found, {} repaired", all - left),
    };
    exit::note(format_args!("{images} images, {containers} containers, {nodes} nodes: {outcome}"));
}
