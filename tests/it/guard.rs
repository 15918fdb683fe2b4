//! The guard of a server: a push that breaks the ledger is refused as a whole, by a real `git push` to a repository with
//! the hook, and every other push passes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::sandbox::{Run, Sandbox, run};

/// A clone with a ledger on `main`, and the server that it pushes to, which has its first entries already.
pub struct Server {
    pub sandbox: Sandbox,
}

const ENTRY: &str = ".audit/tasks/a.json";

impl Server {
    fn new() -> Self {
        Self::of(Sandbox::with_ledger())
    }

    pub fn of(sandbox: Sandbox) -> Self {
        let server = Self { sandbox };
        server.sandbox.git(&[
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            server.path("").to_str().unwrap(),
        ]);
        server.sandbox.git(&["remote", "add", "origin", &format!("file://{}", server.path("").display())]);
        server.audit(&["hook", "install", "pre-receive", "--branch", &server.branch()]).exits(0);
        server.sandbox.record("a", &[]);
        server.sandbox.record("b", &[]);
        server.push(&[&server.branch()]).exits(0);
        server
    }

    fn branch(&self) -> String {
        self.sandbox.git(&["config", "audit.branch"]).trim().to_owned()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.sandbox.root().join("server.git").join(path)
    }

    /// Runs git-audit on the server.
    fn audit(&self, arguments: &[&str]) -> Run {
        run(self.sandbox.audit_command(arguments).current_dir(self.path("")))
    }

    pub fn push(&self, arguments: &[&str]) -> Run {
        self.sandbox.try_git(&[&["push", "origin"], arguments].concat())
    }

    /// Runs git on the server, which must succeed.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        run(self.sandbox.command("git").args(arguments).current_dir(self.path(""))).exits(0).stdout
    }

    fn tip(&self, name: &str) -> String {
        run(self
            .sandbox
            .command("git")
            .args(["rev-parse", "--verify", "--quiet", name])
            .current_dir(self.path("")))
        .stdout
    }

    /// Pushes, which must be refused by this rule and leave everything as it was.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], rule: &str) -> Run {
        let before = self.refs();
        let done = self.push(arguments);
        assert_ne!(done.code, 0, "{}", done.stderr);
        assert_eq!(self.refs(), before);
        done.says(&format!("remote: git-audit: refused: {rule}: ")).says("nothing of this push was accepted")
    }

    fn refs(&self) -> String {
        self.git(&["for-each-ref"])
    }

    /// Takes back what was not pushed.
    pub fn reset(&self) {
        self.sandbox.git(&["reset", "--quiet", "--hard", "origin/main"]);
    }

    pub fn commit_all(&self) {
        self.sandbox.git(&["add", "--all"]);
        self.sandbox.commit("change");
    }
}

#[test]
fn honest_entries_are_accepted_also_from_an_import() {
    let server = Server::new();
    assert_eq!(server.tip("main"), server.sandbox.git(&["rev-parse", "main"]));
    let lines: String =
        (0..100).map(|number| format!("{{\"task_id\":\"t{number}\",\"status\":\"completed\"}}\n")).collect();
    server.sandbox.audit(&["import", &server.sandbox.input("tasks.jsonl", lines)]).exits(0);
    let done = server.push(&["main"]).exits(0);
    assert!(!done.stderr.contains("git-audit"), "{}", done.stderr);
    assert_eq!(server.tip("main"), server.sandbox.git(&["rev-parse", "main"]));
}

#[test]
fn an_entry_that_is_edited_removed_renamed_or_remade_is_refused() {
    let server = Server::new();
    let path = server.sandbox.path(ENTRY);
    let stored = fs::read_to_string(&path).unwrap();
    fs::write(&path, stored.replace("completed", "failed")).unwrap();
    server.commit_all();
    let commit = server.sandbox.git(&["rev-parse", "HEAD"]);
    server.refuses(&["main"], "entry-changed").says(&format!("(commit {}, {ENTRY})", commit.trim()));
    server.reset();
    fs::remove_file(&path).unwrap();
    server.commit_all();
    server.refuses(&["main"], "entry-removed");
    fs::write(&path, &stored).unwrap();
    server.commit_all();
    server.refuses(&["main"], "entry-removed").says("entry-repeated");
    server.reset();
    server.sandbox.git(&["mv", ENTRY, ".audit/tasks/other.json"]);
    server.commit_all();
    server.refuses(&["main"], "entry-renamed");
    server.reset();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    server.commit_all();
    server.refuses(&["main"], "entry-mode");
}

#[test]
fn the_branch_is_neither_forced_nor_deleted_nor_begun_anew() {
    let server = Server::new();
    server.sandbox.git(&["reset", "--quiet", "--hard", "main~1"]);
    server.refuses(&["--force", "main"], "force-push");
    server.sandbox.record("c", &[]);
    server.refuses(&["--force", "main"], "force-push");
    server.refuses(&[":main"], "delete");
    server.reset();
    server.sandbox.git(&["checkout", "--quiet", "--orphan", "again"]);
    server.sandbox.commit("again");
    server.refuses(&["--force", "again:main"], "force-push");
    server.sandbox.git(&["checkout", "--quiet", "main"]);
    server.sandbox.git_as_user(&["merge", "--quiet", "--no-edit", "--allow-unrelated-histories", "again"]);
    server.refuses(&["main"], "second-root");
}

