//! Input to requests: reading sources, putting the caller's fields in, redacting, checking. A bad entry never costs a good
//! one. Nothing leaves here, no message either, that was not redacted.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::documents::{Arrays, Document, Documents};
use crate::entry::parse::{Invalid, pointer_to};
use crate::entry::redact::{Action, Found};
use crate::entry::{Ci, Redactor, Timestamp, validate};
use crate::error::{Error, Result};
use crate::ledger::{Clock, Request};

/// Where entries come from.
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Any stream, under the name that messages give it.
    Stream(String, Box<dyn Read + Send>),
    /// Nothing but the fields given by flags.
    Fields,
    /// Entries that were put together here.
    Values(Vec<Value>),
}

/// A field given beside the input: the keys that lead to it, and its value.
pub type Field = (&'static [&'static str], Value);

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

impl Problem {
    /// The line of the input, from 1, as far as it is known.
    pub fn line(&self) -> Option<usize> {
        self.origin.line.or(self.invalid.line)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { origin, invalid } = self;
        let line = self.line();
        write!(formatter, "{}", Origin { line, ..origin.clone() })?;
        if let Some(column) = invalid.column.filter(|_| line.is_some()) {
            write!(formatter, ":{column}")?;
        }
        write!(formatter, ": {invalid}")
    }
}

/// What comes out of an input.
pub(super) enum Incoming {
    /// An entry, and where it was given.
    Request(Request, Origin),
    /// Something else, and its text, as far as it is known.
    Invalid(Problem, Vec<u8>),
    /// What was found in the input that comes next.
    Redacted(Origin, Vec<Found>),
    /// Whoever writes the input may be waiting for what came of it so far.
    MayWait,
}

/// How an input is read.
pub(super) struct Reading {
    /// Where the names of files begin.
    pub directory: PathBuf,
    pub fields: Vec<Field>,
    /// Fills what neither the input nor the fields say.
    pub ci: Option<Ci>,
    pub arrays: Arrays,
    /// The entries' own times become author dates.
    pub authored: bool,
    pub clock: Clock,
    pub redactor: Redactor,
    /// What the policy blocks is redacted, and no more.
    pub lets_in: bool,
}

impl Reading {
    /// Hands over everything that `source` holds, in order.
    pub fn read(&self, source: Source, take: &mut dyn FnMut(Incoming) -> Result<()>) -> Result<()> {
        let (name, reader): (_, Box<dyn Read>) = match source {
            Source::Fields => {
                let origin = Origin { source: None, line: None };
                return self.hand_over(origin, Ok(Value::Object(Map::new())), Vec::new(), take);
            }
            Source::Values(values) => {
                let origin = Origin { source: None, line: None };
                return values
                    .into_iter()
                    .try_for_each(|value| self.hand_over(origin.clone(), Ok(value), Vec::new(), take));
            }
            Source::Stream(name, reader) => (name, reader),
            Source::File(path) => {
                let name = self.redactor.text(&path.display().to_string()).0.into_owned();
                let path = self.directory.join(path);
                let is_directory = fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir());
                let opened = if is_directory {
                    Err(Invalid::whole("is a directory; name the files in it"))
                } else {
                    File::open(&path).map_err(|error| unreadable(&error))
                };
                match opened {
                    Ok(file) => (name, Box::new(file)),
                    Err(invalid) => return take(refused(name, invalid)),
                }
            }
        };
        let mut documents = Documents::new(reader, self.arrays);
        loop {
            match documents.next_document() {
                Ok(None) => return Ok(()),
                Err(error) => return take(refused(name, unreadable(&error))),
                Ok(Some(Document { line, value, text })) => {
                    self.hand_over(Origin { source: Some(name.clone()), line }, value, text, take)?;
                }
            }
            if documents.may_wait() {
                take(Incoming::MayWait)?;
            }
        }
    }

    /// `given` and what the CI system adds to it. Only the id of a task that is told by fields alone becomes part of
    /// what was given: without it nobody could tell what that was.
    fn filled(&self, given: &mut Value, by_fields_alone: bool) -> Value {
        let Some(ci) = &self.ci else { return given.clone() };
        if let Some(fields) = given.as_object_mut().filter(|_| by_fields_alone) {
            fields.entry("task_id").or_insert_with(|| ci.task_id.as_str().into());
        }
        let mut whole = given.clone();
        ci.fill(&mut whole);
        whole
    }

    /// Hands over what is in one document, redacted, and before that what was found in it.
    fn hand_over(
        &self,
        origin: Origin,
        value: std::result::Result<Value, Invalid>,
        text: Vec<u8>,
        take: &mut dyn FnMut(Incoming) -> Result<()>,
    ) -> Result<()> {
        let mut found = Vec::new();
        let mut text = text;
        let request = match value {
            Ok(given) => self.request(given, origin.source.is_none(), &mut found, &mut text),
            Err(invalid) => {
                let given = String::from_utf8_lossy(&text);
                let (kept, in_text) = self.redactor.document(&given);
                found.extend(in_text);
                text = kept.into_owned().into_bytes();
                Err(invalid)
            }
        };
        if self.lets_in {
            found.iter_mut().for_each(|found| found.action = found.action.min(Action::Redact));
        }
        // What is blocked is refused, which says so.
        found.retain(|found| found.action != Action::Block);
        if !found.is_empty() {
            take(Incoming::Redacted(origin.clone(), found))?;
        }
        match request {
            Ok(request) => take(Incoming::Request(request, origin)),
            Err(invalid) => {
                let invalid = self.redactor.refused(invalid);
                take(Incoming::Invalid(Problem { origin, invalid }, text))
            }
        }
    }

    /// A request of what was given. Where it is none, `text` becomes what was given, redacted.
    fn request(
        &self,
        given: Value,
        by_fields_alone: bool,
        found: &mut Vec<Found>,
        text: &mut Vec<u8>,
    ) -> std::result::Result<Request, Invalid> {
        let mut given = with_fields(given, &self.fields)?;
        let (in_given, refused) = self.redactor.entry(&mut given);
        found.extend(in_given);
        let mut whole = self.filled(&mut given, by_fields_alone);
        let refused = if self.lets_in { Ok(()) } else { refused };
        let checked = refused.and_then(|()| {
            if self.ci.is_some() {
                let (in_whole, refused) = self.redactor.entry(&mut whole);
                found.extend(in_whole.into_iter().filter(|one| !found.contains(one)).collect::<Vec<_>>());
                refused?;
            }
            validate::entry(whole, Timestamp::from_clock(self.clock.now()))
        });
        let entry = checked.inspect_err(|_| *text = given.to_string().into_bytes())?;
        let time = entry.timestamp;
        let request = Request::new(entry, given)?;
        Ok(if self.authored { request.authored_at(time) } else { request })
    }
}

fn unreadable(error: &std::io::Error) -> Invalid {
    Invalid::whole(format!("cannot be read: {error}"))
}

fn refused(name: String, invalid: Invalid) -> Incoming {
    Incoming::Invalid(Problem { origin: Origin { source: Some(name), line: None }, invalid }, Vec::new())
}

/// A part of an entry that has these fields.
///
/// # Errors
/// Two of them do not go together.
pub fn part_of_entry(fields: &[Field]) -> Result<Value> {
    with_fields(Value::Object(Map::new()), fields).map_err(Error::from)
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
