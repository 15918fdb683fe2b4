//! The commits in the ledger's order, from what they say themselves.
//!
//! A commit comes after its first parent and all before that; then comes what its other parents add, in the same way;
//! then the commit itself. So what came before never moves as long as the branch goes on along first parents.

use std::collections::HashSet;

use super::findings::Findings;
use super::object;
use super::report::{Code, Finding};
use crate::entry::Digest;
use crate::error::Error;
use crate::ledger::{Fault, Kind, ObjectId, RawObjects};

/// Commits that are handed over at a time.
const AT_ONCE: usize = 2048;

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
    /// The digest of its message, which is most of a commit and nearly always what its entry yields.
    pub message: Digest,
    /// git is told to read the message in another encoding.
    pub is_recoded: bool,
    /// A merge brought it in: it is on the line of another than its first parent.
    pub is_aside: bool,
    /// It has a signature.
    pub is_signed: bool,
    /// A parent is not to be had, so that nobody can tell what it changed.
    pub is_cut: bool,
}

/// What is known of the commits together.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The start is on the line of first parents.
    pub has_met_start: bool,
    /// Commits whose parents a shallow clone does not have.
    pub shallow: Vec<ObjectId>,
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
    /// Reads the commits and hands them over, newest first, some at a time. What cannot be read is a finding, and the
    /// order goes on without it.
    pub fn read(
        objects: &RawObjects,
        bounds: &Bounds<'_>,
        findings: &mut Findings,
        hand_over: &mut dyn FnMut(Vec<Step>),
    ) -> Self {
        let mut reading =
            Reading { objects, bounds, findings, timeline: Self::default(), met: HashSet::new() };
        let mut here = match read_step(objects, bounds.tip, false) {
            _ if bounds.start == Some(bounds.tip) => {
                return Self { has_met_start: true, ..Self::default() };
            }
            Ok(first) => first,
            Err(finding) => {
                reading.findings.add(*finding);
                return reading.timeline;
            }
        };
        let mut steps = Vec::with_capacity(AT_ONCE);
        // Along a line, each names the next.
        while let [parent] = here.parents[..] {
            if bounds.start == Some(parent) {
                reading.timeline.has_met_start = true;
                break;
            }
            match read_step(objects, parent, false) {
                Ok(next) => steps.push(std::mem::replace(&mut here, next)),
                Err(finding) => {
                    reading.lacks(&mut here, *finding);
                    break;
                }
            }
            if steps.len() == AT_ONCE {
                hand_over(std::mem::replace(&mut steps, Vec::with_capacity(AT_ONCE)));
            }
        }
        if here.parents.len() < 2 {
            steps.push(here);
            hand_over(steps);
            return reading.timeline;
        }
        hand_over(steps);
        // From the first merge on, all before it has to be put in order.
        let mut ordered = reading.order(here);
        while !ordered.is_empty() {
            let mut steps = ordered.split_off(ordered.len().saturating_sub(AT_ONCE));
            steps.reverse();
            hand_over(steps);
        }
        reading.timeline
    }
}

/// The order under way.
struct Reading<'r> {
    objects: &'r RawObjects,
    bounds: &'r Bounds<'r>,
    findings: &'r mut Findings,
    timeline: Timeline,
    met: HashSet<ObjectId>,
}

impl Reading<'_> {
    /// The merge and everything before it, oldest first.
    fn order(&mut self, merge: Step) -> Vec<Step> {
        let mut ordered = Vec::new();
        let mut has_excluded = false;
        self.met.insert(merge.id);
        let mut way = vec![OnTheWay { step: merge, next_parent: 0 }];
        while let Some(here) = way.last_mut() {
            let Some(parent) = here.step.parents.get(here.next_parent).copied() else {
                ordered.extend(way.pop().map(|done| done.step));
                continue;
            };
            here.next_parent += 1;
            let is_first = here.next_parent == 1;
            let is_aside = here.step.is_aside || !is_first;
            if Some(parent) == self.bounds.start {
                self.timeline.has_met_start |= !is_aside;
                continue;
            }
            if !is_first
                && !has_excluded
                && let Some(start) = self.bounds.start
            {
                // What a merge brings in may have been there before the start.
                self.exclude(start);
                has_excluded = true;
            }
            if !self.met.insert(parent) {
                continue;
            }
            match read_step(self.objects, parent, is_aside) {
                Ok(step) => way.push(OnTheWay { step, next_parent: 0 }),
                Err(finding) => self.lacks(&mut here.step, *finding),
            }
        }
        ordered
    }

    /// A parent of the step is not to be had.
    fn lacks(&mut self, step: &mut Step, finding: Finding) {
        step.is_cut = true;
        if finding.code == Code::ObjectMissing && self.bounds.shallow.contains(&step.id) {
            self.timeline.shallow.push(step.id);
        } else {
            self.findings.add(finding);
        }
    }

    /// Everything that the start has before it, and itself, is no step.
    fn exclude(&mut self, start: ObjectId) {
        let mut ahead = vec![start];
        while let Some(id) = ahead.pop() {
            if self.met.insert(id)
                && let Ok(step) = read_step(self.objects, id, false)
            {
                ahead.extend(step.parents);
            }
        }
    }
}

/// A commit as a step.
///
/// # Errors
/// What is to be said where it cannot be read.
pub fn read_step(objects: &RawObjects, id: ObjectId, is_aside: bool) -> Result<Step, Box<Finding>> {
    let bytes = objects.read(id, Kind::Commit);
    let bytes = bytes.map_err(|fault| Box::new(of_object(Kind::Commit, id, &fault)))?;
    let commit = object::commit(&bytes).map_err(|why| Box::new(malformed(Kind::Commit, id, &why)))?;
    Ok(Step {
        id,
        tree: commit.tree,
        parents: commit.parents,
        committed_at: commit.committed_at,
        message: Digest::of(commit.message),
        is_recoded: commit.encoding.is_some(),
        is_aside,
        is_signed: commit.is_signed,
        is_cut: false,
    })
}

impl Step {
    /// A commit by itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(objects: &RawObjects, id: ObjectId) -> Result<Self, Error> {
        read_step(objects, id, false).map_err(|finding| Error::Damaged(finding.message))
    }
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

/// As [`of_object`], of a tree or a blob: a partial clone may have left it out.
pub fn of_content(kind: Kind, id: ObjectId, fault: &Fault, is_partial: bool) -> Finding {
    if is_partial && *fault == Fault::Missing {
        let message = format!("the partial clone does not hold {} {id}", kind.as_str());
        return about(Finding::new(Code::ObjectAbsent, message), kind, id);
    }
    of_object(kind, id, fault)
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
