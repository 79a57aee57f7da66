//! The outcomes as JUnit XML, which collectors of test results read. A case
//! that waits, or that is for another backend, is a skipped one with its reason.

use std::time::Duration;

use mocker_core::{Error, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::OneLane;

pub(super) fn text(lanes: &[OneLane]) -> Result<String> {
    let mut report = Report::new("mocker conformance");
    for lane in lanes {
        let mut suite = TestSuite::new(lane.name);
        for line in &lane.cases {
            let status = if let Some(found) = &line.found {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_description(found.as_str());
                status.set_message(line.expected.unwrap_or(&line.name));
                status
            } else if let Some(feature) = line.waits_for {
                skipped(&format!("waits for {feature}"))
            } else if let Some(backend) = &line.only_for {
                skipped(&format!("only for {backend}"))
            } else {
                TestCaseStatus::success()
            };
            let name = if line.name.is_empty() { line.id.as_deref().unwrap_or_default() } else { &line.name };
            let mut case = TestCase::new(name, status);
            case.set_classname(lane.name).set_time(Duration::from_secs_f64(line.seconds));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report
        .to_string()
        .map_err(|error| Error::new(mocker_core::ErrorKind::Io, format!("cannot write JUnit XML: {error}")))
}

fn skipped(why: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(why);
    status
}
