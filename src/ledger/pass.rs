//! One try: from the tip as it is now to a chain of new commits in a pack that nothing refers to yet.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use git2::{ObjectFormat, ObjectType, Oid};
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::append::Naming;
use super::checkout::NewFile;
use super::commit::{self, CommitId};
use super::entries::{Directories, EntryTree, Located, Policy};
use super::identity::Identities;
use super::intents::Intents;
use super::objects::Objects;
use super::pack::builder::PackBuilder;
use super::pack::store::StoredPack;
use super::publish::{Publication, Published};
use super::signing::{Signer, SigningPolicy};
use super::zlib::Effort;
use super::{Receipt, Request};
use crate::entry::redact::RedactionPolicy;
use crate::entry::{Digest, Redactor, TaskId};
use crate::error::{Error, Result};

/// A pass of at least as many entries is packed for space at once: its objects are alike.
const TIGHT_FROM_ENTRIES: usize = 32;

/// The work of one try.
pub(super) struct Pass<'l> {
    ledger: &'l Ledger,
    objects: Rc<Objects<'l>>,
    pack: PackBuilder,
    policy: Policy,
    signer: Option<Signer>,
    tree: EntryTree<'l>,
    /// Where the local branch is: what the compare-and-swap expects.
    pub expected: Oid,
    parent: Option<Oid>,
    files: Vec<AddedFile>,
    keeps_bytes: bool,
    /// Which of the files is a task's.
    made: HashMap<TaskId, usize>,
}

/// An entry that the pass adds.
pub(super) struct AddedFile {
    pub task_id: TaskId,
    pub path: String,
    commit: CommitId,
    blob: Oid,
    digest: Digest,
    /// Not kept where very many are added.
    bytes: Option<Rc<[u8]>>,
}

/// What the last pass of this process knew of the ledger, for the next one.
pub(super) struct Continuation {
    tip: Oid,
    policy: Policy,
    directories: Directories,
}

/// A receipt before the commits of skipped entries are looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Draft {
    Recorded {
        commit: CommitId,
        path: String,
        digest: Digest,
    },
    Skipped {
        path: String,
        digest: Digest,
        differing: Vec<String>,
        /// It was recorded by us all the same: an earlier try made it, and somebody's `git commit` took it along.
        ours: bool,
    },
    OtherCase {
        existing: String,
    },
}

impl Draft {
    /// The receipt, where an entry that was there already was added by `earlier`, as far as that is known.
    pub fn receipt(self, earlier: Option<CommitId>) -> Receipt {
        match self {
            Self::Recorded { commit, path, digest } => Receipt::Recorded { commit, path, digest },
            Self::OtherCase { existing } => Receipt::OtherCase { existing },
            Self::Skipped { path, digest, differing, ours } => match earlier {
                Some(commit) if ours => Receipt::Recorded { commit, path, digest },
                commit => Receipt::Skipped { commit, path, digest, differing },
            },
        }
    }
}

impl<'l> Pass<'l> {
    /// The pack for so many entries.
    pub fn pack_for(entries: usize) -> impl FnOnce(ObjectFormat) -> PackBuilder {
        let effort = if entries < TIGHT_FROM_ENTRIES { Effort::Time } else { Effort::Space };
        move |format| PackBuilder::new(format, effort)
    }

    /// Begins at the tip, with an empty pack.
    pub fn begin(ledger: &'l Ledger, pack: impl FnOnce(ObjectFormat) -> PackBuilder) -> Result<Self> {
        let objects = Rc::new(ledger.objects()?);
        let local = ledger.branch.local_tip(&ledger.repository)?;
        let parent = match local {
            Some(tip) => Some(tip),
            None => ledger.branch.tip(&ledger.repository)?,
        };
        let known = ledger.continuation.take().filter(|known| Some(known.tip) == parent);
        let (policy, tree) = match known {
            Some(Continuation { policy, directories, .. }) => {
                (policy, EntryTree::with(Rc::clone(&objects), directories))
            }
            None => {
                let mut tree = EntryTree::at(&objects, parent)?;
                if !tree.has_ledger()? {
                    return Err(Error::Removed(ledger.branch().to_owned()));
                }
                (tree.policy()?, tree)
            }
        };
        let tree = tree.noting_in(ledger.state_directory().join("flat-names"));
        Ok(Self {
            ledger,
            pack: pack(objects.format()),
            objects,
            signer: ledger.signer(policy.signing)?,
            policy,
            tree,
            expected: local.unwrap_or_else(|| ledger.zero()),
            parent,
            files: Vec::new(),
            keeps_bytes: true,
            made: HashMap::new(),
        })
    }

