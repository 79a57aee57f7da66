//! What the image says and what the options say takes effect, the options
//! over the image.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    cases![
        the_environment_is_the_images_with_the_options_over_it,
        the_command_has_no_variable_of_the_host,
        the_working_directory_is_the_images_or_the_options,
        the_user_is_the_images_or_the_options,
        the_entry_point_comes_before_the_command,
        the_image_has_a_command_of_its_own,
        the_host_name_is_the_id_or_the_options,
        one_word_with_white_space_goes_to_a_shell,
    ]
}

/// An image `set` that is `base` with these instructions.
#[track_caller]
fn set(fixture: &Fixture, changes: &[&str]) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "making", "base", "true"]);
    let mut words = vec!["commit", "--config-from", "image"];
    for change in changes {
        words.extend(["-c", change]);
    }
    words.extend(["making", "set"]);
    fixture.ok(&words);
}

/// What a command prints in a new container that goes again.
#[track_caller]
fn prints(fixture: &Fixture, words: &[&str]) -> String {
    fixture.ok(&[&["run", "--rm"], words].concat())
}

fn the_environment_is_the_images_with_the_options_over_it(fixture: &Fixture) {
    set(fixture, &["ENV A=image B='two words'", "ENV C=$A-c", "ENV EMPTY= NAME=umlaut-ä"]);
    let show =
        ["set", "sh", "-c", "printf '%s|' \"$A\" \"$B\" \"$C\" \"${EMPTY-unset}\" \"$NAME\" \"${D-unset}\""];
    assert_eq!(prints(fixture, &show), "image|two words|image-c||umlaut-ä|unset|");
    let options = ["-e", "A=option", "--env", "D=x=y z", "-e", "B="];
    assert_eq!(prints(fixture, &[&options[..], &show].concat()), "option||image-c||umlaut-ä|x=y z|");
    assert_eq!(prints(fixture, &["-e", "TEXT=a\nb", "set", "sh", "-c", "echo \"$TEXT\""]), "a\nb");
    // The last of several wins, and an option holds for its own run alone.
    assert_eq!(prints(fixture, &["-e", "A=1", "-e", "A=2", "set", "echo $A"]), "2");
    assert_eq!(prints(fixture, &["set", "echo $A"]), "image");
}

fn the_command_has_no_variable_of_the_host(fixture: &Fixture) {
    fixture.image("base");
    let call =
        fixture.mocker(&["run", "--rm", "--hostname", "h", "base", "env"]).env("SECRET_OF_THE_HOST", "s");
    let ended = call.run().out();
    let mut lines: Vec<_> = ended.lines().collect();
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["HOME=/root", "HOSTNAME=h", path]);
}

fn the_working_directory_is_the_images_or_the_options(fixture: &Fixture) {
    set(fixture, &["WORKDIR /var"]);
    assert_eq!(prints(fixture, &["base", "pwd"]), "/");
    assert_eq!(prints(fixture, &["set", "pwd"]), "/var");
    assert_eq!(prints(fixture, &["-w", "/tmp", "set", "pwd"]), "/tmp");
    let said = fixture.fails(&["run", "--rm", "-w", "/no/such/place", "set", "pwd"], 125);
    assert!(said.contains("/no/such/place"), "{said}");
}

fn the_user_is_the_images_or_the_options(fixture: &Fixture) {
    let etc = fixture.rootfs().join("etc");
    std::fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100:Alice:/home/alice:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(etc.join("group"), "root:x:0:\nusers:x:100:\naudio:x:29:alice\nstaff:x:50:\n").unwrap();
    set(fixture, &["USER alice"]);
    let who = |words: &[&str]| {
        prints(fixture, &[words, &["sh", "-c", "echo $(id -u) $(id -g) $(id -G) $HOME"]].concat())
    };
    assert_eq!(who(&["base"]), "0 0 0 /root");
    assert_eq!(who(&["set"]), "1000 100 100 29 /home/alice");
    assert_eq!(who(&["-u", "root", "set"]), "0 0 0 /root");
    assert_eq!(who(&["-u", "1000", "base"]), "1000 100 100 29 /home/alice");
    assert_eq!(who(&["-u", "alice:staff", "base"]), "1000 50 50 /home/alice");
    // Numbers need not stand in any file.
    assert_eq!(who(&["-u", "4242:4343", "base"]), "4242 4343 4343 /");
    for nobody in ["nobody-here", "alice:no-group", "-1", "4294967295"] {
        let said = fixture.fails(&["run", "--rm", &format!("--user={nobody}"), "base", "true"], 125);
        assert!(said.contains(nobody.rsplit(':').next().unwrap()), "{nobody}: {said}");
    }
}

fn the_entry_point_comes_before_the_command(fixture: &Fixture) {
    set(fixture, &["ENTRYPOINT [\"echo\", \"entry\"]", "CMD [\"default\", \"words\"]"]);
    assert_eq!(prints(fixture, &["set"]), "entry default words");
    assert_eq!(prints(fixture, &["set", "mine  are", "kept"]), "entry mine  are kept");
    assert_eq!(prints(fixture, &["set", "one word with blanks"]), "entry one word with blanks");
    assert_eq!(prints(fixture, &["--entrypoint", "printf", "set", "%s.", "a", "b"]), "a.b.");
    assert_eq!(prints(fixture, &["--entrypoint", "", "set", "echo", "bare"]), "bare");
}

fn the_image_has_a_command_of_its_own(fixture: &Fixture) {
    set(fixture, &["CMD echo \"in a shell: $((1 + 1))\""]);
    assert_eq!(prints(fixture, &["set"]), "in a shell: 2");
    assert_eq!(prints(fixture, &["set", "echo", "mine"]), "mine");
}

fn the_host_name_is_the_id_or_the_options(fixture: &Fixture) {
    fixture.image("base");
    let id = fixture.ok(&["run", "--name", "work", "base", "hostname"]);
    assert_eq!(fixture.record("work").unwrap()["id"], id.as_str());
    let script = "hostname; cat /etc/hostname; echo $HOSTNAME; grep -c web-1.example /etc/hosts";
    let names = prints(fixture, &["--hostname", "web-1.example", "base", "sh", "-c", script]);
    assert_eq!(names, "web-1.example\nweb-1.example\nweb-1.example\n1");
}

fn one_word_with_white_space_goes_to_a_shell(fixture: &Fixture) {
    fixture.image("base");
    assert_eq!(prints(fixture, &["base", "echo one; echo 'two  2' | tr 2 3"]), "one\ntwo  3");
    // Several words are data, whatever is in them.
    assert_eq!(
        prints(fixture, &["base", "echo", "a; echo b", "$HOME", "*", "`id`", "> /x", "'"]),
        "a; echo b $HOME * `id` > /x '"
    );
}
