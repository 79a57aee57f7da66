//! `inspect`: all that is known of images and containers, for programs.

use crate::cases;
use crate::fixture::{Fixture, Output};
use crate::harness::Case;
use crate::suites::living;
use mocker_core::backend::Layers;
use serde_json::{Value, json};

use super::{field, id, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        inspect_tells_all_of_an_image,
        inspect_tells_all_of_a_container,
        inspect_tells_what_a_container_is_doing,
        inspect_answers_for_what_there_is_and_names_what_there_is_not,
        inspect_looks_for_one_kind_where_it_is_told_to,
        c13_an_image_has_an_entry_in_its_history_for_each_layer,
        l6_a_chain_is_told_whole_of_images_and_of_containers,
        s8_what_is_inspected_is_data_and_harmless_on_a_terminal,
    ]
}

/// What is known of some objects.
#[track_caller]
pub(super) fn inspect(fixture: &Fixture, words: &[&str]) -> Vec<Value> {
    serde_json::from_str(&fixture.ok(&[&["inspect"], words].concat())).unwrap()
}

/// What is known of one object.
#[track_caller]
fn one(fixture: &Fixture, word: &str) -> Value {
    inspect(fixture, &[word]).remove(0)
}

/// The layers that an object stands on, the base first.
#[track_caller]
fn layers(fixture: &Fixture, word: &str) -> Vec<u64> {
    let found = one(fixture, word);
    assert_eq!(found["RootFS"]["Type"], "layers");
    found["RootFS"]["Layers"].as_array().unwrap().iter().map(|layer| layer.as_u64().unwrap()).collect()
}

fn inspect_tells_all_of_an_image(fixture: &Fixture) {
    let base = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "-e", "A=1", "-w", "/etc", "-u", "65534", "base", "true"]);
    let change = [
        "-c",
        "ENTRYPOINT [\"env\"]",
        "-c",
        "CMD [\"sh\", \"-c\", \"ls\"]",
        "-c",
        "LABEL a=b",
        "-c",
        "EXPOSE 80",
    ];
    fixture.ok(&[&["commit", "-a", "Ann", "-m", "why"], &change[..], &["work", "base"]].concat());
    let found = one(fixture, "base");
    let expected = json!({
        "Id": base, "RepoTags": ["base:latest"], "Backend": fixture.lane().backend(), "Version": 2, "Current": true,
        "Versions": 2, "CreatedBy": "true", "Author": "Ann", "Comment": "why",
        "Config": { "Cmd": ["sh", "-c", "ls"], "Entrypoint": ["env"], "Env": ["A=1"], "ExposedPorts": { "80/tcp": {} },
            "Labels": { "a": "b" }, "User": "65534", "WorkingDir": "/etc" },
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}: {found}");
    }
    assert!(found["Created"].as_str().unwrap().ends_with('Z'), "{found}");
    assert!(found["Size"].as_u64() > Some(100_000), "busybox alone: {found}");
    assert_eq!(found["RootFS"]["Layers"].as_array().unwrap().last(), Some(&field(fixture, "base", "layer")));

    let first = one(fixture, &format!("{}@1", &base[..base.len() - 2]));
    assert_eq!(
        (&first["Id"], &first["Version"], &first["Current"]),
        (&base.into(), &1.into(), &false.into())
    );
    assert_eq!(
        (&first["Config"], &first["Author"], &first["Versions"]),
        (&json!({}), &Value::Null, &2.into())
    );
    let nameless = fixture.ok(&["commit", "-q", "work"]);
    assert_eq!(one(fixture, &nameless)["RepoTags"], json!([]));
}

fn inspect_tells_all_of_a_container(fixture: &Fixture) {
    let base = fixture.image("base");
    let options = ["--name", "work", "-e", "A=1", "-w", "/etc", "--hostname", "box", "--network", "none"];
    let words = [&["run"], &options[..], &["base", "sh", "-c", "exit 3"]].concat();
    assert_eq!(fixture.mocker(&words).run().code, 3);
    let container = id(fixture, "work");
    let found = one(fixture, "work");
    let expected = json!({
        "Id": container, "Name": "work", "Path": "sh", "Args": ["-c", "exit 3"], "Image": base,
        "ImageName": "base:latest", "ImageVersion": 1, "Backend": fixture.lane().backend(),
        "HostConfig": { "NetworkMode": "none", "AutoRemove": false },
        "Config": { "Hostname": "box", "Image": format!("{base}@1"), "Env": ["A=1"], "WorkingDir": "/etc",
            "Cmd": ["sh", "-c", "exit 3"] },
        "Work": field(fixture, "work", "work"),
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&found[key], value, "{key}: {found}");
    }
    let log = found["LogPath"].as_str().unwrap();
    assert!(std::path::Path::new(log).exists(), "{log}");
    // Found by every word that leads to it.
    assert_eq!(one(fixture, &container[..container.len() - 1]), found);
    fixture.ok(&["rm", "base"]);
    let found = one(fixture, "work");
    assert_eq!((&found["Image"], &found["ImageName"]), (&base.into(), &Value::Null), "its image is gone");
}

