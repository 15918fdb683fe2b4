//! `git audit record`: finished tasks into the ledger. A bad entry never loses a good one.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::documents::{Document, Documents};
use super::{Context, init};
use crate::entry::parse::{Invalid, pointer_to};
use crate::entry::{TaskId, Timestamp, validate};
use crate::error::{Error, Result};
use crate::ledger::{self, Ledger, Receipt, Request};

/// Entries that share one pass are held in memory until it is done.
const MAX_PASS_ENTRIES: usize = 256;
const MAX_PASS_BYTES: usize = 8 << 20;

/// Where entries come from.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Any stream, under the name that messages give it.
    Stream(String, Box<dyn Read>),
    /// Nothing but the fields given by flags.
    Fields,
}

/// A field given beside the input: the keys that lead to it, and its value.
pub type Field = (&'static [&'static str], Value);

/// What the caller wants recorded, and how.
pub struct RecordOptions {
    /// Where the entries come from, in order.
    pub sources: Vec<Source>,
    /// Fields that win over what the input says.
    pub fields: Vec<Field>,
    /// Make the ledger where there is none.
    pub init: bool,
}

/// What happens while recording, as it happens.
pub enum Progress<'p> {
    /// An entry is in the ledger, or was.
    Receipt {
        /// The task.
        task_id: &'p TaskId,
        /// What became of it.
        receipt: &'p Receipt,
        /// Where it was given.
        origin: &'p Origin,
    },
    /// There was no ledger; it was begun on this branch.
    Began(&'p str),
    /// The branch was not pinned; it is now.
    Pinned(&'p str),
    /// The branch could not be pinned. The entries are recorded all the same.
    Unpinned(&'p Error),
    /// An input is not an entry; it was not recorded.
    Invalid(&'p Problem),
    /// An entry that an interrupted run had left behind was completed.
    Healed(&'p TaskId),
}

/// Where an entry was given.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file's name, or what the stream is called; `None` for flags alone.
    pub source: Option<String>,
    /// The line, from 1, where the input has several.
    pub line: Option<usize>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.source.as_deref().unwrap_or("the flags"))?;
        self.line.map_or(Ok(()), |line| write!(formatter, ":{line}"))
    }
}

/// What is wrong with an input, and where.
#[derive(Debug)]
pub struct Problem {
    /// Where it was given.
    pub origin: Origin,
    /// What is wrong there.
    pub invalid: Invalid,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { origin, invalid } = self;
        let line = origin.line.or(invalid.line);
        write!(formatter, "{}", Origin { line, ..origin.clone() })?;
        if let Some(column) = invalid.column.filter(|_| line.is_some()) {
            write!(formatter, ":{column}")?;
        }
        write!(formatter, ": {invalid}")
    }
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
}

/// Records everything the sources hold.
///
/// # Errors
/// No repository or ledger, a lock past the deadline, I/O. Invalid input is not an error here: it is handed to
/// `progress` and counted.
pub fn run(
    context: &Context,
    options: RecordOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> Result<()>,
) -> Result<RecordOutcome> {
    let RecordOptions { sources, fields, init: make_ledger } = options;
    let mut recording = Recording {
        context,
        make_ledger,
        ledger: None,
        names_one_task: fields.iter().any(|(keys, _)| *keys == ["task_id"]),
        pass: Vec::new(),
        pass_bytes: 0,
        outcome: RecordOutcome::default(),
        progress,
    };
    for source in sources {
        recording.read(source, &fields)?;
    }
    recording.flush()?;
    Ok(recording.outcome)
}

struct Recording<'c> {
    context: &'c Context,
    make_ledger: bool,
    ledger: Option<Ledger>,
    /// `--task-id` was given: there can be one entry only, and nothing is recorded before that is known.
    names_one_task: bool,
    pass: Vec<(Request, Origin)>,
    pass_bytes: usize,
    outcome: RecordOutcome,
    progress: &'c mut dyn FnMut(Progress<'_>) -> Result<()>,
}

