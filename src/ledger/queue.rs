//! The queue of writers: whoever finds the lock held leaves its requests here, and whoever holds it next commits them
//! all, with one barrier and one move of the ref.
//!
//! A ticket is a file: `<name>.request` while it waits, `<name>.claimed` while somebody works on it, `<name>.answer`
//! when it is done. Only the holder of the lock claims and answers. A ticket that is not claimed can be withdrawn, so
//! that a writer whose deadline passes knows that nothing was recorded for it. A holder that is killed leaves claimed
//! tickets without an answer; their owners do the work themselves when they get the lock, and find done what is done.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::durability::Durability;
use super::identity::Identities;
use super::lock::{Deadline, WriterLock};
use super::pass::Draft;
use super::request::Ticket;
use super::sharing::Sharing;
use super::{Ledger, Request};
use crate::error::Result;

/// Tickets of another version of the program are left to their owners.
const VERSION: u32 = 1;
/// No version serves it.
const UNSERVED: u32 = 0;
/// More than this is not handed to others: its owner waits for the lock and has a pass of its own.
const MAX_TICKET_ENTRIES: usize = 256;
const MAX_TICKET_BYTES: usize = 16 << 20;
/// A claimed ticket is being worked on: its owner waits for the end of that, past its deadline if need be.
const CLAIMED: Duration = Duration::from_secs(600);
/// An answer that nobody fetched in this time has no owner any more.
const ANSWER_KEPT: Duration = Duration::from_secs(3600);

/// A ticket that cannot be read is being replaced, or never will be.
const UNREADABLE_KEPT: Duration = Duration::from_secs(60);

const REQUEST: &str = "request";
const CLAIM: &str = "claimed";
const ANSWER: &str = "answer";
/// Somebody tried, and it failed: nobody tries again, but its owner.
const GIVEN_BACK: &str = "given-back";

/// The queue of one ledger.
pub(super) struct Queue<'l> {
    ledger: &'l Ledger,
    state: PathBuf,
    directory: PathBuf,
    sharing: Sharing,
}

/// Whether others may do the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Whoever has the lock.
    ByOthers,
    /// Nobody. The ticket only says that somebody waits.
    None,
}

/// What waiting led to.
pub(super) enum Turn {
    /// The lock: the work is ours, also for those who wait now.
    Ours(WriterLock),
    /// Somebody did it for us.
    Served(Answer),
}

/// What became of a ticket.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub drafts: Vec<Draft>,
    #[serde(with = "durability_word")]
    pub durability: Durability,
}

/// Somebody who waits, and what for.
pub(super) struct Waiting {
    name: PathBuf,
    pub requests: Vec<Request>,
    pub by: Identities,
    pub durability: Durability,
    /// What became of the requests in the last try.
    pub drafts: Vec<Draft>,
}

#[derive(Serialize, Deserialize)]
struct Letter {
    version: u32,
    reference: String,
    #[serde(with = "durability_word")]
    durability: Durability,
    author: String,
    committer: String,
    requests: Vec<Ticket>,
}

mod durability_word {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Durability;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        durability: &Durability,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(durability)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Durability, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'l> Queue<'l> {
    pub fn of(ledger: &'l Ledger) -> Self {
        let state = ledger.state_directory();
        Self { ledger, directory: state.join("queue"), state, sharing: ledger.sharing() }
    }

    /// Waits for the lock, or for somebody who does the work with theirs.
    ///
    /// # Errors
    /// [`crate::error::Error::Busy`] when the deadline passed; then the requests are withdrawn.
    pub fn wait(&self, requests: &[Request], service: Service, deadline: Deadline) -> Result<Turn> {
        if let Some(lock) = WriterLock::try_acquire(&self.state, self.sharing)? {
            return Ok(Turn::Ours(lock));
        }
        let (requests, version) = match service {
            Service::ByOthers => (requests, VERSION),
            Service::None => (&[][..], UNSERVED),
        };
        let is_small = requests.len() <= MAX_TICKET_ENTRIES
            && requests.iter().map(Request::size_bytes).sum::<usize>() <= MAX_TICKET_BYTES;
        // Without a ticket, because it is too large or cannot be written, there is still the lock.
        let Some(name) = is_small.then(|| self.leave(requests, version).ok()).flatten() else {
            return WriterLock::acquire(&self.state, self.sharing, deadline).map(Turn::Ours);
        };
        let lock = match WriterLock::acquire(&self.state, self.sharing, deadline) {
            Err(_) if fs::remove_file(with(&name, REQUEST)).is_err() => {
                WriterLock::acquire(&self.state, self.sharing, Deadline::within(CLAIMED))
            }
            waited => waited,
        };
        let answer = Some(&name).filter(|_| version == VERSION).and_then(|name| read_answer(name, requests));
        [REQUEST, CLAIM, ANSWER, GIVEN_BACK]
            .into_iter()
            .for_each(|extension| _ = fs::remove_file(with(&name, extension)));
        match answer {
            Some(answer) => Ok(Turn::Served(answer)),
            None => lock.map(Turn::Ours),
        }
    }

