//! Input as callers give it: one JSON object, over as many lines as they like, or JSON Lines. Read line by line, so
//! that an endless input is recorded as it comes and a huge one needs no memory.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde_json::Value;

use crate::entry::parse::{self, Invalid};

/// The most bytes of one document or line. An entry has at most 1 MiB as it is stored; the rest is room for
/// indentation and escapes.
const MAX_DOCUMENT_BYTES: usize = 4 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// A line that is longer than this does not end; what follows it is not waited for.
const MAX_SKIPPED_BYTES: usize = 64 << 20;

/// One JSON value of an input, or why there is none.
#[derive(Debug)]
pub struct Document {
    /// The line that it begins on, from 1; `None` when it is the whole input.
    pub line: Option<usize>,
    /// The value.
    pub value: Result<Value, Invalid>,
    /// Where there is no value: the text, as far as it was read.
    pub text: Vec<u8>,
}

impl Document {
    fn of(line: Option<usize>, value: Result<Value, Invalid>, text: Vec<u8>) -> Self {
        let text = if value.is_err() { text } else { Vec::new() };
        Self { line, value, text }
    }
}

/// What an input that begins with `[` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrays {
    /// A document that is no entry.
    Refused,
    /// Its elements are the documents.
    Streamed,
}

/// The documents of one input.
pub struct Documents<R> {
    reader: BufReader<R>,
    /// Lines that were read to see what kind of input it is, and are to be read again.
    again: Cursor<Vec<u8>>,
    /// Lines read so far.
    lines: usize,
    state: State,
    arrays: Arrays,
}

#[derive(PartialEq)]
enum State {
    Start,
    Lines,
    /// Inside the array.
    Elements,
    End,
}

enum Line {
    Text(Vec<u8>),
    /// What there is of it within the limit.
    TooLong(Vec<u8>),
    End,
}

