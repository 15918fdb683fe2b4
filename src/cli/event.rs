//! `git audit event`

use std::io;

use clap::Args;
use serde_json::{Map, Value, json};

use super::fields::json_value;
use super::repositories::OneRepositoryArgs;
use super::{Done, RunningTask, Session, WaitArgs, task_id};
use crate::entry::parse::Invalid;
use crate::entry::{Redactor, TaskId};
use crate::error::{Error, ExitStatus, Result};
use crate::ops;
use crate::ops::documents::{Arrays, Document, Documents};
use crate::ops::event::EventOptions;
use crate::ops::redaction::redactor_at;
use crate::output::running as print;

/// Events that share one write.
const MAX_BATCH: usize = 256;

/// Add an event to a running task
#[derive(Args)]
#[command(
    after_help = "TYPE is a word such as phase_started, repo_commit or tool_use: lower-case letters, digits, `_`, `.`.
`-` instead reads events from standard input, one JSON object per line, with the keys that events
have in an entry; a bad line is named and never costs a good one.

With --repo, the event says what changed in that repository since the task last looked at it: name
it when the task starts. Commits made since become artifacts. An event of type step_result whose
data has a `step_id` becomes one of the entry's steps.

Examples:
  git audit event deploy-42 phase_started --message \"building\"
  git audit event deploy-42 repo_write --repo ../shop
  git audit event deploy-42 repo_push_error --level error --message \"remote hung up\"
  git audit event deploy-42 step_result --data '{\"step_id\":\"build\",\"success\":true}'
  jq -c '.events[]' log.json | git audit event deploy-42 -"
)]
pub(super) struct EventArgs {
    /// The running task
    #[arg(value_name = "TASK", value_parser = task_id, add = RunningTask)]
    task_id: TaskId,
    /// What happened; `-` reads events from standard input
    #[arg(value_name = "TYPE")]
    kind: String,
    #[command(flatten)]
    repository: OneRepositoryArgs,
    /// How it ended, for example success
    #[arg(long)]
    status: Option<String>,
    /// How grave, for example info or error
    #[arg(long)]
    level: Option<String>,
    /// What there is to say; of an error, what went wrong
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// What was done to the repository [default: what TYPE says after `repo_`]
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// The commit that it made
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
    /// A file that it changed; may be repeated
    #[arg(long, value_name = "PATH")]
    file: Vec<String>,
    /// Anything else, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    data: Option<Value>,
    /// When, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

impl EventArgs {
    pub fn run(self, session: &mut Session) -> Done {
        session.context.timeout = self.wait.timeout;
        session.stand_by(&self.task_id);
        if self.kind == "-" {
            return self.run_stream(session);
        }
        let repository = self.repository.resolve();
        let task_id = self.task_id.clone();
        let options = EventOptions { task_id, events: vec![self.into_event()], repository };
        let outcome = ops::event::run(&session.context, options)?;
        session.messages.redacted(&"the flags", &outcome.found);
        session.messages.redacted(&"the repository", &outcome.captured);
        print::event(&mut session.printer, &outcome)?;
        Ok(ExitStatus::Done)
    }

    fn into_event(self) -> Map<String, Value> {
        let is_error = self.kind.ends_with("_error") || self.level.as_deref() == Some("error");
        let operation = self.operation.or_else(|| {
            let operation = self.kind.strip_prefix("repo_")?;
            Some(operation.strip_suffix("_error").unwrap_or(operation).to_owned())
        });
        let mut metadata = match self.data {
            Some(Value::Object(map)) => map,
            Some(other) => Map::from_iter([("data".to_owned(), other)]),
            None => Map::new(),
        };
        let mut error = None;
        match self.message {
            message @ Some(_) if is_error => error = message,
            Some(message) => _ = metadata.insert("message".into(), Value::from(message)),
            None => {}
        }
        let event = json!({
            "type": self.kind,
            "at": self.at,
            "level": self.level,
            "repo_id": self.repository.repo_id,
            "operation": operation,
            "status": self.status,
            "commit_hash": self.commit,
            "error_message": error,
        });
        let mut event = match event {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if !self.file.is_empty() {
            event.insert("files_changed".into(), json!(self.file));
        }
        if !metadata.is_empty() {
            event.insert("metadata".into(), Value::Object(metadata));
        }
        event
    }

    fn run_stream(self, session: &mut Session) -> Done {
        let is_told_twice = [
            self.status.is_some(),
            self.level.is_some(),
            self.message.is_some(),
            self.operation.is_some(),
            self.commit.is_some(),
            !self.file.is_empty(),
            self.data.is_some(),
            self.at.is_some(),
            self.repository.repo.is_some(),
            self.repository.repo_id.is_some(),
        ];
        if is_told_twice.contains(&true) {
            let text = "`-` reads whole events from standard input: put into them what the flags say";
            return Err(Error::Usage(text.into()));
        }
        let mut documents = Documents::new(io::stdin(), Arrays::Streamed);
        let mut stream = Stream { task_id: self.task_id, batch: Vec::new(), refused: 0, redactor: None };
        while let Some(Document { line, value, .. }) =
            documents.next_document().map_err(|error| Error::io("read standard input", error))?
        {
            match value.and_then(object) {
                Ok(event) => stream.batch.push((line, event)),
                Err(invalid) => stream.refuse(session, line, &invalid),
            }
            if stream.batch.len() == MAX_BATCH || documents.may_wait() {
                stream.flush(session)?;
            }
        }
        stream.flush(session)?;
        Ok(if stream.refused > 0 { ExitStatus::Invalid } else { ExitStatus::Done })
    }
}

/// Events on their way from standard input.
struct Stream {
    task_id: TaskId,
    /// Each with its line.
    batch: Vec<(Option<usize>, Map<String, Value>)>,
    refused: usize,
    /// Made when something is refused.
    redactor: Option<Redactor>,
}

impl Stream {
    /// Adds what was read: all at once, or, where one of them is wrong, one by one.
    fn flush(&mut self, session: &mut Session) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        let add = |session: &mut Session, events| {
            let options = EventOptions { task_id: self.task_id.clone(), events, repository: None };
            let outcome = ops::event::run(&session.context, options)?;
            session.messages.redacted(&"standard input", &outcome.found);
            print::event(&mut session.printer, &outcome)
        };
        let whole = batch.iter().map(|(_, event)| event.clone()).collect();
        match add(session, whole) {
            Err(Error::Invalid(_) | Error::TooLong { .. } | Error::Duplicate { .. }) => {}
            done => return done,
        }
        let mut refused = Vec::new();
        for (line, event) in batch {
            match add(session, vec![event]) {
                Err(Error::Invalid(invalid)) => refused.push((line, *invalid)),
                Err(error @ (Error::TooLong { .. } | Error::Duplicate { .. })) => {
                    refused.push((line, Invalid::whole(error.to_string())));
                }
                done => done?,
            }
        }
        refused.iter().for_each(|(line, invalid)| self.refuse(session, *line, invalid));
        Ok(())
    }

    fn refuse(&mut self, session: &mut Session, line: Option<usize>, invalid: &Invalid) {
        self.refused += 1;
        // What is wrong is said in the words of the input.
        let redactor = self.redactor.get_or_insert_with(|| redactor_at(&session.context.place));
        let invalid = redactor.refused(invalid.clone());
        let line = line.or(invalid.line).map_or_else(String::new, |line| format!(":{line}"));
        session.messages.problem(&format!("standard input{line}: {invalid}"));
    }
}

fn object(value: Value) -> std::result::Result<Map<String, Value>, Invalid> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(Invalid::at("", "must be a JSON object")),
    }
}
