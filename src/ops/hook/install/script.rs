//! The lines in a hook of git that call `git audit hook git`.
//!
//! They stand before everything else in the script: a script that ends with `exit` would never come to them, and its own
//! exit code stays the last one. They do nothing unless a task runs around git, and nothing that they do can fail the hook.
//! Taken out, every byte is as it was; a script that was made for them says so, and goes with them.

use std::path::Path;

use crate::error::{Error, Result};

const BEGIN: &str = "# >>> git-audit";
const END: &str = "# <<< git-audit";
/// Stands behind the end where the whole script was made for the lines.
const WHOLE: &str = ": the script was made for it";
const SHEBANG: &str = "#!/bin/sh";
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];

/// A script of its own.
pub(super) fn new(hook: &str, reads: bool) -> String {
    format!("{SHEBANG}\n{}{WHOLE}\n", block(hook, reads))
}

/// `text` with the lines. Standard input is left to what was there.
pub(super) fn with_block(text: &str, hook: &str, path: &Path) -> Result<String> {
    if text.contains(&format!("\n{BEGIN}")) {
        return Ok(text.to_owned());
    }
    let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    if !is_shell(first) {
        let way_out =
            format!("call `git audit hook git {hook} ARGUMENTS…` from it where GIT_AUDIT_TASK is set");
        return Err(Error::not_extended(path, "it is there, and no shell script", way_out));
    }
    Ok(format!("{first}\n{}{rest}", block(hook, false)))
}

/// `text` without the lines. `None`: nothing is left of a script that was made for them.
pub(super) fn without_block(text: &str, path: &Path) -> Result<Option<String>> {
    let Some(begin) = text.find(&format!("\n{BEGIN}")) else { return Ok(Some(text.to_owned())) };
    let (before, block) = text.split_at(begin);
    let Some((_, after)) = block.split_once(&format!("\n{END}")) else {
        let why = format!("the line `{END}` is missing, which ends what git-audit added");
        return Err(Error::not_extended(path, why, "take the lines out by hand"));
    };
    let (mark, after) = after.split_at(after.find('\n').unwrap_or(after.len()));
    let is_nothing = mark == WHOLE && before == SHEBANG && after.trim_end().is_empty();
    Ok((!is_nothing).then(|| format!("{before}{after}")))
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
         {END}"
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
        for text in [
            "#!/bin/sh\nexit 0\n",
            "#!/usr/bin/env bash\nset -eu\nread x",
            "#! /bin/dash -e\n",
            "#!/bin/sh",
            "#!/bin/sh\n",
            "#!/bin/sh\n\n\n",
        ] {
            let with = with_block(text, "pre-push", path).unwrap();
            assert!(with.lines().nth(1).unwrap().starts_with(BEGIN));
            assert!(with.contains("</dev/null"));
            assert_eq!(with_block(&with, "pre-push", path).unwrap(), with);
            assert_eq!(without_block(&with, path).unwrap().as_deref(), Some(text));
        }
        assert_eq!(without_block(&new("post-commit", false), path).unwrap(), None);
        let added = new("post-commit", false) + "echo\n";
        assert_eq!(without_block(&added, path).unwrap().as_deref(), Some("#!/bin/sh\necho\n"));
        assert_eq!(without_block("#!/bin/sh\necho\n", path).unwrap().as_deref(), Some("#!/bin/sh\necho\n"));
        let torn = new("post-commit", false).replace(END, "#");
        assert_eq!(without_block(&torn, path).unwrap_err().code(), "not-extended");
    }

    #[test]
    fn what_is_no_shell_script_is_left_alone() {
        for text in ["#!/usr/bin/env python3\n", "#!/usr/bin/perl\n", "\u{7f}ELF", "", "echo\n"] {
            let refused = with_block(text, "post-commit", Path::new("post-commit")).unwrap_err();
            assert_eq!(refused.code(), "not-extended");
        }
    }
}
