//! The lines in a hook of git that call `git audit hook git`.
//!
//! They stand before everything else in the script: a script that ends with `exit` would never come to them, and its own
//! exit code stays the last one. They do nothing unless a task runs around git, and nothing that they do can fail the hook.

use std::path::Path;

use crate::error::{Error, Result};

const BEGIN: &str = "# >>> git-audit";
const END: &str = "# <<< git-audit";
const SHEBANG: &str = "#!/bin/sh";
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];

/// A script of its own.
pub(super) fn new(hook: &str, reads: bool) -> String {
    format!("{SHEBANG}\n{}", block(hook, reads))
}

/// `text` with the lines. Standard input is left to what was there.
pub(super) fn with_block(text: &str, hook: &str, path: &Path) -> Result<String> {
    if text.contains(BEGIN) {
        return Ok(text.to_owned());
    }
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    if !is_shell(first) {
        let way_out =
            format!("call `git audit hook git {hook} ARGUMENTS…` from it where GIT_AUDIT_TASK is set");
        return Err(Error::not_extended(path, "it is there, and no shell script", way_out));
    }
    Ok(format!("{first}\n{}{rest}", block(hook, false)))
}

/// `text` without the lines. `None`: nothing is left.
pub(super) fn without_block(text: &str) -> Option<String> {
    let mut inside = false;
    let kept = text.split_inclusive('\n').filter(|line| {
        let begins = line.starts_with(BEGIN);
        let ends = line.starts_with(END);
        inside = (inside || begins) && !ends;
        !inside && !ends
    });
    let kept: String = kept.collect();
    (kept.trim_end() != SHEBANG).then_some(kept)
}

fn block(hook: &str, reads: bool) -> String {
    let (note, input) = if reads {
        (
            "# It reads standard input. A hook that is added below and needs it, too, wants </dev/null here.\n",
            "",
        )
    } else {
        ("", " </dev/null")
    };
    format!(
        "{BEGIN}: events of a task that `git audit run` runs; `git audit hook uninstall git` removes this\n\
         {note}\
         if [ -n \"${{GIT_AUDIT_TASK-}}\" ] && [ -n \"${{GIT_AUDIT_LEDGER-}}\" ]; then\n    \
             git audit hook git {hook} \"$@\"{input} >/dev/null 2>&1 || :\n\
         fi\n\
         {END}\n"
    )
}

fn is_shell(first_line: &str) -> bool {
    let Some(command) = first_line.strip_prefix("#!") else { return false };
    let mut words = command.split_whitespace().filter_map(|word| word.rsplit('/').next());
    let program = match words.next() {
        Some("env") => words.find(|word| !word.starts_with('-')),
        program => program,
    };
    program.is_some_and(|program| SHELLS.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_come_first_and_come_out_again() {
        let path = Path::new("pre-push");
        for text in ["#!/bin/sh\nexit 0\n", "#!/usr/bin/env bash\nset -eu\nread x", "#! /bin/dash -e\n"] {
            let with = with_block(text, "pre-push", path).unwrap();
            assert!(with.lines().nth(1).unwrap().starts_with(BEGIN));
            assert!(with.contains("</dev/null"));
            assert_eq!(with_block(&with, "pre-push", path).unwrap(), with);
            let out = without_block(&with);
            assert_eq!(
                out.as_deref().map(str::trim_end),
                Some(text.trim_end()).filter(|text| *text != SHEBANG)
            );
        }
        assert_eq!(without_block(&new("post-commit", false)), None);
        assert_eq!(without_block("#!/bin/sh\necho\n").as_deref(), Some("#!/bin/sh\necho\n"));
    }

    #[test]
    fn what_is_no_shell_script_is_left_alone() {
        for text in ["#!/usr/bin/env python3\n", "#!/usr/bin/perl\n", "\u{7f}ELF", "", "echo\n"] {
            let refused = with_block(text, "post-commit", Path::new("post-commit")).unwrap_err();
            assert_eq!(refused.code(), "not-extended");
        }
    }
}
