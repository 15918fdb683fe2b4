//! Every kind of repository that a record may meet.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::sandbox::{Sandbox, run};

#[test]
fn a_bare_repository_holds_a_ledger() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("t1", &[]);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
    assert!(!sandbox.path("index").exists());
}

#[test]
fn a_sha_256_repository_holds_a_ledger() {
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main"]);
    sandbox.audit(&["init", "--flat-limit", "2"]).exits(0);
    for id in ["t1", "t2", "t3"] {
        sandbox.record(id, &["--service", "web"]);
    }
    let commit =
        sandbox.audit(&["show", "t3", "--json"]).exits(0).json()["commit"].as_str().unwrap().to_owned();
    assert_eq!((commit.len(), commit.as_str()), (64, sandbox.git(&["rev-parse", "HEAD"]).trim()));
    assert_eq!(sandbox.logged(&["--service", "web"]), ["t3", "t2", "t1"]);
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    sandbox.git(&["gc", "--quiet"]);
    sandbox.record("t4", &[]);
    assert_eq!(sandbox.logged(&[]).len(), 4);
}

#[test]
fn a_detached_head_changes_nothing() {
    let sandbox = Sandbox::beside_code();
    sandbox.git(&["checkout", "--quiet", "--detach"]);
    let head = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.record("t1", &[]);
    assert_eq!((sandbox.logged(&[]), sandbox.git(&["rev-parse", "HEAD"])), (vec!["t1".to_owned()], head));
    let fresh = Sandbox::with_code();
    fresh.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(fresh.audit(&["init", "--json"]).exits(0).json()["branch"], "audit");
}

#[test]
fn ci_checks_out_a_commit_of_the_ledger_without_a_branch() {
    let origin = Sandbox::on_main();
    origin.record("t1", &[]);
    let clone = Sandbox::new();
    clone.git(&["remote", "add", "origin", origin.path("").to_str().unwrap()]);
    clone.git(&["fetch", "--quiet", "origin"]);
    clone.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    assert_eq!(clone.logged(&[]), ["t1"]);
    clone.record("t2", &[]);
    assert_eq!(clone.git(&["rev-parse", "main~1"]), origin.git(&["rev-parse", "main"]));
    // With several branches that hold the ledger, none is picked by chance.
    origin.git(&["branch", "feature", "main~1"]);
    let other = Sandbox::new();
    other.git(&["remote", "add", "origin", origin.path("").to_str().unwrap()]);
    other.git(&["fetch", "--quiet", "origin"]);
    other.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    assert_eq!(other.logged(&[]), ["t1"]);
    origin.git(&["branch", "second", "main"]);
    other.git(&["fetch", "--quiet", "origin"]);
    other.audit(&["log"]).exits(1).says("several branches").says("git config audit.branch");
}

#[test]
fn linked_worktrees_share_the_ledger() {
    let sandbox = Sandbox::beside_code();
    let linked = sandbox.root().join("linked");
    sandbox.git(&["worktree", "add", "--quiet", "--detach", linked.to_str().unwrap()]);
    let here = ["-C", linked.to_str().unwrap()];
    sandbox.audit(&[&here[..], &["record", "--task-id", "t1", "--status", "failed"]].concat()).exits(0);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    assert_eq!(sandbox.audit(&[&here[..], &["log", "--count"]].concat()).exits(0).stdout, "1\n");
    assert_eq!(sandbox.git(&["-C", linked.to_str().unwrap(), "status", "--porcelain"]), "");
}

#[test]
fn a_branch_checked_out_in_another_worktree_moves_with_that_index() {
    let sandbox = Sandbox::beside_code();
    let linked = sandbox.root().join("linked");
    let path = linked.to_str().unwrap();
    sandbox.git(&["worktree", "add", "--quiet", path, "audit"]);
    sandbox.record("t1", &[]);
    assert_eq!(sandbox.git(&["-C", path, "status", "--porcelain"]), "");
    assert!(linked.join(".audit/tasks/t1.json").exists());
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    fs::write(linked.join("note"), "x").unwrap();
    sandbox.git(&["-C", path, "add", "note"]);
    sandbox.git_as_user(&["-C", path, "commit", "--quiet", "-am", "note"]);
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    // From inside it, too; and when its folder is gone the index still follows.
    sandbox.audit(&["-C", path, "record", "--task-id", "t2", "--status", "failed"]).exits(0);
    assert_eq!(sandbox.git(&["-C", path, "status", "--porcelain"]), "");
    fs::remove_dir_all(&linked).unwrap();
    sandbox.record("t3", &[]);
    assert_eq!(sandbox.logged(&[]), ["t3", "t2", "t1"]);
}

