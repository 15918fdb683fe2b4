//! `record --best-effort`: the caller's own work must never fail because of its record.

use std::path::PathBuf;

use super::environment;
use crate::error::ExitStatus;
use crate::ledger::{Spool, Spooled};
use crate::ops::redaction::redactor_at;
use crate::output::Messages;

/// Keeps a command line that cannot be understood, if it asked for best effort: it may be all there is of an entry.
/// `None`: it did not.
pub(super) fn keep_arguments(messages: &mut Messages) -> Option<ExitStatus> {
    let arguments = environment::arguments();
    let record = arguments.iter().any(|argument| argument == "record");
    if !(record && arguments.iter().any(|argument| argument.starts_with("--best-effort"))) {
        return None;
    }
    let changes = arguments.iter().zip(arguments.iter().skip(1)).filter(|(flag, _)| *flag == "-C");
    let changes: Vec<_> = changes.map(|(_, path)| PathBuf::from(path)).collect();
    let why = "the command line could not be understood";
    let kept = environment::place(&changes, true).and_then(|place| {
        let (arguments, _) = redactor_at(&place).arguments(&arguments);
        let text = serde_json::json!({ "arguments": arguments }).to_string();
        Spool::keep_somewhere(&[Spooled::Text(text.as_bytes())], why, &place)
    });
    match kept {
        Ok(files) => files.iter().for_each(|file| {
            messages.warning(&format!("nothing was recorded; the arguments are in {}", file.display()))
        }),
        Err(error) => messages.warning(&format!("nothing was recorded: {error}")),
    }
    Some(ExitStatus::Done)
}
