//! What is known of a tree without looking at it: the names, which of them are
//! links to one another, and what comes from a layer beneath.
//!
//! The generator plans with it, and the player tells by it where a declared
//! difference applies. It follows edits that succeeded; it judges none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::edit::Edit;

/// A tree, as a list of names.
#[derive(Debug, Clone)]
pub(super) struct Model {
    names: BTreeMap<PathBuf, usize>,
    inodes: Vec<Inode>,
}

#[derive(Debug, Clone, Copy)]
struct Inode {
    kind: FileType,
    /// Held by the chain, and so shared with whatever else stands on that. A
    /// directory stays so; anything else until it is first changed.
    beneath: bool,
}

impl Model {
    /// An empty directory.
    pub(super) fn new() -> Self {
        let top = Inode { kind: FileType::Directory, beneath: false };
        Self { names: BTreeMap::from([(PathBuf::from("."), 0)]), inodes: vec![top] }
    }

    /// Everything is in a layer from now on.
    pub(super) fn seal(&mut self) {
        for inode in &mut self.inodes {
            inode.beneath = true;
        }
    }

    /// Whether it is a directory that the chain has.
    pub(super) fn is_directory_beneath(&self, path: &Path) -> bool {
        self.inode(path).is_some_and(|inode| inode.beneath && inode.kind == FileType::Directory)
    }

    /// Whether it is something that the chain has under several names, of which
    /// more than this one are left.
    pub(super) fn is_link_beneath(&self, path: &Path) -> bool {
        let links_beneath =
            self.inode(path).is_some_and(|inode| inode.beneath && inode.kind != FileType::Directory);
        links_beneath && self.has_links(path)
    }

    /// Makes a name that is one of several a thing of its own.
    pub(super) fn split(&mut self, path: &Path) {
        if let Some(inode) = self.inode(path).copied() {
            self.inodes.push(Inode { beneath: false, ..inode });
            self.names.insert(path.to_owned(), self.inodes.len() - 1);
        }
    }

    /// Follows an edit that succeeded.
    pub(super) fn follow(&mut self, edit: &Edit) {
        // One name, or two of one file: rename(2) does nothing then.
        if matches!(edit, Edit::Rename { from, to } if self.names.get(from) == self.names.get(to)) {
            return;
        }
        if let Some(&number) = edit.subject().and_then(|path| self.names.get(path))
            && self.inodes[number].kind != FileType::Directory
        {
            self.inodes[number].beneath = false;
        }
        match edit {
            Edit::Create { path, .. } | Edit::CreateUnnamed { path, .. } => {
                self.add(path, FileType::RegularFile);
            }
            Edit::MakeDirectory { path, .. } => self.add(path, FileType::Directory),
            Edit::Symlink { path, .. } => self.add(path, FileType::Symlink),
            Edit::MakeNode { path, kind, .. } => self.add(path, *kind),
            Edit::Unlink { path } | Edit::RemoveDirectory { path } => {
                self.names.remove(path);
            }
            Edit::Link { from, to } => {
                if let Some(&number) = self.names.get(from) {
                    self.names.insert(to.clone(), number);
                }
            }
            Edit::Rename { from, to } => self.rename(from, to),
            Edit::Write { .. }
            | Edit::Append { .. }
            | Edit::Truncate { .. }
            | Edit::Chmod { .. }
            | Edit::Chown { .. }
            | Edit::SetAttribute { .. }
            | Edit::RemoveAttribute { .. }
            | Edit::SetTime { .. }
            | Edit::Allocate { .. }
            | Edit::PunchHole { .. }
            | Edit::Clone { .. } => {}
        }
    }

    fn add(&mut self, path: &Path, kind: FileType) {
        self.inodes.push(Inode { kind, beneath: false });
        self.names.insert(path.to_owned(), self.inodes.len() - 1);
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let moved: Vec<PathBuf> = self.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for old in moved {
            let Ok(rest) = old.strip_prefix(from) else { continue };
            let new = if rest == Path::new("") { to.to_owned() } else { to.join(rest) };
            if let Some(number) = self.names.remove(&old) {
                self.names.insert(new, number);
            }
        }
    }

    fn inode(&self, path: &Path) -> Option<&Inode> {
        self.names.get(path).map(|&number| &self.inodes[number])
    }

    /// What a path is, if it is there.
    pub(super) fn kind(&self, path: &Path) -> Option<FileType> {
        self.inode(path).map(|inode| inode.kind)
    }

    /// Whether something else is the same file.
    pub(super) fn has_links(&self, path: &Path) -> bool {
        let Some(number) = self.names.get(path) else { return false };
        self.names.values().filter(|other| *other == number).count() > 1
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// All names, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.names.keys().map(PathBuf::as_path)
    }

    /// Everything in a directory, the deepest first, and then the directory.
    pub(super) fn emptying(&self, directory: &Path) -> Vec<Edit> {
        let inside = self.names.iter().rev().filter(|(path, _)| path.starts_with(directory));
        inside
            .map(|(path, &number)| match self.inodes[number].kind {
                FileType::Directory => Edit::RemoveDirectory { path: path.clone() },
                _ => Edit::Unlink { path: path.clone() },
            })
            .collect()
    }
}
