//! A story that is too long for one entry. The entry has as much of it as fits; the rest goes on in entries of its own,
//! `<task>.part-2` and so on, recorded by the same finish, so that nothing is lost and everything is still
//! plain JSON.

use serde_json::{Map, Value, json};

use crate::entry::parse::Invalid;
use crate::entry::{Digest, MAX_ENTRY_BYTES, Timestamp, validate};
use crate::journal::story::merge;

/// The lists that can go on in another entry, in the order in which they are put in.
const LISTS: [&str; 3] = ["steps", "artifacts", "events"];
/// What of the entry all its parts say, so that they are found together.
const COMMON: [&str; 6] = ["status", "title", "plan_id", "dispatch_info", "context", "timestamp"];
/// Room for what is around the lists, and for what a part says of itself.
const SPARE_BYTES: usize = 4 << 10;
/// An id with its suffix has at most 128 characters.
const MAX_STEM: usize = 110;

/// The documents of the entry, and of its parts where it is too long: the first one has the task's own id.
pub(super) fn of(document: Value) -> Result<Vec<Value>, Invalid> {
    let now = Timestamp::from(chrono::DateTime::UNIX_EPOCH);
    let entry = validate::entry(document.clone(), now)?;
    let Value::Object(mut whole) = document else { return Ok(Vec::new()) };
    let rendered = serde_json::to_string_pretty(&entry).map_err(|error| Invalid::whole(error.to_string()))?;
    if rendered.len() < MAX_ENTRY_BYTES {
        return Ok(vec![Value::Object(whole)]);
    }
    let lists = LISTS.map(|name| match whole.remove(name) {
        Some(Value::Array(items)) => (name, items),
        _ => (name, Vec::new()),
    });
    let mut parts = vec![Part::new(whole.clone())?];
    for (name, items) in lists {
        for item in items {
            let size = size(&item)?;
            if parts.last().is_none_or(|part| part.left < size) {
                let next = continuation(&whole, parts.len() + 1);
                parts.push(Part::new(next)?);
            }
            if let Some(part) = parts.last_mut() {
                part.left = part.left.saturating_sub(size);
                let list = part.document.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().into_iter().for_each(|list| list.push(item.clone()));
            }
        }
    }
    let count = parts.len();
    let mut documents: Vec<_> = parts.into_iter().map(|part| Value::Object(part.document)).collect();
    if let Some(first) = documents.first_mut() {
        merge(first, json!({ "metadata": { "parts": count } }));
    }
    Ok(documents)
}

struct Part {
    document: Map<String, Value>,
    /// Bytes that still fit.
    left: usize,
}

impl Part {
    fn new(document: Map<String, Value>) -> Result<Self, Invalid> {
        let taken = size(&document)? + SPARE_BYTES;
        let left = MAX_ENTRY_BYTES.checked_sub(taken).ok_or_else(|| {
            let most = MAX_ENTRY_BYTES - SPARE_BYTES;
            let rule = format!("is {} bytes without steps, artifacts and events", taken - SPARE_BYTES);
            Invalid::whole(format!("{rule}; at most {most} can be stored: give it smaller fields"))
        })?;
        Ok(Self { document, left })
    }
}

/// The number-th part, before anything is in its lists.
fn continuation(whole: &Map<String, Value>, number: usize) -> Map<String, Value> {
    let task_id = whole.get("task_id").and_then(Value::as_str).unwrap_or_default();
    let mut part: Map<_, _> =
        COMMON.iter().filter_map(|key| Some(((*key).to_owned(), whole.get(*key)?.clone()))).collect();
    let stem = match task_id.get(..MAX_STEM) {
        Some(stem) if stem.len() < task_id.len() => {
            let digest = Digest::of(task_id.as_bytes()).to_string();
            format!(
                "{}-{}",
                &stem[..MAX_STEM - 9],
                digest.rsplit(':').next().and_then(|hex| hex.get(..8)).unwrap_or_default()
            )
        }
        _ => task_id.to_owned(),
    };
    part.insert("task_id".into(), json!(format!("{stem}.part-{number}")));
    part.insert("metadata".into(), json!({ "continues": task_id, "part": number }));
    part
}

/// The bytes that a value takes in a stored entry, at most: indented as deep as a list's item is.
fn size(value: &impl serde::Serialize) -> Result<usize, Invalid> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Invalid::whole(error.to_string()))?;
    Ok(text.len() + 4 * text.lines().count() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::render;

    fn story(events: usize) -> Value {
        let event = |seq: usize| json!({"seq": seq, "type": "progress", "at": "2026-11-20T12:00:00.123Z", "metadata": {"message": format!("step {seq}")}});
        let events: Vec<_> = (1..=events).map(event).collect();
        json!({
            "task_id": "t", "status": "failed", "plan_id": "p", "timestamp": "2026-11-20T12:00:00Z",
            "artifacts": [{"ref_type": "branch", "ref_value": "main"}], "events": events,
        })
    }

    #[test]
    fn a_story_that_fits_is_one_entry() {
        assert_eq!(of(story(1000)).unwrap(), [story(1000)]);
    }

    #[test]
    fn one_that_is_too_long_without_its_lists_is_refused_as_a_whole() {
        let mut document = story(10);
        document["metadata"] = json!({ "text": "x".repeat(MAX_ENTRY_BYTES) });
        assert!(of(document).unwrap_err().to_string().contains("smaller fields"));
    }

    #[test]
    fn a_longer_one_goes_on_and_loses_nothing() {
        let parts = of(story(20_000)).unwrap();
        assert!(parts.len() > 2);
        let mut numbers = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let entry = validate::entry(part.clone(), Timestamp::from(chrono::DateTime::UNIX_EPOCH)).unwrap();
            assert!(render::stored_bytes(&entry).unwrap().len() <= MAX_ENTRY_BYTES);
            assert_eq!(entry.plan_id.as_deref(), Some("p"));
            let id = if index == 0 { "t".to_owned() } else { format!("t.part-{}", index + 1) };
            assert_eq!(entry.task_id.as_str(), id);
            numbers.extend(entry.events.unwrap().iter().map(|event| event.seq));
        }
        assert_eq!(numbers, (1..=20_000).collect::<Vec<_>>());
        assert_eq!(parts[0]["metadata"]["parts"], parts.len());
        assert_eq!(parts[1]["metadata"], json!({"continues": "t", "part": 2}));
    }
}