fn inspect_tells_what_a_container_is_doing(fixture: &Fixture) {
    fixture.image("base");
    let state = |name: &str| one(fixture, name)["State"].clone();
    fixture.mocker(&["run", "--name", "failed", "base", "nosuch"]).run();
    let failed = state("failed");
    assert_eq!(
        (&failed["Status"], &failed["ExitCode"], &failed["Pid"]),
        (&"exited".into(), &127.into(), &Value::Null)
    );
    assert!(failed["Error"].as_str().unwrap().contains("not found"), "{failed}");

    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let living = state("work");
    let pid = living["Pid"].as_u64().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "{living}");
    let expected = json!({
        "Status": "running", "Running": true, "Paused": false, "Pid": pid, "ExitCode": null, "Error": null,
        "StartedAt": living["StartedAt"], "FinishedAt": null,
    });
    assert_eq!(living, expected);
    living::end(fixture, job).ok();
    let ended = state("work");
    assert_eq!(
        (&ended["Status"], &ended["Running"], &ended["Pid"], &ended["ExitCode"]),
        (&"exited".into(), &false.into(), &Value::Null, &0.into())
    );
    assert!(ended["StartedAt"].as_str() < ended["FinishedAt"].as_str(), "{ended}");
}

/// The array that was printed although the command failed.
fn printed(output: &Output) -> Vec<Value> {
    serde_json::from_str(&output.out()).unwrap()
}

