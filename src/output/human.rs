//! One entry, for people: what happened first, then the details, every value on its own line.

use serde::Serialize;
use serde_json::Value;

use super::Reader;
use super::sanitize::visible;
use super::style::Style;
use crate::entry::{Artifact, Entry, Event, Step, Timestamp};
use crate::ledger::CommitId;
use crate::ops::LoggedEntry;

const LABEL_COLUMNS: usize = 13;

/// The whole entry as text.
pub(super) fn entry(found: &LoggedEntry, reader: Reader) -> String {
    let mut page = Page { text: String::new(), reader };
    let entry = &found.entry;
    page.heading(entry);
    page.attribution(entry);
    page.result(entry);
    page.sections(entry);
    page.list("steps", entry.steps.as_deref(), Page::step);
    page.list("events", entry.events.as_deref(), Page::event);
    page.list("artifacts", entry.artifacts.as_deref(), Page::artifact);
    page.tree("metadata", entry.metadata.as_ref());
    page.tree("other", Some(&entry.extra));
    page.text.push('\n');
    page.field("path", Some(&found.stored.path));
    let commit = found.recorded.as_ref().map(|recorded| recorded.commit);
    match commit {
        Some(commit) => page.styled("commit", &CommitId::to_string(&commit), Style::Id),
        None => page.field("commit", Some("not known")),
    }
    page.time("recorded", found.recorded.as_ref().map(|recorded| recorded.recorded_at.into()));
    page.text
}

struct Page {
    text: String,
    reader: Reader,
}

impl Page {
    fn heading(&mut self, entry: &Entry) {
        self.styled("task", entry.task_id.as_str(), Style::Id);
        self.styled("status", entry.status.as_str(), Style::of_status(entry.status));
        self.field("title", entry.title.as_deref());
        self.field("error", entry.error_message.as_deref());
        self.time("timestamp", Some(entry.timestamp));
        self.field("supersedes", entry.supersedes.as_ref().map(crate::entry::TaskId::as_str));
    }

    fn attribution(&mut self, entry: &Entry) {
        self.field("plan", entry.plan_id.as_deref());
        for (number, step) in entry.plan_steps.iter().flatten().enumerate() {
            self.field(if number == 0 { "plan steps" } else { "" }, Some(&format!("- {step}")));
        }
        self.field("agent", entry.agent());
        self.field("pool", entry.pool());
        self.time(
            "dispatched",
            entry.dispatch_info.as_ref().and_then(|dispatch| dispatch.dispatch_timestamp),
        );
    }

    fn result(&mut self, entry: &Entry) {
        let Some(result) = &entry.execution_result else { return };
        self.field(
            "services",
            Some(&entry.services().join(", ")).filter(|text| !text.is_empty()).map(String::as_str),
        );
        self.time("started", result.start_time);
        self.time("ended", result.end_time);
        if let Some(duration) = entry.duration() {
            self.field("duration", Some(&format!("{} s", duration.as_seconds_f64())));
        }
    }

    /// What has a depth of its own, each under its name.
    fn sections(&mut self, entry: &Entry) {
        let result = entry.execution_result.as_ref();
        self.tree("outcome", result.and_then(|result| result.outcome.as_ref()));
        self.tree("resources", result.and_then(|result| result.resources_used.as_ref()));
        self.tree("result", result.map(|result| &result.extra));
        self.tree("dispatch", entry.dispatch_info.as_ref().map(|dispatch| &dispatch.extra));
        self.tree("context", entry.context.as_ref());
    }

    fn step(&mut self, step: &Step) {
        let (verdict, style) = match step.success {
            Some(true) => ("ok", Style::Good),
            Some(false) => ("failed", Style::Bad),
            None => ("-", Style::Faint),
        };
        let time = step.execution_time_ms.map(|time| format!("{time} ms")).unwrap_or_default();
        let name = step.name.as_deref().unwrap_or_default();
        self.item(style, &[verdict, &step.step_id, name, &time]);
        self.details(step, &["step_id", "name", "success", "execution_time_ms"]);
    }

    fn event(&mut self, event: &Event) {
        let at = event.at.map(|at| self.local(at)).unwrap_or_default();
        let repo = event.repo_id.as_deref().unwrap_or_default();
        self.item(
            Style::Plain,
            &[
                &event.seq.to_string(),
                &at,
                &event.event_type,
                repo,
                event.status.as_deref().unwrap_or_default(),
            ],
        );
        self.details(event, &["seq", "at", "type", "repo_id", "status"]);
    }

