//! L6: `tree` shows what came from what, as the layers tell it, for people, for
//! programs and as a picture.

use std::collections::BTreeSet;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use mocker_core::backend::Layers;
use serde_json::{Value, json};

use super::inspect::inspect;
use super::markup::{dot_statements, well_formed};
use super::{field, id, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        l6_a_tree_shows_which_version_came_from_which,
        l6_a_tree_is_the_same_as_the_chains_of_layers,
        l6_a_tree_of_some_shows_their_kin_and_no_others,
        l6_what_is_left_hangs_on_the_nearest_ancestor_that_is_left,
        a_tree_is_drawn_for_people,
        a_tree_is_drawn_for_graphviz,
        a_tree_is_drawn_as_a_picture,
        s8_texts_in_a_tree_are_data_in_every_format,
    ]
}

fn tree(fixture: &Fixture, words: &[&str]) -> Value {
    serde_json::from_str(&fixture.ok(&[&["tree", "--format", "json"], words].concat())).unwrap()
}

/// A family: `base` of three versions, the third made from the first; `derived`
/// from the second; `tagged`, a tag of the second; `other`, no kin; and the
/// containers that all of it was made with.
fn family(fixture: &Fixture) {
    fixture.image("base");
    for (container, from, to) in
        [("first", "base@1", "base"), ("second", "base@1", "base"), ("third", "base@2", "derived")]
    {
        write(fixture, container, from, container);
        fixture.ok(&["commit", "-m", &format!("by {container}"), container, to]);
    }
    fixture.ok(&["tag", "base@2", "tagged"]);
    fixture.image("other");
    fixture.ok(&["run", "--name", "alone", "other", "true"]);
}

/// What each object comes from: `name@version` or a container's name, behind it
/// the parent, and whether both are one tree.
fn origins(tree: &Value) -> BTreeSet<(String, String)> {
    let list = |name: &str| tree[name].as_array().unwrap().clone();
    let name = |id: &Value| {
        let found = list("images").into_iter().find(|image| image["id"] == *id).unwrap();
        found["name"]
            .as_str()
            .map_or_else(|| id.as_str().unwrap().to_owned(), |name| name.replace(":latest", ""))
    };
    let from = |from: &Value| match from {
        Value::Null => "-".to_owned(),
        from => {
            let same = if from["same_tree"] == true { "=" } else { "" };
            format!("{same}{}@{}", name(&from["image"]), from["version"])
        }
    };
    let mut all = BTreeSet::new();
    for image in list("images") {
        for version in image["versions"].as_array().unwrap() {
            all.insert((format!("{}@{}", name(&image["id"]), version["version"]), from(&version["from"])));
        }
    }
    for container in list("containers") {
        all.insert((container["name"].as_str().unwrap().to_owned(), from(&container["from"])));
    }
    all
}

fn expected(pairs: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    pairs.iter().map(|(of, from)| ((*of).to_owned(), (*from).to_owned())).collect()
}

const FAMILY: [(&str, &str); 10] = [
    ("base@1", "-"),
    ("base@2", "base@1"),
    ("base@3", "base@1"),
    ("derived@1", "base@2"),
    ("tagged@1", "=base@2"),
    ("other@1", "-"),
    ("first", "base@1"),
    ("second", "base@1"),
    ("third", "base@2"),
    ("alone", "other@1"),
];

fn l6_a_tree_shows_which_version_came_from_which(fixture: &Fixture) {
    assert_eq!(tree(fixture, &[]), json!({ "images": [], "containers": [] }));
    assert_eq!(fixture.ok(&["tree"]), "");
    family(fixture);
    let all = tree(fixture, &[]);
    assert_eq!(origins(&all), expected(&FAMILY));
    let base = &all["images"][0];
    assert_eq!((&base["name"], &base["backend"]), (&"base:latest".into(), &fixture.lane().backend().into()));
    let versions = base["versions"].as_array().unwrap();
    assert_eq!((&versions[1]["message"], &versions[1]["current"]), (&"by first".into(), &false.into()));
    assert_eq!((&versions[2]["message"], &versions[2]["current"]), (&"by second".into(), &true.into()));
    let alone = all["containers"].as_array().unwrap().iter().find(|found| found["name"] == "alone").unwrap();
    assert_eq!((&alone["status"], &alone["exit_code"]), (&"exited".into(), &0.into()));
    // A rollback changes nothing but which version is current.
    fixture.ok(&["rollback", "base", "1"]);
    assert_eq!(origins(&tree(fixture, &[])), expected(&FAMILY));
    assert_eq!(tree(fixture, &[])["images"][0]["versions"][0]["current"], true);
}

