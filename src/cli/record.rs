//! `git audit record`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::filters::status;
use super::{Done, KnownTask, Session, WriteArgs, best_effort, environment};
use crate::entry::{TaskId, parse};
use crate::error::{Error, ExitStatus, Result};
use crate::ledger::Receipt;
use crate::ops;
use crate::ops::flush::FlushOutcome;
use crate::ops::input::{Field, Origin, Problem, Source};
use crate::ops::record::{Progress, RecordOptions};
use crate::output::{Messages, Printer, record as print};

/// Record finished tasks, one commit each
#[derive(Args)]
#[command(
    after_help = "Reads one JSON object or JSON Lines from each FILE, or from standard input for `-` and where neither
a FILE nor a field is given. Fields given as flags win over the input. A task that is recorded
already makes no commit and is `skipped`. A bad line never loses a good one: it is named, the others
are recorded, and the exit code is 2.

Examples:
  git audit record --task-id deploy-42 --status completed --service web --intent deploy
  git audit record --init result.json
  git audit record --best-effort --task-id nightly-7 --status failed
  git audit record --status failed --error \"timed out\" result.json
  jq -c '.[]' results.json | git audit record --json -"
)]
pub(super) struct RecordArgs {
    /// Files with one JSON object or JSON Lines; `-` is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Make the ledger where there is none
    #[arg(long)]
    init: bool,
    /// Exit 5 when a task is recorded already with other content
    #[arg(long)]
    strict: bool,
    /// Never fail: what cannot be recorded waits in the spool, for the next record or `git audit flush`
    #[arg(long)]
    best_effort: bool,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    fields: FieldArgs,
}

/// The fields of an entry.
#[derive(Args)]
#[command(next_help_heading = "Fields")]
struct FieldArgs {
    /// The task's id: letters, digits, `.`, `_`, `-`
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
    /// How it ended
    #[arg(long, value_name = "STATUS", value_parser = status())]
    status: Option<String>,
    /// What it was, in a line
    #[arg(long)]
    title: Option<String>,
    /// What went wrong
    #[arg(long, value_name = "MESSAGE")]
    error: Option<String>,
    /// The plan it belongs to
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
    /// A step of the plan, in words; may be repeated
    #[arg(long, value_name = "TEXT")]
    step: Vec<String>,
    /// A service that it touched; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// What it was meant to do: action_type of the outcome
    #[arg(long, value_name = "NAME")]
    intent: Option<String>,
    /// The outcome, any JSON
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    outcome: Option<Value>,
    /// What it cost, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    resources: Option<Value>,
    /// The agent that ran it
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The pool the agent came from
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// When it was handed over, RFC 3339
    #[arg(long, value_name = "TIME")]
    dispatched: Option<String>,
    /// When it began, RFC 3339
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// When it ended, RFC 3339
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// The time of the entry, RFC 3339; now when left out
    #[arg(long, value_name = "TIME")]
    timestamp: Option<String>,
    /// The worker that ran it
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// The request it belongs to
    #[arg(long, value_name = "ID")]
    correlation: Option<String>,
    /// The session of the agent or orchestrator
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Who asked for it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// The workspace
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The working tree's path
    #[arg(long, value_name = "PATH")]
    worktree: Option<String>,
    /// The project's number
    #[arg(long, value_name = "N")]
    project: Option<u64>,
    /// The phase of the project
    #[arg(long, value_name = "N")]
    phase: Option<u64>,
    /// The task whose outcome this one corrects
    #[arg(long, value_name = "ID", add = KnownTask)]
    supersedes: Option<String>,
    /// Anything else, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    metadata: Option<Value>,
}

fn json_value(text: &str) -> std::result::Result<Value, String> {
    parse::parse(text.as_bytes()).map_err(|invalid| invalid.to_string())
}

