//! A directory is run at once, as an image that is made of it first.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_directory_becomes_an_image_and_a_container,
        with_rm_nothing_is_left_of_a_directorys_run,
        what_is_no_directory_is_no_image_either,
    ]
}

fn a_directory_becomes_an_image_and_a_container(fixture: &Fixture) {
    let rootfs = fixture.rootfs();
    let before = oracle::look(&rootfs);
    let words =
        ["run", "--name", "work", rootfs.to_str().unwrap(), "sh", "-c", "echo made > /made; cat /made"];
    let ended = fixture.mocker(&words).run();
    assert_eq!((ended.code, ended.out().as_str()), (0, "made"), "{}", ended.err());
    let work = fixture.record("work").unwrap();
    let image = work["image"].as_str().unwrap();
    assert!(ended.err().contains(image), "nothing says which image it is: {}", ended.err());
    oracle::assert_equal(&before, &oracle::look(&rootfs));
    oracle::assert_same(&rootfs, &fixture.tree(image));
    fixture.ok(&["commit", "work", "result"]);
    assert_eq!(fixture.ok(&["run", "--rm", "result", "cat", "/made"]), "made");
}

fn with_rm_nothing_is_left_of_a_directorys_run(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    let rootfs = fixture.rootfs();
    let named = std::path::Path::new("/").join(rootfs.strip_prefix("/").unwrap());
    for (words, code) in [(&["true"][..], 0), (&["sh", "-c", "exit 3"], 3), (&["no-such-program"], 127)] {
        let ended = fixture.mocker(&[&["run", "--rm", named.to_str().unwrap()], words].concat()).run();
        assert_eq!(ended.code, code, "{}", ended.err());
        assert_eq!(fixture.state(), state, "{words:?}");
    }
    let refused = fixture.fails(&["run", "--rm", "--hostname", "a b", rootfs.to_str().unwrap(), "true"], 125);
    assert!(refused.contains("host name"), "{refused}");
    assert_eq!(fixture.state(), state);
    fixture.assert_consistent();
}

fn what_is_no_directory_is_no_image_either(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    for (word, said) in
        [("./nowhere", "No directory named './nowhere' exists"), ("/etc/passwd", "not a directory")]
    {
        let refused = fixture.fails(&["run", word, "true"], 125);
        assert!(refused.contains(said), "{word}: {refused}");
    }
    // Without a path in front it is a name.
    let refused = fixture.fails(&["run", "rootfs", "true"], 125);
    assert!(refused.contains("No image named 'rootfs' exists"), "{refused}");
    assert_eq!(fixture.state(), state);
}
