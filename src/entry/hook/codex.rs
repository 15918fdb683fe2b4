//! Codex: its hooks (<https://developers.openai.com/codex/hooks>), and the JSON with which it calls the program named in
//! `notify`.

use serde_json::{Value, json};

use super::claude::shared;
use super::input::Input;
use super::session::Session;
use super::tool::{self, Ended};
use super::{Action, Agent};

pub(super) fn actions(input: Input<'_>) -> Option<Vec<Action>> {
    if input.text("type") == Some("agent-turn-complete") {
        let session = Session::of(Agent::Codex, input.text("thread-id")?, input)?;
        return Some(session.event(json!({ "type": "turn_end", "status": "success" })));
    }
    let session = Session::of(Agent::Codex, input.text("session_id")?, input)?;
    match input.text("hook_event_name")? {
        "PostToolUse" => {
            let event = tool::event(&session, input, input.number("duration_ms"), ended(input))?;
            Some(session.event(event))
        }
        "Interrupt" => Some(session.event(json!({ "type": "turn_end", "status": "interrupted" }))),
        other => shared(other, &session, input),
    }
}

/// `PostToolUse` also comes after a command that failed; the response may tell.
fn ended(input: Input<'_>) -> Ended {
    let response = input.object("tool_response");
    let code = |input: Input<'_>| input.any("exit_code").and_then(Value::as_i64);
    let code = response.and_then(|response| code(response).or_else(|| code(response.object("metadata")?)));
    match code {
        None => Ended::Unknown,
        Some(0) => Ended::Well,
        exit_code => Ended::Badly { interrupted: false, kind: None, exit_code },
    }
}
