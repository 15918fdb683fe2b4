//! The ledger's tree at one commit: finding entries in it, and adding one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::rc::Rc;

use git2::{ObjectType, Oid};
use serde::Deserialize;
use serde_json::Value;

use super::flat_names::FlatNames;
use super::layout::{self, CONFIG, DEFAULT_FLAT_LIMIT, ROOT, SHARDS, TASKS};
use super::objects::Objects;
use super::pack::builder::PackBuilder;
use super::signing::SigningPolicy;
use super::tree::{MODE_DIRECTORY, MODE_FILE, RawTree};
use crate::entry::TaskId;
use crate::entry::redact::{RedactionPolicy, Redactor};
use crate::error::{Error, Result};

/// A commit's tree, its directories read when first needed. After [`EntryTree::add`] it is the next commit's tree.
pub(super) struct EntryTree<'r> {
    objects: Rc<Objects<'r>>,
    directories: Directories,
    /// Tasks looked up so far.
    lookups: u32,
    /// What is in the flat directory, once that is known.
    flat_names: Option<FlatNames>,
    /// Where that is noted.
    note: Option<PathBuf>,
}

/// The flat directory is long, and from this many lookups on it pays to know its names.
const LOOKUPS_BEFORE_NAMES: u32 = 16;

/// Directories by path; `None` for one that is known not to be there.
pub(super) type Directories = HashMap<String, Option<RawTree>>;

/// Whether a task is in the tree.
pub(super) enum Located {
    /// Its entry is this file.
    Here { path: String, blob: Oid },
    /// An id that differs only in case is there.
    OtherCase(String),
    /// Neither.
    Absent,
}

/// The policy in `.audit/config.toml`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Policy {
    #[serde(default = "first_version")]
    version: u32,
    #[serde(default = "default_flat_limit")]
    pub flat_limit: u32,
    #[serde(default)]
    pub signing: SigningPolicy,
    #[serde(default)]
    pub redaction: RedactionPolicy,
    /// Rules of redaction that were pasted from elsewhere.
    #[serde(default, rename = "rules")]
    pasted_rules: Vec<Value>,
}

impl Policy {
    /// What a ledger without a policy follows.
    fn without_file() -> Self {
        Self {
            version: first_version(),
            flat_limit: default_flat_limit(),
            signing: SigningPolicy::default(),
            redaction: RedactionPolicy::default(),
            pasted_rules: Vec::new(),
        }
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut policy: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if policy.version != 1 {
            let version = policy.version;
            return Err(format!("version {version} is not known to this git-audit, which knows version 1"));
        }
        policy.redaction.rules.append(&mut policy.pasted_rules);
        if !policy.redaction.is_default() {
            // A rule that cannot be applied must stop everything that would be written without it.
            Redactor::with(&policy.redaction)?;
        }
        Ok(policy)
    }
}

/// How many entries the flat directory holds, as a policy file says, or as there is none; `None`: it cannot be read.
pub fn flat_limit_of(config: Option<&[u8]>) -> Option<u32> {
    let Some(config) = config else { return Some(default_flat_limit()) };
    Policy::parse(&String::from_utf8_lossy(config)).ok().map(|policy| policy.flat_limit)
}

fn first_version() -> u32 {
    1
}

fn default_flat_limit() -> u32 {
    DEFAULT_FLAT_LIMIT
}

impl<'r> EntryTree<'r> {
    /// `root`: the id of a commit's tree; `None` for a ledger that has no commit yet.
    pub fn open(objects: Rc<Objects<'r>>, root: Option<Oid>) -> Result<Self> {
        let tree = root.map_or_else(|| Ok(RawTree::empty(objects.oid_size())), |id| objects.tree(id))?;
        Ok(Self::with(objects, HashMap::from([(String::new(), Some(tree))])))
    }

    /// A tree whose directories are known already, as [`Self::into_directories`] gave them.
    pub fn with(objects: Rc<Objects<'r>>, directories: Directories) -> Self {
        Self { objects, directories, lookups: 0, flat_names: None, note: None }
    }

    /// With a file in which it may be noted what the flat directory holds.
    pub fn noting_in(self, note: PathBuf) -> Self {
        Self { note: Some(note), ..self }
    }

