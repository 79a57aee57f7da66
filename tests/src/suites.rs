//! The cases, by area: `areas` lists them all.
//!
//! Each area is a file; `background`, `disk`, `ground`, `living` and `processes` help
//! several.

use crate::harness::Area;
use crate::lane::Lane;

pub(crate) mod background;
mod btrfs_only;
mod changes;
mod check;
mod cli;
mod commit;
mod crash;
mod declared;
mod diff;
mod disk;
mod exercise;
mod faithful;
mod faults;
mod files;
mod ground;
mod hostile;
mod living;
mod machine;
mod names;
pub(crate) mod nodes;
mod overlay_only;
mod pool;
mod processes;
mod random;
mod run;
mod space;
mod storm;

/// Every area there is.
pub fn areas() -> Vec<Area> {
    vec![
        Area::new("exercise", exercise::cases()),
        Area::new("faithful", faithful::cases()),
        Area::new("files", files::cases()),
        Area::new("names", names::cases()),
        Area::new("run", run::cases()),
        Area::new("commit", commit::cases()),
        Area::new("diff", diff::cases()),
        Area::new("declared", declared::cases()),
        Area::new("check", check::cases()),
        Area::new("cli", cli::cases()),
        Area::new("crash", crash::cases()),
        Area::new("hostile", hostile::cases()),
        Area::new("faults", faults::cases()),
        Area::new("random", random::cases()),
        Area::new("machine", machine::cases()),
        Area::new("nodes", nodes::cases()),
        Area::new("changes", changes::cases()),
        Area { name: "half_made", cases: nodes::half_made::cases(), applies: nodes::half_made::applies },
        Area { name: "nested", cases: commit::nested::cases(), applies: btrfs_only::applies },
        Area { name: "btrfs_only", cases: btrfs_only::cases(), applies: btrfs_only::applies },
        Area { name: "overlay_only", cases: overlay_only::cases(), applies: overlay_only::applies },
        // These make their own file systems, and say the same in every lane.
        Area { name: "pool", cases: pool::cases(), applies: Lane::has_pool },
        Area::new("space", space::cases()),
        Area { name: "compressed", cases: space::compressed(), applies: btrfs_only::applies },
        Area::new("storm", storm::cases()),
    ]
}
