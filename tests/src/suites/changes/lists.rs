//! D15: what is rare in random scripts, and where backends that look only at
//! what was written go wrong.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use mocker_core::backend::{Access, Chain, Node, WorkState};
use mocker_core::mount::View;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cases;
use crate::comparison::Subject;
use crate::edit::Edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::{Action, How, Label};
use crate::suites::nodes::{bash, layer, play, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d15_what_a_new_directory_hides_is_found,
        d15_every_way_to_group_names_leads_to_every_other,
        d15_what_is_deeper_than_a_path_is_found,
        d15_marks_of_an_overlay_hide_nothing,
    ]
}

const BASE: &str = "mkdir -p d/in; echo 1 > d/a; echo 2 > d/in/b; echo 3 > f; ln f d/in/g; touch -d @5 d/a d/in/b f d/in d .";

/// What is done in one layer after the other.
const HIDING: [&[&str]; 10] = [
    &["rm -r d; mkdir d; echo 4 > d/c"],
    &["rm -r d; mkdir d", "echo 4 > d/new", "echo 5 > d/newer"],
    &["rm -r d", "mkdir d; echo 1 > d/a; touch -d @5 d/a"],
    &["rm -r d", "echo 4 > other", "mkdir -p d/in"],
    &["rm -r d; echo 4 > d", "rm d; mkdir -p d/in; echo 4 > d/in/other"],
    &["rm -r d; ln -s f d", "rm d; mkdir d", "rmdir d; mkfifo d"],
    &["rm -r d/in; mkdir d/in; touch -d @5 d/in d"],
    &["rm f; mkdir -p f/g", "rm -r f; echo 3 > f; touch -d @5 f"],
    &["rm -r d; mkdir -p d/in/deep", "mkdir d/in/deep/er", "rm -r d/in; mkdir d/in"],
    &["mkdir -p n/in; echo 4 > n/in/f", "rm -r n; mkdir n", "rm -r n; mkdir -p n/in; echo 5 > n/g"],
];

fn d15_what_a_new_directory_hides_is_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, BASE);
    for scripts in HIDING {
        let mut chains = vec![base.clone()];
        for script in scripts {
            let above = chains.last().unwrap();
            // The same in a work area, whose changes are no layer yet.
            let work = nodes.create(above).unwrap();
            write(&nodes, work, above, script);
            let subject = Subject { node: Node::Work(work), base: above.clone(), state: WorkState::Idle };
            for chain in &chains {
                nodes.lines(&Subject::tip(chain), &subject);
                nodes.lines(&subject, &Subject::tip(chain));
            }
            let next = layer(&nodes, above, script);
            chains.push(next);
        }
        for (number, from) in chains.iter().enumerate() {
            for to in &chains[number..] {
                nodes.lines(&Subject::tip(from), &Subject::tip(to));
                nodes.lines(&Subject::tip(to), &Subject::tip(from));
            }
        }
    }
    let first = layer(&nodes, &base, HIDING[0][0]);
    let told = nodes.lines(&Subject::tip(&base), &Subject::tip(&first));
    let wanted = ["D d/a", "D d/in", "A d/c"];
    assert!(wanted.iter().all(|line| told.iter().any(|found| found == line)), "{told:?}");
}

const NAMES: usize = 4;

/// All ways to make inodes of some names: for each name the first one that is
/// the same inode, which may be itself.
fn groupings() -> Vec<[usize; NAMES]> {
    let mut all = vec![[0; NAMES]];
    for name in 1..NAMES {
        let mut longer = Vec::new();
        for known in all {
            let firsts = (0..name).filter(|first| known[*first] == *first).chain([name]);
            longer.extend(firsts.map(|first| {
                let mut next = known;
                next[name] = first;
                next
            }));
        }
        all = longer;
    }
    all
}

/// The edits that lead from one grouping, or nothing, to another. All files are
/// equal in everything else.
fn regroup(from: Option<[usize; NAMES]>, to: [usize; NAMES]) -> Vec<Action> {
    let path = |name: usize| PathBuf::from(format!("name-{name}"));
    let mut edits = Vec::new();
    for (name, first) in to.into_iter().enumerate() {
        if from.is_some_and(|from| from[name] == name && first == name) {
            continue;
        }
        if from.is_some() {
            edits.push(Edit::Unlink { path: path(name) });
        }
        if first == name {
            edits.push(Edit::Create { path: path(name), mode: 0o644 });
            edits.push(Edit::SetTime { path: path(name), nanoseconds: 5 });
        } else {
            edits.push(Edit::Link { from: path(first), to: path(name) });
        }
    }
    edits.push(Edit::SetTime { path: ".".into(), nanoseconds: 5 });
    edits.into_iter().map(Action::Edit).collect()
}

