//! The use of a tool as an event: which tool, which files, how long, how it ended. Never what was written, read or said.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::input::Input;
use super::session::Session;

/// More files than these are counted only.
const MAX_FILES: usize = 50;
const MAX_PROGRAM_BYTES: usize = 64;

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

/// What is told of a command line.
#[derive(Debug, PartialEq)]
struct Command {
    /// Without its directory; `None` where the first word is not plainly a name.
    program: Option<String>,
    argument_count: usize,
}

/// The command that a shell's arguments hold. Anything but the program's name could be a secret.
fn command(arguments: &Value) -> Option<Command> {
    let given = arguments.get("command").or_else(|| arguments.get("cmd"))?;
    let words: Vec<_> = match given {
        Value::String(line) => line.split_whitespace().collect(),
        _ => words_of(given),
    };
    command_of(&words)
}

fn command_of(words: &[&str]) -> Option<Command> {
    let is_assignment = |word: &&&str| {
        word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(is_name))
    };
    let assignments: Vec<_> = words.iter().take_while(is_assignment).collect();
    // A value with a blank in it goes on in the next word.
    if assignments.iter().any(|word| word.contains(['"', '\'', '\\', '$', '`', '('])) {
        return None;
    }
    let name = words.get(assignments.len()).and_then(|word| word.rsplit('/').next());
    let is_plain = |name: &&str| {
        !name.is_empty()
            && name.len() <= MAX_PROGRAM_BYTES
            && name.bytes().all(|byte| is_name(byte) || matches!(byte, b'.' | b'-' | b'+'))
    };
    let argument_count = words.len().checked_sub(assignments.len() + 1)?;
    Some(Command { program: name.filter(is_plain).map(str::to_owned), argument_count })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
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

    fn told(line: &str) -> Option<(Option<String>, usize)> {
        let words: Vec<_> = line.split_whitespace().collect();
        command_of(&words).map(|command| (command.program, command.argument_count))
    }

    #[test]
    fn of_a_command_line_the_programs_name_is_told_and_nothing_that_could_be_a_secret() {
        let named = |name: &str, count| Some((Some(name.to_owned()), count));
        assert_eq!(told("/usr/bin/curl -H 'X: s3cret' https://example.com"), named("curl", 4));
        assert_eq!(told("TOKEN=s3cret A=b cargo test"), named("cargo", 1));
        assert_eq!(told("TOKEN='a s3cret b' cargo test"), None);
        assert_eq!(told("TOKEN=$(cat s3cret) cargo"), None);
        assert_eq!(told("\"$(cat s3cret)\""), Some((None, 1)));
        assert_eq!(told(&"x".repeat(65)), Some((None, 0)));
        assert_eq!(told("TOKEN=s3cret"), None);
        assert_eq!(told("  "), None);
    }

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
