//! The ledger: the pinned branch and its `.audit/` tree. The only module that names git2, but for
//! `journal::capture`, which looks at other repositories.
//!
//! - [`locate`]: the repository and the branch · [`settings`], [`identity`]: configuration, who commits · [`preferences`]: how
//!   the user wants to be shown things
//! - [`objects`], [`loose`], [`packed`], [`zlib`], [`tree`], [`commit`]: git objects as bytes · [`pack`]: how new ones reach the disk
//!   · [`durability`]: surviving a power cut · [`layout`], [`entries`], [`flat_names`]: where entries are
//! - [`append`]: the one way in, of [`request`]s, by a [`pass`] that a [`queue`] of writers shares · [`bulk`]: very many of them
//!   · [`publish`]: moving the branch and every working tree that shows it
//!   · [`branch_file`]: the move itself · [`lock`]: waiting
//! - [`signing`]: commits signed by the user's own programs
//! - [`checkout`], [`worktree_file`]: those working trees and their indexes · [`shown`]: what they hold · [`intents`]: what a
//!   crash leaves
//! - [`state`]: the directory of everything local · [`spool`]: what waits for better times · [`packing`]: fewer and smaller packs
//! - [`gate`]: the branch that pushes are held against
//! - [`whereabouts`]: the repository that we stand in, ledger or not
//! - [`history`]: the walk, the truth for every query · [`view`]: the ledger at one commit · [`raw`]: objects for verification
//!
//! Invariants: a tree is the tip's tree plus entries, never made from an index; the ref moves by compare-and-swap
//! only, after the objects are durable; a branch that is checked out never moves without its index.

use std::cell::{Cell, OnceCell};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use git2::Repository;

mod append;
mod branch_file;
mod bulk;
mod checkout;
mod commit;
mod durability;
mod entries;
mod flat_names;
mod gate;
mod history;
mod identity;
mod init;
mod intents;
pub mod layout;
mod locate;
mod lock;
mod loose;
mod objects;
mod pack;
mod packed;
mod packing;
mod pass;
mod preferences;
mod publish;
mod queue;
mod raw;
mod request;
mod settings;
mod sharing;
mod shown;
pub mod signing;
mod spool;
mod state;
mod tree;
mod tree_changes;
mod view;
mod whereabouts;
mod worktree_file;
mod zlib;

pub use append::{Appended, Naming, Receipt};
pub use bulk::{Bulk, Ended};
pub use commit::{BlobId, CommitId};
pub use durability::{Durability, Syncing};
pub use entries::flat_limit_of;
pub use gate::{Aim, Gate};
pub use history::{History, Recorded};
pub use identity::IdentityVariables;
pub use init::{Initialised, Origin, initialise};
pub(crate) use locate::open_any;
pub use lock::Deadline;
pub use packing::Packed;
pub use preferences::Preferences;
pub use raw::{Fault, Kind, ObjectId, RawObjects, RawStore};
pub use request::Request;
pub use settings::ConfigVariables;
pub use shown::{Found, Shown, Staged};
pub use spool::{Spool, Spooled, Waiting};
pub use state::{state_directory_at, state_directory_by_sight};
pub use tree_changes::EntryChange;
pub use view::{Stored, View, says_otherwise};
pub use whereabouts::{HeadCommit, HooksDirectory, head_commit, hooks_directory, own_directories, work_tree};

use crate::error::{Error, Result};
use locate::{Branch, Opened};
use settings::Settings;

