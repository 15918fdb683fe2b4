//! The layer of signatures, by the command: what each finding needs to be found, alone; what leaves the layer open; and
//! that there is no way round a policy.

use git_audit::ledger::layout::CONFIG;
use git_audit::verify::report::Code;

use crate::sandbox::{NOW, Run, Sandbox, run};
use crate::signing::{configure, has, keyring, public_key, sign_as, signing_ledger, ssh_key};
use crate::tamper::{Ledger, POLICY, Report, verify_in};

const SIGNERS: &str = ".audit/allowed_signers";

fn required() -> String {
    format!("{POLICY}\n[signing]\npolicy = \"required\"\n")
}

#[track_caller]
fn verify(sandbox: &Sandbox, flags: &[&str]) -> Report {
    verify_in(sandbox, &sandbox.path(""), flags)
}

fn why(report: &Report) -> String {
    let layers = report.answer["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["layer"] == "signatures").unwrap();
    layer["why"].as_str().unwrap_or_default().to_owned()
}

/// Fails the test unless the layer is open, for this reason, and nothing was found.
#[track_caller]
fn is_open(report: Report, because: &str) {
    assert_eq!(report.layer("signatures"), "not-checked");
    assert!(why(&report).contains(because), "{}", why(&report));
    let report = if report.code == 4 { report } else { report.finds(&[]) };
    assert!(report.answer["findings"].as_array().unwrap().is_empty(), "{:#}", report.answer);
}

/// A ledger on `main` with two signed entries, and who may sign.
fn signed() -> (Sandbox, String) {
    let (sandbox, key) = signing_ledger();
    sandbox.record("one", &[]);
    sandbox.record("two", &[]);
    (sandbox, key)
}

fn allow(sandbox: &Sandbox, lines: &str) {
    let file = sandbox.input("signers", lines);
    configure(sandbox, &[("gpg.ssh.allowedSignersFile", &file)]);
}

/// Runs git at the time of everything else.
#[track_caller]
fn git_now(sandbox: &Sandbox, arguments: &[&str]) {
    let mut git = sandbox.command("git");
    git.args(arguments).env("GIT_AUTHOR_DATE", NOW).env("GIT_COMMITTER_DATE", NOW);
    run(&mut git).exits(0);
}

/// A commit that changes files of the ledger, signed or not.
fn commit(sandbox: &Sandbox, flag: &str, path: &str, text: &str) {
    sandbox.write(path, text);
    sandbox.git(&["add", "."]);
    git_now(sandbox, &["commit", "--quiet", flag, "-m", "as agreed"]);
}

/// Records a task as somebody who does not sign, by git alone: `record` would not.
fn record_unsigned(sandbox: &Sandbox, id: &str) {
    let task = crate::tamper::task(id);
    sandbox.write(&task.path, &task.bytes);
    sandbox.git(&["add", "."]);
    let message = sandbox.input("message", &task.message);
    git_now(sandbox, &["commit", "--quiet", "--no-gpg-sign", "--cleanup=verbatim", "-F", &message]);
}

#[test]
fn what_is_signed_by_who_may_is_ok() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    for flags in [[].as_slice(), &["--require", "signed"]] {
        assert_eq!(verify(&sandbox, flags).finds(&[]).layer("signatures"), "ok");
    }
}

#[test]
fn what_is_signed_by_gpg_is_checked_by_gpg() {
    if !has("gpg") {
        return;
    }
    let sandbox = Sandbox::new();
    let person = "Alice <alice@example.com>";
    let keyring = keyring(&sandbox, &[person]);
    let values = [("user.name", "Alice"), ("user.email", "alice@example.com"), ("audit.sign", "required")];
    configure(&sandbox, &values);
    // The key is as old as the machine's clock says.
    let audit = |arguments: &[&str]| {
        let mut audit = sandbox.audit_command(arguments);
        run(audit.env("GNUPGHOME", keyring.home.path()).env("GIT_AUDIT_TEST_NOW", "2099-01-01T00:00:00Z"))
    };
    audit(&["init"]).exits(0);
    audit(&["record", "--task-id", "one", "--status", "failed"]).exits(0);
    let layer = |done: Run| done.json()["layers"][6]["status"].clone();
    assert_eq!(layer(audit(&["verify", "--json", "--require", "signed"]).exits(0)), "ok");
    // Where the key is not, nobody can say.
    let done = sandbox.audit(&["verify", "--json", "--require", "signed"]);
    assert_ne!(done.code, 0);
    assert_ne!(layer(done), "ok");
}

