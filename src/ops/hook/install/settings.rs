//! The settings of an agent, JSON with comments: hooks are added to it and taken out, and every other byte stays.

use std::path::Path;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstNode, CstObject, CstRootNode};

use crate::entry::hook::Agent;
use crate::error::{Error, Result};

/// An agent waits that long for a hook, at most.
const TIMEOUT_SECONDS: u64 = 10;

/// The events that are installed. None of them lets a hook decide anything that we could get wrong: those of Cursor that
/// wait for an answer are left out.
fn events(agent: Agent) -> &'static [&'static str] {
    match agent {
        Agent::Claude => &[
            "SessionStart",
            "UserPromptSubmit",
            "PostToolUse",
            "PostToolUseFailure",
            "PermissionDenied",
            "TaskCreated",
            "TaskCompleted",
            "SubagentStart",
            "SubagentStop",
            "PostCompact",
            "Stop",
            "StopFailure",
            "SessionEnd",
        ],
        Agent::Codex => &[
            "SessionStart",
            "UserPromptSubmit",
            "PostToolUse",
            "SubagentStart",
            "SubagentStop",
            "PostCompact",
            "Stop",
            "SessionEnd",
        ],
        Agent::Cursor => &[
            "sessionStart",
            "postToolUse",
            "postToolUseFailure",
            "subagentStop",
            "preCompact",
            "stop",
            "sessionEnd",
        ],
    }
}

/// What the agent runs. Settings are shared with people who may not have git-audit: for them it does nothing, quietly.
fn command(agent: Agent) -> String {
    format!("{} 2>/dev/null || true", call(agent))
}

fn call(agent: Agent) -> String {
    format!("git audit hook {}", agent.as_str())
}

/// `text` with our hooks.
pub(super) fn with_hooks(text: &str, agent: Agent, path: &Path) -> Result<String> {
    let root = parse(text, path)?;
    let settings = root.object_value_or_create().ok_or_else(|| unfit(path, "", "an object"))?;
    if agent == Agent::Cursor && settings.get("version").is_none() {
        settings.append("version", 1u64.into());
    }
    let hooks = settings.object_value_or_create("hooks").ok_or_else(|| unfit(path, "hooks", "an object"))?;
    for event in events(agent) {
        let wrong = || unfit(path, &format!("hooks.{event}"), "an array");
        let groups = hooks.array_value_or_create(event).ok_or_else(wrong)?;
        if !groups.elements().iter().any(|group| calls_us(group, agent)) {
            groups.append(hook(agent));
        }
    }
    let mut text = root.to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// `text` without our hooks, and without what is empty then.
pub(super) fn without_hooks(text: &str, agent: Agent, path: &Path) -> Result<String> {
    let root = parse(text, path)?;
    let Some(hooks) = root.object_value().and_then(|settings| settings.object_value("hooks")) else {
        return Ok(text.to_owned());
    };
    let mut removed = false;
    for event in hooks.properties() {
        let Some(groups) = event.array_value() else { continue };
        let taken = groups.elements().into_iter().filter(|group| take_out(group.clone(), agent)).count();
        if taken > 0 && groups.elements().is_empty() {
            event.remove();
        }
        removed |= taken > 0;
    }
    if removed && hooks.properties().is_empty() {
        root.object_value()
            .and_then(|settings| settings.get("hooks"))
            .into_iter()
            .for_each(|hooks| hooks.remove());
    }
    Ok(if removed { root.to_string() } else { text.to_owned() })
}

/// Takes our call out of a group, or the group where that is all of it. Whether it was there.
fn take_out(group: CstNode, agent: Agent) -> bool {
    if !calls_us(&group, agent) {
        return false;
    }
    let inner = handlers(&group);
    let ours = |handler: &CstNode| handler.as_object().is_some_and(|handler| is_ours(&handler, agent));
    match inner {
        Some(inner) if !inner.elements().iter().all(ours) => {
            inner.elements().into_iter().filter(ours).for_each(CstNode::remove);
        }
        _ => group.remove(),
    }
    true
}

/// An entry is a handler (Cursor), or a group of them.
fn calls_us(entry: &CstNode, agent: Agent) -> bool {
    let inner = handlers(entry).map(|inner| inner.elements()).unwrap_or_default();
    let mut candidates = inner.iter().chain([entry]).filter_map(CstNode::as_object);
    candidates.any(|handler| is_ours(&handler, agent))
}

fn handlers(group: &CstNode) -> Option<CstArray> {
    group.as_object()?.array_value("hooks")
}

fn is_ours(handler: &CstObject, agent: Agent) -> bool {
    let command =
        handler.get("command").and_then(|command| command.value()?.as_string_lit()?.decoded_value().ok());
    let ours = [call(agent), call(agent).replacen("git audit", "git-audit", 1)];
    command.is_some_and(|command| ours.iter().any(|call| command.contains(call.as_str())))
}

fn hook(agent: Agent) -> CstInputValue {
    let command = ("command".to_owned(), CstInputValue::from(command(agent)));
    let timeout = ("timeout".to_owned(), CstInputValue::from(TIMEOUT_SECONDS));
    if agent == Agent::Cursor {
        return CstInputValue::Object(vec![command, timeout]);
    }
    let kind = ("type".to_owned(), CstInputValue::from("command"));
    let handlers = CstInputValue::Array(vec![CstInputValue::Object(vec![kind, command, timeout])]);
    CstInputValue::Object(vec![("hooks".to_owned(), handlers)])
}

/// As lenient as the agents: comments and trailing commas.
fn parse(text: &str, path: &Path) -> Result<CstRootNode> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    CstRootNode::parse(text, &options).map_err(|error| {
        let why =
            format!("line {}, column {}: {}", error.line_display(), error.column_display(), error.kind());
        Error::not_extended(path, why, "put the JSON right, and run the command again")
    })
}

