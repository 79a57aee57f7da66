//! A disk that fails as it is told to.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::serve::{DONE, IMAGE, NAME, PLACE};
use crate::site::run;

/// What fails, with EIO, from one moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing can be read that is not in a cache already.
    Reads,
    /// Nothing can be written.
    Writes,
    /// What is written cannot be flushed.
    Flushes,
    /// All of it: the disk is gone.
    Everything,
}

/// A disk in a file, served by a process of its own.
#[derive(Debug)]
pub(crate) struct Disk {
    place: PathBuf,
    server: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Disk {
    /// Makes a disk of the file, to be found below `place`. All that the file
    /// holds is on it.
    #[track_caller]
    pub(crate) fn of(file: &Path, place: &Path) -> Self {
        std::fs::create_dir_all(place).expect("make a directory");
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.env(IMAGE, file).env(PLACE, place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = command.spawn().expect("start this program once more");
        let orders = server.stdin.take();
        let answers = BufReader::new(server.stdout.take().expect("a pipe from it"));
        let mut this = Self { place: place.to_owned(), server, orders, answers };
        this.answer();
        this
    }

    /// The disk, as a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.place.join(NAME)
    }

    /// Begins to fail.
    #[track_caller]
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.order(match fault {
            Fault::Reads => "fail reads",
            Fault::Writes => "fail writes",
            Fault::Flushes => "fail flushes",
            Fault::Everything => "fail reads writes flushes",
        });
    }

    /// Works again.
    #[track_caller]
    pub(crate) fn heal(&mut self) {
        self.order("fail");
    }

    /// The power goes. The file holds what was flushed then, and of what was not
    /// about so many percent of the blocks. Nothing works any more.
    #[track_caller]
    pub(crate) fn cut(&mut self, seed: u64, percent: u8) {
        self.order(&format!("cut {seed} {percent}"));
    }

    #[track_caller]
    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().expect("a pipe to it"), "{order}").expect("tell the disk");
        self.answer();
    }

    #[track_caller]
    fn answer(&mut self) {
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("hear from the disk");
        assert_eq!(answer.trim_end(), DONE, "the process that serves a disk failed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if run(Command::new("umount").arg(&self.place)).is_err() {
            // A case has failed, and something holds it. It must not hang: without its server every
            // use of it fails at once.
            let _gone = self.server.kill();
            let _gone = run(Command::new("umount").arg("--lazy").arg(&self.place));
        }
        drop(self.orders.take());
        let _ended = self.server.wait();
    }
}