impl FieldArgs {
    fn into_fields(self) -> Result<Vec<Field>> {
        if self.intent.is_some() && self.outcome.as_ref().is_some_and(|outcome| !outcome.is_object()) {
            return Err(Error::Usage(
                "--intent goes into the outcome, so --outcome must be a JSON object beside it".into(),
            ));
        }
        // An unset variable of a script makes an empty value: it says nothing, and is taken for nothing.
        let text = |value: Option<String>| value.filter(|text| !text.is_empty()).map(Value::String);
        let list = |items: Vec<String>| {
            let items: Vec<_> = items.into_iter().filter(|item| !item.is_empty()).collect();
            (!items.is_empty()).then(|| json!(items))
        };
        let number = |value: Option<u64>| value.map(Value::from);
        // In the order of FLAGS.
        let values = [
            text(self.task_id),
            text(self.status),
            text(self.title),
            text(self.error),
            text(self.plan),
            list(self.step),
            text(self.pool),
            text(self.agent),
            text(self.dispatched),
            self.outcome,
            text(self.intent),
            self.resources,
            list(self.service),
            text(self.start),
            text(self.end),
            text(self.workspace),
            text(self.worktree),
            number(self.project),
            number(self.phase),
            text(self.session),
            text(self.correlation),
            text(self.worker),
            text(self.actor),
            text(self.supersedes),
            self.metadata,
            text(self.timestamp),
        ];
        Ok(FLAGS.into_iter().zip(values).filter_map(|((_, keys), value)| Some((keys, value?))).collect())
    }
}

impl RecordArgs {
    /// Whether the caller wants no failure.
    pub fn is_best_effort(&self) -> bool {
        self.best_effort
    }

    pub fn run(self: Box<Self>, session: &mut Session) -> Done {
        if !self.best_effort {
            return self.record(session);
        }
        if let Err(error) = self.record(session) {
            session.messages.warning(&error.to_string());
            session.printer.give_up();
            if matches!(error, Error::Usage(_)) {
                best_effort::keep_arguments(&mut session.messages);
            }
        }
        Ok(ExitStatus::Done)
    }

    fn record(self: Box<Self>, session: &mut Session) -> Done {
        self.write.apply(&mut session.context);
        let strict = self.strict;
        let fields = self.fields.into_fields()?;
        let sources = sources(self.files, !fields.is_empty())?;
        let options = RecordOptions { sources, fields, init: self.init, best_effort: self.best_effort };

        let Session { context, printer, messages, .. } = session;
        let mut report = Report { printer, messages, unprinted: None };
        let outcome = ops::record::run(context, options, &mut |progress| {
            report.tell(progress);
            Ok(())
        })?;
        if let Some(error) = report.unprinted {
            return Err(error);
        }
        if outcome.packing_due {
            environment::pack_later(&session.context.place.directory);
        }
        if outcome.invalid > 0 {
            let inputs =
                if outcome.invalid == 1 { "1 input is" } else { &format!("{} inputs are", outcome.invalid) };
            let others =
                if outcome.recorded == 0 { "nothing was recorded" } else { "the others are recorded" };
            session.messages.note(&format!("{inputs} not valid; {others}"));
        }
        Ok(match outcome {
            _ if outcome.invalid > 0 => ExitStatus::Invalid,
            _ if strict && outcome.differing > 0 => ExitStatus::Differs,
            _ => ExitStatus::Done,
        })
    }
}

/// Tells what happens while it happens.
struct Report<'s> {
    printer: &'s mut Printer,
    messages: &'s mut Messages,
    /// The first receipt that could not be printed. Recording goes on all the same: what was handed in is not lost
    /// for that.
    unprinted: Option<Error>,
}

