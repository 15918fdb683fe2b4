//! Commits that are signed by the user's own programs: git accepts them, and without a signature nothing is recorded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::{Run, Sandbox, entry, run};

/// Makes a key without a passphrase. Returns the path of its private half.
pub fn ssh_key(sandbox: &Sandbox, name: &str) -> String {
    let path = sandbox.root().join(name).to_str().unwrap().to_owned();
    let comment = format!("{name}@example.com");
    let mut make = sandbox.command("ssh-keygen");
    run(make.args(["-q", "-t", "ed25519", "-N", "", "-C", &comment, "-f", &path])).exits(0);
    path
}

/// The public half, as a line of `authorized_keys`.
pub fn public_key(private: &str) -> String {
    fs::read_to_string(format!("{private}.pub")).unwrap().trim().to_owned()
}

/// Is there `program`? Without it, a test that needs it says so, and does nothing.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no {program} here");
    }
    found
}

pub fn configure(sandbox: &Sandbox, values: &[(&str, &str)]) {
    for (key, value) in values {
        sandbox.git(&["config", key, value]);
    }
}

/// A ledger in an empty repository, which signs with a key of its own, and whose signers git knows.
pub fn signing_ledger() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    let signers = format!("alice@example.com namespaces=\"git\" {}\n", public_key(&key));
    let signers = sandbox.input("signers", signers);
    configure(&sandbox, &[("audit.sign", "required"), ("gpg.ssh.allowedSignersFile", &signers)]);
    sandbox.audit(&["init"]).exits(0);
    (sandbox, key)
}

/// From now on, commits are by this person, and are signed with this key.
pub fn sign_as(sandbox: &Sandbox, name: &str, key: &str) {
    let email = format!("{name}@example.com");
    let values =
        [("user.name", name), ("user.email", &email), ("gpg.format", "ssh"), ("user.signingkey", key)];
    configure(sandbox, &values);
}

#[track_caller]
fn git_accepts(sandbox: &Sandbox, commits: &str) {
    let listed = sandbox.git(&["rev-list", commits]);
    let listed: Vec<_> = listed.lines().collect();
    sandbox.git(&[&["verify-commit"][..], &listed].concat());
    sandbox.git(&["fsck", "--strict", "--no-dangling"]);
    for line in sandbox.git(&["log", "--format=%G?%G!", commits]).lines() {
        assert!(!line.starts_with('N'), "{line}");
    }
}

fn commits(sandbox: &Sandbox) -> usize {
    sandbox.git(&["rev-list", "--count", "HEAD"]).trim().parse().unwrap()
}

/// A program in place of the one that signs.
fn stand_in(sandbox: &Sandbox, script: &str) -> String {
    let path = sandbox.input("stand-in", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[track_caller]
fn refuses(sandbox: &Sandbox, says: &str) -> Run {
    let before = sandbox.git(&["for-each-ref"]);
    let done = sandbox.audit(&["record", "--task-id", "refused", "--status", "failed"]).exits(1);
    assert_eq!(sandbox.git(&["for-each-ref"]), before);
    assert_eq!((done.stdout.as_str(), left_overs(sandbox)), ("", 0));
    let done = done.says(says).says("nothing was recorded").says("hint: ");
    sandbox.git(&["diff", "--quiet", "HEAD"]);
    done
}

/// Directories that were only needed while something was signed.
fn left_overs(sandbox: &Sandbox) -> usize {
    let found = fs::read_dir(sandbox.path(".git/git-audit")).unwrap();
    found.filter(|item| item.as_ref().unwrap().file_name().to_str().unwrap().contains("signing")).count()
}

#[test]
fn git_accepts_every_commit_that_was_signed_with_an_ssh_key() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signing_ledger();
    sandbox.record("one", &["--title", "Größe"]);
    sandbox.audit_with_input(&["record"], format!("{}\n{}\n", entry("two"), entry("three"))).exits(0);
    let many: String = (0..40).map(|number| format!("{}\n", entry(&format!("t-{number}")))).collect();
    sandbox.audit_with_input(&["import", "-"], many).exits(0);
    sandbox.audit(&["run", "--task-id", "four", "--", "true"]).exits(0);
    sandbox.audit(&["start", "five"]).exits(0);
    sandbox.audit(&["finish", "five", "--status", "completed"]).exits(0);
    // The public half is enough, where the private one lies beside it.
    configure(&sandbox, &[("user.signingkey", &format!("{key}.pub"))]);
    sandbox.record("six", &[]);
    assert_eq!(commits(&sandbox), 1 + 46);
    git_accepts(&sandbox, "HEAD");
    let shown = sandbox.git(&["log", "--show-signature", "-1"]);
    assert!(shown.contains("Good \"git\" signature for alice@example.com"), "{shown}");
    assert_eq!(sandbox.logged(&[]).len(), 46);
    assert_eq!(left_overs(&sandbox), 0);
}

#[test]
fn git_accepts_a_signed_ledger_of_sha_256() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main"]);
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    let signers = sandbox.input("signers", format!("* {}\n", public_key(&key)));
    configure(&sandbox, &[("audit.sign", "required"), ("gpg.ssh.allowedSignersFile", &signers)]);
    sandbox.audit(&["init"]).exits(0);
    sandbox.record("one", &[]);
    assert!(sandbox.git(&["cat-file", "commit", "HEAD"]).contains("\ngpgsig-sha256 -----BEGIN SSH"));
    git_accepts(&sandbox, "HEAD");
}

