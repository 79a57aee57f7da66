//! `convert`: an image shows the same tree on every other backend, and back
//! again. `backends` says which there are.

use std::process::Command;

use crate::cases;
use crate::fixture::{BACKENDS, Fixture};
use crate::harness::Case;
use crate::oracle;
use serde_json::{Value, json};

use super::{layers, worked};
use crate::suites::background::{self, wait_until};
use crate::suites::ground;

pub(super) fn cases() -> Vec<Case> {
    cases![
        an_image_of_many_layers_shows_the_same_tree_on_every_backend_and_back,
        a_converted_image_keeps_its_settings_and_lives_on_without_its_source,
        a_conversion_onto_a_name_is_one_more_version,
        a_conversion_that_cannot_be_changes_nothing,
        a_container_stays_on_the_backend_of_its_image,
        what_is_done_on_one_backend_does_not_mount_the_pool_of_another,
        backends_are_listed_with_what_they_work_on,
    ]
}

/// The backends that the lane is not about.
fn others(fixture: &Fixture) -> Vec<&'static str> {
    BACKENDS.into_iter().filter(|name| *name != fixture.lane().backend()).collect()
}

/// Runs a command on what is not the lane's, which nobody must name; answers
/// what it printed.
#[track_caller]
fn there(fixture: &Fixture, words: &[&str]) -> String {
    let ended = fixture.mocker(words).without("MOCKER_BACKEND").run();
    assert_eq!(ended.code, 0, "{words:?} failed: {}", ended.err());
    ended.out()
}

/// What each version adds to the one before, done with the host's own tools.
const VERSIONS: [&str; 4] = [
    // Everything that a file system can hold, for the others to work on.
    r#"
    mkdir -p data/deep/er gone/inner opaque/inner replaced moved/inner; echo 1 > data/deep/er/file
    for name in a b c; do echo $name > data/$name; echo $name > opaque/$name; echo $name > gone/inner/$name; done
    for name in a b c; do echo $name > replaced/$name; echo $name > moved/inner/$name; done
    echo linked > link-1; ln link-1 link-2; ln link-1 data/link-3; ln -s link-1 symbolic; ln -s nowhere dangling
    echo acl > with-acl; setfacl -m u:7:r,g:8:rwx with-acl; mkdir acl-dir; setfacl -d -m u:9:rx acl-dir; setfacl -m u:9:x acl-dir
    setfattr -n user.mark -v one data/a; setfattr -n trusted.mark -v two data/b; setfattr -n user.of-dir -v three data
    cp bin/busybox capable; setcap cap_net_raw+ep capable; cp bin/busybox setuid; chown 3:4 setuid; chmod 6751 setuid
    mkfifo fifo; mknod null c 1 3; mknod block b 7 200; truncate -s 3M holes; printf x | dd of=holes bs=1 seek=1M conv=notrunc status=none
    head -c 300000 /dev/urandom > large; : > data/empty
    touch "$(printf 'odd \n\t\\ \xff name')" ' ' -- '-dash' "$(printf %0255d 1)"; mkdir "$(printf 'dir \xfe')"; echo x > "$(printf 'dir \xfe')/x"
    touch -h -d @1000000000.123456789 symbolic data/a fifo; touch -d @2000000000.5 data
    "#,
    // Whiteouts, opaque directories, and one kind in the place of another.
    r#"
    rm data/b link-2 symbolic fifo; rm -r gone; rm -r opaque; mkdir opaque; echo new > opaque/d; rm -r replaced; echo file > replaced
    rm data/c; mkdir data/c; echo inside > data/c/file; rm -r acl-dir; ln -s data acl-dir
    rm "$(printf 'odd \n\t\\ \xff name')"; rm -r "$(printf 'dir \xfe')"; rm -- '-dash'
    "#,
    // Renames, and changes of nothing but what is said about a file.
    r#"
    mv moved elsewhere; mv data/deep data/deeper; mv large data/large; mv opaque/d opaque/e; mv with-acl 'with acl'
    setfacl -m u:7:rwx 'with acl'; chmod 700 data/a; chown 11:12 data/empty; touch -d @1500000000.000000001 capable
    setfattr -x user.mark data/a; setfattr -n user.more -v "$(printf %01000d 5)" data/empty; setcap -r capable; setfattr -x user.of-dir data
    echo more >> link-1; ln data/link-3 link-4; ln data/large data/larger; printf y | dd of=holes bs=1 seek=2M conv=notrunc status=none
    mkdir gone; echo again > gone/again; mkdir -p a/b/c/d/e; echo 5 > a/b/c/d/e/f
    "#,
    // What went and came, the other way round.
    r#"
    rm -r gone elsewhere data/c replaced; echo c > data/c; mkdir -m 1777 replaced; mkfifo fifo; rm link-4; ln 'with acl' link-2
    rm acl-dir; mkdir acl-dir; setfacl -d -m g:5:rw acl-dir; rm -r a/b/c/d; touch -d @1234567890.987654321 a a/b/c; truncate -s 100 data/large
    "#,
];

