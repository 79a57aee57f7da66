//! A script as text, one step a line: its number, and what it does.
//!
//! A counter-example is printed so that the whole of it can be saved in a file
//! and played again: what is no step begins with `#`.

use std::fmt;

use super::{Action, Attempt, Counterexample, How, Label, Missing, Step};
use crate::edit::Edit;
use crate::edit::words::{Word, number, split};

/// What a line begins with that is no step.
const REMARK: char = '#';

const HOW: [(How, &str); 4] =
    [(How::Idle, "idle"), (How::Paused, "paused"), (How::Running, "running"), (How::Consume, "ending")];

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.script {
            writeln!(f, "{step}")?;
        }
        write!(f, "{REMARK} ")?;
        match self.failure.steps.checked_sub(1).and_then(|last| self.script.get(last)) {
            Some(step) => writeln!(f, "with step {}:", step.number)?,
            None => writeln!(f, "before the first step:")?,
        }
        let told: Vec<_> = self.failure.what.lines().map(|line| format!("{REMARK} {line}")).collect();
        writeln!(f, "{}", told.join("\n"))?;
        write!(f, "{REMARK} To play it again, save it: mocker conformance --backend NAME --script FILE")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, action } = self;
        write!(f, "{number:5}  ")?;
        match action {
            Action::Edit(edit) => edit.fmt(f),
            Action::Commit(how) => {
                let how = HOW.iter().find(|(known, _)| known == how).map_or("unknown", |(_, word)| word);
                write!(f, "commit {how} as layer {number}")
            }
            Action::Branch(Some(layer)) => write!(f, "make work area {number} over layer {layer}"),
            Action::Branch(None) => write!(f, "make work area {number} over nothing"),
            Action::Switch(work) => write!(f, "go on in work area {work}"),
            Action::DeleteWork(work) => write!(f, "delete work area {work}"),
            Action::DeleteLayer(layer) => write!(f, "delete layer {layer}"),
            Action::Reopen => f.write_str("reopen"),
            Action::Try(attempt) => write!(f, "try to {attempt}"),
            Action::Compare(from, to) => write!(f, "compare {from} with {to}"),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeWork(work) => write!(f, "make work area {work} again"),
            Self::MakeLayer(layer) => write!(f, "make layer {layer} again"),
            Self::MakeOver(missing) => write!(f, "make a work area over {missing}"),
            Self::Open(missing) => write!(f, "open {missing}"),
            Self::Measure(missing) => write!(f, "measure {missing}"),
            Self::WriteTo(layer) => write!(f, "write to layer {layer}"),
            Self::Delete(missing) => write!(f, "delete {missing}"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "what never was",
            Self::Deleted => "what was deleted",
        })
    }
}

/// Reads a script; empty lines and remarks are left out.
///
/// # Errors
/// The first line that is no step, and why.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut script: Vec<Step> = Vec::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(REMARK) {
            continue;
        }
        let step = step(line).map_err(|why| format!("line {}: {why}: {line}", place + 1))?;
        // Labels are numbers of steps, and 0 is that of the first work area.
        if step.number <= script.last().map_or(0, |last| last.number) {
            return Err(format!("line {}: the numbers of steps must grow, from 1: {line}", place + 1));
        }
        script.push(step);
    }
    Ok(script)
}

fn step(line: &str) -> Result<Step, String> {
    let words = split(line)?;
    let [Word::Plain(first), rest @ ..] = &words[..] else {
        return Err("a step begins with its number".to_owned());
    };
    let label: Label = number(first, 10)?;
    Ok(Step { number: label, action: action(label, rest)? })
}

fn action(own: Label, words: &[Word<'_>]) -> Result<Action, String> {
    use Word::Plain as P;
    Ok(match words {
        [P("commit"), P(how), P("as"), P("layer"), P(layer)] => {
            is_own(own, layer)?;
            let found = HOW.iter().find(|(_, word)| word == how).map(|(how, _)| *how);
            Action::Commit(found.ok_or_else(|| format!("nothing is committed '{how}'"))?)
        }
        [P("make"), P("work"), P("area"), P(work), P("over"), P("layer"), P(layer)] => {
            is_own(own, work)?;
            Action::Branch(Some(number(layer, 10)?))
        }
        [P("make"), P("work"), P("area"), P(work), P("over"), P("nothing")] => {
            is_own(own, work)?;
            Action::Branch(None)
        }
        [P("go"), P("on"), P("in"), P("work"), P("area"), P(work)] => Action::Switch(number(work, 10)?),
        [P("delete"), P("work"), P("area"), P(work)] => Action::DeleteWork(number(work, 10)?),
        [P("delete"), P("layer"), P(layer)] => Action::DeleteLayer(number(layer, 10)?),
        [P("reopen")] => Action::Reopen,
        [P("compare"), P(from), P("with"), P(to)] => Action::Compare(number(from, 10)?, number(to, 10)?),
        [P("try"), P("to"), attempt @ ..] => Action::Try(self::attempt(attempt)?),
        _ => Action::Edit(Edit::parse(words)?),
    })
}

fn attempt(words: &[Word<'_>]) -> Result<Attempt, String> {
    use Word::Plain as P;
    Ok(match words {
        [P("make"), P("work"), P("area"), P(work), P("again")] => Attempt::MakeWork(number(work, 10)?),
        [P("make"), P("layer"), P(layer), P("again")] => Attempt::MakeLayer(number(layer, 10)?),
        [P("make"), P("a"), P("work"), P("area"), P("over"), rest @ ..] => Attempt::MakeOver(missing(rest)?),
        [P("open"), rest @ ..] => Attempt::Open(missing(rest)?),
        [P("measure"), rest @ ..] => Attempt::Measure(missing(rest)?),
        [P("write"), P("to"), P("layer"), P(layer)] => Attempt::WriteTo(number(layer, 10)?),
        [P("delete"), rest @ ..] => Attempt::Delete(missing(rest)?),
        _ => return Err("it is nothing to try".to_owned()),
    })
}

fn missing(words: &[Word<'_>]) -> Result<Missing, String> {
    use Word::Plain as P;
    match words {
        [P("what"), P("never"), P("was")] => Ok(Missing::Never),
        [P("what"), P("was"), P("deleted")] => Ok(Missing::Deleted),
        _ => Err("it must say 'what never was' or 'what was deleted'".to_owned()),
    }
}

/// What a step makes is called after the step; the text says so for people.
fn is_own(own: Label, word: &str) -> Result<(), String> {
    if number::<Label>(word, 10)? == own {
        return Ok(());
    }
    Err(format!("what step {own} makes has the number {own}"))
}
