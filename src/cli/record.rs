//! `git audit record`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use super::fields::{FieldArgs, flag_of};
use super::{Done, Session, WriteArgs, best_effort, environment};
use crate::entry::TaskId;
use crate::error::{Error, ExitStatus, Result};
use crate::ledger::Receipt;
use crate::ops;
use crate::ops::flush::FlushOutcome;
use crate::ops::input::{Origin, Problem, Source};
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