    /// Whether its commits are signed. Then they are all ours: nobody signs for others.
    pub fn is_signed(&self) -> bool {
        self.signer.is_some()
    }

    /// A pass that does not keep what it adds.
    pub fn lean(self) -> Self {
        Self { keeps_bytes: false, ..self }
    }

    /// Adds a commit for the request, unless its task is there. `made_before` are tasks that earlier tries made.
    ///
    /// `None`: a lean pass cannot compare it with what it added itself under the same id; another pass can.
    pub fn add(
        &mut self,
        request: &Request,
        by: &Identities,
        made_before: &HashSet<TaskId>,
    ) -> Result<Option<Draft>> {
        let task_id = request.task_id();
        if let Some(file) = self.made.get(task_id).map(|index| &self.files[*index]) {
            let differing = match &file.bytes {
                Some(bytes) => request.differing(bytes),
                None if file.digest == request.digest() => Vec::new(),
                None => return Ok(None),
            };
            let (path, digest) = (file.path.clone(), file.digest);
            return Ok(Some(Draft::Skipped { path, digest, differing, ours: false }));
        }
        let draft = match self.tree.locate(task_id)? {
            Located::Here { path, blob } => {
                let stored = self.objects.read(blob, ObjectType::Blob)?;
                let digest = Digest::of(&stored);
                let ours = made_before.contains(task_id) && digest == request.digest();
                Draft::Skipped { path, digest, differing: request.differing(&stored), ours }
            }
            Located::OtherCase(existing) => Draft::OtherCase { existing },
            Located::Absent => {
                let path = self.tree.path_for(task_id, &self.policy)?;
                let blob = self.pack.add(ObjectType::Blob, request.bytes())?;
                let root = self.tree.add(&[(&path, blob)], &mut self.pack)?;
                let now = self.ledger.place.clock.now().timestamp();
                // git knows no time before 1970.
                let authored = request.authored().map_or(now, |time| time.utc().timestamp().max(0));
                let bytes = commit::render(root, self.parent, by, authored, now, request.message());
                let bytes = match &self.signer {
                    Some(signer) => signer.signed(&bytes, &by.committer)?,
                    None => bytes,
                };
                let id = self.pack.add(ObjectType::Commit, &bytes)?;
                self.parent = Some(id);
                self.made.insert(task_id.clone(), self.files.len());
                self.files.push(AddedFile {
                    task_id: task_id.clone(),
                    path: path.clone(),
                    commit: CommitId(id),
                    blob,
                    digest: request.digest(),
                    bytes: self.keeps_bytes.then(|| Rc::from(request.bytes())),
                });
                Draft::Recorded { commit: CommitId(id), path, digest: request.digest() }
            }
        };
        Ok(Some(draft))
    }

    /// Makes the new objects durable. `None` when there are none.
    pub fn store(&mut self) -> Result<Option<(Oid, StoredPack)>> {
        let Some(new_tip) = self.parent.filter(|_| !self.files.is_empty()) else { return Ok(None) };
        self.objects.mend_loose(self.pack.ids())?;
        let pack = std::mem::replace(&mut self.pack, PackBuilder::new(self.objects.format(), Effort::Time));
        Ok(Some((new_tip, self.ledger.packs().store(&pack.finish()?)?)))
    }

    /// Moves the branch to the stored pass, once. What was staged for it is taken back where that fails.
    pub fn publish(
        &self,
        new_tip: Oid,
        publication: &mut Publication<'_>,
        intents: &Intents,
    ) -> Result<Published> {
        intents.begin(&self.files)?;
        let published = publication.publish(&self.new_files(), self.expected, new_tip, &self.log());
        if published.is_err() && publication.take_back() {
            intents.end();
        }
        published
    }

