//! A verification, layer by layer, and what it amounts to.

use std::collections::BTreeMap;

use super::engine::{Checked, Engine};
use super::findings::Findings;
use super::log::merkle::{self, CompactRange};
use super::pin::{Memory, Pin, Verified};
use super::report::{Code, Finding, Layer, LayerStatus, Report, Severity, Verdict};
use super::timeline::{Bounds, Step};
use super::{Options, Progress, Since, checkout, view};
use crate::error::{Error, Result};
use crate::ledger::{Kind, Ledger, ObjectId};

/// Vanished entries that a finding names.
const MOST_NAMED: usize = 100;

/// A verification under way.
pub(super) struct Run<'l> {
    pub ledger: &'l Ledger,
    pub tip: ObjectId,
    pub findings: Findings,
    pub states: BTreeMap<Layer, LayerStatus>,
    pub memory: Memory<'l>,
    /// What was verified here before.
    pub pin: Option<Pin>,
    /// There is a pin, and it cannot be read.
    is_pin_damaged: bool,
    /// What is gone on from.
    pub start: Option<Start>,
    pub checked: Checked,
    /// The digest of the checkpoints that hold.
    pub held: Option<String>,
}

/// A commit that is gone on from.
pub(super) struct Start {
    pub step: Step,
    /// It is the pin's, so that what was before is known.
    pub pin: Option<Pin>,
}

