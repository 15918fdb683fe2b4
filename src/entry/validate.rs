//! JSON to an [`Entry`]: each field taken out by name and checked, each refusal with the JSON pointer of its value.
//!
//! `null` means "left out" for every field that version 1 names, because many callers serialise absent values so.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::parse::{Invalid, pointer_to};
use super::text::truncate;
use super::{
    Artifact, DispatchInfo, Entry, Event, ExecutionResult, Extra, MAX_DIFF_SUMMARY_BYTES,
    MAX_STATUS_SUMMARY_BYTES, RefType, RunContext, SCHEMA, Status, Step, TaskId, Timestamp,
};

/// Checks `value` by the rules of version 1 and fills in what the caller may leave out: `schema`, `timestamp`
/// (`now`) and the events' `seq`. Over-long summaries are cut.
///
/// # Errors
/// The first rule that is broken, with the pointer of the value that breaks it.
pub fn entry(value: Value, now: Timestamp) -> Result<Entry, Invalid> {
    let Value::Object(map) = value else {
        let several =
            if value.is_array() { "; give one object per line, as `jq -c '.[]'` prints them" } else { "" };
        return Err(Invalid::at("", format!("must be a JSON object, is {}{several}", kind_of(&value))));
    };
    let mut fields = Fields::of(map);
    if let Some(schema) = fields.text("schema")?.filter(|schema| schema != SCHEMA) {
        let rule =
            format!("is `{}`; this version writes `{SCHEMA}` (leave it out)", super::text::visible(&schema));
        return Err(Invalid::at("/schema", rule));
    }
    let task_id = fields.task_id("task_id")?.ok_or_else(|| Invalid::at("/task_id", "task_id is missing"))?;
    let status = fields.one_of("status", &Status::ALL, Status::as_str)?;
    let entry = Entry {
        schema: SCHEMA,
        status: status.ok_or_else(|| {
            Invalid::at(
                "/status",
                format!("status is missing: one of {}", words(&Status::ALL, Status::as_str)),
            )
        })?,
        title: fields.text("title")?,
        error_message: fields.text("error_message")?,
        plan_id: fields.text("plan_id")?,
        plan_steps: fields.texts("plan_steps")?,
        dispatch_info: fields.section("dispatch_info", dispatch_info)?,
        execution_result: fields.section("execution_result", execution_result)?,
        context: fields.section("context", run_context)?,
        steps: fields.list("steps", step)?,
        events: fields.list("events", DraftEvent::take)?.map(number_events).transpose()?,
        artifacts: fields.list("artifacts", artifact)?,
        supersedes: fields.task_id("supersedes")?,
        metadata: fields.object("metadata")?,
        timestamp: fields.time("timestamp")?.unwrap_or(now),
        task_id,
        extra: fields.rest(),
    };
    check_uniqueness(&entry)?;
    if entry.supersedes.as_ref() == Some(&entry.task_id) {
        return Err(Invalid::at(
            "/supersedes",
            "an entry cannot supersede itself: give the correction its own task_id",
        ));
    }
    Ok(entry)
}

/// One event on its own, without its number: a task that is still running has those.
///
/// # Errors
/// As [`entry`]; pointers are into the event.
pub fn lone_event(event: Map<String, Value>) -> Result<Event, Invalid> {
    DraftEvent::take(Fields::of(event)).map(|draft| draft.event)
}

/// One artifact on its own.
///
/// # Errors
/// As [`entry`]; pointers are into the artifact.
pub fn lone_artifact(value: Map<String, Value>) -> Result<Artifact, Invalid> {
    artifact(Fields::of(value))
}

/// One step on its own.
///
/// # Errors
/// As [`entry`]; pointers are into the step.
pub fn lone_step(value: Map<String, Value>) -> Result<Step, Invalid> {
    step(Fields::of(value))
}

fn dispatch_info(mut fields: Fields) -> Result<DispatchInfo, Invalid> {
    Ok(DispatchInfo {
        agent_pool: fields.text("agent_pool")?,
        agent_id: fields.text("agent_id")?,
        dispatch_timestamp: fields.time("dispatch_timestamp")?,
        extra: fields.rest(),
    })
}

fn execution_result(mut fields: Fields) -> Result<ExecutionResult, Invalid> {
    Ok(ExecutionResult {
        outcome: fields.any("outcome"),
        resources_used: fields.object("resources_used")?,
        services_touched: fields.texts("services_touched")?,
        start_time: fields.time("start_time")?,
        end_time: fields.time("end_time")?,
        extra: fields.rest(),
    })
}

fn run_context(mut fields: Fields) -> Result<RunContext, Invalid> {
    Ok(RunContext {
        workspace_id: fields.text("workspace_id")?,
        worktree_path: fields.text("worktree_path")?,
        project_number: fields.number("project_number")?,
        phase_number: fields.number("phase_number")?,
        session_id: fields.text("session_id")?,
        correlation_id: fields.text("correlation_id")?,
        worker_id: fields.text("worker_id")?,
        actor: fields.text("actor")?,
        extra: fields.rest(),
    })
}