    /// Leaves a ticket. Returns its path without extension.
    fn leave(&self, requests: &[Request], version: u32) -> io::Result<PathBuf> {
        let Identities { author, committer } = self.ledger.identities();
        let letter = Letter {
            version,
            reference: self.ledger.branch.reference.clone(),
            durability: self.ledger.durability.get(),
            author,
            committer,
            requests: requests.iter().map(Ticket::of).collect(),
        };
        self.sharing.create_directory(&self.directory)?;
        // Not by process id alone: writers may be in containers, or on several hosts.
        let name = self.directory.join(format!("{}-{}", std::process::id(), unlike_any_other()));
        self.put(&name, REQUEST, &letter)?;
        Ok(name)
    }

    /// Writes a file that is there as a whole or not at all.
    fn put(&self, name: &Path, extension: &str, content: &impl Serialize) -> io::Result<()> {
        let draft = with(name, "draft");
        fs::write(&draft, serde_json::to_vec(content)?)?;
        self.sharing.apply_to_file(&draft);
        fs::rename(&draft, with(name, extension))
    }

    /// Puts a ticket where only its owner looks: it could not be served.
    pub fn give_back(&self, waiting: &Waiting) {
        _ = fs::rename(with(&waiting.name, CLAIM), with(&waiting.name, GIVEN_BACK));
    }

    /// Whether anybody waits.
    pub fn is_waiting(&self) -> bool {
        let listing = fs::read_dir(&self.directory).into_iter().flatten().filter_map(io::Result::ok);
        listing
            .map(|item| item.path())
            .any(|path| path.extension().is_some_and(|extension| extension == REQUEST))
    }

    /// Claims every ticket that is there. Only under the lock, which also means that whoever claimed one before and did
    /// not answer is gone.
    pub fn claim(&self) -> Vec<Waiting> {
        let Ok(listing) = fs::read_dir(&self.directory) else { return Vec::new() };
        let mut names: Vec<PathBuf> = Vec::new();
        for path in listing.filter_map(|item| Some(item.ok()?.path())) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(REQUEST | CLAIM) => names.push(path.with_extension("")),
                _ => remove_if_older(&path, ANSWER_KEPT),
            }
        }
        names.sort();
        names.dedup();
        names.into_iter().filter_map(|name| self.claim_one(name)).collect()
    }

    fn claim_one(&self, name: PathBuf) -> Option<Waiting> {
        let (request, claimed) = (with(&name, REQUEST), with(&name, CLAIM));
        let letter = |path: &Path| -> Option<Letter> { serde_json::from_slice(&fs::read(path).ok()?).ok() };
        let for_us =
            |letter: &Letter| letter.version == VERSION && letter.reference == self.ledger.branch.reference;
        let Some(letter) = letter(&claimed).or_else(|| letter(&request)) else {
            // Not whole: a power cut, or somebody's hand. Its owner, if there is one, does it alone.
            [request, claimed].iter().for_each(|file| remove_if_older(file, UNREADABLE_KEPT));
            return None;
        };
        let letter = Some(letter).filter(for_us)?;
        match fs::rename(&request, &claimed) {
            Ok(()) => {}
            // Claimed before, by one that was killed.
            Err(error) if error.kind() == ErrorKind::NotFound && claimed.exists() => {}
            // Withdrawn in this moment.
            Err(_) => return None,
        }
        let requests = letter.requests.iter().map(Ticket::request).collect::<Option<Vec<_>>>();
        let Some(requests) = requests else {
            // Not what we would have written: its owner can do better.
            _ = fs::rename(&claimed, &request);
            return None;
        };
        let by = Identities { author: letter.author, committer: letter.committer };
        Some(Waiting { name, requests, by, durability: letter.durability, drafts: Vec::new() })
    }

    /// Tells everybody what became of their requests. One that cannot be told finds out by itself.
    pub fn answer(&self, waiting: Vec<Waiting>, durability: Durability) {
        for Waiting { name, drafts, .. } in waiting {
            if self.put(&name, ANSWER, &Answer { drafts, durability }).is_ok() {
                _ = fs::remove_file(with(&name, CLAIM));
            }
        }
    }
}

fn with(name: &Path, extension: &str) -> PathBuf {
    name.with_extension(extension)
}

/// The answer to these requests, if it is one.
fn read_answer(name: &Path, requests: &[Request]) -> Option<Answer> {
    let answer: Answer = serde_json::from_slice(&fs::read(with(name, ANSWER)).ok()?).ok()?;
    let fits = answer.drafts.len() == requests.len()
        && answer.drafts.iter().zip(requests).all(|(draft, request)| match draft {
            Draft::Recorded { digest, .. } => *digest == request.digest(),
            _ => true,
        });
    fits.then_some(answer)
}

/// A word that no other process comes to, wherever it runs.
pub(super) fn unlike_any_other() -> String {
    // The keys of a hash map come from the system's random numbers.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

fn remove_if_older(path: &Path, limit: Duration) {
    let age = fs::metadata(path).and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_some_and(|age| age > limit) {
        _ = fs::remove_file(path);
    }
}
