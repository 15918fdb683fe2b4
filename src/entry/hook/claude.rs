//! The hooks of Claude Code, as <https://code.claude.com/docs/en/hooks> describes them. Codex took over their shape.

use serde_json::json;

use super::input::Input;
use super::session::{Part, Session};
use super::tool::{self, Ended, exit_code};
use super::{Action, Agent, SUBAGENT_START};
use crate::entry::Status;

pub(super) fn actions(input: Input<'_>) -> Option<Vec<Action>> {
    // Cursor runs the hooks of Claude Code too, where its own are installed beside them.
    if input.has("cursor_version") {
        return None;
    }
    let session = Session::of(Agent::Claude, input.text("session_id")?, input)?;
    let duration_ms = input.number("duration_ms");
    match input.text("hook_event_name")? {
        "PostToolUse" => {
            tool::event(&session, input, duration_ms, Ended::Well).map(|event| session.event(event))
        }
        "PostToolUseFailure" => {
            let ended = Ended::Badly {
                interrupted: input.flag("is_interrupt"),
                kind: None,
                exit_code: input.text("error").and_then(exit_code),
            };
            tool::event(&session, input, duration_ms, ended).map(|event| session.event(event))
        }
        "PermissionDenied" => Some(session.event(json!({
            "type": "permission_denied", "level": "warning", "operation": input.line("tool_name"),
        }))),
        "TaskCreated" => {
            let id = session.id_within(input.text("task_id")?)?;
            Some(session.event(json!({
                "type": "task_created",
                "metadata": { "task_id": id, "title": input.line("task_subject") },
            })))
        }
        "TaskCompleted" => {
            let part = Part {
                id: session.id_within(input.text("task_id")?)?,
                status: Status::Completed,
                title: input.line("task_subject"),
                worker_id: input.line("teammate_name"),
                metadata: json!({}),
            };
            Some(
                session
                    .complete(json!({ "type": "task_completed", "metadata": { "task_id": part.id } }), part),
            )
        }
        other => shared(other, &session, input),
    }
}

/// The events that mean the same with Claude Code and Codex.
pub(super) fn shared(event: &str, session: &Session<'_>, input: Input<'_>) -> Option<Vec<Action>> {
    let happened = match event {
        "SessionStart" => {
            let source = input.word("source");
            return Some(session.begin(json!({ "type": "session_start", "metadata": { "source": source } })));
        }
        // That there was one, never what it said.
        "UserPromptSubmit" => json!({ "type": "prompt" }),
        "PostCompact" => {
            json!({ "type": "context_compact", "metadata": { "trigger": input.word("trigger") } })
        }
        "Stop" => json!({ "type": "turn_end", "status": "success" }),
        "StopFailure" => json!({
            "type": "turn_error", "level": "error", "status": "failure", "error_message": input.word("error"),
        }),
        "SubagentStart" => json!({
            "type": SUBAGENT_START,
            "metadata": { "task_id": session.id_within(input.text("agent_id")?)?, "subagent_type": input.line("agent_type") },
        }),
        "SubagentStop" => {
            let kind = input.line("agent_type");
            let part = Part {
                id: session.id_within(input.text("agent_id")?)?,
                status: Status::Completed,
                title: Some(
                    kind.as_ref().map_or_else(|| "Subagent".into(), |kind| format!("Subagent {kind}")),
                ),
                worker_id: input.line("agent_id"),
                metadata: json!({ "agent": { "model": input.line("model"), "subagent_type": kind } }),
            };
            let event = json!({ "type": "subagent_stop", "metadata": { "task_id": part.id } });
            return Some(session.complete(event, part));
        }
        "SessionEnd" => {
            return Some(session.finish(Status::Completed, json!({ "end_reason": input.word("reason") })));
        }
        _ => return None,
    };
    Some(session.event(happened))
}
