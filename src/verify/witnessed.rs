//! The layer of checkpoints: whether the ledger still is what was stated of it, and by whom.

use super::checkpoints::{Checkpoints, Kept, Log, digest_of, foreign};
use super::log::Checkpoint;
use super::log::merkle::Hash;
use super::report::{Code, Finding, Layer, LayerStatus};
use super::run::Run;
use super::{Options, Since};

/// A checkpoint, and what it is called.
type Named = (String, Checkpoint);

impl Run<'_> {
    /// Judges the checkpoints that this clone keeps, and the one that is held against the ledger.
    pub fn judge_checkpoints(&mut self, options: &Options) {
        let checkpoints = Checkpoints::of(self.ledger);
        let (kept, unread) = match checkpoints.all() {
            Ok((kept, strange)) => {
                strange.into_iter().for_each(|finding| self.findings.add(finding));
                (kept, None)
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let why = self.judge_all(options, &checkpoints, kept).or(unread);
        self.states.insert(Layer::Checkpoints, why.map_or(LayerStatus::Ok, LayerStatus::NotChecked));
    }

    /// Why it cannot be said that the ledger is witnessed, if that is so and no finding says it.
    fn judge_all(
        &mut self,
        options: &Options,
        checkpoints: &Checkpoints<'_>,
        kept: Vec<Kept>,
    ) -> Option<String> {
        let given = match &options.since {
            Since::Checkpoint(name, checkpoint) => Some((name.clone(), checkpoint.clone())),
            _ => None,
        };
        if kept.is_empty() && given.is_none() {
            return Some("no checkpoint is kept in this clone, and none was given".to_owned());
        }
        let Some(origin) = self.root_commit().map(|root| format!("git-audit/{root}")) else {
            return Some("where the ledger begins is not known".to_owned());
        };
        // What held when this clone verified the beginning of the ledger, still does.
        let digest = digest_of(&kept);
        let pinned = self.start.as_ref().and_then(|start| start.pin.as_ref());
        let is_held = pinned.is_some_and(|pin| pin.checkpoints.as_ref() == Some(&digest));
        let mut ours: Vec<Named> = Vec::new();
        let is_given = given.is_some();
        let kept = kept.into_iter().map(|one| (one.path.display().to_string(), one.checkpoint));
        let coded = given.into_iter().map(|one| (Code::CheckpointDiffers, one));
        for (code, (name, checkpoint)) in coded.chain(kept.map(|one| (Code::CheckpointForeign, one))) {
            if checkpoint.origin == origin {
                ours.push((name, checkpoint));
            } else {
                self.findings.add(foreign(code, &name, &checkpoint, &origin));
            }
        }
        if is_given || !is_held {
            let Some(leaves) = self.all_leaves() else {
                return Some("not all entries can be read, or are known".to_owned());
            };
            let named: Vec<_> = ours.iter().map(|(name, checkpoint)| (name.clone(), checkpoint)).collect();
            let mut found = Log { origin: &origin, leaves: &leaves }.judge(&named);
            // Where they cannot be written, the report has both sides.
            _ = checkpoints.export_forks(&mut found);
            found.into_iter().for_each(|finding| self.findings.add(finding));
            self.held = Some(digest);
        }
        if let Since::Checkpoint(name, checkpoint) = &options.since
            && !options.keys.is_empty()
            && checkpoint.verify(&options.keys).is_ok_and(|by| by.is_empty())
        {
            let message = format!("{name} is not signed by a key that was given");
            self.findings.add(Finding::new(Code::CheckpointUnsigned, message));
        }
        self.judge_signers(&ours, options)
    }

    fn judge_signers(&mut self, checkpoints: &[Named], options: &Options) -> Option<String> {
        let mut signed = None;
        for (name, checkpoint) in checkpoints {
            match checkpoint.verify(&options.keys) {
                Ok(by) if by.is_empty() => {}
                Ok(_) => signed = signed.max(Some(checkpoint.size)),
                Err(signature) => {
                    let message =
                        format!("the signature of {} on {name} does not fit it", signature.signer());
                    self.findings.add(Finding::new(Code::CheckpointSignature, message));
                }
            }
        }
        let why = match (checkpoints, options.keys.is_empty(), signed) {
            ([], ..) => "no checkpoint is of this ledger",
            (_, true, _) => {
                "what is kept agrees with the ledger, and no key (--key) says whose signatures count"
            }
            (_, _, None) => "no checkpoint is signed by a key that counts",
            // It states nothing.
            (_, _, Some(0)) => "the only checkpoint that is signed is of a ledger without entries",
            (_, _, Some(_)) => return None,
        };
        Some(why.to_owned())
    }

    /// The hashes of all entries; `None`: not all are known.
    fn all_leaves(&self) -> Option<Vec<Hash>> {
        if self.checked.unread > 0 {
            return None;
        }
        let mut leaves = Vec::new();
        if let Some(start) = &self.start {
            let noted = self.memory.noted(start.pin.as_ref()?)?;
            leaves.extend(noted.into_iter().map(|line| line.hash));
        }
        leaves.extend(self.checked.leaves.iter().map(|leaf| leaf.hash));
        Some(leaves)
    }
}