fn step(mut fields: Fields) -> Result<Step, Invalid> {
    Ok(Step {
        step_id: fields.required("step_id", Fields::text)?,
        name: fields.text("name")?,
        success: fields.flag("success")?,
        execution_time_ms: fields.number("execution_time_ms")?,
        worker_id: fields.text("worker_id")?,
        correlation_id: fields.text("correlation_id")?,
        transition_id: fields.text("transition_id")?,
        from_state: fields.text("from_state")?,
        to_state: fields.text("to_state")?,
        result: fields.any("result"),
        result_ref: fields.text("result_ref")?,
        extra: fields.rest(),
    })
}

/// An event before its sequence number is settled.
struct DraftEvent {
    seq: Option<u64>,
    event: Event,
}

impl DraftEvent {
    fn take(mut fields: Fields) -> Result<Self, Invalid> {
        let seq = fields.number("seq")?;
        let summary = |text: Option<String>, limit| text.map(|text| truncate(&text, limit));
        let event = Event {
            seq: 0,
            event_type: fields.required("type", Fields::event_type)?,
            at: fields.time("at")?,
            level: fields.text("level")?,
            repo_id: fields.text("repo_id")?,
            operation: fields.text("operation")?,
            status: fields.text("status")?,
            files_changed: fields.texts("files_changed")?,
            lines_added: fields.number("lines_added")?,
            lines_deleted: fields.number("lines_deleted")?,
            commit_hash: fields.text("commit_hash")?,
            git_status_summary: summary(fields.text("git_status_summary")?, MAX_STATUS_SUMMARY_BYTES),
            git_diff_summary: summary(fields.text("git_diff_summary")?, MAX_DIFF_SUMMARY_BYTES),
            error_message: fields.text("error_message")?,
            metadata: fields.object("metadata")?,
            extra: fields.rest(),
        };
        Ok(Self { seq, event })
    }
}

/// Events without a number get the numbers after the highest given one, in their order.
fn number_events(drafts: Vec<DraftEvent>) -> Result<Vec<Event>, Invalid> {
    let mut taken = BTreeSet::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(seq) = draft.seq.filter(|seq| !taken.insert(*seq)) {
            return Err(Invalid::at(
                format!("/events/{index}/seq"),
                format!("duplicate seq {seq}: no two events share one"),
            ));
        }
    }
    let mut last = taken.last().copied().unwrap_or(0);
    let numbered = drafts.into_iter().enumerate().map(|(index, DraftEvent { seq, event })| {
        let seq = match seq {
            Some(seq) => seq,
            None => {
                let exhausted = || {
                    Invalid::at(format!("/events/{index}/seq"), "no seq is left after the highest one given")
                };
                last = last.checked_add(1).ok_or_else(exhausted)?;
                last
            }
        };
        Ok(Event { seq, ..event })
    });
    numbered.collect()
}

fn artifact(mut fields: Fields) -> Result<Artifact, Invalid> {
    Ok(Artifact {
        repo_id: fields.text("repo_id")?,
        ref_type: fields
            .required("ref_type", |fields, key| fields.one_of(key, &RefType::ALL, RefType::as_str))?,
        ref_value: fields.required("ref_value", Fields::text)?,
        summary: fields.text("summary")?,
        metadata: fields.object("metadata")?,
        created_at: fields.time("created_at")?,
        extra: fields.rest(),
    })
}

fn check_uniqueness(entry: &Entry) -> Result<(), Invalid> {
    let mut steps = BTreeSet::new();
    for (index, step) in entry.steps.iter().flatten().enumerate() {
        if !steps.insert((&step.step_id, &step.transition_id)) {
            let rule = "duplicate step: (step_id, transition_id) is there already";
            return Err(Invalid::at(format!("/steps/{index}"), rule));
        }
    }
    let mut artifacts = BTreeSet::new();
    for (index, artifact) in entry.artifacts.iter().flatten().enumerate() {
        if !artifacts.insert((&artifact.repo_id, artifact.ref_type, &artifact.ref_value)) {
            let rule = "duplicate artifact: (repo_id, ref_type, ref_value) is there already";
            return Err(Invalid::at(format!("/artifacts/{index}"), rule));
        }
    }
    Ok(())
}

/// The fields of one JSON object that nobody has taken yet.
struct Fields {
    map: Map<String, Value>,
    pointer: String,
}

impl Fields {
    fn of(map: Map<String, Value>) -> Self {
        Self { map, pointer: String::new() }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str, value: &Value) -> Invalid {
        Invalid::at(
            pointer_to(&self.pointer, key),
            format!("{key} must be {expected}, is {}", kind_of(value)),
        )
    }

    fn required<T>(
        &mut self,
        key: &str,
        take: impl FnOnce(&mut Self, &str) -> Result<Option<T>, Invalid>,
    ) -> Result<T, Invalid> {
        let pointer = pointer_to(&self.pointer, key);
        take(self, key)?.ok_or_else(|| Invalid::at(pointer, format!("{key} is missing")))
    }

