//! Text that came from outside, made harmless for where it goes.
//!
//! JSON is made safe where it is rendered (`entry::render` escapes every active character), so a terminal, a file and
//! a pipe get the same bytes.

use unicode_width::UnicodeWidthStr;

pub use crate::entry::text::visible;

/// A cell that no spreadsheet takes for a formula and no terminal obeys.
pub fn csv_cell(text: &str) -> String {
    let text = visible(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

/// `text` in at most `columns` terminal columns; a shortened text ends in `…`.
pub fn fit(text: &str, columns: usize) -> String {
    if text.len() <= columns || text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if kept.width() >= columns {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_be_a_formula_or_steer_a_terminal() {
        assert_eq!(csv_cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        for text in ["+1", "-1", "@x"] {
            assert!(csv_cell(text).starts_with('\''));
        }
        assert_eq!(csv_cell("\t=1"), "\\t=1");
        assert_eq!(csv_cell("a\u{1b}[31m"), "a\\u001b[31m");
        assert_eq!(csv_cell("plain"), "plain");
    }

    #[test]
    fn wide_text_is_cut_by_columns() {
        assert_eq!(fit("日本語テキスト", 7), "日本語…");
        assert_eq!(fit("abc", 3), "abc");
    }
}
