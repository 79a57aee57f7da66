//! What `du` shows, to people and to programs.

use super::{bytes, du, image_of_its_own, number, of};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::living;
use crate::suites::nodes::watch::Watch;

pub(super) fn cases() -> Vec<Case> {
    cases![
        du_has_a_line_for_each_image_version_and_container,
        du_of_nothing_is_nothing,
        a1_what_was_written_a_moment_ago_is_counted,
        a4_du_goes_on_while_containers_come_and_go,
        a1_what_runs_counts_as_active,
        a3_du_reads_no_contents,
    ]
}

fn du_has_a_line_for_each_image_version_and_container(fixture: &Fixture) {
    let base = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo x > /x"]);
    fixture.ok(&["commit", "work", "base"]);
    let shown = fixture.ok(&["du"]);
    for wanted in [
        "IMAGE_ID\tNAME\t",
        "\nCONTAINER_ID\t",
        "\nTYPE\t",
        "\nBACKEND\tHOLDS\t",
        "\tbase:latest\t",
        "\twork\t",
    ] {
        assert!(shown.contains(wanted), "{wanted:?} is missing: {shown}");
    }
    assert!(!shown.contains('@'), "{shown}");
    let verbose = fixture.ok(&["du", "-v"]);
    assert!(verbose.contains(&format!("\n{base}@2\tcurrent\t")), "{verbose}");
    assert!(verbose.contains(&format!("\n{base}@1\t-\t")), "{verbose}");
    // The file system is not ours alone, and its figures move.
    let without_the_last = |shown: String| shown.rsplit_once('\n').unwrap().0.to_owned();
    for option in [&[][..], &["-v"]] {
        let [docker, own] = [&["system", "df"][..], &["du"]].map(|verb| fixture.ok(&[verb, option].concat()));
        assert_eq!(without_the_last(docker), without_the_last(own));
    }
    let told = du(fixture);
    let versions = of(&told, "images", "base")["versions"].as_array().unwrap();
    let numbers: Vec<_> = versions.iter().map(|version| number(&version["version"])).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!((&versions[0]["current"], &versions[1]["current"]), (&true.into(), &false.into()));
    assert_eq!(of(&told, "images", "base")["containers"], 1);
    let work = of(&told, "containers", "work");
    assert_eq!((&work["image"], &work["status"]), (&"base:latest".into(), &"exited".into()));
    let system = &told["backends"][0]["file_system"];
    assert!(number(&system["size"]) >= number(&system["used"]) + number(&system["free"]), "{system}");
}

fn du_of_nothing_is_nothing(fixture: &Fixture) {
    let told = du(fixture);
    assert_eq!((&told["images"], &told["containers"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(told["totals"]["images"]["size"], 0);
    assert!(fixture.ok(&["du"]).contains("Images\t0\t0\t0 B\t0 B (0%)"));
}

fn a1_what_was_written_a_moment_ago_is_counted(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let before = bytes(&du(fixture), "containers", "work", "exclusive");
    fixture.edit("work", "head -c 3M /dev/urandom > much");
    let more = bytes(&du(fixture), "containers", "work", "exclusive") - before;
    assert!((3 << 20..4 << 20).contains(&more), "3 MiB are {more} bytes");
}

fn a1_what_runs_counts_as_active(fixture: &Fixture) {
    fixture.image("base");
    fixture.image("unused");
    fixture.ok(&["run", "--name", "stopped", "base", "sh", "-c", "echo x > /x"]);
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let told = du(fixture);
    let [images, containers] = ["images", "containers"].map(|kind| &told["totals"][kind]);
    assert_eq!((&images["count"], &images["active"]), (&2.into(), &1.into()), "{told:#}");
    assert_eq!((&containers["count"], &containers["active"]), (&2.into(), &1.into()), "{told:#}");
    let stopped = bytes(&told, "containers", "stopped", "exclusive");
    assert_eq!(number(&containers["reclaimable"]), stopped, "{told:#}");
    let unused = bytes(&told, "images", "unused", "exclusive");
    assert_eq!(number(&images["reclaimable"]), unused, "{told:#}");
    living::end(fixture, job).ok();
}

/// What vanishes between the look at the records and the look at the storage is
/// left out, and nobody hears of it.
fn a4_du_goes_on_while_containers_come_and_go(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "stays", "base", "sh", "-c", "echo x > /x"]);
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for _ in 0..30 {
                fixture.ok(&["run", "--rm", "base", "sh", "-c", "echo x > /x"]);
            }
        });
        while !churn.is_finished() {
            let ended = fixture.mocker(&["du", "--format", "json"]).run();
            assert_eq!((ended.code, ended.err()), (0, String::new()));
            let told: serde_json::Value = serde_json::from_str(&ended.out()).unwrap();
            of(&told, "containers", "stays");
        }
    });
}

fn a3_du_reads_no_contents(fixture: &Fixture) {
    image_of_its_own(fixture, "base", 4);
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo x > /x"]);
    let [layer, work] = [("base", "layer"), ("work", "work")]
        .map(|(name, node)| fixture.node(number(&fixture.record(name).unwrap()[node])));
    let files: Vec<_> = [layer, work]
        .iter()
        .flat_map(|tree| walkdir::WalkDir::new(tree).into_iter().map(Result::unwrap))
        .filter(|found| found.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    assert!(files.len() > 5, "{files:?}");
    let contents = Watch::over_files(&files);
    std::fs::read(&files[0]).unwrap();
    assert!(contents.events() > 0, "the watch sees nothing");
    du(fixture);
    assert_eq!(contents.events(), 0, "contents are read");
}
