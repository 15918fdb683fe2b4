//! What a journal says: the task's story so far, and the entry that it becomes.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::capture::Baseline;
use super::process::{Liveness, Process};
use super::record::{Finish, Line, Record, Start};

const ARTIFACT_KEYS: [&str; 3] = ["repo_id", "ref_type", "ref_value"];
const STEP_KEYS: [&str; 2] = ["step_id", "transition_id"];

/// A task's story.
#[derive(Clone, Debug)]
pub struct Story {
    /// How it began.
    pub start: Start,
    /// Whose it is now; `None`: nobody's in particular.
    pub owner: Option<Process>,
    /// What happened, each with its `seq`.
    pub events: Vec<Value>,
    /// What it left behind.
    pub artifacts: Vec<Value>,
    /// Its steps.
    pub steps: Vec<Value>,
    /// The repositories that it works in.
    pub repositories: Vec<Worked>,
    /// How it ended, if that was said already.
    pub finish: Option<Finish>,
    /// Lines, from 1, that cannot be read.
    pub unreadable: Vec<usize>,
    /// The keys of its artifacts and steps: there may be thousands, and each is asked for.
    known: BTreeSet<String>,
}

/// A repository that a task works in.
#[derive(Clone, Debug)]
pub struct Worked {
    /// How it was when the task began with it.
    pub first: Baseline,
    /// How it was when it was last looked at.
    pub last: Baseline,
}

impl Story {
    /// What `journal` says. A last line without its end was never acknowledged, and is passed over. `None`: it does not
    /// say how the task began.
    pub(super) fn read(journal: &[u8]) -> Option<Self> {
        let mut story = None;
        let mut unreadable = Vec::new();
        let whole = journal.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        for (index, line) in whole.enumerate() {
            match serde_json::from_slice::<Line>(line) {
                Ok(line) => match &mut story {
                    None => {
                        story = Self::begin(line.record);
                        // What it is about is lost.
                        unreadable.extend(story.is_none().then_some(index + 1));
                    }
                    Some(story) => story.take(line),
                },
                Err(_) => unreadable.push(index + 1),
            }
        }
        story.map(|story| Self { unreadable, ..story })
    }

    fn begin(record: Record) -> Option<Self> {
        let Record::Start(start) = record else { return None };
        Some(Self {
            owner: start.owner.clone(),
            start,
            events: Vec::new(),
            artifacts: Vec::new(),
            steps: Vec::new(),
            repositories: Vec::new(),
            finish: None,
            unreadable: Vec::new(),
            known: BTreeSet::new(),
        })
    }

    /// With one more line.
    #[must_use]
    pub fn with(mut self, record: Record) -> Self {
        let last = self.last_number();
        let seq = if matches!(record, Record::Event { .. }) { last.saturating_add(1) } else { last };
        self.take(Line { seq, record });
        self
    }

    fn last_number(&self) -> u64 {
        self.events.iter().filter_map(|event| event.get("seq")?.as_u64()).max().unwrap_or(0)
    }

    fn take(&mut self, Line { seq, record }: Line) {
        match record {
            // Whoever wrote a second one lost a race for the empty file; the first one holds.
            Record::Start(_) => {}
            Record::Resume { owner, fields } => {
                self.owner = owner;
                merge(&mut self.start.fields, fields);
            }
            Record::Event { mut event } => {
                event.insert("seq".into(), Value::from(seq));
                self.events.push(Value::Object(event));
            }
            // An entry has each of them once, whatever two writers took down at the same time.
            Record::Artifact { artifact } => {
                if self.known.insert(key_of(&artifact, &ARTIFACT_KEYS)) {
                    self.artifacts.push(Value::Object(artifact));
                }
            }
            Record::Step { step } => {
                if self.known.insert(key_of(&step, &STEP_KEYS)) {
                    self.steps.push(Value::Object(step));
                }
            }
            Record::Repository { baseline } => {
                match self.repositories.iter_mut().find(|worked| worked.first.path == baseline.path) {
                    Some(worked) => worked.last = baseline,
                    None => self.repositories.push(Worked { first: baseline.clone(), last: baseline }),
                }
            }
            Record::Finish(finish) => self.finish = Some(finish),
        }
    }

    /// Whether its process lives. `None`: it has none.
    pub fn liveness(&self) -> Option<Liveness> {
        self.owner.as_ref().map(Process::liveness)
    }

