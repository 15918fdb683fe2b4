//! Finding the repository, and in it the branch that holds the ledger.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use git2::{BranchType, ErrorCode, Oid, Repository};

use super::entries::EntryTree;
use super::objects::Objects;
use super::settings::Settings;
use super::{Place, git_error, prepare_libgit2};
use crate::error::{Error, Result};

/// The branch's name where the repository holds other things.
pub(super) const DEFAULT_BRANCH: &str = "audit";
const HEADS: &str = "refs/heads/";
const ORIGIN: &str = "refs/remotes/origin/";

/// A repository, seen from one of its working trees.
pub(super) struct Opened {
    /// The main repository: objects, refs and configuration are its.
    pub main: Repository,
    /// The full name of what HEAD points at in the working tree we stand in; `None` when HEAD is detached.
    pub head: Option<String>,
    /// The commit of that HEAD; `None` when it is unborn.
    pub head_commit: Option<Oid>,
    /// `GIT_WORK_TREE`, where it is given for a linked worktree: that worktree's git directory, and the path.
    pub linked_work_tree: Option<(PathBuf, PathBuf)>,
}

/// Opens the repository at `place` as git subcommands do: `GIT_DIR`, else upwards from the directory.
pub(super) fn open_repository(place: &Place) -> Result<Opened> {
    let path = match &place.git_dir {
        Some(git_dir) => place.directory.join(git_dir),
        None => Repository::discover_path(&place.directory, &place.ceilings)
            .map_err(|error| opening_error(&error, &place.directory))?,
    };
    let here = open(&path)?;
    let head = here.find_reference("HEAD").ok();
    let head_target = head.as_ref().and_then(|head| head.symbolic_target().ok().flatten()).map(str::to_owned);
    // Not peeled: libgit2 would read the object, and a truncated one makes it spin for ever.
    let head_commit = head.as_ref().and_then(|head| head.resolve().ok()?.target());
    drop(head);
    let given = place.work_tree.as_ref().map(|work_tree| place.directory.join(work_tree));
    if here.is_worktree() {
        let main = open(here.commondir())?;
        let linked_work_tree = given.map(|path| (without_slash(here.path()), path));
        return Ok(Opened { main, head: head_target, head_commit, linked_work_tree });
    }
    let by_link = || directory_of_linked_git_dir(place).filter(|_| !here.is_bare());
    if let Some(work_tree) = given.or_else(by_link) {
        here.set_workdir(&work_tree, false).map_err(git_error("use the working tree"))?;
    }
    Ok(Opened { main: here, head: head_target, head_commit, linked_work_tree: None })
}

fn without_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Where `.git` is a symbolic link, the working tree is around the link, as git has it; libgit2 resolves the link first
/// and takes the directory around its target.
fn directory_of_linked_git_dir(place: &Place) -> Option<PathBuf> {
    if place.git_dir.is_some() { None } else { around_linked_git_dir(&place.directory) }
}

