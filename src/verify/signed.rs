//! The layer of signatures: which commits have to be signed, and whether those that are, are signed by who may.
//!
//! Only commits that touch the ledger count: whoever signs code on the same branch is nobody's business here.

use super::object;
use super::policies::Policies;
use super::report::{Code, Finding, Layer, LayerStatus};
use super::run::Run;
use super::signatures::{ALLOWED_SIGNERS, Outcome, Question, Signatures, Signers};
use super::timeline::Step;
use super::{Options, engine};
use crate::ledger::{Kind, ObjectId, RawObjects};

/// Commits whose signatures are checked together.
const AT_ONCE: usize = 256;

/// The policy file, below `.audit`.
const POLICY: &str = "config.toml";

/// A commit of the ledger's.
struct Commit {
    place: usize,
    id: ObjectId,
    is_signed: bool,
    /// The policy, as the commit before has it, wants it to be signed.
    is_due: bool,
}

impl Run<'_> {
    /// Judges who signed.
    pub fn judge_signatures(&mut self, options: &Options) {
        let store = self.ledger.raw_objects();
        let objects = store.open();
        let commits =
            commits(&self.checked, self.start.as_ref().map(|start| &start.step), &objects, store.id_bytes());
        let is_asked = options.required.contains(&Layer::Signatures);
        let signed = commits.iter().filter(|commit| commit.is_signed).count();
        let due = commits.iter().filter(|commit| commit.is_due).count();
        let state = if signed == 0 && due == 0 {
            LayerStatus::NotChecked(
                "no commit is signed, and the ledger's policy does not want it".to_owned(),
            )
        } else {
            for commit in commits.iter().filter(|commit| !commit.is_signed && (commit.is_due || is_asked)) {
                let why =
                    if commit.is_due { "the policy of the ledger wants it" } else { "that was asked for" };
                let message = format!("the commit is not signed, and {why}");
                let finding = Finding::new(Code::SignatureMissing, message).commit(commit.id);
                self.findings.at(commit.place).add(finding);
            }
            self.check_signed(&commits, &objects, store.id_bytes(), is_asked || due > 0)
        };
        self.states.insert(Layer::Signatures, state);
    }

    /// `must_know`: what could not be checked leaves the verdict open.
    fn check_signed(
        &mut self,
        commits: &[Commit],
        objects: &RawObjects,
        id_bytes: usize,
        must_know: bool,
    ) -> LayerStatus {
        let tip = self.checked.steps.last().or(self.start.as_ref().map(|start| &start.step));
        let in_ledger = tip.and_then(|tip| engine::content(objects, id_bytes, tip.tree, ALLOWED_SIGNERS));
        let tools = self.ledger.signing_tools();
        let signers = Signers::of(&tools, in_ledger);
        let cache = self.ledger.state_directory();
        let mut signatures = Signatures::new(tools, signers, Some(&cache));
        let signed: Vec<_> = commits.iter().filter(|commit| commit.is_signed).collect();
        let mut unchecked = None;
        for part in signed.chunks(AT_ONCE) {
            let read = |commit: &&Commit| {
                let bytes = objects.read(commit.id, Kind::Commit).unwrap_or_default();
                (commit.id.to_string(), bytes, self.checked.latest.get(commit.place).copied())
            };
            let read: Vec<_> = part.iter().map(read).collect();
            let questions: Vec<_> = read
                .iter()
                .map(|(commit, bytes, latest)| Question {
                    commit,
                    bytes,
                    verify_at: latest.unwrap_or_default(),
                })
                .collect();
            for (commit, outcome) in part.iter().zip(signatures.check_all(&questions)) {
                let Outcome::Findings(found) = outcome else { continue };
                for finding in found {
                    if finding.code == Code::SignatureUnchecked && !must_know {
                        unchecked.get_or_insert(finding.message);
                    } else {
                        self.findings.at(commit.place).add(finding);
                    }
                }
            }
        }
        unchecked.map_or(LayerStatus::Ok, LayerStatus::NotChecked)
    }
}

/// The commits that touch the ledger, and which of them have to be signed.
fn commits(
    checked: &engine::Checked,
    start: Option<&Step>,
    objects: &RawObjects,
    id_bytes: usize,
) -> Vec<Commit> {
    let mut policies = Policies::new(objects, id_bytes);
    let tree_of = |parent: ObjectId, older: Option<&Step>| {
        let known = [older, start].into_iter().flatten().find(|step| step.id == parent).map(|step| step.tree);
        known.or_else(|| {
            let bytes = objects.read(parent, Kind::Commit).ok()?;
            object::commit(&bytes).ok().map(|commit| commit.tree)
        })
    };
    let is_any_due = checked.has_new_policy || start.is_some();
    let commit = |place: &usize| {
        let step = &checked.steps[*place];
        let older = place.checked_sub(1).map(|older| &checked.steps[older]);
        let is_due = is_any_due
            && step
                .parents
                .iter()
                .any(|parent| tree_of(*parent, older).is_some_and(|tree| is_due_after(&mut policies, tree)));
        Commit { place: *place, id: step.id, is_signed: step.is_signed, is_due }
    };
    checked.touching.iter().map(commit).collect()
}

/// Under a policy that says nothing which can be understood, nothing could be recorded without the rules being passed
/// over. One that is not here at all is a finding of its own.
fn is_due_after(policies: &mut Policies<'_>, tree: ObjectId) -> bool {
    policies.requires_signatures(tree).unwrap_or_else(|_| policies.content(tree, POLICY).is_some())
}