impl<R: Read> Documents<R> {
    /// Reads from `reader`.
    pub fn new(reader: R, arrays: Arrays) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Self { reader, again: Cursor::new(Vec::new()), lines: 0, state: State::Start, arrays }
    }

    /// Whether asking for the next document may wait for whoever writes the input.
    pub fn may_wait(&mut self) -> bool {
        self.reader.buffer().is_empty() && self.again.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    /// The next document; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next_document(&mut self) -> io::Result<Option<Document>> {
        if self.state == State::Start && self.arrays == Arrays::Streamed && self.begins_array()? {
            self.state = State::Elements;
        }
        if self.state == State::Elements {
            return self.next_element();
        }
        if self.state == State::Start {
            self.state = State::Lines;
            if let Some(document) = self.read_first()? {
                return Ok(Some(document));
            }
        }
        loop {
            if self.state == State::End {
                return Ok(None);
            }
            let (value, text) = match self.read_line()? {
                Line::End => {
                    self.state = State::End;
                    continue;
                }
                Line::TooLong(text) => (Err(too_long()), text),
                Line::Text(text) if text.trim_ascii().is_empty() => continue,
                Line::Text(text) => (parse::parse(text.trim_ascii_end()), text),
            };
            // A line's own line number is always 1; the one in the input is in the document.
            let value = value.map_err(|invalid| Invalid { line: None, ..invalid });
            return Ok(Some(Document::of(Some(self.lines), value, text)));
        }
    }

    /// An input whose first line is a JSON value is JSON Lines. Else it is one document, unless a later line is an
    /// entry by itself: then only the first line is bad, and the good ones must not be lost with it.
    ///
    /// `None`: it is JSON Lines, to be read from its first line.
    fn read_first(&mut self) -> io::Result<Option<Document>> {
        let mut whole = loop {
            match self.read_line()? {
                Line::Text(text) if text.trim_ascii().is_empty() => {}
                Line::Text(text) => break text,
                Line::TooLong(text) => {
                    return Ok(Some(Document::of(Some(self.lines), Err(too_long()), text)));
                }
                Line::End => {
                    return Ok(Some(
                        self.whole(Err(Invalid::whole("is empty: expected a JSON object")), Vec::new()),
                    ));
                }
            }
        };
        let first_line = self.lines;
        if parse::parse(whole.trim_ascii_end()).is_ok() {
            self.read_again(whole, first_line);
            return Ok(None);
        }
        let mut has_entry_line = false;
        let ended = loop {
            if whole.len() > MAX_DOCUMENT_BYTES {
                break false;
            }
            match self.read_line()? {
                Line::Text(text) => {
                    has_entry_line = has_entry_line || is_entry_line(&text);
                    whole.extend(text);
                }
                Line::TooLong(_) => break false,
                Line::End => break true,
            }
        };
        let value = if ended { parse::parse(whole.trim_ascii_end()) } else { Err(too_long()) };
        if value.is_err() && has_entry_line {
            self.read_again(whole, first_line);
            return Ok(None);
        }
        // What was passed over in front of the document still counts for its line numbers.
        let shift = |line: usize| line + first_line - 1;
        let value = value.map_err(|invalid| Invalid { line: invalid.line.map(shift), ..invalid });
        Ok(Some(self.whole(value, whole)))
    }

    /// The document that is the whole input.
    fn whole(&mut self, value: Result<Value, Invalid>, text: Vec<u8>) -> Document {
        self.state = State::End;
        Document::of(None, value, text)
    }

    /// Passes over blanks; then, whether `[` comes next, which is passed over, too.
    fn begins_array(&mut self) -> io::Result<bool> {
        let begins = self.skip_blanks()? == Some(b'[');
        if begins {
            self.reader.consume(1);
        }
        // Lines count from where the first document is looked for.
        self.lines += usize::from(begins);
        Ok(begins)
    }

    /// The next byte that is not blank; `None` at the end.
    fn skip_blanks(&mut self) -> io::Result<Option<u8>> {
        loop {
            let Some(&next) = self.reader.fill_buf()?.first() else { return Ok(None) };
            if !next.is_ascii_whitespace() {
                return Ok(Some(next));
            }
            self.lines += usize::from(next == b'\n');
            self.reader.consume(1);
        }
    }

    /// The next element of the array. Where it ends is told by brackets alone, so that a bad element does not cost
    /// those after it.
    fn next_element(&mut self) -> io::Result<Option<Document>> {
        let first = self.skip_blanks()?;
        let line = self.lines;
        let ended = |rule: &str| Some(Document::of(Some(line), Err(Invalid::whole(rule)), Vec::new()));
        match first {
            None => {
                self.state = State::End;
                return Ok(ended("the array does not end: `]` is missing"));
            }
            Some(b']') => {
                self.reader.consume(1);
                let after = self.skip_blanks()?;
                self.state = State::End;
                return Ok(after.and_then(|_| ended("there is text after the end of the array")));
            }
            Some(_) => {}
        }
        let mut element = Element::default();
        let mut text = Vec::new();
        let mut skipped = 0;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let length = buffer.iter().position(|byte| element.ends_before(*byte)).unwrap_or(buffer.len());
            let ends = length < buffer.len();
            self.lines += buffer[..length].iter().filter(|byte| **byte == b'\n').count();
            let room = (MAX_DOCUMENT_BYTES + 1).saturating_sub(text.len()).min(length);
            text.extend_from_slice(&buffer[..room]);
            skipped += length - room;
            let comma = ends && buffer[length] == b',';
            self.reader.consume(length + usize::from(comma));
            if ends {
                break;
            }
            if skipped > MAX_SKIPPED_BYTES {
                self.state = State::End;
                break;
            }
        }
        let value = if text.len() > MAX_DOCUMENT_BYTES {
            Err(too_long())
        } else {
            parse::parse(text.trim_ascii_end())
        };
        let within = value.as_ref().err().and_then(|invalid| invalid.line).unwrap_or(1);
        let value = value.map_err(|invalid| Invalid { line: None, ..invalid });
        Ok(Some(Document::of(Some(line + within - 1), value, text)))
    }

    fn read_again(&mut self, text: Vec<u8>, first_line: usize) {
        self.again = Cursor::new(text);
        self.lines = first_line - 1;
    }

    fn read_line(&mut self) -> io::Result<Line> {
        let mut text = Vec::new();
        let limit = MAX_DOCUMENT_BYTES as u64 + 1;
        self.again.read_until(b'\n', &mut text)?;
        if text.is_empty() && self.reader.by_ref().take(limit).read_until(b'\n', &mut text)? == 0 {
            return Ok(Line::End);
        }
        self.lines += 1;
        if text.len() <= MAX_DOCUMENT_BYTES {
            return Ok(Line::Text(text));
        }
        let (mut skipped, kept) = (text.len(), text.clone());
        while text.last() != Some(&b'\n') {
            if skipped > MAX_SKIPPED_BYTES {
                self.state = State::End;
                break;
            }
            text.clear();
            if self.reader.by_ref().take(limit).read_until(b'\n', &mut text)? == 0 {
                break;
            }
            skipped += text.len();
        }
        Ok(Line::TooLong(kept))
    }
}

