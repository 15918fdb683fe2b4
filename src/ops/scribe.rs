//! What goes into a journal: checked as an entry is, and without secrets.

use serde_json::{Map, Value, json};

use crate::entry::parse::Invalid;
use crate::entry::redact::{Action, Found};
use crate::entry::{Redactor, TaskId, validate};
use crate::error::{Error, Result};
use crate::journal::capture::Baseline;
use crate::journal::{Record, Start};

/// Takes things down.
pub(super) struct Scribe {
    redactor: Redactor,
    /// When it happens, where nothing else is said.
    at: String,
    /// What the policy blocks is redacted, and no more.
    lets_in: bool,
    /// The secrets that were found in what the caller gave.
    pub found: Vec<Found>,
    /// Those in what a look found.
    pub captured: Vec<Found>,
}

/// An event or an artifact, and whose words they are.
pub(super) struct Item {
    fields: Map<String, Value>,
    is_captured: bool,
}

impl Item {
    /// What a look at a repository found. The caller cannot take it back, so no policy blocks it: a secret in the subject
    /// of a commit would make it impossible to finish the task. It is redacted instead.
    pub fn captured(fields: Map<String, Value>) -> Self {
        Self { fields, is_captured: true }
    }

    /// One more field.
    pub fn insert(&mut self, key: &str, value: Value) {
        self.fields.insert(key.into(), value);
    }
}

impl From<Map<String, Value>> for Item {
    /// What the caller gave.
    fn from(fields: Map<String, Value>) -> Self {
        Self { fields, is_captured: false }
    }
}

impl Scribe {
    /// By the rules of a ledger.
    pub fn new(redactor: Redactor, at: String, lets_in: bool) -> Self {
        Self { redactor, at, lets_in, found: Vec::new(), captured: Vec::new() }
    }

    /// By the rules that the ledger had when the task began.
    pub fn of(start: &Start, at: String) -> Result<Self> {
        let redactor = match &start.redaction {
            Some(policy) => Redactor::with(policy).map_err(Error::Policy)?,
            None => Redactor::standard(),
        };
        Ok(Self::new(redactor, at, false))
    }

    /// A part of an entry.
    pub fn part(&mut self, mut given: Value) -> Result<Value> {
        let (mut found, refused) = self.redactor.entry(&mut given);
        let in_id = |found: &Found| matches!(found.pointer.as_str(), "/task_id" | "/supersedes");
        if !self.lets_in || found.iter().any(in_id) {
            refused?;
        }
        found
            .iter_mut()
            .filter(|_| self.lets_in)
            .for_each(|found| found.action = found.action.min(Action::Redact));
        self.found.extend(found);
        Ok(given)
    }

    /// What is known of a task from its beginning. A secret in the id is refused: the journal's name would have it.
    pub fn whole(&mut self, task_id: &TaskId, given: Value) -> Result<Value> {
        let mut whole = given;
        whole["task_id"] = json!(task_id);
        self.part(whole)
    }

    /// An event, with its time.
    pub fn event(&mut self, event: impl Into<Item>) -> Result<Record> {
        let event = self.item("events", with_time(event.into(), "at", &self.at))?;
        let mut event = object(&validate::lone_event(event)?)?;
        event.remove("seq");
        Ok(Record::Event { event })
    }

    /// A step.
    pub fn step(&mut self, step: Map<String, Value>) -> Result<Map<String, Value>> {
        let step = self.item("steps", step.into())?;
        object(&validate::lone_step(step)?)
    }

    /// An artifact, with its time.
    pub fn artifact(&mut self, artifact: impl Into<Item>) -> Result<Map<String, Value>> {
        let artifact = self.item("artifacts", with_time(artifact.into(), "created_at", &self.at))?;
        object(&validate::lone_artifact(artifact)?)
    }

    /// What a look found. Artifacts that the story has already are left out when it is read.
    pub fn artifacts(&mut self, artifacts: Vec<Item>) -> Result<Vec<Record>> {
        artifacts
            .into_iter()
            .map(|artifact| Ok(Record::Artifact { artifact: self.artifact(artifact)? }))
            .collect()
    }

    /// A part of an event, redacted where it will be.
    pub fn part_of_event(&mut self, part: Item) -> Result<Map<String, Value>> {
        self.item("events", part)
    }

    /// A part of an artifact, likewise.
    pub fn part_of_artifact(&mut self, part: Item) -> Result<Map<String, Value>> {
        self.item("artifacts", part)
    }

    /// How a repository was.
    pub fn repository(&mut self, baseline: Baseline) -> Record {
        Record::Repository { baseline: redacted(baseline, &self.redactor) }
    }

    /// One of a list of the entry, redacted where it will be in the entry: the policy's pointers lead there.
    fn item(&mut self, list: &str, item: Item) -> Result<Map<String, Value>> {
        let place = format!("/{list}/0");
        let inside = |pointer: &str| pointer.strip_prefix(&place).unwrap_or(pointer).to_owned();
        let Item { fields, is_captured } = item;
        let is_structured = |(key, value): (&String, &Value)| (!value.is_string()).then(|| key.clone());
        let structured: Vec<_> = fields.iter().filter_map(is_structured).filter(|_| is_captured).collect();
        let mut whole = json!({ list: [fields] });
        let (found, refused) = self.redactor.entry(&mut whole);
        let found = found.into_iter().map(|found| Found { pointer: inside(&found.pointer), ..found });
        if is_captured {
            self.captured
                .extend(found.map(|found| Found { action: found.action.min(Action::Redact), ..found }));
        } else {
            self.found.extend(found);
            refused
                .map_err(|invalid| Invalid { pointer: invalid.pointer.as_deref().map(inside), ..invalid })?;
        }
        match whole.pointer_mut(&place).map(Value::take) {
            Some(Value::Object(mut item)) => {
                // A list that the policy's pointers took as a whole is a text now, which no event can have.
                item.retain(|key, value| !(value.is_string() && structured.contains(key)));
                Ok(item)
            }
            // A policy that takes away the whole of it leaves nothing to take down.
            _ => Err(Invalid::at("", "the ledger's policy redacts all of it").into()),
        }
    }
}

/// A repository as it was, without the secrets in what it and its branch are called. Where it is stays: it is looked at
/// again there.
pub(super) fn redacted(mut baseline: Baseline, redactor: &Redactor) -> Baseline {
    for text in std::iter::once(&mut baseline.repo_id).chain(&mut baseline.branch) {
        *text = redactor.text(text).0.into_owned();
    }
    baseline
}

fn with_time(mut item: Item, key: &str, at: &str) -> Item {
    if item.fields.get(key).is_none_or(Value::is_null) {
        item.fields.insert(key.into(), Value::from(at));
    }
    item
}

fn object(value: &impl serde::Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Ok(Map::new()),
        Err(error) => Err(Error::io("put it into the journal", error)),
    }
}
