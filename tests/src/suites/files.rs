//! F: what a file system must do, inside a work area and through its layers.
//!
//! These drive the backend alone. Most are scripts, written down as data: they
//! are played on the backend and on plain directories, which must come out the
//! same, with each of the ways to commit. Every layer is compared when it is made
//! and again in the end, with more layers on top.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use mocker_core::backend::{Access, Chain, Node, WorkId};
use mocker_core::mount::View;
use rustix::fs::FileType;

use crate::edit::Edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::script::{Action, How, Step};

mod cost;
mod descriptors;
mod directories;
mod flags;
mod metadata;
mod refusals;
mod replace;
mod special;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [
        replace::cases,
        metadata::cases,
        special::cases,
        descriptors::cases,
        directories::cases,
        refusals::cases,
        flags::cases,
        cost::cases,
    ] {
        cases.extend(part());
    }
    cases
}

/// What becomes a layer, wherever a story has this. [`play`] tries each way.
const LAYER: Action = Action::Commit(How::Idle);

/// Plays a story with each of the ways to commit; two more layers come on top of
/// it, and another work area over its first one. A work area that is committed
/// while somebody uses it goes on as it is, so that nothing would ever be beneath;
/// there the story goes on over the layer instead.
#[track_caller]
fn play(fixture: &Fixture, story: &[Action]) {
    let more = Path::new("on top");
    let on_top = [LAYER, make_file(more), LAYER, append(more, 1), LAYER];
    let stage = fixture.stage();
    for how in [How::Idle, How::Paused, How::Consume] {
        let mut script: Vec<Step> = Vec::new();
        let mut first = None;
        let mut add = |action| {
            let number = script.len() as u64 + 1;
            script.push(Step { number, action });
            number
        };
        for action in story.iter().chain(&on_top) {
            if *action != LAYER {
                add(action.clone());
                continue;
            }
            let layer = add(Action::Commit(how));
            first.get_or_insert(layer);
            if how == How::Paused {
                add(Action::Branch(Some(layer)));
            }
        }
        add(Action::Branch(first));
        if let Err(failure) = stage.play(&script) {
            let lines: Vec<_> = script.iter().take(failure.steps).map(ToString::to_string).collect();
            panic!("after these steps, {failure}\n{}", lines.join("\n"));
        }
    }
}

fn make_file(path: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::Create { path: path.into(), mode: 0o644 })
}

fn make_directory(path: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::MakeDirectory { path: path.into(), mode: 0o755 })
}

fn make_symlink(path: impl Into<PathBuf>, target: &str) -> Action {
    Action::Edit(Edit::Symlink { path: path.into(), target: target.into() })
}

fn make_node(path: impl Into<PathBuf>, kind: FileType, device: u64) -> Action {
    Action::Edit(Edit::MakeNode { path: path.into(), kind, mode: 0o640, device })
}

fn write(path: impl Into<PathBuf>, byte: u8, length: usize) -> Action {
    Action::Edit(Edit::Write { path: path.into(), at: 0, length, byte })
}

fn append(path: impl Into<PathBuf>, length: usize) -> Action {
    Action::Edit(Edit::Append { path: path.into(), length, byte: b'a' })
}

fn unlink(path: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::Unlink { path: path.into() })
}

fn remove_directory(path: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::RemoveDirectory { path: path.into() })
}

fn rename(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::Rename { from: from.into(), to: to.into() })
}

fn link(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Action {
    Action::Edit(Edit::Link { from: from.into(), to: to.into() })
}

fn chmod(path: impl Into<PathBuf>, mode: u32) -> Action {
    Action::Edit(Edit::Chmod { path: path.into(), mode })
}

fn chown(path: impl Into<PathBuf>, uid: u32, gid: u32) -> Action {
    Action::Edit(Edit::Chown { path: path.into(), uid, gid })
}

fn set_attribute(path: impl Into<PathBuf>, name: &str, value: &[u8]) -> Action {
    Action::Edit(Edit::SetAttribute { path: path.into(), name: name.to_owned(), value: value.to_vec() })
}

fn remove_attribute(path: impl Into<PathBuf>, name: &str) -> Action {
    Action::Edit(Edit::RemoveAttribute { path: path.into(), name: name.to_owned() })
}

/// A work area that is open, for what a story cannot say: descriptors, listings,
/// other users.
struct Open {
    nodes: Nodes,
    base: Chain,
    work: WorkId,
    view: Option<View>,
    /// The layer of the last commit, with what it stands on.
    last: Option<Chain>,
    steps: u64,
}

impl Open {
    fn new(fixture: &Fixture) -> Self {
        let nodes = fixture.nodes();
        let work = nodes.create(&Chain::EMPTY).unwrap();
        let mut open = Self { nodes, base: Chain::EMPTY, work, view: None, last: None, steps: 0 };
        open.reopen();
        open
    }

    /// A work area over a layer in which so much was done.
    fn over(fixture: &Fixture, story: &[Action]) -> Self {
        let mut open = Self::new(fixture);
        open.perform(story);
        open.commit(How::Consume);
        open
    }

    fn perform(&mut self, story: &[Action]) {
        for action in story {
            match action {
                Action::Edit(edit) => {
                    self.steps += 1;
                    let done = edit.apply(self.view().top(), self.steps);
                    assert_eq!(done, Ok(()), "{edit}");
                }
                Action::Commit(how) => self.commit(*how),
                other => panic!("no part of such a story: {other:?}"),
            }
        }
    }

    fn view(&self) -> &View {
        self.view.as_ref().expect("an open work area")
    }

    /// A path for calls that take no descriptor.
    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let top = self.view().top().as_fd().as_raw_fd();
        Path::new("/proc/self/fd").join(top.to_string()).join(name)
    }

    fn close(&mut self) {
        self.view = None;
    }

    /// Opens it as the next container does.
    fn reopen(&mut self) {
        self.close();
        let view = self.nodes.view(Node::Work(self.work), &self.base, Access::Write).unwrap();
        self.view = Some(view);
    }

    fn commit(&mut self, how: How) {
        if how != How::Paused {
            self.close();
        }
        let sealed = self.nodes.snapshot(self.work, &self.base, how).unwrap();
        self.last = Some(self.base.clone().with(sealed.layer));
        if sealed.work.is_none() || sealed.layer.0 == self.work.0 {
            self.base = self.base.clone().with(sealed.layer);
        }
        self.work = match sealed.work {
            Some(lives) => lives,
            None => self.nodes.create(&self.base).unwrap(),
        };
        if how != How::Paused {
            self.reopen();
        }
    }

    /// The layer of the last commit, as whoever builds on it sees it.
    fn layer(&self) -> View {
        let chain = self.last.as_ref().expect("a commit");
        let tip = Node::Layer(chain.tip().expect("a layer"));
        self.nodes.view(tip, chain, Access::Read).unwrap()
    }

    /// What the work area occupies, as the backend says.
    fn usage(&self) -> u64 {
        self.nodes.usage(&[self.work.0], &self.base).unwrap()[0].unwrap().alone
    }
}

impl Open {
    /// Deletes everything, for a case that needs the space again.
    fn remove(mut self) {
        self.close();
        for node in mocker_core::backend::complete(self.nodes.backend.list()).unwrap().into_iter().rev() {
            self.nodes.delete(node).unwrap();
        }
    }
}
