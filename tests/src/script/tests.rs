//! The scripts are what they claim to be, and they bite: a backend that loses a
//! trifle is found, and told by a script of a few lines.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mocker_core::Result;
use mocker_core::backend::{
    Access, Capabilities, Chain, Node, NodeId, Reclaimed, Rootfs, Seal, Sealed, SnapshotBackend, Usage,
    WorkId,
};

use super::{Action, How, Stage, generate, shrink};
use crate::edit::Edit;

#[test]
fn a_seed_is_a_script_and_a_shorter_one_is_its_beginning() {
    let long = generate(7, 2000);
    assert_eq!(long, generate(7, 2000));
    assert_eq!(long[..300], generate(7, 300));
    assert_ne!(long, generate(8, 2000));
}

#[test]
fn a_script_has_everything_in_it() {
    let script = generate(1, 5000);
    let first_words: std::collections::BTreeSet<String> =
        script.iter().map(|step| step.to_string().split_whitespace().nth(1).unwrap().to_owned()).collect();
    let known = [
        "append",
        "chmod",
        "chown",
        "commit",
        "create",
        "delete",
        "go",
        "link",
        "make",
        "mkdir",
        "mknod",
        "removexattr",
        "rename",
        "rmdir",
        "setxattr",
        "symlink",
        "truncate",
        "unlink",
        "write",
    ];
    assert_eq!(first_words.iter().map(String::as_str).collect::<Vec<_>>(), known);
    for how in [How::Idle, How::Paused, How::Consume] {
        assert!(script.iter().any(|step| step.action == Action::Commit(how)), "nothing is committed {how:?}");
    }
}

#[test]
fn a_backend_that_loses_one_attribute_of_one_file_is_found_and_the_script_is_short() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let copies = (mocker_backend_copy::DRIVER.open)(folder.path()).unwrap();
    let sound = Stage::new(copies.clone(), folder.path().join("sound"));
    let script = generate(3, 1000);
    sound.play(&script).unwrap();
    let forgetful = Stage::new(Arc::new(Forgetful(copies)), folder.path().join("forgetful"));
    let failure = forgetful.play(&script).unwrap_err();
    assert!(failure.what.contains("user.one"), "{failure}");
    let (script, failure) = shrink(&forgetful, &script, failure);
    let told: Vec<_> = script.iter().map(ToString::to_string).collect();
    assert!(failure.what.contains("user.one"), "{}\n{failure}", told.join("\n"));
    // Something is made, gets the attribute and is committed.
    assert!(script.len() <= 4, "{}", told.join("\n"));
    assert!(matches!(script.last().unwrap().action, Action::Commit(_)));
    let sets = |edit| matches!(edit, &Edit::SetAttribute { name: "user.one", .. });
    assert!(script.iter().filter_map(super::Step::edit).any(sets));
}

/// Keeps everything in a layer but the attribute `user.one` of what is called
/// `a` or `b`.
#[derive(Debug)]
struct Forgetful(Arc<dyn SnapshotBackend>);

fn forget(top: &Path) {
    for found in walkdir::WalkDir::new(top) {
        let found = found.unwrap();
        if [OsStr::new("a"), OsStr::new("b")].contains(&found.file_name()) {
            // Most do not have it.
            let _lost = rustix::fs::lremovexattr(found.path(), "user.one");
        }
    }
}

#[async_trait]
impl SnapshotBackend for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        self.0.admit(bytes).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        self.0.create(work, base).await
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        let sealed = self.0.snapshot(seal).await?;
        let layer = self.0.rootfs(Node::Layer(sealed.layer), &Chain::EMPTY, Access::Read).await?;
        if let Rootfs::Directory(path) = layer {
            forget(&path);
        }
        Ok(sealed)
    }

    async fn persist(&self, node: Node) -> Result<()> {
        self.0.persist(node).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        self.0.delete(node).await
    }

    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs> {
        self.0.rootfs(node, base, access).await
    }

    async fn usage(&self, node: Node, base: &Chain) -> Result<Usage> {
        self.0.usage(node, base).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        self.0.reclaim().await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        self.0.list().await
    }
}
