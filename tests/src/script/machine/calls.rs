//! Chooses what is done next, among what there is something to do to.

use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};

use super::edits;
use crate::script::world::World;
use crate::script::{Action, Attempt, How, Label, Missing};

/// Work areas and layers that are kept at a time.
const MOST_WORKS: usize = 3;
const MOST_LAYERS: usize = 8;

/// One in so many work areas stands over nothing, where there are layers.
const OVER_NOTHING: u32 = 8;

/// Anything that the world allows.
pub(in crate::script) fn action(world: &World) -> BoxedStrategy<Action> {
    let works: Vec<Label> = world.works.keys().copied().collect();
    let others: Vec<_> = works.iter().copied().filter(|work| *work != world.current).collect();
    let layers: Vec<Label> = world.layers.keys().copied().collect();
    let free: Vec<_> = layers.iter().copied().filter(|layer| !world.bears_work(*layer)).collect();
    let mut choices = vec![
        (50, edits::edit(&world.work().model).prop_map(Action::Edit).boxed()),
        (4, Just(Action::Reopen).boxed()),
        (18, attempt(world, &works, &layers).prop_map(Action::Try).boxed()),
    ];
    if layers.len() < MOST_LAYERS {
        choices.push((9, how().prop_map(Action::Commit).boxed()));
    }
    if works.len() < MOST_WORKS {
        choices.push((6, branch(layers)));
    }
    choices.extend(one_of(6, others.clone(), Action::Switch));
    choices.extend(one_of(4, others, Action::DeleteWork));
    choices.extend(one_of(4, free, Action::DeleteLayer));
    Union::new_weighted(choices).boxed()
}

fn how() -> impl Strategy<Value = How> {
    Union::new_weighted(vec![
        (4, Just(How::Idle)),
        (3, Just(How::Paused)),
        (2, Just(How::Consume)),
        (1, Just(How::Running)),
    ])
}

fn branch(layers: Vec<Label>) -> BoxedStrategy<Action> {
    let nothing = Just(Action::Branch(None)).boxed();
    let over = one_of(OVER_NOTHING - 1, layers, |layer| Action::Branch(Some(layer)));
    Union::new_weighted(std::iter::once((1, nothing)).chain(over).collect()).boxed()
}

fn attempt(world: &World, works: &[Label], layers: &[Label]) -> impl Strategy<Value = Attempt> + use<> {
    let mut missing = vec![Missing::Never];
    if world.has_deleted() {
        missing.push(Missing::Deleted);
    }
    let on_missing = [Attempt::MakeOver, Attempt::Open, Attempt::Measure, Attempt::Delete];
    let mut choices: Vec<_> =
        on_missing.into_iter().filter_map(|attempt| one_of(1, missing.clone(), attempt)).collect();
    choices.extend(one_of(2, works.to_vec(), Attempt::MakeWork));
    choices.extend(one_of(2, layers.to_vec(), Attempt::MakeLayer));
    choices.extend(one_of(2, layers.to_vec(), Attempt::WriteTo));
    Union::new_weighted(choices)
}

/// Something to do to one of these; `None` where there are none.
fn one_of<T, A>(weight: u32, choices: Vec<T>, to: fn(T) -> A) -> Option<(u32, BoxedStrategy<A>)>
where
    T: Clone + std::fmt::Debug + 'static,
    A: std::fmt::Debug + 'static,
{
    let some = !choices.is_empty();
    some.then(|| (weight, proptest::sample::select(choices).prop_map(to).boxed()))
}
