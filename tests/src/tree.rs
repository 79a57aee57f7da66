//! Where on the host the tree of a container or an image is to be seen.

use std::path::PathBuf;

use crate::fixture::Fixture;

impl Fixture {
    /// A directory on the host that shows the tree of a container or image as
    /// it is now. What is written into that of a running container is seen
    /// there; others are for reading.
    #[track_caller]
    pub fn tree(&self, object: &str) -> PathBuf {
        let record = self.record(object).unwrap_or_else(|| panic!("there is no '{object}'"));
        let node = record["work"].as_u64().or(record["layer"].as_u64()).expect("a node's number");
        // An image may have been converted to another backend than the lane's.
        let backend = record["backend"].as_str().expect("a backend's name");
        let changes = |node: u64| self.nodes_directory(backend).join(node.to_string()).join("fs");
        if backend != "overlay" {
            return changes(node);
        }
        if let Some(pid) = record["pid"].as_u64() {
            return format!("/proc/{pid}/root").into();
        }
        // Each layer holds the difference to the one beneath.
        let store = self.store();
        let mut beneath: Option<u64> = Some(node);
        if record["work"].is_u64() {
            let query = "SELECT base FROM container WHERE work = ?1";
            beneath = store.query_row(query, [node], |row| row.get(0)).expect("a container");
        }
        let mut lower = if record["work"].is_u64() { vec![changes(node)] } else { Vec::new() };
        while let Some(layer) = beneath {
            lower.push(changes(layer));
            let query = "SELECT parent FROM node WHERE id = ?1";
            beneath = store.query_row(query, [layer], |row| row.get(0)).expect("a layer");
        }
        // The kernel wants two at least.
        lower.push(self.root().join("overlay/empty"));
        self.show_overlay(&lower)
    }
}