    fn artifact(&mut self, artifact: &Artifact) {
        let repo = artifact.repo_id.as_deref().unwrap_or_default();
        self.item(
            Style::Plain,
            &[
                artifact.ref_type.as_str(),
                &artifact.ref_value,
                repo,
                artifact.summary.as_deref().unwrap_or_default(),
            ],
        );
        self.details(artifact, &["ref_type", "ref_value", "repo_id", "summary"]);
    }

    fn list<T>(&mut self, label: &str, items: Option<&[T]>, print: fn(&mut Self, &T)) {
        let Some(items) = items.filter(|items| !items.is_empty()) else { return };
        self.section(label);
        for item in items {
            print(self, item);
        }
    }

    fn section(&mut self, label: &str) {
        let label = Style::Heading.paint(label, self.reader.color);
        self.text.push_str(&format!("\n{label}\n"));
    }

    /// The first word is in `style`.
    fn item(&mut self, style: Style, words: &[&str]) {
        let mut words: Vec<_> =
            words.iter().filter(|word| !word.is_empty()).map(|word| visible(word)).collect();
        if let Some(first) = words.first_mut() {
            *first = style.paint(first, self.reader.color);
        }
        self.text.push_str(&format!("  {}\n", words.join("  ")));
    }

    /// What an item has beyond its first line.
    fn details(&mut self, item: &impl Serialize, shown: &[&str]) {
        if let Ok(Value::Object(mut map)) = serde_json::to_value(item) {
            map.retain(|key, _| !shown.contains(&key.as_str()));
            self.branch(&Value::Object(map), 6);
        }
    }

    fn tree(&mut self, label: &str, value: Option<&impl Serialize>) {
        match value.and_then(|value| serde_json::to_value(value).ok()) {
            None => {}
            Some(Value::Object(map)) if map.is_empty() => {}
            Some(value @ (Value::Object(_) | Value::Array(_))) => {
                self.section(label);
                self.branch(&value, 2);
            }
            Some(scalar) => self.field(label, Some(&plain(&scalar))),
        }
    }

    /// Nested values, one per line, deeper ones further in.
    fn branch(&mut self, value: &Value, indent: usize) {
        let blank = " ".repeat(indent);
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let key = visible(key);
                    let text = plain(inner);
                    if is_leaf(inner) && !text.trim_end().contains('\n') {
                        self.paragraph(&format!("{blank}{key}: "), &text, indent + 2);
                    } else if is_leaf(inner) {
                        self.text.push_str(&format!("{blank}{key}:\n"));
                        self.paragraph(&format!("{blank}  "), &text, indent + 2);
                    } else {
                        self.text.push_str(&format!("{blank}{key}:\n"));
                        self.branch(inner, indent + 2);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    if is_leaf(item) {
                        self.paragraph(&format!("{blank}- "), &plain(item), indent + 2);
                    } else {
                        self.text.push_str(&format!("{blank}-\n"));
                        self.branch(item, indent + 2);
                    }
                }
            }
            scalar => self.paragraph(&blank, &plain(scalar), indent + 2),
        }
    }

    fn field(&mut self, label: &str, value: Option<&str>) {
        if let Some(value) = value {
            let before = self.label(label);
            self.paragraph(&before, value, LABEL_COLUMNS);
        }
    }

    /// A value of one line.
    fn styled(&mut self, label: &str, value: &str, style: Style) {
        let before = self.label(label);
        let value = style.paint(&visible(value), self.reader.color);
        self.text.push_str(&format!("{before}{value}\n"));
    }

    fn label(&self, label: &str) -> String {
        let blanks = " ".repeat(LABEL_COLUMNS.saturating_sub(label.len()));
        format!("{}{blanks}", Style::Faint.paint(label, self.reader.color))
    }

    fn time(&mut self, label: &str, time: Option<Timestamp>) {
        let time = time.map(|time| self.local(time));
        self.field(label, time.as_deref());
    }

    fn local(&self, time: Timestamp) -> String {
        (self.reader.local_time)(time.utc()).format("%Y-%m-%d %H:%M:%S%.f %:z").to_string()
    }

    /// Text of several lines keeps them, each made safe by itself.
    fn paragraph(&mut self, before: &str, value: &str, indent: usize) {
        for (number, line) in value.trim_end_matches('\n').split('\n').enumerate() {
            let before = if number == 0 { before.to_owned() } else { " ".repeat(indent) };
            self.text.push_str(format!("{before}{}", visible(&line.replace('\t', "    "))).trim_end());
            self.text.push('\n');
        }
    }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
