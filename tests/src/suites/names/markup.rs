//! Reads back what was drawn: enough of Graphviz' language and of XML to see
//! that no text got out of its place.

/// The statements of a graph, each as its words; quoted ones keep their quotes.
///
/// # Panics
/// Where a string or a bracket is left open, or a letter stands where the
/// language has none.
pub(super) fn dot_statements(drawn: &str) -> Vec<Vec<String>> {
    let mut letters = drawn.chars().peekable();
    let mut words = Vec::new();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '"' => {
                let mut word = String::from('"');
                loop {
                    match letters.next().expect("a string is left open") {
                        '\\' => word.extend(['\\', letters.next().expect("a string ends with a backslash")]),
                        '"' => break word.push('"'),
                        '\n' => panic!("a line ends in the string {word}"),
                        letter => word.push(letter),
                    }
                }
                words.push(word);
            }
            '-' => {
                assert_eq!(letters.next(), Some('>'), "a line that is no arrow");
                words.push("->".to_owned());
            }
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                let mut word = String::from(letter);
                while let Some(next) = letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                words.push(word);
            }
            '{' | '}' | '[' | ']' | ';' | '=' | ',' => words.push(letter.to_string()),
            letter => panic!("{letter:?} stands outside of all strings"),
        }
    }
    let count = |word: &str| words.iter().filter(|found| *found == word).count();
    assert_eq!((count("{"), count("[")), (count("}"), count("]")), "a bracket is left open");
    let ends = |word: &String| ["{", "}", ";"].contains(&word.as_str());
    words.split(ends).filter(|statement| !statement.is_empty()).map(<[String]>::to_vec).collect()
}

/// The texts of the elements `text` and `title` but the first, which is the
/// picture's, in their order.
///
/// # Panics
/// Where the document is not well-formed, or uses more of XML than a picture
/// needs.
pub(super) fn well_formed(drawn: &str) -> Vec<String> {
    let (mut open, mut texts) = (Vec::new(), Vec::new());
    let mut rest = drawn.trim_end();
    while let Some((before, tag)) = rest.split_once('<') {
        let text = unescaped(before);
        if let Some("text" | "title") = open.last().copied() {
            texts.push(text);
        } else if open.last() != Some(&"style") {
            assert_eq!(text.trim(), "", "a text stands outside");
        }
        let (tag, after) = tag.split_once('>').expect("a tag is left open");
        assert!(!tag.contains(['\n', '<', '&']), "<{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> ends what is not open");
        } else if let Some(empty) = tag.strip_suffix('/') {
            attributes(empty);
        } else {
            open.push(attributes(tag));
        }
        rest = after;
        assert!(!open.is_empty() || rest.is_empty(), "something stands behind the picture: {rest}");
    }
    assert!(open.is_empty() && rest.is_empty(), "left open: {open:?}");
    texts.split_off(1)
}

/// Checks the attributes of a tag; answers its name.
fn attributes(tag: &str) -> &str {
    let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
    assert!(["svg", "title", "style", "rect", "text", "path"].contains(&name), "<{tag}>");
    let parts: Vec<_> = attributes.split('"').collect();
    assert_eq!(parts.len() % 2, 1, "a quote is left open in <{tag}>");
    assert!(parts.iter().step_by(2).all(|key| key.is_empty() || key.ends_with('=')), "<{tag}>");
    name
}

fn unescaped(text: &str) -> String {
    assert!(!text.contains('>') || text.contains('{'), "a bracket stands in {text:?}");
    let known = ["amp;", "lt;", "gt;"];
    assert!(
        text.split('&').skip(1).all(|entity| known.iter().any(|known| entity.starts_with(known))),
        "{text:?}"
    );
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
