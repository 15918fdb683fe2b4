//! `git audit flush`

use clap::Args;

use super::{Done, Session, WriteArgs};
use crate::error::ExitStatus;
use crate::ops;
use crate::ops::flush::FlushOptions;
use crate::output::flush as print;

/// Record what waits in the spool, and pack what has piled up
#[derive(Args)]
#[command(
    after_help = "`git audit record --best-effort` never fails: what it cannot record waits in the spool, which is
.git/git-audit/spool, or ~/.local/state/git-audit/spool where that cannot be written. The next
`record` commits it, or this command. An entry that is recorded already is skipped; one whose task
is recorded with other content is moved aside and named. What is no entry stays until somebody
removes it, and makes the exit code 2. Nothing is dropped.

Examples:
  git audit flush
  git audit flush --json"
)]
pub(super) struct FlushArgs {
    /// Only put packs together, where enough have piled up
    #[arg(long, hide = true)]
    only_due_packs: bool,
    #[command(flatten)]
    write: WriteArgs,
}

impl FlushArgs {
    pub fn run(self, session: &mut Session) -> Done {
        self.write.apply(&mut session.context);
        let options = FlushOptions { only_due_packs: self.only_due_packs };
        let outcome = ops::flush::run(&session.context, options)?;
        let Session { printer, messages, .. } = session;
        printer.recorded = !outcome.recorded.is_empty();
        for (task_id, found) in &outcome.redacted {
            messages.redacted(task_id, found);
        }
        for (task_id, fields, path) in &outcome.differing {
            messages.differs("", task_id, fields);
            messages.hint(&format!("what waited is in {}", path.display()));
        }
        for file in &outcome.invalid {
            messages.problem(&format!("{} holds no entry that could be recorded", file.display()));
        }
        if !outcome.invalid.is_empty() {
            messages.hint("the file says why; record a corrected entry, then remove the file");
        }
        for place in &outcome.elsewhere {
            messages.note(&format!("entries of {} wait, too: run `git audit flush` there", place.display()));
        }
        if let Some(error) = &outcome.unpacked {
            messages.warning(&format!("the packs are as they were: {error}"));
        }
        print::flushed(printer, &outcome)?;
        Ok(if outcome.invalid.is_empty() { ExitStatus::Done } else { ExitStatus::Invalid })
    }
}
