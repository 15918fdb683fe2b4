//! `git audit init`: where the ledger goes, and that there is only ever one.

use std::fs;

use crate::sandbox::{Sandbox, run};

#[test]
fn in_an_empty_repository_the_ledger_is_the_current_branch() {
    let sandbox = Sandbox::new();
    let done = sandbox.audit(&["init", "--json"]).exits(0).json();
    assert_eq!(
        (&done["outcome"], &done["branch"], &done["checked_out"]),
        (&"created".into(), &"main".into(), &true.into())
    );
    assert_eq!(sandbox.git(&["config", "audit.branch"]), "main\n");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    let files = sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD"]);
    assert_eq!(
        files,
        ".audit/.gitattributes\n.audit/README.md\n.audit/config.toml\n.audit/schema/entry-v1.schema.json\n"
    );
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
}

#[test]
fn beside_code_the_ledger_is_an_orphan_branch_and_the_working_tree_is_left_alone() {
    let sandbox = Sandbox::with_code();
    sandbox.write("README", "changed\n");
    let before = sandbox.git(&["status", "--porcelain"]);
    let done = sandbox.audit(&["init", "--json"]).exits(0).json();
    assert_eq!((&done["branch"], &done["checked_out"]), (&"audit".into(), &false.into()));
    assert_eq!(sandbox.git(&["rev-list", "--count", "audit"]), "1\n");
    assert_eq!(sandbox.try_git(&["merge-base", "main", "audit"]).code, 1);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), before);
    assert!(!sandbox.path(".audit").exists());
}

#[test]
fn a_second_run_says_so_and_changes_nothing() {
    for sandbox in [Sandbox::with_ledger(), Sandbox::beside_code()] {
        let refs = sandbox.git(&["for-each-ref"]);
        let config = fs::read(sandbox.path(".git/config")).unwrap();
        let again = sandbox.audit(&["init"]).exits(0);
        assert!(
            again.stdout.contains("already") && again.stdout.contains("nothing changed"),
            "{}",
            again.stdout
        );
        assert_eq!(sandbox.git(&["for-each-ref"]), refs);
        assert_eq!(fs::read(sandbox.path(".git/config")).unwrap(), config);
    }
}

#[test]
fn a_named_branch_may_hold_the_code_too() {
    let sandbox = Sandbox::on_main();
    sandbox.record("t1", &[]);
    assert_eq!(sandbox.git(&["rev-list", "--count", "main"]), "3\n");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    assert!(sandbox.path(".audit/tasks/t1.json").exists() && sandbox.path("src/main.c").exists());
    sandbox
        .audit(&["init", "--branch", "other"])
        .exits(1)
        .says("already on branch `main`")
        .says("hint: run `git audit init");
}

#[test]
fn a_bad_branch_name_is_refused() {
    let sandbox = Sandbox::new();
    for name in ["a b", "-x", "a..b", "x.lock", "", "HEAD", "refs/heads/"] {
        sandbox.audit(&["init", &format!("--branch={name}")]).exits(2);
    }
    assert_eq!(sandbox.git(&["for-each-ref"]), "");
}

#[test]
fn a_code_branch_that_happens_to_be_called_audit_is_not_taken() {
    let sandbox = Sandbox::with_code();
    sandbox.git(&["branch", "audit"]);
    sandbox.audit(&["init"]).exits(1).says("`audit` exists and is not a ledger").says("--branch");
    sandbox.audit(&["init", "--branch", "ledger"]).exits(0);
    assert_eq!(sandbox.git(&["rev-list", "--count", "ledger"]), "1\n");
}

#[test]
fn the_flat_limit_is_recorded_in_the_policy_and_cannot_be_changed_in_passing() {
    let sandbox = Sandbox::new();
    sandbox.audit(&["init", "--flat-limit", "3"]).exits(0);
    assert!(sandbox.git(&["show", "main:.audit/config.toml"]).contains("\nflat_limit = 3\n"));
    let again = sandbox.audit(&["init", "--flat-limit", "9"]).exits(0).says("--flat-limit 9 has no effect");
    assert!(again.stdout.contains("nothing changed"));
}

/// A clone of `origin`'s repository, beside it.
fn clone_of(origin: &Sandbox, clone: &Sandbox) {
    let url = origin.path("");
    clone.git(&["clone", "--quiet", url.to_str().unwrap(), "."]);
}

#[test]
fn a_clone_adopts_the_ledger_and_makes_no_second_root() {
    let origin = Sandbox::beside_code();
    origin.record("t1", &[]);
    let clone = Sandbox::empty();
    clone_of(&origin, &clone);

    // Queries need no init at all.
    assert_eq!(clone.logged(&[]), ["t1"]);
    clone.audit(&["show", "t1"]).exits(0);
    assert_eq!(clone.try_git(&["rev-parse", "--verify", "--quiet", "refs/heads/audit"]).code, 1);

    let done = clone.audit(&["init", "--json"]).exits(0).json();
    assert_eq!((&done["outcome"], &done["branch"]), (&"adopted".into(), &"audit".into()));
    assert_eq!(clone.git(&["rev-parse", "audit"]), origin.git(&["rev-parse", "audit"]));
    assert_eq!(clone.git(&["rev-parse", "--abbrev-ref", "audit@{upstream}"]), "origin/audit\n");
    assert_eq!(clone.audit(&["init", "--json"]).exits(0).json()["outcome"], "existing");
    clone.record("t2", &[]);
    assert_eq!(clone.git(&["rev-list", "--max-parents=0", "audit"]).lines().count(), 1);
    clone.git(&["push", "--quiet", "origin", "audit"]);
    assert_eq!(origin.logged(&[]), ["t2", "t1"]);
}