/// A shell script of the host, with its tools, in a directory.
#[track_caller]
fn bash(script: &str, directory: &std::path::Path) {
    let done = Command::new("bash").args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// An image `many` with a layer for each of [`VERSIONS`].
fn many_layers(fixture: &Fixture) {
    let (first, later) = VERSIONS.split_first().unwrap();
    bash(first, &fixture.rootfs());
    fixture.image("many");
    for script in later {
        let wait = ": > /ready; while ! [ -e /end ]; do sleep 0.01; done; rm /ready /end";
        let words = ["run", "--name", "work", "many", "sh", "-c", wait];
        let job = background::start(&mut background::mocker(fixture, &words));
        wait_until("the container is ready", || {
            fixture.record("work").is_some_and(|record| record["status"] == "running")
                && fixture.tree("work").join("ready").exists()
        });
        bash(script, &fixture.tree("work"));
        std::fs::write(fixture.tree("work").join("end"), "").unwrap();
        job.end().ok();
        fixture.ok(&["commit", "work", "many"]);
        fixture.ok(&["rm", "work"]);
    }
    assert_eq!(layers(fixture, "many"), VERSIONS.len());
}

fn an_image_of_many_layers_shows_the_same_tree_on_every_backend_and_back(fixture: &Fixture) {
    many_layers(fixture);
    let (own, expected) = (fixture.lane().backend(), oracle::look(&fixture.tree("many")));
    assert!(expected.has("/data/deeper/er/file") && !expected.has("/data/deep") && !expected.has("/gone"));
    for other in others(fixture) {
        fixture.ok(&["convert", "many", "--to", other, &format!("there:{other}")]);
        let made = fixture.record(&format!("there:{other}")).unwrap();
        assert_eq!(made["backend"], other);
        let top = fixture.root().join(other).join("nodes").join(made["layer"].to_string()).join("fs");
        if !top.join("bin/busybox").exists() {
            // The last layer holds what is new in it, and so must those beneath it.
            assert_eq!(layers(fixture, &format!("there:{other}")), VERSIONS.len(), "on {other}");
        }
        oracle::assert_equal(&expected, &oracle::look(&fixture.tree(&format!("there:{other}"))));
        // What a command sees is not only what the host sees.
        let words =
            ["run", "--rm", &format!("there:{other}"), "cat", "/data/deeper/er/file", "/opaque/e", "/data/c"];
        assert_eq!(there(fixture, &words), "1\nnew\nc");

        fixture.ok(&["convert", &format!("there:{other}"), "--to", own, &format!("back:{other}")]);
        assert_eq!(fixture.record(&format!("back:{other}")).unwrap()["backend"], own);
        oracle::assert_equal(&expected, &oracle::look(&fixture.tree(&format!("back:{other}"))));
    }
    // The two that are not the lane's, from one to the other.
    let [one, other] = others(fixture).try_into().unwrap();
    fixture.ok(&["convert", &format!("there:{one}"), "--to", other, "across"]);
    oracle::assert_equal(&expected, &oracle::look(&fixture.tree("across")));
    oracle::assert_equal(&expected, &oracle::look(&fixture.tree("many")));
    fixture.assert_consistent();
    let all = fixture.ok(&["images", "-q"]);
    fixture.ok(&[&["rm", "--wait"], &all.lines().collect::<Vec<_>>()[..]].concat());
    fixture.assert_consistent();
}

fn a_converted_image_keeps_its_settings_and_lives_on_without_its_source(fixture: &Fixture) {
    worked(fixture, "echo kept > /kept");
    let settings =
        ["-c", "ENV A='of the image'", "-c", "WORKDIR /tmp", "-c", "CMD echo $A in $(pwd): $(cat /kept)"];
    fixture.ok(&[&["commit"], &settings[..], &["work", "base"]].concat());
    for other in others(fixture) {
        let printed = fixture.ok(&["convert", "base", "--to", other, "--format", "json"]);
        let made: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((&made["name"], &made["version"]), (&Value::Null, &json!(1)));
        let id = made["image"].as_str().unwrap();
        assert_eq!(fixture.ok(&["tag", "-q", id, other]), id);
    }
    fixture.ok(&["rm", "--wait", "work", "base"]);
    for other in others(fixture) {
        assert_eq!(there(fixture, &["run", "--rm", other]), "of the image in /tmp: kept");
    }
    fixture.assert_consistent();
}

fn a_conversion_onto_a_name_is_one_more_version(fixture: &Fixture) {
    worked(fixture, "echo more > /more");
    let [other, _] = others(fixture).try_into().unwrap();
    let id = fixture.ok(&["convert", "-q", "base", "--to", other, "there"]);
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(fixture.ok(&["convert", "-q", "base", "--to", other, "there"]), id);
    let record = fixture.record("there").unwrap();
    assert_eq!(
        (&record["version"], &record["versions"], &record["backend"]),
        (&json!(2), &json!(2), &json!(other))
    );
    assert_eq!(there(fixture, &["run", "--rm", "there", "cat", "/more"]), "more");
    assert_eq!(fixture.record("base").unwrap()["versions"], 2, "the source got a version");
}

fn a_conversion_that_cannot_be_changes_nothing(fixture: &Fixture) {
    worked(fixture, "true");
    let own = fixture.lane().backend();
    let [other, third] = others(fixture).try_into().unwrap();
    fixture.ok(&["convert", "base", "--to", other, "there"]);
    let state = fixture.state();
    let wrong: &[(&[&str], &[&str])] = &[
        (&["base", "--to", own, "again"], &["already", own]),
        (&["nowhere", "--to", other], &["No image named 'nowhere' exists"]),
        (&["work", "--to", other], &["No image named 'work' exists"]),
        (&["base", "--to", "nonsense"], &["nonsense", "btrfs", "overlay", "copy"]),
        // The name leads to an image of another backend, and an image has but one.
        (&["base", "--to", third, "there"], &[other, third, "\n  try: "]),
        (&["there", "--to", third, "base"], &[own, third, "\n  try: "]),
        (&["base", "--to", other, "No Name"], &["is not an image name"]),
    ];
    for (words, expected) in wrong {
        let said = fixture.fails(&[&["convert"], *words].concat(), 1);
        for word in *expected {
            assert!(said.contains(word), "convert {words:?} says nothing of {word:?}: {said}");
        }
        assert_eq!(fixture.state(), state, "convert {words:?} has changed something");
    }
    for words in [&["convert", "base"][..], &["convert", "--to", other]] {
        fixture.fails(words, 2);
    }
    fixture.assert_consistent();
}

fn a_container_stays_on_the_backend_of_its_image(fixture: &Fixture) {
    fixture.image("base");
    for other in others(fixture) {
        fixture.ok(&["convert", "base", "--to", other, other]);
        there(fixture, &["run", "--name", "work", other, "sh", "-c", "echo here > /here"]);
        assert_eq!(fixture.record("work").unwrap()["backend"], other);
        let state = fixture.state();
        let refused = fixture.mocker(&["commit", "work", "base"]).without("MOCKER_BACKEND").run();
        assert_eq!((refused.code, refused.out().as_str()), (1, ""));
        let said = refused.err();
        assert!(said.contains(other) && said.contains(fixture.lane().backend()), "{said}");
        // One that is asked for and is not the container's is refused as well.
        let said = fixture.fails(&["--backend", fixture.lane().backend(), "commit", "work", other], 1);
        assert!(said.contains(other) && said.contains("\n  try: "), "{said}");
        assert_eq!(fixture.state(), state);
        there(fixture, &["commit", "work", other]);
        assert_eq!(fixture.record(other).unwrap()["versions"], 2);
        assert_eq!(there(fixture, &["run", "--rm", other, "cat", "/here"]), "here");
        oracle::assert_same(&fixture.tree("work"), &fixture.tree(other));
        fixture.ok(&["rm", "work"]);
    }
    fixture.assert_consistent();
}

fn what_is_done_on_one_backend_does_not_mount_the_pool_of_another(fixture: &Fixture) {
    fixture.image("base");
    for other in others(fixture) {
        fixture.ok(&["convert", "base", "--to", other, other]);
    }
    if !fixture.root().join("pool").exists() {
        // The root lies on btrfs, and there is no pool.
        return;
    }
    let names = ["base"].into_iter().chain(others(fixture));
    let (pooled, poolless): (Vec<_>, Vec<_>) =
        names.partition(|name| fixture.record(name).unwrap()["backend"] == "btrfs");
    fixture.ok(&["pool", "umount"]);
    let pool = fixture.root().join("btrfs");
    for image in poolless {
        for words in [
            &["run", "--name", "work", image, "true"][..],
            &["commit", "work", "made"],
            &["rm", "--wait", "made", "work"],
        ] {
            there(fixture, words);
        }
        // What frees space does so in the background, and here once more so that it can be waited for.
        there(fixture, &["reclaim", "copy", "overlay"]);
        assert_eq!(
            ground::mounts_below(&pool),
            [] as [std::path::PathBuf; 0],
            "work on {image} has mounted the pool"
        );
    }
    // Whoever needs it gets it.
    there(fixture, &["run", "--rm", pooled[0], "true"]);
    fixture.assert_consistent();
}

fn backends_are_listed_with_what_they_work_on(fixture: &Fixture) {
    let listed: Value = serde_json::from_str(&fixture.ok(&["backends", "--format", "json"])).unwrap();
    let listed = listed.as_array().unwrap();
    let names: Vec<_> = listed.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, BACKENDS, "this is the order in which one is chosen");
    let table = fixture.ok(&["backends"]);
    for line in listed {
        let [name, summary, why] = ["name", "summary", "why"].map(|field| line[field].as_str().unwrap());
        assert!(!summary.is_empty() && !why.is_empty(), "{line}");
        assert_eq!(line["works"], true, "the lanes need every backend: {line}");
        for words in [format!("{name}: {summary}"), format!("works here: {why}")] {
            assert!(table.contains(&words), "{words:?} is missing: {table}");
        }
    }
    assert!(!fixture.root().exists(), "looking at them has made a root");
    // Where one does not work, the reason is there, and the others are not touched by it.
    let listed = fixture.mocker(&["--root", "/proc/nowhere", "backends", "--format", "json"]).run();
    assert_eq!(listed.code, 0, "{}", listed.err());
    let listed: Value = serde_json::from_str(&listed.out()).unwrap();
    let overlay = listed.as_array().unwrap().iter().find(|line| line["name"] == "overlay").unwrap();
    assert_eq!(overlay["works"], false, "{overlay}");
    assert!(!overlay["why"].as_str().unwrap().is_empty());
}