impl Report<'_> {
    fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Began(branch) => self.messages.note(&format!("began a ledger on branch {branch}")),
            Progress::Pinned(branch) => {
                self.messages
                    .note(&format!("records go to branch {branch} from now on (git config audit.branch)"));
            }
            Progress::Warning(error) => self.messages.warning(&error.to_string()),
            Progress::StaleLock(path) => self.messages.stale_lock(path),
            Progress::Spooled(error, files) => self.spooled(error, files),
            Progress::Kept(file) => {
                self.messages.warning(&format!("it is not recorded; it is kept in {}", file.display()));
            }
            Progress::Lost(error, text) => {
                self.messages.warning(&format!("not recorded ({error}), and it could not be kept: {text}"));
            }
            Progress::Flushed(flushed) => self.flushed(flushed),
            Progress::Healed(task_id) => {
                let text = "which an interrupted run had left in the working tree";
                self.messages.note(&format!("also recorded {task_id}, {text}"));
            }
            Progress::Invalid(problem) => self.refused(problem),
            Progress::Receipt { task_id, receipt, durability, origin } => {
                if let Receipt::Skipped { differing, .. } = receipt
                    && !differing.is_empty()
                {
                    self.differs(task_id, differing, origin);
                }
                if self.unprinted.is_none() {
                    self.unprinted = print::receipt(self.printer, task_id, receipt, durability).err();
                }
            }
        }
    }

    fn spooled(&mut self, error: &Error, files: &[PathBuf]) {
        let waits = match files {
            [file] => format!("the entry waits in {}", file.display()),
            files => format!("{} entries wait in the spool", files.len()),
        };
        self.messages.warning(&format!("{error}; {waits}"));
        self.messages.hint("the next `git audit record` in that repository records it, or `git audit flush`");
    }

    fn flushed(&mut self, flushed: &FlushOutcome) {
        let count = flushed.recorded.len() + flushed.skipped.len();
        if count > 0 {
            let entries = if count == 1 { "1 entry" } else { &format!("{count} entries") };
            self.messages.note(&format!("also recorded {entries} from the spool"));
        }
        for (task_id, fields, path) in &flushed.differing {
            let fields = fields.join(", ");
            let text = format!("{task_id}, which waited, is recorded already with other values in {fields}");
            self.messages.warning(&format!("{text}; it was moved to {}", path.display()));
        }
    }

    fn differs(&mut self, task_id: &TaskId, differing: &[String], origin: &Origin) {
        let place = origin.source.as_ref().map(|_| origin.to_string()).unwrap_or_default();
        self.messages.differs(&place, task_id, differing);
        let correct = format!("to correct it, record a new task with `--supersedes {task_id}`");
        self.messages.hint(&format!("run `git audit show {task_id}`; {correct}"));
    }

    /// A refusal of what flags said names the flag, not the JSON that was made of it.
    fn refused(&mut self, problem: &Problem) {
        let Problem { origin, invalid } = problem;
        let flag = invalid.pointer.as_deref().filter(|_| origin.source.is_none()).and_then(flag_of);
        let Some(flag) = flag else { return self.messages.problem(&problem.to_string()) };
        self.messages.problem(&format!("{flag}: {}", invalid.rule));
        if invalid.rule.ends_with("is missing") && !io::stdin().is_terminal() {
            self.messages.hint("standard input is read beside flags only if you name it: add `-`");
        }
    }
}

/// The flag that sets the value at `pointer`, or one inside it.
fn flag_of(pointer: &str) -> Option<&'static str> {
    let keys: Vec<_> = pointer.split('/').skip(1).collect();
    FLAGS
        .iter()
        .filter(|(_, path)| keys.starts_with(path))
        .max_by_key(|(_, path)| path.len())
        .map(|(flag, _)| *flag)
}

/// Where each flag's value goes.
const FLAGS: [(&str, &[&str]); 26] = [
    ("--task-id", &["task_id"]),
    ("--status", &["status"]),
    ("--title", &["title"]),
    ("--error", &["error_message"]),
    ("--plan", &["plan_id"]),
    ("--step", &["plan_steps"]),
    ("--pool", &["dispatch_info", "agent_pool"]),
    ("--agent", &["dispatch_info", "agent_id"]),
    ("--dispatched", &["dispatch_info", "dispatch_timestamp"]),
    // Before the intent, which goes into it.
    ("--outcome", &["execution_result", "outcome"]),
    ("--intent", &["execution_result", "outcome", "action_type"]),
    ("--resources", &["execution_result", "resources_used"]),
    ("--service", &["execution_result", "services_touched"]),
    ("--start", &["execution_result", "start_time"]),
    ("--end", &["execution_result", "end_time"]),
    ("--workspace", &["context", "workspace_id"]),
    ("--worktree", &["context", "worktree_path"]),
    ("--project", &["context", "project_number"]),
    ("--phase", &["context", "phase_number"]),
    ("--session", &["context", "session_id"]),
    ("--correlation", &["context", "correlation_id"]),
    ("--worker", &["context", "worker_id"]),
    ("--actor", &["context", "actor"]),
    ("--supersedes", &["supersedes"]),
    ("--metadata", &["metadata"]),
    ("--timestamp", &["timestamp"]),
];

fn sources(files: Vec<PathBuf>, has_fields: bool) -> Result<Vec<Source>> {
    let standard_input = || Source::Stream("standard input".into(), Box::new(io::stdin()));
    if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        return Err(Error::Usage("`-` (standard input) can be read only once".into()));
    }
    if !files.is_empty() {
        let source =
            |file: PathBuf| if file.as_os_str() == "-" { standard_input() } else { Source::File(file) };
        return Ok(files.into_iter().map(source).collect());
    }
    if has_fields {
        return Ok(vec![Source::Fields]);
    }
    if io::stdin().is_terminal() {
        return Err(Error::Usage(
            "nothing to record: name a FILE, give `--task-id` and `--status`, or pipe JSON in".into(),
        ));
    }
    Ok(vec![standard_input()])
}