#[test]
fn what_the_server_has_stays_first() {
    let server = Server::new();
    server.sandbox.git(&["checkout", "--quiet", "-b", "theirs", "main~1"]);
    server.sandbox.git(&["config", "audit.branch", "theirs"]);
    server.sandbox.record("c", &[]);
    server.sandbox.git_as_user(&["merge", "--quiet", "--no-edit", "main"]);
    server.refuses(&["theirs:main"], "reorder").says("merge yours into it");
    server.sandbox.git(&["checkout", "--quiet", "-B", "theirs", "main"]);
    let brought = server.sandbox.git(&["rev-parse", "theirs@{1}^1"]);
    server.sandbox.git_as_user(&["merge", "--quiet", "--no-edit", brought.trim()]);
    server.push(&["theirs:main"]).exits(0);
}

#[test]
fn what_is_no_entry_is_refused_with_all_that_came_along() {
    let server = Server::new();
    server.sandbox.write(".audit/tasks/c.json", "{}\n");
    server.commit_all();
    server.sandbox.git(&["branch", "topic", "main~1"]);
    let refused = server.refuses(&["main", "topic"], "entry-invalid");
    refused.says("digest-differs");
    assert_eq!(server.tip("topic"), "");
    server.push(&["topic"]).exits(0);
}

#[test]
fn other_branches_pass_whatever_they_hold() {
    let server = Server::new();
    server.sandbox.git(&["checkout", "--quiet", "-b", "topic"]);
    fs::remove_file(server.sandbox.path(ENTRY)).unwrap();
    server.commit_all();
    server.push(&["topic"]).exits(0);
    server.sandbox.git(&["tag", "v1"]);
    server.push(&["v1", "topic~1:refs/notes/x"]).exits(0);
    server.sandbox.git(&["reset", "--quiet", "--hard", "main~1"]);
    server.push(&["--force", "topic"]).exits(0);
    server.push(&[":topic"]).exits(0);
}

#[test]
fn a_symbolic_ref_to_the_branch_is_the_branch() {
    let server = Server::new();
    let alias = ["symbolic-ref", "refs/heads/alias", "refs/heads/main"];
    server.git(&alias);
    server.sandbox.git(&["reset", "--quiet", "--hard", "main~1"]);
    server.refuses(&["--force", "main:alias"], "force-push");
}

#[test]
fn a_name_in_other_letters_is_the_branch_where_the_file_system_says_so() {
    let server = Server::new();
    server.push(&["main:Main"]).exits(0);
    server.git(&["config", "core.ignoreCase", "true"]);
    server.refuses(&["main:MAIN"], "other-case");
}

#[test]
fn a_ledger_beside_code_is_guarded_on_its_branch_and_one_with_code_as_well() {
    let server = Server::of(Sandbox::beside_code());
    server.push(&["main"]).exits(0);
    server.refuses(&["--force", "main:audit"], "force-push");
    let server = Server::of(Sandbox::on_main());
    server.sandbox.write("src/main.c", "int main(void) { return 1; }\n");
    server.commit_all();
    server.sandbox.record("c", &[]);
    server.push(&["main"]).exits(0);
    server.sandbox.git(&["checkout", "--quiet", "-b", "topic", "main~1"]);
    server.sandbox.write("README", "more\n");
    server.commit_all();
    server.sandbox.git(&["checkout", "--quiet", "main"]);
    server.sandbox.git_as_user(&["merge", "--quiet", "--no-edit", "topic"]);
    server.push(&["main"]).exits(0);
    server.sandbox.write("src/main.c", "int main(void) { return 2; }\n");
    fs::remove_file(server.sandbox.path(ENTRY)).unwrap();
    server.commit_all();
    server.refuses(&["main"], "entry-removed");
}

#[test]
fn without_the_program_nothing_is_accepted() {
    let server = Server::new();
    let exec = server.sandbox.git(&["--exec-path"]);
    server.sandbox.record("c", &[]);
    let mut push = server.sandbox.command("git");
    push.args(["push", "origin", "main"]).env("PATH", format!("/usr/bin:/bin:{}", exec.trim()));
    let before = server.tip("main");
    assert_ne!(run(&mut push).says("refused: no-guard").code, 0);
    assert_eq!(server.tip("main"), before);
    server.push(&["main"]).exits(0);
}

