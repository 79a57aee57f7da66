//! Named places at which a test makes the process die, as `kill -9` would.
//!
//! The points exist only with the feature `crash-points`; a release has none.
//! [`arm`] chooses one by name; the process kills itself when it gets there.

/// Every crash point, by verb and step. The tests walk this list, and a point
/// that is never reached fails them.
pub const POINTS: &[&str] = &[
    "init.after-intent",
    "init.after-create",
    "init.after-copy",
    "init.after-snapshot",
    "init.after-commit-point",
    "init.after-delete",
    "run.after-intent",
    "run.after-fork",
    "run.after-create",
    "run.after-commit-point",
    "run.after-targets",
    "run.after-start",
    "run.after-exit",
    "run.after-clean-targets",
    "run.after-finish",
    "commit.after-intent",
    "commit.after-pause",
    "commit.after-snapshot",
    "commit.after-commit-point",
    "convert.after-intent",
    "convert.after-copy",
    "convert.after-commit-point",
    "diff.after-intent",
    "diff.after-comparison",
    "prune.before-commit-point",
    "prune.after-commit-point",
    "prune.after-delete",
    "check.after-condemned",
    "check.after-removed",
    "check.before-set-aside",
    "check.after-set-aside",
    "check.after-exchange",
    "rm.before-commit-point",
    "rm.after-commit-point",
    "rm.after-delete",
    "rollback.before-commit-point",
    "rollback.after-commit-point",
];

/// Dies here if this point is armed; nothing at all without the feature.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {{
        #[cfg(feature = "crash-points")]
        {
            const _: () = assert!($crate::crash::is_listed($name), "not in crash::POINTS");
            $crate::crash::reach($name);
        }
    }};
}

/// Whether `name` is in [`POINTS`]; evaluated while compiling.
#[doc(hidden)]
pub const fn is_listed(name: &str) -> bool {
    let mut index = 0;
    while index < POINTS.len() {
        if same(POINTS[index].as_bytes(), name.as_bytes()) {
            return true;
        }
        index += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::OnceLock;

    static ARMED: OnceLock<String> = OnceLock::new();

    /// Makes the process die at the point `name`. The first call counts.
    pub fn arm(name: &str) {
        ARMED.get_or_init(|| name.to_owned());
    }

    #[doc(hidden)]
    pub fn reach(name: &str) {
        if ARMED.get().is_some_and(|armed| armed == name) {
            // The signal cannot be caught, so nothing is cleaned up on the way out.
            let _killed =
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{arm, reach};
