//! Base64 in a text: runs that may hide a secret, and what they decode to.
//!
//! Whatever is glued to the front of a run shifts it, so each run is decoded from four beginnings. Lines that were
//! wrapped, which makes all but the first and the last one equally long, are one run.

use std::ops::Range;

/// Shorter runs hide no secret worth the time.
const MIN_SYMBOLS: usize = 16;
/// Tools wrap at 64 or 76 columns, people at fewer. A shorter line ends the run.
const MIN_LINE: usize = 20;
const NO_SYMBOL: u8 = 0xff;

/// The value of each symbol, in both alphabets.
const VALUES: [u8; 256] = {
    let mut values = [NO_SYMBOL; 256];
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < symbols.len() {
        values[symbols[value] as usize] = value as u8;
        value += 1;
    }
    values[b'-' as usize] = 62;
    values[b'_' as usize] = 63;
    values
};

/// Hands over each run of `text` that is worth decoding, and its symbols' values.
pub(super) fn for_each_run(text: &[u8], visit: &mut dyn FnMut(Range<usize>, &[u8])) {
    let is_symbol =
        |place: usize| text.get(place).is_some_and(|byte| VALUES[usize::from(*byte)] != NO_SYMBOL);
    let mut values = Vec::new();
    let mut place = 0;
    while place < text.len() {
        let start = place;
        let mut widths = Vec::new();
        loop {
            let line_start = place;
            while is_symbol(place) {
                place += 1;
            }
            let next = place + line_break(&text[place..]);
            let width = place - line_start;
            let is_wrapped = width >= MIN_LINE && widths.get(1).is_none_or(|usual| *usual == width);
            if next == place || !is_wrapped || !is_symbol(next) {
                break;
            }
            widths.push(width);
            place = next;
        }
        let run = &text[start..place];
        // What ASCII encodes to has capitals: paths, hashes and names of small letters are no text.
        if run.len() >= MIN_SYMBOLS && run.iter().any(u8::is_ascii_uppercase) {
            let padding = text[place..].iter().take(2).take_while(|byte| **byte == b'=').count();
            values.clear();
            push_values(run, &mut values);
            visit(start..place + padding, &values);
        }
        place += 1;
    }
}

/// The values of a run's symbols, without line breaks.
fn push_values(run: &[u8], values: &mut Vec<u8>) {
    let mut place = 0;
    while place < run.len() {
        match line_break(&run[place..]) {
            0 => {
                values.push(VALUES[usize::from(run[place])]);
                place += 1;
            }
            length => place += length,
        }
    }
}

/// The length of the line break that `text` begins with, also one that is written as an escape, and of the indentation
/// after it.
fn line_break(text: &[u8]) -> usize {
    let breaks = ["\r\n", "\n", "\\r\\n", "\\n"];
    if !matches!(text.first(), Some(b'\r' | b'\n' | b'\\')) {
        return 0;
    }
    let Some(found) = breaks.iter().find(|found| text.starts_with(found.as_bytes())) else { return 0 };
    let indentation = text[found.len()..].iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    found.len() + indentation.count()
}

/// Decodes from the symbol `shift` on.
pub(super) fn decode(symbols: &[u8], shift: usize, into: &mut Vec<u8>) {
    into.clear();
    for group in symbols.get(shift..).unwrap_or_default().chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, value| bits << 6 | u32::from(*value));
        let bits = bits << (6 * (4 - group.len()));
        let bytes = bits.to_be_bytes();
        into.extend_from_slice(&bytes[1..group.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for_each_run(text.as_bytes(), &mut |_, symbols| {
            for shift in 0..4 {
                let mut bytes = Vec::new();
                decode(symbols, shift, &mut bytes);
                found.push(String::from_utf8_lossy(&bytes).into_owned());
            }
        });
        found
    }

    #[test]
    fn a_run_is_decoded_with_and_without_padding_and_after_what_is_glued_to_it() {
        for text in
            ["aGVsbG8gd29ybGQhIQ==", "aGVsbG8gd29ybGQhIQ", "x-aGVsbG8gd29ybGQhIQ", "xaGVsbG8gd29ybGQhIQ"]
        {
            assert!(decoded(text).iter().any(|text| text.contains("hello world!!")), "{text}");
        }
    }

    #[test]
    fn lines_that_were_wrapped_are_one_run() {
        let line = "QUFB".repeat(19);
        for separator in ["\n", "\r\n", "\\n"] {
            let text = format!("{line}{separator}aGVsbG8gd29ybGQhIQ==");
            assert!(decoded(&text)[0].ends_with("AAAhello world!!"), "{separator:?}");
        }
    }

    #[test]
    fn names_and_hashes_are_not_decoded() {
        assert!(decoded("src/entry/redact/encoded 3f2b8c1e7d4a4f6b9c2d1e0f9a8b7c6d too-short").is_empty());
    }
}
