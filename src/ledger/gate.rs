//! The branch that pushes are held against, in a repository that others push to. It need not be there yet.

use std::path::PathBuf;

use git2::{ErrorCode, Repository};

use super::locate::{self, Branch};
use super::raw::{ObjectId, RawStore};
use super::settings::Settings;
use super::{Place, git_error, prepare_libgit2};
use crate::error::{Error, Result};

/// Symbolic refs may point at symbolic refs; git follows as many.
const MAX_SYMBOLIC_DEPTH: usize = 5;

/// A repository, and the ledger's branch in it.
pub struct Gate {
    pub(super) repository: Repository,
    pub(super) settings: Settings,
    pub(super) place: Place,
    branch: Branch,
}

/// What a push to a ref is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The ledger's branch, by its name or through a symbolic ref.
    Ledger,
    /// A name that is the branch's where the file system does not tell upper from lower case, as here.
    OtherCase,
    /// Something else.
    Elsewhere,
}

impl Gate {
    /// Opens the repository at `place`. The branch is the pinned one, else the one that is found, else `asked`, else
    /// `audit`.
    ///
    /// # Errors
    /// There is no repository; the ledger is on another branch than `asked`; a ref cannot be read.
    pub fn open(place: &Place, asked: Option<&str>) -> Result<Self> {
        prepare_libgit2();
        let opened = locate::open_repository(place)?;
        let settings = Settings::of(&opened.main, &place.config)?;
        let asked = asked.map(|name| Branch::named(name, false)).transpose()?;
        let known = match settings.text("audit.branch") {
            Some(name) => Some(Branch::named(&name, true)?),
            None => locate::find_branch(&opened, &settings)?,
        };
        if let (Some(known), Some(asked)) = (&known, &asked)
            && known.reference != asked.reference
        {
            let (found, asked) = (known.short().to_owned(), asked.short().to_owned());
            return Err(Error::LedgerElsewhere { found, asked });
        }
        let branch = known.or(asked).map_or_else(|| Branch::named(locate::DEFAULT_BRANCH, false), Ok)?;
        Ok(Self { repository: opened.main, settings, place: place.clone(), branch })
    }

    /// The branch's short name.
    pub fn name(&self) -> &str {
        self.branch.short()
    }

    /// Whether the repository's own configuration names it.
    pub fn is_pinned(&self) -> bool {
        self.settings.is_local("audit.branch")
    }

    /// The file of that configuration.
    pub fn config(&self) -> PathBuf {
        self.repository.commondir().join("config")
    }

    /// The length of an object id in hex digits.
    pub fn id_digits(&self) -> usize {
        match self.repository.object_format() {
            git2::ObjectFormat::Sha1 => 40,
            git2::ObjectFormat::Sha256 => 64,
        }
    }

    /// The commit that the branch is at.
    ///
    /// # Errors
    /// The ref cannot be read.
    pub fn tip(&self) -> Result<Option<ObjectId>> {
        Ok(self.branch.local_tip(&self.repository)?.map(ObjectId))
    }

    /// Its objects, and those in the directories `incoming`, which are not its own yet.
    pub fn raw_objects(&self, incoming: &[PathBuf]) -> RawStore {
        let own = self.repository.commondir().join("objects");
        let directories = incoming.iter().cloned().chain([own]).collect();
        RawStore::at(directories, self.repository.object_format())
    }

    /// What a push to this ref is about.
    ///
    /// # Errors
    /// The ref cannot be read.
    pub fn aim(&self, pushed: &str) -> Result<Aim> {
        let ledger = self.branch.reference.as_str();
        let mut name = pushed.to_owned();
        for _ in 0..=MAX_SYMBOLIC_DEPTH {
            if name == ledger {
                return Ok(Aim::Ledger);
            }
            if name.to_lowercase() == ledger.to_lowercase() && self.folds_case() {
                return Ok(Aim::OtherCase);
            }
            let next = match self.repository.find_reference(&name) {
                Ok(found) => found.symbolic_target().ok().flatten().map(str::to_owned),
                // git refuses such names by itself.
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => None,
                Err(error) => return Err(git_error(format!("read {name}"))(error)),
            };
            match next {
                Some(next) => name = next,
                None => return Ok(Aim::Elsewhere),
            }
        }
        Ok(Aim::Elsewhere)
    }

    /// Whether the file system takes `HEAD` for `head`.
    fn folds_case(&self) -> bool {
        let is_said = self.settings.text("core.ignorecase").is_some_and(|value| value == "true");
        is_said || self.repository.commondir().join("head").exists()
    }
}
