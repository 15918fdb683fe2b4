//! Paths as git writes them: quoted like a C string where a byte could be taken for something else.

use std::fmt::Write as _;

use crate::entry::text::is_active;

/// The path as `git diff` writes it, with `core.quotePath` as it is by default.
pub(super) fn quoted(path: &[u8]) -> String {
    let plain = path.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
    if plain { String::from_utf8_lossy(path).into_owned() } else { in_quotes(path) }
}

/// The path as `git status --porcelain` writes it: one with a blank is quoted as well.
pub(super) fn quoted_in_status(path: &[u8]) -> String {
    let path = quoted(path);
    if path.contains(' ') && !path.starts_with('"') { format!("\"{path}\"") } else { path }
}

/// The path as people know it, if it is text; else as git quotes it. What begins with `"` is quoted.
pub(super) fn readable(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(|character| is_active(character) || matches!(character, '"' | '\\')) => {
            text.to_owned()
        }
        _ => in_quotes(path),
    }
}

fn in_quotes(path: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in path {
        match byte {
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b'\t' => text.push_str("\\t"),
            b'\n' => text.push_str("\\n"),
            0x0b => text.push_str("\\v"),
            0x0c => text.push_str("\\f"),
            b'\r' => text.push_str("\\r"),
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_git_quotes_it() {
        assert_eq!(quoted(b"a b"), "a b");
        assert_eq!(quoted_in_status(b"a b"), r#""a b""#);
        assert_eq!(quoted("é\t\"".as_bytes()), r#""\303\251\t\"""#);
        assert_eq!(quoted(b"\x01\xff"), r#""\001\377""#);
    }

    #[test]
    fn a_readable_path_is_text_or_quoted() {
        assert_eq!(readable("é b".as_bytes()), "é b");
        assert_eq!(readable(b"a\nb"), r#""a\nb""#);
        assert_eq!(readable(b"\xff"), r#""\377""#);
    }
}
