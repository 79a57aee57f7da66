//! L2, L4, L12, C11: what a backend must refuse, with which kind of error, and
//! that nothing changes.

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, LayerId, Layers, Node, NodeId, WorkId, complete};

use super::{EVERYTHING, HOWS, layer, numbers, refused, same, seal, tip_of, tree_of, write};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::How;
use crate::suites::ground;

pub(super) fn cases() -> Vec<Case> {
    cases![
        l2_a_number_in_use_is_refused_and_what_has_it_is_unchanged,
        l4_what_does_not_exist_is_not_found_and_nothing_is_made,
        l12_a_layer_is_not_handed_out_for_writing,
        c11_room_that_is_not_there_is_refused,
    ]
}

/// A number that nothing has.
const NOTHING: NodeId = NodeId(4_000_000_000);

fn l2_a_number_in_use_is_refused_and_what_has_it_is_unchanged(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
    let used = layer(&nodes, &base, "echo own > own");
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, "echo mine > mine; rm -r dir");
    let other = nodes.create(&base).unwrap();
    let before = (tip_of(&nodes, &used), tree_of(&nodes, work, &base), numbers(&nodes));
    let nothing = Chain::new(vec![LayerId(NOTHING)]);
    let either = [ErrorKind::AlreadyExists, ErrorKind::NotFound];
    for number in [used.tip().unwrap().0, work.0] {
        let create = |chain: &Chain| complete(nodes.backend.create(WorkId(number), chain));
        for chain in [Chain::EMPTY, base.clone()] {
            refused("create", create(&chain), &[ErrorKind::AlreadyExists]);
        }
        // Of two mistakes it can name either, and must not tidy up what it did not make.
        refused("create over nothing that is there", create(&nothing), &either);
        for how in HOWS {
            // What ends may become the layer itself, and then the spare is not needed.
            if how != How::Consume {
                let frozen = seal(&nodes, other, &base, number, how);
                refused(&format!("snapshot ({how:?})"), frozen, &[ErrorKind::AlreadyExists]);
            }
            let frozen = seal(&nodes, WorkId(NOTHING), &base, number, how);
            refused(&format!("snapshot of nothing ({how:?})"), frozen, &either);
        }
        assert_eq!(numbers(&nodes), before.2, "nodes came or went");
        same("the layer that has the number", &before.0, &tip_of(&nodes, &used));
        same("the work area that has the number", &before.1, &tree_of(&nodes, work, &base));
    }
}

fn l4_what_does_not_exist_is_not_found_and_nothing_is_made(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let tip = base.tip().unwrap();
    let before = numbers(&nodes);
    let missing = [ErrorKind::NotFound];
    let mut chains = vec![vec![LayerId(NOTHING)], vec![tip, LayerId(NOTHING)]];
    // A whole layer needs none beneath, and those may be gone.
    if nodes.capabilities().layers == Layers::Delta {
        chains.push(vec![LayerId(NOTHING), tip]);
    }
    for chain in chains.into_iter().map(Chain::new) {
        let work = WorkId(nodes.fresh());
        refused(&format!("create over {chain:?}"), complete(nodes.backend.create(work, &chain)), &missing);
        assert_eq!(numbers(&nodes), before, "a refused create leaves something");
    }
    for access in [Access::Read, Access::Write] {
        let tree = complete(nodes.backend.rootfs(Node::Work(WorkId(NOTHING)), &base, access));
        refused("the tree of no work area", tree, &missing);
    }
    let chain = base.clone().with(LayerId(NOTHING));
    let tree = complete(nodes.backend.rootfs(Node::Layer(LayerId(NOTHING)), &chain, Access::Read));
    refused("the tree of no layer", tree, &missing);
    for how in HOWS {
        let spare = nodes.fresh();
        refused(&format!("snapshot ({how:?})"), seal(&nodes, WorkId(NOTHING), &base, spare, how), &missing);
        assert_eq!(numbers(&nodes), before, "a refused snapshot leaves something");
    }
    // No error, so that a sweep can repeat it.
    for node in [NOTHING, nodes.fresh()] {
        nodes.delete(node).unwrap();
    }
    assert_eq!(numbers(&nodes), before);
}

fn l12_a_layer_is_not_handed_out_for_writing(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let asked = complete(nodes.backend.rootfs(Node::Layer(base.tip().unwrap()), &base, Access::Write));
    refused("a layer for writing", asked, &[ErrorKind::InvalidInput]);
}

fn c11_room_that_is_not_there_is_refused(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let place = fixture.beside_the_trees();
    complete(nodes.backend.admit(0)).unwrap();
    complete(nodes.backend.admit(1 << 20)).unwrap();
    // More than there is however much of it others give back meanwhile.
    let too_much = ground::free(place.parent().unwrap()) + (16 << 30);
    let said = refused("too much", complete(nodes.backend.admit(too_much)), &[ErrorKind::NoSpace]);
    assert!(said.contains("mocker rm") || said.contains("free"), "no way out is named: {said}");
    assert!(numbers(&nodes).is_empty());
}
