//! Marks of what is about to be put into working trees. A process that is killed between the index and the ref leaves
//! its entry staged, and a mark here; the next append completes it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::PathBuf;

use super::Ledger;
use super::Request;
use super::checkout::Checkout;
use super::pass::AddedFile;
use crate::entry::parse;
use crate::error::{Error, Result};

/// One file per task, named by its id, holding its path.
pub(super) struct Intents {
    directory: PathBuf,
    checkouts: Vec<Checkout>,
}

impl Intents {
    pub fn of(ledger: &Ledger) -> Self {
        Self { directory: ledger.state_directory().join("pending"), checkouts: ledger.checkouts() }
    }

    pub fn begin(&self, files: &[AddedFile]) -> Result<()> {
        if self.checkouts.is_empty() {
            return Ok(());
        }
        let failed = |error| Error::io(format!("write to {}", self.directory.display()), error);
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mark = |file: &AddedFile| fs::write(self.directory.join(file.task_id.as_str()), &file.path);
        files.iter().try_for_each(mark).map_err(failed)
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        fs::read_dir(&self.directory).is_ok_and(|mut marks| marks.next().is_some())
    }

    /// Everything marked is in the history now, or was taken back, or is in no working tree.
    pub fn end(&self) {
        // What cannot be removed is looked at again next time, and then found recorded.
        _ = fs::remove_dir_all(&self.directory);
    }

    /// Entries that an interrupted append left in a working tree. An id that is asked for anew is left to the request.
    pub fn unfinished(&self, requests: &[Request]) -> Vec<Request> {
        let Ok(marks) = fs::read_dir(&self.directory) else { return Vec::new() };
        let marks = marks.filter_map(std::result::Result::ok);
        let marks: BTreeMap<_, _> = marks
            .filter_map(|mark| Some((mark.file_name(), fs::read_to_string(mark.path()).ok()?)))
            .collect();
        let asked: HashSet<_> = requests.iter().map(Request::task_id).collect();
        let recover = |path: &String| {
            let bytes = self.checkouts.iter().find_map(|checkout| checkout.read(path))?;
            let entry = super::view::read_entry(&bytes, None).ok()?;
            let request = Request::new(entry, parse::parse(&bytes).ok()?).ok()?;
            let ours = super::layout::task_id_of(path).as_ref() == Some(request.task_id());
            (ours && request.bytes() == bytes && !asked.contains(request.task_id())).then_some(request)
        };
        marks.values().filter_map(recover).collect()
    }
}
