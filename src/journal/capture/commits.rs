//! The commits that were made since the task began with the repository.
//!
//! They are what HEAD and the local branches lead to now and no branch led to then. Commits that others made and that
//! only arrived are not among them: who brought a commit to a remote-tracking branch first, a push from here or
//! something else (fetch, pull, clone), is in the reflogs.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use git2::{ObjectType, Oid, Repository, Sort, Tree, TreeEntry};

use super::patch_id;
use super::repository::{Branches, Head, Tips};
use super::worker::Until;
use crate::entry::Timestamp;
use crate::entry::message::Summary;
use crate::entry::text::shorten;

/// The reason that git writes where a push from here moved a remote-tracking branch.
const PUSHED: &str = "update by push";
/// The ledger's directory, at the top of the tree.
const LEDGER: &str = ".audit";
/// What `git audit init` commits.
const LEDGER_BEGAN: &str = "audit: init ledger";
/// The most moves of remote-tracking branches that are looked at.
const MAX_MOVES: usize = 1_000;
const MAX_SUBJECT_BYTES: usize = 1_000;

/// One commit that was made while the task ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: String,
    /// The tree that it holds; stays the same if only the message was changed.
    pub tree_id: String,
    /// What it changes, as `git patch-id --stable` has it; survives a rebase. `None` for a merge, for a commit without
    /// changes, and for one that is too large.
    pub patch_id: Option<String>,
    /// The names of its parents.
    pub parents: Vec<String>,
    /// `Name <email>` of its author.
    pub author: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// The first paragraph of its message, on one line.
    pub subject: String,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// The newest, oldest first.
    pub listed: Vec<Commit>,
    pub total: u64,
    /// Why some may be missing.
    pub incomplete: Vec<String>,
}

/// Where a repository was.
pub(super) struct Then<'t> {
    pub head: Option<Oid>,
    pub tips: &'t Tips,
}

/// Where it is now.
pub(super) struct Now<'n> {
    pub head: &'n Head,
    pub branches: &'n Branches,
}

pub(super) fn since(
    repository: &Repository,
    then: &Then<'_>,
    now: &Now<'_>,
    max_listed: usize,
    until: Until,
) -> Result<Commits, git2::Error> {
    let mut found = Commits::default();
    let known: HashSet<Oid> = then.tips.all().into_iter().chain(then.head).collect();
    // Where not all branches were remembered, one that is not known need not be new.
    let is_new = |name: &str| !then.tips.has_more || then.tips.tip(name).is_some();
    // What is checked out in another working tree is somebody else's work.
    let elsewhere = super::repository::checked_out_elsewhere(repository);
    let tips = now.branches.local().filter(|(name, _)| is_new(name) && !elsewhere.contains(*name));
    let tips = tips.map(|(_, tip)| tip);
    let tips: HashSet<Oid> =
        now.head.commit.into_iter().chain(tips).filter(|tip| !known.contains(tip)).collect();
    if then.tips.has_more {
        let why =
            "the repository had more branches than are remembered; commits on new branches are left out";
        found.incomplete.push(why.to_owned());
    }
    if tips.is_empty() {
        return Ok(found);
    }
    let moves = moves(repository, then, now, &mut found.incomplete)?;
    let arrived = arrived(repository, &known, moves, until)?;
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
    tips.iter().try_for_each(|tip| walk.push(*tip))?;
    if known.iter().filter(|tip| walk.hide(**tip).is_err()).count() > 0 {
        found
            .incomplete
            .push("commits from the beginning are gone, so that older ones may be counted".to_owned());
    }
    let odb = repository.odb()?;
    let until_patches = until.sooner(0.5);
    for id in walk {
        if until.is_over() {
            found.incomplete.push("there was no time for all commits".to_owned());
            break;
        }
        let id = id?;
        if arrived.contains(&id) {
            continue;
        }
        let commit = repository.find_commit(id)?;
        if is_of_ledger(&commit) {
            continue;
        }
        found.total += 1;
        if found.listed.len() < max_listed {
            let patch_id =
                if until_patches.is_over() { None } else { patch_id::of(repository, &odb, &commit) };
            found.listed.push(described(&commit, patch_id));
        }
    }
    if until_patches.is_over() && !found.listed.is_empty() {
        found.incomplete.push("there was no time for all patch ids".to_owned());
    }
    found.listed.reverse();
    Ok(found)
}

/// Whether the ledger made it. The message alone says nothing, anybody can write that: it must change the ledger, and
/// nothing else. One that cannot be compared is not taken for the ledger's.
fn is_of_ledger(commit: &git2::Commit<'_>) -> bool {
    let message = String::from_utf8_lossy(commit.message_raw_bytes());
    let says_so = Summary::parse(&message).is_some() || message.trim_end() == LEDGER_BEGAN;
    says_so && changes_ledger_only(commit).unwrap_or(false)
}

