//! Two trees made by scripts, and what is said to differ. As root.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags};

use super::*;
use crate::tree::copy::{Unwatched, copy_tree};

struct Trees {
    folder: tempfile::TempDir,
}

impl Trees {
    /// The first tree by one script; the second one is a copy of it, changed by
    /// another.
    fn new(first: &str, change: &str) -> Self {
        let this = Self { folder: tempfile::tempdir_in("/var/tmp").unwrap() };
        this.bash(&format!("mkdir from; cd from; {first}"));
        std::fs::create_dir(this.folder.path().join("to")).unwrap();
        copy_tree(this.open("from").as_fd(), this.open("to").as_fd(), &Unwatched).unwrap();
        this.bash("touch copied; sleep 0.02");
        this.bash(&format!("cd to; {change}"));
        this
    }

    fn bash(&self, script: &str) {
        let done =
            Command::new("bash").args(["-euc", script]).current_dir(self.folder.path()).status().unwrap();
        assert!(done.success(), "{script}");
    }

    fn open(&self, name: &str) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.folder.path().join(name), flags, Mode::empty()).unwrap()
    }

    fn compare(&self, candidates: Candidates) -> Vec<String> {
        let (from, to) = (self.open("from"), self.open("to"));
        let trees =
            Comparison { from: Some(from.as_fd()), to: to.as_fd(), holes: true, one_file_system: true };
        compare(trees, candidates).unwrap().iter().map(told).collect()
    }

    /// The time after the copying, by the file system's clock.
    fn copied(&self) -> Timespec {
        let stat = rustix::fs::stat(self.folder.path().join("copied")).unwrap();
        Timespec { tv_sec: stat.st_ctime, tv_nsec: stat.st_ctime_nsec.try_into().unwrap() }
    }

    /// By looking at everything, and by trusting the times of last change.
    #[track_caller]
    fn assert_told(&self, expected: &[&str]) {
        assert_eq!(self.compare(Candidates::ALL), expected);
        let unchanged_before = Some(self.copied());
        assert_eq!(self.compare(Candidates::Everything { unchanged_before }), expected, "by ctime");
    }
}

fn told(change: &Change) -> String {
    let path = change.path.display();
    let link = change.link.as_ref().map(|link| format!(" = {}", link.display())).unwrap_or_default();
    match change.kind {
        Kind::Added => format!("A {path}{link}"),
        Kind::Deleted => format!("D {path}"),
        Kind::Modified(what) => {
            let aspects: Vec<_> = what.aspects().map(|aspect| aspect.to_string()).collect();
            format!("C {path} {}{link}", aspects.join(","))
        }
    }
}

#[test]
fn equal_trees_do_not_differ() {
    Trees::new("mkdir d; echo x > d/f; ln d/f d/g; ln -s f d/l; mkfifo p; touch -d @5 d .", "")
        .assert_told(&[]);
}

#[test]
fn each_aspect_is_told() {
    let first = "touch mode owner mtime xattr; echo x > content; echo x > same; truncate -s 1M holes; touch -d @5 * .";
    let change = "chmod 1 mode; chown 7 owner; touch -d @6 mtime; setfattr -n user.a -v 1 xattr; echo y > content
        touch -d @5 content; head -c 64K /dev/zero | dd of=holes conv=notrunc status=none; touch -d @5 holes; touch -d @5 .";
    Trees::new(first, change).assert_told(&[
        "C content content",
        "C holes holes",
        "C mode mode",
        "C mtime mtime",
        "C owner owner",
        "C xattr xattr",
    ]);
}

#[test]
fn names_of_one_inode_are_told_together_and_say_so() {
    let first = "echo x > a; ln a b; echo y > c; ln c d; touch -d @5 * .";
    let change = "echo more >> a; ln c e; touch -d @5 .";
    Trees::new(first, change).assert_told(&["C a content,mtime", "C b content,mtime = a", "A e = c"]);
}

#[test]
fn names_that_are_grouped_otherwise_are_told() {
    let first = "for i in a b c d; do echo x > $i; done; ln a a2; ln b b2; touch -d @5 * .";
    // Apart, together, and from one group to the other.
    let change = "cp -p a2 t; mv t a2; ln -f c d; ln -f a b2; touch -d @5 .";
    Trees::new(first, change).assert_told(&["C a2 links", "C b2 links = a", "C d links = c"]);
}

#[test]
fn what_was_moved_with_its_directory_is_compared() {
    // Both have the same names, lengths and times, and the moved files no new time of last change.
    let first =
        "mkdir -p one/in two/in; echo 1 > one/in/f; echo 2 > two/in/f; echo s > one/same; echo s > two/same
        touch -d @5 one/in/f two/in/f one/same two/same one/in two/in one two .";
    let change = "mv one x; mv two one; mv x two; touch -d @5 .";
    Trees::new(first, change).assert_told(&["C one/in/f content", "C two/in/f content"]);
    let deeper =
        "mkdir -p a b; mv one a; mv two b; mv a/one x; mv b/two a/one; mv x b/two; mv a/one one; mv b/two two
        rmdir a b; touch -d @5 .";
    Trees::new(first, deeper).assert_told(&["C one/in/f content", "C two/in/f content"]);
}

