//! `git audit record`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use super::ci::CiArgs;
use super::fields::{EndArgs, FieldArgs};
use super::report::Report;
use super::{Done, Session, WriteArgs, best_effort, environment};
use crate::error::{Error, ExitStatus, Result};
use crate::ops;
use crate::ops::input::Source;
use crate::ops::record::RecordOptions;

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
    ci: CiArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// The task's id: letters, digits, `.`, `_`, `-`
    #[arg(long, value_name = "ID", help_heading = "Fields")]
    task_id: Option<String>,
    #[command(flatten)]
    end: EndArgs,
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
        let fields = self.fields.with_end(self.task_id, self.end)?;
        let sources = sources(self.files, !fields.is_empty())?;
        let ci = self.ci.job(self.best_effort, &mut session.messages)?;
        let (init, best_effort) = (self.init, self.best_effort);
        let options = RecordOptions { sources, fields, ci, lets_in: false, init, best_effort };

        let Session { context, printer, messages, .. } = session;
        let mut report = Report::new(printer, messages);
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
