//! Where findings are collected. All of them are counted; of one kind, only so many are kept.

use std::collections::BTreeMap;

use super::report::{Code, Finding, Severity};

/// Of one code. A ledger that was rebuilt has one for each commit, and nobody reads a hundred thousand.
const MOST_KEPT: usize = 1000;

/// Findings, each at the place of the commit that it is about.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<(usize, Finding)>,
    counts: BTreeMap<Code, u64>,
    place: usize,
}

impl Findings {
    /// What is added from now on is about the commit at this place of the order.
    pub fn at(&mut self, place: usize) -> &mut Self {
        self.place = place;
        self
    }

    /// Takes a finding.
    pub fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= MOST_KEPT as u64 {
            self.kept.push((self.place, finding));
        }
    }

    /// Takes those of another collection.
    pub fn absorb(&mut self, other: Self) {
        let Self { kept, mut counts, place } = other;
        let here = std::mem::replace(&mut self.place, place);
        for (place, finding) in kept {
            if let Some(count) = counts.get_mut(&finding.code) {
                *count -= 1;
            }
            self.at(place).add(finding);
        }
        for (code, count) in counts {
            *self.counts.entry(code).or_default() += count;
        }
        self.place = here;
    }

    /// Places, which were counted from the newest of `total` commits, counted from the oldest.
    pub fn turned_round(mut self, total: usize) -> Self {
        self.kept.iter_mut().for_each(|(place, _)| *place = total.saturating_sub(*place + 1));
        self
    }

    /// How many there are of a code.
    pub fn count(&self, code: Code) -> u64 {
        self.counts.get(&code).copied().unwrap_or(0)
    }

    /// How many there are of each code.
    pub fn counts(&self) -> &BTreeMap<Code, u64> {
        &self.counts
    }

    /// Whether there is one as grave as this.
    pub fn has(&self, severity: Severity) -> bool {
        self.counts.keys().any(|code| code.severity() >= severity)
    }

    /// Those that are kept, in the order of the commits that they are about.
    pub fn into_list(mut self) -> Vec<Finding> {
        self.kept.sort_by_key(|(place, _)| *place);
        self.kept.into_iter().map(|(_, finding)| finding).collect()
    }
}
