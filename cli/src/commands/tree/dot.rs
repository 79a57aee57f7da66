//! The tree in Graphviz' language (graphviz.org/doc/info/lang.html).

use std::fmt::Write;

use mocker_core::engine::{Lineage, Parent};
use mocker_core::image::escaped;

use super::{about, doing, state};

pub(super) fn draw(lineage: &Lineage) -> String {
    let mut out = String::from(
        "digraph mocker {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  \
         edge [fontname=\"sans-serif\"];\n",
    );
    let mut edges = String::new();
    let mut edge = |from: &Option<Parent>, to: &str| {
        if let Some(from) = from {
            let look = if from.same_tree { " [style=dashed, label=\"same tree\"]" } else { "" };
            let parent = quoted(&[&format!("{}@{}", from.image, from.version)]);
            // Writing to a text cannot fail.
            let _written = writeln!(edges, "  {parent} -> {}{look};", quoted(&[to]));
        }
    };
    for image in &lineage.images {
        let cluster = quoted(&[&format!("cluster_{}", image.id)]);
        let called = image.name.as_deref().unwrap_or_default();
        out += &format!("  subgraph {cluster} {{\n    label={};\n", quoted(&[called, &image.id]));
        for version in &image.versions {
            let id = format!("{}@{}", image.id, version.version);
            let number = format!("@{}  {}", version.version, state(version).unwrap_or_default());
            let style = match (version.current, version.pruned) {
                (true, _) => ", style=bold",
                (_, true) => ", style=dotted",
                _ => "",
            };
            let label = quoted(&[number.trim_end(), &about(version)]);
            out += &format!("    {} [label={label}{style}];\n", quoted(&[&id]));
            edge(&version.from, &id);
        }
        out += "  }\n";
    }
    for container in &lineage.containers {
        let called = container.name.as_deref().unwrap_or_default();
        let label = quoted(&[called, &container.id, &doing(container)]);
        out += &format!("  {} [shape=ellipse, label={label}];\n", quoted(&[&container.id]));
        edge(&container.from, &container.id);
    }
    out + &edges + "}\n"
}

/// Lines as one quoted string. Beside the quote, Graphviz gives a meaning to
/// backslashes and to entities such as `&lt;`.
fn quoted(lines: &[&str]) -> String {
    let line = |line: &&str| escaped(line).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;");
    let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty()).map(line).collect();
    format!("\"{}\"", lines.join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn whatever_is_quoted_stays_one_string() {
        assert_eq!(quoted(&["a", "", "b"]), r#""a\nb""#);
        assert_eq!(quoted(&[r#"a" -> "b"#]), r#""a\" -> \"b""#);
        assert_eq!(quoted(&[r"ends with \"]), r#""ends with \\""#);
        assert_eq!(quoted(&["&lt;\n\u{1b}"]), r#""&amp;lt;\\n\\u{1b}""#);
    }
}
