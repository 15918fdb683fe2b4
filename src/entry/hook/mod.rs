//! What the hooks of coding agents and of git say, as actions on tasks. Pure: the words of a hook in, actions out.
//!
//! An agent's session is a task, and what happens in it are the task's events. A task or a subagent that completes
//! within the session is an entry of its own. The hooks may have been installed in the middle of a session, so whatever
//! concerns it begins with [`Action::Start`].
//!
//! Invariants: no prompt, answer, file content, diff or command output reaches an action, and of a command line only the
//! program's name; every text is bounded; what is unknown or of another type than documented is left out, and never an
//! error.

use serde_json::{Map, Value};

use super::{Status, TaskId};

mod claude;
mod codex;
mod command_line;
mod cursor;
pub mod git;
mod input;
mod session;
mod tool;

use input::Input;

/// The type of the event that a subagent begins; its `metadata.task_id` is what the subagent will be recorded as.
pub const SUBAGENT_START: &str = "subagent_start";

/// A coding agent whose hooks are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Claude Code.
    Claude,
    /// Codex: its hooks, and the program it notifies.
    Codex,
    /// Cursor, the editor and the command line.
    Cursor,
}

impl Agent {
    /// Every agent.
    pub const ALL: [Self; 3] = [Self::Claude, Self::Codex, Self::Cursor];

    /// The word for it: on the command line, and as `agent_id` of what it did.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "Claude Code",
            Self::Codex => "Codex",
            Self::Cursor => "Cursor",
        }
    }
}

/// What is to be done to a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begin the task, unless it is running.
    Start {
        /// The task.
        task_id: TaskId,
        /// A part of its entry: `title`, `dispatch_info`, `context`, `metadata`.
        fields: Map<String, Value>,
        /// The agent says that the session begins here, perhaps once more: it belongs to the process that calls.
        begins: bool,
    },
    /// Add an event to the running task.
    Event {
        /// The task.
        task_id: TaskId,
        /// The event without `seq` and `at`.
        event: Map<String, Value>,
    },
    /// Seal the running task.
    Finish {
        /// The task.
        task_id: TaskId,
        /// How it ended.
        status: Status,
        /// A part of its entry, to be added.
        fields: Map<String, Value>,
    },
    /// Record a task that was never running for us.
    Record {
        /// The task.
        task_id: TaskId,
        /// The entry without `timestamp`.
        entry: Map<String, Value>,
    },
}

/// What `input`, the JSON that a hook of `agent` was given, asks for, in order. Empty where it is none of our business.
pub fn actions(agent: Agent, input: &Value) -> Vec<Action> {
    let Some(input) = Input::of(input) else { return Vec::new() };
    let actions = match agent {
        Agent::Claude => claude::actions(input),
        Agent::Codex => codex::actions(input),
        Agent::Cursor => cursor::actions(input),
    };
    actions.unwrap_or_default()
}

/// Which agent wrote `input`. Codex took over the names of Claude Code, so they are told apart by what only one has.
pub fn detect(input: &Value) -> Agent {
    let has = |key: &str| input.get(key).is_some();
    let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
    if has("cursor_version") || has("conversation_id") || has("workspace_roots") {
        return Agent::Cursor;
    }
    let transcript = text("transcript_path");
    let is_rollout = transcript.rsplit('/').next().is_some_and(|name| name.starts_with("rollout-"));
    if has("turn_id") || has("thread-id") || is_rollout || transcript.contains("/.codex/") {
        return Agent::Codex;
    }
    Agent::Claude
}

