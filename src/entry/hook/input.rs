//! A hook's JSON, read leniently: a value of another type than asked for is as good as absent.

use serde_json::{Map, Value};

use crate::entry::text::{shorten, visible};

/// The most bytes of a text that is kept, such as a title.
const MAX_LINE_BYTES: usize = 200;
/// The most bytes of a word.
const MAX_WORD_BYTES: usize = 64;

/// One object of a hook's JSON.
#[derive(Clone, Copy)]
pub(super) struct Input<'i>(&'i Map<String, Value>);

impl<'i> Input<'i> {
    pub fn of(value: &'i Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    pub fn any(&self, key: &str) -> Option<&'i Value> {
        self.0.get(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub fn text(&self, key: &str) -> Option<&'i str> {
        self.0.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    pub fn object(&self, key: &str) -> Option<Input<'i>> {
        Self::of(self.0.get(key)?)
    }

    pub fn texts(&self, key: &str) -> impl Iterator<Item = &'i str> + use<'i> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A whole number from 0; one with a fraction is rounded.
    pub fn number(&self, key: &str) -> Option<u64> {
        let value = self.0.get(key)?;
        let rounded = || value.as_f64().filter(|number| (0.0..1e15).contains(number)).map(f64::round);
        value.as_u64().or_else(|| rounded().map(|number| number as u64))
    }

    /// A short text on one line: a name, a title.
    pub fn line(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| shorten(&visible(text), MAX_LINE_BYTES))
    }

    /// One of a set of words that the agent chooses from. Anything else could be somebody's text.
    pub fn word(&self, key: &str) -> Option<&'i str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        self.text(key).filter(|text| text.len() <= MAX_WORD_BYTES && text.bytes().all(fits))
    }
}

/// `value` without its `null`s, and without the arrays and objects that are empty then.
pub(super) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { return Map::new() };
    let kept = map.into_iter().filter_map(|(key, value)| match value {
        Value::Null => None,
        Value::Array(items) => (!items.is_empty()).then(|| (key, items.into())),
        Value::Object(_) => {
            Some(object(value)).filter(|inner| !inner.is_empty()).map(|inner| (key, inner.into()))
        }
        value => Some((key, value)),
    });
    kept.collect()
}
