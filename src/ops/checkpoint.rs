//! `git audit checkpoint`: the ledger as it is now, in three lines that can be signed and held against it later.

use std::path::{Path, PathBuf};

use super::Context;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::verify::checkpoints::{Checkpoints, Log, foreign, read};
use crate::verify::leaves::leaves;
use crate::verify::log::{Checkpoint, Hash, SigningKey, VerifyingKey, merkle};
use crate::verify::report::{Code, Finding, Severity};

/// What to do.
#[derive(Clone, Debug)]
pub enum CheckpointOptions {
    /// A checkpoint of the ledger as it is now.
    Make {
        /// The key file to sign by.
        sign: Option<PathBuf>,
        /// Where the ssh-agent listens.
        agent: Option<PathBuf>,
        /// An earlier checkpoint that the ledger has to go on from.
        consistent_with: Option<PathBuf>,
    },
    /// Take in one that came back from somebody else.
    Add(PathBuf),
}

/// What became of it.
#[derive(Debug)]
pub struct CheckpointOutcome {
    /// The checkpoint. It is kept, unless something was found.
    pub checkpoint: Checkpoint,
    /// Where it is kept.
    pub file: Option<PathBuf>,
    /// It came from somebody else.
    pub is_added: bool,
    /// What the new signature is checked by.
    pub verifier: Option<VerifyingKey>,
    /// That it goes on from the earlier one.
    pub consistency: Option<Consistency>,
    /// What was found; where there is something grave, nothing was signed or kept.
    pub findings: Vec<Finding>,
    /// Both sides of each fork, in files.
    pub forks: Vec<PathBuf>,
}

impl CheckpointOutcome {
    /// One that is kept nowhere yet.
    fn of(checkpoint: Checkpoint, findings: Vec<Finding>) -> Self {
        let (file, is_added, verifier, consistency, forks) = (None, false, None, None, Vec::new());
        Self { checkpoint, file, is_added, verifier, consistency, findings, forks }
    }

    /// Whether something was found that makes it worthless.
    pub fn is_refused(&self) -> bool {
        is_grave(&self.findings)
    }
}

/// A proof that what an earlier checkpoint states is the beginning of the ledger.
#[derive(Debug)]
pub struct Consistency {
    /// The earlier one.
    pub old: Checkpoint,
    /// The proof of RFC 6962.
    pub path: Vec<Hash>,
}

/// Makes or adds a checkpoint.
///
/// # Errors
/// The ledger has no entries; a file or a key cannot be read; the key cannot sign.
pub fn run(context: &Context, options: CheckpointOptions) -> Result<CheckpointOutcome> {
    let ledger = Ledger::open(&context.place)?;
    let mut leaves = leaves(&ledger, super::threads())?;
    let against = std::mem::take(&mut leaves.findings);
    if let Some(gap) = leaves.gap.take() {
        // What a partial or shallow clone does not have is against nobody.
        let nothing = Checkpoint::new(&leaves.origin, 0, &merkle::empty_root());
        return if against.is_empty() { Err(gap) } else { Ok(CheckpointOutcome::of(nothing, against)) };
    }
    if leaves.hashes.is_empty() && against.is_empty() {
        let problem = format!("the ledger on branch `{}` has no entries to state", ledger.branch());
        return Err(Error::NotExtended { problem, way_out: "run `git audit record` first".into() });
    }
    let log = Log { origin: &leaves.origin, leaves: &leaves.hashes };
    let directory = &context.place.directory;
    let making = Making { checkpoints: Checkpoints::of(&ledger), log, against, directory };
    match options {
        CheckpointOptions::Make { sign, agent, consistent_with } => {
            // Before anything is looked at: a wrong name is told at once.
            let key = sign.map(|file| SigningKey::open(&making.directory.join(file), agent.as_deref()));
            making.make(key.transpose()?.as_ref(), consistent_with.as_deref())
        }
        CheckpointOptions::Add(file) => making.add(&file),
    }
}

/// A checkpoint on its way.
struct Making<'m> {
    checkpoints: Checkpoints<'m>,
    log: Log<'m>,
    /// What `verify` finds in the ledger.
    against: Vec<Finding>,
    directory: &'m Path,
}

impl Making<'_> {
    fn make(&self, key: Option<&SigningKey>, old: Option<&Path>) -> Result<CheckpointOutcome> {
        let old = old.map(|file| self.read(file)).transpose()?;
        let mut findings = self.judge(old.as_ref())?;
        findings.extend(self.against.iter().cloned());
        let mut checkpoint = self.log.checkpoint();
        if is_grave(&findings) {
            return self.refuse(checkpoint, findings);
        }
        let mut verifier = None;
        if let Some(key) = key {
            checkpoint.sign(key)?;
            verifier = VerifyingKey::named(&checkpoint.origin, key.public());
        }
        let consistency = old.and_then(|(_, old)| {
            let size = usize::try_from(old.size).ok()?;
            Some(Consistency { path: merkle::consistency_proof(self.log.leaves, size)?, old })
        });
        Ok(CheckpointOutcome { verifier, consistency, ..self.keep(checkpoint, findings)? })
    }

    fn add(&self, file: &Path) -> Result<CheckpointOutcome> {
        let given = self.read(file)?;
        let findings = self.judge(Some(&given))?;
        let (_, checkpoint) = given;
        if is_grave(&findings) {
            return self.refuse(checkpoint, findings);
        }
        Ok(CheckpointOutcome { is_added: true, ..self.keep(checkpoint, findings)? })
    }

    /// What is against the ledger: by what is kept here, for who signs vouches that nothing was ever taken back, and by what
    /// somebody holds against it.
    fn judge(&self, given: Option<&(String, Checkpoint)>) -> Result<Vec<Finding>> {
        let (kept, mut findings) = self.checkpoints.all()?;
        let named = kept.iter().map(|one| (one.path.display().to_string(), &one.checkpoint));
        let coded = named.map(|one| (Code::CheckpointForeign, one));
        let given = given.map(|(name, checkpoint)| (Code::CheckpointDiffers, (name.clone(), checkpoint)));
        let (ours, others): (Vec<_>, Vec<_>) =
            coded.chain(given).partition(|(_, (_, checkpoint))| checkpoint.origin == self.log.origin);
        let others = others.into_iter();
        findings.extend(others.map(|(code, (name, other))| foreign(code, &name, other, self.log.origin)));
        let ours: Vec<_> = ours.into_iter().map(|(_, one)| one).collect();
        findings.extend(self.log.judge(&ours));
        Ok(findings)
    }

    fn keep(&self, checkpoint: Checkpoint, findings: Vec<Finding>) -> Result<CheckpointOutcome> {
        let file = Some(self.checkpoints.keep(&checkpoint)?);
        Ok(CheckpointOutcome { file, ..CheckpointOutcome::of(checkpoint, findings) })
    }

    fn refuse(&self, checkpoint: Checkpoint, mut findings: Vec<Finding>) -> Result<CheckpointOutcome> {
        let forks = self.checkpoints.export_forks(&mut findings)?;
        Ok(CheckpointOutcome { forks, ..CheckpointOutcome::of(checkpoint, findings) })
    }

    /// A checkpoint of the caller's, with what it is called.
    fn read(&self, file: &Path) -> Result<(String, Checkpoint)> {
        let name = file.display().to_string();
        let checkpoint = read(&self.directory.join(file))?;
        let problem = |problem| Error::Usage(format!("{name} is no checkpoint: it {problem}"));
        Ok((name.clone(), checkpoint.map_err(problem)?))
    }
}

fn is_grave(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.code.severity() == Severity::Error)
}