#[test]
fn a_signature_from_another_ledger_is_bad() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signed();
    let other = Sandbox::new();
    sign_as(&other, "alice", &key);
    configure(&other, &[("audit.sign", "required")]);
    other.audit(&["init"]).exits(0);
    other.record("two", &[]);
    let signature = |sandbox: &Sandbox| {
        let text = sandbox.git(&["cat-file", "commit", "HEAD"]);
        let (at, end) = (text.find("gpgsig ").unwrap(), text.find("\n\n").unwrap());
        (text[at..end].to_owned(), text)
    };
    let (ours, text) = signature(&sandbox);
    let forged = sandbox.input("forged", text.replace(&ours, &signature(&other).0));
    let id = sandbox.git(&["hash-object", "-t", "commit", "-w", &forged]);
    sandbox.git(&["update-ref", "refs/heads/main", id.trim()]);
    let report = verify(&sandbox, &[]).finds(&[Code::SignatureBad]);
    assert_eq!(report.finding(Code::SignatureBad)["commit"], id.trim());
    assert_eq!(report.answer["first_bad_commit"], id.trim());
}

#[test]
fn a_signer_whom_nobody_allowed_is_unknown() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    sign_as(&sandbox, "mallory", &ssh_key(&sandbox, "mallory"));
    sandbox.record("three", &[]);
    let report = verify(&sandbox, &[]).finds(&[Code::SignerUnknown]);
    let tip = sandbox.git(&["rev-parse", "HEAD"]);
    assert_eq!(report.finding(Code::SignerUnknown)["commit"], tip.trim());
}

#[test]
fn an_author_under_the_key_of_another_is_found() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signed();
    sign_as(&sandbox, "ceo", &key);
    sandbox.record("three", &[]);
    // git is content.
    sandbox.git(&["verify-commit", "HEAD"]);
    let report = verify(&sandbox, &[]).finds(&[Code::AuthorDiffers]);
    let finding = report.finding(Code::AuthorDiffers);
    assert_eq!(
        (&finding["expected"], &finding["actual"]),
        (&"ceo@example.com".into(), &"alice@example.com".into())
    );
}

#[test]
fn an_expired_key_is_found_also_where_the_commit_is_backdated() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signed();
    let key = public_key(&key);
    // What was good before the key ended is remembered, and does not count for what comes later.
    allow(&sandbox, &format!("alice@example.com valid-before=\"20261121\" {key}\n"));
    verify(&sandbox, &[]).finds(&[]);
    let record = |id: &str, now: &str| {
        let arguments = ["record", "--task-id", id, "--status", "failed"];
        run(sandbox.audit_command(&arguments).env("GIT_AUDIT_TEST_NOW", now)).exits(0);
    };
    record("three", "2026-11-22T00:00:00Z");
    let report = verify(&sandbox, &[]).finds(&[Code::SignerExpired]);
    assert_eq!(report.answer["finding_counts"]["signer-expired"], 1);
    record("four", "2026-11-20T13:00:00Z");
    sandbox.git(&["verify-commit", "HEAD"]);
    let report = verify(&sandbox, &[]).finds(&[Code::SignerExpired, Code::CommitBackdated]);
    assert_eq!(report.answer["finding_counts"]["signer-expired"], 2);
}

