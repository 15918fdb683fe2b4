//! `git audit import`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Done, Session, WriteArgs};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::import::{ImportOptions, ImportProgress};
use crate::ops::input::Source;
use crate::output::import::{Refused, summary};
use crate::output::{Messages, Printer, sanitize};

/// How many invalid inputs the summary names one by one; all of them are named on standard error.
const MAX_NAMED: usize = 1000;
/// A bar that is redrawn more often costs more than it says.
const TICK: Duration = Duration::from_millis(200);

/// Record many finished tasks at once, from a file or standard input
#[derive(Args)]
#[command(
    after_help = "Reads JSON Lines, a JSON array, or one JSON object. Each entry becomes one commit; one without a
timestamp gets the time of the import. What is recorded already is skipped, so an import that was
interrupted is simply run again. Bad input never loses good input: each invalid entry is named with
its line, the others are recorded, and the exit code is 2.

Examples:
  git audit import --init history.jsonl
  git audit import --at-recorded-time old-rows.json
  psql -At -c 'select row_to_json(t) from tasks t' | git audit import -"
)]
pub(super) struct ImportArgs {
    /// A file of JSON Lines or with a JSON array; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make the ledger where there is none
    #[arg(long)]
    init: bool,
    /// Make each entry's own timestamp the author date of its commit
    #[arg(long)]
    at_recorded_time: bool,
    /// Exit 5 when a task is recorded already with other content
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl ImportArgs {
    pub fn run(self, session: &mut Session) -> Done {
        self.write.apply(&mut session.context);
        let name = self.file.display().to_string();
        let is_stdin = self.file.as_os_str() == "-";
        let source = if is_stdin {
            Source::Stream("standard input".into(), Box::new(io::stdin()))
        } else {
            Source::File(self.file.clone())
        };
        let options = ImportOptions { source, init: self.init, at_recorded_time: self.at_recorded_time };
        let Session { context, printer, messages, .. } = session;
        let mut report = Report { messages, bar: bar(&name), refused: Vec::new(), durable: 0 };
        let done = ops::import::run(context, options, &mut |progress| {
            report.tell(&progress);
            Ok(())
        });
        report.bar.finish_and_clear();
        let Report { refused, durable, .. } = report;
        if done.is_err() && durable > 0 {
            messages.note(&format!("{durable} entries are in the ledger; import again for the others"));
        }
        let outcome = done?;
        finish(printer, &outcome, &refused)?;
        Ok(match outcome {
            _ if outcome.invalid > 0 => ExitStatus::Invalid,
            _ if self.strict && outcome.differing > 0 => ExitStatus::Differs,
            _ => ExitStatus::Done,
        })
    }
}

fn finish(
    printer: &mut Printer,
    outcome: &ops::import::ImportOutcome,
    refused: &[Refused],
) -> crate::error::Result<()> {
    printer.recorded = outcome.recorded > 0;
    summary(printer, outcome, refused)?;
    printer.flush()
}

/// How far it is, where a person is watching.
fn bar(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let style =
        ProgressStyle::with_template("{spinner} {prefix}: {human_pos} entries in {elapsed} {wide_msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_prefix(sanitize::visible(name));
    bar.enable_steady_tick(TICK);
    bar
}

struct Report<'s> {
    messages: &'s mut Messages,
    bar: ProgressBar,
    refused: Vec<Refused>,
    /// Entries that are in the ledger by now.
    durable: usize,
}

impl Report<'_> {
    fn tell(&mut self, progress: &ImportProgress<'_>) {
        let Self { messages, bar, refused, .. } = self;
        match progress {
            ImportProgress::Durable(outcome) => self.durable = outcome.recorded + outcome.skipped,
            ImportProgress::Read(outcome) => {
                bar.set_position((outcome.recorded + outcome.skipped + outcome.invalid) as u64);
                if outcome.skipped > 0 {
                    bar.set_message("(some were recorded already)");
                }
            }
            ImportProgress::Packing => bar.set_message("packing"),
            ImportProgress::Invalid(problem) => {
                if refused.len() < MAX_NAMED {
                    let (pointer, rule) = (problem.invalid.pointer.clone(), problem.invalid.rule.clone());
                    refused.push(Refused { line: problem.line(), pointer, rule });
                }
                bar.suspend(|| messages.problem(&problem.to_string()));
            }
            ImportProgress::Redacted(origin, found) => bar.suspend(|| messages.redacted(origin, found)),
            ImportProgress::Differs(task_id, fields, origin) => {
                bar.suspend(|| messages.differs(&origin.to_string(), task_id, fields));
            }
            ImportProgress::Began(branch) => {
                bar.suspend(|| messages.note(&format!("began a ledger on branch {branch}")));
            }
            ImportProgress::Warning(error) => bar.suspend(|| messages.warning(&error.to_string())),
            ImportProgress::SupersedesUnknown(unknown) => {
                bar.suspend(|| messages.supersedes_unknown(unknown));
            }
            ImportProgress::StaleLock(path) => bar.suspend(|| messages.stale_lock(path)),
        }
    }
}
