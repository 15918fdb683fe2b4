//! What a verification says: findings with their evidence, the state of each layer, and the verdict.
//!
//! Nothing here decides; the checks do. A layer that was not run says why, and a report whose layers were not all run never
//! says "valid".

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::entry::TaskId;
use crate::entry::text::truncate;
use crate::ledger::ObjectId;

/// The most of one side of a finding's evidence.
const MAX_EVIDENCE_BYTES: usize = 64 << 10;

/// A part of the evidence, checked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Every object has the hash that names it, and the shape of its kind.
    Objects,
    /// Every commit adds one entry and changes nothing.
    History,
    /// Every entry is valid, and its commit says what it says.
    Entries,
    /// What git is told to see on this machine: grafts, shallow, replace refs, the commit-graph.
    View,
    /// The working trees that show the branch, and their indexes.
    Checkout,
    /// What this clone has verified before.
    Pin,
    /// Who signed the commits.
    Signatures,
    /// What others have witnessed: signed checkpoints.
    Checkpoints,
}

impl Layer {
    /// In the order of a report.
    pub const ALL: [Self; 8] = [
        Self::Objects,
        Self::History,
        Self::Entries,
        Self::View,
        Self::Checkout,
        Self::Pin,
        Self::Signatures,
        Self::Checkpoints,
    ];

    /// Its name in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::History => "history",
            Self::Entries => "entries",
            Self::View => "view",
            Self::Checkout => "checkout",
            Self::Pin => "pin",
            Self::Signatures => "signatures",
            Self::Checkpoints => "checkpoints",
        }
    }
}

/// What a finding does to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the reader to know.
    Notice,
    /// Odd, and not against a rule.
    Warning,
    /// Something could not be known, or git is told to see something else.
    Inconclusive,
    /// Against a rule: the ledger is not valid.
    Error,
}

impl Severity {
    /// Its name in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $layer:ident $severity:ident $name:literal,)+) => {
        /// What can be found. `docs/VERIFY.md` has the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All of them, layer by layer.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The layer that it is about.
            pub fn layer(self) -> Layer {
                match self { $(Self::$variant => Layer::$layer,)+ }
            }

            /// What it does to the verdict.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What it means, in a line.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => [$($doc),+][0].trim(),)+ }
            }
        }
    };
}

codes! {
    /// The history names an object that is not here.
    ObjectMissing Objects Error "object-missing",
    /// An object cannot be read, or its content has another hash than its name.
    ObjectDamaged Objects Error "object-damaged",
    /// An object is not in the shape of its kind.
    ObjectMalformed Objects Error "object-malformed",
    /// A partial clone does not hold an object.
    ObjectAbsent Objects Inconclusive "object-absent",

    /// An entry has other content than it was recorded with.
    EntryChanged History Error "entry-changed",
    /// An entry was removed.
    EntryRemoved History Error "entry-removed",
    /// An entry was moved to another path.
    EntryRenamed History Error "entry-renamed",
    /// An entry is no regular file of mode 100644.
    EntryMode History Error "entry-mode",
    /// A task was recorded once more: as another path, in other letters, or after it was removed.
    EntryRepeated History Error "entry-repeated",
    /// A commit adds more than one entry.
    SeveralEntries History Error "several-entries",
    /// A commit adds an entry, and changes something else.
    ForeignChange History Error "foreign-change",
    /// A file stands where only entries belong, or where its id does not belong.
    PathMisplaced History Error "path-misplaced",
    /// A directory of the ledger is something else.
    DirectoryReplaced History Error "directory-replaced",
    /// A merge has an entry that none of its parents has.
    MergeAddition History Error "merge-addition",
    /// The parents of a merge hold different entries for one task.
    MergeConflict History Error "merge-conflict",
    /// The history begins more than once.
    SecondRoot History Error "second-root",
    /// Something under `.audit/` that is no entry was changed.
    ConfigChanged History Warning "config-changed",

    /// An entry is not valid by the schema.
    EntryInvalid Entries Error "entry-invalid",
    /// An entry is valid, and not in the form that is stored.
    EntryForm Entries Warning "entry-form",
    /// An entry states another task than its file name.
    TaskIdDiffers Entries Error "task-id-differs",
    /// The digest in the commit's message is not that of the entry.
    DigestDiffers Entries Error "digest-differs",
    /// The subject of the commit is not what the entry says.
    SubjectDiffers Entries Error "subject-differs",
    /// A trailer says what the entry does not say.
    TrailerForged Entries Error "trailer-forged",
    /// The message lacks a trailer for something that the entry says.
    TrailerMissing Entries Warning "trailer-missing",
    /// A message is that of an entry, and the commit adds none.
    MessageWithoutEntry Entries Error "message-without-entry",
    /// An entry corrects a task that the ledger does not have.
    SupersedesUnknown Entries Error "supersedes-unknown",
    /// A time in an entry cannot be right.
    TimeImplausible Entries Warning "time-implausible",
    /// A commit is dated before the one that it follows.
    CommitBackdated Entries Warning "commit-backdated",

    /// The clone is shallow.
    Shallow View Inconclusive "shallow",
    /// `.git/info/grafts` makes git see other parents.
    Grafts View Inconclusive "grafts",
    /// A replace ref makes git see another object of the ledger.
    Replaced View Inconclusive "replaced",
    /// The commit-graph says something else of a commit than the commit.
    CommitGraph View Inconclusive "commit-graph",

    /// A file of the working tree is not what the tip has.
    WorkTreeDiffers Checkout Error "work-tree-differs",
    /// An entry of git's index is not what the tip has.
    IndexDiffers Checkout Error "index-differs",

    /// The history does not contain what was verified here before.
    PinLost Pin Error "pin-lost",
    /// The entries that were verified here before are not the same ones, or not in the same order.
    PinDiffers Pin Error "pin-differs",

    /// A commit that has to be signed is not.
    SignatureMissing Signatures Error "signature-missing",
    /// A signature does not fit the commit.
    SignatureBad Signatures Error "signature-bad",
    /// A signature is by a key that is not allowed to sign.
    SignerUnknown Signatures Error "signer-unknown",
    /// A signature is by a key that was not valid then: expired, not valid yet, or revoked.
    SignerExpired Signatures Error "signer-expired",
    /// The author is another than who signed.
    AuthorDiffers Signatures Error "author-differs",
    /// The ledger itself says who may sign.
    SignersInLedger Signatures Notice "signers-in-ledger",
    /// A signature could not be checked.
    SignatureUnchecked Signatures Inconclusive "signature-unchecked",

    /// The history does not contain what a checkpoint states.
    CheckpointDiffers Checkpoints Error "checkpoint-differs",
    /// Two checkpoints of one size have different roots.
    Fork Checkpoints Error "fork",
    /// A checkpoint's signature by a known key does not fit it.
    CheckpointSignature Checkpoints Error "checkpoint-signature",
    /// A checkpoint cannot be read, or is of another ledger.
    CheckpointForeign Checkpoints Warning "checkpoint-foreign",
    /// A checkpoint has no signature by a key that was asked for, or no key was.
    CheckpointUnsigned Checkpoints Inconclusive "checkpoint-unsigned",
    /// A file that should be a proof is none.
    ProofMalformed Checkpoints Error "proof-malformed",
    /// A proof is about another task than its entry.
    ProofTask Checkpoints Error "proof-task",
    /// The path of a proof does not lead from its entry to the root of its checkpoint.
    ProofDiffers Checkpoints Error "proof-differs",
}

