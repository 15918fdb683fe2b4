//! A text of lines of which only the first are kept, however long it gets.

use crate::entry::text::shorten_of;

/// Lines, up to a limit of bytes.
pub(super) struct Capped {
    text: String,
    max_bytes: usize,
    total_bytes: u64,
}

impl Capped {
    pub fn new(max_bytes: usize) -> Self {
        Self { text: String::new(), max_bytes, total_bytes: 0 }
    }

    pub fn line(&mut self, line: &str) {
        self.total_bytes += line.len() as u64 + 1;
        if self.text.len() <= self.max_bytes {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    /// The text, with git-audit's note at its end if it was cut, and how long it would have been.
    pub fn finish(self) -> (String, u64) {
        (shorten_of(&self.text, self.max_bytes, self.total_bytes), self.total_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_says_how_long_the_whole_was() {
        let mut text = Capped::new(60);
        (0..1000).for_each(|_| text.line("123456789"));
        let (text, total) = text.finish();
        assert_eq!(total, 10_000);
        assert!(text.len() <= 60 && text.ends_with("... (truncated, total 10000 bytes)"), "{text}");
    }
}
