//! `-c`, `--config-from`, `-a` and `-m`: what a version says about itself.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::{Value, json};

use super::worked;

pub(super) fn cases() -> Vec<Case> {
    cases![
        c13_who_made_a_version_why_and_how_is_kept,
        c14_every_instruction_is_kept_and_takes_effect,
        c14_the_containers_own_settings_stay_as_they_are,
        config_from_container_keeps_its_command_and_says_so,
        config_from_image_keeps_the_images_command,
    ]
}

/// What the records say about the current version of an image.
fn version(fixture: &Fixture, image: &str) -> Value {
    let id = fixture.record(image).unwrap()["id"].as_str().unwrap().to_owned();
    let store = rusqlite::Connection::open(fixture.root().join("mocker.db")).unwrap();
    let query =
        "SELECT config, author, message, created_by FROM version WHERE image = ?1 ORDER BY number DESC";
    store
        .query_row(query, [id], |row| {
            let config: String = row.get(0)?;
            let text = |at| row.get::<_, Option<String>>(at);
            Ok(json!({
                "config": serde_json::from_str::<Value>(&config).unwrap(),
                "author": text(1)?, "message": text(2)?, "created_by": text(3)?,
            }))
        })
        .unwrap()
}

fn c13_who_made_a_version_why_and_how_is_kept(fixture: &Fixture) {
    worked(fixture, "echo x > /made");
    let before = std::time::SystemTime::now();
    fixture.ok(&["commit", "-a", "Jo <jo@example.org>", "-m", "why 'it' was\nmade; ünder", "work", "base"]);
    let found = version(fixture, "base");
    assert_eq!(found["author"], "Jo <jo@example.org>");
    assert_eq!(found["message"], "why 'it' was\nmade; ünder");
    assert_eq!(found["created_by"], "sh -c 'echo x > /made'");
    let created = fixture.record("base").unwrap()["created"].as_u64().unwrap();
    let before = before.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    assert!(u128::from(created) >= before && u128::from(created) < before + 60_000_000_000);
    fixture.ok(&["commit", "work", "other"]);
    assert_eq!(
        (&version(fixture, "other")["author"], &version(fixture, "other")["message"]),
        (&Value::Null, &Value::Null)
    );
}

fn c14_every_instruction_is_kept_and_takes_effect(fixture: &Fixture) {
    worked(fixture, "mkdir -p /srv/www; echo 'web:x:33:33::/srv:/bin/sh' >> /etc/passwd");
    let changes = [
        "ENV A=1 B=\"two $A words\"",
        "env C=$A/c",
        "WORKDIR /srv",
        "WORKDIR www",
        "USER web",
        "ENTRYPOINT [\"sh\", \"-c\", \"echo $A $C $(pwd) $(id -u) $*\", \"sh\"]",
        "CMD [\"one\", \"two three\"]",
        "LABEL name='a value' other=b",
        "EXPOSE 80 53/udp",
        "VOLUME /data",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN make",
    ];
    let mut words = vec!["commit", "-q"];
    words.extend(changes.iter().flat_map(|change| ["-c", change]));
    words.extend(["work", "set"]);
    fixture.ok(&words);
    assert_eq!(fixture.ok(&["run", "--rm", "set"]), "1 1/c /srv/www 33 one two three");
    assert_eq!(fixture.ok(&["run", "--rm", "set", "mine"]), "1 1/c /srv/www 33 mine");
    let config = &version(fixture, "set")["config"];
    let expected = json!({
        "Labels": {"name": "a value", "other": "b"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "OnBuild": ["RUN make"],
        "WorkingDir": "/srv/www",
        "User": "web",
        "Cmd": ["one", "two three"],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&config[name], value, "{name} in {config}");
    }
}

fn c14_the_containers_own_settings_stay_as_they_are(fixture: &Fixture) {
    fixture.image("base");
    let words = ["run", "--name", "work", "-e", "A=mine", "base", "sh", "-c", "echo $A $(pwd) ${B-unset}"];
    assert_eq!(fixture.ok(&words), "mine / unset");
    fixture.ok(&[
        "commit",
        "-c",
        "ENV A=other B=new",
        "-c",
        "WORKDIR /tmp",
        "-c",
        "CMD echo $A $B",
        "work",
        "set",
    ]);
    assert_eq!(fixture.ok(&["start", "work"]), "mine / unset");
    assert_eq!(fixture.ok(&["run", "--rm", "set"]), "other new");
    let said = fixture.fails(&["run", "--rm", "base"], 125);
    assert!(said.contains("there is no command to run"), "the image it came from has got settings: {said}");
}

fn config_from_container_keeps_its_command_and_says_so(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "-e", "A=kept", "base", "sh", "-c", "echo again $A"]);
    let ended = fixture.mocker(&["commit", "work", "made"]).run();
    assert_eq!(ended.code, 0);
    assert!(ended.err().contains("note: ") && ended.err().contains("'echo again $A'"), "{}", ended.err());
    assert_eq!(fixture.ok(&["run", "--rm", "made"]), "again kept");
    let ended = fixture.mocker(&["commit", "--config-from", "container", "work", "made"]).run();
    assert_eq!(ended.code, 0, "{}", ended.err());
}

fn config_from_image_keeps_the_images_command(fixture: &Fixture) {
    worked(fixture, "true");
    fixture.ok(&[
        "commit",
        "--config-from",
        "image",
        "-c",
        "CMD [\"echo\", \"of the image\"]",
        "work",
        "set",
    ]);
    fixture.ok(&["run", "--name", "changing", "-e", "A=1", "set", "sh", "-c", "echo new > /new"]);
    let ended = fixture.mocker(&["commit", "--config-from", "image", "changing", "set"]).run();
    assert_eq!((ended.code, ended.err().as_str()), (0, ""));
    assert_eq!(fixture.ok(&["run", "--rm", "set"]), "of the image");
    assert_eq!(fixture.ok(&["run", "--rm", "set", "sh", "-c", "cat /new; echo ${A-unset}"]), "new\nunset");
}