/// Where the agent works: the directory whose repository holds the ledger, where nobody has said otherwise.
pub fn directory(input: &Value) -> Option<&str> {
    let root = input.get("workspace_roots").and_then(|roots| roots.get(0));
    root.or_else(|| input.get("cwd")).and_then(Value::as_str).filter(|path| path.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::entry::{Entry, Timestamp, validate};

    /// What stands in the fixtures for prompts, contents, output and secrets.
    const NEVER_TOLD: &str = "s3cret";

    fn fixtures(agent: Agent) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hooks").join(agent.as_str());
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn as_json(actions: &[Action]) -> Value {
        let shown = actions.iter().map(|action| match action {
            Action::Start { task_id, fields, begins } => {
                json!({ "start": task_id, "fields": fields, "begins": begins })
            }
            Action::Event { task_id, event } => json!({ "event": task_id, "fields": event }),
            Action::Finish { task_id, status, fields } => {
                json!({ "finish": task_id, "status": status, "fields": fields })
            }
            Action::Record { entry, .. } => json!({ "record": entry }),
        });
        shown.collect()
    }

    /// The entry that an action could become, by the rules of every entry.
    fn check(action: &Action) -> Entry {
        let mut entry = match action {
            Action::Start { fields, .. } | Action::Finish { fields, .. } => fields.clone(),
            Action::Event { event, .. } => object(json!({ "events": [event] })),
            Action::Record { entry, .. } => entry.clone(),
        };
        if let Action::Start { task_id, .. }
        | Action::Event { task_id, .. }
        | Action::Finish { task_id, .. } = action
        {
            entry.insert("task_id".into(), json!(task_id));
            entry.insert("status".into(), "completed".into());
        }
        let now = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        let bytes = serde_json::to_vec(&entry).unwrap().len();
        assert!(bytes < 128 * 1024, "{bytes}");
        validate::entry(entry.into(), now).unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        input::object(value)
    }

    /// `UPDATE_FIXTURES=1 cargo test --lib hook` writes what is expected anew; read it before it is committed.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a switch for the developer")]
    fn every_documented_input_becomes_the_actions_beside_it() {
        for agent in Agent::ALL {
            for path in fixtures(agent) {
                let mut fixture: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let shown = as_json(&actions(agent, &fixture["input"]));
                if std::env::var_os("UPDATE_FIXTURES").is_some() {
                    fixture["actions"] = shown;
                    fs::write(&path, serde_json::to_string_pretty(&fixture).unwrap() + "\n").unwrap();
                    continue;
                }
                assert_eq!(shown, fixture["actions"], "{}", path.display());
                assert!(!shown.to_string().contains(NEVER_TOLD), "{}", path.display());
                let is_ignored = path.to_str().unwrap().contains("-is-ignored");
                assert_eq!(shown == json!([]), is_ignored, "{}", path.display());
            }
        }
    }

    #[test]
    fn every_action_of_a_documented_input_is_valid_and_begins_the_session() {
        for agent in Agent::ALL {
            for path in fixtures(agent) {
                let fixture: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let actions = actions(agent, &fixture["input"]);
                actions.iter().for_each(|action| drop(check(action)));
                assert!(matches!(actions.first(), None | Some(Action::Start { .. })), "{}", path.display());
            }
        }
    }

    #[test]
    fn the_agent_is_known_by_its_input() {
        for agent in Agent::ALL {
            for path in fixtures(agent) {
                let fixture: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let is_foreign = path.to_str().unwrap().contains("from-cursor");
                let expected = if is_foreign { Agent::Cursor } else { agent };
                assert_eq!(detect(&fixture["input"]), expected, "{}", path.display());
            }
        }
    }

    /// Any JSON, but with keys and event names that mean something, or nothing would be tried.
    fn any_input() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            prop::sample::select(vec![
                "session_id",
                "hook_event_name",
                "cwd",
                "tool_name",
                "tool_input",
                "task_id",
                "agent_id",
                "command",
                "file_path",
                "error",
                "conversation_id",
                "workspace_roots",
                "subagent_id",
                "type",
                "thread-id",
                "status",
                "duration_ms",
                "duration",
                "modified_files",
                "tool_response",
                "metadata",
                "exit_code",
                "agent_type",
            ])
            .prop_map(str::to_owned),
            ".{0,6}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(|number| json!(number)),
            any::<i64>().prop_map(Value::from),
            ".{0,200}".prop_map(Value::from),
            prop::sample::select(vec![
                "Bash",
                "Write",
                "apply_patch",
                "/home/dev",
                "con",
                "lock",
                "x.LOCK",
                "..",
                "-rf"
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 32, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(key.clone(), inner, 0..12)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    const EVENTS: [&str; 33] = [
        "SessionStart",
        "UserPromptSubmit",
        "PostToolUse",
        "PostToolUseFailure",
        "PermissionDenied",
        "TaskCreated",
        "TaskCompleted",
        "PostCompact",
        "Stop",
        "StopFailure",
        "SubagentStart",
        "SubagentStop",
        "SessionEnd",
        "Interrupt",
        "sessionStart",
        "beforeSubmitPrompt",
        "postToolUse",
        "postToolUseFailure",
        "afterFileEdit",
        "afterShellExecution",
        "afterMCPExecution",
        "subagentStart",
        "subagentStop",
        "preCompact",
        "stop",
        "sessionEnd",
        "",
        "Setup",
        "WorktreeCreate",
        "ConfigChange",
        "workspaceOpen",
        "preToolUse",
        "Notification",
    ];

    proptest! {
        #[test]
        fn no_input_panics_or_becomes_something_invalid(
            input in any_input(), event in prop::sample::select(&EVENTS[..]), id in ".{1,200}",
        ) {
            let mut input = input;
            if let Some(map) = input.as_object_mut() {
                map.insert("hook_event_name".into(), event.into());
                map.entry("session_id").or_insert(id.clone().into());
                map.entry("task_id").or_insert(id.clone().into());
                map.entry("agent_id").or_insert(id.clone().into());
                map.entry("tool_name").or_insert("Bash".into());
            }
            for agent in Agent::ALL {
                actions(agent, &input).iter().for_each(|action| drop(check(action)));
            }
            _ = (detect(&input), directory(&input));
        }
    }
}
