//! `record --best-effort`: the caller's own work must never fail because of its record.

use super::environment;
use crate::error::{Error, ExitStatus};
use crate::ledger::{Spool, Spooled};
use crate::output::Messages;

/// Keeps a command line that cannot be understood, if it asked for best effort: it may be all there is of an entry.
/// `None`: it did not.
pub(super) fn keep_arguments(messages: &mut Messages) -> Option<ExitStatus> {
    let arguments = environment::arguments();
    let record = arguments.iter().any(|argument| argument == "record");
    if !(record && arguments.iter().any(|argument| argument.starts_with("--best-effort"))) {
        return None;
    }
    let text = serde_json::json!({ "arguments": arguments }).to_string();
    let kept = environment::place(&[], true).and_then(|place| {
        let places = Spool::places(&place);
        let why = "the command line could not be understood";
        let mut last = Error::Usage("there is no directory where it could wait".into());
        for spool in places {
            match spool.keep(&[Spooled::Text(text.as_bytes())], why, &place) {
                Ok(files) => return Ok(files),
                Err(error) => last = error,
            }
        }
        Err(last)
    });
    match kept {
        Ok(files) => files.iter().for_each(|file| {
            messages.warning(&format!("nothing was recorded; the arguments are in {}", file.display()))
        }),
        Err(error) => messages.warning(&format!("nothing was recorded: {error}")),
    }
    Some(ExitStatus::Done)
}