fn inspect_answers_for_what_there_is_and_names_what_there_is_not(fixture: &Fixture) {
    let base = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let ids =
        |found: &[Value]| found.iter().map(|one| one["Id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let work = id(fixture, "work");
    assert_eq!(ids(&inspect(fixture, &["work", "base", &base, "base@1"])), [&work[..], &base, &base, &base]);

    let output = fixture.mocker(&["inspect", "nowhere", "work", "img_nowhere", "base@7", "base", "-x"]).run();
    assert_eq!(output.code, 2, "'-x' is an option, and there is none of that name");
    let output =
        fixture.mocker(&["inspect", "nowhere", "work", "img_nowhere", "base@7", "../x", "base"]).run();
    assert_eq!((output.code, ids(&printed(&output))), (1, vec![work, base]));
    let said = output.err();
    assert_eq!(said.lines().filter(|line| line.starts_with("mocker: ")).count(), 4, "{said}");
    for word in ["'nowhere'", "'img_nowhere'", "no version 7", "'../x'"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let output = fixture.mocker(&["inspect", "nowhere"]).run();
    assert_eq!((output.code, printed(&output)), (1, Vec::new()));
    fixture.fails(&["inspect"], 2);
}

fn inspect_looks_for_one_kind_where_it_is_told_to(fixture: &Fixture) {
    let image = fixture.image("both");
    fixture.ok(&["run", "--name", "both", "both", "true"]);
    let container = fixture.ok(&["ps", "-q"]);
    let output = fixture.mocker(&["inspect", "both"]).run();
    assert_eq!((output.code, printed(&output).len()), (1, 0));
    assert!(output.err().contains(&image) && output.err().contains(&container), "{}", output.err());
    for (kind, expected) in [("image", &image), ("container", &container)] {
        assert_eq!(inspect(fixture, &["--type", kind, "both"])[0]["Id"], **expected);
        assert_eq!(inspect(fixture, &["--type", kind, expected])[0]["Id"], **expected);
    }
    for (kind, other) in [("image", &container), ("container", &image)] {
        let output = fixture.mocker(&["inspect", "--type", kind, other]).run();
        assert_eq!((output.code, printed(&output).len()), (1, 0), "{}", output.err());
    }
}

fn c13_an_image_has_an_entry_in_its_history_for_each_layer(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "x");
    fixture.ok(&["commit", "-a", "Ann", "-m", "first", "work", "base"]);
    write(fixture, "next", "base", "y");
    let derived = fixture.ok(&["commit", "-q", "-m", "second", "next", "derived"]);
    fixture.ok(&["tag", "derived", "again"]);
    let source = format!("mocker init {}", fixture.rootfs().display());
    let all = [
        (source.as_str(), Value::Null, Value::Null, format!("{base}@1")),
        ("sh -c 'echo x > /word'", "Ann".into(), "first".into(), format!("{base}@2")),
        ("sh -c 'echo y > /word'", Value::Null, "second".into(), format!("{derived}@1")),
    ];
    for (image, depth) in [("base@1", 1), ("base", 2), ("derived", 3), ("again", 3)] {
        let found = one(fixture, image);
        let history = found["History"].as_array().unwrap();
        let layers = found["RootFS"]["Layers"].as_array().unwrap();
        assert_eq!((history.len(), layers.len()), (depth, depth), "{image}");
        for (entry, (layer, expected)) in history.iter().zip(layers.iter().zip(&all)) {
            assert_eq!(&entry["layer"], layer);
            let (created_by, author, comment, made_for) = expected;
            assert_eq!(entry["created_by"], *created_by);
            assert_eq!(
                (&entry["author"], &entry["comment"], &entry["made_for"]),
                (author, comment, &made_for.clone().into())
            );
            assert!(entry["created"].as_str().unwrap().ends_with('Z'));
        }
    }
    // Where an image has gone, its layers may be left: there is still an entry for each.
    fixture.ok(&["rm", "work", "next", "base"]);
    let found = one(fixture, "derived");
    let history = found["History"].as_array().unwrap();
    assert_eq!(history.len(), found["RootFS"]["Layers"].as_array().unwrap().len());
    match fixture.capabilities().layers {
        Layers::Delta => assert_eq!((history.len(), &history[0]["created"]), (3, &Value::Null)),
        Layers::Whole => assert_eq!(history.len(), 1),
    }
    assert_eq!(history.last().unwrap()["comment"], "second");
}

fn l6_a_chain_is_told_whole_of_images_and_of_containers(fixture: &Fixture) {
    fixture.image("a");
    for (parent, child) in [("a", "b"), ("b", "c")] {
        write(fixture, &format!("of-{parent}"), parent, child);
        fixture.ok(&["commit", &format!("of-{parent}"), child]);
    }
    fixture.ok(&["run", "--name", "of-c", "c", "true"]);
    let chains = ["a", "b", "c"].map(|image| layers(fixture, image));
    for (place, chain) in chains.iter().enumerate() {
        assert_eq!(chain.len(), place + 1);
        // The direct parent is the one before the last, and those of that are its own.
        assert_eq!(chain[..place], chains[place.saturating_sub(1)][..place]);
    }
    let tips = ["a", "b", "c"].map(|image| field(fixture, image, "layer").as_u64().unwrap());
    assert_eq!(chains[2], tips);
    assert_eq!(layers(fixture, "of-c"), tips);
    let of_a = layers(fixture, "of-a");
    assert!(of_a.starts_with(&tips[..1]), "{of_a:?}");
}

fn s8_what_is_inspected_is_data_and_harmless_on_a_terminal(fixture: &Fixture) {
    fixture.image("base");
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{7f}\n\t'\"\\$(touch x)名";
    fixture.ok(&["run", "--name", "work", "-e", &format!("EVIL={evil}"), "base", "echo", evil, "x"]);
    fixture.ok(&["commit", "-a", evil, "-m", evil, "work", "base"]);
    let printed = fixture.ok(&["inspect", "base", "work"]);
    assert!(
        !printed.contains(|letter: char| mocker_core::image::is_obeyed(letter) && letter != '\n'),
        "{printed:?}"
    );
    let found: Vec<Value> = serde_json::from_str(&printed).unwrap();
    for text in
        [&found[0]["Author"], &found[0]["Comment"], &found[0]["Config"]["Cmd"][1], &found[1]["Args"][0]]
    {
        assert_eq!(text, evil);
    }
    assert_eq!(found[1]["Config"]["Env"][0], format!("EVIL={evil}"));
}
