//! Outside bytes to JSON, strictly: whatever JSON libraries commonly pass over in silence (a repeated key, a digit
//! that does not fit) is refused here, because the ledger keeps what it is given for ever.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting of an input. Common JSON readers stop at 128 levels, and an answer wraps an entry in a few.
const MAX_DEPTH: usize = 100;

/// What is wrong with an input, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    /// JSON pointer (RFC 6901) of the value, where one is to blame. The empty pointer is the whole document.
    pub pointer: Option<String>,
    /// Line in the document, from 1.
    pub line: Option<usize>,
    /// Column in that line, in bytes, from 1.
    pub column: Option<usize>,
    /// The rule that is broken, in words.
    pub rule: String,
}

impl Invalid {
    /// A broken rule about the value at `pointer`.
    pub fn at(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), rule: rule.into(), ..Self::default() }
    }

    /// A broken rule about the document as a whole.
    pub fn whole(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), ..Self::default() }
    }

    fn at_byte(text: &[u8], offset: usize, rule: impl Into<String>) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Self { line: Some(line), column: Some(offset - line_start + 1), rule: rule.into(), pointer: None }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pointer) = self.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            write!(formatter, "{pointer}: ")?;
        }
        formatter.write_str(&self.rule)
    }
}

/// Appends one reference token to a JSON pointer (RFC 6901: `~` is `~0`, `/` is `~1`).
pub fn pointer_to(parent: &str, token: impl fmt::Display) -> String {
    format!("{parent}/{}", token.to_string().replace('~', "~0").replace('/', "~1"))
}

/// Parses one JSON document.
///
/// # Errors
/// Not UTF-8, a byte order mark, a syntax error, nesting over 100 levels, a repeated key, an unpaired surrogate,
/// data after the value, or an integer that 64 bits cannot keep.
pub fn parse(bytes: &[u8]) -> Result<Value, Invalid> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Invalid::at_byte(bytes, 0, "begins with a byte order mark (BOM); JSON has none"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Invalid::at_byte(bytes, error.valid_up_to(), "is not UTF-8"))?;
    if text.trim_ascii().is_empty() {
        return Err(Invalid::whole("is empty: expected a JSON object"));
    }
    refuse_wide_integers(bytes)?;
    let path = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = StrictValue { path: &path }
        .deserialize(&mut deserializer)
        .map_err(|error| syntax_error(&error, Some(&path.borrow())))?;
    deserializer.end().map_err(|error| syntax_error(&error, None))?;
    Ok(value)
}

fn syntax_error(error: &serde_json::Error, path: Option<&[String]>) -> Invalid {
    let message = error.to_string();
    let rule = message.split(" at line ").next().unwrap_or(&message);
    let rule = match rule {
        "trailing characters" => "has data after the JSON value".to_owned(),
        "recursion limit exceeded" => format!("is nested deeper than {MAX_DEPTH} levels"),
        "EOF while parsing a value"
        | "EOF while parsing an object"
        | "EOF while parsing a list"
        | "EOF while parsing a string" => format!("is truncated ({rule})"),
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            format!("has an unpaired surrogate (\\ud800 to \\udfff) in a string ({rule})")
        }
        _ if message.starts_with("duplicate key") => rule.to_owned(),
        _ => format!("is not valid JSON: {rule}"),
    };
    let pointer = path.filter(|path| !path.is_empty() && path.len() <= 16);
    let pointer = pointer.map(|path| path.iter().fold(String::new(), pointer_to_owned));
    Invalid { pointer, line: Some(error.line()), column: Some(error.column()), rule }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that fold wants")]
fn pointer_to_owned(parent: String, token: &String) -> String {
    pointer_to(&parent, token)
}