impl Recording<'_> {
    fn read(&mut self, source: Source, fields: &[Field]) -> Result<()> {
        let (name, reader): (_, Box<dyn Read>) = match source {
            Source::Fields => {
                let empty = Document { line: None, value: Ok(Value::Object(Map::new())) };
                return self.add(None, empty, fields);
            }
            Source::Stream(name, reader) => (name, reader),
            Source::File(path) => {
                let name = path.display().to_string();
                let origin = Origin { source: Some(name.clone()), line: None };
                if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                    let invalid = Invalid::whole("is a directory; name the files in it");
                    return self.refuse(&Problem { origin, invalid });
                }
                match File::open(&path) {
                    Ok(file) => (name, Box::new(file)),
                    Err(error) => {
                        let invalid = Invalid::whole(format!("cannot be read: {error}"));
                        return self.refuse(&Problem { origin, invalid });
                    }
                }
            }
        };
        let mut documents = Documents::new(reader);
        loop {
            let document = match documents.next_document() {
                Ok(Some(document)) => document,
                Ok(None) => break,
                Err(error) => {
                    let origin = Origin { source: Some(name), line: None };
                    return self.refuse(&Problem {
                        origin,
                        invalid: Invalid::whole(format!("cannot be read: {error}")),
                    });
                }
            };
            self.add(Some(&name), document, fields)?;
            if documents.may_wait() && !self.names_one_task {
                // Whoever feeds us may be waiting for the receipt of what we have.
                self.flush()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, source: Option<&str>, document: Document, fields: &[Field]) -> Result<()> {
        let Document { line, value } = document;
        let origin = Origin { source: source.map(str::to_owned), line };
        if self.names_one_task && !self.pass.is_empty() {
            let text = format!(
                "--task-id names one task, but there are several in the input ({origin} is the second)"
            );
            return Err(Error::Usage(text));
        }
        let now = Timestamp::from_clock(self.context.place.clock.now());
        let request = value.and_then(|given| {
            let given = with_fields(given, fields)?;
            Request::new(validate::entry(given.clone(), now)?, given)
        });
        match request {
            Err(invalid) => self.refuse(&Problem { origin, invalid }),
            Ok(request) => {
                self.pass_bytes += request.size_bytes();
                self.pass.push((request, origin));
                let full = self.pass.len() >= MAX_PASS_ENTRIES || self.pass_bytes >= MAX_PASS_BYTES;
                if full { self.flush() } else { Ok(()) }
            }
        }
    }

    fn refuse(&mut self, problem: &Problem) -> Result<()> {
        self.outcome.invalid += 1;
        (self.progress)(Progress::Invalid(problem))
    }

    /// Records what is waiting.
    fn flush(&mut self) -> Result<()> {
        if self.pass.is_empty() {
            return Ok(());
        }
        self.pass_bytes = 0;
        let (requests, origins): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pass).into_iter().unzip();
        let deadline = self.context.deadline();
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => self.find_or_make_ledger()?,
        };
        let appended = ledger.append(&requests, deadline)?;
        match &appended.pinned {
            Ok(false) => {}
            Ok(true) => (self.progress)(Progress::Pinned(ledger.branch()))?,
            Err(error) => (self.progress)(Progress::Unpinned(error))?,
        }
        self.ledger = Some(ledger);
        for task_id in &appended.healed {
            (self.progress)(Progress::Healed(task_id))?;
        }
        for ((request, receipt), origin) in requests.iter().zip(&appended.receipts).zip(origins) {
            let task_id = request.task_id();
            match receipt {
                Receipt::Recorded { .. } => self.outcome.recorded += 1,
                Receipt::Skipped { differing, .. } => {
                    self.outcome.skipped += 1;
                    self.outcome.differing += usize::from(!differing.is_empty());
                }
                Receipt::OtherCase { existing } => {
                    let rule = format!(
                        "task_id `{task_id}` differs only in case from `{existing}`, which is in the ledger"
                    );
                    self.refuse(&Problem { origin, invalid: Invalid::at("/task_id", rule) })?;
                    continue;
                }
            }
            (self.progress)(Progress::Receipt { task_id, receipt, origin: &origin })?;
        }
        Ok(())
    }

    fn find_or_make_ledger(&mut self) -> Result<Ledger> {
        match Ledger::open(&self.context.place) {
            Err(Error::NoLedger(_)) if self.make_ledger => {
                let done = init::run(self.context, &init::InitOptions::default())?;
                if done.origin == ledger::Origin::Created {
                    (self.progress)(Progress::Began(&done.branch))?;
                }
                Ledger::open(&self.context.place)
            }
            opened => opened,
        }
    }
}

/// Puts the caller's fields into `value`, making the objects that lead to them.
fn with_fields(mut value: Value, fields: &[Field]) -> std::result::Result<Value, Invalid> {
    for (keys, field) in fields {
        let mut pointer = String::new();
        let mut place = &mut value;
        for key in *keys {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(map) = place else {
                let rule = format!("must be an object, so that a flag can set `{key}` in it");
                return Err(Invalid::at(pointer, rule));
            };
            pointer = pointer_to(&pointer, key);
            place = map.entry(*key).or_insert(Value::Null);
        }
        *place = field.clone();
    }
    Ok(value)
}
