//! K3: manifests are read as what anybody can have written: none of them makes the
//! program stop, hang, or reach out of the root.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{checked, id, world};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    cases![
        k3_what_is_no_manifest_is_told_and_everything_else_comes_back,
        k3_a_manifest_with_any_content_is_refused_or_told
    ]
}

/// A file with the right line before its content.
pub(super) fn sealed(content: &[u8]) -> Vec<u8> {
    let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    [format!("mocker-manifest-1 sha256:{digest}\n").as_bytes(), content].concat()
}

fn k3_what_is_no_manifest_is_told_and_everything_else_comes_back(fixture: &Fixture) {
    let world = world(fixture);
    let manifests = fixture.root().join("manifests");
    let outside = fixture.scratch().join("outside");
    fs::write(&outside, sealed(b"{}")).unwrap();
    type Plant<'a> = (&'static str, &'a dyn Fn(&Path));
    let planted: [Plant<'_>; 6] = [
        ("ps_000000000000", &|path| std::os::unix::fs::symlink(&outside, path).unwrap()),
        ("ps_111111111111", &|path| {
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR).unwrap();
        }),
        ("ps_222222222222", &|path| fs::create_dir(path).unwrap()),
        ("ps_333333333333", &|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
        ("img_444444444444", &|path| std::os::unix::fs::symlink("/", path).unwrap()),
        ("something else", &|path| fs::write(path, "x").unwrap()),
    ];
    for (name, plant) in planted {
        plant(&manifests.join(name));
    }
    fs::remove_file(fixture.root().join("mocker.db")).unwrap();
    let (left, repaired) = checked(fixture, &["--repair"]);
    for (name, _) in planted {
        let about = |(_, subject): &(String, String)| subject.contains(&format!("manifests/{name}"));
        assert!(left.iter().any(about) && repaired.iter().any(about), "{name}: {left:?} {repaired:?}");
        assert!(
            !manifests.join(name).exists() && !manifests.join(name).is_symlink(),
            "{name} is still there"
        );
    }
    assert!(left.iter().all(|(code, _)| code == "lost"), "{left:?}");
    assert!(outside.exists());
    world.assert_as_before();
}

/// Contents with a right checksum, made out of that of a true one.
fn contents(of_container: &str, of_version: &str) -> Vec<String> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut contents: Vec<String> =
        ["", "{}", "[]", "null", "\u{0}", "{\"table\":\"image\"}"].map(str::to_owned).into();
    contents.push(deep);
    let base = of_container.find("\"base\":").expect("a base");
    let number: String = of_container[base + 7..].chars().take_while(char::is_ascii_digit).collect();
    for (from, to) in [
        ("\"id\":\"ps_", "\"id\":\"../../ps_"),
        ("\"table\":\"container\"", "\"table\":\"intent\""),
        ("\"table\":\"container\"", "\"table\":\"version\""),
        ("\"image_version\":", "\"image_version\":-"),
        ("\"work\":", "\"work\":99999999999999999999"),
        ("\"work\":", "\"work\":\"x\",\"works\":"),
        ("\"argv\":\"hex:", "\"argv\":\"hex:zz"),
        ("\"hostname\":\"", "\"x) VALUES (1); DROP TABLE node; --\":1,\"hostname\":\""),
        ("\"network\":\"host\"", "\"network\":{\"a\":[1,2,3]}"),
        ("\"backend\":\"", "\"backend\":\"../"),
        ("\"backend\":\"", "\"backend\":\"none-such-"),
        ("\"name\":\"work\"", "\"name\":\"-rf\\n\\u001b[31m\""),
        ("\"chain\":[", "\"chain\":[0,"),
        ("\"chain\":[", "\"chain\":[18446744073709551615,"),
        ("\"chain\":[", "\"chain\":[-1,"),
    ] {
        let changed = of_container.replacen(from, to, 1);
        assert_ne!(changed, of_container, "{from}");
        contents.push(changed);
    }
    // A work area that is its own base, or a layer of somebody else's.
    let work = of_container.find("\"work\":").expect("a work area");
    let own: String = of_container[work + 7..].chars().take_while(char::is_ascii_digit).collect();
    contents.push(of_container.replace(&format!("\"work\":{own}"), &format!("\"work\":{number}")));
    contents.push(of_version.to_owned());
    contents
}

fn k3_a_manifest_with_any_content_is_refused_or_told(fixture: &Fixture) {
    let _world = world(fixture);
    let path = fixture.root().join("manifests").join(id(fixture, "work"));
    let content = |path: &Path| fs::read_to_string(path).unwrap().split_once('\n').unwrap().1.to_owned();
    let version = {
        let directory = fixture.root().join("manifests").join(id(fixture, "base"));
        let name = crate::fixture::names_in(&directory).into_iter().find(|name| name.starts_with("1-"));
        content(&directory.join(name.unwrap()))
    };
    let original = fs::read(&path).unwrap();
    let all = contents(&content(&path), &version);
    let (images, other) = (fixture.images(), fixture.record("other"));
    for hostile in all {
        let shown: String = hostile.chars().take(300).collect();
        fs::write(&path, sealed(hostile.as_bytes())).unwrap();
        fs::remove_file(fixture.root().join("mocker.db")).unwrap();
        let (left, repaired) = checked(fixture, &["--repair"]);
        assert!(!left.is_empty() || repaired.len() > 1, "nothing is said of {shown}");
        assert_eq!(fixture.images(), images, "{shown}");
        assert_eq!(fixture.record("other"), other, "{shown}");
        fixture.ok(&["run", "--rm", "base", "true"]);
        // What was good is good again: no node was deleted.
        fs::write(&path, &original).unwrap();
        fs::remove_file(fixture.root().join("mocker.db")).unwrap();
        let (left, _) = checked(fixture, &["--repair"]);
        assert_eq!(left, [], "{shown}");
        fixture.ok(&["start", "work"]);
    }
}
