//! Standard error: errors, warnings and notes, one line each, all text made safe.

use std::io::Write;

use super::sanitize::visible;
use super::style::Style;
use crate::entry::TaskId;
use crate::entry::redact::Found;
use crate::error::Error;
use crate::ops::superseded::{Correction, Unknown};

/// How many secrets of one input are named.
const MAX_FOUND: usize = 10;

/// Standard error. A message that cannot be written is dropped: there is nowhere left to say so.
pub struct Messages {
    err: Box<dyn Write>,
    color: bool,
    /// Lines that wait until the screen is free.
    held: Option<Vec<u8>>,
}

impl Messages {
    /// Writes to `err`, in colour or not.
    pub fn new(err: Box<dyn Write>, color: bool) -> Self {
        Self { err, color, held: None }
    }

    /// In colour or not, from now on.
    pub fn set_color(&mut self, color: bool) {
        self.color = color;
    }

    /// Keeps what is said until [`Messages::release`]: a pager has the screen.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Says what was held back.
    pub fn release(&mut self) {
        if let Some(held) = self.held.take() {
            _ = self.err.write_all(&held);
        }
    }

    /// What went wrong, and what to run next.
    pub fn error(&mut self, error: &Error) {
        self.line("error", &error.to_string());
        if let Some(hint) = error.hint() {
            self.hint(&hint);
        }
    }

    /// What was wrong with an input.
    pub fn problem(&mut self, text: &str) {
        self.line("error", text);
    }

    /// Something the reader should look at.
    pub fn warning(&mut self, text: &str) {
        self.line("warning", text);
    }

    /// What to run next.
    pub fn hint(&mut self, text: &str) {
        self.line("hint", text);
    }

    /// Something worth knowing.
    pub fn note(&mut self, text: &str) {
        self.line("note", text);
    }

    /// A task is recorded with other content than what was given at `origin` (empty: by flags, or in the spool).
    pub fn differs(&mut self, origin: &str, task_id: &TaskId, fields: &[String]) {
        let place = if origin.is_empty() { String::new() } else { format!("{origin}: ") };
        let fields = fields.join(", ");
        self.warning(&format!("{place}{task_id} is recorded already, with other values in {fields}"));
    }

    /// What was found in what came from `origin`, one line each, up to some.
    pub fn redacted(&mut self, origin: &dyn std::fmt::Display, found: &[Found]) {
        for found in &found[..found.len().min(MAX_FOUND)] {
            self.warning(&format!("{origin}: {found}"));
        }
        if found.len() > MAX_FOUND {
            self.warning(&format!("{origin}: and {} more", found.len() - MAX_FOUND));
        }
    }

    /// Entries correct tasks that the ledger does not have.
    pub fn supersedes_unknown(&mut self, unknown: &Unknown) {
        let Unknown { corrections, more } = unknown;
        let shown = &corrections[..corrections.len().min(MAX_FOUND)];
        for Correction { task_id, supersedes } in shown {
            self.warning(&format!("{task_id} supersedes {supersedes}, which the ledger does not have"));
        }
        let more = more + corrections.len() - shown.len();
        if more > 0 {
            self.warning(&format!("and up to {more} more entries supersede tasks that it does not have"));
        }
        if let Some(Correction { supersedes, .. }) = shown.first() {
            self.hint(&format!("record {supersedes} too, or `git audit verify` will have a finding"));
        }
    }

    /// A lock that was in the way.
    pub fn stale_lock(&mut self, moved_to: &std::path::Path) {
        let text = "a process that was killed had left the branch's lock; it was moved to";
        self.note(&format!("{text} {}", moved_to.display()));
    }

    /// Lines that are not ours, such as the argument parser's.
    pub fn lines(&mut self, text: &str) {
        for line in text.lines() {
            match line.strip_prefix("error: ") {
                Some(error) => self.problem(error),
                None => self.write(&visible(line)),
            }
        }
    }

    fn line(&mut self, kind: &str, text: &str) {
        let style = match kind {
            "error" => Style::Error,
            "warning" => Style::Warning,
            _ => Style::Advice,
        };
        let kind = style.paint(&format!("{kind}:"), self.color);
        self.write(&format!("{kind} {}", visible(text)));
    }

    fn write(&mut self, line: &str) {
        _ = match &mut self.held {
            Some(held) => writeln!(held, "{line}"),
            None => writeln!(self.err, "{line}"),
        };
    }
}
