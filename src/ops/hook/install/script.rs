//! The lines in a hook of git that call `git audit hook`.
//!
//! They stand before everything else in the script: a script that ends with `exit` would never come to them. Those for
//! events do nothing unless a task runs around git, and cannot fail the hook. Those of the guard fail it wherever they
//! cannot do their work. Taken out, every byte is as it was; a script that was made for them says so, and goes with them.

use std::path::Path;

use crate::error::{Error, Result};

const BEGIN: &str = "# >>> git-audit";
const END: &str = "# <<< git-audit";
/// Stands behind the end where the whole script was made for the lines.
const WHOLE: &str = ": the script was made for it";
const SHEBANG: &str = "#!/bin/sh";
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];

/// Lines to be added, and what to do where the script is no shell's.
pub(super) struct Block {
    /// With the marks around them.
    lines: String,
    way_out: String,
}

/// A script of its own.
pub(super) fn new(block: &Block) -> String {
    format!("{SHEBANG}\n{}{WHOLE}\n", block.lines)
}

/// `text` with the lines.
pub(super) fn with_block(text: &str, block: &Block, path: &Path) -> Result<String> {
    if text.contains(&format!("\n{BEGIN}")) {
        return Ok(text.to_owned());
    }
    let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    if !is_shell(first) {
        return Err(Error::not_extended(path, "it is there, and no shell script", &block.way_out));
    }
    Ok(format!("{first}\n{}{rest}", block.lines))
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

/// Takes down what git does in a task. `reads`: the script is ours alone, so that standard input is, too.
pub(super) fn events(hook: &str, reads: bool) -> Block {
    let (note, input) = if reads {
        (
            "# It reads standard input. A hook that is added below and needs it, too, wants </dev/null here.\n",
            "",
        )
    } else {
        ("", " </dev/null")
    };
    let lines = format!(
        "{BEGIN}: events of a task that `git audit run` runs; `git audit hook uninstall git` removes this\n\
         {note}\
         if [ -n \"${{GIT_AUDIT_TASK-}}\" ] && [ -n \"${{GIT_AUDIT_LEDGER-}}\" ]; then\n    \
             git audit hook git {hook} \"$@\"{input} >/dev/null 2>&1 || :\n\
         fi\n\
         {END}"
    );
    let way_out = format!("call `git audit hook git {hook} ARGUMENTS…` from it where GIT_AUDIT_TASK is set");
    Block { lines, way_out }
}

/// Refuses pushes that break the ledger. What follows in the script gets the same standard input.
pub(super) fn guard() -> Block {
    let lines = format!(
        "{BEGIN}: refuses pushes that break the ledger; `git audit hook uninstall pre-receive` removes this\n\
         if ! command -v git-audit >/dev/null 2>&1; then\n    \
             echo 'git-audit: refused: no-guard: this repository has a ledger, and git-audit, which guards it, is not' \\\n        \
                 'in PATH here; ask whoever runs the server to install it. Nothing was accepted.' >&2\n    \
             exit 1\n\
         fi\n\
         git_audit_pushed=$(cat) || exit 1\n\
         git-audit hook pre-receive <<GIT_AUDIT_PUSHED || exit 1\n\
         $git_audit_pushed\n\
         GIT_AUDIT_PUSHED\n\
         exec <<GIT_AUDIT_PUSHED\n\
         $git_audit_pushed\n\
         GIT_AUDIT_PUSHED\n\
         {END}"
    );
    let way_out = "call `git-audit hook pre-receive` from it first, with the same standard input, \
        and exit with 1 if that fails";
    Block { lines, way_out: way_out.to_owned() }
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
            let with = with_block(text, &events("pre-push", false), path).unwrap();
            assert!(with.lines().nth(1).unwrap().starts_with(BEGIN));
            assert!(with.contains("</dev/null"));
            assert_eq!(with_block(&with, &events("pre-push", false), path).unwrap(), with);
            assert_eq!(without_block(&with, path).unwrap().as_deref(), Some(text));
        }
        assert_eq!(without_block(&new(&events("post-commit", false)), path).unwrap(), None);
        let added = new(&events("post-commit", false)) + "echo\n";
        assert_eq!(without_block(&added, path).unwrap().as_deref(), Some("#!/bin/sh\necho\n"));
        assert_eq!(without_block("#!/bin/sh\necho\n", path).unwrap().as_deref(), Some("#!/bin/sh\necho\n"));
        let torn = new(&events("post-commit", false)).replace(END, "#");
        assert_eq!(without_block(&torn, path).unwrap_err().code(), "not-extended");
    }

    #[test]
    fn what_is_no_shell_script_is_left_alone() {
        for text in ["#!/usr/bin/env python3\n", "#!/usr/bin/perl\n", "\u{7f}ELF", "", "echo\n"] {
            let refused =
                with_block(text, &events("post-commit", false), Path::new("post-commit")).unwrap_err();
            assert_eq!(refused.code(), "not-extended");
        }
    }
}
