//! Verification: the checks, over raw objects. It returns a report, never prints, and never uses the index.
//!
//! - [`report`]: findings, layers, the verdict · [`findings`]: where they are collected
//! - [`object`]: commits and trees out of their bytes · [`timeline`]: the commits in the ledger's order
//! - [`changes`]: what a commit changed · [`history`], [`entries`]: the rules, of a commit and of an entry
//! - [`engine`]: all commits, on all processors
//! - [`signatures`]: whether a commit's signature is good
//! - [`pin`]: what this clone has verified before · [`log`]: the Merkle tree, checkpoints, proofs · [`checkpoints`]: those that
//!   this clone keeps
//!
//! What is read here may have been made by somebody who wants it to be believed. So nothing is taken from a place that
//! can say otherwise than the objects do: no revwalk, no index, no commit-graph.

use std::collections::BTreeMap;

use engine::{Checked, Engine};
use findings::Findings;
use log::merkle::{self, CompactRange};
use pin::{Memory, Pin, Verified};
use report::{Code, Finding, Layer, LayerStatus, Report, Severity, Verdict};
use timeline::{Bounds, Step};

use crate::error::{Error, Result};
use crate::ledger::{Kind, Ledger, ObjectId};

pub mod changes;
pub mod checkpoints;
pub mod engine;
pub mod entries;
pub mod findings;
pub mod history;
pub mod leaves;
pub mod log;
pub mod object;
pub mod pin;
pub mod report;
pub mod signatures;
pub mod timeline;

/// Vanished entries that a finding names.
const MOST_NAMED: usize = 100;

/// Where a verification begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// At the first commit.
    #[default]
    Beginning,
    /// After what this clone has verified before; at the first commit where that is nothing.
    Pin,
    /// After this commit: an id, or what git takes for one.
    Commit(String),
}

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to begin.
    pub since: Since,
    /// Layers that must have been checked.
    pub required: Vec<Layer>,
    /// Processors to be used.
    pub threads: usize,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Commits that were checked.
    pub done: usize,
    /// Commits that are to be.
    pub total: usize,
}

/// Verifies the ledger, and remembers it if nothing is against it.
///
/// # Errors
/// There is nothing to look at: the ref, or the commit to begin after, cannot be read. What is wrong with the ledger is
/// in the report.
pub fn verify(ledger: &Ledger, options: &Options, watch: &mut dyn FnMut(Progress)) -> Result<Report> {
    let tip = ledger.tip()?.ok_or_else(|| Error::BranchMissing(ledger.branch().to_owned()))?;
    let mut run = Run::begin(ledger, options, tip)?;
    run.check(options, watch);
    run.judge_pin();
    Ok(run.report(options))
}

/// A verification under way.
struct Run<'l> {
    ledger: &'l Ledger,
    tip: ObjectId,
    findings: Findings,
    states: BTreeMap<Layer, LayerStatus>,
    memory: Memory<'l>,
    pin: Option<Pin>,
    /// What is gone on from.
    start: Option<Start>,
    checked: Checked,
}

/// A commit that is gone on from.
struct Start {
    id: ObjectId,
    step: Step,
    /// It is the pin's, so that what was before is known.
    pin: Option<Pin>,
}

impl<'l> Run<'l> {
    fn begin(ledger: &'l Ledger, options: &Options, tip: ObjectId) -> Result<Self> {
        let memory = Memory::of(ledger);
        let mut states = BTreeMap::new();
        let pin = memory.pin().unwrap_or_else(|why| {
            let why = format!("{} cannot be read: {why}", memory.path().display());
            states.insert(Layer::Pin, LayerStatus::NotChecked(why));
            None
        });
        let pinned = pin.clone().and_then(|pin| Some((pin.commit_id()?, pin)));
        let is_here = |id: &ObjectId| ledger.raw_objects().open().read(*id, Kind::Commit).is_ok();
        let start = match &options.since {
            Since::Beginning => None,
            // One that is gone is not part of the history any more, which the whole of it shows.
            Since::Pin => pinned.filter(|(id, _)| is_here(id)).map(|(id, pin)| (id, Some(pin))),
            Since::Commit(name) => {
                let id = ledger.commit_named(name)?;
                Some((id, pinned.filter(|(pinned, _)| *pinned == id).map(|(_, pin)| pin)))
            }
        };
        let start = start.map(|(id, pin)| Start::at(ledger, id, pin)).transpose()?;
        Ok(Self {
            ledger,
            tip,
            findings: Findings::default(),
            states,
            memory,
            pin,
            start,
            checked: Checked::default(),
        })
    }

