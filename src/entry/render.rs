//! An entry to bytes. There is one sequence of bytes per entry: the digest in the commit, the Merkle log and
//! every later comparison rest on it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::parse::Invalid;
use super::text::is_active;
use super::{Entry, MAX_ENTRY_BYTES};

/// The bytes that are stored: two-space indent, keys in contract order, unknown keys sorted and last, final newline.
///
/// # Errors
/// The entry is over 1 MiB.
pub fn stored_bytes(entry: &Entry) -> Result<Vec<u8>, Invalid> {
    let bytes =
        pretty(entry).map_err(|error| Invalid::whole(format!("cannot be written as JSON: {error}")))?;
    if bytes.len() > MAX_ENTRY_BYTES {
        let rule = format!(
            "is {} bytes as it would be stored; an entry is at most 1 MiB ({MAX_ENTRY_BYTES})",
            bytes.len()
        );
        return Err(Invalid::whole(rule));
    }
    Ok(bytes)
}

/// `value` as indented JSON with a final newline, safe to print.
///
/// # Errors
/// `value` cannot be written as JSON.
pub fn pretty(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2048);
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, Inert(PrettyFormatter::with_indent(b"  "))))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// `value` as JSON on one line with a final newline, safe to print.
///
/// # Errors
/// `value` cannot be written as JSON.
pub fn compact(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1024);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Inert(CompactFormatter)))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Escapes every character that could act on a terminal, not only the ones JSON demands: the same JSON value, but
/// `cat`, `git show` and `--raw` are then as harmless as our own output.
struct Inert<F>(F);

/// The formatter's methods that have a body of their own in `PrettyFormatter` or `CompactFormatter`.
macro_rules! forward {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Inert<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Most are: an entry is rendered whenever it is compared with what is stored.
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain_from = 0;
        for (position, character) in fragment.char_indices().filter(|(_, character)| is_active(*character)) {
            writer.write_all(&fragment.as_bytes()[plain_from..position])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            plain_from = position + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain_from..])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::entry::{Timestamp, validate};

    fn bytes_of(value: Value) -> String {
        let entry = validate::entry(value, Timestamp::parse("2026-11-20T12:00:00Z").unwrap()).unwrap();
        String::from_utf8(stored_bytes(&entry).unwrap()).unwrap()
    }

    #[test]
    fn keys_stand_in_contract_order_and_unknown_ones_sorted_at_the_end() {
        let text = bytes_of(json!({
            "zebra": 1, "timestamp": "2026-11-20T13:00:00+01:00", "status": "failed", "alpha": {"y": 1, "x": [1, 2.5]},
            "plan_id": "p", "task_id": "t", "title": "T", "dispatch_info": {"z": 1, "agent_id": "a"},
        }));
        let expected = "{\n  \"schema\": \"git-audit/entry/v1\",\n  \"task_id\": \"t\",\n  \"status\": \"failed\",\n  \
            \"title\": \"T\",\n  \"plan_id\": \"p\",\n  \"dispatch_info\": {\n    \"agent_id\": \"a\",\n    \"z\": 1\n  },\n  \
            \"timestamp\": \"2026-11-20T12:00:00Z\",\n  \"alpha\": {\n    \"x\": [\n      1,\n      2.5\n    ],\n    \"y\": 1\n  },\n  \
            \"zebra\": 1\n}\n";
        assert_eq!(text, expected);
    }

    /// `preserve_order` and `arbitrary_precision`, turned on by any dependency, would change stored bytes.
    #[test]
    fn serde_json_features_that_change_our_bytes_are_off() {
        let value: Value = serde_json::from_str(r#"{"b":1.10,"a":1e2}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"a":100.0,"b":1.1}"#);
        // How a double is spelled comes from a dependency of serde_json: it must not change under our digests.
        let doubles = [0.1, 1e-7, 1e15, 1e16, 1.5e300, 5e-324, -0.0, 123_456_789.125];
        let spelled =
            ["0.1", "1e-7", "1000000000000000.0", "1e+16", "1.5e+300", "5e-324", "-0.0", "123456789.125"];
        assert_eq!(doubles.map(|double| Value::from(double).to_string()), spelled);
    }

    #[test]
    fn text_that_could_act_on_a_terminal_is_stored_escaped_and_reads_back_equal() {
        let title = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}txt\u{2028} 日本 👩‍🚀";
        let text = bytes_of(json!({"task_id": "t", "status": "failed", "title": title}));
        assert!(text.contains(r"a\u001b[2J\u009b31m\u007f\u202etxt\u2028 日本 👩‍🚀"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["title"], title);
    }

    #[test]
    fn an_entry_over_one_mebibyte_is_refused() {
        let value = json!({"task_id": "t", "status": "failed", "title": "x".repeat(MAX_ENTRY_BYTES)});
        let entry = validate::entry(value, Timestamp::parse("2026-11-20T12:00:00Z").unwrap()).unwrap();
        assert!(stored_bytes(&entry).unwrap_err().rule.contains("1 MiB"));
    }
}
