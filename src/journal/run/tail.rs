//! The last lines of what a command wrote.

/// As many bytes as the relay keeps. Much more than what is shown of them, so that whatever has to be recognised in it
/// as a whole is there as a whole.
pub(super) const KEPT_BYTES: usize = 64 << 10;

/// The kept end of a stream.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// What came next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 4 * KEPT_BYTES {
            self.cut();
        }
    }

    /// The end, from the beginning of a line where there is one.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        if self.is_cut
            && let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n')
        {
            self.bytes.drain(..=end);
        }
        self.bytes
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(KEPT_BYTES);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }
}

/// Text for people: as it was left on a terminal, without colours and without what was written over.
pub(super) fn lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split('\n').map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        without_escapes(line.rsplit('\r').next().unwrap_or_default()).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

/// Without the sequences that steer a terminal (ECMA-48: control sequences, and strings such as titles and links).
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('[') => _ = characters.by_ref().find(|end| ('@'..='~').contains(end)),
            Some(']' | 'P' | '_' | '^') => {
                let mut before = '\0';
                _ = characters.by_ref().find(|end| {
                    let ends = *end == '\u{7}' || before == '\u{1b}' && *end == '\\';
                    before = *end;
                    ends
                });
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_begins_with_a_whole_line_and_stays_small() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let bytes = tail.into_bytes();
        assert!(bytes.len() <= KEPT_BYTES && bytes.starts_with(b"line ") && bytes.ends_with(b"line 99999\n"));
    }

    #[test]
    fn what_a_terminal_would_not_show_any_more_is_gone() {
        let shown =
            lines(b"\x1b[31merror\x1b[0m: no\r\n10%\r50%\r100%\n\x1b]8;;http://x\x1b\\link\x1b]8;;\x07\n\n");
        assert_eq!(shown, "error: no\n100%\nlink");
    }
}
