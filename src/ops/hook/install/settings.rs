//! The settings of an agent, JSON with comments: hooks are added to it and taken out, and every other byte stays. A file
//! that was there is afterwards what it was before; one that was made for the hooks goes with them.

use std::path::Path;

use jsonc_parser::ast as json;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, ParseResult, parse_to_ast};
use serde::Serialize;
use serde_json::{Map, Value};

use super::edit;
use crate::entry::hook::Agent;
use crate::error::{Error, Result};

/// An agent waits that long for a hook, at most.
const TIMEOUT_SECONDS: u64 = 10;
const VERSION: &str = "version";

/// Stands before what a command remarks: what was there before the hooks, where that could not be told without it when
/// they are taken out.
const MARK: &str = " # before: ";
const NOTHING: &str = "no object";
const FILE: &str = "empty file";
const HOOKS: &str = "empty hooks";
const LIST: &str = "empty list";
const NO_VERSION: &str = "no version";

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
/// What `remarks` say stands behind it, as a comment of the shell's.
fn command(agent: Agent, remarks: &[&str]) -> String {
    let mark = if remarks.is_empty() { "" } else { MARK };
    format!("{} 2>/dev/null || true{mark}{}", call(agent), remarks.join(", "))
}

fn call(agent: Agent) -> String {
    format!("git audit hook {}", agent.as_str())
}

/// `before`, the file's text if there is one, with our hooks.
pub(super) fn with_hooks(before: Option<&str>, agent: Agent, path: &Path) -> Result<String> {
    let mut text = before.unwrap_or("{}\n").to_owned();
    let mut remarks = Vec::new();
    if parse(&text, path)?.value.is_none() {
        remarks.push(NOTHING);
        text.push_str("{}\n");
    }
    let parsed = parse(&text, path)?;
    let settings = root(&parsed, path)?;
    if before.is_some() && is_bare(settings) {
        remarks.push(FILE);
    }
    if agent == Agent::Cursor && settings.get(VERSION).is_none() {
        remarks.extend(before.map(|_| NO_VERSION));
        text = edit::insert(&text, &parsed, &settings.into(), Some(VERSION), &1);
    }
    let parsed = parse(&text, path)?;
    let settings = root(&parsed, path)?;
    match settings.get("hooks").map(|hooks| hooks.value.as_object()) {
        None => {
            text =
                edit::insert(&text, &parsed, &settings.into(), Some("hooks"), &Map::<String, Value>::new());
        }
        Some(None) => return Err(unfit(path, "hooks", "an object")),
        Some(Some(hooks)) => remarks.extend(hooks.properties.is_empty().then_some(HOOKS)),
    }
    for event in events(agent) {
        let parsed = parse(&text, path)?;
        let Some(hooks) = root(&parsed, path)?.get_object("hooks") else { break };
        let Some(list) = hooks.get(event) else {
            let groups = [hook(agent, &std::mem::take(&mut remarks))];
            text = edit::insert(&text, &parsed, &hooks.into(), Some(event), &groups);
            continue;
        };
        let wrong = || unfit(path, &format!("hooks.{event}"), "an array");
        let groups = list.value.as_array().ok_or_else(wrong)?;
        if !groups.elements.iter().any(|group| ours(group, agent).next().is_some()) {
            remarks.extend(groups.elements.is_empty().then_some(LIST));
            let group = hook(agent, &std::mem::take(&mut remarks));
            text = edit::insert(&text, &parsed, &groups.into(), None, &group);
        }
    }
    Ok(text)
}

/// `text` without our hooks, and without what came with them. `None`: nothing is left of a file that was made for them.
pub(super) fn without_hooks(text: &str, agent: Agent, path: &Path) -> Result<Option<String>> {
    let parsed = parse(text, path)?;
    let hooks = parsed.value.as_ref().and_then(|root| root.as_object()?.get_object("hooks"));
    let lists =
        hooks.into_iter().flat_map(|hooks| &hooks.properties).filter_map(|list| list.value.as_array());
    let commands: Vec<_> =
        lists.flat_map(|list| &list.elements).flat_map(|group| ours(group, agent)).collect();
    if commands.is_empty() {
        return Ok(Some(text.to_owned()));
    }
    let was = |remark| commands.iter().any(|command| has_remark(command, remark));
    let mut text = text.to_owned();
    while let Some(less) = without_last(&text, agent, was(HOOKS), path)? {
        text = less;
    }
    if was(NO_VERSION) {
        text = without_property(&text, VERSION, path)?;
    }
    if was(NOTHING) {
        text.truncate(text.strip_suffix("{}\n").unwrap_or(&text).len());
    }
    let rest: String = text.split_whitespace().collect();
    let is_nothing = rest == "{}" || agent == Agent::Cursor && rest == "{\"version\":1}";
    Ok((was(FILE) || !is_nothing).then_some(text))
}

