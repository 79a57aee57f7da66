//! U5: a store on every kind of btrfs.

use mocker_core::backend::Probe;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::disk::Disk;
use crate::suites::nodes::{a_bit_of_everything, bash, play_at};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u5_in_a_subvolume_below_another_one", |fixture| lives(fixture, 1, "noatime", NESTED)),
        case("u5_with_the_subvolume_mounted_alone", |fixture| lives(fixture, 1, "subvol=/", ALONE)),
        case("u5_on_two_devices", |fixture| lives(fixture, 2, "noatime", "mkdir root")),
        case("u5_with_compression", |fixture| lives(fixture, 1, "compress-force=zstd:1", "mkdir root")),
        case("u5_without_copy_on_write", |fixture| lives(fixture, 1, "nodatacow", "mkdir root")),
        case("u5_where_new_files_are_not_copied_on_write", |fixture| {
            lives(fixture, 1, "noatime", "mkdir root; chattr +C root");
        }),
    ]
}

const NESTED: &str = "btrfs -q subvolume create outer; btrfs -q subvolume create outer/inner; \
    mkdir outer/inner/dir; btrfs -q subvolume create outer/inner/dir/root; ln -s outer/inner/dir/root root";
const ALONE: &str = "btrfs -q subvolume create root; btrfs -q subvolume set-default root";

/// The whole life of a store at `root`. Subvolumes have devices of their own
/// (st_dev), by which no device can be found; nothing may look for one.
fn lives(fixture: &Fixture, devices: usize, options: &str, prepare: &str) {
    let mut mkfs = vec!["mkfs.btrfs", "--quiet"];
    mkfs.extend(if devices > 1 { ["--metadata", "raid1"] } else { ["--metadata", "single"] });
    mkfs.extend(if devices > 1 { ["--data", "raid0"] } else { ["--data", "single"] });
    let disk = Disk::make(fixture, "disk", &mkfs, (devices, 256), options).unwrap();
    bash(disk.path(), prepare);
    let root = disk.path().join("root");
    let driver = fixture.lane().driver();
    assert!(matches!((driver.probe)(&root), Probe::Works(_)), "{:?}", (driver.probe)(&root));
    play_at(fixture, &root, a_bit_of_everything());
    assert!(!root.join("pool").exists(), "a root on btrfs gets no pool");
}