/// Something that `verify` has against the ledger.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// The commit that it is about, in hexadecimal.
    pub commit: Option<String>,
    /// The path or object that it is about.
    pub path: Option<String>,
    /// The task that it is about.
    pub task_id: Option<TaskId>,
    /// In a sentence, with what is not in the other fields.
    pub message: String,
    /// What should be there.
    pub expected: Option<Value>,
    /// What is there.
    pub actual: Option<Value>,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, commit: None, path: None, task_id: None, message, expected: None, actual: None }
    }

    /// About this commit.
    pub fn commit(self, commit: impl ToString) -> Self {
        Self { commit: Some(commit.to_string()), ..self }
    }

    /// About this path or object.
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// About this task.
    pub fn task(self, task_id: TaskId) -> Self {
        Self { task_id: Some(task_id), ..self }
    }

    /// With what should be there, and what is.
    pub fn evidence(self, expected: impl Into<Value>, actual: impl Into<Value>) -> Self {
        Self { expected: Some(cut(expected.into())), actual: Some(cut(actual.into())), ..self }
    }
}

/// Evidence is quoted, not copied: what is looked at may have been made to be long.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(truncate(&text, MAX_EVIDENCE_BYTES)),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() <= MAX_EVIDENCE_BYTES {
                value
            } else {
                Value::String(truncate(&text, MAX_EVIDENCE_BYTES))
            }
        }
        short => short,
    }
}

/// How a layer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerStatus {
    /// Checked, and nothing against it.
    Ok,
    /// Checked, with findings.
    Failed,
    /// Not checked, or not to the end: why.
    NotChecked(String),
}

impl LayerStatus {
    /// Its name in every format.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NotChecked(_) => "not-checked",
        }
    }
}

/// All in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every layer was checked, and nothing was found.
    Valid,
    /// Nothing was found in the layers that were checked; others were not.
    NothingFound,
    /// Something is against a rule.
    NotValid,
    /// It cannot be said.
    Inconclusive,
}

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The ledger's branch.
    pub branch: String,
    /// The commit that it is about.
    pub head: ObjectId,
    /// Only what came after this commit was looked at.
    pub since: Option<ObjectId>,
    /// Entries, with those before `since` where they are known.
    pub entries: u64,
    /// Commits that were checked.
    pub commits: u64,
    /// The root of the Merkle tree over all entries, in base64; `None` where those before `since` are not known.
    pub merkle_root: Option<String>,
    /// The branch of `origin`, where that is at another commit: it was not looked at.
    pub other_tip: Option<(String, ObjectId)>,
    /// Layers that had to be checked.
    pub required: Vec<Layer>,
    /// How each layer stands.
    pub layers: Vec<(Layer, LayerStatus)>,
    /// Layers that were required, and are not ok.
    pub lacking: Vec<Layer>,
    /// The first commit, in the ledger's order, that breaks a rule.
    pub first_bad_commit: Option<String>,
    /// What was found, in the ledger's order; of one code, the first thousand.
    pub findings: Vec<Finding>,
    /// How many of each code.
    pub counts: BTreeMap<Code, u64>,
    /// All in all.
    pub verdict: Verdict,
    /// Why this clone does not remember it, if that could not be written.
    pub unremembered: Option<String>,
}
