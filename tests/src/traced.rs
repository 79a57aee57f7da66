//! What a backend tells (`story!`, `kernel_call`) while a case calls it in this
//! process: the end of it is shown where the case fails.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use mocker_core::trace::TARGET;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Steps that are kept; a case can make thousands.
const KEPT: usize = 40;

/// Runs something on this thread; answers what it comes to, and the last steps
/// that were told.
pub(crate) fn collect<T>(run: impl FnOnce() -> T) -> (T, String) {
    let steps = Arc::new(Mutex::new(VecDeque::new()));
    let outcome = tracing::subscriber::with_default(Collector(Arc::clone(&steps)), run);
    let steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
    (outcome, steps.iter().fold(String::new(), |told, step| told + step + "\n"))
}

struct Collector(Arc<Mutex<VecDeque<String>>>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn event(&self, event: &Event<'_>) {
        let mut step = Step(String::new());
        event.record(&mut step);
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() == KEPT {
            steps.pop_front();
        }
        steps.push_back(step.0);
    }

    // Nobody opens spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// All fields of an event in a line.
struct Step(String);

impl Visit for Step {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _written = match field.name() {
            "message" => write!(self.0, "{value:?}  "),
            name => write!(self.0, "{name} {value:?}  "),
        };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_steps_are_kept_and_those_of_other_threads_are_not() {
        let (outcome, told) = super::collect(|| {
            std::thread::spawn(|| mocker_core::story!("elsewhere")).join().expect("a thread");
            (0..100).for_each(|number| mocker_core::story!("step {number}"));
            7
        });
        assert_eq!(outcome, 7);
        assert_eq!(told.lines().count(), super::KEPT);
        assert!(told.starts_with("step 60") && told.trim_end().ends_with("step 99"), "{told}");
    }
}
