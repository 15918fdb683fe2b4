//! How much each file changed: lines where it is text, bytes where it is not, within a budget.

use git2::{DiffOptions, Patch};

use super::contents::{Content, Contents};
use super::diffstat::{Amount, FileStat};
use super::scan::{Difference, Differences, Found, RepoPath};
use super::status::moves;
use super::worker::Until;

/// The most files whose lines are counted.
const MAX_COUNTED_FILES: u64 = 2_000;
/// The most bytes that are read for it.
const MAX_COUNTED_BYTES: u64 = 128 << 20;
/// A file of more lines is not compared line by line.
const MAX_LINES: u64 = 200_000;

/// Of what is no text and did not change in itself; also of a repository inside.
const SAME_BYTES: Amount = Amount::Bytes { before: 0, after: 0 };

/// Counts within a budget.
pub(super) struct Counter<'r> {
    contents: &'r Contents<'r>,
    until: Until,
    files_left: u64,
    bytes_left: u64,
    /// Files for which the budget was not enough.
    pub uncounted: u64,
}

impl<'r> Counter<'r> {
    pub fn new(contents: &'r Contents<'r>, until: Until) -> Self {
        Self { contents, until, files_left: MAX_COUNTED_FILES, bytes_left: MAX_COUNTED_BYTES, uncounted: 0 }
    }

    /// What is left of `differences` once moved files are one, and files that are as they were are none.
    pub fn count(&mut self, differences: &Differences, repositories_inside: Vec<RepoPath>) -> Vec<FileStat> {
        let moved = moves(differences, self.contents, self.until);
        let sources: std::collections::HashSet<_> = moved.values().copied().collect();
        let mut files = Vec::new();
        for (path, difference) in differences.iter().filter(|(path, _)| !sources.contains(path)) {
            let from = moved.get(path).copied();
            let before = from.map_or(difference.before, |from| differences[from].before);
            let difference = Difference { before, after: difference.after };
            if let Some(amount) = self.tracked(path, &difference, from.is_some()) {
                files.push(FileStat { path: path.clone(), moved_from: from.cloned(), amount });
            }
        }
        files.extend(repositories_inside.into_iter().map(|path| FileStat {
            path,
            moved_from: None,
            amount: SAME_BYTES,
        }));
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    /// `None`: nothing changed after all.
    fn tracked(&mut self, path: &[u8], difference: &Difference, is_moved: bool) -> Option<Amount> {
        if !self.has_budget() {
            return Some(self.unknown());
        }
        let Ok((before, after)) = self.both(path, difference) else { return Some(self.unknown()) };
        self.files_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(before.bytes_read() + after.bytes_read());
        let is_change = difference.before.is_some() && difference.after.is_some() && !is_moved;
        let mode_changed = match (difference.before, difference.after) {
            (Some(before), Some(Found::Stored(after))) => before.mode != after.mode,
            (Some(before), Some(Found::File(after))) => before.mode != after,
            _ => false,
        };
        let sizes = Amount::Bytes { before: before.size(), after: after.size() };
        let (Content::Bytes(old), Content::Bytes(new)) = (&before, &after) else { return Some(sizes) };
        let is_binary = self.contents.is_binary(path, [old, new]);
        if old == new {
            // A mode changed, an empty file came or went, a file was moved as it is.
            let same = if is_binary { SAME_BYTES } else { Amount::Lines { added: 0, deleted: 0 } };
            return (!is_change || mode_changed).then_some(same);
        }
        Some(if is_binary { sizes } else { lines_between(old, new) })
    }

    fn both(&self, path: &[u8], difference: &Difference) -> Result<(Content, Content), git2::Error> {
        let before = difference.before.map_or(Ok(Content::NOTHING), |stored| self.contents.stored(stored))?;
        let after = difference
            .after
            .map_or(Ok(Content::NOTHING), |found| self.contents.found(path, found, &before))?;
        Ok((before, after))
    }

    fn has_budget(&self) -> bool {
        self.files_left > 0 && self.bytes_left > 0 && !self.until.is_over()
    }

    fn unknown(&mut self) -> Amount {
        self.uncounted += 1;
        Amount::Unknown
    }
}

fn lines_between(before: &[u8], after: &[u8]) -> Amount {
    let (old, new) = (lines_of(before), lines_of(after));
    if before.is_empty() || after.is_empty() {
        return Amount::Lines { added: new, deleted: old };
    }
    let sizes = Amount::Bytes { before: before.len() as u64, after: after.len() as u64 };
    if old.max(new) > MAX_LINES {
        return sizes;
    }
    let mut options = DiffOptions::new();
    options.context_lines(0).force_text(true);
    let patch = Patch::from_buffers(before, None, after, None, Some(&mut options));
    let counted = patch.and_then(|patch| patch.line_stats());
    counted
        .map_or(sizes, |(_, added, deleted)| Amount::Lines { added: added as u64, deleted: deleted as u64 })
}

fn lines_of(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}
