//! `git audit record`: finished tasks into the ledger. A bad entry never loses a good one.

use std::path::PathBuf;

use super::documents::Arrays;
use super::input::{Field, Incoming, Origin, Problem, Reading, Source};
use super::superseded::{Superseding, Unknown};
use super::{Context, MAX_PASS_ENTRIES, flush, init, redaction};
use crate::entry::parse::Invalid;
use crate::entry::redact::Found;
use crate::entry::{Ci, TaskId};
use crate::error::{Error, Result};
use crate::ledger::{self, Durability, Ledger, Naming, Receipt, Request, Spool, Spooled};

const MAX_PASS_BYTES: usize = 8 << 20;

/// What the caller wants recorded, and how.
pub struct RecordOptions {
    /// Where the entries come from, in order.
    pub sources: Vec<Source>,
    /// Fields that win over what the input says.
    pub fields: Vec<Field>,
    /// The CI job that runs this: fills what is not said otherwise.
    pub ci: Option<Ci>,
    /// What the policy blocks was let in before: it is redacted.
    pub lets_in: bool,
    /// Make the ledger where there is none.
    pub init: bool,
    /// What cannot be recorded waits in the spool, and is no error.
    pub best_effort: bool,
}

/// What happens while recording, as it happens.
pub enum Progress<'p> {
    /// An entry is in the ledger, or was.
    Receipt {
        /// The task.
        task_id: &'p TaskId,
        /// What became of it.
        receipt: &'p Receipt,
        /// How durable that is.
        durability: Durability,
        /// Where it was given.
        origin: &'p Origin,
    },
    /// There was no ledger; it was begun on this branch.
    Began(&'p str),
    /// The branch was not pinned; it is now.
    Pinned(&'p str),
    /// A task runs without a journal, for this reason.
    NoJournal(&'p Error),
    /// Something that is no failure of the record, such as that the branch could not be pinned.
    Warning(&'p Error),
    /// Secrets were found in an input, and what the policy wants was done about them.
    Redacted(&'p Origin, &'p [Found]),
    /// An input is not an entry; it was not recorded.
    Invalid(&'p Problem),
    /// An entry that an interrupted run had left behind was completed.
    Healed(&'p TaskId),
    /// A killed process had left the branch's lock; it was moved here.
    StaleLock(&'p PathBuf),
    /// Entries could not be recorded, and wait in these files now.
    Spooled(&'p Error, &'p [PathBuf]),
    /// An invalid input waits in this file for a person.
    Kept(&'p PathBuf),
    /// It could neither be recorded nor be kept. This is what it was.
    Lost(&'p Error, String),
    /// Entries that had been waiting in the spool were recorded.
    Flushed(&'p flush::FlushOutcome),
    /// Entries were recorded that correct tasks which the ledger does not have.
    SupersedesUnknown(&'p Unknown),
}

/// How it went, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordOutcome {
    /// Entries recorded now.
    pub recorded: usize,
    /// Entries that were there already.
    pub skipped: usize,
    /// Of those, entries whose stored content differs from what was given.
    pub differing: usize,
    /// Inputs that are not entries.
    pub invalid: usize,
    /// Entries that wait in the spool.
    pub spooled: usize,
    /// Whether packs have piled up: `git audit flush` puts them together.
    pub packing_due: bool,
}

/// Records everything the sources hold.
///
/// # Errors
/// No repository or ledger, a lock past the deadline, I/O. Invalid input is not an error here: it is handed to
/// `progress` and counted. With `best_effort` there is none but those of `progress` itself.
pub fn run(
    context: &Context,
    options: RecordOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<RecordOutcome> {
    let RecordOptions { sources, fields, ci, lets_in, init: make_ledger, best_effort } = options;
    let (ledger, redactor) = redaction::begin(context, best_effort)?;
    let mut recording = Recording {
        context,
        make_ledger,
        best_effort,
        ledger,
        names_one_task: fields.iter().any(|(keys, _)| *keys == ["task_id"]),
        pass: Vec::new(),
        pass_bytes: 0,
        superseding: Superseding::default(),
        outcome: RecordOutcome::default(),
        progress,
    };
    let reading = Reading {
        directory: context.place.directory.clone(),
        fields,
        ci,
        arrays: Arrays::Refused,
        authored: false,
        clock: context.place.clock,
        redactor,
        lets_in,
    };
    for source in sources {
        reading.read(source, &mut |incoming| recording.take(incoming))?;
    }
    recording.flush()?;
    recording.flush_spool()?;
    recording.end()
}

struct Recording<'c> {
    context: &'c Context,
    make_ledger: bool,
    best_effort: bool,
    ledger: Option<Ledger>,
    /// `--task-id` was given: there can be one entry only, and nothing is recorded before that is known.
    names_one_task: bool,
    pass: Vec<(Request, Origin)>,
    pass_bytes: usize,
    superseding: Superseding,
    outcome: RecordOutcome,
    progress: &'c mut dyn FnMut(Progress<'_>) -> Result<()>,
}

impl Recording<'_> {
    fn take(&mut self, incoming: Incoming) -> Result<()> {
        let (request, origin) = match incoming {
            Incoming::Invalid(problem, text) => return self.refuse(&problem, &text),
            Incoming::Redacted(origin, found) => return (self.progress)(Progress::Redacted(&origin, &found)),
            Incoming::MayWait if self.names_one_task => return Ok(()),
            Incoming::MayWait => return self.flush(),
            Incoming::Request(request, origin) => (request, origin),
        };
        if self.names_one_task && !self.pass.is_empty() {
            let text = format!(
                "--task-id names one task, but there are several in the input ({origin} is the second)"
            );
            let error = Error::Usage(text);
            if !self.best_effort {
                return Err(error);
            }
            let (mut requests, _): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pass).into_iter().unzip();
            requests.push(request);
            return self.spool(&requests, &error);
        }
        self.pass_bytes += request.size_bytes();
        self.pass.push((request, origin));
        let full = self.pass.len() >= MAX_PASS_ENTRIES || self.pass_bytes >= MAX_PASS_BYTES;
        if full { self.flush() } else { Ok(()) }
    }

    fn refuse(&mut self, problem: &Problem, text: &[u8]) -> Result<()> {
        self.outcome.invalid += 1;
        (self.progress)(Progress::Invalid(problem))?;
        if !self.best_effort || text.is_empty() {
            return Ok(());
        }
        match Spool::keep_somewhere(&[Spooled::Text(text)], &problem.to_string(), &self.context.place) {
            Ok(files) => files.iter().try_for_each(|file| (self.progress)(Progress::Kept(file))),
            Err(error) => (self.progress)(Progress::Lost(&error, String::from_utf8_lossy(text).into_owned())),
        }
    }

    /// Records what is waiting.
    fn flush(&mut self) -> Result<()> {
        if self.pass.is_empty() {
            return Ok(());
        }
        self.pass_bytes = 0;
        let (requests, origins): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pass).into_iter().unzip();
        match self.append(&requests) {
            Ok(appended) => self.tell(&requests, origins, &appended),
            Err(error) if self.best_effort => self.spool(&requests, &error),
            Err(error) => Err(error),
        }
    }

    fn append(&mut self, requests: &[Request]) -> Result<ledger::Appended> {
        let deadline = self.context.deadline();
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => {
                let ledger = init::open_or_make(self.context, self.make_ledger, &mut |branch| {
                    (self.progress)(Progress::Began(branch))
                })?;
                // Somebody else made it since, and what was read was not redacted by its rules.
                if !ledger.redaction_policy()?.is_default() {
                    return Err(Error::Moved(ledger.branch().to_owned()));
                }
                ledger
            }
        };
        self.ledger.insert(ledger).append(requests, deadline, Naming::Every)
    }

    fn tell(
        &mut self,
        requests: &[Request],
        origins: Vec<Origin>,
        appended: &ledger::Appended,
    ) -> Result<()> {
        let branch = self.ledger.as_ref().map_or("", Ledger::branch);
        match &appended.pinned {
            Ok(false) => {}
            Ok(true) => (self.progress)(Progress::Pinned(branch))?,
            Err(error) => (self.progress)(Progress::Warning(error))?,
        }
        if let Some(lock) = &appended.stale_lock {
            (self.progress)(Progress::StaleLock(lock))?;
        }
        for task_id in &appended.healed {
            (self.progress)(Progress::Healed(task_id))?;
        }
        self.outcome.packing_due |= appended.packing_due;
        for ((request, receipt), origin) in requests.iter().zip(&appended.receipts).zip(origins) {
            let task_id = request.task_id();
            match receipt {
                Receipt::Recorded { .. } => {
                    self.outcome.recorded += 1;
                    self.superseding.add(request);
                }
                Receipt::Skipped { differing, .. } => {
                    self.outcome.skipped += 1;
                    self.outcome.differing += usize::from(!differing.is_empty());
                }
                Receipt::OtherCase { existing } => {
                    let problem = Problem { origin, invalid: other_case(task_id, existing) };
                    self.refuse(&problem, request.given_text().as_bytes())?;
                    continue;
                }
            }
            let durability = appended.durability;
            (self.progress)(Progress::Receipt { task_id, receipt, durability, origin: &origin })?;
        }
        self.ledger.iter().for_each(|ledger| self.superseding.pass_ended(ledger));
        Ok(())
    }

    /// Keeps what could not be recorded.
    fn spool(&mut self, requests: &[Request], error: &Error) -> Result<()> {
        let items: Vec<_> = requests.iter().map(Spooled::Entry).collect();
        match Spool::keep_somewhere(&items, &error.to_string(), &self.context.place) {
            Ok(files) => {
                self.outcome.spooled += files.len();
                (self.progress)(Progress::Spooled(error, &files))
            }
            Err(unkept) => {
                (self.progress)(Progress::Warning(&unkept))?;
                requests
                    .iter()
                    .try_for_each(|request| (self.progress)(Progress::Lost(error, request.given_text())))
            }
        }
    }

    /// Records what earlier commands had to leave in the spool. What stays there is no failure of this one.
    fn flush_spool(&mut self) -> Result<()> {
        let Some(ledger) = self.ledger.as_ref().filter(|_| self.outcome.spooled == 0) else { return Ok(()) };
        let flushed = flush::commit_waiting(ledger, self.context.deadline(), MAX_PASS_ENTRIES);
        match flushed {
            Ok(flushed) if flushed.is_nothing() => Ok(()),
            Ok(flushed) => (self.progress)(Progress::Flushed(&flushed)),
            Err(error) => (self.progress)(Progress::Warning(&error)),
        }
    }

    fn end(self) -> Result<RecordOutcome> {
        let unknown = self.ledger.as_ref().and_then(|ledger| self.superseding.unknown(ledger));
        if let Some(unknown) = unknown {
            (self.progress)(Progress::SupersedesUnknown(&unknown))?;
        }
        Ok(self.outcome)
    }
}

/// What is wrong with an id that meets one of other case.
pub(super) fn other_case(task_id: &TaskId, existing: &str) -> Invalid {
    let rule = format!("task_id `{task_id}` differs only in case from `{existing}`, which is in the ledger");
    Invalid::at("/task_id", rule)
}