#[test]
fn recording_in_a_fresh_clone_continues_the_ledger_of_origin() {
    let origin = Sandbox::beside_code();
    origin.record("t1", &[]);
    let clone = Sandbox::empty();
    clone_of(&origin, &clone);
    clone.record("t2", &["--init"]);
    assert_eq!(clone.git(&["rev-parse", "audit~1"]), origin.git(&["rev-parse", "audit"]));
    assert_eq!(clone.git(&["config", "audit.branch"]), "audit\n");
    assert_eq!(
        clone.audit_command(&["record", "--task-id", "t1", "--status", "completed"]).output().unwrap().stdout
            [..7],
        *b"skipped"
    );
}

#[test]
fn a_ledger_on_a_named_branch_is_adopted_when_it_is_named_in_the_clone() {
    let origin = Sandbox::with_code();
    origin.audit(&["init", "--branch", "records/main"]).exits(0);
    let clone = Sandbox::empty();
    clone_of(&origin, &clone);
    clone.audit(&["log"]).exits(1).says("no audit ledger");
    let done = clone.audit(&["init", "--branch", "records/main", "--json"]).exits(0).json();
    assert_eq!(done["outcome"], "adopted");
    assert_eq!(clone.git(&["rev-parse", "records/main"]), origin.git(&["rev-parse", "records/main"]));
}

#[test]
fn records_go_to_the_pinned_branch_whatever_is_checked_out() {
    let sandbox = Sandbox::on_main();
    sandbox.git(&["checkout", "--quiet", "-b", "feature"]);
    sandbox.record("t1", &[]);
    assert!(sandbox.git(&["ls-tree", "-r", "--name-only", "main"]).contains("tasks/t1.json"));
    assert!(!sandbox.git(&["ls-tree", "-r", "--name-only", "feature"]).contains("tasks/t1.json"));
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_clone_of_a_shared_ledger_is_pinned_by_its_first_record() {
    let origin = Sandbox::on_main();
    let clone = Sandbox::empty();
    clone_of(&origin, &clone);
    clone.record("t1", &[]);
    clone.git(&["checkout", "--quiet", "-b", "feature"]);
    clone.record("t2", &[]);
    assert_eq!(clone.git(&["config", "audit.branch"]), "main\n");
    assert!(clone.git(&["ls-tree", "-r", "--name-only", "main"]).contains("tasks/t2.json"));
}

#[test]
fn a_pinned_branch_that_is_gone_is_an_error_and_never_a_new_root() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    sandbox.git(&["update-ref", "-d", "refs/heads/audit"]);
    for arguments in [&["init"][..], &["log"], &["record", "--init", "--task-id", "t2", "--status", "failed"]]
    {
        sandbox.audit(arguments).exits(1).says("does not exist").says("git reflog audit");
    }
    assert_eq!(sandbox.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
}

#[test]
fn an_emptied_ref_file_is_an_error_and_never_a_new_root() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    fs::write(sandbox.path(".git/refs/heads/audit"), "").unwrap();
    for arguments in [&["init"][..], &["log"], &["record", "--init", "--task-id", "t2", "--status", "failed"]]
    {
        sandbox.audit(arguments).exits(1).says("refs/heads/audit cannot be read");
    }
    assert_eq!(fs::read(sandbox.path(".git/refs/heads/audit")).unwrap(), b"");
}

#[test]
fn git_dash_c_and_the_environment_reach_the_configuration() {
    let sandbox = Sandbox::with_code();
    run(sandbox.command("git").args([
        "-c",
        "audit.branch=main",
        "-c",
        "user.name=O'Hara",
        "-c",
        "user.email=o@example.com",
        "audit",
        "init",
        "--branch",
        "main",
    ]));
    // The pin of that one command names a branch without a ledger: it is beside the code.
    assert_eq!(sandbox.git(&["log", "-1", "--format=%an <%ae>", "main"]), "O'Hara <o@example.com>\n");
}

#[test]
fn a_branch_that_was_pinned_beforehand_becomes_the_ledger() {
    let sandbox = Sandbox::with_code();
    sandbox.git(&["config", "audit.branch", "main"]);
    sandbox.audit(&["log"]).exits(1).says("no audit ledger");
    sandbox.audit(&["record", "--task-id", "t1", "--status", "failed"]).exits(1).says("git audit init");
    assert_eq!(sandbox.audit(&["init", "--json"]).exits(0).json()["branch"], "main");
    sandbox.record("t1", &[]);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
}

#[test]
fn a_ledger_that_was_removed_from_the_tip_still_answers_and_is_not_begun_anew() {
    let sandbox = Sandbox::on_main();
    sandbox.record("t1", &[]);
    sandbox.git(&["rm", "-r", "--quiet", ".audit"]);
    sandbox.commit("tidy up");
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    sandbox.audit(&["log"]).exits(0).says("was changed or removed");
    let tip = sandbox.git(&["rev-parse", "main"]);
    for arguments in [
        &["record", "--task-id", "t2", "--status", "failed"][..],
        &["record", "--init", "--task-id", "t2", "--status", "failed"],
    ] {
        sandbox.audit(arguments).exits(1).says("somebody removed it");
    }
    sandbox.audit(&["init"]).exits(1).says("somebody removed it").says("--diff-filter=D");
    assert_eq!(sandbox.git(&["rev-parse", "main"]), tip);
}
