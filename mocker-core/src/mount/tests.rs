//! Overlays, mounted in each of the three ways. As root.

use std::path::PathBuf;

use rustix::fs::{AtFlags, statat};

use super::*;
use crate::backend::{OverlayPlan, Upper};
use crate::error::ErrorKind;

/// `layers` directories with a file of their own each, an upper and a work
/// directory, on a file system that can be an upper.
struct Layers {
    folder: tempfile::TempDir,
}

impl Layers {
    fn new(layers: usize) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        for number in 0..layers {
            let layer = folder.path().join(format!("{number}/fs"));
            std::fs::create_dir_all(&layer).unwrap();
            std::fs::write(layer.join(format!("from-{number}")), "").unwrap();
            std::fs::write(layer.join("everywhere"), number.to_string()).unwrap();
        }
        for name in ["upper", "work", "scratch"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self, layers: usize, writable: bool) -> OverlayPlan {
        OverlayPlan {
            lower: (0..layers).rev().map(|number| self.path(&format!("{number}/fs"))).collect(),
            upper: writable.then(|| Upper {
                directory: self.path("upper"),
                work: self.path("work"),
                volatile: false,
            }),
        }
    }
}

const METHODS: [Method; 3] = [Method::Descriptors, Method::Paths, Method::Legacy];

/// How many mounts name anything in a folder.
fn mounts_of(folder: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(folder.to_str().unwrap())).count()
}

#[test]
fn every_way_stacks_up_to_the_kernels_limit_and_refuses_more_before_mounting() {
    let layers = Layers::new(MOST_LAYERS + 1);
    for method in METHODS {
        for count in [1, 2, 127, 128, 499, 500] {
            let mount = mount_by(&layers.plan(count, true), method)
                .unwrap_or_else(|error| panic!("{method:?}, {count} layers: {error}"));
            for name in ["from-0".to_owned(), format!("from-{}", count - 1)] {
                assert!(
                    statat(&mount, &name, AtFlags::empty()).is_ok(),
                    "{method:?}, {count} layers: {name}"
                );
            }
            let top = openat(&mount, "everywhere", OFlags::RDONLY, Mode::empty()).unwrap();
            assert_eq!(std::io::read_to_string(std::fs::File::from(top)).unwrap(), (count - 1).to_string());
        }
        let refused = mount_by(&layers.plan(MOST_LAYERS + 1, true), method).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{method:?}");
        assert!(refused.to_string().contains("501") && refused.to_string().contains("500"), "{refused}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("--squash")), "{method:?}");
        assert_eq!(mounts_of(layers.folder.path()), 0, "{method:?} left a mount");
    }
}

#[test]
fn the_legacy_way_knows_its_own_limit_before_it_mounts() {
    // Names so long that a page does not hold 128 of them.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let lower: Vec<_> = (0..128).map(|number| folder.path().join(format!("{number:0>60}"))).collect();
    lower.iter().for_each(|layer| std::fs::create_dir(layer).unwrap());
    let refused = mount_by(&OverlayPlan { lower, upper: None }, Method::Legacy).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("128 layers"), "{refused}");
}

#[test]
fn a_plan_without_an_upper_cannot_be_written_to() {
    let layers = Layers::new(2);
    for method in METHODS {
        let mount = mount_by(&layers.plan(2, false), method).unwrap();
        let made = openat(&mount, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU);
        assert_eq!(made.unwrap_err(), rustix::io::Errno::ROFS, "{method:?}");
    }
}

#[test]
fn changes_go_to_the_upper_and_the_mount_goes_with_its_descriptor() {
    for method in METHODS {
        let layers = Layers::new(2);
        let mount = mount_by(&layers.plan(2, true), method).unwrap();
        openat(&mount, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
        rustix::fs::unlinkat(&mount, "everywhere", AtFlags::empty()).unwrap();
        assert!(is_held(&layers.path("upper"), &layers.path("scratch")).unwrap(), "{method:?}");
        drop(mount);
        assert!(!is_held(&layers.path("upper"), &layers.path("scratch")).unwrap(), "{method:?}");
        assert_eq!(std::fs::read_dir(layers.path("scratch")).unwrap().count(), 0, "{method:?}");
        assert!(layers.path("upper/new").exists(), "{method:?}");
        let whiteout = std::fs::symlink_metadata(layers.path("upper/everywhere")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::rdev(&whiteout), 0, "{method:?}");
    }
}

/// That the kernel has been told shows in that it does not mount it again.
#[test]
fn what_is_volatile_can_be_written_once() {
    for method in METHODS {
        let layers = Layers::new(2);
        let mut plan = layers.plan(2, true);
        plan.upper.as_mut().unwrap().volatile = true;
        let mount = mount_by(&plan, method).unwrap();
        openat(&mount, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
        drop(mount);
        assert!(layers.path("upper/new").exists(), "{method:?}");
        assert!(mount_by(&plan, method).is_err(), "{method:?}");
    }
}

#[test]
fn an_upper_is_held_while_a_descriptor_from_its_mount_is_open() {
    let layers = Layers::new(1);
    let mount = mount_overlay(&layers.plan(1, true)).unwrap();
    let open = openat(&mount, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RWXU).unwrap();
    drop(mount);
    assert!(is_held(&layers.path("upper"), &layers.path("scratch")).unwrap());
    drop(open);
    assert!(!is_held(&layers.path("upper"), &layers.path("scratch")).unwrap());
}