fn d15_every_way_to_group_names_leads_to_every_other(fixture: &Fixture) {
    let groupings = groupings();
    assert_eq!(groupings.len(), 15, "Bell's number");
    let mut steps = Vec::new();
    let (mut first, mut before) = (0, None);
    for from in &groupings {
        steps.extend(regroup(None, *from));
        steps.push(Action::Commit(How::Consume));
        let base = label(&steps);
        for to in &groupings {
            steps.push(Action::Branch(Some(base)));
            let work = label(&steps);
            steps.extend(before.map(Action::DeleteWork));
            steps.extend(regroup(Some(*from), *to));
            steps.extend([Action::Compare(base, work), Action::Compare(work, base)]);
            before = Some(work);
        }
        steps.push(Action::Branch(None));
        let next = label(&steps);
        steps.push(Action::DeleteWork(first));
        first = next;
    }
    play(fixture, steps);
}

/// The label of what the last step made: they are numbered from 1.
fn label(steps: &[Action]) -> Label {
    steps.len() as Label
}

/// The directory at the end of a way that is longer than a path can be; it is
/// made where it is missing.
fn far_down(view: &View) -> OwnedFd {
    let name = "7".repeat(200);
    let open = |at: BorrowedFd<'_>, name: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(at, name, flags, Mode::empty()).unwrap()
    };
    (0..25).fold(open(view.top(), "."), |here, _| {
        match rustix::fs::mkdirat(&here, &name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => open(here.as_fd(), &name),
            Err(errno) => panic!("cannot make a directory: {errno}"),
        }
    })
}

fn d15_what_is_deeper_than_a_path_is_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let work = nodes.create(&Chain::EMPTY).unwrap();
    let view = nodes.view(Node::Work(work), &Chain::EMPTY, Access::Write).unwrap();
    bash(&at(&far_down(&view)), "echo x > f; mkdir d; echo x > d/g; touch -d @5 d .");
    drop(view);
    let sealed = nodes.snapshot(work, &Chain::EMPTY, How::Consume).unwrap();
    let base = Chain::EMPTY.with(sealed.layer);
    let work = nodes.create(&base).unwrap();
    let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    bash(&at(&far_down(&view)), "echo y >> f; rm -r d; mkdir d; touch -d @5 d .");
    drop(view);
    let subject = Subject { node: Node::Work(work), base: base.clone(), state: WorkState::Idle };
    let told = nodes.lines(&Subject::tip(&base), &subject);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("/d/g") && told[1].ends_with("/f content,mtime"), "{told:?}");
}

/// An open directory as another process finds it.
fn at(directory: &OwnedFd) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), directory.as_raw_fd()).into()
}

fn d15_marks_of_an_overlay_hide_nothing(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir -p d/in e; echo x > d/f; echo x > e/g; touch -d @5 d e .");
    let work = nodes.create(&base).unwrap();
    // Some are refused, as declared, and then nothing is changed.
    let script = "for mark in opaque whiteout redirect origin metacopy; do
            setfattr -n trusted.overlay.$mark -v y d || true; setfattr -n user.overlay.$mark -v y e; done
        mknod e/device c 0 0 || true; echo y > e/new; setfattr -n trusted.overlay.whiteout e/new || true
        touch -d @5 d e";
    write(&nodes, work, &base, script);
    let subject = Subject { node: Node::Work(work), base: base.clone(), state: WorkState::Idle };
    let told = nodes.lines(&Subject::tip(&base), &subject);
    assert!(
        told.iter().any(|line| line == "C e xattr") && told.iter().any(|line| line == "A e/new"),
        "{told:?}"
    );
    assert!(!told.iter().any(|line| line.starts_with('D')), "{told:?}");
    let above = layer(&nodes, &base, script);
    assert_eq!(nodes.lines(&Subject::tip(&base), &Subject::tip(&above)), told);
}