#[test]
fn the_users_staged_and_unstaged_changes_stay_byte_for_byte() {
    for branch in ["audit", "main"] {
        let sandbox = Sandbox::with_code();
        sandbox.audit(&["init", "--branch", branch]).exits(0);
        sandbox.write("staged", "staged\n");
        sandbox.write("README", "staged version\n");
        sandbox.git(&["add", "staged", "README"]);
        sandbox.write("README", "unstaged version\n");
        sandbox.write("untracked", "untracked\n");
        sandbox.git(&["rm", "--quiet", "--cached", "src/main.c"]);
        let picture = || {
            let questions: [&[&str]; 4] = [
                &["status", "--porcelain"],
                &["diff"],
                &["diff", "--cached", "--", ":!.audit"],
                &["ls-files", "--stage", "--", ":!.audit"],
            ];
            questions.map(|question| sandbox.git(question))
        };
        let before = picture();
        sandbox.record("t1", &[]);
        assert_eq!(picture(), before, "{branch}");
        assert_eq!(fs::read(sandbox.path("README")).unwrap(), b"unstaged version\n");
        let files = sandbox.git(&["diff-tree", "-r", "--no-commit-id", "--name-only", branch]);
        assert_eq!(files, ".audit/tasks/t1.json\n");
        sandbox.commit("mine");
        assert_eq!(sandbox.logged(&[]), ["t1"]);
        assert_eq!(sandbox.git(&["show", "HEAD:README"]), "staged version\n");
    }
}

