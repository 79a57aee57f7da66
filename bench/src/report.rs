//! The table at the end, and the file with every sample.

use std::fmt::Write;
use std::path::Path;

use fastrand::Rng;
use serde::Serialize;

use crate::failure::{During, Result};
use crate::manifest::Manifest;
use crate::sampling::Pair;
use crate::statistics::{Ratio, median, percentile, ratio};
use crate::workloads::{Peak, Target, Workload};

/// One comparison, measured.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    ours: &'static str,
    peer: &'static str,
    target: Target,
    ratio: Ratio,
    /// Seconds of ours and of the peer, in the order in which they were taken.
    pairs: Vec<Pair>,
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) environment: Manifest,
    pub(crate) rows: Vec<Row>,
    pub(crate) peaks: Vec<Peak>,
}

impl Row {
    pub(crate) fn new(
        of: &Workload,
        labels: (&'static str, &'static str),
        pairs: Vec<Pair>,
        rng: &mut Rng,
    ) -> Self {
        let ratio = ratio(&pairs, rng);
        Self { name: of.name, ours: labels.0, peer: labels.1, target: of.target, ratio, pairs }
    }

    fn ours_ms(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|pair| pair.0 * 1e3)
    }

    fn peer_ms(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|pair| pair.1 * 1e3)
    }

    /// Whether the target is met. Where it lies inside the interval, another
    /// run may say otherwise.
    fn verdict(&self) -> &'static str {
        let in_time = self.target.milliseconds.map(|most| median(self.ours_ms()) <= most);
        if in_time == Some(true) {
            return "met";
        }
        let Some(most) = self.target.ratio else {
            return if in_time.is_some() { "missed" } else { "" };
        };
        let unsure = self.ratio.low <= most && most < self.ratio.high;
        match (self.ratio.ratio <= most, unsure) {
            (true, false) => "met",
            (true, true) => "met, unsure",
            (false, false) => "missed",
            (false, true) => "missed, unsure",
        }
    }

    fn target_shown(&self) -> String {
        let ratio = self.target.ratio.map(|most| format!("≤ {most}"));
        let milliseconds = self.target.milliseconds.map(|most| format!("≤ {most:.0} ms"));
        ratio.into_iter().chain(milliseconds).collect::<Vec<_>>().join(" or ")
    }
}

impl Report {
    /// The report as people read it.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        self.show(&mut text).unwrap_or_default(); // Writing to a string cannot fail.
        text
    }

    fn show(&self, to: &mut String) -> std::fmt::Result {
        for (name, what) in &self.environment {
            writeln!(to, "{name:>18}: {what}")?;
        }
        writeln!(to, "{:>18}: {}", "seed", self.seed)?;
        if !self.rows.is_empty() {
            self.show_rows(to)?;
        }
        for peak in &self.peaks {
            let most = peak.kib.iter().copied().max().unwrap_or_default();
            let verdict = if most <= peak.most_kib { "met" } else { "missed" };
            writeln!(
                to,
                "{}: at most {:.1} MiB in {} runs; target ≤ {} MiB: {verdict}",
                peak.name,
                most as f64 / 1024.0,
                peak.kib.len(),
                peak.most_kib >> 10,
            )?;
        }
        Ok(())
    }

    fn show_rows(&self, to: &mut String) -> std::fmt::Result {
        writeln!(
            to,
            "\n{:<19} {:>9} {:>8} {:>9} {:>8} {:>4} {:>6} {:<14} {:<16} verdict",
            "row", "ours, ms", "p95", "peer, ms", "p95", "n", "ratio", "95 % interval", "target"
        )?;
        for row in &self.rows {
            let Ratio { ratio, low, high } = row.ratio;
            writeln!(
                to,
                "{:<19} {:>9.2} {:>8.2} {:>9.2} {:>8.2} {:>4} {:>6.2} {:<14} {:<16} {}",
                row.name,
                median(row.ours_ms()),
                percentile(row.ours_ms(), 0.95),
                median(row.peer_ms()),
                percentile(row.peer_ms(), 0.95),
                row.pairs.len(),
                ratio,
                format!("{low:.2} to {high:.2}"),
                row.target_shown(),
                row.verdict(),
            )?;
        }
        writeln!(to, "\nTimes are medians of whole processes; a ratio is ours by the peer's.")?;
        writeln!(to, "'noise' is the peer against itself: a ratio inside its interval shows no difference.")?;
        writeln!(to, "'unsure': the target lies inside the interval.\n")?;
        for row in &self.rows {
            writeln!(to, "{:<19} {}  |  {}", row.name, row.ours, row.peer)?;
        }
        writeln!(to)
    }

    /// Writes everything, with every sample, as JSON.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).during("write JSON")?;
        std::fs::write(path, text + "\n").during(format_args!("write '{}'", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::ALL;

    fn row(name: &str, pairs: Vec<Pair>) -> Row {
        let of = ALL.iter().find(|workload| workload.name == name).unwrap();
        Row::new(of, ("ours", "peer"), pairs, &mut Rng::with_seed(1))
    }

    /// Ours takes `times` the peer's time, give or take `noise`.
    fn pairs(times: f64, noise: f64) -> Vec<Pair> {
        (0..20).map(|at| (0.01 * (times + noise * f64::from(at % 5 - 2)), 0.01)).collect()
    }

    #[test]
    fn a_target_is_met_or_missed_and_unsure_where_the_interval_holds_it() {
        let verdict = |times, noise| row("commit-small", pairs(times, noise)).verdict();
        assert_eq!(verdict(1.0, 0.01), "met");
        assert_eq!(verdict(2.0, 0.01), "missed");
        assert_eq!(verdict(1.15, 0.2), "met, unsure");
        assert_eq!(verdict(1.25, 0.2), "missed, unsure");
        assert_eq!(row("noise", pairs(1.0, 0.0)).verdict(), "");
    }

    #[test]
    fn a_time_that_is_short_enough_meets_a_target_too() {
        assert_eq!(row("rm", pairs(0.4, 0.0)).verdict(), "met");
        let slower_but_short = pairs(4.0, 0.0).into_iter().map(|pair| (pair.0 / 10.0, pair.1 / 10.0));
        assert_eq!(row("rm", slower_but_short.collect()).verdict(), "met");
        assert_eq!(row("rm", pairs(4.0, 0.0)).verdict(), "missed");
    }

    #[test]
    fn the_report_holds_every_row_and_the_seed() {
        let rows = vec![row("run", pairs(0.5, 0.0))];
        let report = Report { seed: 7, environment: vec![("kernel", "any".to_owned())], rows, peaks: vec![] };
        let shown = report.shown();
        let line = shown.lines().find(|line| line.starts_with("run ")).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[1..7], ["5.00", "5.00", "10.00", "10.00", "20", "0.50"], "{line}");
        assert!(line.ends_with("≤ 0.8            met"), "{line}");
        assert!(shown.contains("seed: 7"), "{shown}");
    }
}
