//! The real shells complete `git audit`, and the real `man` shows its pages. A shell that is not there is skipped.

use std::fs;
use std::process::Command;

use crate::sandbox::{Run, Sandbox, run};

const GIT_COMPLETION: &str = "/usr/share/bash-completion/completions/git";

/// A ledger of three tasks.
fn ledger() -> Sandbox {
    let sandbox = Sandbox::with_ledger();
    for task_id in ["deploy-41", "deploy-42", "scan-1"] {
        sandbox.record(task_id, &[]);
    }
    sandbox
}

/// Whether the test can be run; says so where it cannot.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

/// What may stand in place of the last word.
#[track_caller]
fn candidates(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let done = sandbox.audit(&[&["completions", "--candidates", "--"], words].concat()).exits(0);
    assert_eq!(done.stderr, "");
    done.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// The words that bash offers: `body` sets COMPREPLY.
#[track_caller]
fn bash(sandbox: &Sandbox, load: &str, line: &[&str], function: &str) -> Vec<String> {
    let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
    let text = line.join(" ");
    let script = format!(
        "{load}\neval \"$(git-audit completions bash)\"\nCOMP_WORDS=({words}) COMP_CWORD={last}\nCOMP_LINE='{text}' \
         COMP_POINT=${{#COMP_LINE}}\nwords=(\"${{COMP_WORDS[@]}}\") cword=$COMP_CWORD\n{function}\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words = words.join(" "),
        last = line.len() - 1
    );
    let done = run(sandbox.command("bash").args(["--norc", "-c", &script]));
    assert_eq!(done.stderr, "");
    done.stdout.lines().filter(|line| !line.is_empty()).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn bash_completes_git_audit_by_itself() {
    let sandbox = ledger();
    let direct = |line: &[&str]| bash(&sandbox, "set -u", line, "__git_audit_main");
    assert_eq!(direct(&["git-audit", "sh"]), ["show"]);
    assert_eq!(direct(&["git-audit", "show", "dep"]), ["deploy-41", "deploy-42"]);
    assert_eq!(
        direct(&["git-audit", "log", "--status", ""]),
        ["completed", "failed", "rejected", "cancelled"]
    );
    // As readline splits it: only the part after the sign is replaced.
    assert_eq!(direct(&["git-audit", "log", "--status", "=", "f"]), ["failed"]);
    let under_git = |line: &[&str]| bash(&sandbox, "set -u", line, "_git_audit");
    assert_eq!(under_git(&["git", "audit", "show", "deploy-42"]), ["deploy-42"]);
}

#[test]
fn bash_completes_git_audit_through_the_completion_of_git() {
    if !fs::exists(GIT_COMPLETION).unwrap() {
        eprintln!("skipped: there is no {GIT_COMPLETION}");
        return;
    }
    let sandbox = ledger();
    let load = format!(". {GIT_COMPLETION}");
    let complete = |line: &[&str]| bash(&sandbox, &load, line, "__git_wrap__git_main");
    assert_eq!(complete(&["git", "aud"]), ["audit"]);
    assert_eq!(complete(&["git", "audit", "sh"]), ["show"]);
    assert_eq!(complete(&["git", "audit", "show", "dep"]), ["deploy-41", "deploy-42"]);
    assert_eq!(
        complete(&["git", "audit", "log", "--status", ""]),
        ["completed", "failed", "rejected", "cancelled"]
    );
    let elsewhere = sandbox.path("");
    let elsewhere = elsewhere.to_str().unwrap();
    let from_root = format!("{load}\ncd /");
    let line = ["git", "-C", elsewhere, "audit", "show", "sc"];
    assert_eq!(bash(&sandbox, &from_root, &line, "__git_wrap__git_main"), ["scan-1"]);
    sandbox.git(&["config", "alias.au", "audit"]);
    assert_eq!(complete(&["git", "au", "show", "sc"]), ["scan-1"]);
}

#[test]
fn fish_completes_git_audit_with_descriptions() {
    if !has("fish") {
        return;
    }
    let sandbox = ledger();
    let complete = |line: &str| {
        let script = format!("git-audit completions fish | source; complete -C '{line}'");
        run(sandbox.command("fish").args(["--no-config", "-c", &script])).exits(0).stdout
    };
    assert_eq!(complete("git audit sh"), "show\tShow one task's entry\n");
    for line in ["git audit show dep", "git-audit show dep", "git -C . --no-pager audit path dep"] {
        assert_eq!(complete(line), "deploy-41\ndeploy-42\n", "{line}");
    }
    assert_eq!(complete("git audit log --status "), "completed\nfailed\nrejected\ncancelled\n");
}

/// Types a line and a tab into an interactive zsh.
fn zsh(sandbox: &Sandbox, line: &str) -> Run {
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'PS1=; autoload -Uz compinit; compinit -D -u; eval "$(git-audit completions zsh)"; print rea''dy'
        zpty -r -m shell seen '*ready*'
        zpty -w -n shell "$1"$'\t\t'
        zpty -w -n shell $'\x01print -r -- "<" \x05 ">"\n'
        zpty -r -m shell seen '*>*<*>*'
        print -r -- $seen
    "#;
    let script = sandbox.input("script.zsh", script);
    run(sandbox.command("zsh").args(["-f", &script, line]).env("TERM", "dumb"))
}

#[test]
fn zsh_completes_git_audit() {
    if !has("zsh") {
        return;
    }
    let sandbox = ledger();
    for (line, whole) in [
        ("git audit show dep", "deploy-42"),
        ("git audit log --status fai", "failed"),
        ("git-audit pa", "path"),
        ("git -C . audit show sca", "scan-1"),
        ("git aud", "audit"),
    ] {
        let done = zsh(&sandbox, line);
        assert!(done.stdout.contains(whole), "{line}: {done:?}");
    }
}

#[test]
fn completion_knows_where_the_command_will_stand() {
    let sandbox = ledger();
    let repository = sandbox.path("");
    let repository = repository.to_str().unwrap();
    let inside = sandbox.path(".git");
    let from_root = |words: &[&str]| {
        let arguments = [&["completions", "--candidates", "--"], words].concat();
        run(sandbox.audit_command(&arguments).current_dir("/")).exits(0).stdout
    };
    assert_eq!(from_root(&["git", "audit", "show", "s"]), "");
    assert_eq!(from_root(&["git", "-C", repository, "audit", "show", "s"]), "scan-1\n");
    assert_eq!(from_root(&["git-audit", "-C", repository, "path", "s"]), "scan-1\n");
    let git_dir = format!("--git-dir={}", inside.display());
    assert_eq!(from_root(&["git", &git_dir, "audit", "record", "--supersedes", "s"]), "scan-1\n");
    assert_eq!(from_root(&["git", "-C", "/nowhere", "audit", "show", ""]), "");
    assert_eq!(from_root(&["git", "-C", "/nowhere", "audit", "sh"]), "show\tShow one task's entry\n");
}

#[test]
fn completion_is_quiet_wherever_it_stands() {
    for sandbox in [Sandbox::empty(), Sandbox::new(), Sandbox::with_code()] {
        for words in
            [&["git", "audit", "show", ""][..], &["git"], &["git", "log", ""], &["git", "audit"], &[]]
        {
            assert_eq!(candidates(&sandbox, words), Vec::<String>::new(), "{words:?}");
        }
        assert_eq!(candidates(&sandbox, &["git", "audit", "sh"]), ["show"]);
        assert!(!sandbox.path(".git/git-audit").exists());
    }
}

#[test]
fn completion_offers_flags_after_a_dash_and_leaves_files_to_the_shell() {
    let sandbox = ledger();
    let commands = candidates(&sandbox, &["git", "audit", ""]);
    assert!(commands.iter().any(|name| name == "log"), "{commands:?}");
    assert!(commands.iter().all(|name| !name.starts_with('-')), "{commands:?}");
    let flags = candidates(&sandbox, &["git", "audit", "log", "--"]);
    assert!(flags.iter().any(|flag| flag == "--since"), "{flags:?}");
    assert!(!candidates(&sandbox, &["git", "audit", "flush", "--"]).contains(&"--only-due-packs".to_owned()));
    for words in
        [&["git", "audit", "record", ""][..], &["git", "audit", "import", "x"], &["git", "audit", "-C", ""]]
    {
        assert_eq!(candidates(&sandbox, words), [":files"], "{words:?}");
    }
}

#[test]
fn of_too_many_tasks_the_first_and_the_last_are_offered() {
    let sandbox = Sandbox::new();
    let tasks =
        (0..250).map(|number| format!("{{\"task_id\":\"a-{number:03}\",\"status\":\"completed\"}}\n"));
    let more = "{\"task_id\":\"az\",\"status\":\"completed\"}\n".to_owned();
    let input: String = tasks.chain([more]).collect();
    sandbox.audit(&["init", "--flat-limit", "100"]).exits(0);
    sandbox.audit_with_input(&["import", "-"], input).exits(0);
    let offered = candidates(&sandbox, &["git", "audit", "show", "a"]);
    assert_eq!(offered.len(), 200);
    // What all offered ids have in common is what all ids have in common, so a shell fills in no wrong part.
    assert_eq!([&offered[0], &offered[199]], ["a-000", "az"]);
    assert_eq!(candidates(&sandbox, &["git", "audit", "show", "a-24"]).len(), 10);
    assert_eq!(candidates(&sandbox, &["git", "audit", "show", "a-249"]), ["a-249"]);
}

/// The manual's tree, with the pages in it.
fn manual(sandbox: &Sandbox) -> std::path::PathBuf {
    let tree = sandbox.root().join("share/man");
    sandbox.audit(&["man", tree.join("man1").to_str().unwrap()]).exits(0).says("manpath");
    tree
}

#[test]
fn each_command_has_a_page_with_the_sections_that_people_look_for() {
    let sandbox = Sandbox::empty();
    let help = sandbox.audit(&["-h"]).exits(0).stdout;
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    let tree = manual(&sandbox);
    for command in commands.iter().filter(|command| **command != "help") {
        let page = fs::read_to_string(tree.join(format!("man1/git-audit-{command}.1"))).unwrap();
        assert!(page.starts_with(&format!(".TH GIT-AUDIT-{} 1", command.to_uppercase())), "{page}");
        assert!(page.is_ascii(), "{page}");
        assert!(page.contains(&format!("\n\\fBgit audit {command}\\fR ")), "{page}");
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "\"EXIT STATUS\"", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{command} has no {section}: {page}");
        }
    }
    let page = sandbox.audit(&["man"]).exits(0).stdout;
    assert_eq!(page, fs::read_to_string(tree.join("man1/git-audit.1")).unwrap());
    assert!(page.contains("\\fB7\\fR\nbusy"), "{page}");
    assert!(page.contains(concat!("\"git-audit ", env!("CARGO_PKG_VERSION"), "\"")), "{page}");
}

#[test]
fn pages_are_sound_roff() {
    if !has("groff") {
        return;
    }
    let sandbox = Sandbox::empty();
    for page in fs::read_dir(manual(&sandbox).join("man1")).unwrap() {
        let page = page.unwrap().path();
        let done = run(sandbox.command("groff").args(["-man", "-ww", "-Tutf8"]).arg(&page)).exits(0);
        assert_eq!(done.stderr, "", "{}", page.display());
    }
}

#[test]
fn git_audit_help_opens_the_page() {
    if !has("man") {
        return;
    }
    let sandbox = Sandbox::empty();
    let tree = manual(&sandbox);
    let mut help = sandbox.command("git");
    let done = run(help.args(["audit", "--help"]).env("MANPATH", tree).env("PAGER", "cat")).exits(0);
    for text in ["GIT-AUDIT(1)", "git audit [OPTIONS] <COMMAND>", "git-audit-log(1)"] {
        assert!(done.stdout.contains(text), "no {text} in: {}", done.stdout);
    }
}

#[test]
fn man_names_what_it_wrote_and_what_it_could_not_write() {
    let sandbox = Sandbox::empty();
    let listed = sandbox.audit(&["man", "pages", "--json"]).exits(0).says("man1").json();
    assert_eq!(listed["schema"], "git-audit/man/v1");
    assert_eq!(listed["files"][0], sandbox.path("pages/git-audit.1").to_str().unwrap());
    let path = sandbox.write("taken", "");
    sandbox.audit(&["man", "taken"]).exits(1).says(path.to_str().unwrap());
    sandbox.audit(&["man", "--json"]).exits(2).says("DIR");
}
