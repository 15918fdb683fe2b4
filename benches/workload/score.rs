//! From figures to verdicts.

use std::fmt;

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    Below(f64),
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::Below(limit) => value < limit,
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => write!(formatter, "< {limit}"),
            Self::AtMost(limit) => write!(formatter, "<= {limit}"),
            Self::AtLeast(limit) => write!(formatter, ">= {limit}"),
        }
    }
}

/// How many bars were set, and how many of them met.
#[derive(Default)]
pub(crate) struct Score {
    met: usize,
    set: usize,
}

impl Score {
    /// The bar and the verdict, as the tables show them.
    pub(crate) fn judge(&mut self, value: f64, bar: Option<Bar>) -> (String, &'static str) {
        let Some(bar) = bar else {
            return ("none".to_owned(), "");
        };
        let met = bar.is_met_by(value);
        self.set += 1;
        self.met += usize::from(met);
        (bar.to_string(), if met { "met" } else { "missed" })
    }
}

impl fmt::Display for Score {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bars met: {} of {}", self.met, self.set)
    }
}

/// The middle of the values, of which there must be at least one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The values of `ours` in all, as a multiple of those of `other`: unlike a median it has the rare slow round in it.
pub(crate) fn overall(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (ours, other) = pairs.fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
    ours / other
}