/// `text` without the last call of ours, and without what is empty then; `None`: there is none.
fn without_last(text: &str, agent: Agent, keeps_hooks: bool, path: &Path) -> Result<Option<String>> {
    let parsed = parse(text, path)?;
    let settings = root(&parsed, path)?;
    let Some(hooks) = settings.get_object("hooks") else { return Ok(None) };
    for (number, event) in hooks.properties.iter().enumerate().rev() {
        let Some(groups) = event.value.as_array() else { continue };
        let found = |group: &json::Value<'_>| ours(group, agent).next().map(|call| has_remark(&call, LIST));
        let last = groups.elements.iter().enumerate().rev();
        let Some((index, group, keeps_list)) =
            last.filter_map(|(index, group)| Some((index, group, found(group)?))).next()
        else {
            continue;
        };
        let inner = group.as_object().and_then(|group| group.get_array("hooks"));
        if let Some(inner) = inner
            && let Some(_) = inner.elements.iter().find(|handler| our_command(handler, agent).is_none())
            && let Some(index) =
                inner.elements.iter().rposition(|handler| our_command(handler, agent).is_some())
        {
            return Ok(Some(edit::remove(text, &parsed, &inner.into(), index)));
        }
        if groups.elements.len() > 1 || keeps_list {
            return Ok(Some(edit::remove(text, &parsed, &groups.into(), index)));
        }
        if hooks.properties.len() > 1 || keeps_hooks {
            return Ok(Some(edit::remove(text, &parsed, &hooks.into(), number)));
        }
        return without_property(text, "hooks", path).map(Some);
    }
    Ok(None)
}

fn without_property(text: &str, name: &str, path: &Path) -> Result<String> {
    let parsed = parse(text, path)?;
    let settings = root(&parsed, path)?;
    let index = settings.properties.iter().position(|property| property.name.as_str() == name);
    Ok(index.map_or_else(|| text.to_owned(), |index| edit::remove(text, &parsed, &settings.into(), index)))
}

/// Whether nothing is set in it.
fn is_bare(settings: &json::Object<'_>) -> bool {
    let is_empty =
        |list: &json::ObjectProp<'_>| list.value.as_array().is_some_and(|list| list.elements.is_empty());
    settings.properties.iter().all(|property| match property.name.as_str() {
        VERSION => true,
        "hooks" => property.value.as_object().is_some_and(|hooks| hooks.properties.iter().all(is_empty)),
        _ => false,
    })
}

/// The commands in an entry of an event that call us. An entry is a handler (Cursor), or a group of them.
fn ours<'a>(entry: &'a json::Value<'_>, agent: Agent) -> impl Iterator<Item = String> + use<'a> {
    let inner = entry.as_object().and_then(|group| group.get_array("hooks"));
    let handlers = inner.into_iter().flat_map(|inner| &inner.elements);
    handlers.chain([entry]).filter_map(move |handler| our_command(handler, agent))
}

fn our_command(handler: &json::Value<'_>, agent: Agent) -> Option<String> {
    let command = &handler.as_object()?.get_string("command")?.value;
    let calls = [call(agent), call(agent).replacen("git audit", "git-audit", 1)];
    calls.iter().any(|call| command.contains(call.as_str())).then(|| command.to_string())
}

fn has_remark(command: &str, remark: &str) -> bool {
    command.split_once(MARK).is_some_and(|(_, remarks)| remarks.split(", ").any(|other| other == remark))
}

#[derive(Serialize)]
struct Handler {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    command: String,
    timeout: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Handler(Handler),
    Group { hooks: [Handler; 1] },
}

fn hook(agent: Agent, remarks: &[&str]) -> Entry {
    let kind = (agent != Agent::Cursor).then_some("command");
    let handler = Handler { kind, command: command(agent, remarks), timeout: TIMEOUT_SECONDS };
    if agent == Agent::Cursor { Entry::Handler(handler) } else { Entry::Group { hooks: [handler] } }
}

/// As lenient as the agents: comments and trailing commas.
fn parse<'t>(text: &'t str, path: &Path) -> Result<ParseResult<'t>> {
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
    let collected = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: true };
    parse_to_ast(text, &collected, &options).map_err(|error| {
        let why =
            format!("line {}, column {}: {}", error.line_display(), error.column_display(), error.kind());
        Error::not_extended(path, why, "put the JSON right, and run the command again")
    })
}

