//! Whether the records of a root and its storage agree.

use crate::fixture::{Fixture, names_in};

impl Fixture {
    /// Asserts that the records and the storage agree, and that nothing of a
    /// dead command is left in either.
    #[track_caller]
    pub fn assert_consistent(&self) {
        // Whatever a dead command left, the next one cleans up.
        self.ok(&["ps", "-q"]);
        let store = self.store();
        let numbers = |query: &str| -> Vec<u64> {
            let mut statement = store.prepare(query).expect("a query");
            let rows = statement.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("numbers")
        };
        assert_eq!(numbers("SELECT id FROM intent"), [0; 0], "an intent is left");
        let known = numbers("SELECT id FROM node ORDER BY id");
        assert_eq!(self.node_numbers(), known, "the storage and the records know different nodes");
        let unfinished = "SELECT id FROM node WHERE role NOT IN ('layer', 'work')";
        assert_eq!(numbers(unfinished), [0; 0], "a node is neither a layer nor a work area");
        let lost = "SELECT layer FROM version WHERE layer NOT IN (SELECT id FROM node WHERE role = 'layer') \
                    UNION SELECT base FROM container WHERE base NOT IN (SELECT id FROM node WHERE role = 'layer') \
                    UNION SELECT work FROM container WHERE work NOT IN (SELECT id FROM node WHERE role = 'work')";
        assert_eq!(numbers(lost), [0; 0], "something stands on a node that is not there");
        let idle = "SELECT id FROM node WHERE role = 'work' AND id NOT IN (SELECT work FROM container)";
        assert_eq!(numbers(idle), [0; 0], "a work area belongs to no container");
        let containers = self.containers();
        let mut ids: Vec<_> =
            containers.as_array().into_iter().flatten().filter_map(|record| record["id"].as_str()).collect();
        ids.sort_unstable();
        assert_eq!(names_in(&self.root().join("containers")), ids, "directories and containers differ");
        for lease in names_in(&self.root().join("leases")) {
            let file = std::fs::File::open(self.root().join("leases").join(&lease));
            // It may be gone by now, with whoever held it.
            let free = file.is_ok_and(|file| file.try_lock().is_ok());
            assert!(!free || !self.root().join("leases").join(&lease).exists(), "lease {lease} is nobody's");
        }
        // The program looks for the same, and for more: that every manifest is there, too.
        let checked = self.mocker(&["check"]).run();
        assert_eq!((checked.code, checked.out().as_str()), (0, ""), "{}", checked.err());
    }
}
