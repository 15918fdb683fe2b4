//! Moving the branch to new commits, together with every working tree that shows it.
//!
//! First the file, then the index, then the ref, then a second look: other git commands read an index before they lock
//! it, and a checkout of the branch may be under way. What was staged is taken back wherever the ref did not move, so
//! that an error or exit code 7 leaves nothing behind. A kill between index and ref leaves a staged entry and a mark;
//! the next append completes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use git2::{ObjectType, Oid};

use super::Ledger;
use super::branch_file::Move;
use super::checkout::{Checkout, IndexVersion, NewFile};
use super::lock::Deadline;
use super::worktree_file::Placed;
use crate::error::Result;

/// How long a git command that holds some index's lock is waited for after the ref has moved.
const SETTLE: Duration = Duration::from_secs(2);

/// Whether the branch moved.
pub(super) enum Published {
    /// It did, durably.
    Moved,
    /// It was not where it was expected: begin again from where it is.
    Again,
}

/// One move of the branch, with as many tries as it takes. What it staged is taken back when it is dropped before the
/// branch has moved: by an error, or when the deadline passes.
pub(super) struct Publication<'l> {
    ledger: &'l Ledger,
    deadline: Deadline,
    attempt: u32,
    moved: bool,
    /// The indexes of this try, as we left them.
    staged: Vec<(Checkout, IndexVersion)>,
    /// Every index that any try has changed.
    touched: Vec<Checkout>,
    placed: Vec<(Placed, Vec<u8>)>,
    paths: BTreeSet<String>,
    /// Read once a try, where a working tree shows the branch.
    recent: Vec<(String, Oid)>,
}