fn root<'p, 't>(parsed: &'p ParseResult<'t>, path: &Path) -> Result<&'p json::Object<'t>> {
    let settings = parsed.value.as_ref().and_then(json::Value::as_object);
    settings.ok_or_else(|| unfit(path, "", "an object"))
}

fn unfit(path: &Path, key: &str, expected: &str) -> Error {
    let what = if key.is_empty() { "the file".to_owned() } else { format!("`{key}`") };
    Error::not_extended(path, format!("{what} is not {expected}"), "put it right, and run the command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, agent: Agent) -> String {
        with_hooks(Some(text), agent, Path::new("settings.json")).unwrap()
    }

    fn without(text: &str, agent: Agent) -> Option<String> {
        without_hooks(text, agent, Path::new("settings.json")).unwrap()
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
            assert_eq!(without(&once, agent).unwrap(), settings);
        }
        assert_eq!(without("{ }", Agent::Claude).unwrap(), "{ }");
    }

    #[test]
    fn a_file_that_was_there_is_afterwards_what_it_was_before() {
        let handler = r#"{"hooks": [{"type": "command", "command": "date"}]}"#;
        let mixed = format!(r#"{{"x": 1, "Stop":[ {handler} ], "stop": [{handler},]}}"#);
        let broad = format!("{{\n    \"Stop\": [\n      {handler} \n]}}");
        let hooks = ["{}", "{ }", r#"{"Stop":[]}"#, r#"{"stop": [ ], "Stop": []}"#, &mixed, &broad];
        let mut texts: Vec<String> =
            ["", "\n", "// mine\n", "{}", "{}\n", "{ }\n", "{\n}\n", "{\n  // mine\n}\n", "{ // mine\n}"]
                .map(str::to_owned)
                .into();
        for version in ["", "\"version\": 1"] {
            for other in ["", "\"a\": [1, 2]", "\"a\": {\"b\":1,\n}"] {
                for hooks in hooks.iter().map(|hooks| format!("\"hooks\": {hooks}")).chain([String::new()]) {
                    let parts: Vec<_> =
                        [other, version, &hooks].into_iter().filter(|part| !part.is_empty()).collect();
                    texts.push(format!("{{{}}}", parts.join(",")));
                    texts.push(format!("{{ {} }}\n", parts.join(" , ")));
                    texts.push(format!("{{\n\t{}\n}}\n", parts.join(",\n\t")));
                    texts.push(format!("{{\r\n  {}\r\n}}\r\n", parts.join(",\r\n  ")));
                    if !parts.is_empty() {
                        texts.push(format!("{{{},}}", parts.join(",")));
                        texts.push(format!("{{\n  {} , // why, and\n  // so on,\n}}", parts.join(",\n  ")));
                        texts.push(format!("{{\n  {} /* , */ // why\n  // so on\n  }}", parts.join(",\n  ")));
                    }
                }
            }
        }
        for agent in Agent::ALL {
            for text in &texts {
                let once = with(text, agent);
                assert_eq!(with(&once, agent), once, "{text}");
                assert_eq!(without(&once, agent).as_ref(), Some(text), "{} {once}", agent.name());
            }
        }
    }

    #[test]
    fn a_file_that_was_made_for_the_hooks_goes_with_them_unless_it_has_more_by_then() {
        for agent in Agent::ALL {
            let made = with_hooks(None, agent, Path::new("x")).unwrap();
            assert_eq!(without(&made, agent), None);
            assert!(!made.contains(MARK), "{made}");
            let more = made.replacen('{', "{\n  \"model\": \"x\",", 1);
            assert!(without(&more, agent).unwrap().starts_with("{\n  \"model\": \"x\""));
        }
    }

    #[test]
    fn a_new_file_is_as_the_agents_documents_show_it() {
        let text = with_hooks(None, Agent::Cursor, Path::new("x")).unwrap();
        assert!(
            text.starts_with("{\n  \"version\": 1,\n  \"hooks\": {\n    \"sessionStart\": [\n      {\n"),
            "{text}"
        );
        let value: serde_json::Value =
            serde_json::from_str(&with_hooks(None, Agent::Claude, Path::new("x")).unwrap()).unwrap();
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
            with_hooks(Some("{\n  \"a\": [1,,2]\n}"), Agent::Claude, Path::new("settings.json")).unwrap_err();
        assert!(refused.to_string().contains("settings.json: line 2, column 11"), "{refused}");
        for text in ["[]", "1", "{\"hooks\": []}", "{\"hooks\": {\"Stop\": {}}}", "{'a': 1}", "{a: 1}"] {
            assert!(with_hooks(Some(text), Agent::Claude, Path::new("x")).is_err(), "{text}");
        }
    }
}
