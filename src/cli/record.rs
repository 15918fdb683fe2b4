//! `git audit record`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::filters::status;
use super::{Done, Session, WaitArgs};
use crate::entry::parse;
use crate::error::{Error, ExitStatus, Result};
use crate::ledger::Receipt;
use crate::ops;
use crate::ops::record::{Field, Progress, RecordOptions, Source};
use crate::output::record as print;

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
    #[command(flatten)]
    wait: WaitArgs,
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
    #[arg(long, value_name = "ID")]
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
        let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
        let text = |value: Option<String>| value.map(Value::String);
        let number = |value: Option<u64>| value.map(Value::from);
        let fields: [(&'static [&'static str], Option<Value>); 26] = [
            (&["task_id"], text(self.task_id)),
            (&["status"], text(self.status)),
            (&["title"], text(self.title)),
            (&["error_message"], text(self.error)),
            (&["plan_id"], text(self.plan)),
            (&["plan_steps"], list(self.step)),
            (&["dispatch_info", "agent_pool"], text(self.pool)),
            (&["dispatch_info", "agent_id"], text(self.agent)),
            (&["dispatch_info", "dispatch_timestamp"], text(self.dispatched)),
            // Before the intent, which goes into it.
            (&["execution_result", "outcome"], self.outcome),
            (&["execution_result", "outcome", "action_type"], text(self.intent)),
            (&["execution_result", "resources_used"], self.resources),
            (&["execution_result", "services_touched"], list(self.service)),
            (&["execution_result", "start_time"], text(self.start)),
            (&["execution_result", "end_time"], text(self.end)),
            (&["context", "workspace_id"], text(self.workspace)),
            (&["context", "worktree_path"], text(self.worktree)),
            (&["context", "project_number"], number(self.project)),
            (&["context", "phase_number"], number(self.phase)),
            (&["context", "session_id"], text(self.session)),
            (&["context", "correlation_id"], text(self.correlation)),
            (&["context", "worker_id"], text(self.worker)),
            (&["context", "actor"], text(self.actor)),
            (&["supersedes"], text(self.supersedes)),
            (&["metadata"], self.metadata),
            (&["timestamp"], text(self.timestamp)),
        ];
        Ok(fields.into_iter().filter_map(|(keys, value)| Some((keys, value?))).collect())
    }
}

impl RecordArgs {
    pub fn run(self: Box<Self>, session: &mut Session) -> Done {
        session.context.timeout = self.wait.timeout;
        let strict = self.strict;
        let fields = self.fields.into_fields()?;
        let sources = sources(self.files, !fields.is_empty())?;
        let options = RecordOptions { sources, fields, init: self.init };

        let Session { context, printer, messages } = session;
        // The ledger goes on when the receipts cannot be printed: what was handed in is not lost for that.
        let mut unprinted = None;
        let outcome = ops::record::run(context, options, &mut |progress| {
            match progress {
                Progress::Invalid(problem) => messages.problem(&problem.to_string()),
                Progress::Healed(task_id) => {
                    messages.note(&format!(
                        "also recorded {task_id}, which an interrupted run had left in the working tree"
                    ));
                }
                Progress::Receipt(task_id, receipt) => {
                    if let Receipt::Skipped { differing, .. } = receipt
                        && !differing.is_empty()
                    {
                        let fields = differing.join(", ");
                        messages.warning(&format!(
                            "{task_id} is recorded already, with other values in {fields}"
                        ));
                        messages.hint(&format!("run `git audit show {task_id}`; to correct it, record a new task with `--supersedes {task_id}`"));
                    }
                    if unprinted.is_none() {
                        unprinted = print::receipt(printer, task_id, receipt).err();
                    }
                }
            }
            Ok(())
        })?;
        if outcome.invalid > 0 {
            let nothing =
                if outcome.recorded == 0 { "; nothing was recorded" } else { "; the others are recorded" };
            let inputs =
                if outcome.invalid == 1 { "1 input is" } else { &format!("{} inputs are", outcome.invalid) };
            messages.note(&format!(
                "{inputs} not valid{nothing}. The rules are in .audit/schema/entry-v1.schema.json"
            ));
        }
        if let Some(error) = unprinted {
            return Err(error);
        }
        Ok(match outcome {
            _ if outcome.invalid > 0 => ExitStatus::Invalid,
            _ if strict && outcome.differing > 0 => ExitStatus::Differs,
            _ => ExitStatus::Done,
        })
    }
}

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
