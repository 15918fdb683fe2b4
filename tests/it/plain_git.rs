//! Plain git must agree with us: the ledger is readable and checkable without this tool.

use crate::sandbox::{Sandbox, fixture, fixture_entries};

fn recorded_fixtures(sandbox: &Sandbox) {
    let mut arguments = vec!["record".to_owned(), fixture("batch.jsonl")];
    arguments.extend(fixture_entries());
    sandbox.audit(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
}

#[test]
fn git_checks_lists_and_finds_what_we_wrote() {
    for (sandbox, branch) in [(Sandbox::with_ledger(), "main"), (Sandbox::beside_code(), "audit")] {
        recorded_fixtures(&sandbox);
        assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
        let changed = sandbox.git(&[
            "log",
            "--diff-filter=MDRT",
            "--name-only",
            branch,
            "--",
            ".audit/tasks",
            ".audit/shards",
        ]);
        assert_eq!(changed, "");

        for status in ["completed", "failed", "rejected", "cancelled"] {
            let found = sandbox.git(&[
                "log",
                "--format=%(trailers:key=Audit-Task,valueonly,separator=)",
                "--grep",
                &format!("Audit-Status: {status}"),
                branch,
            ]);
            assert_eq!(found.lines().collect::<Vec<_>>(), sandbox.logged(&["--status", status]), "{status}");
        }
        let services = sandbox.git(&["log", "--format=%(trailers:key=Audit-Service,valueonly)", branch]);
        let services: std::collections::BTreeSet<_> =
            services.lines().filter(|line| !line.is_empty()).collect();
        assert!(services.contains("payments-api") && services.iter().any(|service| !service.is_ascii()));
        for service in services {
            let found = sandbox.git(&[
                "log",
                "--format=%(trailers:key=Audit-Task,valueonly,separator=)",
                "--fixed-strings",
                "--grep",
                &format!("Audit-Service: {service}"),
                branch,
            ]);
            for id in sandbox.logged(&["--service", service]) {
                assert!(found.lines().any(|line| line == id), "{service}: {id}");
            }
        }
    }
}

#[test]
fn every_line_after_the_subject_is_a_trailer_that_git_knows() {
    let sandbox = Sandbox::beside_code();
    recorded_fixtures(&sandbox);
    for commit in sandbox.git(&["rev-list", "audit", "--grep", "Audit-Task"]).lines() {
        let body = sandbox.git(&["log", "-1", "--format=%b", commit]);
        let trailers = sandbox.git(&["log", "-1", "--format=%(trailers:only=true)", commit]);
        assert_eq!(body.trim_end(), trailers.trim_end());
        assert!(body.trim_end().lines().last().unwrap().starts_with("Audit-Digest: sha256:"));
    }
}

#[test]
fn the_commands_in_the_ledgers_own_readme_work() {
    let sandbox = Sandbox::with_ledger();
    recorded_fixtures(&sandbox);
    let readme = std::fs::read_to_string(sandbox.path(".audit/README.md")).unwrap();
    let commands: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("    git ")).collect();
    assert!(commands.len() >= 3);
    for command in commands {
        let done =
            crate::sandbox::run(sandbox.command("sh").args(["-c", &format!("git {command}")])).exits(0);
        assert_eq!(done.stdout.is_empty(), command.contains("diff-filter"), "git {command}");
    }
}

#[test]
fn git_gc_and_a_clone_keep_everything() {
    let sandbox = Sandbox::beside_code();
    recorded_fixtures(&sandbox);
    let before = sandbox.logged(&[]);
    sandbox.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(sandbox.logged(&[]), before);
    sandbox.record("after-gc", &[]);
    assert_eq!(sandbox.logged(&[]).len(), before.len() + 1);
    sandbox.git(&["pack-refs", "--all"]);
    sandbox.record("after-pack-refs", &[]);
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
}
