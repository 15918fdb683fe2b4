//! The layer of checkpoints: whether the ledger still is what was stated of it, and by whom.

use super::checkpoints::{Checkpoints, Log};
use super::log::Checkpoint;
use super::log::merkle::Hash;
use super::report::{Code, Finding, Layer, LayerStatus};
use super::run::Run;
use super::{Options, Since};

impl Run<'_> {
    /// Judges the checkpoints that this clone keeps, and the one that is held against the ledger.
    pub fn judge_checkpoints(&mut self, options: &Options) {
        let checkpoints = Checkpoints::of(self.ledger);
        let (kept, strange) = match checkpoints.all() {
            Ok(all) => all,
            Err(error) => {
                self.states.insert(Layer::Checkpoints, LayerStatus::NotChecked(error.to_string()));
                return;
            }
        };
        strange.into_iter().for_each(|finding| self.findings.add(finding));
        let kept = kept.into_iter().map(|one| (one.path.display().to_string(), one.checkpoint));
        let given = match &options.since {
            Since::Checkpoint(name, checkpoint) => Some((name.clone(), checkpoint.clone())),
            _ => None,
        };
        let is_given = given.is_some();
        let all: Vec<_> = given.into_iter().chain(kept).collect();
        let state = if all.is_empty() {
            LayerStatus::NotChecked("no checkpoint is kept in this clone, and none was given".to_owned())
        } else {
            match self.all_leaves() {
                Some((origin, leaves)) => {
                    let log = Log { origin: &origin, leaves: &leaves };
                    let named: Vec<_> =
                        all.iter().map(|(name, checkpoint)| (name.clone(), checkpoint)).collect();
                    let mut found = log.judge(&named);
                    if is_given && all[0].1.origin != origin {
                        let message =
                            format!("{} is of another ledger, or this one was begun anew", all[0].0);
                        let finding = Finding::new(Code::CheckpointDiffers, message);
                        found.push(finding.evidence(all[0].1.origin.as_str(), origin.as_str()));
                    }
                    // Where they cannot be written, the report has both sides.
                    _ = checkpoints.export_forks(&mut found);
                    found.into_iter().for_each(|finding| self.findings.add(finding));
                    let ours: Vec<_> = all.iter().filter(|(_, one)| one.origin == origin).collect();
                    self.judge_signers(&ours, options)
                }
                None => LayerStatus::NotChecked("not all entries can be read, or are known".to_owned()),
            }
        };
        self.states.insert(Layer::Checkpoints, state);
    }

    fn judge_signers(&mut self, checkpoints: &[&(String, Checkpoint)], options: &Options) -> LayerStatus {
        let mut signed = 0;
        for (name, checkpoint) in checkpoints {
            match checkpoint.verify(&options.keys) {
                Ok(verified) => signed += usize::from(!verified.is_empty()),
                Err(signature) => {
                    let message =
                        format!("the signature of {} on {name} does not fit it", signature.signer());
                    self.findings.add(Finding::new(Code::CheckpointSignature, message));
                }
            }
        }
        let why = match (checkpoints.len(), options.keys.is_empty(), signed) {
            (0, ..) => "no checkpoint is of this ledger",
            (_, true, _) => {
                "what is kept agrees with the ledger, and no key (--key) says whose signatures count"
            }
            (_, _, 0) => "none that is kept is signed by a key that counts",
            _ => return LayerStatus::Ok,
        };
        LayerStatus::NotChecked(why.to_owned())
    }

    /// The log's name and all its leaves; `None`: not all are known.
    fn all_leaves(&self) -> Option<(String, Vec<Hash>)> {
        if self.checked.unread > 0 {
            return None;
        }
        let mut leaves = Vec::new();
        if let Some(start) = &self.start {
            let noted = self.memory.noted(start.pin.as_ref()?)?;
            leaves.extend(noted.into_iter().map(|line| line.hash));
        }
        leaves.extend(self.checked.leaves.iter().map(|leaf| leaf.hash));
        Some((format!("git-audit/{}", self.root_commit()?), leaves))
    }
}
