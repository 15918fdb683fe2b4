//! `git audit verify --proof`: whether an entry is in a ledger, by a file and a key. It needs no repository.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, Result};
use crate::verify::log::note::Verified;
use crate::verify::log::proof::MAX_PROOF_BYTES;
use crate::verify::log::{Checkpoint, Proof, VerifyingKey};
use crate::verify::report::{Code, Finding, LayerStatus, Severity, Verdict};

/// Where a proof is.
pub enum ProofSource {
    /// In a file.
    File(PathBuf),
    /// In a stream, such as standard input.
    Stream(Box<dyn Read>),
}

/// What to verify, and by what.
pub struct VerifyProofOptions {
    /// The proof.
    pub source: ProofSource,
    /// Keys of the log and of witnesses: a key, or a file of keys. One of each file has to have signed.
    pub keys: Vec<String>,
}

/// A part of a proof, checked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofCheck {
    /// The entry is of the task that the proof is about.
    Entry,
    /// The entry is in the tree of the checkpoint, at its place.
    Inclusion,
    /// The checkpoint is signed.
    Signature,
}

impl ProofCheck {
    /// Its name in every format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Inclusion => "inclusion",
            Self::Signature => "signature",
        }
    }
}

/// What a proof is worth.
#[derive(Debug)]
pub struct VerifyProofOutcome {
    /// What it says; `None` where the file is no proof.
    pub proof: Option<Proof>,
    /// How its parts stand.
    pub checks: [(ProofCheck, LayerStatus); 3],
    /// The signatures that fit.
    pub signatures: Vec<Verified>,
    /// What there is against it.
    pub findings: Vec<Finding>,
    /// All in all.
    pub verdict: Verdict,
}

/// Verifies a proof.
///
/// # Errors
/// The file or a key cannot be read. A file that is no proof is no error, but not valid.
pub fn run(context: &Context, options: VerifyProofOptions) -> Result<VerifyProofOutcome> {
    let directory = &context.place.directory;
    let keys = options.keys.iter().map(|argument| VerifyingKey::read(argument, directory));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let bytes = read(options.source, directory)?;
    Ok(match Proof::parse(&bytes) {
        Ok(proof) => judge(proof, &options.keys, &keys),
        Err(problem) => {
            let finding = Finding::new(Code::ProofMalformed, format!("the file is no proof: it {problem}"));
            let not_checked = |check| (check, LayerStatus::NotChecked("the file is no proof".into()));
            let checks = [ProofCheck::Entry, ProofCheck::Inclusion, ProofCheck::Signature].map(not_checked);
            let (signatures, findings) = (Vec::new(), vec![finding]);
            VerifyProofOutcome { proof: None, checks, signatures, findings, verdict: Verdict::NotValid }
        }
    })
}

/// `arguments` are what `keys` were called.
fn judge(proof: Proof, arguments: &[String], keys: &[Vec<VerifyingKey>]) -> VerifyProofOutcome {
    let mut findings = Vec::new();
    let mut state = |finding: Option<Finding>| match finding {
        None => LayerStatus::Ok,
        Some(finding) => {
            let status = match finding.code.severity() {
                Severity::Error => LayerStatus::Failed,
                _ => LayerStatus::NotChecked(finding.message.clone()),
            };
            let finding = finding.commit(&proof.commit).task(proof.task_id.clone());
            findings.push(finding);
            status
        }
    };
    let entry = state(other_task(&proof));
    let inclusion = state(not_included(&proof));
    let (signatures, finding) = signed(&proof.checkpoint, arguments, keys);
    let signature = state(finding);
    let verdict = match findings.iter().map(|finding| finding.code.severity()).max() {
        None => Verdict::Valid,
        Some(Severity::Error) => Verdict::NotValid,
        Some(_) => Verdict::Inconclusive,
    };
    let checks =
        [(ProofCheck::Entry, entry), (ProofCheck::Inclusion, inclusion), (ProofCheck::Signature, signature)];
    VerifyProofOutcome { proof: Some(proof), checks, signatures, findings, verdict }
}

fn other_task(proof: &Proof) -> Option<Finding> {
    let stated = proof.stated_task();
    if stated.as_deref() == Some(proof.task_id.as_str()) {
        return None;
    }
    let what = if stated.is_some() { "its entry is of another task" } else { "what it has is no entry" };
    let message = format!("the proof is about task {}, and {what}", proof.task_id);
    Some(Finding::new(Code::ProofTask, message).evidence(proof.task_id.as_str(), stated))
}

fn not_included(proof: &Proof) -> Option<Finding> {
    let Checkpoint { size, .. } = proof.checkpoint;
    let message = format!(
        "the path does not lead from the entry, as number {} of {size}, to the root of the checkpoint: \
         the entry, its place, the path or the root was changed",
        u128::from(proof.index) + 1
    );
    (!proof.is_included()).then(|| Finding::new(Code::ProofDiffers, message))
}

/// The signatures that fit, and what is wrong or lacking.
fn signed(
    checkpoint: &Checkpoint,
    arguments: &[String],
    keys: &[Vec<VerifyingKey>],
) -> (Vec<Verified>, Option<Finding>) {
    let lacking = |message: String| Some(Finding::new(Code::CheckpointUnsigned, message));
    if keys.is_empty() {
        return (Vec::new(), lacking("no key was given, so nobody vouches for the checkpoint".into()));
    }
    let (mut signatures, mut finding) = (Vec::new(), None);
    for (argument, keys) in arguments.iter().zip(keys) {
        match checkpoint.verify(keys) {
            Ok(found) if found.is_empty() => {
                finding = finding.or(lacking(format!("the checkpoint has no signature by {argument}")));
            }
            Ok(found) => signatures.extend(found),
            Err(signature) => {
                let signer = signature.signer();
                let message = format!("the signature of the checkpoint by {signer} does not fit its text");
                return (signatures, Some(Finding::new(Code::CheckpointSignature, message)));
            }
        }
    }
    (signatures, finding)
}

/// What is longer than any proof is not read to its end.
fn read(source: ProofSource, directory: &Path) -> Result<Vec<u8>> {
    let (name, input): (_, Box<dyn Read>) = match source {
        ProofSource::File(path) => {
            let path = directory.join(path);
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| Error::io(format!("read {name}"), error))?;
            (name, Box::new(file))
        }
        ProofSource::Stream(stream) => ("standard input".into(), stream),
    };
    let mut bytes = Vec::new();
    let read = input.take(MAX_PROOF_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io(format!("read {name}"), error))?;
    Ok(bytes)
}