/// How deep in brackets, and whether in a string, the bytes of an element so far lead.
#[derive(Default)]
struct Element {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Element {
    /// Whether the element ends before `byte`; else takes it in.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

fn too_long() -> Invalid {
    Invalid::whole(format!("is over {} MiB; an entry is at most 1 MiB", MAX_DOCUMENT_BYTES >> 20))
}

/// Inside a document written over several lines no line looks like this: they are indented.
fn is_entry_line(line: &[u8]) -> bool {
    line.starts_with(b"{") && parse::parse(line).is_ok_and(|value| value.get("task_id").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> Vec<(Option<usize>, Result<Value, Invalid>)> {
        let mut documents = Documents::new(input.as_bytes(), Arrays::Streamed);
        std::iter::from_fn(|| documents.next_document().unwrap())
            .map(|document| (document.line, document.value))
            .collect()
    }

    #[test]
    fn one_object_over_many_lines_is_one_document() {
        let found = read("\n\n{\n  \"task_id\": \"a\"\n}\n\n");
        assert!(matches!(&found[..], [(None, Ok(value))] if value["task_id"] == "a"));
    }

    #[test]
    fn a_syntax_error_names_its_line_in_the_input() {
        let found = read("\n{\n  \"task_id\": \"a\"\n  \"status\": 1\n}\n");
        let [(None, Err(invalid))] = &found[..] else { panic!("{found:?}") };
        assert_eq!(invalid.line, Some(4));
    }

    #[test]
    fn a_bad_line_does_not_lose_the_good_ones_wherever_it_stands() {
        for (input, bad) in [
            ("{\"task_id\": \"a\"\n{\"task_id\": \"b\"}\n{\"task_id\": \"c\"}\n", 1),
            ("{\"task_id\": \"a\"}\n{\"task_id\": \n{\"task_id\": \"c\"}\n", 2),
            ("{\"task_id\": \"a\"}\n{\"task_id\": \"b\"}\nnonsense", 3),
            ("\u{feff}{\"task_id\": \"a\"}\n{\"task_id\": \"b\"}\n{\"task_id\": \"c\"}", 1),
        ] {
            let found = read(input);
            let lines: Vec<_> = found.iter().map(|(line, _)| line.unwrap()).collect();
            assert_eq!(lines, [1, 2, 3], "{input}");
            let failed: Vec<_> =
                found.iter().filter(|(_, value)| value.is_err()).map(|(line, _)| line.unwrap()).collect();
            assert_eq!(failed, [bad], "{input}");
        }
    }

    #[test]
    fn an_entry_inside_a_broken_document_is_not_taken_for_a_line() {
        let found = read("{\n  \"task_id\": \"a\",,\n  \"x\": [\n    {\"task_id\": \"b\"}\n  ]\n}\n");
        assert!(matches!(&found[..], [(None, Err(_))]), "{found:?}");
    }

    #[test]
    fn a_line_past_the_limit_costs_no_memory_and_not_its_neighbours() {
        let long = format!(
            "{{\"task_id\": \"a\"}}\n{{\"title\": \"{}\"}}\n{{\"task_id\": \"c\"}}\n",
            "x".repeat(3 * MAX_DOCUMENT_BYTES)
        );
        let found = read(&long);
        assert_eq!(
            found.iter().map(|(line, value)| (line.unwrap(), value.is_ok())).collect::<Vec<_>>(),
            [(1, true), (2, false), (3, true)]
        );
        let endless = read(&"\0".repeat(80 << 20));
        assert!(matches!(&endless[..], [(_, Err(_))]), "{endless:?}");
        assert!(read(&"[".repeat(5 << 20))[0].1.as_ref().unwrap_err().rule.contains("4 MiB"));
    }

    #[test]
    fn a_bad_element_of_an_array_does_not_lose_the_others() {
        let found = read(
            "\n[\n  {\"task_id\": \"a]\\\",[\"},\n  {\"x\": nonsense,\n \"y\"},\n  {\n\"task_id\": [1, {}]}\n]\n",
        );
        let lines: Vec<_> = found.iter().map(|(line, value)| (line.unwrap(), value.is_ok())).collect();
        assert_eq!(lines, [(3, true), (4, false), (6, true)], "{found:?}");
        assert_eq!(found[0].1.as_ref().unwrap()["task_id"], "a]\",[");
        assert!(read("[]").is_empty());
        assert!(
            matches!(&read("[{}, ")[..], [(_, Ok(_)), (_, Err(invalid))] if invalid.rule.contains("does not end"))
        );
        assert!(
            matches!(&read("[{}] x")[..], [(_, Ok(_)), (_, Err(invalid))] if invalid.rule.contains("after the end"))
        );
        assert!(matches!(&read("[{},,{}]")[..], [(_, Ok(_)), (_, Err(_)), (_, Ok(_))]));
        let long = format!("[{{}}, {{\"title\": \"{}\"}}, {{}}]", "x".repeat(3 * MAX_DOCUMENT_BYTES));
        assert_eq!(
            read(&long).iter().map(|(_, value)| value.is_ok()).collect::<Vec<_>>(),
            [true, false, true]
        );
    }

    #[test]
    fn an_empty_input_is_an_error_and_blank_lines_between_entries_are_not() {
        assert!(matches!(&read("")[..], [(None, Err(invalid))] if invalid.rule.contains("empty")));
        assert!(matches!(&read(" \n\n")[..], [(None, Err(_))]));
        assert_eq!(read("{}\n\n{}\n").iter().map(|(line, _)| line.unwrap()).collect::<Vec<_>>(), [1, 3]);
    }
}
