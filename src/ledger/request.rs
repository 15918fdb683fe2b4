//! An entry that is to be recorded, checked and rendered: everything that can be wrong with it is found here, before
//! anything is written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::parse::Invalid;
use crate::entry::redact::Found;
use crate::entry::{Digest, Entry, Redactor, TaskId, Timestamp, compare, message, render};

/// An entry that is to be recorded, ready to be written.
#[derive(Debug)]
pub struct Request {
    task_id: TaskId,
    supersedes: Option<TaskId>,
    given: Value,
    bytes: Vec<u8>,
    digest: Digest,
    message: String,
    /// When the commit says that it was written, where that is not the time of the commit.
    authored: Option<Timestamp>,
}

impl Request {
    /// `given` is what the caller wrote: only that is compared when the entry exists already.
    ///
    /// # Errors
    /// The entry is over 1 MiB.
    pub fn new(entry: Entry, given: Value) -> Result<Self, Invalid> {
        let bytes = render::stored_bytes(&entry)?;
        // Whatever rule is forgotten elsewhere: nothing is recorded that could not be read again as what it was.
        if super::view::read_entry(&bytes, None)? != entry {
            return Err(Invalid::whole(
                "does not read back as it was given; this is a fault of git-audit, please report it",
            ));
        }
        let digest = Digest::of(&bytes);
        let message = message::build(&entry, &digest);
        let Entry { task_id, supersedes, .. } = entry;
        Ok(Self { task_id, supersedes, given, bytes, digest, message, authored: None })
    }

    /// The request without what `redactor` finds in it. `Err` has the reason why it cannot be recorded at all, and what
    /// the caller wrote, redacted.
    ///
    /// # Errors
    /// The policy blocks it, or it is no entry any more.
    pub fn redacted(mut self, redactor: &Redactor) -> Result<(Self, Vec<Found>), (Invalid, String)> {
        // What somebody wrote and what is stored of it are redacted alike, or a repeated record would differ.
        let mut stored: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        let (found, refused) = redactor.entry(&mut stored);
        let in_given = redactor.value(&mut self.given);
        if found.is_empty() && in_given.is_empty() {
            return Ok((self, found));
        }
        let authored = self.authored;
        let again = refused.and_then(|()| {
            let entry = super::view::read_entry(stored.to_string().as_bytes(), None)?;
            Self::new(entry, self.given.clone())
        });
        match again {
            Ok(request) => Ok((Self { authored, ..request }, found)),
            Err(invalid) => Err((invalid, self.given_text())),
        }
    }

    /// Makes the entry's own time the author date of its commit.
    #[must_use]
    pub fn authored_at(self, time: Timestamp) -> Self {
        Self { authored: Some(time), ..self }
    }

    /// The task that the entry is of.
    pub fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    /// The task whose outcome the entry corrects.
    pub fn supersedes(&self) -> Option<&TaskId> {
        self.supersedes.as_ref()
    }

    /// The size of the entry as it will be stored.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What the caller wrote, as JSON on one line.
    pub fn given_text(&self) -> String {
        self.given.to_string()
    }

    /// The bytes of the entry as it will be stored.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    /// The message of the commit that records it.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn authored(&self) -> Option<Timestamp> {
        self.authored
    }

    /// JSON pointers of the caller's fields that are stored otherwise in `stored`.
    pub(super) fn differing(&self, stored: &[u8]) -> Vec<String> {
        let stored: Value = serde_json::from_slice(stored).unwrap_or_default();
        let ours: Value = serde_json::from_slice(&self.bytes).unwrap_or_default();
        compare::differing(&self.given, &ours, &stored)
    }
}

/// A request on its way through a file of ours: to another writer, or to a later command.
#[derive(Serialize, Deserialize)]
pub(super) struct Ticket {
    given: Value,
    stored: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authored: Option<String>,
}

impl Ticket {
    pub fn of(request: &Request) -> Self {
        Self {
            given: request.given.clone(),
            // An entry is JSON, which is UTF-8.
            stored: String::from_utf8_lossy(&request.bytes).into_owned(),
            authored: request.authored.map(|time| time.to_string()),
        }
    }

    /// The request, checked as every request is: anybody who may write to the repository can leave a file there.
    pub fn request(&self) -> Option<Request> {
        let entry = super::view::read_entry(self.stored.as_bytes(), None).ok()?;
        let request = Request::new(entry, self.given.clone()).ok()?;
        let request = Some(request).filter(|request| request.bytes == self.stored.as_bytes())?;
        match &self.authored {
            Some(time) => Some(request.authored_at(Timestamp::parse(time)?)),
            None => Some(request),
        }
    }
}