fn l6_a_tree_is_the_same_as_the_chains_of_layers(fixture: &Fixture) {
    family(fixture);
    let all = tree(fixture, &[]);
    let mut tips = Vec::new();
    for image in all["images"].as_array().unwrap() {
        for version in image["versions"].as_array().unwrap() {
            let object = format!("{}@{}", image["id"].as_str().unwrap(), version["version"]);
            let chain = inspect(fixture, &[&object])[0]["RootFS"]["Layers"].as_array().unwrap().clone();
            assert_eq!(chain.last(), Some(&version["layer"]), "{object}");
            tips.push((object, version["from"].clone(), chain));
        }
    }
    for (object, from, chain) in &tips {
        if from.is_null() {
            assert_eq!(chain.len(), 1, "{object} comes from nothing, and stands on something");
            continue;
        }
        let parent = format!("{}@{}", from["image"].as_str().unwrap(), from["version"]);
        let above = &tips.iter().find(|(object, ..)| *object == parent).unwrap().2;
        let more = usize::from(from["same_tree"] == false);
        assert_eq!(chain[..chain.len() - more], above[..], "{object} is not made over {parent}");
    }
}

fn l6_a_tree_of_some_shows_their_kin_and_no_others(fixture: &Fixture) {
    family(fixture);
    let names = |words: &[&str]| -> BTreeSet<String> {
        origins(&tree(fixture, words)).into_iter().map(|(of, _)| of).collect()
    };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let base = ["base@1", "base@2", "base@3"];
    let all_of_base = [&base[..], &["derived@1", "tagged@1", "first", "second", "third"]].concat();
    assert_eq!(names(&["base"]), set(&all_of_base));
    assert_eq!(names(&[&id(fixture, "base")]), set(&all_of_base));
    assert_eq!(
        names(&["derived"]),
        set(&[&base[..], &["derived@1"]].concat()),
        "its ancestors, not their other children"
    );
    assert_eq!(names(&["first"]), set(&[&base[..], &["first"]].concat()));
    assert_eq!(names(&["other"]), set(&["other@1", "alone"]));
    assert_eq!(names(&["alone", "tagged"]), set(&[&base[..], &["tagged@1", "other@1", "alone"]].concat()));
    let said = fixture.fails(&["tree", "nowhere"], 1);
    assert!(said.contains("No container named 'nowhere' exists"), "{said}");
    let said = fixture.fails(&["tree", "base@2"], 1);
    assert!(said.contains("try: 'mocker tree base'"), "{said}");
}

fn l6_what_is_left_hangs_on_the_nearest_ancestor_that_is_left(fixture: &Fixture) {
    fixture.image("great");
    for (parent, child) in [("great", "grand"), ("grand", "parent"), ("parent", "child")] {
        write(fixture, &format!("of-{parent}"), parent, child);
        fixture.ok(&["commit", &format!("of-{parent}"), child]);
    }
    fixture.ok(&["rm", "of-great", "of-parent", "parent", "grand"]);
    let left = origins(&tree(fixture, &[]));
    // Where a layer is a whole tree, one in the middle goes with its image; a container keeps its own.
    let child = match fixture.capabilities().layers {
        Layers::Whole => "-",
        Layers::Delta => "great@1",
    };
    assert_eq!(left, expected(&[("great@1", "-"), ("child@1", child), ("of-grand", "great@1")]));
    let drawn = fixture.ok(&["tree"]);
    assert!(drawn.contains("of-grand"), "{drawn}");
    assert_eq!(drawn.contains("what it came from is gone"), child == "-", "{drawn}");
}

fn a_tree_is_drawn_for_people(fixture: &Fixture) {
    family(fixture);
    let backend = fixture.lane().backend();
    let ids = ["base", "first", "second", "derived", "third", "tagged", "other", "alone"]
        .map(|name| id(fixture, name));
    let [base, first, second, derived, third, tagged, other, alone] = &ids;
    let short = |text: String| match text.char_indices().nth(45) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let init = short(format!("mocker init {}", fixture.rootfs().display()));
    let tag = short(format!("mocker tag {base}@2 tagged:latest"));
    let drawn = format!(
        "base:latest  {base}  {backend}
├── @1  {init}
│   ├── first  {first}  exited (0)
│   └── second  {second}  exited (0)
├── @2  by first
│   ├── third  {third}  exited (0)
│   ├── derived:latest  {derived}  {backend}
│   │   └── @1  current  by third
│   └── tagged:latest  {tagged}  {backend}
│       └── @1  current  {tag}  same tree as base:latest@2
└── @3  current  by second  from base:latest@1
other:latest  {other}  {backend}
└── @1  current  {init}
    └── alone  {alone}  exited (0)"
    );
    assert_eq!(fixture.ok(&["tree"]), drawn);
}

fn a_tree_is_drawn_for_graphviz(fixture: &Fixture) {
    family(fixture);
    let drawn = fixture.ok(&["tree", "--format", "dot"]);
    let statements = dot_statements(&drawn);
    let edges: BTreeSet<_> =
        statements.iter().filter(|statement| statement.contains(&"->".to_owned())).cloned().collect();
    let expected: BTreeSet<Vec<String>> = {
        let all = tree(fixture, &[]);
        let images = all["images"].as_array().unwrap();
        let versions = images.iter().flat_map(|image| {
            image["versions"].as_array().unwrap().iter().map(move |version| {
                (format!("{}@{}", image["id"].as_str().unwrap(), version["version"]), version["from"].clone())
            })
        });
        let containers = all["containers"].as_array().unwrap().iter();
        let containers = containers
            .map(|container| (container["id"].as_str().unwrap().to_owned(), container["from"].clone()));
        let edge = |(id, from): (String, Value)| {
            let parent = format!("{}@{}", from["image"].as_str()?, from["version"]);
            let look: &[&str] = if from["same_tree"] == true {
                &["[", "style", "=", "dashed", ",", "label", "=", "\"same tree\"", "]"]
            } else {
                &[]
            };
            let words = [format!("\"{parent}\""), "->".to_owned(), format!("\"{id}\"")];
            Some(words.into_iter().chain(look.iter().map(|word| (*word).to_owned())).collect())
        };
        versions.chain(containers).filter_map(edge).collect()
    };
    assert_eq!(edges, expected);
    draws_with_graphviz(fixture, &drawn);
}

