//! The course exercise that mocker grew out of, end to end: its commands, its
//! words and its tables, without its faults.

use std::os::unix::fs::PermissionsExt;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        the_whole_exercise_works_from_init_to_rm,
        a_missing_program_leaves_127_and_a_log_that_says_not_found,
        no_arguments_at_all_show_the_help,
        every_wrong_command_says_why_and_changes_nothing,
        the_exercises_own_variable_names_the_root,
    ]
}

/// What `Created: ` or `Removed: ` stands before.
#[track_caller]
fn behind<'a>(word: &str, printed: &'a str) -> &'a str {
    printed.strip_prefix(word).unwrap_or_else(|| panic!("{printed:?} does not begin with {word:?}"))
}

fn the_whole_exercise_works_from_init_to_rm(fixture: &Fixture) {
    let source = fixture.rootfs();
    // What a package would bring: a program, and the script that installs it.
    let package = source.join("root/install-greet");
    std::fs::write(
        &package,
        "#!/bin/sh\nprintf '#!/bin/sh\\necho installed greeting\\n' > /bin/greet && chmod 755 /bin/greet\n",
    )
    .unwrap();
    std::fs::set_permissions(&package, std::fs::Permissions::from_mode(0o755)).unwrap();

    let printed = fixture.ok(&["init", source.to_str().unwrap()]);
    let image = behind("Created: ", &printed);
    assert!(image.starts_with("img_"), "{image}");
    let listed = fixture.ok(&["images"]);
    assert_eq!(listed, format!("IMAGE_ID\t\tSOURCE\n{image}\t\t{}", source.display()));

    assert_eq!(fixture.mocker(&["run", image, "greet"]).run().code, 127, "it is not installed yet");
    let missing = fixture.ok(&["ps", "-q"]);
    assert_eq!(fixture.ok(&["rm", &missing]), format!("Removed: {missing}"));

    fixture.ok(&["run", image, "/root/install-greet"]);
    let container = fixture.ok(&["ps", "-q"]);
    assert!(container.starts_with("ps_"), "{container}");
    assert_eq!(fixture.ok(&["ps"]), format!("CONTAINER_ID\t\tCOMMAND\n{container}\t\t/root/install-greet"));
    assert_eq!(fixture.ok(&["commit", &container, image]), format!("Created: {image}"));
    assert_eq!(fixture.ok(&["images", "-q"]), image, "a commit onto an image makes no second one");

    assert_eq!(fixture.ok(&["run", "--name", "again", image, "greet"]), "installed greeting");
    assert_eq!(fixture.ok(&["logs", "again"]), "installed greeting");
    let again = fixture.record("again").unwrap()["id"].as_str().unwrap().to_owned();
    let removed = fixture.ok(&["rm", &container, "again", image]);
    assert_eq!(removed, format!("Removed: {container}\nRemoved: {again}\nRemoved: {image}"));
    assert_eq!(fixture.ok(&["ps"]), "CONTAINER_ID\t\tCOMMAND");
    assert_eq!(fixture.ok(&["images"]), "IMAGE_ID\t\tSOURCE");
    fixture.assert_consistent();
}

fn a_missing_program_leaves_127_and_a_log_that_says_not_found(fixture: &Fixture) {
    let image = fixture.image("base");
    for word in ["no-such-program", "/no/such/program"] {
        let ended = fixture.mocker(&["run", "--name", "missing", &image, word]).run();
        assert_eq!((ended.code, ended.out().as_str()), (127, ""));
        assert!(ended.err().contains(&format!("{word}: not found")), "{}", ended.err());
        let record = fixture.record("missing").unwrap();
        assert_eq!((&record["status"], &record["exit_code"]), (&"exited".into(), &127.into()));
        let log = fixture.mocker(&["logs", "missing"]).run();
        assert_eq!((log.code, log.out().as_str()), (0, ""));
        assert!(log.err().contains("not found"), "the log says {:?}", log.err());
        fixture.ok(&["rm", "missing"]);
    }
}

fn no_arguments_at_all_show_the_help(fixture: &Fixture) {
    let said = fixture.fails::<&str>(&[], 2);
    for verb in ["init", "images", "run", "start", "ps", "logs", "commit", "tag", "rm", "pool"] {
        assert!(
            said.lines().any(|line| line.trim_start().starts_with(&format!("{verb} "))),
            "nothing is said about {verb}: {said}"
        );
    }
    assert!(!fixture.root().exists(), "looking at the help has made a root");
}