fn around_linked_git_dir(directory: &Path) -> Option<PathBuf> {
    let around = directory.ancestors().find(|directory| directory.join(".git").symlink_metadata().is_ok())?;
    let link = around.join(".git").symlink_metadata().ok()?;
    link.is_symlink().then(|| around.to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the one place that opens repositories")]
pub(super) fn open(path: &Path) -> Result<Repository> {
    Repository::open(path).map_err(|error| opening_error(&error, path))
}

/// Opens the repository at `directory` or above it, whatever it holds; `GIT_DIR` is about the ledger's alone.
pub(crate) fn open_any(directory: &Path, ceilings: &[PathBuf]) -> Result<Repository> {
    prepare_libgit2();
    let found = Repository::discover_path(directory, ceilings);
    let repository = open(&found.map_err(|error| opening_error(&error, directory))?)?;
    if let Some(around) = around_linked_git_dir(directory).filter(|_| !repository.is_bare()) {
        repository.set_workdir(&around, false).map_err(git_error("use the working tree"))?;
    }
    Ok(repository)
}

fn opening_error(error: &git2::Error, path: &Path) -> Error {
    if let Some((_, extension)) = error.message().split_once("unsupported extension name extensions.") {
        return unsupported(extension);
    }
    match error.code() {
        ErrorCode::NotFound => Error::NoRepository(path.to_owned()),
        ErrorCode::Owner => Error::ForeignOwner(working_directory_of(path)),
        _ if error.message().contains("unsupported repository version") => Error::UnsupportedRepository {
            format: "an unknown repository format version".into(),
            way_out: "run `git config core.repositoryformatversion` to see it; a newer git-audit may know it"
                .into(),
        },
        _ => Error::Git {
            doing: format!("open the repository at {}", path.display()),
            why: error.message().to_owned(),
        },
    }
}

fn unsupported(extension: &str) -> Error {
    let way_out = match extension {
        "refstorage" => {
            "run `git refs migrate --ref-format=files` to convert it, or keep the ledger in a repository of its own"
        }
        _ => {
            "keep the ledger in a repository of its own: run `git init ../ledger && git -C ../ledger audit init`"
        }
    };
    let format = match extension {
        "refstorage" => "the reftable ref format (extensions.refStorage)".to_owned(),
        other => format!("the extension `extensions.{other}`"),
    };
    Error::UnsupportedRepository { format, way_out: way_out.into() }
}

/// `safe.directory` wants the working tree, not its `.git`.
fn working_directory_of(path: &Path) -> PathBuf {
    let is_git_dir = path.file_name().is_some_and(|name| name == ".git");
    path.parent().filter(|_| is_git_dir).unwrap_or(path).to_owned()
}

/// The ledger's branch.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    /// `refs/heads/<name>`
    pub reference: String,
    /// `refs/remotes/origin/<name>`: where the branch continues from when it is not here yet.
    pub upstream: String,
    /// Whether `audit.branch` names it.
    pub pinned: bool,
}

impl Branch {
    /// The branch called `name`, which may be given in full.
    pub fn named(name: &str, pinned: bool) -> Result<Self> {
        let short = name.strip_prefix(HEADS).unwrap_or(name);
        if !git2::Branch::name_is_valid(short).unwrap_or(false) {
            return Err(Error::BranchName(name.to_owned()));
        }
        Ok(Self { reference: format!("{HEADS}{short}"), upstream: format!("{ORIGIN}{short}"), pinned })
    }

    /// The name as people write it.
    pub fn short(&self) -> &str {
        self.reference.strip_prefix(HEADS).unwrap_or(&self.reference)
    }

    /// The commit that the local branch is at.
    pub fn local_tip(&self, repository: &Repository) -> Result<Option<Oid>> {
        tip_of(repository, &self.reference)
    }

    /// Whether `origin` has a branch of this name.
    pub fn has_upstream(&self, repository: &Repository) -> Result<bool> {
        Ok(tip_of(repository, &self.upstream)?.is_some())
    }

    /// The commit that a new entry would follow: the local branch's, else the one of `origin`.
    pub fn tip(&self, repository: &Repository) -> Result<Option<Oid>> {
        match self.local_tip(repository)? {
            Some(tip) => Ok(Some(tip)),
            None => tip_of(repository, &self.upstream),
        }
    }
}

/// `Ok(None)` only when the ref is truly absent: an empty or garbled ref file must never look like a new ledger.
fn tip_of(repository: &Repository, name: &str) -> Result<Option<Oid>> {
    match repository.find_reference(name) {
        Ok(reference) => reference.target().map(Some).ok_or_else(|| {
            Error::Damaged(format!("{name} is a symbolic ref; the ledger's branch must name a commit"))
        }),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(Error::Damaged(format!("{name} cannot be read: {}", error.message()))),
    }
}

/// The branch that holds the ledger: the pinned one, else HEAD's, else `audit`, else `origin/audit`, else, where HEAD
/// is detached inside a ledger (as CI checks out), the one branch that holds it. `None`: there is no ledger.
pub(super) fn find_branch(opened: &Opened, settings: &Settings) -> Result<Option<Branch>> {
    if let Some(name) = settings.text("audit.branch") {
        let branch = Branch::named(&name, true)?;
        return match branch.tip(&opened.main)? {
            Some(_) => Ok(Some(branch)),
            None => Err(Error::BranchMissing(branch.short().to_owned())),
        };
    }
    let head_holds = opened.head_commit.map_or(Ok(false), |commit| holds_ledger(&opened.main, commit))?;
    if let Some(name) = opened.head.as_deref().filter(|name| head_holds && name.starts_with(HEADS)) {
        return Branch::named(name, false).map(Some);
    }
    let branch = Branch::named(DEFAULT_BRANCH, false)?;
    if let Some(tip) = branch.tip(&opened.main)?
        && holds_ledger(&opened.main, tip)?
    {
        return Ok(Some(branch));
    }
    if head_holds { only_branch(opened).map(Some) } else { Ok(None) }
}

/// The branch that `init` uses where there is no ledger yet.
pub(super) fn branch_for_init(opened: &Opened, asked: Option<&str>) -> Result<Branch> {
    if let Some(name) = asked {
        return Branch::named(name, false);
    }
    let head_is_empty = match opened.head_commit {
        None => true,
        Some(commit) => tree_of(&opened.main, commit)?.has_nothing_else()?,
    };
    if let Some(name) = opened.head.as_deref().filter(|name| head_is_empty && name.starts_with(HEADS)) {
        return Branch::named(name, false);
    }
    let branch = Branch::named(DEFAULT_BRANCH, false)?;
    match branch.tip(&opened.main)? {
        Some(_) => Err(Error::BranchTaken(DEFAULT_BRANCH.to_owned())),
        None => Ok(branch),
    }
}

/// Whether the commit's tree has `.audit/`.
pub(super) fn holds_ledger(repository: &Repository, commit: Oid) -> Result<bool> {
    tree_of(repository, commit)?.has_ledger()
}

fn tree_of(repository: &Repository, commit: Oid) -> Result<EntryTree<'_>> {
    let objects = Rc::new(Objects::new(repository, PathBuf::new())?);
    EntryTree::at(&objects, Some(commit))
}

fn only_branch(opened: &Opened) -> Result<Branch> {
    for (kind, prefix) in [(BranchType::Local, ""), (BranchType::Remote, "origin/")] {
        let branches = opened.main.branches(Some(kind)).map_err(git_error("list the branches"))?;
        let mut holding = Vec::new();
        for (branch, _) in branches.filter_map(std::result::Result::ok) {
            let Some(name) = branch.name().ok().flatten().and_then(|name| name.strip_prefix(prefix)) else {
                continue;
            };
            let Some(tip) = branch.get().target() else { continue };
            if holds_ledger(&opened.main, tip)? {
                holding.push((name.to_owned(), tip));
            }
        }
        let at_head: Vec<_> = holding.iter().filter(|(_, tip)| Some(*tip) == opened.head_commit).collect();
        match (holding.as_slice(), at_head.as_slice()) {
            ([(name, _)], _) | (_, [(name, _)]) => return Branch::named(name, false),
            ([], _) => {}
            _ => return Err(Error::AmbiguousLedger(holding.into_iter().map(|(name, _)| name).collect())),
        }
    }
    let git_dir = opened.main.path().to_owned();
    Err(Error::NoLedger(working_directory_of(&git_dir)))
}
