//! JSON values: every string, every key, and what keys and pointers say about the values under them.

use serde_json::{Map, Value};

use super::named::{MIN_DIGITS, Named, VALUES};
use super::plausible::Candidate;
use super::{Action, Found, Redactor};
use crate::entry::parse::pointer_to;

/// Takes the secrets out of `value`.
pub(super) fn walk(redactor: &Redactor, value: &mut Value) -> Vec<Found> {
    let has_pointers = redactor.rules().iter().any(|rule| !rule.pointers.is_empty());
    let mut walk = Walk { redactor, has_pointers, found: Vec::new() };
    walk.visit(value, &Path { parent: None, token: "" }, None);
    walk.found
}

struct Walk<'r> {
    redactor: &'r Redactor,
    has_pointers: bool,
    found: Vec<Found>,
}

/// Where a value is. The keys are those that will be written, so that no pointer holds a secret.
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    token: &'p str,
}

impl Path<'_> {
    fn pointer(&self) -> String {
        self.parent.map_or_else(String::new, |parent| pointer_to(&parent.pointer(), self.token))
    }

    /// Whether it is where `segments` lead to.
    fn fits(&self, segments: &[String]) -> bool {
        match (self.parent, segments.split_last()) {
            (None, None) => true,
            (Some(parent), Some((last, before))) => {
                (last == "*" || last == self.token) && parent.fits(before)
            }
            _ => false,
        }
    }
}

impl Walk<'_> {
    fn visit(&mut self, value: &mut Value, path: &Path<'_>, named: Option<Named>) {
        if self.has_pointers && !value.is_null() && self.is_taken_whole(value, path) {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(kept) = self.string(text, path, named) {
                    *text = kept;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.visit(item, &Path { parent: Some(path), token: &index.to_string() }, named);
                }
            }
            Value::Object(map) => self.object(map, path, named),
            Value::Number(number) if named == Some(Named::Password) => {
                let digits = number.to_string();
                let kept = (digits.len() >= MIN_DIGITS).then(|| self.string(&digits, path, named)).flatten();
                if let Some(kept) = kept {
                    *value = Value::String(kept);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// An object, and what the name above it promises.
    fn object(&mut self, map: &mut Map<String, Value>, path: &Path<'_>, above: Option<Named>) {
        let paired = paired_name(map);
        let mut renamed = Vec::new();
        for (key, value) in map.iter_mut() {
            let (kept, found) = self.redactor.text(key);
            let inner = Path { parent: Some(path), token: &kept };
            if !found.is_empty() {
                self.tell(found, &inner);
            }
            let named = match value {
                Value::Null | Value::Bool(_) => None,
                _ if key == "value" && paired.is_some() => paired,
                _ if VALUES.contains(&key.as_str()) && above.is_some() => above,
                _ => Named::of(key),
            };
            self.visit(value, &inner, named);
            if kept != *key {
                renamed.push((key.clone(), kept.into_owned()));
            }
        }
        for (key, kept) in renamed {
            let Some(value) = map.remove(&key) else { continue };
            // Two keys can become one; none of their values is lost for that.
            let mut free = kept.clone();
            let mut number = 2;
            while map.contains_key(&free) {
                free = format!("{kept} {number}");
                number += 1;
            }
            map.insert(free, value);
        }
    }

    /// What is left of a string; `None` if it stays.
    fn string(&mut self, text: &str, path: &Path<'_>, named: Option<Named>) -> Option<String> {
        let mut spans = self.redactor.spans(text);
        if let Some(named) = named {
            spans.extend(self.redactor.named_span(text, named));
        }
        if spans.is_empty() {
            return None;
        }
        let (kept, found) = self.redactor.replace(text, spans);
        let kept = (kept != text).then(|| kept.into_owned());
        self.tell(found, path);
        kept
    }

    /// Whether a rule of the policy is about this place, and took all there was.
    fn is_taken_whole(&mut self, value: &mut Value, path: &Path<'_>) -> bool {
        let mut taken = None;
        for rule in self.redactor.rules() {
            if !rule.pointers.iter().any(|pointer| path.fits(pointer)) {
                continue;
            }
            let mark = format!("[redacted:{}]", rule.id);
            if value.as_str() == Some(&mark) {
                return true;
            }
            let found =
                Found { rule: rule.id.clone().into_owned(), pointer: path.pointer(), action: rule.action };
            self.found.push(found);
            if rule.action != Action::Warn {
                taken.get_or_insert(mark);
            }
        }
        let is_taken = taken.is_some();
        if let Some(mark) = taken {
            *value = Value::String(mark);
        }
        is_taken
    }

    fn tell(&mut self, found: Vec<Found>, path: &Path<'_>) {
        let pointer = path.pointer();
        self.found.extend(found.into_iter().map(|found| Found { pointer: pointer.clone(), ..found }));
    }
}

/// What the `name` of `{"name": "DB_PASSWORD", "value": …}` promises.
fn paired_name(map: &Map<String, Value>) -> Option<Named> {
    map.get("value")?;
    let name = map.get("name").or_else(|| map.get("key"))?.as_str()?;
    Named::of(name)
}

impl Redactor {
    /// The secret in a value of that name.
    pub(super) fn named_span(&self, text: &str, named: Named) -> Option<super::scan::Span> {
        let begin = named.secret_in(text)?;
        let (index, rule) = self.rule(named.rule())?;
        let candidate =
            Candidate { text: text.as_bytes(), matched: 0..text.len(), secret: begin..text.len() };
        rule.is_not_excepted(&candidate).then(|| self.span(begin..text.len(), index))
    }
}