    /// What is known of the tree.
    pub fn into_directories(self) -> Directories {
        self.directories
    }

    /// The tree of the commit `tip`; `None` for a ledger that has no commit yet.
    pub fn at(objects: &Rc<Objects<'r>>, tip: Option<Oid>) -> Result<Self> {
        let root = tip.map(|tip| objects.commit(tip)).transpose()?.map(|commit| commit.tree);
        Self::open(Rc::clone(objects), root)
    }

    /// Whether the tree has an `.audit` directory.
    pub fn has_ledger(&mut self) -> Result<bool> {
        Ok(self.directory(ROOT)?.is_some())
    }

    /// Whether the tree has nothing but `.audit`.
    pub fn has_nothing_else(&mut self) -> Result<bool> {
        Ok(self.directory("")?.is_none_or(|root| root.iter().all(|entry| entry.name == ROOT.as_bytes())))
    }

    pub fn policy(&mut self) -> Result<Policy> {
        if self.blob_at(CONFIG)?.is_some() && self.read_file(CONFIG)?.is_none() {
            return Err(Error::Policy(
                "its content is not in this partial clone, so what it says is not known".into(),
            ));
        }
        let Some(bytes) = self.read_file(CONFIG)? else {
            return Ok(Policy::without_file());
        };
        Policy::parse(&String::from_utf8_lossy(&bytes)).map_err(Error::Policy)
    }

    /// Looks a task up, in the flat directory and in its shard.
    pub fn locate(&mut self, task_id: &TaskId) -> Result<Located> {
        let name = format!("{task_id}.json");
        let mut other_case = None;
        let flat = self.may_be_flat(&name)?.then(|| TASKS.to_owned());
        for directory in flat.into_iter().chain([layout::shard_directory(task_id)]) {
            let Some(tree) = self.directory(&directory)? else { continue };
            for entry in tree.iter().filter(|entry| entry.name.eq_ignore_ascii_case(name.as_bytes())) {
                let path = format!("{directory}/{}", String::from_utf8_lossy(entry.name));
                if !entry.is_regular_file() {
                    return Err(Error::Damaged(format!(
                        "{path} in the ledger is no regular file (mode {})",
                        entry.mode
                    )));
                }
                if entry.name == name.as_bytes() {
                    return Ok(Located::Here { path, blob: entry.oid() });
                }
                let id =
                    String::from_utf8_lossy(&entry.name[..entry.name.len() - ".json".len()]).into_owned();
                other_case = Some(id);
            }
        }
        Ok(other_case.map_or(Located::Absent, Located::OtherCase))
    }

    /// Whether it is worth reading the flat directory for `name`.
    fn may_be_flat(&mut self, name: &str) -> Result<bool> {
        self.lookups += 1;
        if self.flat_names.is_none() {
            // Full, so that it will not change any more.
            let note = self.note.clone().filter(|_| matches!(self.directory(SHARDS), Ok(Some(_))));
            let tree = self.directory(ROOT)?.and_then(|root| root.find("tasks")).map(|tasks| tasks.oid());
            self.flat_names = match note.zip(tree) {
                Some((note, tree)) => Some(match FlatNames::load(&note, tree) {
                    Some(known) => known,
                    None => {
                        let names = FlatNames::of(self.directory(TASKS)?);
                        names.save(&note, tree);
                        names
                    }
                }),
                None if self.lookups > LOOKUPS_BEFORE_NAMES => Some(FlatNames::of(self.directory(TASKS)?)),
                None => None,
            };
        }
        Ok(self.flat_names.as_ref().is_none_or(|names| names.may_have(name)))
    }

    /// The path that a new entry gets. A flat directory that is full, or that shards have followed, is never written
    /// again.
    pub fn path_for(&mut self, task_id: &TaskId, policy: &Policy) -> Result<String> {
        if self.directory(SHARDS)?.is_some() {
            return Ok(layout::sharded_path(task_id));
        }
        let full =
            self.directory(TASKS)?.map_or(0, |tasks| tasks.iter().count()) >= policy.flat_limit as usize;
        Ok(if full { layout::sharded_path(task_id) } else { layout::flat_path(task_id) })
    }