#[test]
fn decoys_in_the_environment_are_not_followed() {
    for sandbox in [Sandbox::beside_code(), Sandbox::with_ledger()] {
        let decoys = sandbox.root().join("decoys");
        fs::create_dir(&decoys).unwrap();
        let mut command = sandbox.audit_command(&["record", "--task-id", "t1", "--status", "failed"]);
        command
            .env("GIT_INDEX_FILE", decoys.join("index"))
            .env("GIT_OBJECT_DIRECTORY", decoys.join("objects"));
        command
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &decoys)
            .env("GIT_COMMON_DIR", &decoys)
            .env("GIT_NAMESPACE", "decoy");
        run(&mut command).exits(0);
        assert_eq!(fs::read_dir(&decoys).unwrap().count(), 0);
        assert_eq!(sandbox.logged(&[]), ["t1"]);
        assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn git_dir_is_honoured() {
    let sandbox = Sandbox::beside_code();
    let mut command = sandbox.audit_command(&["record", "--task-id", "t1", "--status", "failed"]);
    run(command.env("GIT_DIR", sandbox.path(".git")).current_dir(sandbox.root())).exits(0);
    let mut through_git = sandbox.command("git");
    let git_dir = format!("--git-dir={}", sandbox.path(".git").display());
    run(through_git
        .args([&git_dir, "audit", "record", "--task-id", "t2", "--status", "failed"])
        .current_dir(sandbox.root()))
    .exits(0);
    assert_eq!(sandbox.logged(&[]), ["t2", "t1"]);
    let mut deep = sandbox.audit_command(&["log", "--count"]);
    assert_eq!(run(deep.current_dir(sandbox.path("src"))).exits(0).stdout, "2\n");
    sandbox.audit(&["-C", "src", "-C", "..", "log"]).exits(0);
    sandbox.audit(&["-C", "nowhere", "log"]).exits(1).says("nowhere: No such file or directory");
}

#[test]
fn conversion_of_line_ends_and_idents_does_not_touch_an_entry() {
    let sandbox = Sandbox::new();
    sandbox.git(&["config", "core.autocrlf", "true"]);
    sandbox.write(".gitattributes", "*.json ident text eol=crlf\n");
    sandbox.git(&["add", "."]);
    sandbox.commit("attributes");
    sandbox.audit(&["init", "--branch", "main"]).exits(0);
    sandbox.record("t1", &["--title", "$Id$ and $Id: 0123 $ \r\n end"]);
    let raw = sandbox.audit(&["show", "t1", "--raw"]).exits(0).stdout;
    assert!(raw.contains("$Id$ and $Id: 0123 $ \\r\\n end"), "{raw}");
    assert_eq!(fs::read_to_string(sandbox.path(".audit/tasks/t1.json")).unwrap(), raw);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
    // Nor does a checkout by git itself.
    fs::remove_file(sandbox.path(".audit/tasks/t1.json")).unwrap();
    sandbox.git(&["checkout", "--", ".audit"]);
    assert_eq!(fs::read_to_string(sandbox.path(".audit/tasks/t1.json")).unwrap(), raw);
    sandbox.git(&["add", "--renormalize", "."]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "");
}

#[test]
fn nothing_that_the_configuration_names_is_run() {
    let sandbox = Sandbox::new();
    let mark = sandbox.root().join("ran");
    let evil = sandbox.input("evil", format!("#!/bin/sh\necho $0 >> {}\ncat\n", mark.display()));
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write(".gitattributes", "*.json filter=evil diff=evil merge=evil\n");
    sandbox.git(&["add", "."]);
    sandbox.commit("attributes");
    let hooks = sandbox.path("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in [
        "pre-commit",
        "post-commit",
        "reference-transaction",
        "post-index-change",
        "commit-msg",
        "post-checkout",
        "fsmonitor-watchman",
    ] {
        fs::copy(&evil, hooks.join(hook)).unwrap();
        fs::copy(&evil, sandbox.path(".git/hooks").join(hook)).ok();
    }
    for (key, value) in [
        ("core.fsmonitor", &*evil),
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("filter.evil.clean", &evil),
        ("filter.evil.smudge", &evil),
        ("filter.evil.process", &evil),
        ("filter.evil.required", "true"),
        ("core.sshCommand", &evil),
        ("core.pager", &evil),
        ("core.editor", &evil),
        ("diff.external", &evil),
        ("gpg.program", &evil),
        ("commit.gpgSign", "true"),
        ("core.alternateRefsCommand", &evil),
        ("alias.update-index", "!evil"),
    ] {
        sandbox.git(&["config", key, value]);
    }
    sandbox.audit(&["init", "--branch", "main"]).exits(0);
    sandbox.record("t1", &[]);
    sandbox.audit(&["log"]).exits(0);
    sandbox.audit(&["show", "t1"]).exits(0);
    assert!(!mark.exists(), "{}", fs::read_to_string(&mark).unwrap());
}

#[test]
fn split_and_other_unusual_indexes_follow_the_branch() {
    for setting in [
        ("core.splitIndex", "true"),
        ("index.version", "4"),
        ("index.skipHash", "true"),
        ("core.untrackedCache", "true"),
        ("feature.manyFiles", "true"),
    ] {
        let sandbox = Sandbox::with_code();
        sandbox.git(&["config", setting.0, setting.1]);
        sandbox.git(&["update-index", "--force-write-index"]);
        if setting.0 == "core.splitIndex" {
            sandbox.git(&["update-index", "--split-index"]);
        }
        sandbox.audit(&["init", "--branch", "main"]).exits(0);
        sandbox.write("staged", "x\n");
        sandbox.git(&["add", "staged"]);
        sandbox.record("t1", &[]);
        assert_eq!(sandbox.git(&["status", "--porcelain"]), "A  staged\n", "{setting:?}");
        sandbox.commit("mine");
        assert_eq!(sandbox.logged(&[]), ["t1"]);
        assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
    }
}

#[test]
fn a_sparse_checkout_keeps_the_entry() {
    let sandbox = Sandbox::on_main();
    sandbox.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "src"]);
    sandbox.record("t1", &[]);
    sandbox.write("src/new", "x\n");
    sandbox.git(&["add", "src/new"]);
    sandbox.commit("mine");
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    assert!(sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD"]).contains(".audit/tasks/t1.json"));
}

