//! From figures to verdicts.

/// How many bars were set, and how many of them met.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) met: usize,
    pub(crate) set: usize,
}

impl Score {
    /// The bar, which is the value to stay under, and the verdict, as the tables show them.
    pub(crate) fn judge(&mut self, value: f64, bar: Option<f64>) -> (String, &'static str) {
        let Some(bar) = bar else {
            return ("none".to_owned(), "");
        };
        let met = value < bar;
        self.set += 1;
        self.met += usize::from(met);
        (format!("< {bar}"), if met { "met" } else { "missed" })
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