/// Where a command stands, as the caller's environment says. All paths may be relative to `directory`.
#[derive(Clone, Debug)]
pub struct Place {
    /// The current directory, after any `-C`.
    pub directory: PathBuf,
    /// `GIT_DIR`
    pub git_dir: Option<PathBuf>,
    /// `GIT_WORK_TREE`
    pub work_tree: Option<PathBuf>,
    /// `GIT_CEILING_DIRECTORIES`
    pub ceilings: Vec<PathBuf>,
    /// `git -c`, `GIT_CONFIG_COUNT`, `GIT_CONFIG_GLOBAL` and their kin.
    pub config: ConfigVariables,
    /// `GIT_AUTHOR_*`, `GIT_COMMITTER_*`, `EMAIL`
    pub identity: IdentityVariables,
    /// `--durability`; `None` leaves it to the configuration.
    pub durability: Option<Durability>,
    /// The user's directory for what programs keep: `XDG_STATE_HOME`, else `~/.local/state`.
    pub state_home: Option<PathBuf>,
    /// The user's directory for what can be made again: `XDG_CACHE_HOME`, else `~/.cache`.
    pub cache_home: Option<PathBuf>,
    /// What the programs that sign may know.
    pub signing: signing::SigningVariables,
    /// `PATH`, to find `git` where the branch is checked out, and the programs that sign.
    pub search_path: Option<std::ffi::OsString>,
    /// The time.
    pub clock: Clock,
}

/// Where the time comes from. Asked anew for each pass: an endless input is recorded over hours.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's.
    Live(fn() -> DateTime<Utc>),
    /// One that stands still, for tests.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::Live(now) => now(),
            Self::Fixed(time) => *time,
        }
    }
}

/// An open ledger.
pub struct Ledger {
    repository: Repository,
    /// `GIT_WORK_TREE`, where it is given for a linked worktree: that worktree's git directory, and the path.
    linked_work_tree: Option<(PathBuf, PathBuf)>,
    settings: Settings,
    branch: Branch,
    /// Set when this ledger has written the pin itself.
    is_pinned_now: Cell<bool>,
    /// How durable the pass under way is.
    durability: Cell<Durability>,
    /// How [`Durability::Auto`] is done on this file system, once it was asked.
    auto_syncing: OnceCell<durability::Syncing>,
    /// How long one signature may take.
    signing_limit: Cell<std::time::Duration>,
    continuation: Cell<Option<pass::Continuation>>,
    /// Where a stale lock of the branch went, if there was one in the way.
    stale_lock: Cell<Option<PathBuf>>,
    place: Place,
}

impl Ledger {
    /// Opens the ledger of the repository at `place`.
    ///
    /// # Errors
    /// No repository, no ledger, or one that cannot be read.
    pub fn open(place: &Place) -> Result<Self> {
        let ledger = Self::of_place(place)?;
        if ledger.is_begun()? { Ok(ledger) } else { Err(Error::NoLedger(place.directory.clone())) }
    }

    /// As [`Self::open`], where what is at the tip of a pinned branch is for the caller to judge: it need not be a ledger,
    /// nor readable at all.
    ///
    /// # Errors
    /// No repository, no ledger; where no branch is pinned, one that cannot be read.
    pub fn open_unread(place: &Place) -> Result<Self> {
        let ledger = Self::of_place(place)?;
        match ledger.is_begun() {
            Ok(false) => Err(Error::NoLedger(place.directory.clone())),
            Err(error) if !ledger.branch.pinned => Err(error),
            Ok(true) | Err(_) => Ok(ledger),
        }
    }

    fn of_place(place: &Place) -> Result<Self> {
        prepare_libgit2();
        let opened = locate::open_repository(place)?;
        let settings = Settings::of(&opened.main, &place.config)?;
        let branch = locate::find_branch(&opened, &settings)?
            .ok_or_else(|| Error::NoLedger(place.directory.clone()))?;
        Ok(Self::new(opened, settings, branch, place))
    }

    fn new(opened: Opened, settings: Settings, branch: Branch, place: &Place) -> Self {
        let Opened { main: repository, linked_work_tree, .. } = opened;
        Self {
            durability: Cell::new(Durability::default()),
            auto_syncing: OnceCell::new(),
            signing_limit: Cell::new(std::time::Duration::ZERO),
            continuation: Cell::new(None),
            stale_lock: Cell::new(None),
            repository,
            linked_work_tree,
            settings,
            branch,
            is_pinned_now: Cell::new(false),
            place: place.clone(),
        }
    }

    /// Whether the branch is a ledger: a branch can be pinned before `init`. One whose `.audit` was removed from the
    /// tip still is one, and its history still answers.
    fn is_begun(&self) -> Result<bool> {
        let mut view = self.view()?;
        Ok(view.has_ledger_directory()? || view.history()?.next().transpose()?.is_some())
    }

