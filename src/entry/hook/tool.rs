//! The use of a tool as an event: which tool, which files, how long, how it ended. Never what was written, read or said.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::command_line::Command;
use super::input::Input;
use super::session::Session;

/// More files than these are counted only.
const MAX_FILES: usize = 50;

/// Tools whose files are changed by them; those of others are only touched.
const WRITING: [&str; 11] = [
    "Write",
    "Edit",
    "MultiEdit",
    "NotebookEdit",
    "StrReplace",
    "Delete",
    "apply_patch",
    "ApplyPatch",
    "edit_file",
    "search_replace",
    "delete_file",
];
/// Tools that run a command line.
const SHELLS: [&str; 8] = [
    "Bash",
    "PowerShell",
    "Shell",
    "shell",
    "local_shell",
    "exec_command",
    "unified_exec",
    "run_terminal_cmd",
];
/// What stands before a path in a patch of `apply_patch`.
const PATCH_MARKS: [&str; 4] = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];

/// How a tool ended.
pub(super) enum Ended {
    Well,
    /// The agent does not say.
    Unknown,
    Badly {
        /// The user stopped it.
        interrupted: bool,
        /// The kind of failure, in a word.
        kind: Option<String>,
        exit_code: Option<i64>,
    },
}

/// The event of a tool of this `name`. `None` where there is no name.
pub(super) fn event(
    session: &Session<'_>,
    input: Input<'_>,
    duration_ms: Option<u64>,
    ended: Ended,
) -> Option<Value> {
    let name = input.line("tool_name")?;
    let arguments = input.any("tool_input");
    let files: BTreeSet<_> = files(&name, arguments).into_iter().map(|path| session.relative(path)).collect();
    let count = files.len();
    let (changed, touched) =
        if WRITING.contains(&name.as_str()) { (files, BTreeSet::new()) } else { (BTreeSet::new(), files) };
    let first = |files: BTreeSet<String>| files.into_iter().take(MAX_FILES).collect::<Vec<_>>();
    let command = arguments.filter(|_| SHELLS.contains(&name.as_str())).and_then(command);
    let (status, failure) = match ended {
        Ended::Well => (Some("success"), None),
        Ended::Unknown => (None, None),
        Ended::Badly { interrupted, kind, exit_code } => {
            (Some("failure"), Some((interrupted, kind, exit_code)))
        }
    };
    let (interrupted, kind, exit_code) = failure.clone().unwrap_or_default();
    Some(json!({
        "type": if failure.is_some() { "tool_use_error" } else { "tool_use" },
        "level": failure.is_some().then_some("error"),
        "operation": name,
        "status": status,
        "files_changed": first(changed),
        "error_message": interrupted.then_some("interrupted"),
        "metadata": {
            "duration_ms": duration_ms,
            "files": first(touched),
            "file_count": (count > MAX_FILES).then_some(count),
            "program": command.as_ref().and_then(|command| command.program.as_deref()),
            "argument_count": command.as_ref().map(|command| command.argument_count),
            "failure": kind,
            "exit_code": exit_code,
            "subagent_id": input.line("agent_id"),
            "subagent_type": input.line("agent_type"),
        },
    }))
}

/// The paths in a tool's arguments.
fn files<'i>(name: &str, arguments: Option<&'i Value>) -> Vec<&'i str> {
    let Some(arguments) = arguments else { return Vec::new() };
    if name.eq_ignore_ascii_case("apply_patch") || name == "ApplyPatch" {
        let texts =
            [Some(arguments), arguments.get("command"), arguments.get("input"), arguments.get("patch")];
        let texts = texts.into_iter().flatten().flat_map(words_of);
        return texts.flat_map(str::lines).filter_map(patched_file).collect();
    }
    let keys = ["file_path", "notebook_path", "path", "target_file"];
    let paths = keys.iter().filter_map(|key| arguments.get(key)?.as_str());
    paths.filter(|path| !path.is_empty() && !path.contains('\n')).collect()
}

fn patched_file(line: &str) -> Option<&str> {
    PATCH_MARKS.iter().find_map(|mark| line.strip_prefix(mark)).map(str::trim).filter(|path| !path.is_empty())
}

/// A text, or an array of texts.
fn words_of(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The command that a shell's arguments hold. Anything but the program's name could be a secret.
fn command(arguments: &Value) -> Option<Command> {
    let given = arguments.get("command").or_else(|| arguments.get("cmd"))?;
    match given {
        Value::String(text) => Command::of_text(text),
        _ => Command::of(&words_of(given)),
    }
}

/// The exit code that the first line of an error tells, such as `Exit code 2`.
pub(super) fn exit_code(error: &str) -> Option<i64> {
    let line = error.lines().next()?.trim().trim_end_matches('.');
    let (before, number) = line.rsplit_once(' ')?;
    let number = number.parse().ok()?;
    (line.len() <= 80 && before.to_ascii_lowercase().ends_with("code")).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tells_its_files_and_nothing_else() {
        let patch = "*** Begin Patch\n*** Update File: src/a.rs\n@@\n-*** old\n+s3cret\n*** Move to: src/b.rs\n*** End Patch";
        for arguments in [
            json!({ "command": patch }),
            json!({ "input": patch }),
            json!(patch),
            json!({"command": ["apply_patch", patch]}),
        ] {
            assert_eq!(files("apply_patch", Some(&arguments)), ["src/a.rs", "src/b.rs"]);
        }
    }

    #[test]
    fn an_exit_code_is_read_from_the_first_line_only() {
        assert_eq!(exit_code("Exit code 2\noutput"), Some(2));
        assert_eq!(exit_code("Command exited with non-zero status code 101"), Some(101));
        assert_eq!(exit_code("the code is s3cret"), None);
        assert_eq!(exit_code("lines: 3"), None);
    }
}
