//! A state machine of proptest over the calls of a backend: its state is a
//! [`World`], its transitions are steps, and what it must come to is what plain
//! directories come to.
//!
//! proptest makes sequences of transitions, keeps to those that the state
//! allows, also while it leaves some out, and makes each of those that are left
//! as simple as it can: another name, a smaller size. `calls.rs` is the choice
//! of what becomes of nodes, `edits.rs` that of changes.
//!
//! The sequences are played by [`Stage`] and not by proptest's own
//! `StateMachineTest`: that is made of functions without a `self`, which could
//! know neither the backend nor the root.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use proptest::strategy::{BoxedStrategy, Just, Strategy as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use super::world::World;
use super::{Counterexample, Failure, Stage, Step, Tally, shrink};

mod calls;
mod edits;

pub(super) use calls::action;

/// Transitions of a run.
const LENGTH: std::ops::RangeInclusive<usize> = 50..=100;

/// How often and how long, in milliseconds, a script that fails is made simpler.
const MOST_ATTEMPTS: u32 = 10_000;
const PATIENCE: u32 = 60_000;

/// Plays so many random scripts; a seed is always the same ones.
///
/// # Errors
/// A script that fails.
pub fn search(stage: &Stage, seed: u64, runs: u32) -> Result<Tally, Box<Counterexample>> {
    let config = Config {
        cases: runs,
        max_shrink_iters: MOST_ATTEMPTS,
        max_shrink_time: PATIENCE,
        // The seed is in the source; nothing needs to be written beside it.
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let tally = Cell::new(Tally::default());
    let outcome = runner.run(&Machine::sequential_strategy(LENGTH), |(_, script, seen)| {
        let see = |steps| seen.iter().for_each(|seen| seen.store(steps, Ordering::SeqCst));
        see(script.len());
        match stage.play(&script) {
            Ok(one) => {
                tally.set(tally.get() + one);
                Ok(())
            }
            Err(failure) => {
                // What comes after it need not be left out step by step.
                see(failure.steps);
                Err(TestCaseError::fail(failure.what))
            }
        }
    });
    match outcome {
        Ok(()) => Ok(tally.get()),
        Err(TestError::Fail(why, (_, script, _))) => Err(Box::new(again(stage, script, why.message()))),
        Err(TestError::Abort(why)) => {
            let failure = Failure { steps: 0, what: format!("proptest gives up: {why}") };
            Err(Box::new(Counterexample { script: Vec::new(), failure }))
        }
    }
}

/// Plays once more what failed, because proptest kept only how the last attempt
/// did; and leaves out what only the steps needed that are simpler now.
fn again(stage: &Stage, script: Vec<Step>, why: &str) -> Counterexample {
    match stage.play(&script) {
        Err(failure) => shrink(stage, &script, failure),
        Ok(_) => {
            let what = format!("{why}\n(but not when it was played once more)");
            Counterexample { failure: Failure { steps: script.len(), what }, script }
        }
    }
}

/// What proptest knows of a run.
#[derive(Debug, Clone)]
struct State {
    world: World,
    /// The number of the last step.
    last: u64,
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        Just(State { world: World::new(), last: 0 }).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let number = state.last + 1;
        action(&state.world).prop_map(move |action| Step { number, action }).boxed()
    }

    fn apply(mut state: State, step: &Step) -> State {
        state.world.follow(step);
        state.last = step.number;
        state
    }

    fn preconditions(state: &State, step: &Step) -> bool {
        state.world.allows(step)
    }
}
