//! The checks at work: all commits after the start, on all processors, then what can only be seen of them together.
//!
//! One processor reads the commits, newest first, and hands them to the others, stretch by stretch; then it works, too.
//! Newest first is how the packs that the ledger writes describe directories. Until the first commit is reached nobody
//! knows how many there are, so places are counted from the newest and turned round at the end. What is kept of a commit
//! is small: its entry's hashes and names.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use super::Progress;
use super::changes::{Change, Comparison};
use super::entries::{self, Told};
use super::findings::Findings;
use super::history::{Addition, Room, Visit};
use super::log::merkle::{self, Hash};
use super::object::{self, Item};
use super::report::{Code, Finding};
use super::timeline::{Bounds, Step, Timeline, of_content, read_step};
use crate::entry::TaskId;
use crate::ledger::layout::{CONFIG, ROOT, SHARDS, TASKS, flat_path, sharded_path, task_id_of};
use crate::ledger::{Kind, ObjectId, RawObjects, RawStore, flat_limit_of};

/// A clock may be behind another by so much.
const SKEW_SECONDS: i64 = 300;

/// An entry at its place in the ledger's order: a leaf of the Merkle tree.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Its hash, over the stored bytes.
    pub hash: Hash,
    /// Its task.
    pub task_id: TaskId,
    /// The commit that added it.
    pub commit: ObjectId,
    /// The object that holds it.
    pub blob: ObjectId,
}

/// What the commits were found to hold.
#[derive(Debug, Default)]
pub struct Checked {
    /// The commits, in the ledger's order.
    pub steps: Vec<Step>,
    /// What is known of them together.
    pub timeline: Timeline,
    /// The entries, in order.
    pub leaves: Vec<Leaf>,
    /// Entries that could not be read, so that they are no leaves.
    pub unread: usize,
    /// Places of the steps that changed something of the ledger's.
    pub touching: Vec<usize>,
    /// Versions of the policy file that were added.
    pub policies: Vec<ObjectId>,
    /// For each step, the latest time that it or anything before it was committed at.
    pub latest: Vec<i64>,
}

impl Checked {
    /// The commit that everything begins with, where the walk came to it.
    pub fn root(&self) -> Option<ObjectId> {
        self.steps.first().filter(|step| step.parents.is_empty()).map(|step| step.id)
    }
}

/// An entry that a commit was found to add.
struct Added {
    /// Of the commit: from the newest at first, then from the oldest.
    place: usize,
    addition: Addition,
    hash: Hash,
    supersedes: Option<TaskId>,
}

/// Commits that were checked.
struct Stretch {
    /// How far the first is from the newest of all.
    place: usize,
    /// Newest first.
    steps: Vec<Step>,
    findings: Findings,
    /// Newest first.
    added: Vec<Added>,
    unread: usize,
    /// Newest first.
    touching: Vec<usize>,
    policies: Vec<ObjectId>,
}

/// Checks the commits of a ledger.
pub struct Engine<'e> {
    /// Where the objects are.
    pub store: &'e RawStore,
    /// Which commits.
    pub bounds: Bounds<'e>,
    /// The commit before them; `None`: there is none.
    pub start: Option<Step>,
    /// A missing object may be one that a partial clone left out.
    pub is_partial: bool,
    /// Processors to be used.
    pub threads: usize,
}

