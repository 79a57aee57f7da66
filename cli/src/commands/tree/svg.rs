//! The tree as a picture: one SVG file that needs nothing else, with colours
//! for a light and for a dark page.
//!
//! What comes from something stands to the right of it. The first that came
//! from a version stands beside it, so that the line of an image is straight.

use std::collections::HashMap;

use mocker_core::engine::{Lineage, Parent};
use mocker_core::image::escaped;

use super::{Names, about, doing, state};

/// The size of a box and of the gaps between boxes, in pixels.
const BOX: (usize, usize) = (220, 50);
const GAP: (usize, usize) = (40, 16);
/// What a line holds at most in the font that the boxes have.
const LETTERS: usize = 28;

const STYLE: &str = "\
svg{--back:#ffffff;--ink:#1f2328;--faint:#59636e;--line:#8c959f;--image:#ddf4ff;--here:#0969da;--work:#fff8c5}
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--ink:#f0f6fc;--faint:#9198a1;--line:#656c76;\
--image:#12304f;--here:#4493f8;--work:#3f3410}}
.page{fill:var(--back);stroke:none}
text{font:12px ui-monospace,monospace;fill:var(--ink)}
.faint{fill:var(--faint)}
rect{stroke:var(--line);fill:var(--image)}
.container{fill:var(--work)}
.current{stroke:var(--here);stroke-width:2.5}
.pruned{stroke-dasharray:4 3;fill:none}
path{fill:none;stroke:var(--line);stroke-width:1.5}
.same{stroke-dasharray:4 3}";

/// A box, and where it stands.
struct Place {
    class: &'static str,
    lines: [String; 2],
    title: [String; 3],
    from: Option<(usize, bool)>,
    column: usize,
    row: usize,
}

pub(super) fn draw(lineage: &Lineage) -> String {
    let mut places = places(lineage);
    let rows = arrange(&mut places);
    let columns = places.iter().map(|place| place.column + 1).max().unwrap_or(0);
    let (width, height) = (columns * (BOX.0 + GAP.0) + GAP.0, rows * (BOX.1 + GAP.1) + GAP.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>mocker tree</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    );
    for place in &places {
        let Some((from, same)) = place.from else { continue };
        let ((x, y), (left, top)) = (corner(&places[from]), corner(place));
        let (x, y, top) = (x + BOX.0, y + BOX.1 / 2, top + BOX.1 / 2);
        let class = if same { " class=\"same\"" } else { "" };
        let bend = x + GAP.0 / 2;
        out += &format!("<path{class} d=\"M{x} {y}H{bend}V{top}H{left}\"/>\n");
    }
    for place in &places {
        let ((x, y), class) = (corner(place), place.class);
        // What is too long is cut at the edge of the box, a picture in the picture.
        out += &format!(
            "<svg x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"><title>{}</title>\
             <rect class=\"{class}\" x=\"2\" y=\"2\" width=\"{}\" height=\"{}\" rx=\"6\"/>\
             <text x=\"10\" y=\"21\">{}</text><text class=\"faint\" x=\"10\" y=\"39\">{}</text></svg>\n",
            BOX.0,
            BOX.1,
            xml(&place.title.iter().map(String::as_str).collect::<Vec<_>>()),
            BOX.0 - 4,
            BOX.1 - 4,
            xml(&[&short(&place.lines[0])]),
            xml(&[&short(&place.lines[1])]),
        );
    }
    out + "</svg>\n"
}

fn corner(place: &Place) -> (usize, usize) {
    (GAP.0 + place.column * (BOX.0 + GAP.0), GAP.1 + place.row * (BOX.1 + GAP.1))
}

fn places(lineage: &Lineage) -> Vec<Place> {
    let names = Names::of(lineage);
    let versions =
        || lineage.images.iter().flat_map(|image| image.versions.iter().map(move |of| (image, of)));
    let index: HashMap<(&str, u32), usize> =
        versions().enumerate().map(|(place, (image, of))| ((image.id.as_str(), of.version), place)).collect();
    let from = |parent: &Option<Parent>| {
        let parent = parent.as_ref()?;
        Some((*index.get(&(parent.image.as_str(), parent.version))?, parent.same_tree))
    };
    let mut places: Vec<Place> = Vec::new();
    for (image, version) in versions() {
        let called = names.version(&image.id, version.version);
        let title = [called.clone(), image.id.clone(), about(version)];
        let class = state(version).unwrap_or("version");
        let lines = [called, about(version)];
        places.push(Place { class, lines, title, from: from(&version.from), column: 0, row: 0 });
    }
    for container in &lineage.containers {
        let called = container.name.as_deref().unwrap_or(&container.id).to_owned();
        let title = [called.clone(), container.id.clone(), doing(container)];
        let lines = [called, format!("container, {}", doing(container))];
        let from = from(&container.from);
        places.push(Place { class: "container", lines, title, from, column: 0, row: 0 });
    }
    places
}

/// Gives each box its column and row; answers how many rows there are.
fn arrange(places: &mut [Place]) -> usize {
    let mut below = vec![Vec::new(); places.len()];
    let mut todo = Vec::new();
    for (place, of) in places.iter().enumerate().rev() {
        match of.from {
            // The last that is put down is taken up first.
            Some((from, _)) => below[from].push(place),
            None => todo.push((place, 0)),
        }
    }
    let (mut row, mut beside) = (0, true);
    while let Some((place, column)) = todo.pop() {
        // The first below a box stands beside it, and is the next that comes.
        row += usize::from(!beside);
        (places[place].column, places[place].row) = (column, row);
        beside = !below[place].is_empty();
        todo.extend(below[place].iter().map(|child| (*child, column + 1)));
    }
    row + usize::from(!places.is_empty())
}

/// A text that fits into a box.
fn short(text: &str) -> String {
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => text[..end].to_owned() + "…",
        None => text.to_owned(),
    }
}

/// Lines as the content of an XML element. Letters that XML cannot carry are
/// escaped or replaced (www.w3.org/TR/xml/#charsets).
fn xml(lines: &[&str]) -> String {
    let mut out = String::new();
    for letter in lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n").chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(from: Option<usize>) -> Place {
        let empty = || String::new();
        let lines = [empty(), empty()];
        Place {
            class: "",
            lines,
            title: [empty(), empty(), empty()],
            from: from.map(|of| (of, false)),
            column: 0,
            row: 0,
        }
    }

    #[test]
    fn a_line_is_straight_and_no_two_boxes_stand_in_one_place() {
        // 0 ← 1 ← 2, two more from 0, one of them with a line of its own, and a tree beside.
        let mut places = [None, Some(0), Some(1), Some(0), Some(3), Some(0), None].map(place);
        assert_eq!(arrange(&mut places), 4);
        let stands: Vec<_> = places.iter().map(|place| (place.column, place.row)).collect();
        assert_eq!(stands, [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (0, 3)]);
        assert_eq!(arrange(&mut []), 0);
    }

    #[test]
    fn no_text_ends_its_element() {
        assert_eq!(
            xml(&["<a href=\"x\">&\u{1b}\n", "b\u{ffff}"]),
            "&lt;a href=\"x\"&gt;&amp;\\u{1b}\\n\nb\u{fffd}"
        );
    }
}