    /// Objects, history and entries.
    fn check(&mut self, options: &Options, watch: &mut dyn FnMut(Progress)) {
        let store = self.ledger.raw_objects();
        let shallow = self.ledger.shallow_commits();
        loop {
            let start = self.start.as_ref().map(|start| start.step.clone());
            let engine = Engine {
                store: &store,
                bounds: Bounds {
                    tip: self.tip,
                    start: start.as_ref().map(|step| step.id),
                    shallow: &shallow,
                },
                start,
                is_partial: self.ledger.is_partial(),
                threads: options.threads.max(1),
            };
            self.checked = engine.run(&mut self.findings, watch);
            if self.start.is_none() || self.checked.timeline.has_met_start {
                break;
            }
            // It is not part of this history, or not on its first line: nothing before it can be relied upon.
            self.start = None;
            self.findings = Findings::default();
        }
        for layer in [Layer::Objects, Layer::History, Layer::Entries] {
            let why = self.checked.timeline.shallow.first().map(|commit| {
                format!("the clone is shallow: what is before commit {} is not here", commit.short())
            });
            let state = why.map_or(LayerStatus::Ok, LayerStatus::NotChecked);
            self.states.insert(layer, state);
        }
    }

    /// What was verified here before must still be there, in the same order.
    fn judge_pin(&mut self) {
        let Some(pin) = self.pin.take() else {
            let why = "nothing was verified in this clone before".to_owned();
            self.states.entry(Layer::Pin).or_insert(LayerStatus::NotChecked(why));
            return;
        };
        self.states.insert(Layer::Pin, LayerStatus::Ok);
        if self.start.as_ref().is_some_and(|start| start.pin.is_some()) {
            self.pin = Some(pin);
            return;
        }
        if self.start.is_some() {
            let why = "the verification began after another commit than the pinned one".to_owned();
            self.states.insert(Layer::Pin, LayerStatus::NotChecked(why));
            self.pin = Some(pin);
            return;
        }
        let place = self.checked.steps.iter().position(|step| step.id.to_string() == pin.commit);
        let has_it = place.is_some();
        if has_it && self.checked.unread > 0 {
            let why =
                "not all entries can be read, so whether they are those that were verified is not known";
            self.states.insert(Layer::Pin, LayerStatus::NotChecked(why.to_owned()));
            self.pin = Some(pin);
            return;
        }
        let entries = usize::try_from(pin.entries()).unwrap_or(usize::MAX);
        let same = self.checked.leaves.get(..entries).map(|leaves| {
            let mut range = CompactRange::default();
            range.extend(leaves.iter().map(|leaf| leaf.hash));
            range == pin.leaves
        });
        if has_it && same == Some(true) {
            self.pin = Some(pin);
            return;
        }
        let finding = self.what_vanished(&pin, has_it);
        self.findings.add(finding);
        self.pin = Some(pin);
    }

    fn what_vanished(&self, pin: &Pin, has_it: bool) -> Finding {
        let now: std::collections::HashSet<_> = self.checked.leaves.iter().map(|leaf| leaf.hash).collect();
        let noted = self.memory.noted(pin);
        let gone = noted.map(|noted| -> Vec<_> {
            let gone = noted.into_iter().filter(|line| !now.contains(&line.hash));
            gone.map(|line| line.task_id.to_string()).collect()
        });
        let (entries, short) = (pin.entries(), pin.commit.get(..12).unwrap_or(&pin.commit));
        let told = match &gone {
            None => "; the notebook of its entries is damaged, so which of them vanished cannot be said"
                .to_owned(),
            Some(gone) if gone.is_empty() => {
                "; all its entries are there, in another place or order".to_owned()
            }
            Some(gone) => {
                let named = gone.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = gone.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("; {} of its entries vanished: {named}{more}", gone.len())
            }
        };
        let what = if has_it {
            format!(
                "the first {entries} entries are not those that were verified here before, at commit {short}"
            )
        } else {
            format!(
                "the history does not contain commit {short}, which was verified here with {entries} entries"
            )
        };
        let code = if has_it { Code::PinDiffers } else { Code::PinLost };
        let finding = Finding::new(code, format!("{what}{told}")).commit(&pin.commit);
        let expected = serde_json::json!({
            "commit": pin.commit, "entries": entries, "merkle_root": pin.merkle_root,
            "vanished": gone.unwrap_or_default(),
        });
        let actual = serde_json::json!({
            "commit": self.tip.to_string(), "entries": self.checked.leaves.len(),
            "merkle_root": self.range().map(|range| merkle::to_base64(&range.root())),
        });
        finding.evidence(expected, actual)
    }

