//! Beginning a ledger, or adopting the one that is there. There is never a second root.

use std::rc::Rc;

use git2::{ObjectType, Oid};

use super::checkout::NewFile;
use super::commit::{self, CommitId};
use super::entries::EntryTree;
use super::git_error;
use super::locate::{self, Branch};
use super::lock::{Deadline, WriterLock};
use super::pack::builder::PackBuilder;
use super::publish::{Publication, Published};
use super::settings::Settings;
use super::sharing::Sharing;
use super::signing::SigningPolicy;
use super::zlib::Effort;
use super::{Ledger, Place, prepare_libgit2, state_directory};
use crate::error::{Error, Result};

/// What `init` writes into `.audit/`: `.audit-template/` of the source tree.
const TEMPLATE: [(&str, &str); 4] = [
    (".audit/.gitattributes", include_str!("../../.audit-template/.gitattributes")),
    (".audit/README.md", include_str!("../../.audit-template/README.md")),
    (".audit/config.toml", include_str!("../../.audit-template/config.toml")),
    (".audit/schema/entry-v1.schema.json", include_str!("../../.audit-template/schema/entry-v1.schema.json")),
];
const FLAT_LIMIT_LINE: &str = "flat_limit = 1000";

/// How a repository came to have its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made now.
    Created,
    /// It was there and is pinned now.
    Adopted,
    /// It was there and pinned; nothing changed.
    Existing,
}

/// What `init` did.
#[derive(Debug)]
pub struct Initialised {
    /// How the ledger came to be.
    pub origin: Origin,
    /// The branch's short name.
    pub branch: String,
    /// The commit that the branch is at.
    pub head: CommitId,
    /// The flat limit that the ledger has.
    pub flat_limit: u32,
    /// Whether a working tree shows the branch.
    pub checked_out: bool,
}

/// Makes sure that the repository at `place` has a ledger, and pins its branch.
///
/// # Errors
/// No repository; `branch` names another branch than the ledger's; the deadline passed; I/O.
pub fn initialise(
    place: &Place,
    branch: Option<&str>,
    flat_limit: Option<u32>,
    deadline: Deadline,
) -> Result<(Ledger, Initialised)> {
    prepare_libgit2();
    let opened = locate::open_repository(place)?;
    let settings = Settings::of(&opened.main, &place.config)?;
    let _lock = WriterLock::acquire(&state_directory(&opened.main), Sharing::of(&settings), deadline)?;
    let asked = branch.map(|name| Branch::named(name, false)).transpose()?;
    let found = match locate::find_branch(&opened, &settings)? {
        Some(found) => {
            if let Some(asked) = asked.filter(|asked| asked.reference != found.reference) {
                return Err(Error::LedgerElsewhere {
                    found: found.short().into(),
                    asked: asked.short().into(),
                });
            }
            Some(found)
        }
        None => match asked {
            Some(asked) => match asked.tip(&opened.main)? {
                Some(tip) if locate::holds_ledger(&opened.main, tip)? => Some(asked),
                _ => None,
            },
            None => None,
        },
    };
    let branch = found.clone().map_or_else(|| locate::branch_for_init(&opened, branch), Ok)?;
    let ledger = Ledger::new(opened, settings, branch, place);
    ledger.durability.set(ledger.asked_durability()?);
    ledger.signing_limit.set(deadline.whole());
    let origin = if found.is_none() || !ledger.is_begun()? {
        ledger.create(flat_limit, deadline)?;
        Origin::Created
    } else if !ledger.view()?.has_ledger_directory()? {
        return Err(Error::Removed(ledger.branch().to_owned()));
    } else if ledger.branch.pinned && ledger.branch.local_tip(&ledger.repository)?.is_some() {
        Origin::Existing
    } else {
        ledger.adopt(deadline)?;
        Origin::Adopted
    };
    ledger.pin()?;
    let outcome = ledger.describe(origin)?;
    Ok((ledger, outcome))
}

impl Ledger {
    fn describe(&self, origin: Origin) -> Result<Initialised> {
        let objects = Rc::new(self.objects()?);
        let head = self
            .branch
            .tip(&self.repository)?
            .ok_or_else(|| Error::BranchMissing(self.branch.short().into()))?;
        Ok(Initialised {
            origin,
            branch: self.branch.short().to_owned(),
            head: CommitId(head),
            flat_limit: EntryTree::at(&objects, Some(head))?.policy()?.flat_limit,
            checked_out: self.is_checked_out(),
        })
    }

    /// Makes the local branch from the one of `origin`.
    fn adopt(&self, deadline: Deadline) -> Result<()> {
        let mut publication = Publication::new(self, deadline);
        while self.branch.local_tip(&self.repository)?.is_none() {
            let tip = self.branch.tip(&self.repository)?;
            let tip = tip.ok_or_else(|| Error::BranchMissing(self.branch.short().into()))?;
            publication.publish(&[], self.zero(), tip, "audit: adopt the ledger of origin")?;
        }
        Ok(())
    }

    fn create(&self, flat_limit: Option<u32>, deadline: Deadline) -> Result<()> {
        let objects = Rc::new(self.objects()?);
        let template = TEMPLATE.map(|(path, text)| match flat_limit {
            Some(limit) if path == super::layout::CONFIG => {
                (path, text.replace(FLAT_LIMIT_LINE, &format!("flat_limit = {limit}")))
            }
            _ => (path, text.to_owned()),
        });
        let id = |text: &str| Oid::hash_object_ext(ObjectType::Blob, text.as_bytes(), objects.format());
        let blob = |(path, text): &(&'static str, String)| Ok((*path, id(text)?));
        let blobs = template.iter().map(blob).collect::<std::result::Result<Vec<_>, git2::Error>>();
        let blobs = blobs.map_err(git_error("hash an object"))?;
        let files = blobs.iter().zip(&template);
        let files: Vec<_> = files
            .map(|((path, blob), (_, text))| NewFile { path, blob: *blob, bytes: Some(text.as_bytes()) })
            .collect();
        let signer = self.signer(SigningPolicy::default())?;
        let mut publication = Publication::new(self, deadline);
        loop {
            let expected = self.branch.local_tip(&self.repository)?.unwrap_or_else(|| self.zero());
            let parent = self.branch.tip(&self.repository)?;
            let mut pack = PackBuilder::new(objects.format(), Effort::Space);
            for (_, text) in &template {
                pack.add(ObjectType::Blob, text.as_bytes())?;
            }
            let root = EntryTree::at(&objects, parent)?.add(&blobs, &mut pack)?;
            let now = self.place.clock.now().timestamp();
            let by = self.identities();
            let commit = commit::render(root, parent, &by, now, now, "audit: init ledger\n");
            let commit = match &signer {
                Some(signer) => signer.signed(&commit, &by.committer)?,
                None => commit,
            };
            let tip = pack.add(ObjectType::Commit, &commit)?;
            objects.mend_loose(pack.ids())?;
            let stored = self.packs().store(&pack.finish()?)?;
            let published = publication.publish(&files, expected, tip, "audit: init ledger")?;
            if matches!(published, Published::Moved) {
                stored.release();
                return Ok(());
            }
        }
    }
}