#[test]
fn nothing_is_signed_unless_it_is_asked_for() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::with_ledger();
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    configure(&sandbox, &[("commit.gpgSign", "true")]);
    sandbox.record("one", &[]);
    assert!(!sandbox.git(&["cat-file", "commit", "HEAD"]).contains("gpgsig"));
    configure(&sandbox, &[("audit.sign", "yes")]);
    let done = sandbox.audit(&["record", "--task-id", "two", "--status", "failed"]).exits(2);
    done.says("audit.sign is `yes`; it is off or required");
}

#[test]
fn the_policy_of_the_ledger_is_enough_and_is_not_loosened_by_the_configuration() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::with_ledger();
    let key = ssh_key(&sandbox, "alice");
    let set = |policy: &str| {
        let config = fs::read_to_string(sandbox.path(".audit/config.toml")).unwrap();
        let config = config.split("\n[signing]").next().unwrap().to_owned();
        sandbox.write(".audit/config.toml", format!("{config}\n[signing]\npolicy = {policy}\n"));
        sandbox.git(&["add", ".audit/config.toml"]);
        sandbox.commit("policy");
    };
    set("\"required\"");
    configure(&sandbox, &[("audit.sign", "off"), ("gpg.format", "ssh")]);
    refuses(&sandbox, "no key is configured to sign with").says("git config user.signingkey");
    sign_as(&sandbox, "alice", &key);
    let signers = sandbox.input("signers", format!("alice@example.com {}\n", public_key(&key)));
    configure(&sandbox, &[("gpg.ssh.allowedSignersFile", &signers)]);
    sandbox.record("one", &[]);
    git_accepts(&sandbox, "HEAD^!");
    for malformed in ["\"perhaps\"", "true", "\"required\"\npolcy = 1"] {
        set(malformed);
        let done = sandbox.audit(&["record", "--task-id", "two", "--status", "failed"]).exits(1);
        done.says(".audit/config.toml at the ledger's tip: ");
    }
}

#[test]
fn without_a_signature_nothing_is_recorded_and_the_program_is_quoted() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signing_ledger();
    let absent = sandbox.root().join("absent").to_str().unwrap().to_owned();
    configure(&sandbox, &[("user.signingkey", &absent)]);
    refuses(&sandbox, "`ssh-keygen` did not sign: ").says("absent").says("ssh-add -l");
    configure(&sandbox, &[("gpg.ssh.program", "no-such-program")]);
    refuses(&sandbox, "`no-such-program` cannot be run").says("git config gpg.ssh.program");
    let rude = stand_in(&sandbox, "printf 'no: \\033[31mred\\n\\nsecond\\nthird\\nfourth\\n' >&2; exit 1");
    configure(&sandbox, &[("gpg.ssh.program", &rude)]);
    let done = refuses(&sandbox, "did not sign: no: \\u001b[31mred; second; third; nothing");
    assert!(!done.stderr.contains('\u{1b}'));
    for script in ["exit 0", "for file; do :; done; echo junk > \"$file.sig\"", "exec /bin/kill -9 $$"] {
        let program = stand_in(&sandbox, script);
        configure(&sandbox, &[("gpg.ssh.program", &program)]);
        refuses(&sandbox, "it gave no signature");
    }
    configure(&sandbox, &[("gpg.format", "x509")]);
    refuses(&sandbox, "gpg.format is `x509`").says("git config gpg.format ssh");
    let done = sandbox.audit_with_input(&["import", "-"], format!("{}\n", entry("imported"))).exits(1);
    done.says("gpg.format is `x509`");
    assert_eq!(commits(&sandbox), 1);
}