impl Engine<'_> {
    /// Checks all of it. `watch` is told how many commits are done.
    pub fn run(&self, findings: &mut Findings, watch: &mut dyn FnMut(Progress)) -> Checked {
        let (give, take) = mpsc::channel();
        let (take, stretches) = (Mutex::new(take), Mutex::new(Vec::new()));
        let done = AtomicUsize::new(0);
        let work = |watch: &mut dyn FnMut(usize)| {
            let objects = self.store.open();
            loop {
                // Let go of before the work: the others take, too.
                let taken = lock(&take).recv();
                let Ok((place, steps)) = taken else { break };
                let stretch = self.stretch(place, steps, &objects, &mut || {
                    watch(done.fetch_add(1, Ordering::Relaxed) + 1);
                });
                lock(&stretches).push(stretch);
            }
        };
        let (mut total, mut of_order) = (0, Findings::default());
        let timeline = std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(|| work(&mut |_| {}));
            }
            let mut hand_over = |steps: Vec<Step>| {
                let place = total;
                total += steps.len();
                // Nobody has stopped taking: they go on until there is nothing more to be given.
                _ = give.send((place, steps));
            };
            let timeline = Timeline::read(&self.store.open(), &self.bounds, &mut of_order, &mut hand_over);
            drop(give);
            work(&mut |done| watch(Progress { done, total }));
            timeline
        });
        findings.absorb(of_order);
        let stretches = stretches.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut checked = Checked { timeline, ..Checked::default() };
        let added = assemble(stretches, total, &mut checked, findings);
        let objects = self.store.open();
        self.times(&mut checked, findings);
        self.roots(&checked.steps, &objects, findings);
        self.superseded(&checked.steps, &objects, &added, findings);
        checked.leaves = self.leaves(&checked.steps, &objects, added, findings);
        checked
    }

    fn stretch(
        &self,
        place: usize,
        steps: Vec<Step>,
        objects: &RawObjects,
        done: &mut dyn FnMut(),
    ) -> Stretch {
        let mut stretch = Stretch {
            place,
            steps: Vec::new(),
            findings: Findings::default(),
            added: Vec::new(),
            unread: 0,
            touching: Vec::new(),
            policies: Vec::new(),
        };
        for (index, step) in steps.iter().enumerate() {
            let older = steps.get(index + 1);
            Worker { engine: self, objects, older, place: place + index, stretch: &mut stretch }.step(step);
            done();
        }
        for (id, why) in objects.take_spoilt() {
            let message = format!("a copy of object {id} cannot be trusted, though another is intact: {why}");
            stretch.findings.add(Finding::new(Code::ObjectDamaged, message).path(id.to_string()));
        }
        Stretch { steps, ..stretch }
    }

    /// Commits that are dated before what they follow.
    fn times(&self, checked: &mut Checked, findings: &mut Findings) {
        let steps = &checked.steps;
        let mut latest: Vec<i64> = Vec::with_capacity(steps.len());
        let is_line = steps.windows(2).all(|pair| pair[1].parents[..] == [pair[0].id]);
        let places: HashMap<_, _> = steps.iter().enumerate().map(|(place, step)| (step.id, place)).collect();
        let places = if is_line { HashMap::new() } else { places };
        for (place, step) in steps.iter().enumerate() {
            let before = step.parents.iter().filter_map(|parent| match &self.start {
                Some(start) if start.id == *parent => Some(start.committed_at),
                _ if place > 0 && steps[place - 1].id == *parent => Some(latest[place - 1]),
                _ => places.get(parent).and_then(|place| latest.get(*place).copied()),
            });
            let before = before.max();
            if let Some(before) =
                before.filter(|before| step.committed_at < before.saturating_sub(SKEW_SECONDS))
            {
                let message = format!(
                    "the commit is dated {} s before one that it follows",
                    before.saturating_sub(step.committed_at)
                );
                let finding = Finding::new(Code::CommitBackdated, message).commit(step.id);
                findings.at(place).add(finding.evidence(format!(">= {before}"), step.committed_at));
            }
            latest.push(step.committed_at.max(before.unwrap_or(i64::MIN)));
        }
        checked.latest = latest;
    }

    /// A history has one beginning. Code that was merged in has its own, and nothing to do with the ledger.
    fn roots(&self, steps: &[Step], objects: &RawObjects, findings: &mut Findings) {
        let roots = steps.iter().enumerate().filter(|(_, step)| step.parents.is_empty());
        let Some(tip) = steps.last() else { return };
        let is_shared =
            || find(objects, self.store.id_bytes(), tip.tree, "").is_some_and(|top| top.holds_more);
        for (place, step) in roots.skip(usize::from(self.start.is_none())) {
            let holds_ledger =
                find(objects, self.store.id_bytes(), step.tree, ROOT).is_some_and(|it| it.item.is_some());
            if holds_ledger || !is_shared() {
                let message = "the history begins here a second time";
                let finding = Finding::new(Code::SecondRoot, message).commit(step.id);
                let first = steps.first().map(|first| first.id.to_string());
                findings.at(place).add(finding.evidence(first.unwrap_or_default(), step.id.to_string()));
            }
        }
    }

    /// What an entry corrects must be in the ledger.
    fn superseded(&self, steps: &[Step], objects: &RawObjects, added: &[Added], findings: &mut Findings) {
        let Some(tip) = steps.last() else { return };
        for one in added {
            let Some(task_id) = &one.supersedes else { continue };
            let id_bytes = self.store.id_bytes();
            let is_there = [flat_path(task_id), sharded_path(task_id)]
                .iter()
                .any(|path| find(objects, id_bytes, tip.tree, path).is_some_and(|it| it.item.is_some()));
            if !is_there {
                let message = format!("the entry corrects {task_id}, which the ledger does not have");
                let finding = Finding::new(Code::SupersedesUnknown, message)
                    .commit(steps[one.place].id)
                    .path(&one.addition.path)
                    .task(one.addition.task_id.clone());
                findings.at(one.place).add(finding.evidence(task_id.as_str(), serde_json::Value::Null));
            }
        }
    }

    /// The entries in order, each once: what a merge brings in that was there already, byte for byte, stays where it was.
    fn leaves(
        &self,
        steps: &[Step],
        objects: &RawObjects,
        added: Vec<Added>,
        findings: &mut Findings,
    ) -> Vec<Leaf> {
        let mut leaves: Vec<Leaf> = Vec::with_capacity(added.len());
        // Where each task stands in `leaves`, and whether in the flat directory.
        let mut known: HashMap<String, (usize, bool)> = HashMap::with_capacity(added.len());
        let before = self.start.as_ref().map(|start| Before::new(self.store, objects, start.tree));
        for Added { place, addition, hash, .. } in added {
            let step = &steps[place];
            let lower = addition.task_id.as_str().to_ascii_lowercase();
            let is_flat = addition.path == flat_path(&addition.task_id);
            let known_place = known.get(&lower).copied();
            let known_here = known_place.map(|(index, _)| &leaves[index]);
            let is_same = known_here
                .is_some_and(|leaf| leaf.task_id == addition.task_id && leaf.blob == addition.blob)
                || before.as_ref().is_some_and(|before| before.holds(&addition));
            if is_same && step.is_aside {
                continue;
            }
            let earlier = known_here.map(|leaf| leaf.task_id.to_string());
            let earlier = earlier.or_else(|| before.as_ref()?.named(&addition.task_id));
            // Where a merge brings in another content for one path, it is the merge that cannot be.
            let is_conflict = step.is_aside
                && (known_here.is_some_and(|leaf| leaf.task_id == addition.task_id)
                    && known_place.is_some_and(|(_, was_flat)| was_flat == is_flat)
                    || before.as_ref().is_some_and(|before| before.item(&addition.path).is_some()));
            if let Some(earlier) = earlier.filter(|_| !is_conflict) {
                let message = format!("the task was recorded before, as {earlier}");
                let finding = Finding::new(Code::EntryRepeated, message).commit(step.id).path(&addition.path);
                findings.at(place).add(finding.task(addition.task_id.clone()));
            }
            known.entry(lower).or_insert((leaves.len(), is_flat));
            leaves.push(Leaf { hash, task_id: addition.task_id, commit: step.id, blob: addition.blob });
        }
        leaves
    }
}