    /// The tree over all entries; `None`: some of them, or those before the start, are not known.
    fn range(&self) -> Option<CompactRange> {
        if self.checked.unread > 0 {
            return None;
        }
        let mut range = match &self.start {
            None => CompactRange::default(),
            Some(start) => start.pin.as_ref()?.leaves.clone(),
        };
        range.extend(self.checked.leaves.iter().map(|leaf| leaf.hash));
        Some(range)
    }

    /// Whether what was found allows relying upon this history from now on.
    fn remember(&mut self, range: &CompactRange) -> Option<String> {
        let before = self.start.as_ref().and_then(|start| start.pin.as_ref());
        let latest = self.checked.latest.iter().copied().max();
        let root = self.checked.root().map(|root| root.to_string());
        let verified = Verified {
            commit: self.tip,
            root_commit: before.map(|pin| pin.root_commit.clone()).or(root)?,
            leaves: &self.checked.leaves,
            latest: latest.into_iter().chain(before.map(|pin| pin.latest)).max().unwrap_or(0),
        };
        if range.size() == 0 || before.is_some_and(|pin| pin.commit == self.tip.to_string()) {
            return None;
        }
        self.memory.remember(before, verified).err().map(|error| error.to_string())
    }

    fn report(mut self, options: &Options) -> Report {
        let range = self.range();
        let failed: Vec<Layer> = self
            .findings
            .counts()
            .keys()
            .filter(|code| code.severity() >= Severity::Inconclusive)
            .map(|code| code.layer())
            .collect();
        for layer in failed {
            self.states.insert(layer, LayerStatus::Failed);
        }
        let layers: Vec<_> = Layer::ALL
            .into_iter()
            .map(|layer| {
                let state = self.states.get(&layer).cloned();
                (layer, state.unwrap_or_else(|| LayerStatus::NotChecked("it is not there yet".to_owned())))
            })
            .collect();
        let is_ok =
            |layer: &Layer| layers.iter().any(|(found, state)| found == layer && *state == LayerStatus::Ok);
        let entries = range.as_ref().map_or(self.checked.leaves.len() as u64, CompactRange::size);
        let verdict = if self.findings.has(Severity::Error) {
            Verdict::NotValid
        } else if entries == 0
            || self.findings.has(Severity::Inconclusive)
            || !self.checked.timeline.shallow.is_empty()
            || !options.required.iter().all(is_ok)
        {
            Verdict::Inconclusive
        } else if self.start.is_none() && layers.iter().all(|(_, state)| *state == LayerStatus::Ok) {
            Verdict::Valid
        } else {
            Verdict::NothingFound
        };
        let sound = [Layer::Objects, Layer::History, Layer::Entries].iter().all(is_ok);
        let unremembered = match &range {
            Some(range) if sound && verdict != Verdict::NotValid => self.remember(range),
            _ => None,
        };
        let counts = self.findings.counts().clone();
        let findings = self.findings.into_list();
        let first_bad_commit = findings
            .iter()
            .find(|finding| finding.code.severity() == Severity::Error && finding.commit.is_some())
            .and_then(|finding| finding.commit.clone());
        Report {
            branch: self.ledger.branch().to_owned(),
            head: self.tip,
            since: self.start.map(|start| start.id),
            entries,
            commits: self.checked.steps.len() as u64,
            merkle_root: range.map(|range| merkle::to_base64(&range.root())),
            layers,
            first_bad_commit,
            findings,
            counts,
            verdict,
            unremembered,
        }
    }
}

impl Start {
    fn at(ledger: &Ledger, id: ObjectId, pin: Option<Pin>) -> Result<Self> {
        let objects = ledger.raw_objects().open();
        let step = timeline::read_step(&objects, id, false);
        let step = step.map_err(|finding| Error::Damaged(finding.message))?;
        let committed_at = pin.as_ref().map_or(step.committed_at, |pin| pin.latest);
        let step = Step { committed_at, ..step };
        Ok(Self { id, step, pin })
    }
}
