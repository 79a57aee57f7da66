//! Containers that live while a case looks at them, and shell scripts on the
//! host around a command.

use std::process::Command;

use crate::fixture::Fixture;

use crate::suites::background::{self, Job, wait_until};

/// Ends a script when the case calls [`end`], and says that it came so far.
pub(crate) const UNTIL_ENDED: &str = ": > /ready; while ! [ -e /end ]; do sleep 0.01; done";

/// Starts the container `work` of the image `base` with a shell script, and
/// comes back when that has made the file `/ready`.
pub(crate) fn start(fixture: &Fixture, options: &[&str], script: &str) -> Job {
    let words = [&["run", "--name", "work"], options, &["base", "sh", "-c", script]].concat();
    let mut job = background::start(&mut background::mocker(fixture, &words));
    wait_until("the container lives", || {
        assert!(!job.has_ended(), "it ended too early: {}", job.said());
        fixture.record("work").is_some_and(|record| record["status"] == "running")
            && fixture.tree("work").join("ready").exists()
    });
    job
}

/// Lets a script come to its end.
pub(crate) fn end(fixture: &Fixture, job: Job) -> background::End {
    std::fs::write(fixture.tree("work").join("end"), "").unwrap();
    job.end()
}

/// A shell script on the host in which `$mocker` is the program, for what only
/// a shell can do to a command's descriptors.
pub(crate) fn script(fixture: &Fixture, script: &str) -> background::End {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).env("mocker", Fixture::program());
    let plain = background::mocker::<&str>(fixture, &[]);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    background::finish(&mut command)
}