    fn any(&mut self, key: &str) -> Option<Value> {
        self.take(key)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "a string", &other)),
        }
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(key, "true or false", &other)),
        }
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_u64() => Ok(number.as_u64()),
            Some(other) => Err(self.wrong(key, "a whole number from 0", &other)),
        }
    }

    fn object(&mut self, key: &str) -> Result<Option<Map<String, Value>>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong(key, "an object", &other)),
        }
    }

    fn array(&mut self, key: &str, expected: &str) -> Result<Option<Vec<Value>>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(key, expected, &other)),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Invalid> {
        let Some(items) = self.array(key, "an array of strings")? else { return Ok(None) };
        let pointer = pointer_to(&self.pointer, key);
        let texts = items.into_iter().enumerate().map(|(index, item)| match item {
            Value::String(text) => Ok(text),
            other => {
                let rule = format!("must be a string, is {}", kind_of(&other));
                Err(Invalid::at(pointer_to(&pointer, index), rule))
            }
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    fn time(&mut self, key: &str) -> Result<Option<Timestamp>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let invalid = || {
            let rule = format!(
                "{key} must be an RFC 3339 time with a zone, such as 2026-11-03T14:05:09Z; is `{}`",
                super::text::visible(&truncate(&text, 80))
            );
            Invalid::at(pointer_to(&self.pointer, key), rule)
        };
        Timestamp::parse(&text).ok_or_else(invalid).map(Some)
    }

    fn task_id(&mut self, key: &str) -> Result<Option<TaskId>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let named = |rule: String| format!("{rule}; is `{}`", super::text::visible(&truncate(&text, 80)));
        TaskId::new(&text).map_err(|rule| Invalid::at(pointer_to(&self.pointer, key), named(rule))).map(Some)
    }

    fn event_type(&mut self, key: &str) -> Result<Option<String>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let fits = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
            });
        if fits {
            return Ok(Some(text));
        }
        let rule = "an event's type is lower-case letters, digits, `_` and `.`, beginning with a letter, such as repo_commit";
        Err(Invalid::at(pointer_to(&self.pointer, key), rule))
    }

    fn one_of<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<Option<T>, Invalid> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Some(known) = all.iter().copied().find(|candidate| word(*candidate) == text) {
            return Ok(Some(known));
        }
        let rule = format!(
            "{key} must be one of {}; is `{}`",
            words(all, word),
            super::text::visible(&truncate(&text, 80))
        );
        Err(Invalid::at(pointer_to(&self.pointer, key), rule))
    }

    fn section<T>(&mut self, key: &str, read: fn(Self) -> Result<T, Invalid>) -> Result<Option<T>, Invalid> {
        let pointer = pointer_to(&self.pointer, key);
        self.object(key)?.map(|map| read(Self { map, pointer })).transpose()
    }

    fn list<T>(
        &mut self,
        key: &str,
        read: fn(Self) -> Result<T, Invalid>,
    ) -> Result<Option<Vec<T>>, Invalid> {
        let Some(items) = self.array(key, "an array of objects")? else { return Ok(None) };
        let list = pointer_to(&self.pointer, key);
        let read_item = |(index, item)| {
            let pointer = pointer_to(&list, index);
            match item {
                Value::Object(map) => read(Self { map, pointer }),
                other => Err(Invalid::at(pointer, format!("must be an object, is {}", kind_of(&other)))),
            }
        };
        items.into_iter().enumerate().map(read_item).collect::<Result<_, _>>().map(Some)
    }

    fn rest(self) -> Extra {
        self.map.into_iter().collect()
    }
}

fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> String {
    all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ")
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value) -> Result<Entry, Invalid> {
        entry(value, Timestamp::parse("2026-11-20T12:00:00Z").unwrap())
    }

    #[test]
    fn events_without_a_number_come_after_the_highest_one_given() {
        let events = json!([{"type": "a"}, {"type": "b", "seq": 7}, {"type": "c"}]);
        let entry = check(json!({"task_id": "t", "status": "failed", "events": events})).unwrap();
        let numbers: Vec<_> = entry.events.unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [8, 7, 9]);
    }

    #[test]
    fn null_counts_as_left_out_but_an_unknown_key_keeps_it() {
        let entry = check(json!({"task_id": "t", "status": "failed", "title": null, "mine": null})).unwrap();
        assert_eq!((entry.title, entry.extra.get("mine")), (None, Some(&Value::Null)));
        let missing = check(json!({"task_id": "t", "status": null})).unwrap_err();
        assert_eq!(missing.pointer.as_deref(), Some("/status"));
    }

    #[test]
    fn a_refusal_points_into_nested_values() {
        let steps = json!([{"step_id": "a"}, {"step_id": "b", "execution_time_ms": -4}]);
        let invalid = check(json!({"task_id": "t", "status": "failed", "steps": steps})).unwrap_err();
        assert_eq!(invalid.pointer.as_deref(), Some("/steps/1/execution_time_ms"));
    }
}