#[test]
fn where_signatures_are_wanted_one_that_cannot_be_checked_leaves_the_verdict_open() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signed();
    let unset = || sandbox.git(&["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    unset();
    let nobody = "nothing says who may sign";
    is_open(verify(&sandbox, &[]).exits(0), nobody);
    let report = verify(&sandbox, &["--require", "signed"]).finds(&[Code::SignatureUnchecked]);
    assert_eq!(report.layer("signatures"), "not-checked");
    // Whoever names signers wants to know.
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    configure(&sandbox, &[("gpg.ssh.program", "/no/such/program")]);
    verify(&sandbox, &[]).finds(&[Code::SignatureUnchecked]);
    sandbox.git(&["config", "--unset", "gpg.ssh.program"]);
    verify(&sandbox, &[]).finds(&[]);
    // So does a policy.
    commit(&sandbox, "-S", CONFIG, &required());
    sandbox.record("three", &[]);
    unset();
    verify(&sandbox, &[]).finds(&[Code::SignatureUnchecked, Code::ConfigChanged]);
}

#[test]
fn a_ledger_that_names_its_signers_itself_is_told_so() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::new();
    let key = ssh_key(&sandbox, "alice");
    let mut ledger = Ledger::in_repository(sandbox);
    ledger.pin_branch();
    let signers = format!("alice@example.com {}\n", public_key(&key));
    ledger.commit("audit: init ledger").put(CONFIG, required()).put(SIGNERS, signers).end();
    ledger.build();
    sign_as(&ledger.sandbox, "alice", &key);
    ledger.sandbox.record("one", &[]);
    let report = ledger.verify().finds(&[Code::SignersInLedger]);
    assert_eq!((report.layer("signatures"), report.code), ("ok", 0));
    // A file of one's own is not the ledger's.
    allow(&ledger.sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    ledger.verify().finds(&[]);
}

#[test]
fn under_a_policy_every_commit_of_the_ledger_is_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    commit(&sandbox, "-S", CONFIG, &required());
    let missing = |sandbox: &Sandbox| {
        let report = verify(sandbox, &[]).finds(&[Code::SignatureMissing, Code::ConfigChanged]);
        assert_eq!(
            report.finding(Code::SignatureMissing)["commit"],
            sandbox.git(&["rev-parse", "HEAD"]).trim()
        );
        assert_eq!(report.answer["finding_counts"]["signature-missing"], 1);
        sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    };
    record_unsigned(&sandbox, "three");
    missing(&sandbox);
    // Not even to end it, or so that nobody understands it.
    for policy in [POLICY, "[signing]\npolicy = \"soon\"\n"] {
        commit(&sandbox, "--no-gpg-sign", CONFIG, policy);
        missing(&sandbox);
    }
    sandbox.git(&["rm", "--quiet", "-r", ".audit/schema", CONFIG]);
    git_now(&sandbox, &["commit", "--quiet", "-m", "tidy"]);
    missing(&sandbox);
    // A policy that nobody understands ends nothing.
    commit(&sandbox, "-S", CONFIG, "[signing]\npolicy = \"soon\"\n");
    record_unsigned(&sandbox, "three");
    missing(&sandbox);
    sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    // Ended by who may, it binds nobody any more, and the layer is not ok.
    commit(&sandbox, "-S", CONFIG, POLICY);
    record_unsigned(&sandbox, "three");
    let report = verify(&sandbox, &[]).finds(&[Code::ConfigChanged]);
    assert_eq!(report.layer("signatures"), "not-checked");
    assert!(why(&report).starts_with("1 of 2 commits are not signed"), "{}", why(&report));
}

#[test]
fn what_forks_off_before_a_policy_does_not_come_in_past_it() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    sandbox.git(&["branch", "side"]);
    commit(&sandbox, "-S", CONFIG, &required());
    sandbox.git(&["checkout", "--quiet", "side"]);
    record_unsigned(&sandbox, "three");
    sandbox.git(&["checkout", "--quiet", "main"]);
    let merge = |flag: &str| git_now(&sandbox, &["merge", "--quiet", "--no-edit", "--no-ff", flag, "side"]);
    merge("--no-gpg-sign");
    let report = verify(&sandbox, &[]).finds(&[Code::SignatureMissing, Code::ConfigChanged]);
    assert_eq!(report.finding(Code::SignatureMissing)["commit"], sandbox.git(&["rev-parse", "HEAD"]).trim());
    // Whoever signs the merge vouches for what it brings in.
    sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    merge("-S");
    verify(&sandbox, &[]).finds(&[Code::ConfigChanged]);
}

