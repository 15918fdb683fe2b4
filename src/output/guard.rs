//! Why a push is refused, for whoever pushed: git shows them the hook's standard error.

use super::Messages;
use super::sanitize::visible;
use crate::verify::guard::Refusal;

/// The most refusals that are told.
const MAX_TOLD: usize = 20;

/// One line each, the number of those that are not told, and what to do.
pub fn refusals(messages: &mut Messages, refusals: &[Refusal]) {
    let mut line = |text: &str| messages.lines(&format!("git-audit: {}", visible(text)));
    for Refusal { rule, message, commit, path } in refusals.iter().take(MAX_TOLD) {
        let commit = commit.as_ref().map(|commit| format!("commit {commit}"));
        let about: Vec<_> = commit.into_iter().chain(path.clone()).collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        line(&format!("refused: {rule}: {message}{about}"));
    }
    if refusals.len() > MAX_TOLD {
        line(&format!("refused: and {} more", refusals.len() - MAX_TOLD));
    }
    line("nothing of this push was accepted");
    if let Some(way_out) = refusals.first().map(way_out) {
        line(&way_out);
    }
}

fn way_out(refusal: &Refusal) -> String {
    let text = match refusal.rule {
        "force-push" | "reorder" => {
            "what is on the server stays first: bring its branch, and merge yours into it; docs/GUARD.md has the commands"
        }
        "delete" => "to stop using a ledger, leave its branch where it is",
        "moved" => "run `git fetch`, and push again",
        "signature-missing" | "signature-bad" | "signer-unknown" | "signer-expired" | "author-differs" => {
            "the commit cannot be mended by another: record again with the key and address that the server allows; \
             docs/SIGNING.md has the commands"
        }
        "signature-unchecked" => "the server cannot check signatures: ask who runs it",
        "policy" => "run `git log -p -1 COMMIT -- .audit/config.toml` to see what it says",
        "malformed" => "git calls this by itself; run `git audit hook install pre-receive` on the server",
        "other-case" => "choose another name",
        _ => "run `git audit verify` in your clone to see the same, and why",
    };
    text.to_owned()
}
