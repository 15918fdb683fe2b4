//! The cheap facts of a repository: where it is, its HEAD, the tips of its branches.
//!
//! Invariants: nothing is written, not even a reflog that is missing (libgit2 makes one when it is asked for it).

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};

use crate::entry::Digest;
use crate::error::Result;
use crate::ledger::open_any;

const HEADS: &str = "refs/heads/";
pub(super) const REMOTES: &str = "refs/remotes/";
/// The most branches whose tips are remembered.
const MAX_TIPS: usize = 4_096;
const DIGEST_BYTES: usize = 8;

/// Opens the repository at `path` or above it.
pub(super) fn discover(path: &Path, ceilings: &[PathBuf]) -> Result<Repository> {
    open_any(path, ceilings)
}

/// Opens the repository at `root`, and no other one above it.
pub(super) fn open_at(root: &Path) -> Result<Repository> {
    let ceiling = root.parent().map(Path::to_owned);
    open_any(root, ceiling.as_slice())
}

/// Where it is: the root of its working tree, else its git directory.
pub(super) fn root_of(repository: &Repository) -> PathBuf {
    repository.workdir().unwrap_or(repository.path()).components().collect()
}

/// What HEAD says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The branch's short name; `None` when HEAD is detached.
    pub branch: Option<String>,
    /// `None`: there is no commit yet.
    pub commit: Option<Oid>,
}

impl Head {
    pub fn of(repository: &Repository) -> Self {
        let Ok(head) = repository.find_reference("HEAD") else { return Self::default() };
        let target = head.symbolic_target_bytes().map(|name| String::from_utf8_lossy(name).into_owned());
        let branch = target.map(|name| name.strip_prefix(HEADS).map_or(name.clone(), str::to_owned));
        Self { branch, commit: head.resolve().ok().and_then(|head| head.target()) }
    }
}

/// The branches that other working trees of the repository show, by full name.
pub(super) fn checked_out_elsewhere(repository: &Repository) -> HashSet<String> {
    let common = repository.commondir();
    let linked = std::fs::read_dir(common.join("worktrees")).into_iter().flatten();
    let linked = linked.filter_map(|entry| Some(entry.ok()?.path()));
    let others = linked.chain([common.to_owned()]).filter(|directory| !is_same(directory, repository.path()));
    let heads = others.filter_map(|directory| std::fs::read_to_string(directory.join("HEAD")).ok());
    heads.filter_map(|head| Some(head.strip_prefix("ref: ")?.trim_end().to_owned())).collect()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.components().eq(other.components()) || one.canonicalize().ok() == other.canonicalize().ok()
}

/// The local and the remote-tracking branches by full name, and their tips.
#[derive(Clone, Debug, Default)]
pub(super) struct Branches {
    tips: BTreeMap<String, Oid>,
    /// There are more than are looked at.
    has_more: bool,
}

impl Branches {
    pub fn of(repository: &Repository) -> Self {
        let mut found = Self::default();
        for glob in ["refs/heads/*", "refs/remotes/*"] {
            let Ok(references) = repository.references_glob(glob) else { continue };
            for reference in references.map_while(std::result::Result::ok) {
                let (Ok(name), Some(tip)) = (reference.name(), reference.target()) else { continue };
                if found.tips.len() == MAX_TIPS {
                    found.has_more = true;
                    return found;
                }
                found.tips.insert(name.to_owned(), tip);
            }
        }
        found
    }

    pub fn local(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.under(HEADS)
    }

    pub fn remote(&self) -> impl Iterator<Item = (&str, Oid)> {
        self.under(REMOTES)
    }

    fn under(&self, prefix: &'static str) -> impl Iterator<Item = (&str, Oid)> {
        let branches = self.tips.iter().map(|(name, tip)| (name.as_str(), *tip));
        branches.filter(move |(name, _)| name.starts_with(prefix))
    }

    /// What is remembered of them.
    pub fn tips(&self) -> Tips {
        let tips = self.tips.iter().map(|(name, tip)| (digest_of(name), tip.to_string()));
        Tips { branches: tips.collect(), has_more: self.has_more }
    }
}

/// Where the branches were. Their names are only compared, so no name goes into the journal: each is a digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tips {
    branches: BTreeMap<String, String>,
    /// There were more branches than are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_more: bool,
}

impl Tips {
    /// Where the branch of that full name was.
    pub fn tip(&self, name: &str) -> Option<Oid> {
        self.branches.get(&digest_of(name)).and_then(|tip| parse_id(tip))
    }

    pub fn all(&self) -> HashSet<Oid> {
        self.branches.values().filter_map(|tip| parse_id(tip)).collect()
    }
}

/// Enough to tell thousands of names apart.
fn digest_of(name: &str) -> String {
    Digest::of(name.as_bytes()).as_bytes()[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How the repository hashes, by the length of an id.
pub(super) fn format_of(id: &str) -> git2::ObjectFormat {
    if id.len() == 64 { git2::ObjectFormat::Sha256 } else { git2::ObjectFormat::Sha1 }
}

/// The id that `text` is.
pub(super) fn parse_id(text: &str) -> Option<Oid> {
    Oid::from_str_ext(text, format_of(text)).ok()
}
