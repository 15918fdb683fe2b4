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
use crate::ledger::{Ledger, Receipt, Request};

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
    Receipt(&'p TaskId, &'p Receipt),
    /// An input is not an entry; it was not recorded.
    Invalid(&'p Problem),
    /// An entry that an interrupted run had left behind was completed.
    Healed(&'p TaskId),
}

/// What is wrong with an input, and where.
#[derive(Debug)]
pub struct Problem {
    /// The file's name, or what the stream is called.
    pub source: String,
    /// The line, from 1, where the input has several.
    pub line: Option<usize>,
    /// What is wrong there.
    pub invalid: Invalid,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.source)?;
        if let Some(line) = self.line.or(self.invalid.line) {
            write!(formatter, ":{line}")?;
            if let Some(column) = self.invalid.column {
                write!(formatter, ":{column}")?;
            }
        }
        write!(formatter, ": {}", self.invalid)
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
    pass: Vec<(Request, String, Option<usize>)>,
    pass_bytes: usize,
    outcome: RecordOutcome,
    progress: &'c mut dyn FnMut(Progress<'_>) -> Result<()>,
}

impl Recording<'_> {
    fn read(&mut self, source: Source, fields: &[Field]) -> Result<()> {
        let (name, reader): (_, Box<dyn Read>) = match source {
            Source::Fields => {
                return self.add(
                    "the flags",
                    Document { line: None, value: Ok(Value::Object(Map::new())) },
                    fields,
                );
            }
            Source::Stream(name, reader) => (name, reader),
            Source::File(path) => {
                let name = path.display().to_string();
                let whole = |rule: String| Problem {
                    source: name.clone(),
                    line: None,
                    invalid: Invalid::whole(rule),
                };
                if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                    return self.refuse(&whole("is a directory; name the files in it".into()));
                }
                match File::open(&path) {
                    Ok(file) => (name, Box::new(file)),
                    Err(error) => return self.refuse(&whole(format!("cannot be read: {error}"))),
                }
            }
        };
        let mut documents = Documents::new(reader);
        while let Some(document) =
            documents.next_document().map_err(|error| Error::io(format!("read {name}"), error))?
        {
            self.add(&name, document, fields)?;
            if documents.may_wait() {
                // Whoever feeds us may be waiting for the receipt of what we have.
                self.flush()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, source: &str, document: Document, fields: &[Field]) -> Result<()> {
        let Document { line, value } = document;
        let now = Timestamp::from_clock(self.context.place.clock.now());
        let request = value.and_then(|given| {
            let given = with_fields(given, fields)?;
            Request::new(validate::entry(given.clone(), now)?, given)
        });
        match request {
            Err(invalid) => self.refuse(&Problem { source: source.to_owned(), line, invalid }),
            Ok(request) => {
                self.pass_bytes += request.size_bytes();
                self.pass.push((request, source.to_owned(), line));
                if self.pass.len() >= MAX_PASS_ENTRIES || self.pass_bytes >= MAX_PASS_BYTES {
                    self.flush()
                } else {
                    Ok(())
                }
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
        let waiting = std::mem::take(&mut self.pass);
        self.pass_bytes = 0;
        let (requests, origins): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|(request, name, line)| (request, (name, line))).unzip();
        let deadline = self.context.deadline();
        let appended = self.open_ledger()?.append(&requests, deadline)?;
        for task_id in &appended.healed {
            (self.progress)(Progress::Healed(task_id))?;
        }
        for ((request, receipt), (source, line)) in requests.iter().zip(&appended.receipts).zip(origins) {
            match receipt {
                Receipt::Recorded { .. } => self.outcome.recorded += 1,
                Receipt::Skipped { differing, .. } => {
                    self.outcome.skipped += 1;
                    self.outcome.differing += usize::from(!differing.is_empty());
                }
                Receipt::OtherCase { existing } => {
                    let rule = format!(
                        "task_id `{}` differs only in case from `{existing}`, which is in the ledger",
                        request.task_id()
                    );
                    self.refuse(&Problem { source, line, invalid: Invalid::at("/task_id", rule) })?;
                    continue;
                }
            }
            (self.progress)(Progress::Receipt(request.task_id(), receipt))?;
        }
        Ok(())
    }

    fn open_ledger(&mut self) -> Result<&Ledger> {
        let ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => self.find_or_make_ledger()?,
        };
        Ok(self.ledger.insert(ledger))
    }

    fn find_or_make_ledger(&self) -> Result<Ledger> {
        match Ledger::open(&self.context.place) {
            Err(Error::NoLedger(_)) if self.make_ledger => {
                init::run(self.context, &init::InitOptions::default())?;
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
