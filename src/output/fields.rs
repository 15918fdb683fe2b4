//! The fields of a list: their names, where they stand in an answer, and the columns that CSV has. `--fields` picks
//! from them, or names any place by a JSON pointer.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::list::List;

/// A field of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name: the column's, and the key in JSON.
    pub name: String,
    /// JSON pointer (RFC 6901) into the answer.
    pointer: String,
}

/// Names and pointers of an entry's fields; the first [`ENTRY_COLUMNS`] are the columns of CSV.
const ENTRY: [(&str, &str); 25] = [
    ("task_id", "/task_id"),
    ("status", "/status"),
    ("timestamp", "/timestamp"),
    ("title", "/title"),
    ("error_message", "/error_message"),
    ("plan_id", "/plan_id"),
    ("agent_id", "/dispatch_info/agent_id"),
    ("agent_pool", "/dispatch_info/agent_pool"),
    ("intent", "/execution_result/outcome/action_type"),
    ("services", "/execution_result/services_touched"),
    ("start_time", "/execution_result/start_time"),
    ("end_time", "/execution_result/end_time"),
    ("commit", "/commit"),
    ("path", "/path"),
    ("recorded_at", "/recorded_at"),
    ("plan_steps", "/plan_steps"),
    ("workspace_id", "/context/workspace_id"),
    ("worktree_path", "/context/worktree_path"),
    ("project_number", "/context/project_number"),
    ("phase_number", "/context/phase_number"),
    ("session_id", "/context/session_id"),
    ("correlation_id", "/context/correlation_id"),
    ("worker_id", "/context/worker_id"),
    ("actor", "/context/actor"),
    ("supersedes", "/supersedes"),
];
const ENTRY_COLUMNS: usize = 15;

const ARTIFACT: [(&str, &str); 10] = [
    ("task_id", "/task_id"),
    ("repo_id", "/artifact/repo_id"),
    ("ref_type", "/artifact/ref_type"),
    ("ref_value", "/artifact/ref_value"),
    ("summary", "/artifact/summary"),
    ("created_at", "/artifact/created_at"),
    ("task_status", "/task_status"),
    ("timestamp", "/timestamp"),
    ("commit", "/commit"),
    ("recorded_at", "/recorded_at"),
];

const EVENT: [(&str, &str); 19] = [
    ("task_id", "/task_id"),
    ("seq", "/event/seq"),
    ("type", "/event/type"),
    ("at", "/event/at"),
    ("level", "/event/level"),
    ("repo_id", "/event/repo_id"),
    ("operation", "/event/operation"),
    ("status", "/event/status"),
    ("files_changed", "/event/files_changed"),
    ("lines_added", "/event/lines_added"),
    ("lines_deleted", "/event/lines_deleted"),
    ("commit_hash", "/event/commit_hash"),
    ("error_message", "/event/error_message"),
    ("git_status_summary", "/event/git_status_summary"),
    ("git_diff_summary", "/event/git_diff_summary"),
    ("task_status", "/task_status"),
    ("timestamp", "/timestamp"),
    ("commit", "/commit"),
    ("recorded_at", "/recorded_at"),
];

const STEP: [(&str, &str); 15] = [
    ("task_id", "/task_id"),
    ("step_id", "/step/step_id"),
    ("name", "/step/name"),
    ("success", "/step/success"),
    ("execution_time_ms", "/step/execution_time_ms"),
    ("worker_id", "/worker_id"),
    ("correlation_id", "/correlation_id"),
    ("transition_id", "/step/transition_id"),
    ("from_state", "/step/from_state"),
    ("to_state", "/step/to_state"),
    ("result_ref", "/step/result_ref"),
    ("task_status", "/task_status"),
    ("timestamp", "/timestamp"),
    ("commit", "/commit"),
    ("recorded_at", "/recorded_at"),
];

fn known(list: List) -> &'static [(&'static str, &'static str)] {
    match list {
        List::Entries => &ENTRY,
        List::Artifacts => &ARTIFACT,
        List::Events => &EVENT,
        List::Steps => &STEP,
    }
}

impl Field {
    /// The columns of the list's CSV.
    pub(super) fn columns(list: List) -> Vec<Self> {
        let columns = if list == List::Entries { &ENTRY[..ENTRY_COLUMNS] } else { known(list) };
        columns.iter().map(|(name, pointer)| Self::new(name, pointer)).collect()
    }

    fn new(name: &str, pointer: &str) -> Self {
        Self { name: name.to_owned(), pointer: pointer.to_owned() }
    }

    /// The field of that name, or at that pointer.
    ///
    /// # Errors
    /// There is none; a sentence that names those there are.
    pub fn parse(list: List, text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::new(text, text));
        }
        let found = known(list).iter().find(|(name, _)| *name == text);
        found.map(|(name, pointer)| Self::new(name, pointer)).ok_or_else(|| {
            let names: Vec<_> = known(list).iter().map(|(name, _)| *name).collect();
            let like = |name: &&&str| name.starts_with(text) && !text.is_empty();
            let meant =
                names.iter().find(like).map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
            format!(
                "no field `{text}`{meant}; there are {}, or any JSON pointer such as /metadata/ticket",
                names.join(", ")
            )
        })
    }

    /// The field's value in an answer.
    pub(super) fn of<'a>(&self, answer: &'a Value) -> &'a Value {
        answer.pointer(&self.pointer).unwrap_or(&Value::Null)
    }

    /// The field's value as text: lists of words joined with `;`, nothing for what is not there.
    pub(super) fn text(&self, answer: &Value) -> String {
        match self.of(answer) {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(elements) if elements.iter().all(Value::is_string) => {
                elements.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")
            }
            other => other.to_string(),
        }
    }
}

/// An answer with nothing but some of its fields, in their order.
pub(super) struct Picked<'a> {
    pub answer: &'a Value,
    pub fields: &'a [Field],
}

impl Serialize for Picked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for field in self.fields {
            map.serialize_entry(&field.name, field.of(self.answer))?;
        }
        map.end()
    }
}