#[test]
fn queries_work_where_nothing_can_be_written_and_write_nothing() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let repository = sandbox.path("");
    let repository = repository.to_str().unwrap();
    run(sandbox.command("chmod").args(["-R", "a-w", repository])).exits(0);
    // Root may write all the same, so what counts is that nothing changes.
    let picture =
        || run(sandbox.command("find").args([repository, "-printf", "%p %s %T@ %C@\n"])).exits(0).stdout;
    let before = picture();
    for arguments in [
        &["log"][..],
        &["show", "t1"],
        &["path", "t1"],
        &["log", "--json"],
        &["log", "--count"],
        &["show", "t1", "--raw"],
    ] {
        sandbox.audit(arguments).exits(0);
    }
    assert_eq!(picture(), before);
    run(sandbox.command("chmod").args(["-R", "u+w", repository])).exits(0);
}

#[test]
fn formats_that_cannot_be_read_are_named_with_the_way_out() {
    let sandbox = Sandbox::empty();
    if sandbox.try_git(&["init", "--quiet", "--ref-format=reftable", "."]).code == 0 {
        for arguments in [&["init"][..], &["log"], &["record", "--task-id", "t", "--status", "failed"]] {
            sandbox.audit(arguments).exits(1).says("reftable").says("git refs migrate --ref-format=files");
        }
    }
    let unknown = Sandbox::new();
    unknown.git(&["config", "core.repositoryFormatVersion", "1"]);
    unknown.git(&["config", "extensions.fancy", "true"]);
    unknown.audit(&["log"]).exits(1).says("extensions.fancy").says("hint: ");
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_command_that_trusts_it() {
    let sandbox = Sandbox::beside_code();
    let chown = run(sandbox.command("chown").args(["-R", "12345:12345", sandbox.path("").to_str().unwrap()]));
    if chown.code != 0 {
        eprintln!("skipped: only root can give a repository to another user");
        return;
    }
    for arguments in [&["init"][..], &["log"], &["record", "--task-id", "t", "--status", "failed"]] {
        let done = sandbox.audit(arguments).exits(1).says("belongs to another user");
        let hint = done.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap().to_owned();
        assert!(hint.contains("git config --global --add safe.directory"), "{hint}");
    }
    let hint = sandbox.audit(&["log"]).stderr;
    let command = hint.split('`').nth(1).unwrap();
    run(sandbox.command("sh").args(["-c", command])).exits(0);
    sandbox.audit(&["log"]).exits(0);
}

#[test]
fn a_symbolic_link_in_the_place_of_the_ledger_leads_nothing_out() {
    for link in [".audit", ".audit/tasks"] {
        let sandbox = Sandbox::with_ledger();
        sandbox.record("t1", &[]);
        let outside = sandbox.root().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::remove_dir_all(sandbox.path(link)).unwrap();
        symlink(&outside, sandbox.path(link)).unwrap();
        let tip = sandbox.git(&["rev-parse", "HEAD"]);
        sandbox.audit(&["record", "--task-id", "t2", "--status", "failed"]).exits(1).says("symbolic link");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{link}");
        assert_eq!(sandbox.git(&["rev-parse", "HEAD"]), tip);
        assert_eq!(sandbox.git(&["ls-files", ".audit/tasks/t2.json"]), "");
    }
    // The file itself a link: it is replaced, not followed.
    let sandbox = Sandbox::with_ledger();
    sandbox.record("t1", &[]);
    let outside = sandbox.input("outside.json", "untouched");
    symlink(&outside, sandbox.path(".audit/tasks/t2.json")).unwrap();
    let done = sandbox.audit(&["record", "--task-id", "t2", "--status", "failed"]);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(done.code == 0 || done.code == 1);
    // And in the ledger's own tree.
    let forged = Sandbox::with_ledger();
    forged.git(&["rm", "-r", "--quiet", "--cached", ".audit"]);
    fs::remove_dir_all(forged.path(".audit")).unwrap();
    symlink("/tmp", forged.path(".audit")).unwrap();
    forged.git(&["add", ".audit"]);
    forged.commit("forged");
    forged.audit(&["record", "--task-id", "t2", "--status", "failed"]).exits(1).says(".audit");
    forged.audit(&["log"]).exits(1);
}

#[test]
fn a_damaged_object_is_an_error_that_names_it_and_never_a_hang() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    sandbox.unpack();
    let file = sandbox.loose("audit");
    let whole = fs::read(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    for length in [0, 1, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        sandbox.audit(&["log"]).exits(1).says("is damaged");
        sandbox.audit(&["record", "--task-id", "t2", "--status", "failed"]).exits(1).says("is damaged");
    }
    fs::write(&file, &whole).unwrap();
    sandbox.record("t2", &[]);
}

#[test]
fn an_empty_object_where_a_new_one_belongs_is_repaired_before_it_is_acknowledged() {
    let sandbox = Sandbox::beside_code();
    let twin = Sandbox::beside_code();
    twin.record("t1", &[]);
    let blob = twin.loose("audit:.audit/tasks/t1.json");
    let planted = sandbox.path(blob.strip_prefix(twin.path("")).unwrap().to_str().unwrap());
    fs::create_dir_all(planted.parent().unwrap()).unwrap();
    fs::write(&planted, "").unwrap();
    sandbox.record("t1", &[]);
    assert!(!planted.exists());
    assert_eq!(sandbox.git(&["fsck", "--strict"]), "");
    sandbox.audit(&["show", "t1"]).exits(0);
}

#[test]
fn a_partial_clone_opens_and_says_what_it_lacks() {
    let origin = Sandbox::beside_code();
    origin.record("t1", &[]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "."]);
    assert_eq!(clone.audit(&["log", "--count"]).exits(0).stdout, "1\n");
    let done = clone.audit(&["log", "--json"]).exits(0).says("not in this repository");
    assert_eq!(done.json()["coverage"]["complete"], false);
    clone.audit(&["show", "t1"]).exits(1).says("not in this repository");
}

