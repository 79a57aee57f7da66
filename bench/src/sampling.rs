//! How samples are taken: in pairs, in random order, on a file system at rest.

use std::process::Command;

use fastrand::Rng;

use crate::arena::{Arena, Sight};
use crate::failure::Result;
use crate::process;

/// One of two things that are compared.
pub(crate) trait Side {
    /// What it is, in a few words.
    fn label(&self) -> &'static str;

    /// Makes what one sample needs; the file system comes to rest afterwards.
    fn set_up(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes what has to be fresh when the clock starts.
    fn touch(&mut self) -> Result<()> {
        Ok(())
    }

    /// What its process may see of the machine.
    fn sight(&self) -> Sight {
        Sight::Whole
    }

    /// The process to time.
    fn command(&self) -> Command;

    /// Checks that the result is there, given what the process printed, and
    /// takes it away again. A time counts only if this succeeds.
    fn check(&mut self, said: &str) -> Result<()>;
}

/// Seconds that ours and the peer took.
pub(crate) type Pair = (f64, f64);

/// Takes one pair as warm-up, which does not count, and then `samples` pairs,
/// each in random order.
pub(crate) fn compare(
    arena: &Arena<'_>,
    ours: &mut dyn Side,
    peer: &mut dyn Side,
    samples: usize,
    rng: &mut Rng,
) -> Result<Vec<Pair>> {
    let mut pairs = Vec::with_capacity(samples + 1);
    for _ in 0..=samples {
        pairs.push(if rng.bool() {
            let first = sample(arena, ours)?;
            (first, sample(arena, peer)?)
        } else {
            let first = sample(arena, peer)?;
            (sample(arena, ours)?, first)
        });
    }
    pairs.remove(0);
    Ok(pairs)
}

fn sample(arena: &Arena<'_>, side: &mut dyn Side) -> Result<f64> {
    side.set_up()?;
    arena.settle()?;
    side.touch()?;
    let sight = side.sight();
    if sight != Sight::Whole {
        arena.enter(sight)?;
    }
    let timed = process::time(&mut side.command());
    if sight != Sight::Whole {
        arena.enter(Sight::Whole)?;
    }
    let timed = timed?;
    side.check(&timed.said)?;
    Ok(timed.took.as_secs_f64())
}