/// What the stretches say together, from the oldest commit to the newest.
fn assemble(
    mut stretches: Vec<Stretch>,
    total: usize,
    checked: &mut Checked,
    findings: &mut Findings,
) -> Vec<Added> {
    stretches.sort_by_key(|stretch| std::cmp::Reverse(stretch.place));
    let mut all = Vec::new();
    for stretch in stretches {
        // Newest first, and counted from the newest.
        let turned = |place| total - 1 - place;
        checked.steps.extend(stretch.steps.into_iter().rev());
        all.extend(stretch.added.into_iter().rev().map(|one| Added { place: turned(one.place), ..one }));
        checked.touching.extend(stretch.touching.into_iter().rev().map(turned));
        findings.absorb(stretch.findings.turned_round(total));
        checked.unread += stretch.unread;
        checked.policies.extend(stretch.policies);
    }
    all
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One commit at a time.
struct Worker<'w> {
    engine: &'w Engine<'w>,
    objects: &'w RawObjects,
    /// The next in the stretch, which is nearly always the one that the commit follows.
    older: Option<&'w Step>,
    place: usize,
    stretch: &'w mut Stretch,
}

impl Worker<'_> {
    fn step(&mut self, step: &Step) {
        let Some((changes, before)) = self.changes(step) else {
            self.stretch.unread += 1;
            return;
        };
        // A merge changes nothing where each path is as one of its parents has it; yet it brings in what the others recorded.
        let brings_in = || match before[..] {
            [first, _, ..] => self.ledger_in(first) != self.ledger_in(step.tree),
            _ => false,
        };
        if changes.iter().any(Change::is_inside) || brings_in() {
            self.stretch.touching.push(self.place);
        }
        for change in changes.iter().filter(|change| change.is_inside()) {
            if change.path == CONFIG {
                self.stretch.policies.extend(change.after.map(|item| item.id));
            }
            // Entries are read below.
            let item = change.after.filter(|item| !item.is_directory() && !item.is_submodule());
            if let Some(item) = item.filter(|_| task_id_of(&change.path).is_none()) {
                self.blob(step.id, &change.path, item.id);
            }
        }
        let (begins, room) = match &before[..] {
            [before] if !changes.is_empty() => (self.lacks(*before, ROOT), self.room(*before, &changes)),
            _ => (before.is_empty(), Room::default()),
        };
        let message = || message_of(self.objects, step.id);
        let visit = Visit { step, message: &message, changes, begins, room };
        let mut additions = visit.judge(self.stretch.findings.at(self.place));
        additions.reverse();
        for addition in additions {
            let Some(bytes) = self.blob(step.id, &addition.path, addition.blob) else {
                self.stretch.unread += 1;
                continue;
            };
            let told = Told { step, message: &|| message_of(self.objects, step.id) };
            let supersedes = entries::judge(&addition, &bytes, &told, self.stretch.findings.at(self.place));
            let hash = merkle::leaf_hash(&bytes);
            self.stretch.added.push(Added { place: self.place, addition, hash, supersedes });
        }
    }

    /// What the commit changed, and the trees of its parents; `None`: something that is needed cannot be read, and
    /// findings say what.
    fn changes(&mut self, step: &Step) -> Option<(Vec<Change>, Vec<ObjectId>)> {
        if step.is_cut {
            return None;
        }
        let before = step.parents.iter().map(|parent| self.tree_of(*parent)).collect::<Option<Vec<_>>>()?;
        let id_bytes = self.engine.store.id_bytes();
        let findings = self.stretch.findings.at(self.place);
        let comparison =
            Comparison::new(self.objects, id_bytes, step.id, findings).partial(self.engine.is_partial);
        Some((comparison.of(&before, step.tree).ok()?, before))
    }

    fn tree_of(&mut self, commit: ObjectId) -> Option<ObjectId> {
        let known = [self.older, self.engine.start.as_ref()].into_iter().flatten();
        let known = known.filter(|step| step.id == commit).map(|step| step.tree).next();
        known.or_else(|| Some(read_step(self.objects, commit, false).ok()?.tree))
    }

    fn blob(&mut self, commit: ObjectId, path: &str, id: ObjectId) -> Option<std::rc::Rc<Vec<u8>>> {
        match self.objects.read(id, Kind::Blob) {
            Ok(bytes) => Some(bytes),
            Err(fault) => {
                let finding = of_content(Kind::Blob, id, &fault, self.engine.is_partial);
                self.stretch.findings.at(self.place).add(finding.commit(commit).path(path));
                None
            }
        }
    }

    fn ledger_in(&self, tree: ObjectId) -> Option<ObjectId> {
        item(self.objects, self.engine.store.id_bytes(), tree, ROOT).map(|item| item.id)
    }

    fn lacks(&self, tree: ObjectId, path: &str) -> bool {
        find(self.objects, self.engine.store.id_bytes(), tree, path).is_some_and(|found| found.item.is_none())
    }

    /// Where entries may be in a commit that follows this tree.
    fn room(&self, tree: ObjectId, changes: &[super::changes::Change]) -> Room {
        let id_bytes = self.engine.store.id_bytes();
        let has_shards = !self.lacks(tree, SHARDS);
        let adds_entry =
            changes.iter().any(|change| change.before.is_empty() && task_id_of(&change.path).is_some());
        if has_shards || !adds_entry {
            return Room { has_shards, is_flat_full: None };
        }
        let flat = find(self.objects, id_bytes, tree, TASKS).and_then(|found| found.item);
        let lines = flat.and_then(|item| self.objects.read(item.id, Kind::Tree).ok());
        let entries =
            lines.and_then(|bytes| Some(object::tree(&bytes, id_bytes, None).ok()?.len())).unwrap_or(0);
        let limit = match find(self.objects, id_bytes, tree, CONFIG).and_then(|found| found.item) {
            None => flat_limit_of(None),
            Some(config) => {
                let config = self.objects.read(config.id, Kind::Blob).ok();
                config.and_then(|bytes| flat_limit_of(Some(&bytes)))
            }
        };
        // A policy that cannot be read is a finding of its own; nobody knows then what it allowed.
        let is_flat_full = limit.map(|limit| entries >= limit as usize);
        Room { has_shards, is_flat_full }
    }
}