#[test]
fn with_best_effort_what_cannot_be_signed_waits_in_the_spool_and_is_signed_later() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signing_ledger();
    configure(&sandbox, &[("user.signingkey", "/no/such/key")]);
    let done = sandbox.audit(&["record", "--best-effort", "--task-id", "one", "--status", "failed"]).exits(0);
    done.says("did not sign");
    assert_eq!(commits(&sandbox), 1);
    sandbox.audit(&["run", "--task-id", "two", "--", "sh", "-c", "exit 4"]).exits(4).says("did not sign");
    sandbox.audit(&["flush"]).exits(1).says("did not sign");
    configure(&sandbox, &[("user.signingkey", &key)]);
    sandbox.audit(&["flush"]).exits(0);
    assert_eq!(commits(&sandbox), 3);
    git_accepts(&sandbox, "HEAD");
}

#[test]
fn a_program_that_hangs_is_ended_and_nothing_else_waits_for_it() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signing_ledger();
    let hanging = stand_in(&sandbox, "exec sleep 600");
    configure(&sandbox, &[("gpg.ssh.program", &hanging)]);
    let started = Instant::now();
    let arguments = ["record", "--timeout", "1", "--task-id", "one", "--status", "failed"];
    let mut child = sandbox.start(&arguments);
    std::thread::sleep(Duration::from_secs(1));
    // The user's own work goes on: the index is not locked meanwhile.
    assert!(!sandbox.path(".git/index.lock").exists());
    sandbox.write("notes", "x");
    sandbox.git(&["add", "notes"]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(40));
    configure(&sandbox, &[("gpg.ssh.program", "ssh-keygen"), ("user.signingkey", &key)]);
    sandbox.record("one", &[]);
    git_accepts(&sandbox, "HEAD");
}

#[test]
fn what_a_program_is_told_is_pinned() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _) = signing_ledger();
    let seen = sandbox.root().join("seen").to_str().unwrap().to_owned();
    let script =
        format!("{{ env; pwd; echo \"stdin: $(cat)\"; echo \"$@\"; }} > '{seen}'\nexec ssh-keygen \"$@\"");
    let program = stand_in(&sandbox, &script);
    configure(&sandbox, &[("gpg.ssh.program", &program)]);
    let mut command = sandbox.audit_command(&["record", "--task-id", "one", "--status", "completed"]);
    command.env("SSH_AUTH_SOCK", "/agent").env("LD_PRELOAD_X", "1").env("GIT_DIR", sandbox.path(".git"));
    run(&mut command).exits(0);
    let seen = fs::read_to_string(seen).unwrap();
    for expected in ["SSH_AUTH_SOCK=/agent\n", "HOME=", "LANG=C\n", "\n/\nstdin: \n-Y sign -n git -f "] {
        assert!(seen.contains(expected), "{expected} in {seen}");
    }
    for other in ["GIT_", "LD_PRELOAD_X"] {
        assert!(!seen.contains(other), "{other} in {seen}");
    }
    configure(&sandbox, &[("gpg.ssh.program", "ssh-keygen")]);
    git_accepts(&sandbox, "HEAD");
}

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn agent(sandbox: &Sandbox, key: &str) -> (Agent, PathBuf) {
    let socket = sandbox.root().join("agent");
    let mut command = sandbox.command("ssh-agent");
    command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
    let agent = Agent(command.spawn().unwrap());
    let started = Instant::now();
    while !socket.exists() {
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    run(sandbox.command("ssh-add").args(["-q", key]).env("SSH_AUTH_SOCK", &socket)).exits(0);
    (agent, socket)
}

#[test]
fn an_agent_signs_for_a_literal_key_and_for_the_one_that_a_command_names() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key) = signing_ledger();
    let (_agent, socket) = agent(&sandbox, &key);
    fs::remove_file(&key).unwrap();
    let literal = public_key(&key);
    let record = |task: &str| {
        let mut command = sandbox.audit_command(&["record", "--task-id", task, "--status", "completed"]);
        run(command.env("SSH_AUTH_SOCK", &socket)).exits(0);
    };
    for (task, value) in [("one", literal.clone()), ("two", format!("key::{literal}"))] {
        configure(&sandbox, &[("user.signingkey", &value)]);
        record(task);
    }
    sandbox.git(&["config", "--unset", "user.signingkey"]);
    configure(&sandbox, &[("gpg.ssh.defaultKeyCommand", "ssh-add -L")]);
    record("three");
    assert_eq!(commits(&sandbox), 4);
    git_accepts(&sandbox, "HEAD");
    // Without the agent there is no key.
    refuses(&sandbox, "`ssh-add` did not sign").says("gpg.ssh.defaultKeyCommand");
    configure(&sandbox, &[("user.signingkey", &literal)]);
    refuses(&sandbox, "`ssh-keygen` did not sign");
}

