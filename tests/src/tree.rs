//! Where on the host the tree of a container or an image is to be seen.

use std::path::PathBuf;

use mocker_core::backend::{
    Access, Chain, Driver, LayerId, Node, NodeId, OverlayPlan, Rootfs, WorkId, complete,
};

use rusqlite::OptionalExtension;

use crate::fixture::Fixture;
use crate::nodes::Nodes;
use crate::suites::{self, background::wait_until};

impl Fixture {
    /// A directory on the host that shows the tree of a container or image as
    /// it is now. What is written into that of a running container is seen
    /// there; others are for reading.
    #[track_caller]
    pub fn tree(&self, object: &str) -> PathBuf {
        let record = self.record(object).unwrap_or_else(|| panic!("there is no '{object}'"));
        let work = record["work"].as_u64();
        let number = work.or(record["layer"].as_u64()).expect("a node's number");
        let base = match work {
            Some(work) => self.number("SELECT base FROM container WHERE work = ?1", work),
            None => Some(number),
        };
        let node = match work {
            Some(work) => Node::Work(WorkId(NodeId(work))),
            None => Node::Layer(LayerId(NodeId(number))),
        };
        let backend = self.driver(record["backend"].as_str().expect("a backend's name"));
        let opened = (backend.open)(self.root()).expect("open the backend");
        let rootfs = complete(opened.rootfs(node, &self.chain(base), Access::Read)).expect("ask for a tree");
        match rootfs {
            Rootfs::Directory(path) => path,
            Rootfs::Overlay(_) if record["pid"].is_u64() => format!("/proc/{}/root", record["pid"]).into(),
            Rootfs::Overlay(plan) => self.show_overlay(&plan.lower),
            other => panic!("a kind of tree that the tests do not know: {other:?}"),
        }
    }

    /// Does to the tree of a container that does not run what a script of bash
    /// says, as the container could have done it itself with more programs.
    #[track_caller]
    pub(crate) fn edit(&self, container: &str, script: &str) {
        let record = self.record(container).unwrap_or_else(|| panic!("there is no '{container}'"));
        let work = record["work"].as_u64().expect("a node's number");
        let base = self.chain(self.number("SELECT base FROM container WHERE work = ?1", work));
        let opened = (self.lane().driver().open)(self.root()).expect("open the backend");
        let nodes = Nodes::of(opened);
        let work = WorkId(NodeId(work));
        suites::nodes::write(&nodes, work, &base, script);
        // Whatever another thread of this process starts has every descriptor of it for a moment.
        let rootfs = complete(nodes.backend.rootfs(Node::Work(work), &base, Access::Write));
        if let Rootfs::Overlay(OverlayPlan { upper: Some(upper), .. }) = rootfs.expect("ask for a tree") {
            let is_held = || mocker_core::mount::is_held(&upper.directory, self.scratch());
            wait_until("nobody holds the overlay", || !is_held().expect("try to mount"));
        }
    }

    /// An image may have been converted to another backend than the lane's.
    fn driver(&self, name: &str) -> &'static Driver {
        let own = self.lane().driver();
        if own.name == name {
            return own;
        }
        mocker::DRIVERS.iter().find(|driver| driver.name == name).expect("a known backend")
    }

    /// The chain that ends in a layer.
    fn chain(&self, mut layer: Option<u64>) -> Chain {
        let mut layers = Vec::new();
        while let Some(number) = layer {
            layers.push(LayerId(NodeId(number)));
            layer = self.number("SELECT parent FROM node WHERE id = ?1", number);
        }
        layers.into_iter().rev().fold(Chain::EMPTY, Chain::with)
    }

    fn number(&self, query: &str, parameter: u64) -> Option<u64> {
        // A layer that is whole needs none beneath, and those may be gone.
        let found = self.store().query_row(query, [parameter], |row| row.get(0)).optional();
        found.expect("a record").flatten()
    }
}