#[test]
fn a_truncated_commit_at_head_is_an_error_and_never_a_hang() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let head = sandbox.git(&["rev-parse", "HEAD"]);
    let file = sandbox.path(&format!(".git/objects/{}/{}", &head[..2], head[2..].trim()));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(40).unwrap();
    // The ledger is on a branch of its own: the code's commit is not needed.
    assert_eq!(sandbox.logged(&[]), ["t1"]);
    sandbox.record("t2", &[]);
    sandbox.git(&["config", "--unset", "audit.branch"]);
    sandbox.audit(&["log"]).exits(1).says("is damaged");
}

#[test]
fn a_configuration_that_cannot_be_written_costs_a_warning_and_not_the_receipt() {
    let origin = Sandbox::beside_code();
    let clone = Sandbox::empty();
    clone.git(&["clone", "--quiet", origin.path("").to_str().unwrap(), "."]);
    clone.write(".git/config.lock", "");
    let done = clone.record("t1", &[]).says("warning: cannot set");
    assert!(done.stdout.starts_with("recorded t1"));
}

#[test]
fn a_partial_clone_without_the_policy_does_not_guess_it() {
    let origin = Sandbox::with_code();
    origin.audit(&["init", "--flat-limit", "1"]).exits(0);
    origin.record("t1", &[]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let clone = Sandbox::empty();
    let url = format!("file://{}", origin.path("").display());
    clone.git(&["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "."]);
    clone.audit(&["record", "--task-id", "t2", "--status", "failed"]).exits(1).says("partial clone");
}

#[test]
fn no_program_is_taken_from_the_working_tree() {
    let sandbox = Sandbox::with_ledger();
    let mark = sandbox.root().join("ran");
    let evil = sandbox.write("git", format!("#!/bin/sh\ntouch {}\n", mark.display()));
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(".:{}", std::env::var("PATH").unwrap());
    run(sandbox.audit_command(&["record", "--task-id", "t1", "--status", "failed"]).env("PATH", path))
        .exits(0);
    assert!(!mark.exists());
}

#[test]
fn an_older_commit_that_cannot_be_read_does_not_cost_the_receipts() {
    let sandbox = Sandbox::beside_code();
    for id in ["t1", "t2"] {
        sandbox.record(id, &[]);
    }
    sandbox.unpack();
    let file = sandbox.loose("audit~1");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(40).unwrap();
    let lines = "{\"task_id\":\"t1\",\"status\":\"completed\"}\n{\"task_id\":\"t3\",\"status\":\"failed\"}\n";
    let done = sandbox.audit_with_input(&["record", "--format", "csv"], lines).exits(0);
    let rows: Vec<_> = done.stdout.lines().skip(1).collect();
    assert!(rows[0].starts_with("t1,skipped,true,,") && rows[1].starts_with("t3,recorded,true,"), "{rows:?}");
    sandbox.audit(&["log"]).exits(1).says("is damaged");
}