/// What a tree has at a path.
pub fn item(objects: &RawObjects, id_bytes: usize, tree: ObjectId, path: &str) -> Option<Item> {
    find(objects, id_bytes, tree, path)?.item
}

/// The content of the file at a path.
pub fn content(objects: &RawObjects, id_bytes: usize, tree: ObjectId, path: &str) -> Option<Vec<u8>> {
    let file = item(objects, id_bytes, tree, path)?;
    objects.read(file.id, Kind::Blob).ok().map(|bytes| bytes.to_vec())
}

/// The bytes of a commit's message.
fn message_of(objects: &RawObjects, commit: ObjectId) -> Vec<u8> {
    let bytes = objects.read(commit, Kind::Commit).unwrap_or_default();
    object::commit(&bytes).map(|commit| commit.message.to_vec()).unwrap_or_default()
}

/// What is at a path.
struct Found {
    item: Option<Item>,
    /// The tree itself holds other things than the ledger.
    holds_more: bool,
}

/// What `tree` has at `path`; `None`: it cannot be read, which comparing it with its neighbours says.
fn find(objects: &RawObjects, id_bytes: usize, tree: ObjectId, path: &str) -> Option<Found> {
    let mut at = tree;
    let mut found = Found { item: None, holds_more: false };
    for name in path.split('/') {
        let bytes = objects.read(at, Kind::Tree).ok()?;
        let lines = object::tree(&bytes, id_bytes, (at == tree).then_some(ROOT)).ok()?;
        found.holds_more = at == tree && lines.iter().any(|line| line.name != ROOT.as_bytes());
        found.item = lines.iter().find(|line| line.name == name.as_bytes()).and_then(object::Line::item);
        match found.item {
            Some(item) => at = item.id,
            None => break,
        }
    }
    Some(found)
}

