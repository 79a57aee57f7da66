//! `check`: whether the records of a root and what there is agree.
//!
//! Without a repair nothing is changed. `look.rs` and `around.rs` compare, `repair.rs` does
//! something about what was found, and where the database itself is damaged
//! `rebuild.rs` exchanges it.

use std::time::Duration;

use crate::engine::root::Root;
use crate::engine::{Engine, Options, find_driver};
use crate::error::{Error, ErrorKind, Result};
use crate::image::printable;
use crate::store::manifest::Manifests;

mod around;
mod finding;
mod look;
mod rebuild;
mod records;
mod repair;

pub use finding::{Code, Finding, Outcome, Report};

use look::{Cure, Found, Look};

/// What `check` is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckRequest {
    /// Do something about what is found.
    pub repair: bool,
    /// Remove versions and containers whose layers are gone as well.
    pub remove_broken: bool,
}

/// How often must be looked before a finding counts, while others are at work.
const LOOKS: u32 = 3;

/// The pause between two looks, in which others finish what they are at.
const PAUSE: Duration = Duration::from_millis(300);

/// What is repaired can uncover more: a layer that only a dead command needed.
const ROUNDS: u32 = 4;

impl Engine {
    /// Compares the records of a root with its storage, both ways, and with
    /// `repair` makes good what can be made good.
    ///
    /// Commands may be at work meanwhile, and what they are at is no finding; only
    /// where the database itself has to be made anew the root must be free.
    /// Stopped at any point it can be repeated.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no root, [`ErrorKind::Busy`] where
    /// others keep the database from being exchanged; those of reading what there
    /// is. What could not be repaired is no error: it stays in the report.
    pub async fn check(options: &Options, request: CheckRequest) -> Result<Report> {
        let preferred = match &options.preferred {
            None => None,
            Some(name) => Some(find_driver(options.drivers, name)?),
        };
        refuse_no_root(options)?;
        let open = || Self::open_as_it_is(options, preferred);
        let fault = match open() {
            Ok(engine) => match engine.checked(request, false).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => error,
                report => return report,
            },
            Err(error) if error.kind() == ErrorKind::Corrupt => error,
            Err(error) => return Err(error),
        };
        let root = Root::open(&options.root)?;
        let subject = root.database().display().to_string();
        let mut damaged = Finding::new(Code::DamagedRecords, subject, fault.to_string());
        if !request.repair {
            return Ok(Report { findings: vec![damaged], ..Report::default() });
        }
        let (made, set_aside) = rebuild::exchange(&root, options.drivers).await?;
        damaged.outcome = Outcome::Repaired;
        let mut report = open()?.checked(request, true).await?;
        report.set_aside = set_aside;
        let lost = made.lost.into_iter().map(|(subject, why)| Finding::new(Code::Lost, subject, why));
        report.findings.splice(0..0, std::iter::once(damaged).chain(lost));
        Ok(report)
    }

    /// Checks an open root. With `spare`, what nothing refers to stays where it
    /// is: it may be what could not be brought back.
    async fn checked(&self, request: CheckRequest, spare: bool) -> Result<Report> {
        if let Some(fault) = records::fault(self.store.read())? {
            let fault = format!("the records of the root are damaged: {fault}");
            return Err(Error::new(ErrorKind::Corrupt, fault));
        }
        let mut look = self.findings().await?;
        let mut findings: Vec<Finding> = look.found.iter().map(|found| found.finding.clone()).collect();
        let mut reclaimed = 0;
        if request.repair {
            for _ in 0..ROUNDS {
                let curable: Vec<&Found> =
                    look.found.iter().filter(|found| is_curable(found, request, spare)).collect();
                if curable.is_empty() {
                    break;
                }
                let failures = self.cure_all(&curable).await;
                look = self.findings().await?;
                settle_findings(&mut findings, &look, &failures);
            }
            if !spare {
                self.spare_no_more()?;
            }
            reclaimed = self.reclaim_everywhere().await?;
        }
        let Look { images, containers, nodes, .. } = look;
        Ok(Report { findings, images, containers, nodes, set_aside: None, reclaimed })
    }

    /// Looks until what is found is not found by bad luck.
    async fn findings(&self) -> Result<Look> {
        let mut look = self.look().await?;
        for _ in 1..LOOKS {
            if look.found.is_empty() {
                break;
            }
            if look.others {
                std::thread::sleep(PAUSE);
            }
            let again = self.look().await?;
            look.found.retain(|found| again.found.iter().any(|other| other.finding.is(&found.finding)));
            if !again.others {
                break;
            }
        }
        look.found.sort_by_key(|found| found.finding.code);
        Ok(look)
    }

    /// Answers what failed, with why.
    async fn cure_all(&self, curable: &[&Found]) -> Vec<(Finding, String)> {
        let mut failures = Vec::new();
        let mut done: Vec<&Cure> = Vec::new();
        for found in curable {
            // One clean-up is for all that it is for.
            if done.contains(&&found.cure) {
                continue;
            }
            done.push(&found.cure);
            crate::story!(
                "{} ({}): {}",
                found.finding.subject,
                found.finding.code.as_str(),
                found.finding.remedy
            );
            if let Err(error) = self.cure(found).await {
                failures.push((found.finding.clone(), error.to_string()));
            }
        }
        failures
    }
}

fn is_curable(found: &Found, request: CheckRequest, spare: bool) -> bool {
    match found.cure {
        Cure::None => false,
        Cure::RemoveVersion { .. } | Cure::RemoveContainer(_) => request.remove_broken,
        Cure::Stray { .. } | Cure::Unneeded(_) | Cure::RemoveDirectory(_) => !spare,
        _ => true,
    }
}

/// Notes what is gone after a repair, what stayed, and what is new.
fn settle_findings(findings: &mut Vec<Finding>, look: &Look, failures: &[(Finding, String)]) {
    for finding in findings.iter_mut() {
        let stays = look.found.iter().any(|found| found.finding.is(finding));
        finding.outcome = if stays { Outcome::Left } else { Outcome::Repaired };
        let failure = failures.iter().find(|(failed, _)| failed.is(finding)).filter(|_| stays);
        finding.failure = failure.map(|(_, why)| why.clone());
    }
    let new = look.found.iter().filter(|found| !findings.iter().any(|known| known.is(&found.finding)));
    let new: Vec<_> = new.map(|found| found.finding.clone()).collect();
    findings.extend(new);
}

/// A place where nothing was ever recorded is not made a root by looking at it.
fn refuse_no_root(options: &Options) -> Result<()> {
    let there = Root::is_one(&options.root) || Manifests::at(&options.root).exist();
    if there {
        return Ok(());
    }
    let place = options.root.display().to_string();
    Err(Error::new(ErrorKind::NotFound, format!("there is no root at '{}'", printable(&place)))
        .with_hint("--root or MOCKER_ROOT names another place"))
}