    /// The branch's short name.
    pub fn branch(&self) -> &str {
        self.branch.short()
    }

    /// Whether a working tree shows the branch.
    pub fn is_checked_out(&self) -> bool {
        !self.checkouts().is_empty()
    }

    /// The object id that means "none".
    fn zero(&self) -> git2::Oid {
        match self.repository.object_format() {
            git2::ObjectFormat::Sha1 => git2::Oid::ZERO_SHA1,
            git2::ObjectFormat::Sha256 => git2::Oid::ZERO_SHA256,
        }
    }

    /// Everything local and derived: `<common git dir>/git-audit`. It need not be there.
    pub fn state_directory(&self) -> PathBuf {
        state_directory(&self.repository)
    }

    /// Makes a directory in the state directory, for all who share the repository.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_state_directory(&self, path: &std::path::Path) -> Result<()> {
        let made = self.sharing().create_directory(path);
        made.map_err(|error| Error::io(format!("create {}", path.display()), error))
    }

    /// The user's directory for what can be made again.
    pub fn cache_home(&self) -> Option<&std::path::Path> {
        self.place.cache_home.as_deref()
    }

    /// Gives a new file in the state directory the permissions that `core.sharedRepository` asks for.
    pub fn share(&self, file: &std::path::Path) {
        self.sharing().apply_to_file(file);
    }

    fn objects(&self) -> Result<objects::Objects<'_>> {
        objects::Objects::new(&self.repository, self.state_directory().join("set-aside/objects"))
    }

    fn sharing(&self) -> sharing::Sharing {
        sharing::Sharing::of(&self.settings)
    }

    fn identities(&self) -> identity::Identities {
        identity::Identities::resolve(&self.place.identity, &self.settings)
    }

    /// How durable what is acknowledged should be: `--durability`, else `audit.durability`.
    ///
    /// # Errors
    /// `audit.durability` is no such word.
    pub fn asked_durability(&self) -> Result<Durability> {
        self.place.durability.map_or_else(|| self.settings.durability(), Ok)
    }

    fn syncing(&self) -> durability::Syncing {
        self.syncing_as(self.durability.get())
    }

    fn syncing_as(&self, durability: Durability) -> durability::Syncing {
        let find = || durability::Syncing::on(self.repository.commondir(), durability);
        if durability == Durability::Auto { *self.auto_syncing.get_or_init(find) } else { find() }
    }

    fn packs(&self) -> pack::store::Store {
        let directory = self.repository.commondir().join("objects/pack");
        pack::store::Store {
            format: self.repository.object_format(),
            shelf: pack::shelf::Shelf::new(&self.state_directory(), &directory, self.sharing()),
            directory,
            sharing: self.sharing(),
            syncing: self.syncing(),
            syncing_others: self.syncing_as(self.durability.get().max(Durability::Auto)),
        }
    }
}

/// Everything local and derived: `<common git dir>/git-audit`.
fn state_directory(repository: &Repository) -> PathBuf {
    repository.commondir().join("git-audit")
}

/// libgit2's process-wide settings: no cache that grows with the history, and partial clones may be opened (the
/// objects they lack are reported where they are missed).
fn prepare_libgit2() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        git2::opts::enable_caching(false);
        // Whatever libgit2 reads for us has the hash that it was asked for: an index of a pack can point elsewhere.
        git2::opts::strict_hash_verification(true);
        // SAFETY: libgit2 keeps the list in a static variable. `Once` makes this the only write, and it happens
        // before any repository is opened, which is the only thing that reads it.
        #[expect(unsafe_code, reason = "git2 has no safe form of it")]
        let _ = unsafe { git2::opts::set_extensions(&["partialclone"]) };
    });
}

/// Turns a libgit2 error into ours, with what was being done.
fn git_error(doing: impl Into<String>) -> impl FnOnce(git2::Error) -> Error {
    let doing = doing.into();
    move |error| Error::Git { doing, why: error.message().to_owned() }
}
