//! `git audit prove`: one entry, and that it is in the ledger, as a file for somebody who has neither.

use std::path::PathBuf;

use super::Context;
use crate::entry::TaskId;
use crate::error::{Error, Result, shell_quoted};
use crate::ledger::Ledger;
use crate::verify::checkpoints::{Checkpoints, Log, foreign, read, write_durably};
use crate::verify::leaves::leaves;
use crate::verify::log::merkle::{inclusion_proof, leaf_hash, root};
use crate::verify::log::{Checkpoint, Proof};
use crate::verify::report::Code;

/// What to prove, and by what.
#[derive(Clone, Debug)]
pub struct ProveOptions {
    /// The task.
    pub task_id: TaskId,
    /// The checkpoint; without it, the best that is kept.
    pub checkpoint: Option<PathBuf>,
    /// The file to write; without it, the proof is only given back.
    pub output: Option<PathBuf>,
}

/// A proof that holds, but for signatures, which nobody has checked here.
#[derive(Debug)]
pub struct ProveOutcome {
    /// The proof.
    pub proof: Proof,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it was written.
    pub file: Option<PathBuf>,
}

/// Proves that the task's entry is in the ledger.
///
/// # Errors
/// There is no such entry, no checkpoint that covers it, or the ledger is not what the checkpoint states.
pub fn run(context: &Context, options: ProveOptions) -> Result<ProveOutcome> {
    let ProveOptions { task_id, checkpoint, output } = options;
    let directory = &context.place.directory;
    let ledger = Ledger::open(&context.place)?;
    let mut view = ledger.view()?;
    let path = view.path_of(&task_id)?;
    let entry = view.read(&path)?.bytes;
    // What else is found does not matter: the proof is by what was stated before, and is checked below.
    let mut leaves = leaves(&ledger, super::threads())?;
    if let Some(gap) = leaves.gap.take() {
        return Err(gap);
    }
    let index = leaves.tasks.iter().position(|known| *known == task_id);
    let Some((index, commit)) = index.and_then(|index| Some((index, leaves.commits.get(index)?))) else {
        return Err(Error::Damaged(format!("{path} is in the ledger's tree, and no commit has added it")));
    };
    if leaves.hashes.get(index) != Some(&leaf_hash(&entry)) {
        return Err(Error::Damaged(format!("{path} is not what commit {commit} recorded")));
    }
    let log = Log { origin: &leaves.origin, leaves: &leaves.hashes };
    let checkpoint = match checkpoint {
        Some(file) => given(&log, &directory.join(file), &task_id, index)?,
        None => best_kept(&Checkpoints::of(&ledger), &log, index)?.ok_or_else(|| none_covers(&task_id))?,
    };
    let covered = usize::try_from(checkpoint.size).ok().and_then(|size| leaves.hashes.get(..size));
    let path = covered.and_then(|leaves| inclusion_proof(leaves, index)).unwrap_or_default();
    let proof = Proof { task_id, commit: commit.clone(), index: index as u64, path, checkpoint, entry };
    let bytes = proof.to_bytes();
    // What is handed out is what was read back and checked.
    let holds = Proof::parse(&bytes).is_ok_and(|read| read == proof && read.is_included());
    if !holds || proof.stated_task().as_deref() != Some(proof.task_id.as_str()) {
        let task_id = &proof.task_id;
        return Err(Error::Damaged(format!(
            "the entry of task {task_id} cannot be proven: it is no valid entry"
        )));
    }
    let file = output.map(|output| directory.join(output));
    if let Some(file) = &file {
        write_durably(file, &bytes)?;
    }
    Ok(ProveOutcome { proof, bytes, file })
}

/// The checkpoint that the caller wants.
fn given(log: &Log<'_>, file: &std::path::Path, task_id: &TaskId, index: usize) -> Result<Checkpoint> {
    let name = file.display().to_string();
    let checkpoint =
        read(file)?.map_err(|problem| Error::Usage(format!("{name} is no checkpoint: it {problem}")))?;
    let finding = match checkpoint.origin == log.origin {
        true => log.judge(&[(name.clone(), &checkpoint)]).into_iter().next(),
        false => Some(foreign(Code::CheckpointDiffers, &name, &checkpoint, log.origin)),
    };
    if let Some(finding) = finding {
        let way_out = format!(
            "run `git audit checkpoint --consistent-with {}` to see how they differ",
            shell_quoted(&name)
        );
        return Err(Error::NotExtended { problem: finding.message, way_out });
    }
    if checkpoint.size <= index as u64 {
        let problem = format!("{name} was made before task {task_id} was recorded");
        return Err(Error::NotExtended {
            problem,
            way_out: "run `git audit checkpoint --sign KEY` for a newer one".into(),
        });
    }
    Ok(checkpoint)
}

/// Of those that cover the entry and hold: the one with the most signatures, of these the newest.
fn best_kept(checkpoints: &Checkpoints<'_>, log: &Log<'_>, index: usize) -> Result<Option<Checkpoint>> {
    let (kept, _) = checkpoints.all()?;
    let covers = |checkpoint: &Checkpoint| {
        let size = usize::try_from(checkpoint.size).ok().filter(|size| *size > index);
        let leaves = size.and_then(|size| log.leaves.get(..size));
        checkpoint.origin == log.origin && leaves.is_some_and(|leaves| root(leaves) == checkpoint.root)
    };
    let mut kept: Vec<_> = kept.into_iter().map(|one| one.checkpoint).collect();
    kept.sort_by_key(|checkpoint| (checkpoint.signatures().len(), checkpoint.size));
    Ok(kept.into_iter().rev().find(covers))
}

fn none_covers(task_id: &TaskId) -> Error {
    let problem = format!("no checkpoint is kept here that covers task {task_id}");
    Error::NotExtended { problem, way_out: "run `git audit checkpoint --sign KEY` first".into() }
}