/// A keyring with a key for each of these, which is told how to sign without asking.
pub fn keyring(sandbox: &Sandbox, people: &[&str]) -> Keyring {
    // The path of an agent's socket is short, or there is none.
    let home = tempfile::Builder::new().prefix("k").tempdir_in("/tmp").unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let keyring = Keyring { home };
    for person in people {
        let make = ["--quick-generate-key", person, "ed25519", "sign", "never"];
        keyring.gpg(sandbox, &[&["--batch", "--quiet", "--passphrase", ""][..], &make].concat());
    }
    keyring
}

pub struct Keyring {
    pub home: tempfile::TempDir,
}

impl Keyring {
    #[track_caller]
    pub fn gpg(&self, sandbox: &Sandbox, arguments: &[&str]) -> String {
        let mut command = sandbox.command("gpg");
        command.args(arguments).env("GNUPGHOME", self.home.path()).env("LC_ALL", "C.UTF-8");
        run(&mut command).exits(0).stdout
    }

    #[track_caller]
    pub fn audit(&self, sandbox: &Sandbox, arguments: &[&str]) -> Run {
        run(sandbox.audit_command(arguments).env("GNUPGHOME", self.home.path()))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        _ = end.args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).status();
    }
}

#[test]
fn git_accepts_what_gpg_signed() {
    if !has("gpg") {
        return;
    }
    let sandbox = Sandbox::new();
    let keyring = keyring(&sandbox, &["Jörg Ü <jorg@example.com>"]);
    configure(
        &sandbox,
        &[("user.name", "Jörg Ü"), ("user.email", "jorg@example.com"), ("audit.sign", "required")],
    );
    keyring.audit(&sandbox, &["init"]).exits(0);
    // By who commits, and by the key that is named.
    keyring.audit(&sandbox, &["record", "--task-id", "one", "--status", "completed"]).exits(0);
    configure(&sandbox, &[("gpg.format", "openpgp"), ("user.signingkey", "jorg@example.com")]);
    keyring.audit(&sandbox, &["record", "--task-id", "two", "--status", "completed"]).exits(0);
    for commit in ["HEAD", "HEAD~1", "HEAD~2"] {
        let mut verify = sandbox.command("git");
        run(verify.args(["verify-commit", commit]).env("GNUPGHOME", keyring.home.path())).exits(0);
    }
    sandbox.git(&["fsck", "--strict", "--no-dangling"]);
    configure(&sandbox, &[("user.signingkey", "nobody@example.com")]);
    refuses(&sandbox, "`gpg` did not sign: gpg: ").says("gpg --list-secret-keys");
    // One that says nothing of a signature has not made one.
    let silent =
        stand_in(&sandbox, "echo '-----BEGIN PGP SIGNATURE-----'; echo '-----END PGP SIGNATURE-----'");
    configure(&sandbox, &[("gpg.program", &silent)]);
    refuses(&sandbox, "it gave no signature");
}

#[test]
fn writers_that_sign_do_not_sign_for_each_other() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, alice) = signing_ledger();
    let bob = ssh_key(&sandbox, "bob");
    let signers = [("alice", &alice), ("bob", &bob)]
        .map(|(name, key)| format!("{name}@example.com {}\n", public_key(key)))
        .concat();
    sandbox.input("signers", signers);
    let lock = sandbox.hold_lock();
    let mut writers = Vec::new();
    for (name, key, task) in
        [("alice", &alice, "one"), ("bob", &bob, "two"), ("alice", &alice, "three"), ("bob", &bob, "four")]
    {
        let mut command = sandbox.audit_command(&["record", "--task-id", task, "--status", "completed"]);
        let email = format!("{name}@example.com");
        let values = [("user.name", name), ("user.email", &email), ("user.signingkey", key)];
        for (number, (key, value)) in values.into_iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        writers.push(command.env("GIT_CONFIG_COUNT", "3").stdout(Stdio::null()).spawn().unwrap());
    }
    std::thread::sleep(Duration::from_millis(600));
    drop(lock);
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    assert_eq!(commits(&sandbox), 5);
    git_accepts(&sandbox, "HEAD");
    for line in sandbox.git(&["log", "--format=%ae %GS"]).lines() {
        let (author, signer) = line.split_once(' ').unwrap();
        assert_eq!(author, signer);
    }
    let tickets = fs::read_dir(sandbox.path(".git/git-audit/queue")).unwrap();
    assert_eq!(tickets.count(), 0);
}