fn unfit(path: &Path, key: &str, expected: &str) -> Error {
    let what = if key.is_empty() { "the file".to_owned() } else { format!("`{key}`") };
    Error::not_extended(path, format!("{what} is not {expected}"), "put it right, and run the command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, agent: Agent) -> String {
        with_hooks(text, agent, Path::new("settings.json")).unwrap()
    }

    #[test]
    fn hooks_go_in_once_and_come_out_again() {
        for agent in Agent::ALL {
            let settings = "{\n  // mine\n  \"b\": 1, \"a\": {\"x\":[1,2]},\n  \"hooks\": {\"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"date\"}]}]},\n}\n";
            let once = with(settings, agent);
            assert_eq!(with(&once, agent), once);
            assert!(
                once.contains("// mine\n  \"b\": 1, \"a\": {\"x\":[1,2]},") && once.contains("\"date\""),
                "{once}"
            );
            let out = without_hooks(&once, agent, Path::new("x")).unwrap();
            assert!(out.contains("\"date\"") && !out.contains("audit"), "{out}");
        }
        assert_eq!(without_hooks("{ }", Agent::Claude, Path::new("x")).unwrap(), "{ }");
    }

    #[test]
    fn a_new_file_is_as_the_agents_documents_show_it() {
        let text = with("", Agent::Cursor);
        assert!(
            text.starts_with("{\n  \"version\": 1,\n  \"hooks\": {\n    \"sessionStart\": [\n      {\n"),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&with("", Agent::Claude)).unwrap();
        let handler = &value["hooks"]["PostToolUse"][0]["hooks"][0];
        assert_eq!(handler["type"], "command");
        assert_eq!(handler["command"], "git audit hook claude 2>/dev/null || true");
    }

    #[test]
    fn a_call_that_the_user_wrote_himself_is_enough() {
        let own = "{\"hooks\": {\"Stop\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"/opt/git-audit hook claude\"}]}]}}";
        assert_eq!(with(own, Agent::Claude).matches("Stop\"").count(), 2);
        assert_eq!(with(own, Agent::Claude).matches("hook claude").count(), events(Agent::Claude).len());
    }

    #[test]
    fn the_document_names_every_event_that_is_installed() {
        let document = include_str!("../../../../docs/AGENTS.md");
        let rows: Vec<Vec<_>> =
            document.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        for (column, agent) in (1..).zip(Agent::ALL) {
            for event in events(agent) {
                let is_named = |row: &Vec<&str>| {
                    row.get(column).is_some_and(|cell| cell.starts_with(&format!("`{event}`")))
                };
                assert!(rows.iter().any(is_named), "{event} of {}", agent.name());
            }
        }
    }

    #[test]
    fn windows_line_ends_and_tabs_stay() {
        let text = with("{\r\n\t\"model\": \"x\"\r\n}\r\n", Agent::Claude);
        assert!(
            text.starts_with("{\r\n\t\"model\": \"x\",\r\n\t\"hooks\": {\r\n\t\t\"SessionStart\": [\r\n"),
            "{text:?}"
        );
        assert!(!text.replace("\r\n", "").contains('\n'), "{text:?}");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let refused =
            with_hooks("{\n  \"a\": [1,,2]\n}", Agent::Claude, Path::new("settings.json")).unwrap_err();
        assert!(refused.to_string().contains("settings.json: line 2, column 11"), "{refused}");
        for text in ["[]", "1", "{\"hooks\": []}", "{\"hooks\": {\"Stop\": {}}}", "{'a': 1}", "{a: 1}"] {
            assert!(with_hooks(text, Agent::Claude, Path::new("x")).is_err(), "{text}");
        }
    }
}
