//! A JSON text with comments, changed in one place: an item goes into an object or array, or comes out.
//!
//! Every other byte stays. What [`insert`] put at the end, [`remove`] takes out without a trace, whatever the layout is.

use std::ops::Range;

use jsonc_parser::ParseResult;
use jsonc_parser::ast::{Array, Object};
use jsonc_parser::tokens::Token;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

const BLANKS: [char; 2] = [' ', '\t'];

/// An object or array: where it stands, and its items.
pub(super) struct Container {
    range: Range<usize>,
    items: Vec<Range<usize>>,
}

impl From<&Object<'_>> for Container {
    fn from(object: &Object<'_>) -> Self {
        let items = object.properties.iter().map(|property| property.range.start..property.range.end);
        Self { range: object.range.start..object.range.end, items: items.collect() }
    }
}

impl From<&Array<'_>> for Container {
    fn from(array: &Array<'_>) -> Self {
        use jsonc_parser::common::Ranged;
        let items = array.elements.iter().map(|element| element.range().start..element.range().end);
        Self { range: array.range.start..array.range.end, items: items.collect() }
    }
}

/// `text`, of which `parsed` is what was read, with one more item at the end of `container`; with a `key` in an object.
pub(super) fn insert(
    text: &str,
    parsed: &ParseResult<'_>,
    container: &Container,
    key: Option<&str>,
    value: &impl Serialize,
) -> String {
    let Container { range, items } = container;
    let newline = newline_of(text);
    let outer = indentation_at(text, range.start);
    let inner = format!("{outer}{}", unit_of(text));
    let key = key.map(|key| format!("\"{key}\": ")).unwrap_or_default();
    let in_lines = |indentation: &str| {
        let value = pretty(value, unit_of(text)).replace('\n', &format!("{newline}{indentation}"));
        format!("{newline}{indentation}{key}{value}")
    };
    let Some(last) = items.last() else {
        let (before, after) = text.split_at(range.start + 1);
        return format!("{before}{}{newline}{outer}{after}", in_lines(&inner));
    };
    let (before, after) = text.split_at(last.end);
    if !text[range.clone()].contains('\n') {
        let value = serde_json::to_string(value).unwrap_or_default();
        return format!("{before}, {key}{value}{after}");
    }
    // Below the comments that stand behind the last item.
    let (gap, end) = after.split_at(text[last.end..range.end - 1].trim_end().len());
    let is_on_its_own = text[..last.start].trim_end_matches(BLANKS).ends_with('\n');
    let item = in_lines(if is_on_its_own { indentation_at(text, last.start) } else { &inner });
    match comma(parsed, last.end..range.end) {
        Some(_) => format!("{before}{gap}{item},{end}"),
        None => format!("{before},{gap}{item}{end}"),
    }
}

/// `text` without the item at `index` of `container`, with its comma and its line.
pub(super) fn remove(text: &str, parsed: &ParseResult<'_>, container: &Container, index: usize) -> String {
    let Container { range, items } = container;
    let Some(item) = items.get(index) else { return text.to_owned() };
    let before = text[..item.start].trim_end_matches(BLANKS);
    let line = before.strip_suffix('\n').map(|before| before.strip_suffix('\r').unwrap_or(before));
    let before = line.unwrap_or(before);
    let next = items.get(index + 1).map_or(range.end, |next| next.start);
    if let Some(comma) = comma(parsed, item.end..next) {
        return format!("{before}{}", &text[comma + 1..]);
    }
    let after = &text[item.end..];
    match index.checked_sub(1).and_then(|index| comma(parsed, items[index].end..item.start)) {
        Some(comma) => format!("{}{}{after}", &text[..comma], before.get(comma + 1..).unwrap_or_default()),
        None => {
            let end = format!("{}{}", newline_of(text), indentation_at(text, range.start));
            let after = after.strip_prefix(&end).filter(|_| line.is_some()).unwrap_or(after);
            format!("{before}{after}")
        }
    }
}

/// Where the first comma within `range` stands, if it is not in a comment.
fn comma(parsed: &ParseResult<'_>, range: Range<usize>) -> Option<usize> {
    let mut tokens = parsed.tokens.iter().flatten().filter(|token| range.contains(&token.range.start));
    tokens.find(|token| token.token == Token::Comma).map(|token| token.range.start)
}

fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// By how much the text indents: as its first line that is indented.
fn unit_of(text: &str) -> &str {
    let mut indentations = text.lines().map(leading_blanks);
    indentations.find(|blanks| !blanks.is_empty()).unwrap_or("  ")
}

/// How the line is indented in which `position` is.
fn indentation_at(text: &str, position: usize) -> &str {
    let line = text[..position].rfind('\n').map_or(0, |newline| newline + 1);
    leading_blanks(&text[line..position])
}

fn leading_blanks(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches(BLANKS).len()]
}

fn pretty(value: &impl Serialize, unit: &str) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(unit.as_bytes());
    // A `Vec` takes everything, and what is written here has no keys that are no strings.
    _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    String::from_utf8(bytes).unwrap_or_default()
}