/// From its first parent. `.audit` is at the top of the tree, so that only that level has to be compared.
fn changes_ledger_only(commit: &git2::Commit<'_>) -> Result<bool, git2::Error> {
    let after = commit.tree()?;
    let before = if commit.parent_count() > 0 { Some(commit.parent(0)?.tree()?) } else { None };
    let others = |tree: &Tree<'_>| -> Vec<_> {
        let is_ledger = |entry: &TreeEntry<'_>| {
            entry.name_bytes() == LEDGER.as_bytes() && entry.kind() == Some(ObjectType::Tree)
        };
        let others = tree.iter().filter(|entry| !is_ledger(entry));
        others.map(|entry| (entry.name_bytes().to_vec(), entry.id(), entry.filemode_raw())).collect()
    };
    let is_changed = before.as_ref().is_none_or(|before| before.id() != after.id());
    Ok(is_changed && others(&after) == before.as_ref().map(others).unwrap_or_default())
}

pub(super) fn described(commit: &git2::Commit<'_>, patch_id: Option<String>) -> Commit {
    let author = commit.author();
    let text = |bytes: &[u8]| shorten(&String::from_utf8_lossy(bytes), MAX_SUBJECT_BYTES);
    let committed_at =
        DateTime::<Utc>::from_timestamp(commit.time().seconds(), 0).unwrap_or(DateTime::UNIX_EPOCH);
    Commit {
        id: commit.id().to_string(),
        tree_id: commit.tree_id().to_string(),
        patch_id,
        parents: commit.parent_ids().map(|id| id.to_string()).collect(),
        author: format!("{} <{}>", text(author.name_bytes()), text(author.email_bytes())),
        committed_at: committed_at.into(),
        subject: text(commit.summary_bytes().unwrap_or_default()),
    }
}

/// A remote-tracking branch was moved.
#[derive(Clone, Copy)]
struct Move {
    at: i64,
    pushed: bool,
    to: Oid,
}

/// The commits that something else than a push from here brought first.
fn arrived(
    repository: &Repository,
    known: &HashSet<Oid>,
    moves: Vec<Move>,
    until: Until,
) -> Result<HashSet<Oid>, git2::Error> {
    let mut arrived = HashSet::new();
    let mut seen: Vec<Oid> = known.iter().copied().collect();
    for step in moves {
        if !step.pushed {
            let mut walk = repository.revwalk()?;
            // What a reflog names may be gone.
            if walk.push(step.to).is_ok() {
                seen.iter().for_each(|id| _ = walk.hide(*id));
                for id in walk.take_while(|_| !until.is_over()) {
                    arrived.insert(id?);
                }
            }
        }
        seen.push(step.to);
    }
    Ok(arrived)
}

/// How the remote-tracking branches were moved, in order.
fn moves(
    repository: &Repository,
    then: &Then<'_>,
    now: &Now<'_>,
    incomplete: &mut Vec<String>,
) -> Result<Vec<Move>, git2::Error> {
    let mut of_each = Vec::new();
    for (name, tip) in now.branches.remote() {
        let before = then.tips.tip(name);
        if before == Some(tip) {
            continue;
        }
        // libgit2 makes a reflog that is missing, and nothing may be written here.
        if !repository.reference_has_log(name)? {
            incomplete.push(format!("{name} moved and has no reflog, so that its commits are left out"));
            of_each.push(vec![Move { at: i64::MIN, pushed: false, to: tip }]);
            continue;
        }
        let mut of_one = Vec::new();
        for entry in repository.reflog(name)?.iter().take(MAX_MOVES) {
            let pushed = entry.message_bytes().is_some_and(|message| message.starts_with(PUSHED.as_bytes()));
            of_one.push(Move { at: entry.committer().when().seconds(), pushed, to: entry.id_new() });
            if before == Some(entry.id_old()) {
                break;
            }
        }
        of_each.push(of_one);
    }
    let (ordered, is_complete) = in_order(of_each);
    if !is_complete {
        incomplete.push("the remote-tracking branches moved too often to tell all commits apart".to_owned());
    }
    Ok(ordered)
}

/// Moves of each branch, newest first, as one list, oldest first. A branch's own order is sure; between branches the
/// time decides, and within one second the cautious order: what arrived comes before what was pushed.
fn in_order(mut of_each: Vec<Vec<Move>>) -> (Vec<Move>, bool) {
    let mut ordered = Vec::new();
    while ordered.len() < MAX_MOVES {
        let oldest = |(at, moves): (usize, &Vec<Move>)| moves.last().map(|step| ((step.at, step.pushed), at));
        let Some((_, at)) = of_each.iter().enumerate().filter_map(oldest).min() else {
            return (ordered, true);
        };
        ordered.extend(of_each[at].pop());
    }
    let left: Vec<_> = of_each.iter().filter_map(|moves| moves.first()).collect();
    ordered.extend(left.iter().map(|step| Move { pushed: false, ..**step }));
    (ordered, left.is_empty())
}