    /// Bytes that it holds in memory, roughly.
    pub fn size_bytes(&self) -> usize {
        self.pack.content_bytes()
    }

    /// What the reflog says of it.
    fn log(&self) -> String {
        match self.files.as_slice() {
            [file] => format!("audit: task {}", file.task_id),
            files => format!("audit: {} entries", files.len()),
        }
    }

    /// The entries that it adds.
    pub fn files(&self) -> &[AddedFile] {
        &self.files
    }

    fn new_files(&self) -> Vec<NewFile<'_>> {
        self.files
            .iter()
            .map(|file| NewFile { path: &file.path, blob: file.blob, bytes: file.bytes.as_deref() })
            .collect()
    }

    /// The branch has moved to the pass's last commit, so the next pass can go on from here. Returns the commits made.
    pub fn finish(self) -> HashMap<TaskId, CommitId> {
        if let Some(tip) = self.parent {
            let directories = self.tree.into_directories();
            self.ledger.continuation.set(Some(Continuation { tip, policy: self.policy, directories }));
        }
        self.files.into_iter().map(|file| (file.task_id, file.commit)).collect()
    }
}

impl Ledger {
    /// What the policy at the tip says about redaction.
    ///
    /// # Errors
    /// The policy cannot be read or followed.
    pub fn redaction_policy(&self) -> Result<RedactionPolicy> {
        let objects = Rc::new(self.objects()?);
        let tip = self.branch.tip(&self.repository)?;
        let mut tree = EntryTree::at(&objects, tip)?;
        let policy = tree.policy()?;
        let redaction = policy.redaction.clone();
        // The first pass goes on from here, if nobody moves the branch before.
        if let Some(tip) = tip.filter(|_| matches!(tree.has_ledger(), Ok(true))) {
            let directories = tree.into_directories();
            self.continuation.set(Some(Continuation { tip, policy, directories }));
        }
        Ok(redaction)
    }

    /// Whether what is recorded now is signed.
    pub(super) fn is_signing(&self) -> Result<bool> {
        Ok(self.is_signing_configured()? || self.signing_policy()?.is_required())
    }

    /// What the policy at the tip says about signing.
    fn signing_policy(&self) -> Result<SigningPolicy> {
        let policy_at = |tip| {
            let known = self.continuation.take();
            let policy =
                known.as_ref().filter(|known| Some(known.tip) == tip).map(|known| known.policy.signing);
            self.continuation.set(known);
            policy
        };
        let tip = self.branch.tip(&self.repository)?;
        match policy_at(tip) {
            Some(policy) => Ok(policy),
            None => {
                self.redaction_policy()?;
                Ok(policy_at(tip).unwrap_or_default())
            }
        }
    }

    /// Redacts by the policy at the tip.
    ///
    /// # Errors
    /// The policy cannot be read or followed.
    pub fn redactor(&self) -> Result<Redactor> {
        let policy = self.redaction_policy()?;
        Redactor::with(&policy).map_err(Error::Policy)
    }

    /// Looks up, in one walk, which commits added the entries that were there already; those that are `made` are known.
    pub(super) fn name_commits(
        &self,
        drafts: Vec<Draft>,
        requests: &[Request],
        made: &HashMap<TaskId, CommitId>,
        naming: Naming,
    ) -> Vec<Receipt> {
        let skipped = drafts.iter().zip(requests).filter(|(draft, _)| matches!(draft, Draft::Skipped { .. }));
        let unknown: HashSet<_> =
            skipped.map(|(_, request)| request.task_id()).filter(|id| !made.contains_key(*id)).collect();
        let mut found = HashMap::new();
        if !unknown.is_empty() && naming == Naming::Every {
            // What is new has been recorded by now: a history that cannot be read costs the name of an older commit, not
            // the receipts.
            found = self.view().and_then(|view| view.history()?.find_tasks(unknown)).unwrap_or_default();
        }
        let commit_of = |id: &TaskId| made.get(id).copied().or_else(|| Some(found.get(id)?.commit));
        drafts
            .into_iter()
            .zip(requests)
            .map(|(draft, request)| draft.receipt(commit_of(request.task_id())))
            .collect()
    }
}
