//! The hooks of Cursor, as <https://cursor.com/docs/hooks> describes them.
//!
//! `postToolUse` comes after every tool, so `afterFileEdit` and its like tell the same once more; `hook install` leaves
//! them out. They are understood for older versions, which have only those.

use serde_json::{Value, json};

use super::input::Input;
use super::session::{Part, Session};
use super::tool::{self, Ended};
use super::{Action, Agent, SUBAGENT_START};
use crate::entry::Status;

pub(super) fn actions(input: Input<'_>) -> Option<Vec<Action>> {
    let id =
        ["parent_conversation_id", "conversation_id", "session_id"].iter().find_map(|key| input.text(key))?;
    let session = Session::of(Agent::Cursor, id, input)?;
    let duration_ms = input.number("duration").or_else(|| input.number("duration_ms"));
    let status = status_of(input.word("final_status").or(input.word("status")).or(input.word("reason")));
    let happened = match input.text("hook_event_name")? {
        "sessionStart" => {
            let background = input.flag("is_background_agent").then_some(true);
            let about = json!({ "mode": input.word("composer_mode"), "background": background });
            return Some(session.begin(json!({ "type": "session_start", "metadata": about })));
        }
        "beforeSubmitPrompt" => json!({ "type": "prompt" }),
        "postToolUse" => tool::event(&session, input, duration_ms, Ended::Well)?,
        "postToolUseFailure" => {
            let interrupted = input.flag("is_interrupt");
            let kind = input.word("failure_type").map(str::to_owned);
            tool::event(&session, input, duration_ms, Ended::Badly { interrupted, kind, exit_code: None })?
        }
        "afterFileEdit" => json!({
            "type": "tool_use", "operation": "Edit", "files_changed": [session.relative(input.text("file_path")?)],
        }),
        "afterShellExecution" => {
            let used = json!({ "tool_name": "Shell", "tool_input": { "command": input.any("command") } });
            tool::event(&session, Input::of(&used)?, duration_ms, Ended::Unknown)?
        }
        "afterMCPExecution" => json!({
            "type": "tool_use", "operation": input.line("tool_name"), "metadata": { "duration_ms": duration_ms },
        }),
        "subagentStart" => json!({ "type": SUBAGENT_START, "metadata": {
            "task_id": session.id_within(input.text("subagent_id")?)?, "subagent_type": input.line("subagent_type"),
        } }),
        "subagentStop" => return subagent(&session, input, status),
        "preCompact" => {
            json!({ "type": "context_compact", "metadata": { "trigger": input.word("trigger") } })
        }
        "stop" => json!({
            "type": if status == Status::Failed { "turn_error" } else { "turn_end" },
            "level": (status == Status::Failed).then_some("error"),
            "status": outcome(status),
        }),
        "sessionEnd" => {
            let about = json!({ "end_reason": input.word("reason"), "duration_ms": duration_ms });
            return Some(session.finish(status, about));
        }
        _ => return None,
    };
    Some(session.event(happened))
}

fn subagent(session: &Session<'_>, input: Input<'_>, status: Status) -> Option<Vec<Action>> {
    let kind = input.line("subagent_type");
    // Older versions give it no id of its own.
    let own = input
        .text("subagent_id")
        .or_else(|| input.text("tool_call_id"))
        .or_else(|| input.text("generation_id"));
    let part = Part {
        id: session.id_within(own?)?,
        status,
        title: Some(kind.as_ref().map_or_else(|| "Subagent".into(), |kind| format!("Subagent {kind}"))),
        worker_id: input.line("subagent_id"),
        metadata: json!({
            "agent": { "model": input.line("subagent_model"), "subagent_type": kind },
            "duration_ms": input.number("duration_ms"),
            "tool_call_count": input.number("tool_call_count"),
        }),
    };
    let files: Vec<Value> =
        input.texts("modified_files").take(50).map(|path| session.relative(path).into()).collect();
    let event = json!({
        "type": "subagent_stop",
        "status": outcome(status),
        "files_changed": files,
        "metadata": { "task_id": part.id },
    });
    Some(session.complete(event, part))
}

fn status_of(word: Option<&str>) -> Status {
    match word {
        Some("error" | "failed") => Status::Failed,
        Some("aborted" | "cancelled") => Status::Cancelled,
        _ => Status::Completed,
    }
}

fn outcome(status: Status) -> &'static str {
    match status {
        Status::Failed => "failure",
        Status::Cancelled => "interrupted",
        _ => "success",
    }
}
