//! Makes a script that fails as short as it can, by leaving steps out.
//!
//! This is the minimising half of delta debugging (Zeller and Hildebrandt,
//! "Simplifying and isolating failure-inducing input", 2002): whole chunks
//! first, then halves of them, down to single steps. (proptest leaves out one
//! step after the other, which takes as many attempts as there are steps: too
//! long for thousands.)

use std::time::{Duration, Instant};

use super::{Counterexample, Failure, Stage, Step};

/// A few hundred attempts; what is left then is short, if not the shortest.
const PATIENCE: Duration = Duration::from_secs(60);

/// The shortest script found that still fails, and how it does. That may be
/// another failure than the first: any is one too many.
pub fn shrink(stage: &Stage, script: &[Step], failure: Failure) -> Counterexample {
    let started = Instant::now();
    let mut shortest = script[..failure.steps].to_vec();
    let mut failure = failure;
    let mut chunk = shortest.len().div_ceil(2);
    while chunk > 0 {
        let before = shortest.len();
        // The last steps first: what they build on can go only after them.
        let mut end = shortest.len();
        while end > 0 && started.elapsed() < PATIENCE {
            let start = end.saturating_sub(chunk);
            let candidate = [&shortest[..start], &shortest[end..]].concat();
            if let Err(other) = stage.play(&candidate) {
                shortest = candidate;
                shortest.truncate(other.steps);
                failure = other;
            }
            end = start.min(shortest.len());
        }
        // Once more with single steps for as long as that helps.
        chunk = if chunk == 1 && shortest.len() < before { 1 } else { chunk / 2 };
        if started.elapsed() >= PATIENCE {
            break;
        }
    }
    Counterexample { script: shortest, failure }
}