impl<'l> Run<'l> {
    pub fn begin(ledger: &'l Ledger, options: &Options) -> Result<Self> {
        let tip = ledger.tip()?.ok_or_else(|| Error::BranchMissing(ledger.branch().to_owned()))?;
        let memory = Memory::of(ledger);
        let mut states = BTreeMap::new();
        let pin = memory.pin().unwrap_or_else(|why| {
            let file = memory.path().display();
            let why = format!("{file} cannot be read: {why}; nothing is remembered until it is removed");
            states.insert(Layer::Pin, LayerStatus::NotChecked(why));
            None
        });
        // What somebody made unreadable is not replaced in silence: it may be what knew better.
        let is_pin_damaged = states.contains_key(&Layer::Pin) && memory.path().symlink_metadata().is_ok();
        let pinned = pin.clone().and_then(|pin| Some((pin.commit_id()?, pin)));
        let is_here = |id: &ObjectId| ledger.raw_objects().open().read(*id, Kind::Commit).is_ok();
        let start = match &options.since {
            Since::Beginning => None,
            // What is held against the ledger is compared with all of it; without the notebook, that has to be read.
            Since::Checkpoint(..) if pinned.as_ref().is_none_or(|(_, pin)| memory.noted(pin).is_none()) => {
                None
            }
            // One that is gone is not part of the history any more, which the whole of it shows.
            Since::Pin | Since::Checkpoint(..) => {
                pinned.filter(|(id, _)| is_here(id)).map(|(id, pin)| (id, Some(pin)))
            }
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
            is_pin_damaged,
            start,
            checked: Checked::default(),
            held: None,
        })
    }

    /// Objects, history and entries.
    pub fn check(&mut self, options: &Options, watch: &mut dyn FnMut(Progress)) {
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
        if self.start.is_none() && self.checked.leaves.is_empty() {
            let why = "there are none that could be checked".to_owned();
            self.states.insert(Layer::Entries, LayerStatus::NotChecked(why));
        }
    }

    /// What was verified here before must still be there, in the same order.
    pub fn judge_pin(&mut self) {
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
        if has_it && self.begins_as(&pin) {
            self.pin = Some(pin);
            return;
        }
        let finding = self.what_vanished(&pin, has_it);
        self.findings.add(finding);
        self.pin = Some(pin);
    }

    /// Whether the first entries are those of the pin.
    fn begins_as(&self, pin: &Pin) -> bool {
        let entries = usize::try_from(pin.entries()).unwrap_or(usize::MAX);
        self.checked.leaves.get(..entries).is_some_and(|leaves| {
            let mut range = CompactRange::default();
            range.extend(leaves.iter().map(|leaf| leaf.hash));
            range == pin.leaves
        })
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
            Some(gone) if gone.is_empty() && self.begins_as(pin) => {
                "; all its entries are there in the same order, so commits were rewritten".to_owned()
            }
            Some(gone) if gone.is_empty() => {
                "; all its entries are there, in another place or order".to_owned()
            }
            Some(gone) => {
                let named = gone.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = gone.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("; what vanished of it: {named}{more}")
            }
        };
        let what = if has_it {
            format!("the entries up to commit {short} are not those that were verified here before")
        } else {
            format!("the history does not contain commit {short}, which was verified here before")
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
    pub fn range(&self) -> Option<CompactRange> {
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

    /// The commit that the history begins with, in hexadecimal, where it is known.
    pub fn root_commit(&self) -> Option<String> {
        let pinned = self.start.as_ref().and_then(|start| start.pin.as_ref());
        pinned.map(|pin| pin.root_commit.clone()).or_else(|| Some(self.checked.root()?.to_string()))
    }

    /// Whether everything was read, and is in order, so that this clone may rely upon it from now on.
    pub fn is_sound(&self) -> bool {
        let is_checked = |layer| self.states.get(&layer) == Some(&LayerStatus::Ok);
        let mut layers = [Layer::Objects, Layer::History, Layer::Entries].into_iter();
        layers.all(is_checked)
            && self.checked.unread == 0
            && !self.is_pin_damaged
            && !self.findings.has(Severity::Error)
    }

    /// Remembers what was verified.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember(&self) -> Result<()> {
        let before = self.start.as_ref().and_then(|start| start.pin.as_ref());
        let unsigned = self.unsigned();
        let checkpoints = self.held.clone().or_else(|| before?.checkpoints.clone());
        let is_known = before.is_some_and(|pin| {
            pin.commit == self.tip.to_string()
                && (&pin.unsigned, &pin.checkpoints) == (&unsigned, &checkpoints)
        });
        let (Some(range), Some(root_commit)) = (self.range(), self.root_commit()) else { return Ok(()) };
        if is_known || range.size() == 0 {
            return Ok(());
        }
        let latest = self.checked.latest.iter().copied().chain(before.map(|pin| pin.latest)).max();
        let leaves = &self.checked.leaves;
        let latest = latest.unwrap_or(0);
        let now = Verified { commit: self.tip, root_commit, leaves, latest, unsigned, checkpoints };
        self.memory.remember(before, now)
    }

    /// What git sees, and the working trees.
    pub fn judge_surroundings(&mut self) {
        let view = view::check(self.ledger, &self.checked.steps, &mut self.findings);
        let checkout = match self.start {
            // Every file of the working tree would be read, to look at a few commits.
            Some(_) => LayerStatus::NotChecked("only what is new was looked at".to_owned()),
            None => checkout::check(self.ledger, &mut self.findings),
        };
        self.states.extend([(Layer::View, view), (Layer::Checkout, checkout)]);
    }

    pub fn report(mut self, options: &Options) -> Report {
        let range = self.range();
        for code in self.findings.counts().keys() {
            let state = self.states.get(&code.layer());
            // What could not be checked has not failed.
            let is_open = matches!(state, Some(LayerStatus::NotChecked(_)));
            if code.severity() == Severity::Error || (code.severity() == Severity::Inconclusive && !is_open) {
                self.states.insert(code.layer(), LayerStatus::Failed);
            }
        }
        let layers: Vec<_> = Layer::ALL
            .into_iter()
            .map(|layer| {
                let state = self.states.get(&layer).cloned();
                (layer, state.unwrap_or_else(|| LayerStatus::NotChecked("it was not asked for".to_owned())))
            })
            .collect();
        let is_ok =
            |layer: &Layer| layers.iter().any(|(found, state)| found == layer && *state == LayerStatus::Ok);
        let entries = range.as_ref().map_or(self.checked.leaves.len() as u64, CompactRange::size);
        let lacking: Vec<_> = options.required.iter().filter(|layer| !is_ok(layer)).copied().collect();
        let verdict = if self.findings.has(Severity::Error) {
            Verdict::NotValid
        } else if entries == 0
            || self.findings.has(Severity::Inconclusive)
            || !self.checked.timeline.shallow.is_empty()
            || !lacking.is_empty()
            || self.is_pin_damaged
        {
            Verdict::Inconclusive
        } else if self.start.is_none() && layers.iter().all(|(_, state)| *state == LayerStatus::Ok) {
            Verdict::Valid
        } else {
            Verdict::NothingFound
        };
        let unremembered =
            if self.is_sound() { self.remember().err().map(|error| error.to_string()) } else { None };
        let counts = self.findings.counts().clone();
        let first_bad_commit = self.findings.first_bad_commit().map(str::to_owned);
        let findings = self.findings.into_list();
        Report {
            branch: self.ledger.branch().to_owned(),
            head: self.tip,
            since: self.start.map(|start| start.step.id),
            entries,
            commits: self.checked.steps.len() as u64,
            merkle_root: range.map(|range| merkle::to_base64(&range.root())),
            other_tip: self.ledger.other_tip(),
            required: options.required.clone(),
            layers,
            lacking,
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
        let step = Step::read(&objects, id)?;
        let committed_at = pin.as_ref().map_or(step.committed_at, |pin| pin.latest);
        let step = Step { committed_at, ..step };
        Ok(Self { step, pin })
    }
}
