//! `git audit import`: many entries at once, from JSON Lines or a JSON array. Safe to run again: what is recorded is
//! skipped.
//!
//! One thread reads and checks, the other one writes; between them are a few batches, so memory stays bounded.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::documents::Arrays;
use super::input::{Incoming, Origin, Problem, Reading, Source};
use super::record::other_case;
use super::superseded::{Superseding, Unknown};
use super::{Context, init};
use crate::entry::TaskId;
use crate::entry::redact::Found;
use crate::error::{Error, Result};
use crate::ledger::{Bulk, Durability, Ledger, Naming, Packed, Receipt, Request};

/// One pass, which means one barrier and one move of the branch, ends when it is as large; and when somebody else wants
/// to write. An import that is interrupted loses at most that. The larger a pass, the smaller the ledger.
const PASS_ENTRIES: usize = 1 << 17;
/// The same where a working tree shows the branch, which gets each file and must be able to give it back.
const PASS_ENTRIES_CHECKED_OUT: usize = 1 << 12;
const PASS_BYTES: usize = 192 << 20;
/// Entries are handed from thread to thread in batches; this many wait at most.
const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: usize = 2 << 20;
const WAITING_BATCHES: usize = 4;
/// An input that says nothing for as long makes nobody else wait.
const IDLE: Duration = Duration::from_millis(250);

/// What to import, and how.
pub struct ImportOptions {
    /// Where the entries come from.
    pub source: Source,
    /// Make the ledger where there is none.
    pub init: bool,
    /// The entries' own times become the author dates of their commits.
    pub at_recorded_time: bool,
}