/// The entries that were there before the start.
struct Before<'b> {
    objects: &'b RawObjects,
    id_bytes: usize,
    tree: ObjectId,
    /// Of the flat directory, in lower case.
    flat: HashSet<String>,
}

impl<'b> Before<'b> {
    fn new(store: &RawStore, objects: &'b RawObjects, tree: ObjectId) -> Self {
        let mut before = Self { objects, id_bytes: store.id_bytes(), tree, flat: HashSet::new() };
        before.flat = before.names(TASKS).into_iter().map(|name| name.to_ascii_lowercase()).collect();
        before
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let found = find(self.objects, self.id_bytes, self.tree, directory).and_then(|found| found.item);
        let bytes = found.and_then(|item| self.objects.read(item.id, Kind::Tree).ok());
        let lines = bytes
            .as_ref()
            .and_then(|bytes| object::tree(bytes, self.id_bytes, None).ok())
            .unwrap_or_default();
        lines.iter().map(|line| String::from_utf8_lossy(line.name).into_owned()).collect()
    }

    /// The very entry.
    fn holds(&self, addition: &Addition) -> bool {
        self.item(&addition.path).is_some_and(|item| item.id == addition.blob)
    }

    /// What is at a path.
    fn item(&self, path: &str) -> Option<Item> {
        find(self.objects, self.id_bytes, self.tree, path)?.item
    }

    /// A name that the task has already, in whatever letters.
    fn named(&self, task_id: &TaskId) -> Option<String> {
        let name = format!("{task_id}.json").to_ascii_lowercase();
        let is_it = |found: &String| found.to_ascii_lowercase() == name;
        let sharded = || {
            let directory = crate::ledger::layout::shard_directory(task_id);
            self.names(&directory).into_iter().find(is_it)
        };
        let flat = self.flat.contains(&name).then(|| name.clone());
        flat.or_else(sharded).map(|name| name.trim_end_matches(".json").to_owned())
    }
}