impl<'l> Publication<'l> {
    pub fn new(ledger: &'l Ledger, deadline: Deadline) -> Self {
        let (staged, touched, placed) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            ledger,
            deadline,
            attempt: 0,
            moved: false,
            staged,
            touched,
            placed,
            paths: BTreeSet::new(),
            recent: Vec::new(),
        }
    }

    /// Moves the branch from `expected` (zero: it must not exist) to `new`, which adds `files`.
    ///
    /// # Errors
    /// The deadline passed, or something failed; then the branch has not moved.
    pub fn publish(
        &mut self,
        files: &[NewFile<'_>],
        expected: Oid,
        new: Oid,
        log: &str,
    ) -> Result<Published> {
        // Not taken back between tries: a commit of the user's that is under way may have taken it along, and would
        // then lack it in its index.
        self.staged.clear();
        let checkouts = self.ledger.checkouts();
        if !checkouts.is_empty() {
            self.recent = self.ledger.recent();
        }
        for checkout in checkouts {
            self.stage_in(checkout, files, self.deadline)?;
        }
        let held = match self.ledger.move_ref(expected, new, log)? {
            Move::Done => None,
            Move::Elsewhere => Some(format!("the branch {}", self.ledger.branch.reference)),
            Move::Held(lock) => Some(lock.display().to_string()),
        };
        if let Some(held) = held {
            self.deadline.pause(self.attempt, &held)?;
            self.attempt += 1;
            return Ok(Published::Again);
        }
        self.moved = true;
        self.settle(files);
        self.ledger.sync_ref_names()?;
        Ok(Published::Moved)
    }

    fn stage_in(&mut self, checkout: Checkout, files: &[NewFile<'_>], deadline: Deadline) -> Result<()> {
        self.paths.extend(files.iter().map(|file| file.path.to_owned()));
        let objects = self.ledger.objects()?;
        let load = |blob| objects.read(blob, ObjectType::Blob);
        checkout.place_files(files, &load, &self.ledger.state_directory(), &mut self.placed)?;
        let recent = self.recent.iter().map(|(path, blob)| (path.as_str(), *blob));
        let entries: Vec<_> = recent.chain(files.iter().map(|file| (file.path, file.blob))).collect();
        let version = checkout.add_to_index(&entries, &self.ledger.place, deadline)?;
        if !self.touched.iter().any(|touched| touched.git_dir == checkout.git_dir) {
            self.touched.push(checkout.clone());
        }
        self.staged.push((checkout, version));
        Ok(())
    }

    /// Takes everything back that has not become part of the branch by somebody else's commit. Returns whether nothing
    /// is left: a git command that holds an index for long (a commit whose message is being written) may be taking the
    /// files along, so they are left to it then, and to the next record.
    pub fn take_back(&mut self) -> bool {
        let ledger = self.ledger;
        let paths = std::mem::take(&mut self.paths);
        if self.moved || paths.is_empty() {
            return true;
        }
        let deadline = Deadline::within(SETTLE);
        let mut attempt = 0;
        while let Some(lock) = self.touched.iter().map(Checkout::index_lock).find(|lock| lock.exists()) {
            if deadline.pause(attempt, &lock.display().to_string()).is_err() {
                return false;
            }
            attempt += 1;
        }
        let tip = ledger.branch.local_tip(&ledger.repository).ok().flatten();
        let Ok(mut view) = ledger.view_at(tip) else { return false };
        let paths: Vec<_> =
            paths.iter().map(String::as_str).filter(|path| view.blob_at(path).is_none()).collect();
        if paths.is_empty() {
            return true;
        }
        let removed = self
            .touched
            .iter()
            .all(|checkout| checkout.remove_from_index(&paths, ledger.zero(), &ledger.place));
        if removed {
            self.placed.iter().rev().for_each(|(placed, bytes)| placed.undo(bytes));
        }
        removed
    }

    /// The branch has moved; now every index must have the files, also one that another git command wrote in between
    /// from what it had read before, and one of a working tree that has just switched to the branch or away from it.
    fn settle(&mut self, files: &[NewFile<'_>]) {
        let deadline = Deadline::within(SETTLE);
        let mut attempt = 0;
        let mut lock_seen = false;
        loop {
            if let Some(lock) = self.ledger.held_index_lock() {
                lock_seen = true;
                if deadline.pause(attempt, &lock.display().to_string()).is_err() {
                    break;
                }
                attempt += 1;
                continue;
            }
            if std::mem::take(&mut lock_seen) {
                // `git checkout` releases the lock before it writes HEAD.
                _ = deadline.pause(6, "HEAD");
            }
            if self.settle_once(files, deadline) || deadline.is_over() {
                break;
            }
        }
        if !self.staged.is_empty() || attempt > 0 {
            self.ledger.remember_recent(files);
        }
    }

    /// Returns whether everything was as it should be.
    fn settle_once(&mut self, files: &[NewFile<'_>], deadline: Deadline) -> bool {
        let now = self.ledger.checkouts();
        let shows = |git_dir: &PathBuf| now.iter().any(|checkout| checkout.git_dir == *git_dir);
        let (stayed, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.staged).into_iter().partition(|(checkout, _)| shows(&checkout.git_dir));
        self.staged = stayed;
        let paths: Vec<_> = files.iter().map(|file| file.path).collect();
        for (checkout, _) in &left {
            _ = checkout.remove_from_index(&paths, self.ledger.zero(), &self.ledger.place);
        }
        let mut settled = left.is_empty();
        for checkout in now {
            let known = self.staged.iter().position(|(staged, _)| staged.git_dir == checkout.git_dir);
            if known.is_some_and(|known| self.staged[known].1 == checkout.index_version()) {
                continue;
            }
            known.map(|known| self.staged.remove(known));
            // Staged once more, it is looked at once more; where it cannot be, looking again would not help.
            settled = self.stage_in(checkout, files, deadline).is_err() && settled;
        }
        settled
    }
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl Ledger {
    /// Paths recorded lately and still in the branch, so that an index which lost them since then gets them back with
    /// the next record.
    fn recent(&self) -> Vec<(String, Oid)> {
        let text = fs::read_to_string(self.state_directory().join("recent")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let named = lines.filter_map(|(blob, path)| Some((path.to_owned(), super::commit::parse_oid(blob)?)));
        let tip = self.branch.local_tip(&self.repository).ok().flatten();
        let Ok(mut view) = self.view_at(tip) else { return Vec::new() };
        named.filter(|(path, blob)| view.blob_at(path) == Some(*blob)).collect()
    }

    fn remember_recent(&self, files: &[NewFile<'_>]) {
        let text: String = files.iter().map(|file| format!("{} {}\n", file.blob, file.path)).collect();
        // A help only: without it, the second look of the pass itself has still been taken.
        _ = fs::write(self.state_directory().join("recent"), text);
    }
}
