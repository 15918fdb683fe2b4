//! Text that came from outside: which characters could act on a terminal or hide what is written, how they are
//! made visible, and how long text is cut.

use std::fmt::Write as _;

/// Whether `character` could steer a terminal or disguise text: C0, DEL and C1 controls, line and paragraph
/// separators, and the bidirectional controls. Joiners (in emoji, Persian, Hindi) are ordinary text.
pub fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line, each active character written as its JSON escape (`\u001b`, `\n`).
pub fn visible(text: &str) -> String {
    // Most text is: this is printed a thousand times over.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Every active character is in the basic plane, so four digits are enough.
            _ if is_active(character) => _ = write!(line, "\\u{:04x}", u32::from(character)),
            _ => line.push(character),
        }
    }
    line
}

/// The first line that has something on it.
pub fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

/// Cuts `text` to at most `max_bytes`, at a character boundary; a cut text ends in
/// `... (truncated, total N bytes)`, which is inside the limit, so that cutting twice changes nothing.
pub fn truncate(text: &str, max_bytes: usize) -> String {
    truncate_of(text, max_bytes, text.len() as u64)
}

/// [`truncate`] for `text` that is only the beginning of one that has `total_bytes`.
pub fn truncate_of(text: &str, max_bytes: usize, total_bytes: u64) -> String {
    if total_bytes <= max_bytes as u64 {
        return text.to_owned();
    }
    let note = format!("... (truncated, total {total_bytes} bytes)");
    let keep = text.floor_char_boundary(max_bytes.saturating_sub(note.len()));
    format!("{}{note}", &text[..keep])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_characters_become_visible_and_ordinary_text_stays() {
        assert_eq!(visible("a\u{1b}[31mb\u{9b}c\u{202e}d\n"), "a\\u001b[31mb\\u009bc\\u202ed\\n");
        assert_eq!(visible("日本語 👩‍🚀 نص"), "日本語 👩‍🚀 نص");
    }

    #[test]
    fn a_cut_text_keeps_whole_characters_fits_and_is_not_cut_again() {
        let long = "é".repeat(6000);
        let cut = truncate(&long, 5 * 1024);
        assert!(cut.len() <= 5 * 1024);
        assert!(cut.ends_with("é... (truncated, total 12000 bytes)"));
        assert_eq!(truncate(&cut, 5 * 1024), cut);
        assert_eq!(truncate("short", 5), "short");
    }
}
