//! The only renderer. Data goes to standard output in one of four formats; everything else goes to standard error.
//!
//! Text that came from outside is never written raw: [`sanitize`] has the rules. What programs read is defined in
//! [`v1`] and documented in `docs/OUTPUT.md`. For people, [`table`] aligns and [`style`] colours.

use std::io::{self, Write};

use chrono::{DateTime, FixedOffset, Utc};
use serde::Serialize;

use crate::entry::render;
use crate::error::{Error, Result};

pub mod checkpoint;
pub mod fields;
pub mod flush;
pub mod guard;
pub mod hook;
mod human;
pub mod import;
pub mod list;
pub mod messages;
pub mod proof;
pub mod record;
pub mod running;
pub mod sanitize;
pub mod single;
pub mod stats;
mod style;
mod table;
pub mod v1;
pub mod verify;

pub use fields::Field;
pub use list::{List, ListPrinter};
pub use messages::Messages;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
}

/// What the human format needs to know of its reader.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Columns of the terminal; `None` when the output is not one: nothing is shortened then.
    pub columns: Option<usize>,
    /// Whether the human format is coloured. The others never are.
    pub color: bool,
    /// The reader's local time. Data formats are in UTC.
    pub local_time: fn(DateTime<Utc>) -> DateTime<FixedOffset>,
}

/// Standard output.
pub struct Printer {
    out: Box<dyn Write>,
    /// The format of the answer.
    pub format: Format,
    /// Who reads it.
    pub reader: Reader,
    /// Something was recorded, so a failure to print must not look like a failure to record.
    pub recorded: bool,
}

impl Printer {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write>, format: Format, reader: Reader) -> Self {
        Self { out, format, reader, recorded: false }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let recorded = self.recorded;
        self.out.write_all(bytes).map_err(|source| Error::Output { recorded, source })
    }

    /// Writes one line of text that has been made safe.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn line(&mut self, line: &str) -> Result<()> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes a JSON value: indented for [`Format::Json`], on one line otherwise.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let rendered =
            if self.format == Format::Json { render::pretty(value) } else { render::compact(value) };
        self.bytes(&rendered.map_err(|error| self.failed(error.into()))?)
    }

    /// Writes a JSON value on one line.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<()> {
        self.bytes(&render::compact(value).map_err(|error| self.failed(error.into()))?)
    }

    /// Writes one row of comma-separated values, each cell made safe.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn csv_row(&mut self, cells: &[&str]) -> Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let row = cells.iter().map(|cell| sanitize::csv_cell(cell));
        let written = writer.write_record(row).map_err(io::Error::other);
        let bytes =
            written.and_then(|()| writer.into_inner().map_err(|error| io::Error::other(error.to_string())));
        self.bytes(&bytes.map_err(|error| self.failed(error))?)
    }

    /// Writes to `out` from now on. Nothing may have been written before.
    pub fn redirect(&mut self, out: Box<dyn Write>) {
        self.out = out;
    }

    /// Hands everything over and lets go of the output: whatever reads it sees its end.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        let flushed = self.flush();
        self.give_up();
        flushed
    }

    /// Writes nothing any more: what could not be written is not tried again.
    pub fn give_up(&mut self) {
        self.out = Box::new(io::sink());
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Output { recorded: self.recorded, source }
    }
}