/// serde_json turns an integer that no 64-bit type holds into a float and so loses digits in silence.
fn refuse_wide_integers(bytes: &[u8]) -> Result<(), Invalid> {
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'"' => position = end_of_string(bytes, position + 1),
            b'-' | b'0'..=b'9' => {
                let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = bytes[position..].iter().take_while(|byte| is_number(byte)).count();
                let literal = std::str::from_utf8(&bytes[position..position + length]).unwrap_or_default();
                let integer = !literal.contains(['.', 'e', 'E']);
                if integer
                    && literal.len() > 18
                    && literal.parse::<u64>().is_err()
                    && literal.parse::<i64>().is_err()
                {
                    let rule = format!(
                        "the integer {} does not fit in 64 bits; write it as a string",
                        shorten(literal)
                    );
                    return Err(Invalid::at_byte(bytes, position, rule));
                }
                position += length;
            }
            _ => position += 1,
        }
    }
    Ok(())
}

fn end_of_string(bytes: &[u8], mut position: usize) -> usize {
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            b'"' => return position + 1,
            _ => position += 1,
        }
    }
    position
}

fn shorten(literal: &str) -> String {
    if literal.len() <= 40 { literal.to_owned() } else { format!("{}…", &literal[..40]) }
}

/// Builds a [`Value`] and refuses a key that comes twice. `path` holds where it stands when an error stops it.
struct StrictValue<'a> {
    path: &'a RefCell<Vec<String>>,
}

impl StrictValue<'_> {
    fn within<T, E: serde::de::Error>(
        &self,
        token: String,
        read: impl FnOnce(Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.path.borrow_mut().push(token);
        if self.path.borrow().len() > MAX_DEPTH {
            return Err(E::custom("recursion limit exceeded"));
        }
        let value = read(StrictValue { path: self.path })?;
        self.path.borrow_mut().pop();
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for StrictValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = self.within(items.len().to_string(), |seed| access.next_element_seed(seed))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if map.contains_key(&key) {
                self.path.borrow_mut().push(key);
                return Err(A::Error::custom("duplicate key"));
            }
            let value = self.within(key.clone(), |seed| access.next_value_seed(seed))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Invalid {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn names_the_place_of_a_repeated_key() {
        let invalid = refusal("{\"a\": {\n\"b\": 1, \"c/d\": [0, {\"x\": 1, \"x\": 2}]}}");
        assert_eq!(invalid.pointer.as_deref(), Some("/a/c~1d/1/x"));
        assert_eq!((invalid.line, invalid.rule.as_str()), (Some(2), "duplicate key"));
    }

    #[test]
    fn refuses_deep_nesting_without_a_stack_overflow() {
        assert_eq!(refusal(&"[".repeat(1_000_000)).rule, "is nested deeper than 100 levels");
    }

    #[test]
    fn refuses_integers_that_would_lose_digits_and_only_those() {
        assert!(refusal("{\"n\": 123456789012345678901234567890}").rule.contains("does not fit in 64 bits"));
        for text in [
            "18446744073709551615",
            "-9223372036854775808",
            "1e300",
            "\"123456789012345678901234567890\"",
            "0.1",
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_line_and_column_of_bytes_that_are_not_utf_8() {
        let invalid = parse(b"{\n  \"a\": \"\xff\"}").unwrap_err();
        assert_eq!((invalid.line, invalid.column), (Some(2), Some(9)));
    }

    #[test]
    fn refuses_bom_truncation_trailing_data_and_lone_surrogates() {
        assert!(refusal("\u{feff}{}").rule.contains("BOM"));
        assert!(refusal("{\"a\": \"b").rule.contains("truncated"));
        assert!(refusal("{} x").rule.contains("after the JSON value"));
        assert!(refusal("{\"a\": \"\\ud800\"}").rule.contains("surrogate"));
        assert!(refusal("{\"a\": \"\\ud800\\u0041\"}").rule.contains("surrogate"));
        assert!(refusal(" \n").rule.contains("empty"));
        assert!(refusal("{\"a\": 1e400}").rule.contains("out of range"));
    }
}