    /// Whether it is the run of a command, which says so when it begins.
    pub fn is_of_command(&self) -> bool {
        self.events.first().is_some_and(|event| event.pointer("/metadata/command").is_some())
    }

    /// Whether it has this artifact already.
    pub fn has_artifact(&self, artifact: &Map<String, Value>) -> bool {
        self.known.contains(&key_of(artifact, &ARTIFACT_KEYS))
    }

    /// Whether it has the result of this step, and transition, already.
    pub fn has_step(&self, step: &Map<String, Value>) -> bool {
        self.known.contains(&key_of(step, &STEP_KEYS))
    }

    /// When something was last heard of it.
    pub fn last_heard_of(&self) -> &str {
        let at = self.events.iter().rev().find_map(|event| event.get("at")?.as_str());
        at.unwrap_or(&self.start.at)
    }

    /// The whole entry as the caller would have written it, once it ends as `finish` says.
    pub fn into_document(self, finish: Finish) -> Value {
        let ends = last_events(&finish, self.last_number());
        let Finish { at, fields } = finish;
        let mut document = json!({ "execution_result": { "start_time": self.start.at, "end_time": at } });
        document["timestamp"] = Value::from(at);
        merge(&mut document, self.start.fields);
        merge(&mut document, fields);
        let events = self.events.into_iter().chain(ends).collect();
        for (key, items) in [("steps", self.steps), ("events", events), ("artifacts", self.artifacts)] {
            if !items.is_empty() {
                merge(&mut document, json!({ key: items }));
            }
        }
        document["task_id"] = Value::from(self.start.task_id);
        document
    }
}

/// The events that a story ends with; `last` is the number of the one before.
fn last_events(finish: &Finish, last: u64) -> Vec<Value> {
    let error = finish.fields.get("error_message").filter(|error| !error.is_null());
    let error =
        error.map(|error| json!({ "type": "execute_error", "level": "error", "error_message": error }));
    let end = json!({ "type": "task_complete", "status": finish.fields.get("status") });
    let mut events: Vec<_> = error.into_iter().chain([end]).collect();
    for (seq, event) in (last + 1..).zip(&mut events) {
        event["seq"] = json!(seq);
        event["at"] = json!(finish.at);
    }
    events
}

/// What an item is told apart by, as one text.
fn key_of(item: &Map<String, Value>, keys: &[&str]) -> String {
    keys.iter().map(|key| format!("{key}:{}\n", json!(item.get(*key)))).collect()
}

/// Puts `more` into `value`: objects are put together, lists joined, everything else takes the place of what was there.
pub fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(value), Value::Object(more)) => {
            for (key, more) in more {
                merge(value.entry(key).or_insert(Value::Null), more);
            }
        }
        (Value::Array(items), Value::Array(more)) => {
            let known: BTreeSet<_> = items.iter().map(Value::to_string).collect();
            items.extend(more.into_iter().filter(|item| !known.contains(&item.to_string())));
        }
        (_, Value::Null) => {}
        (value, more) => *value = more,
    }
}

/// The same for the fields of an object.
pub fn merged(fields: Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    let mut whole = Value::Object(fields);
    merge(&mut whole, Value::Object(more));
    match whole {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_fields_win_and_lists_are_joined() {
        let mut fields = json!({"title": "a", "context": {"session_id": "s"}, "services": ["web"]});
        merge(
            &mut fields,
            json!({"title": "b", "context": {"actor": "x", "session_id": null}, "services": ["web", "db"]}),
        );
        let whole =
            json!({"title": "b", "context": {"session_id": "s", "actor": "x"}, "services": ["web", "db"]});
        assert_eq!(fields, whole);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_a_bad_one_named() {
        let start = r#"{"seq":0,"record":"start","schema":"git-audit/journal/v1","task_id":"t","at":"2026-11-20T12:00:00Z","is_durable":true,"fields":{}}"#;
        let event = r#"{"seq":1,"record":"event","event":{"type":"task_start"}}"#;
        let journal = format!("{start}\n{event}\nnonsense\n{{\"seq\":2,\"record\":\"ev");
        let story = Story::read(journal.as_bytes()).unwrap();
        assert_eq!(story.events, [json!({"seq": 1, "type": "task_start"})]);
        assert_eq!(story.unreadable, [3]);
        assert!(Story::read(b"").is_none());
        assert!(Story::read(event.as_bytes()).is_none());
    }
}