/// Graphviz itself takes it, where it is installed.
fn draws_with_graphviz(fixture: &Fixture, drawn: &str) {
    let file = fixture.scratch().join("lineage.dot");
    std::fs::write(&file, drawn).unwrap();
    match std::process::Command::new("dot").arg("-Tsvg").arg(&file).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        ended => {
            let ended = ended.unwrap();
            assert!(
                ended.status.success() && ended.stderr.is_empty(),
                "{}",
                String::from_utf8_lossy(&ended.stderr)
            );
        }
    }
}

fn a_tree_is_drawn_as_a_picture(fixture: &Fixture) {
    assert!(
        well_formed(&fixture.ok(&["tree", "--format", "svg"])).is_empty(),
        "there is something in an empty root"
    );
    family(fixture);
    let drawn = fixture.ok(&["tree", "--format", "svg"]);
    let texts = well_formed(&drawn);
    for text in [
        "base:latest@1",
        "base:latest@3",
        "derived:latest@1",
        "tagged:latest@1",
        "alone",
        "by first",
        &id(fixture, "third"),
    ] {
        assert!(texts.iter().any(|found| found.lines().any(|line| line == text)), "{text}: {texts:?}");
    }
    // Nothing is fetched from anywhere, nothing runs, and both sorts of pages were thought of.
    let without_name = drawn.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for word in ["http", "href", "<script", "url(", "@import", "<image", "<foreignObject"] {
        assert!(!without_name.contains(word), "{word}: {drawn}");
    }
    assert!(drawn.contains("prefers-color-scheme:dark"));
    assert_eq!(drawn.matches("<path").count(), FAMILY.iter().filter(|(_, from)| *from != "-").count());
    // No two boxes stand in one place.
    let boxes: Vec<_> =
        drawn.match_indices("<svg x=").map(|(at, _)| drawn[at..].split(" width").next().unwrap()).collect();
    assert_eq!(boxes.len(), FAMILY.len());
    assert_eq!(boxes.iter().collect::<BTreeSet<_>>().len(), boxes.len(), "{boxes:?}");
}

fn s8_texts_in_a_tree_are_data_in_every_format(fixture: &Fixture) {
    fixture.image("base");
    let evil = [
        "\"];\n x -> y [label=\"",
        "</text></svg><script>alert(1)</script>",
        "]]> &amp; &lt; & <!-- ' \\",
        "\\",
        "\u{1b}[2J\u{9b}31m\u{202e}\u{7}\r\n\ttab",
        "名前 \u{ffff}",
        "$(touch x) `x` {a|b} \\N \\G",
    ];
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    for text in evil {
        fixture.ok(&["commit", "-m", text, "work", "base"]);
    }
    let all = tree(fixture, &[]);
    let versions = all["images"][0]["versions"].as_array().unwrap();
    let messages: Vec<_> = versions[1..].iter().map(|version| version["message"].as_str().unwrap()).collect();
    assert_eq!(messages, evil);
    let harmless = |drawn: &str| {
        assert!(
            !drawn.contains(|letter: char| mocker_core::image::is_obeyed(letter) && letter != '\n'),
            "{drawn:?}"
        );
    };
    let text = fixture.ok(&["tree"]);
    harmless(&text);
    assert_eq!(text.lines().count(), evil.len() + 3, "a text has made a line of its own: {text}");
    let dot = fixture.ok(&["tree", "--format", "dot"]);
    harmless(&dot);
    let plain = dot_statements(&dot).len();
    assert!(!dot_statements(&dot).iter().any(|statement| statement.contains(&"x".to_owned())), "{dot}");
    draws_with_graphviz(fixture, &dot);
    let svg = fixture.ok(&["tree", "--format", "svg"]);
    harmless(&svg);
    let texts = well_formed(&svg);
    assert!(texts.iter().any(|text| text.contains("<script>alert(1)</script>")), "{texts:?}");
    assert!(!svg.contains("<script") && !svg.contains('\u{ffff}'), "{svg}");
    harmless(&fixture.ok(&["tree", "--format", "json"]));
    // As many statements as there are without such texts.
    for _ in evil {
        fixture.ok(&["commit", "-m", "plain", "work", "base"]);
    }
    assert_eq!(dot_statements(&fixture.ok(&["tree", "--format", "dot"])).len(), plain + 2 * evil.len());
    assert_eq!(field(fixture, "base", "versions"), 15);
}
