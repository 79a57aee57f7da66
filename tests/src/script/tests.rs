//! The scripts are what they claim to be, and they bite: a backend that loses a
//! trifle is found, and told by a script of a few lines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mocker_core::Result;
use mocker_core::backend::{
    Access, Capabilities, Chain, Node, NodeId, Reclaimed, Rootfs, Seal, Sealed, SnapshotBackend, Usage,
    WorkId,
};

use super::{Action, How, Stage, Step, generate, parse, shrink};
use rustix::fs::FileType;

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
fn a_script_is_read_back_as_it_was_written() {
    for seed in 1..4 {
        let script = generate(seed, 3000);
        assert_eq!(parse(&written(&script)).unwrap(), script);
    }
}

#[test]
fn odd_names_and_values_are_read_back() {
    let odd: [&[u8]; 9] = [
        b" ",
        b"\"",
        b"'",
        b"\\x41",
        b"a\nb\tc\r",
        b"\xff\xfe",
        "\u{e9}#".as_bytes(),
        b"# a",
        b"over layer 1",
    ];
    let mut script = Vec::new();
    for (name, number) in odd.into_iter().zip(1..) {
        let path = Path::new(OsStr::from_bytes(name)).to_owned();
        let value = [name, b"\0\x01"].concat();
        let edit = Edit::SetAttribute { path, name: "user.\u{e9} \"=".to_owned(), value };
        script.push(Step { number, action: Action::Edit(edit) });
    }
    let file = Edit::MakeNode { path: "".into(), kind: FileType::RegularFile, mode: 0, device: 0 };
    script.push(Step { number: 77, action: Action::Edit(file) });
    let text = written(&script);
    assert!(text.is_ascii() && text.lines().count() == script.len(), "{text}");
    assert_eq!(parse(&text).unwrap(), script);
}

#[test]
fn remarks_are_left_out_and_what_is_no_step_is_refused_with_its_line() {
    let script = "# found once\n\n  1  reopen\r\n#\n 12 create \"a\" 644\n";
    assert_eq!(parse(script).unwrap().len(), 2);
    for (text, why) in [
        ("reopen", "line 1: 'reopen' is no number"),
        ("1 reopen\n1 reopen", "line 2: the numbers of steps must grow"),
        ("0 reopen", "line 1: the numbers of steps must grow"),
        ("1 dance", "line 1: it is no edit"),
        ("1 create a 644", "it is no edit"),
        ("1 create \"a 644", "is not closed"),
        ("1 create \"\\q\" 644", "has an escape that means nothing"),
        ("1 create \"\\xé\" 644", "is no byte"),
        ("1 create \"a\" 888", "'888' is no number"),
        ("1 append \"a\" 1 times 0x100", "'0x100' is no number"),
        ("3 commit idle as layer 4", "what step 3 makes has the number 3"),
        ("3 commit gladly as layer 3", "nothing is committed 'gladly'"),
        ("3 try to fly", "it is nothing to try"),
        ("3 try to open the door", "it must say"),
    ] {
        let told = parse(text).unwrap_err();
        assert!(told.contains(why), "{text:?}: {told}");
    }
}

fn written(script: &[Step]) -> String {
    script.iter().map(|step| format!("{step}\n")).collect()
}

#[test]
fn a_backend_that_loses_one_attribute_of_one_file_is_found_and_the_script_is_short() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let copies = (mocker_backend_copy::DRIVER.open)(folder.path()).unwrap();
    let sound = copies.clone();
    let sound = Stage::new(move || Ok(sound.clone()), folder.path().join("sound"));
    let script = generate(3, 1000);
    sound.play(&script).unwrap();
    let open = move || Ok(Arc::new(Forgetful(copies.clone())) as Arc<dyn SnapshotBackend>);
    let forgetful = Stage::new(open, folder.path().join("forgetful"));
    let failure = forgetful.play(&script).unwrap_err();
    assert!(failure.what.contains("user.one"), "{failure}");
    let found = shrink(&forgetful, &script, failure);
    assert!(found.failure.what.contains("user.one"), "{found}");
    // Something is made, gets the attribute and is committed.
    assert!(found.script.len() <= 4, "{found}");
    assert_eq!(parse(&found.to_string()).unwrap(), found.script);
    assert!(matches!(found.script.last().unwrap().action, Action::Commit(_)));
    let sets = |edit: &Edit| matches!(edit, Edit::SetAttribute { name, .. } if name == "user.one");
    assert!(found.script.iter().filter_map(Step::edit).any(sets), "{found}");
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
