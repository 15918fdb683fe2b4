//! `git audit hook pre-receive`: which pushes a repository accepts.
//!
//! A push is accepted as a whole or not at all, and what cannot be understood or checked is refused. A push that has
//! nothing to do with the ledger's branch costs a look at its names.

use std::path::PathBuf;

use super::Context;
use crate::error::Result;
use crate::ledger::{Aim, Gate, ObjectId};
pub use crate::verify::guard::Refusal;
use crate::verify::guard::{self, Move};

/// What git tells its hook.
#[derive(Debug)]
pub struct GuardOptions {
    /// A line for each ref: `<old> <new> <ref>`.
    pub input: Vec<u8>,
    /// Directories of objects that came with the push, and are not the repository's yet.
    pub incoming: Vec<PathBuf>,
}

/// A ref that is to be moved.
struct Update<'u> {
    /// `None`: it is to be made.
    old: Option<ObjectId>,
    /// `None`: it is to be deleted.
    new: Option<ObjectId>,
    name: &'u str,
}

/// Why the push is refused; nothing: it is accepted.
///
/// # Errors
/// It could not be judged, and must be refused for that.
pub fn run(context: &Context, options: &GuardOptions) -> Result<Vec<Refusal>> {
    let gate = Gate::open(&context.place, None)?;
    let Some(updates) = read(&options.input, gate.id_digits()) else {
        let message = "standard input is not a line `<old> <new> <ref>` for each ref that is pushed";
        return Ok(vec![Refusal::new("malformed", message)]);
    };
    let mut of_ledger = Vec::new();
    let mut refusals = Vec::new();
    for update in updates {
        match gate.aim(update.name)? {
            Aim::Ledger => of_ledger.push(update),
            Aim::OtherCase => {
                let message =
                    format!("on this file system, {} is the ledger's branch `{}`", update.name, gate.name());
                refusals.push(Refusal::new("other-case", message));
            }
            Aim::Elsewhere => {}
        }
    }
    match of_ledger.as_slice() {
        [] => {}
        [update] => refusals.extend(judge(&gate, update, &options.incoming)?),
        [..] => {
            let message = format!("the push moves the ledger's branch `{}` more than once", gate.name());
            refusals.push(Refusal::new("several-updates", message));
        }
    }
    Ok(refusals)
}

fn judge(gate: &Gate, update: &Update<'_>, incoming: &[PathBuf]) -> Result<Vec<Refusal>> {
    let branch = gate.name();
    let Some(new) = update.new else {
        let message = format!("the ledger's branch `{branch}` is never deleted");
        return Ok(vec![Refusal::new("delete", message)]);
    };
    let tip = gate.tip()?;
    if tip != update.old {
        let message = format!(
            "the ledger's branch `{branch}` was moved by somebody else meanwhile; fetch, and push again"
        );
        return Ok(vec![Refusal::new("moved", message)]);
    }
    guard::judge(&Move { gate, old: tip, new, incoming })
}

/// The lines, if all of them are ones.
fn read(input: &[u8], id_digits: usize) -> Option<Vec<Update<'_>>> {
    let lines = std::str::from_utf8(input).ok()?.strip_suffix('\n')?;
    lines.split('\n').map(|line| read_line(line, id_digits)).collect()
}

fn read_line(line: &str, id_digits: usize) -> Option<Update<'_>> {
    let mut words = line.splitn(3, ' ');
    let mut id = || {
        let word = words.next().filter(|word| word.len() == id_digits)?;
        if word.bytes().all(|digit| digit == b'0') { Some(None) } else { ObjectId::parse(word).map(Some) }
    };
    let (old, new) = (id()?, id()?);
    let name =
        words.next().filter(|name| !name.is_empty() && !name.contains(|found: char| found.is_control()))?;
    (old.is_some() || new.is_some()).then_some(Update { old, new, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_writes_is_understood() {
        let (id, zero) = ("a".repeat(40), "0".repeat(40));
        let read = |text: &str| read(text.as_bytes(), 40).map(|updates| updates.len());
        assert_eq!(read(&format!("{zero} {id} refs/heads/a\n{id} {zero} refs/heads/b c\n")), Some(2));
        for text in [
            String::new(),
            "\n".to_owned(),
            format!("{zero} {id} refs/heads/a"),
            format!("{zero} {id} \n"),
            format!("{zero} {id}\n"),
            format!("{zero} {id} refs/heads/a\n\n"),
            format!("{zero} {id} refs/heads/a\r\n"),
            format!("{zero}  {id} refs/heads/a\n"),
            format!("{zero} {zero} refs/heads/a\n"),
            format!("{zero} {}g refs/heads/a\n", &id[1..]),
            format!("{} {id} refs/heads/a\n", &zero[1..]),
            format!("{zero} {} refs/heads/a\n", "a".repeat(64)),
        ] {
            assert_eq!(read(&text), None, "{text:?}");
        }
    }
}
