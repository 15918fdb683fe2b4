//! The layer of signatures: which commits have to be signed, and whether those that are, are signed by who may.
//!
//! Only commits that change the ledger count: whoever signs code on the same branch is nobody's business here.

use super::Options;
use super::engine::Checked;
use super::object;
use super::policies::Policies;
use super::report::{Code, Finding, Layer, LayerStatus};
use super::run::Run;
use super::signatures::{ALLOWED_SIGNERS, Outcome, Question, Signatures, Signers};
use super::timeline::Step;
use crate::ledger::{Kind, ObjectId, RawObjects};

/// Commits whose signatures are checked together.
const AT_ONCE: usize = 256;

/// What is remembered was so when it was looked at.
const BEFORE: &str = "of what was verified here before: ";

/// A commit that changes the ledger.
pub(super) struct Commit {
    /// Among the steps.
    pub place: usize,
    pub id: ObjectId,
    /// It has a signature, good or not.
    pub is_signed: bool,
    /// A policy that it follows wants it to have one.
    pub is_due: bool,
}

impl Run<'_> {
    /// Judges who signed.
    pub fn judge_signatures(&mut self, options: &Options) {
        let store = self.ledger.raw_objects();
        let objects = store.open();
        let mut policies = Policies::new(&objects, store.id_bytes());
        let start = self.start.as_ref().map(|start| &start.step);
        let commits = commits(&self.checked, start, &objects, &mut policies);
        let tip = self.checked.steps.last().or(start);
        let in_ledger = tip.and_then(|tip| policies.content(tip.tree, ALLOWED_SIGNERS));
        let is_asked = options.required.contains(&Layer::Signatures);
        let mut why = self.judge_commits(&commits, &objects, in_ledger, is_asked);
        let before = self.start.as_ref().and_then(|start| start.pin.as_ref()?.unsigned.as_ref());
        if let Some(before) = before {
            why.get_or_insert_with(|| format!("{BEFORE}{before}"));
        }
        self.states.insert(Layer::Signatures, why.map_or(LayerStatus::Ok, LayerStatus::NotChecked));
    }

    /// What is to be remembered of the signatures: why the layer is not ok.
    pub fn unsigned(&self) -> Option<String> {
        match self.states.get(&Layer::Signatures)? {
            LayerStatus::NotChecked(why) => Some(why.trim_start_matches(BEFORE).to_owned()),
            _ => None,
        }
    }

    /// Why it cannot be said that the ledger is signed, if that is so and no finding says it.
    fn judge_commits(
        &mut self,
        commits: &[Commit],
        objects: &RawObjects,
        in_ledger: Option<Vec<u8>>,
        is_asked: bool,
    ) -> Option<String> {
        let signed: Vec<_> = commits.iter().filter(|commit| commit.is_signed).collect();
        let first_due = commits.iter().position(|commit| commit.is_due);
        if signed.is_empty() && first_due.is_none() {
            let is_known = commits.is_empty() && self.start.as_ref().is_some_and(|start| start.pin.is_some());
            return (!is_known)
                .then(|| "no commit is signed, and the ledger's policy does not want it".into());
        }
        for commit in commits.iter().filter(|commit| !commit.is_signed && (commit.is_due || is_asked)) {
            self.findings.at(commit.place).add(missing(commit));
        }
        let tools = self.ledger.signing_tools();
        let signers = Signers::of(&tools, in_ledger);
        if signers.are_of_ledger() && !signed.is_empty() {
            let message = format!(
                "who may sign is said by the ledger itself, in {ALLOWED_SIGNERS}: whoever can change it lets \
                 anybody in; what does not change with it is a file of your own, in gpg.ssh.allowedSignersFile"
            );
            self.findings.add(Finding::new(Code::SignersInLedger, message).path(ALLOWED_SIGNERS));
        }
        // Whoever says who may sign wants to know whether they did.
        let is_wanted = is_asked || first_due.is_some() || signers.are_named();
        let mut signatures = Signatures::new(tools, signers, Some(&self.ledger.state_directory()));
        let mut unchecked: Vec<(&Commit, Finding, usize)> = Vec::new();
        for (commit, finding) in check(&mut signatures, objects, &self.checked, &signed) {
            if finding.code != Code::SignatureUnchecked {
                self.findings.at(commit.place).add(finding);
                continue;
            }
            // What is not there is not there for all of them: that is said once.
            match unchecked.iter_mut().find(|(_, first, _)| first.message == finding.message) {
                Some((_, _, more)) => *more += 1,
                None => unchecked.push((commit, finding, 0)),
            }
        }
        let why_unchecked = unchecked.first().map(|(_, finding, _)| finding.message.clone());
        for (commit, mut finding, more) in unchecked.into_iter().filter(|_| is_wanted) {
            if more > 0 {
                finding.message += &format!("; it is the same with {more} more");
            }
            self.findings.at(commit.place).add(finding);
        }
        // What was recorded before there was a policy need not be signed: what is signed since vouches for it.
        let bound = &commits[first_due.unwrap_or(0)..];
        let unsigned = bound.iter().filter(|commit| !commit.is_signed).count();
        let not_all =
            || format!("{unsigned} of {} commits are not signed, and nothing wants it", bound.len());
        why_unchecked.or_else(|| (unsigned > 0).then(not_all))
    }
}

