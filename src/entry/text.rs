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
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    // One that was cut before, and has grown since, says how long it was at first.
    let (start, total_bytes) = cut_before(text).unwrap_or((text, 0));
    truncate_of(start, max_bytes, total_bytes.max(text.len() as u64))
}

/// [`truncate`] for text that is redacted later, when it is cut already: between words, so that it cannot end in half a
/// secret, which no rule would know. A word that is too long goes as a whole; beside characters that no token has, it
/// ends, too.
pub fn shorten(text: &str, max_bytes: usize) -> String {
    shorten_of(text, max_bytes, text.len() as u64)
}

/// [`shorten`] for `text` that is only the beginning of one that has `total_bytes`.
pub fn shorten_of(text: &str, max_bytes: usize, total_bytes: u64) -> String {
    if total_bytes <= max_bytes as u64 {
        return text.to_owned();
    }
    let note = note(total_bytes);
    // What comes next may begin a word, too.
    let fits = text.floor_char_boundary(max_bytes.saturating_sub(note.len()));
    let next = text.ceil_char_boundary(fits + 1);
    let ends_word = |character: char| character.is_whitespace() || !character.is_ascii();
    let keep = text[..next].rfind(ends_word).unwrap_or(0);
    format!("{}{note}", &text[..keep])
}

/// The beginning of a text that was cut, and how long the whole was.
fn cut_before(text: &str) -> Option<(&str, u64)> {
    let (start, number) = text.strip_suffix(" bytes)")?.rsplit_once("... (truncated, total ")?;
    Some((start, number.parse().ok()?))
}

fn note(total_bytes: u64) -> String {
    format!("... (truncated, total {total_bytes} bytes)")
}

/// [`truncate`] for `text` that is only the beginning of one that has `total_bytes`.
pub fn truncate_of(text: &str, max_bytes: usize, total_bytes: u64) -> String {
    if total_bytes <= max_bytes as u64 {
        return text.to_owned();
    }
    let note = note(total_bytes);
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
        let grown = cut.replacen("éé", "[redacted:x]", 1);
        assert!(truncate(&grown, 5 * 1024).ends_with("... (truncated, total 12000 bytes)"));
    }

    #[test]
    fn what_is_redacted_later_is_cut_between_words() {
        let note = |text: &str| format!("... (truncated, total {} bytes)", text.len());
        for (start, rest) in [
            ("one two", " three-four-five"),
            ("one", "\nsecretsecretsecret"),
            ("", "secretsecretsecretsecret"),
            ("日本", "語secretsecretsecret"),
            ("one-two-three", " four"),
        ] {
            let text = format!("{start}{rest}{}", "x".repeat(100));
            let most = 13 + note(&text).len();
            assert_eq!(shorten(&text, most), format!("{start}{}", note(&text)));
        }
        assert_eq!(shorten("short one", 9), "short one");
    }
}
