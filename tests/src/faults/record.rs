//! What a workload was promised before a fault.
//!
//! Before a command the workload says what each object will be after it, and
//! when the command has returned with success, that it has. Whoever makes the
//! fault reads the length of that list right before and right after. So an
//! object is what the last command made of it that had returned before; or what
//! one makes of it that was under way.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

/// What each object can be. One that is not in it was never spoken of.
pub(crate) type Possible<S> = BTreeMap<String, Vec<S>>;

/// The list; any number of workers may write it.
#[derive(Debug)]
pub(crate) struct Record<S>(Mutex<Vec<Line<S>>>);

#[derive(Debug)]
enum Line<S> {
    /// A command begins that makes this of an object.
    Begins(String, S),
    /// What begins at this place of the list has returned.
    Returned(usize),
}

impl<S: Clone + PartialEq + Debug> Record<S> {
    /// Nothing is promised yet.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Does what makes `state` of an object; `act` says whether it returned with
    /// success.
    pub(crate) fn during(&self, object: &str, state: S, act: impl FnOnce() -> bool) -> bool {
        let place = self.add(Line::Begins(object.to_owned(), state));
        let returned = act();
        if returned {
            self.add(Line::Returned(place));
        }
        returned
    }

    /// How long the list is now.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn add(&self, line: Line<S>) -> usize {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
        lines.len() - 1
    }

    /// What each object can be after a fault that came when the list was at
    /// least `before` and at most `after` lines long. An object begins as
    /// `absent`.
    pub(crate) fn possible(&self, before: usize, after: usize, absent: &S) -> Possible<S> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut possible = Possible::new();
        for (place, line) in lines[..after].iter().enumerate() {
            let Line::Begins(object, state) = line else { continue };
            let states = possible.entry(object.clone()).or_insert_with(|| vec![absent.clone()]);
            let has_returned = |line: &Line<S>| matches!(line, Line::Returned(begun) if *begun == place);
            if lines[..before].iter().any(has_returned) {
                states.clear();
            }
            if !states.contains(state) {
                states.push(state.clone());
            }
        }
        possible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible(record: &Record<&'static str>, before: usize, after: usize) -> Vec<&'static str> {
        record.possible(before, after, &"absent").remove("it").unwrap_or_default()
    }

    #[test]
    fn an_object_is_what_had_returned_or_what_was_under_way() {
        let record = Record::new();
        assert!(record.during("it", "one", || true));
        assert!(record.during("it", "two", || true));
        assert!(!record.during("it", "three", || false));
        assert_eq!(record.len(), 5);
        assert_eq!(possible(&record, 0, 0), [""; 0]);
        assert_eq!(possible(&record, 0, 1), ["absent", "one"]);
        assert_eq!(possible(&record, 1, 2), ["absent", "one"], "it may have returned after the fault");
        assert_eq!(possible(&record, 2, 2), ["one"]);
        assert_eq!(possible(&record, 2, 3), ["one", "two"]);
        assert_eq!(possible(&record, 2, 5), ["one", "two", "three"]);
        assert_eq!(possible(&record, 5, 5), ["two", "three"]);
    }

    #[test]
    fn others_may_come_between() {
        let record = Record::new();
        record.during("it", "one", || record.during("other", "one", || true));
        assert_eq!(possible(&record, 3, 4), ["absent", "one"]);
        assert_eq!(possible(&record, 4, 4), ["one"]);
    }
}