/// The commits that change the ledger, and which of them have to be signed. What a commit must be, the policy says that was
/// there before it: none loosens it for itself.
pub(super) fn commits(
    checked: &Checked,
    start: Option<&Step>,
    objects: &RawObjects,
    policies: &mut Policies<'_>,
) -> Vec<Commit> {
    // Before the start there may have been any.
    let is_any_due = start.is_some() || checked.policies.iter().any(|file| policies.binds(*file));
    let tree_of = |parent: ObjectId, older: Option<&Step>| {
        let known = [older, start].into_iter().flatten().find(|step| step.id == parent).map(|step| step.tree);
        known.or_else(|| {
            let bytes = objects.read(parent, Kind::Commit).ok()?;
            object::commit(&bytes).ok().map(|commit| commit.tree)
        })
    };
    let commit = |place: &usize| {
        let step = &checked.steps[*place];
        let older = place.checked_sub(1).map(|older| &checked.steps[older]);
        let mut binds =
            |parent: &ObjectId| tree_of(*parent, older).is_some_and(|top| policies.binds_after(top));
        let is_due = is_any_due && step.parents.iter().any(&mut binds);
        Commit { place: *place, id: step.id, is_signed: step.is_signed, is_due }
    };
    checked.touching.iter().map(commit).collect()
}

/// What there is against the signatures of these commits.
pub(super) fn check<'c>(
    signatures: &mut Signatures,
    objects: &RawObjects,
    checked: &Checked,
    commits: &[&'c Commit],
) -> Vec<(&'c Commit, Finding)> {
    let mut against = Vec::new();
    for part in commits.chunks(AT_ONCE) {
        let read = |commit: &&Commit| {
            let bytes = objects.read(commit.id, Kind::Commit).unwrap_or_default();
            (commit.id.to_string(), bytes, checked.latest[commit.place])
        };
        let read: Vec<_> = part.iter().map(read).collect();
        let questions: Vec<_> = read
            .iter()
            .map(|(commit, bytes, verify_at)| Question { commit, bytes, verify_at: *verify_at })
            .collect();
        for (commit, outcome) in part.iter().zip(signatures.check_all(&questions)) {
            match outcome {
                Outcome::Good { .. } => {}
                Outcome::Findings(found) => {
                    against.extend(found.into_iter().map(|finding| (*commit, finding)))
                }
                Outcome::Unsigned => against.push((*commit, missing(commit))),
            }
        }
    }
    against
}

/// That a commit has to be signed, and is not.
pub(super) fn missing(commit: &Commit) -> Finding {
    let why = if commit.is_due { "the policy that it follows wants it" } else { "that was asked for" };
    Finding::new(Code::SignatureMissing, format!("the commit is not signed, and {why}")).commit(commit.id)
}