#[test]
fn what_cannot_be_understood_or_judged_is_refused() {
    let server = Server::new();
    let call = |input: &str| {
        let mut command = server.sandbox.audit_command(&["hook", "pre-receive"]);
        let file = server.sandbox.input("stdin", input);
        run(command.current_dir(server.path("")).stdin(fs::File::open(file).unwrap()))
    };
    let (tip, zero) = (server.tip("main").trim().to_owned(), "0".repeat(40));
    for input in
        ["", "\n", "x", "a b refs/heads/main\n", &format!("{tip} {tip} refs/heads/main"), &format!("{tip}\n")]
    {
        call(input).exits(1).says("refused: malformed");
    }
    let line = format!("{tip} {} refs/heads/main\n", "1".repeat(40));
    call(&line).exits(1).says("refused: object-missing").says("nothing of this push");
    call(&format!("{zero} {tip} refs/heads/main\n")).exits(1).says("refused: moved");
    call(&line.repeat(2)).exits(1).says("refused: several-updates");
    call(&line.replace("main", "\u{1b}[31mtopic")).exits(1).says("malformed");
    call(&line.replace("main", "topic")).exits(0);
    call(&line.replace("main", "../heads/main")).exits(0);
    fs::write(server.path("refs/heads/main"), "broken\n").unwrap();
    call(&line).exits(1).says("refused: damaged");
    call(&line.replace("main", "topic")).exits(0);
    fs::write(server.path("config"), "[broken").unwrap();
    call(&line.replace("main", "topic")).exits(1).says("git-audit: refused: ");
}

#[test]
fn only_the_first_refusals_are_told() {
    let server = Server::new();
    for number in 0..30 {
        server.sandbox.write(&format!(".audit/tasks/x{number}.json"), "{}\n");
    }
    server.commit_all();
    let refused = server.refuses(&["main"], "several-entries").says("more");
    assert_eq!(refused.stderr.matches("refused: entry-invalid").count(), 19, "{}", refused.stderr);
}

// Installing it.

#[test]
fn installing_shows_and_pins_the_branch_and_a_second_time_changes_nothing() {
    let sandbox = Sandbox::new();
    let config = fs::read_to_string(sandbox.path(".git/config")).unwrap();
    let shown = sandbox.audit(&["hook", "install", "pre-receive", "--dry-run"]).exits(0);
    assert!(
        shown.stdout.contains("+    branch = \"audit\"")
            && shown.stdout.contains("+git-audit hook pre-receive")
    );
    assert!(!sandbox.path(".git/hooks/pre-receive").exists());
    sandbox.audit(&["hook", "install", "pre-receive", "--branch", "ledger"]).exits(0);
    assert_eq!(sandbox.git(&["config", "audit.branch"]), "ledger\n");
    let again = sandbox.audit(&["hook", "install", "pre-receive", "--json"]).exits(0).json();
    assert!(again["files"].as_array().unwrap().iter().all(|file| file["outcome"] == "unchanged"), "{again}");
    sandbox.audit(&["hook", "install", "pre-receive", "--branch", "other"]).exits(1).says("ledger");
    sandbox.audit(&["hook", "install", "git", "--branch", "other"]).exits(2);
    sandbox.audit(&["hook", "uninstall", "pre-receive"]).exits(0);
    assert!(!sandbox.path(".git/hooks/pre-receive").exists());
    let left = fs::read_to_string(sandbox.path(".git/config")).unwrap();
    assert_eq!(left, format!("{config}[audit]\n\tbranch = \"ledger\"\n"));
}

#[test]
fn the_ledger_that_is_there_is_the_one_that_is_guarded() {
    let sandbox = Sandbox::with_ledger();
    sandbox.git(&["config", "--unset", "audit.branch"]);
    sandbox.audit(&["hook", "install", "pre-receive"]).exits(0);
    assert_eq!(sandbox.git(&["config", "audit.branch"]), "main\n");
}

#[test]
fn a_hook_that_is_there_runs_after_the_guard_with_the_same_input() {
    let server = Server::new();
    server.audit(&["hook", "uninstall", "pre-receive"]).exits(0);
    let own = "#!/bin/sh -e\ncat >seen\necho own >&2\nexit 0\n";
    let hook = server.path("hooks/pre-receive");
    fs::write(&hook, own).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    server.audit(&["hook", "install", "pre-receive"]).exits(0);
    let old = server.tip("main");
    server.sandbox.record("c", &[]);
    server.push(&["main", "main:topic"]).exits(0).says("own");
    let seen = fs::read_to_string(server.path("seen")).unwrap();
    let new = server.tip("main");
    assert_eq!(
        seen,
        format!(
            "{} {} refs/heads/main\n{} {} refs/heads/topic\n",
            old.trim(),
            new.trim(),
            "0".repeat(40),
            new.trim()
        )
    );
    server.sandbox.git(&["reset", "--quiet", "--hard", "main~1"]);
    let refused = server.refuses(&["--force", "main"], "force-push");
    assert!(!refused.stderr.contains("own"), "{}", refused.stderr);
    server.audit(&["hook", "uninstall", "pre-receive"]).exits(0);
    assert_eq!(fs::read_to_string(&hook).unwrap(), own);
    fs::write(&hook, "#!/usr/bin/env python3\n").unwrap();
    server
        .audit(&["hook", "install", "pre-receive"])
        .exits(1)
        .says("no shell script")
        .says("git-audit hook pre-receive");
}