#[test]
fn what_came_before_the_policy_need_not_be_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::with_ledger();
    sandbox.record("one", &[]);
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    commit(&sandbox, "--no-gpg-sign", CONFIG, &required());
    sandbox.record("two", &[]);
    assert_eq!(verify(&sandbox, &[]).finds(&[Code::ConfigChanged]).layer("signatures"), "ok");
    // But if that is asked for.
    let report = verify(&sandbox, &["--require", "signed"]);
    let report = report.finds(&[Code::SignatureMissing, Code::ConfigChanged]);
    assert_eq!(report.answer["finding_counts"]["signature-missing"], 3);
}

#[test]
fn some_signatures_are_not_enough_for_the_layer_to_be_ok() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    record_unsigned(&sandbox, "three");
    is_open(verify(&sandbox, &[]).exits(0), "1 of 4 commits are not signed");
    verify(&sandbox, &["--require", "signed"]).finds(&[Code::SignatureMissing]);
}

#[test]
fn nothing_signed_and_nobody_asking_is_said_and_is_inconclusive_if_somebody_asks() {
    let sandbox = Sandbox::with_ledger();
    sandbox.record("one", &[]);
    is_open(verify(&sandbox, &[]).exits(0), "no commit is signed");
    is_open(verify(&sandbox, &["--require", "signed"]).exits(4), "no commit is signed");
}

#[test]
fn code_beside_the_ledger_need_not_be_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("src/main.c", "int main(void) { return 0; }\n");
    sandbox.git(&["add", "."]);
    git_now(&sandbox, &Sandbox::as_user(&["commit", "--quiet", "-m", "code"]));
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    configure(&sandbox, &[("audit.sign", "required")]);
    sandbox.audit(&["init", "--branch", "main"]).exits(0);
    sandbox.record("one", &[]);
    commit(&sandbox, "--no-gpg-sign", "src/more.c", "int more;\n");
    sandbox.git(&["checkout", "--quiet", "-b", "feature", "HEAD~2"]);
    commit(&sandbox, "--no-gpg-sign", "src/feature.c", "int feature;\n");
    sandbox.git(&["checkout", "--quiet", "main"]);
    git_now(&sandbox, &["merge", "--quiet", "--no-edit", "--no-gpg-sign", "feature"]);
    let report = verify(&sandbox, &["--require", "signed"]).finds(&[]);
    assert_eq!((report.layer("signatures"), &report.answer["entries"]), ("ok", &1.into()));
}

#[test]
fn what_was_not_checked_before_the_pin_is_not_ok_after_it() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signed();
    sandbox.git(&["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    verify(&sandbox, &[]).finds(&[]);
    allow(&sandbox, &format!("bob@example.com {}\n", public_key(&ssh_key(&sandbox, "bob"))));
    let since = ["--since", "pin", "--require", "signed"];
    is_open(verify(&sandbox, &since).exits(4), "of what was verified here before");
    verify(&sandbox, &[]).finds(&[Code::SignerUnknown]);
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    verify(&sandbox, &[]).finds(&[]);
    assert_eq!(verify(&sandbox, &since).finds(&[]).layer("signatures"), "ok");
    sandbox.record("three", &[]);
    assert_eq!(verify(&sandbox, &since).finds(&[]).layer("signatures"), "ok");
}

#[test]
fn a_proof_made_in_between_does_not_hide_what_is_not_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signed();
    commit(&sandbox, "-S", CONFIG, &required());
    verify(&sandbox, &[]).finds(&[Code::ConfigChanged]);
    sandbox.audit(&["checkpoint"]).exits(0);
    record_unsigned(&sandbox, "three");
    sandbox.audit(&["prove", "one"]).exits(0);
    let done = sandbox.audit(&["checkpoint", "--json"]).exits(3);
    assert_eq!(done.json()["findings"][0]["code"], "signature-missing");
    verify(&sandbox, &["--since", "pin"]).finds(&[Code::SignatureMissing]);
}