fn every_wrong_command_says_why_and_changes_nothing(fixture: &Fixture) {
    let image = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo kept > /kept"]);
    let (state, trees) = (fixture.state(), ["work", "base"].map(|name| oracle::look(&fixture.tree(name))));

    let source = fixture.rootfs();
    let source = source.to_str().unwrap();
    let no_image = "No image named 'nowhere' exists";
    let no_container = "No container named 'nowhere' exists";
    let wrong: &[(&[&str], i32, &str)] = &[
        // Nothing named at all.
        (&["init"], 2, "DIR"),
        (&["run"], 2, "IMAGE"),
        (&["start"], 2, "CONTAINER"),
        (&["logs"], 2, "CONTAINER"),
        (&["commit"], 2, "CONTAINER"),
        (&["tag", "base"], 2, "NAME"),
        (&["rm"], 2, "ID"),
        (&["pool", "grow"], 2, "SIZE"),
        (&["nonsense"], 2, "nonsense"),
        (&["ps", "--nonsense"], 2, "--nonsense"),
        // Nothing there of that name.
        (&["init", "/no/such/directory"], 1, "No directory named '/no/such/directory' exists"),
        (&["run", "nowhere", "true"], 125, no_image),
        (&["run", "img_nowhere", "true"], 125, "No image named 'img_nowhere' exists"),
        (&["tag", "nowhere", "other"], 1, no_image),
        (&["start", "nowhere"], 125, no_container),
        (&["logs", "nowhere"], 1, no_container),
        (&["logs", "ps_nowhere"], 1, "No container named 'ps_nowhere' exists"),
        (&["commit", "nowhere"], 1, no_container),
        (&["commit", "nowhere", "base"], 1, no_container),
        (&["commit", "work", "img_nowhere"], 1, "No image named 'img_nowhere' exists"),
        (&["rm", "nowhere"], 1, no_container),
        (&["rm", "nowhere"], 1, "no image named 'nowhere' exists"),
        (&["rm", "img_nowhere"], 1, "No image named 'img_nowhere' exists"),
        (&["rm", "ps_nowhere"], 1, "No container named 'ps_nowhere' exists"),
        // A container where an image is meant, and the reverse.
        (&["run", "work", "true"], 125, "No image named 'work' exists"),
        (&["logs", "base"], 1, "No container named 'base' exists"),
        (&["start", &image], 125, "is not a container name"),
        // Nothing to run.
        (&["run", "base"], 125, "there is no command to run"),
        (&["run", "base", ""], 125, "the command is empty"),
        (&["run", "base", " \t"], 125, "the command is empty"),
        // Names that are taken, and names that are none.
        (&["run", "--name", "work", "base", "true"], 125, "a container named 'work' exists"),
        (&["run", "--name", "../x", "base", "true"], 125, "is not a container name"),
        (&["init", source, "--name", "-"], 1, "is not an image name"),
        (&["commit", "work", "Base"], 1, "is not an image name"),
        (&["tag", "base", "img_mine"], 1, "is not an image name"),
        // Settings that are none.
        (&["run", "-e", "NOVALUE", "base", "true"], 125, "NOVALUE"),
        (&["run", "-w", "relative", "base", "true"], 125, "relative"),
        (&["run", "--hostname", "two words", "base", "true"], 125, "two words"),
        (&["commit", "-c", "NONSENSE x", "work"], 1, "NONSENSE"),
        (&["--backend", "nonsense", "images"], 1, "nonsense"),
    ];
    for (words, code, why) in wrong {
        let said = fixture.fails(words, *code);
        assert!(said.contains(why), "mocker {} says nothing of {why:?}: {said}", words.join(" "));
        assert_eq!(fixture.state(), state, "mocker {} has changed something", words.join(" "));
    }
    for (name, before) in ["work", "base"].iter().zip(&trees) {
        oracle::assert_equal(before, &oracle::look(&fixture.tree(name)));
    }
    fixture.assert_consistent();
}

fn the_exercises_own_variable_names_the_root(fixture: &Fixture) {
    let image = fixture.image("base");
    let call = fixture.mocker(&["images", "-q"]).without("MOCKER_ROOT");
    let root = fixture.root().to_owned();
    assert_eq!(call.env("DOCKER_DEMO_BTRFS_PATH", &root).run().out(), image);
    // The program's own names win.
    let other = fixture.scratch().join("other");
    let call = fixture.mocker(&["images", "-q"]).env("DOCKER_DEMO_BTRFS_PATH", &other);
    assert_eq!(call.run().out(), image);
    assert!(!other.exists());
}
