//! The grammar of task ids. It is the only gate between outside text and a path in the tree: libgit2 would accept
//! almost anything as a file name.

use std::fmt;

use serde::Serialize;

/// The most bytes of a task id.
pub const MAX_BYTES: usize = 128;

/// A task id that is safe as a file name on every platform: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, no `..`, not ending
/// in `.` or `.lock`, not a Windows device name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TaskId(
    #[cfg_attr(test, schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")))]
    String,
);

impl TaskId {
    /// Checks `text` against the grammar.
    ///
    /// # Errors
    /// The rule that it breaks, in words.
    pub fn new(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() {
            return Err("a task_id must not be empty".into());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("a task_id has at most {MAX_BYTES} characters, this one has {}", text.len()));
        }
        if !text.as_bytes()[0].is_ascii_alphanumeric() {
            return Err("a task_id begins with a letter or a digit (A-Z a-z 0-9)".into());
        }
        if !text.bytes().all(allowed) {
            return Err("a task_id has only the characters A-Z a-z 0-9 . _ -".into());
        }
        if text.contains("..") {
            return Err("a task_id must not contain `..`".into());
        }
        if text.ends_with('.') || text.len() > 4 && text[text.len() - 5..].eq_ignore_ascii_case(".lock") {
            return Err("a task_id must not end in `.` or `.lock`".into());
        }
        if is_device_name(text) {
            return Err(
                "a task_id must not be a Windows device name (con, nul, com1, …), also with an extension"
                    .into(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Windows opens the device for `CON`, and for `con.json` just as well.
fn is_device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let is = |name: &str| stem.len() >= 3 && stem[..3].eq_ignore_ascii_case(name);
    match stem.len() {
        3 => ["con", "prn", "aux", "nul"].iter().any(|name| is(name)),
        4 => ["com", "lpt"].iter().any(|name| is(name)) && stem.as_bytes()[3].is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_people_use_as_ids() {
        for id in [
            "a",
            "0",
            "task-1",
            "TAS_62",
            "deploy-2026-11-03.1",
            "3f2b8c1e-7d4a-4f6b-9c2d-1e0f9a8b7c6d",
            "console",
            "com10",
        ] {
            assert!(TaskId::new(id).is_ok(), "{id}");
        }
        assert!(TaskId::new(&"x".repeat(128)).is_ok());
    }

    #[test]
    fn refuses_what_could_leave_the_folder_or_break_a_platform() {
        for id in [
            "",
            "../../x",
            ".git",
            "a/b",
            "a\\b",
            "-rf",
            "a..b",
            "x.",
            "x.lock",
            "x.LOCK",
            "con",
            "NUL",
            "nul.txt",
            "Com1",
            "lpt9.log",
            "a\nb",
            "a\u{1b}[2J",
            "a b",
            "é",
            "a\0b",
        ] {
            assert!(TaskId::new(id).is_err(), "{id:?}");
        }
        assert!(TaskId::new(&"x".repeat(129)).is_err());
    }
}
