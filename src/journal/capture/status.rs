//! The text of `git status --porcelain` (version 1), from a scan.

use std::collections::BTreeMap;

use git2::FileMode;

use super::capped::Capped;
use super::contents::{Content, Contents};
use super::quote::quoted_in_status;
use super::renames::{self, Candidate};
use super::scan::{Difference, Found, RepoPath, Scan};
use super::worker::Until;

/// More bytes are not read to find renames.
const MAX_RENAME_BYTES: u64 = 64 << 20;

/// Appends the lines to `text`: what is tracked by path, then what is not.
pub(super) fn write(scan: &Scan, contents: &Contents<'_>, until: Until, text: &mut Capped) {
    let moved = moves(&scan.staged, contents, until);
    let mut states: BTreeMap<&RepoPath, [char; 2]> = BTreeMap::new();
    for (path, difference) in &scan.staged {
        let letter = if moved.contains_key(path) { 'R' } else { letter(difference) };
        states.insert(path, [letter, ' ']);
    }
    for path in &scan.announced {
        states.insert(path, [' ', 'A']);
    }
    for (path, difference) in &scan.unstaged {
        let state = states.entry(path).or_insert([' ', ' ']);
        if !scan.announced.contains(path) || difference.after.is_none() {
            state[1] = letter(difference);
        }
    }
    // The old path of a rename is in the line of the new one, unless something else is there again.
    for from in moved.values() {
        states.remove(from);
    }
    for (path, letters) in &scan.conflicts {
        let mut letters = letters.chars();
        states.insert(path, [letters.next().unwrap_or('U'), letters.next().unwrap_or('U')]);
    }
    for (path, [index, tree]) in states {
        let shown = quoted_in_status(path);
        match moved.get(path) {
            Some(from) => text.line(&format!("{index}{tree} {} -> {shown}", quoted_in_status(from))),
            None => text.line(&format!("{index}{tree} {shown}")),
        }
    }
    for path in &scan.untracked {
        text.line(&format!("?? {}", quoted_in_status(path)));
    }
}

fn letter(difference: &Difference) -> char {
    match (difference.before, difference.after) {
        (None, _) => 'A',
        (_, None) => 'D',
        (Some(before), Some(after)) if kind(before.mode) != kind(mode_of(after)) => 'T',
        _ => 'M',
    }
}

fn mode_of(found: Found) -> FileMode {
    match found {
        Found::Stored(stored) => stored.mode,
        Found::File(mode) => mode,
    }
}

/// File, link or submodule.
fn kind(mode: FileMode) -> u8 {
    match mode {
        FileMode::Link => 1,
        FileMode::Commit => 2,
        _ => 0,
    }
}

/// New path to old one.
pub(super) fn moves<'d>(
    differences: impl IntoIterator<Item = (&'d RepoPath, &'d Difference)>,
    contents: &Contents<'_>,
    until: Until,
) -> BTreeMap<&'d RepoPath, &'d RepoPath> {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for (path, difference) in differences {
        match (difference.before, difference.after) {
            (Some(before), None) if before.mode != FileMode::Commit => {
                gone.push((path, Found::Stored(before)))
            }
            (None, Some(after)) if mode_of(after) != FileMode::Commit => new.push((path, after)),
            _ => {}
        }
    }
    let candidates = |sides: &[(&'d RepoPath, Found)]| -> Vec<Candidate<'d>> {
        let candidate =
            |(path, found): &(&'d RepoPath, Found)| Candidate { path, found: *found, mode: mode_of(*found) };
        sides.iter().map(candidate).collect()
    };
    let left = std::cell::Cell::new(MAX_RENAME_BYTES);
    let load = |candidate: &Candidate<'_>| match contents.found(
        candidate.path,
        candidate.found,
        &Content::NOTHING,
    ) {
        Ok(Content::Bytes(bytes)) if left.get() >= bytes.len() as u64 => {
            left.set(left.get() - bytes.len() as u64);
            Some(bytes)
        }
        _ => None,
    };
    let pairs = renames::find(&candidates(&gone), &candidates(&new), &load, contents.format(), until);
    pairs.into_iter().map(|(from, to)| (new[to].0, gone[from].0)).collect()
}
