//! The commits in the ledger's order, from what they say themselves.
//!
//! A commit comes after its first parent and all before that; then comes what its other parents add, in the same way;
//! then the commit itself. So what came before never moves as long as the branch goes on along first parents.

use std::collections::HashSet;

use super::findings::Findings;
use super::object;
use super::report::{Code, Finding};
use crate::ledger::{Fault, Kind, ObjectId, RawObjects};

/// A commit at its place in the order.
#[derive(Clone, Debug)]
pub struct Step {
    /// The commit.
    pub id: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The commits that it follows.
    pub parents: Vec<ObjectId>,
    /// Seconds since 1970.
    pub committed_at: i64,
    /// A merge brought it in: it is on the line of another than its first parent.
    pub is_aside: bool,
    /// It has a signature.
    pub is_signed: bool,
    /// A parent is not to be had, so that nobody can tell what it changed.
    pub is_cut: bool,
}

/// The commits, oldest first.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Those after the commit that was given as the start.
    pub steps: Vec<Step>,
    /// The start is on the line of first parents.
    pub has_met_start: bool,
    /// Commits whose parents a shallow clone does not have.
    pub shallow: Vec<ObjectId>,
    /// The first commit of all, where the walk came to it.
    pub root: Option<ObjectId>,
}

/// Where a walk begins and ends, and what it may miss.
pub struct Bounds<'b> {
    /// The newest commit.
    pub tip: ObjectId,
    /// What was there before; nothing of it is a step.
    pub start: Option<ObjectId>,
    /// Commits that git says are cut off from their parents.
    pub shallow: &'b HashSet<ObjectId>,
}

/// A commit whose parents are being put in order before it.
struct OnTheWay {
    step: Step,
    next_parent: usize,
}

impl Timeline {
    /// Reads the commits. What cannot be read is a finding, and the order goes on without it.
    pub fn read(objects: &RawObjects, bounds: &Bounds<'_>, findings: &mut Findings) -> Self {
        let mut timeline = Self::default();
        let mut met = HashSet::from([bounds.tip]);
        if bounds.start == Some(bounds.tip) {
            timeline.has_met_start = true;
            return timeline;
        }
        let mut has_excluded = false;
        let first = read_step(objects, bounds.tip, false).map_err(|finding| findings.add(*finding));
        let mut way: Vec<_> = first.into_iter().collect();
        while let Some(here) = way.last_mut() {
            let Some(parent) = here.step.parents.get(here.next_parent).copied() else {
                if let Some(done) = way.pop() {
                    timeline.steps.push(done.step);
                }
                continue;
            };
            here.next_parent += 1;
            let is_first = here.next_parent == 1;
            let is_aside = here.step.is_aside || !is_first;
            if Some(parent) == bounds.start {
                timeline.has_met_start |= !is_aside;
                continue;
            }
            if !is_first
                && !has_excluded
                && let Some(start) = bounds.start
            {
                // What a merge brings in may have been there before the start.
                exclude(objects, start, &mut met);
                has_excluded = true;
            }
            if !met.insert(parent) {
                continue;
            }
            match read_step(objects, parent, is_aside) {
                Ok(next) => way.push(next),
                Err(finding) => {
                    here.step.is_cut = true;
                    if finding.code == Code::ObjectMissing && bounds.shallow.contains(&here.step.id) {
                        timeline.shallow.push(here.step.id);
                    } else {
                        findings.add(*finding);
                    }
                }
            }
        }
        timeline.root = timeline.steps.first().filter(|step| step.parents.is_empty()).map(|step| step.id);
        timeline
    }
}

/// Everything that the start has before it, and itself.
fn exclude(objects: &RawObjects, start: ObjectId, met: &mut HashSet<ObjectId>) {
    let mut ahead = vec![start];
    while let Some(id) = ahead.pop() {
        if met.insert(id)
            && let Ok(step) = read_step(objects, id, false)
        {
            ahead.extend(step.step.parents);
        }
    }
}

fn read_step(objects: &RawObjects, id: ObjectId, is_aside: bool) -> Result<OnTheWay, Box<Finding>> {
    let bytes =
        objects.read(id, Kind::Commit).map_err(|fault| Box::new(of_object(Kind::Commit, id, &fault)))?;
    let commit = object::commit(&bytes).map_err(|why| Box::new(malformed(Kind::Commit, id, &why)))?;
    let object::Commit { tree, parents, committed_at, is_signed, .. } = commit;
    let step = Step { id, tree, parents, committed_at, is_aside, is_signed, is_cut: false };
    Ok(OnTheWay { step, next_parent: 0 })
}

/// What is to be said of an object that cannot be read.
pub fn of_object(kind: Kind, id: ObjectId, fault: &Fault) -> Finding {
    let name = kind.as_str();
    let finding = match fault {
        Fault::Missing => Finding::new(Code::ObjectMissing, format!("{name} {id} is not in the repository")),
        Fault::Damaged(why) => {
            Finding::new(Code::ObjectDamaged, format!("{name} {id} cannot be trusted: {why}"))
        }
    };
    about(finding, kind, id)
}

/// What is to be said of an object that is not in the shape of its kind.
pub fn malformed(kind: Kind, id: ObjectId, why: &str) -> Finding {
    let finding = Finding::new(Code::ObjectMalformed, format!("{} {id}: {why}", kind.as_str()));
    about(finding, kind, id)
}

fn about(finding: Finding, kind: Kind, id: ObjectId) -> Finding {
    if kind == Kind::Commit {
        finding.commit(id)
    } else {
        finding.evidence(id.to_string(), serde_json::Value::Null)
    }
}
