//! `--where /pointer=VALUE`: a question about any field.

use serde_json::Value;

/// A field and the value that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// JSON pointer (RFC 6901) into the stored entry.
    pub pointer: String,
    /// The value's text: a string as it is, anything else as JSON.
    pub value: String,
}

impl Condition {
    /// Reads `/pointer=VALUE`.
    ///
    /// # Errors
    /// It has not that form; a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (pointer, value) =
            text.split_once('=').ok_or("expected /POINTER=VALUE, such as /metadata/ticket=OPS-7")?;
        if !pointer.starts_with('/') {
            return Err(format!(
                "`{pointer}` is no JSON pointer: it begins with `/`, such as /metadata/ticket"
            ));
        }
        if pointer.ends_with([' ', '!', '<', '>']) || pointer.contains("/*") {
            return Err(format!(
                "`{pointer}` looks like more than a pointer: the form is /POINTER=VALUE, exactly, without blanks and wildcards"
            ));
        }
        let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !escapes {
            return Err(format!("in `{pointer}`, `~` is written `~0` (and `/` inside a key `~1`)"));
        }
        Ok(Self { pointer: pointer.to_owned(), value: value.to_owned() })
    }

    /// Whether the field has the value. An array has it where one of its elements does.
    pub fn admits(&self, entry: &Value) -> bool {
        match entry.pointer(&self.pointer) {
            None => false,
            Some(Value::Array(elements)) => elements.iter().any(|element| self.is(element)),
            Some(found) => self.is(found),
        }
    }

    fn is(&self, found: &Value) -> bool {
        match found {
            Value::String(text) => *text == self.value,
            scalar @ (Value::Null | Value::Bool(_) | Value::Number(_)) => format!("{scalar}") == self.value,
            Value::Array(_) | Value::Object(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_is_compared_exactly_and_an_array_by_its_elements() {
        let entry = json!({"a": {"b/c": "x=y"}, "n": 3, "ok": true, "none": null, "list": ["p", 4], "d": {}});
        for fits in ["/a/b~1c=x=y", "/n=3", "/ok=true", "/none=null", "/list=p", "/list=4", "/list/0=p"] {
            assert!(Condition::parse(fits).unwrap().admits(&entry), "{fits}");
        }
        for fails in ["/a=x", "/n=3.0", "/ok=True", "/list=q", "/missing=", "/d={}", "/n="] {
            assert!(!Condition::parse(fails).unwrap().admits(&entry), "{fails}");
        }
        for refused in ["n=3", "/n", "/a~b=1", "", "/n!=3", "/n = 3", "/list/*/a=1"] {
            assert!(Condition::parse(refused).is_err(), "{refused}");
        }
    }
}
