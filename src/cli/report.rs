//! What happens while entries are recorded, told as it happens: receipts on standard output, the rest on standard error.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::fields::flag_of;
use crate::entry::TaskId;
use crate::error::Error;
use crate::ledger::Receipt;
use crate::ops::flush::FlushOutcome;
use crate::ops::input::{Origin, Problem};
use crate::ops::record::Progress;
use crate::output::{Messages, Printer, record as print};

/// Tells what happens while it happens.
pub(super) struct Report<'s> {
    printer: &'s mut Printer,
    messages: &'s mut Messages,
    /// The first receipt that could not be printed. Recording goes on all the same: what was handed in is not lost
    /// for that.
    pub unprinted: Option<Error>,
}

impl<'s> Report<'s> {
    pub fn new(printer: &'s mut Printer, messages: &'s mut Messages) -> Self {
        Self { printer, messages, unprinted: None }
    }

    pub fn tell(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Began(branch) => self.messages.note(&format!("began a ledger on branch {branch}")),
            Progress::Pinned(branch) => {
                self.messages
                    .note(&format!("records go to branch {branch} from now on (git config audit.branch)"));
            }
            Progress::NoJournal(error) => {
                self.messages.warning(&format!("{error}; what happens is recorded only at the end"));
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
            Progress::SupersedesUnknown(unknown) => self.messages.supersedes_unknown(unknown),
            Progress::Redacted(origin, found) => self.messages.redacted(origin, found),
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
        self.messages.hint(match error {
            Error::NoLedger(_) => "run `git audit init` there, then `git audit flush`",
            Error::NoRepository(_) => "make a repository and a ledger there, or remove the file",
            _ => "the next `git audit record` in that repository records it, or `git audit flush`",
        });
    }

    fn flushed(&mut self, flushed: &FlushOutcome) {
        let count = flushed.recorded.len() + flushed.skipped.len();
        if count > 0 {
            let entries = if count == 1 { "1 entry" } else { &format!("{count} entries") };
            self.messages.note(&format!("also recorded {entries} from the spool"));
        }
        for (task_id, found) in &flushed.redacted {
            self.messages.redacted(task_id, found);
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
