//! C9: a commit that is interrupted or killed, and then asked for again: it
//! succeeds, and nothing of the first one is left.
//!
//! nerdctl left a snapshot under the name that the second try needed
//! (containerd/nerdctl#1421).

use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::process::Signal;

use crate::suites::{background, living};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("c9_a_commit_that_was_interrupted_is_done_again", |fixture| stopped(fixture, Signal::INT)),
        case("c9_a_commit_that_was_killed_is_done_again", |fixture| stopped(fixture, Signal::KILL)),
        case("c9_a_commit_of_what_runs_that_was_interrupted_is_done_again", |fixture| {
            running(fixture, Signal::INT);
        }),
        case("c9_a_commit_of_what_runs_that_was_killed_is_done_again", |fixture| {
            running(fixture, Signal::KILL);
        }),
    ]
}

/// Moments of a commit at which it is ended, spread over all of its time.
const MOMENTS: u32 = 10;

/// How long one takes that nobody disturbs; it is no measurement.
fn length(fixture: &Fixture) -> Duration {
    let started = Instant::now();
    fixture.ok(&["commit", "work", "first"]);
    started.elapsed()
}

/// Ends a commit onto `made` after a while, and does it again as the very next
/// command; answers how many versions there must be more.
fn ended_and_again(fixture: &Fixture, signal: Signal, after: Duration) -> u64 {
    let job = background::start(&mut background::mocker(fixture, &["commit", "work", "made"]));
    std::thread::sleep(after);
    job.signal(signal);
    let ended = job.end();
    let was_ended = ended.signal.is_some() || ended.code == Some(130);
    assert!(was_ended || ended.code == Some(0), "{ended:?}");
    fixture.ok(&["commit", "work", "made"]);
    // It may have been past its commit point when it was ended.
    let versions = fixture.record("made").unwrap()["versions"].as_u64().unwrap();
    let images = fixture.images().as_array().unwrap().len();
    assert_eq!(images, 3, "a commit has left an image of its own");
    versions
}

fn stopped(fixture: &Fixture, signal: Signal) {
    fixture.image("base");
    let script = "head -c 3000000 /dev/urandom > /much; mkdir /many; cd /many; for i in $(seq 200); do echo $i > $i; done";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    let step = length(fixture) / MOMENTS;
    let expected = oracle::look(&fixture.tree("work"));
    let mut before = 0;
    for moment in 0..MOMENTS {
        let versions = ended_and_again(fixture, signal, step * moment);
        assert!((1..=2).contains(&(versions - before)), "{versions} versions after {before}");
        before = versions;
        oracle::assert_equal(&expected, &oracle::look(&fixture.tree("made")));
        fixture.assert_consistent();
    }
    oracle::assert_equal(&expected, &oracle::look(&fixture.tree("work")));
}

fn running(fixture: &Fixture, signal: Signal) {
    fixture.image("base");
    let script = format!("head -c 3000000 /dev/urandom > /much; sync; {}; exit 7", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    let step = length(fixture) / MOMENTS;
    let mut before = 0;
    for moment in 0..MOMENTS {
        let versions = ended_and_again(fixture, signal, step * moment);
        assert!((1..=2).contains(&(versions - before)), "{versions} versions after {before}");
        before = versions;
        assert_eq!(std::fs::read(fixture.tree("made").join("much")).unwrap().len(), 3_000_000);
    }
    // Were it still frozen, it would never see this.
    assert_eq!(living::end(fixture, job).code, Some(7));
    fixture.assert_consistent();
}
