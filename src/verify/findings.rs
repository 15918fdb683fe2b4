//! Where findings are collected. All of them are counted; of one kind, only so many are kept.

use std::collections::BTreeMap;

use super::report::{Code, Finding, Layer, Severity};

/// Of one code. A ledger that was rebuilt has one for each commit, and nobody reads a hundred thousand.
const MOST_KEPT: usize = 1000;

/// Findings, each at the place of the commit that it is about.
#[derive(Debug, Default)]
pub struct Findings {
    kept: Vec<(usize, Finding)>,
    counts: BTreeMap<Code, u64>,
    place: usize,
    /// The first and the last commit that breaks a rule, whether or not that finding is kept.
    bad: Option<[(usize, String); 2]>,
}

impl Findings {
    /// What is added from now on is about the commit at this place of the order.
    pub fn at(&mut self, place: usize) -> &mut Self {
        self.place = place;
        self
    }

    /// Takes a finding.
    pub fn add(&mut self, finding: Finding) {
        if let Some(commit) = finding.commit.clone().filter(|_| is_bad(finding.code)) {
            self.extend_bad([(self.place, commit.clone()), (self.place, commit)]);
        }
        let count = self.counts.entry(finding.code).or_default();
        *count += 1;
        if *count <= MOST_KEPT as u64 {
            self.kept.push((self.place, finding));
        }
    }

    /// Takes those of another collection.
    pub fn absorb(&mut self, other: Self) {
        let Self { kept, mut counts, place, bad } = other;
        bad.into_iter().for_each(|bad| self.extend_bad(bad));
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
        let turned = |place: usize| total.saturating_sub(place + 1);
        self.kept.iter_mut().for_each(|(place, _)| *place = turned(*place));
        self.bad =
            self.bad.map(|[(first, one), (last, other)]| [(turned(last), other), (turned(first), one)]);
        self
    }

    /// The first commit that breaks a rule.
    pub fn first_bad_commit(&self) -> Option<&str> {
        self.bad.as_ref().map(|[(_, commit), _]| commit.as_str())
    }

    fn extend_bad(&mut self, [first, last]: [(usize, String); 2]) {
        let known = self.bad.take();
        let [known_first, known_last] = known.unwrap_or_else(|| [first.clone(), last.clone()]);
        let first = if first.0 < known_first.0 { first } else { known_first };
        let last = if last.0 > known_last.0 { last } else { known_last };
        self.bad = Some([first, last]);
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

/// Against the history; what this clone or a checkpoint knew of is not in it.
fn is_bad(code: Code) -> bool {
    code.severity() == Severity::Error && !matches!(code.layer(), Layer::Pin | Layer::Checkpoints)
}