    /// Adds files, and writes each directory on the way to them once into `pack`, innermost first.
    ///
    /// Returns the id of the new root.
    pub fn add(&mut self, files: &[(&str, Oid)], pack: &mut PackBuilder) -> Result<Oid> {
        let mut changed = BTreeSet::new();
        for (path, blob) in files {
            let (directory, name) = split(path);
            self.directory_mut(directory)?.set(name, MODE_FILE, *blob);
            if let Some(names) = self.flat_names.as_mut().filter(|_| directory == TASKS) {
                names.insert(name);
            }
            let mut above = directory;
            while !above.is_empty() && changed.insert((Reverse(above.split('/').count()), above)) {
                above = split(above).0;
            }
        }
        for (_, path) in changed {
            let id = pack.add_tree(path, self.directory_mut(path)?.bytes())?;
            let (parent, name) = split(path);
            self.directory_mut(parent)?.set(name, MODE_DIRECTORY, id);
        }
        pack.add_tree("", self.directory_mut("")?.bytes())
    }

    /// The bytes of a file; `None` where there is none, or where a partial clone left it out.
    pub fn read_file(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.blob_at(path)? {
            Some(blob) => self.objects.try_read(blob, ObjectType::Blob),
            None => Ok(None),
        }
    }

    /// The blob of a regular file.
    pub fn blob_at(&mut self, path: &str) -> Result<Option<Oid>> {
        let (directory, name) = split(path);
        let Some(tree) = self.directory(directory)? else { return Ok(None) };
        Ok(tree.find(name).filter(super::tree::TreeEntry::is_regular_file).map(|entry| entry.oid()))
    }

    /// Every entry's task, directory by directory.
    pub fn for_each_entry(&mut self, visit: &mut dyn FnMut(&TaskId)) -> Result<()> {
        self.for_each_entry_starting_with("", visit)
    }

    /// As [`Self::for_each_entry`], for the ids that start with `prefix`. Every directory is read, because the digits of
    /// a shard say nothing about how an id begins; the other names are passed over unread.
    pub fn for_each_entry_starting_with(
        &mut self,
        prefix: &str,
        visit: &mut dyn FnMut(&TaskId),
    ) -> Result<()> {
        self.visit(TASKS, prefix, visit)?;
        self.visit(SHARDS, prefix, visit)
    }

    fn visit(&mut self, directory: &str, prefix: &str, visit: &mut dyn FnMut(&TaskId)) -> Result<()> {
        let Some(tree) = self.directory(directory)? else { return Ok(()) };
        let mut inner = Vec::new();
        for entry in tree.iter() {
            if !entry.is_directory() && !entry.name.starts_with(prefix.as_bytes()) {
                continue;
            }
            let Ok(name) = std::str::from_utf8(entry.name) else { continue };
            if entry.is_directory() {
                inner.push(format!("{directory}/{name}"));
            } else if let Some(task_id) = layout::task_id_in(directory, name) {
                visit(&task_id);
            }
        }
        inner.iter().try_for_each(|path| self.visit(path, prefix, visit))
    }

    fn directory(&mut self, path: &str) -> Result<Option<&RawTree>> {
        if !self.directories.contains_key(path) {
            let (parent, name) = split(path);
            let tree = match self.directory(parent)?.and_then(|parent| parent.find(name)) {
                None => None,
                Some(entry) if entry.is_directory() => {
                    let id = entry.oid();
                    Some(self.objects.tree(id)?)
                }
                Some(entry) => {
                    let mode = entry.mode;
                    return Err(Error::Damaged(format!(
                        "{path} on the ledger's branch is no directory (mode {mode})"
                    )));
                }
            };
            self.directories.insert(path.to_owned(), tree);
        }
        Ok(self.directories.get(path).and_then(Option::as_ref))
    }

    /// As [`Self::directory`], made when there is none. It is looked up first, so that a path which is no directory is
    /// found before anything is written.
    fn directory_mut(&mut self, path: &str) -> Result<&mut RawTree> {
        self.directory(path)?;
        let oid_size = self.objects.oid_size();
        let slot = self.directories.entry(path.to_owned()).or_default();
        Ok(slot.get_or_insert_with(|| RawTree::empty(oid_size)))
    }
}

/// A path's directory (empty for the root) and its last name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