#[test]
fn candidates_alone_are_looked_at_and_what_they_stand_for() {
    let trees = Trees::new(
        "mkdir -p d/in gone/in; echo x > d/f; echo x > d/in/g; echo x > gone/in/h; echo x > unseen; touch -d @5 . d",
        "echo yy > d/f; echo yy > d/in/g; echo yy > unseen; rm -r gone; mkdir -p new/in; echo z > new/in/i; touch -d @5 . d",
    );
    let paths = |places: &[&str]| Candidates::Paths(places.iter().map(|path| Candidate::at(*path)).collect());
    assert_eq!(trees.compare(paths(&[])), [""; 0]);
    assert_eq!(trees.compare(paths(&["d/f", "d", "nowhere/at/all", ""])), ["C d/f content,mtime"]);
    // Beneath what only one has, the whole of that is told, once.
    let told = ["D gone", "A new", "A new/in", "A new/in/i"];
    assert_eq!(trees.compare(paths(&["gone/in/h", "new/in", "new/in/i"])), told);
    let all = Candidates::Paths(vec![Candidate::at("d"), Candidate::beneath("d")]);
    assert_eq!(trees.compare(all), ["C d/f content,mtime", "C d/in/g content,mtime"]);
}

#[test]
fn names_outside_the_candidates_are_found() {
    // A directory with a name of a file that has another one outside.
    let trees = Trees::new("mkdir d; echo x > d/f; ln d/f other; touch -d @5 d .", "mv d e; touch -d @5 .");
    let expected = ["D d", "A e", "A e/f = other"];
    assert_eq!(trees.compare(Candidates::ALL), expected);
    let paths = vec![Candidate::at("d"), Candidate::at("e")];
    assert_eq!(trees.compare(Candidates::Paths(paths)), expected);
}

#[test]
fn everything_is_new_over_nothing() {
    let trees = Trees::new("mkdir d; echo x > d/f", "");
    let to = trees.open("to");
    let all = compare(
        Comparison { from: None, to: to.as_fd(), holes: true, one_file_system: false },
        Candidates::ALL,
    );
    assert_eq!(all.unwrap().iter().map(told).collect::<Vec<_>>(), ["A ", "A d", "A d/f"]);
}

#[test]
fn a_tree_deeper_than_a_path_can_be_is_compared() {
    let trees = Trees::new(
        "for i in {1..30}; do mkdir $(printf %0200d 7); cd $(printf %0200d 7); done; echo x > f; ln f g; touch -d @5 f .",
        "for i in {1..30}; do cd $(printf %0200d 7); done; echo y > f; touch -d @5 f .",
    );
    let found = trees.compare(Candidates::ALL);
    assert_eq!(found.len(), 2, "{found:?}");
    let deepest: std::path::PathBuf = (0..30).map(|_| format!("{:0200}", 7)).collect();
    let paths = Candidates::Paths(vec![Candidate::at(deepest.join("f")), Candidate::at(deepest.join("g"))]);
    assert_eq!(trees.compare(paths), found);
    assert!(Path::new(&found[0]).to_string_lossy().ends_with("/f content"));
}

#[test]
fn one_change_takes_little_room() {
    assert!(size_of::<Change>() + size_of::<Candidate>() <= 160);
}

#[test]
fn what_changes_meanwhile_is_compared_all_the_same() {
    let trees = Trees::new("mkdir d; for i in {1..8}; do head -c 70000 /dev/zero > d/$i; done", "");
    let top = trees.folder.path().join("to/d");
    let over = std::sync::atomic::AtomicBool::new(false);
    let done = |outcome: std::io::Result<()>| outcome.unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for name in 1..=8 {
                    let path = top.join(name.to_string());
                    done(std::fs::write(&path, vec![1; 70000]));
                    done(std::fs::write(&path, "short"));
                    done(std::fs::remove_file(&path));
                    done(std::os::unix::fs::symlink("nowhere", &path));
                    done(std::fs::remove_file(&path));
                    done(std::fs::create_dir(&path));
                    done(std::fs::remove_dir(&path));
                    done(std::fs::write(&path, vec![0; 70000]));
                }
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..300 {
                trees.compare(Candidates::ALL);
            }
        }));
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn places_of_two_trees_are_joined_where_a_time_is_about_the_right_one() {
    let places = |path: &str| Candidates::Paths(vec![Candidate::at(path)]);
    let none = || Candidates::Paths(Vec::new());
    let since = || Candidates::Everything { unchanged_before: Some(Timespec { tv_sec: 1, tv_nsec: 0 }) };
    let both = Candidates::Paths(vec![Candidate::at("a"), Candidate::at("b")]);
    assert_eq!(places("a").and(places("b")), both);
    assert_eq!(none().and(since()), since());
    assert_eq!(since().and(none()), Candidates::ALL);
    assert_eq!(since().and(since()), Candidates::ALL);
    assert_eq!(places("a").and(since()), Candidates::ALL);
}