/// What happens while importing, as it happens.
pub enum ImportProgress<'p> {
    /// There was no ledger; it was begun on this branch.
    Began(&'p str),
    /// An input is not an entry; it was not recorded.
    Invalid(&'p Problem),
    /// Secrets were found in an input, and what the policy wants was done about them.
    Redacted(&'p Origin, &'p [Found]),
    /// A task is recorded already, with other values in these fields.
    Differs(&'p TaskId, &'p [String], &'p Origin),
    /// So much has been read; not all of it is durable.
    Read(ImportOutcome),
    /// So much is durable now.
    Durable(ImportOutcome),
    /// Something that is no failure of the import.
    Warning(&'p Error),
    /// A killed process had left the branch's lock; it was moved here.
    StaleLock(&'p PathBuf),
    /// All is recorded; packs are being put together.
    Packing,
    /// Entries were recorded that correct tasks which the ledger does not have.
    SupersedesUnknown(&'p Unknown),
}

/// How it went, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOutcome {
    /// Entries recorded now.
    pub recorded: usize,
    /// Entries that were there already.
    pub skipped: usize,
    /// Of those, entries whose stored content differs from what was given.
    pub differing: usize,
    /// Inputs that are not entries.
    pub invalid: usize,
    /// How durable they are.
    pub durability: Durability,
    /// What was done to the packs in the end.
    pub packed: Packed,
}

impl ImportOutcome {
    fn plus(self, other: Self) -> Self {
        Self {
            recorded: self.recorded + other.recorded,
            skipped: self.skipped + other.skipped,
            differing: self.differing + other.differing,
            invalid: self.invalid + other.invalid,
            durability: self.durability,
            packed: self.packed,
        }
    }
}

/// Imports everything the source holds.
///
/// # Errors
/// No repository or ledger, a lock past the deadline, I/O. What was reported as durable by then is recorded; the rest is
/// when the import is run again. Invalid input is not an error here: it is handed to `progress` and counted.
pub fn run(
    context: &Context,
    options: ImportOptions,
    progress: &mut dyn FnMut(ImportProgress<'_>) -> Result<()>,
) -> Result<ImportOutcome> {
    let ImportOptions { source, init: make_ledger, at_recorded_time } = options;
    let ledger =
        init::open_or_make(context, make_ledger, &mut |branch| progress(ImportProgress::Began(branch)))?;
    let reading = Reading {
        directory: context.place.directory.clone(),
        fields: Vec::new(),
        ci: None,
        arrays: Arrays::Streamed,
        authored: at_recorded_time,
        clock: context.place.clock,
        redactor: ledger.redactor()?,
        lets_in: false,
    };
    let superseding = Superseding::default();
    let mut writing =
        Writing { context, ledger: &ledger, superseding, outcome: ImportOutcome::default(), progress };
    let (sender, receiver) = sync_channel(WAITING_BATCHES);
    // Not waited for: when writing fails, it may still be waiting for whoever feeds the input.
    let reader = std::thread::Builder::new().spawn(move || read(&reading, source, &sender));
    reader.map_err(|error| Error::io("start reading", error))?;
    writing.take_all(&receiver)?;
    if let Some(unknown) = std::mem::take(&mut writing.superseding).unknown(&ledger) {
        (writing.progress)(ImportProgress::SupersedesUnknown(&unknown))?;
    }
    (writing.progress)(ImportProgress::Packing)?;
    match writing.ledger.pack(false) {
        Ok(packed) => writing.outcome.packed = packed,
        Err(error) => (writing.progress)(ImportProgress::Warning(&error))?,
    }
    Ok(writing.outcome)
}

/// Reads and checks on its own thread.
fn read(reading: &Reading, source: Source, sender: &SyncSender<Vec<Incoming>>) {
    let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_ENTRIES), 0);
    let gone = || Error::Usage("nobody takes what is read".into());
    let read = reading.read(source, &mut |incoming| {
        let full = match &incoming {
            // Whoever writes the input may take a while.
            Incoming::MayWait => true,
            Incoming::Request(request, _) => {
                bytes += request.size_bytes();
                bytes >= BATCH_BYTES || batch.len() + 1 >= BATCH_ENTRIES
            }
            Incoming::Invalid(..) | Incoming::Redacted(..) => batch.len() + 1 >= BATCH_ENTRIES,
        };
        batch.push(incoming);
        if !full {
            return Ok(());
        }
        bytes = 0;
        sender.send(std::mem::take(&mut batch)).map_err(|_| gone())
    });
    if read.is_ok() {
        _ = sender.send(batch);
    }
}

struct Writing<'c> {
    context: &'c Context,
    ledger: &'c Ledger,
    superseding: Superseding,
    outcome: ImportOutcome,
    progress: &'c mut dyn FnMut(ImportProgress<'_>) -> Result<()>,
}

impl Writing<'_> {
    fn take_all(&mut self, batches: &Receiver<Vec<Incoming>>) -> Result<()> {
        let mut bulk: Option<Bulk<'_>> = None;
        // What the pass under way will have done.
        let mut pending = ImportOutcome::default();
        loop {
            let batch = match batches.recv_timeout(IDLE) {
                Ok(batch) => batch,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // The input makes us wait: nobody else has to, and what came is made durable.
                    bulk.take().map_or(Ok(()), |pass| self.end(pass, &mut pending))?;
                    continue;
                }
            };
            let enough = if self.ledger.is_checked_out() { PASS_ENTRIES_CHECKED_OUT } else { PASS_ENTRIES };
            for incoming in batch {
                let (request, origin) = match incoming {
                    Incoming::Request(request, origin) => (request, origin),
                    Incoming::Invalid(problem, _) => {
                        self.refuse(&problem)?;
                        continue;
                    }
                    Incoming::Redacted(origin, found) => {
                        (self.progress)(ImportProgress::Redacted(&origin, &found))?;
                        continue;
                    }
                    Incoming::MayWait => continue,
                };
                let pass = match &mut bulk {
                    Some(pass) => pass,
                    none => none.insert(self.ledger.bulk(self.context.deadline())?),
                };
                let receipt = match pass.add(&request)? {
                    Some(receipt) => receipt,
                    // The same id came before in this pass, with other content.
                    None => {
                        bulk.take().map_or(Ok(()), |pass| self.end(pass, &mut pending))?;
                        let next = bulk.insert(self.ledger.bulk(self.context.deadline())?);
                        let Some(receipt) = next.add(&request)? else { continue };
                        receipt
                    }
                };
                self.count(&request, &origin, receipt, &mut pending)?;
            }
            (self.progress)(ImportProgress::Read(self.outcome.plus(pending)))?;
            let is_full = |pass: &Bulk<'_>| pending.recorded >= enough || pass.size_bytes() >= PASS_BYTES;
            let is_waited_for = self.ledger.is_waited_for();
            if let Some(pass) = bulk.take_if(|pass| is_full(pass) || is_waited_for) {
                self.end(pass, &mut pending)?;
            }
            if is_waited_for {
                // Whoever waits need not take the lock for that; and may be gone.
                self.ledger.append(&[], self.context.deadline(), Naming::Known)?;
            }
        }
        bulk.map_or(Ok(()), |pass| self.end(pass, &mut pending))
    }

    fn count(
        &mut self,
        request: &Request,
        origin: &Origin,
        receipt: Receipt,
        pending: &mut ImportOutcome,
    ) -> Result<()> {
        match receipt {
            Receipt::Recorded { .. } => {
                pending.recorded += 1;
                self.superseding.add(request);
            }
            Receipt::Skipped { differing, .. } => {
                pending.skipped += 1;
                if !differing.is_empty() {
                    pending.differing += 1;
                    (self.progress)(ImportProgress::Differs(request.task_id(), &differing, origin))?;
                }
            }
            Receipt::OtherCase { existing } => {
                let invalid = other_case(request.task_id(), &existing);
                self.refuse(&Problem { origin: origin.clone(), invalid })?;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, problem: &Problem) -> Result<()> {
        self.outcome.invalid += 1;
        (self.progress)(ImportProgress::Invalid(problem))
    }

    fn end(&mut self, pass: Bulk<'_>, pending: &mut ImportOutcome) -> Result<()> {
        let ended = pass.end(self.context.deadline())?;
        self.outcome = self.outcome.plus(std::mem::take(pending));
        self.outcome.durability = ended.durability;
        self.superseding.pass_ended(self.ledger);
        if let Err(error) = &ended.pinned {
            (self.progress)(ImportProgress::Warning(error))?;
        }
        if let Some(lock) = &ended.stale_lock {
            (self.progress)(ImportProgress::StaleLock(lock))?;
        }
        (self.progress)(ImportProgress::Durable(self.outcome))
    }
}
