//! `git audit checkpoint`: the ledger stated in three lines, signed, compared with itself, taken in from others.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};

use crate::sandbox::{Run, Sandbox, run};

/// Makes a key beside the repository, and gives the path of its file. Without `ssh-keygen` there is nothing to test.
pub fn key(sandbox: &Sandbox, name: &str, kind: &[&str]) -> Option<String> {
    let file = sandbox.root().join(name).to_str().unwrap().to_owned();
    let mut command = sandbox.command("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "test", "-f", &file]).args(kind);
    match command.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            eprintln!("skipped: ssh-keygen: {error}");
            return None;
        }
    }
    Some(file)
}

/// A ledger with this many entries, and a key.
pub fn ledger(entries: usize) -> Option<(Sandbox, String)> {
    let sandbox = Sandbox::with_ledger();
    (1..=entries).for_each(|number| _ = sandbox.record(&format!("t{number}"), &[]));
    let key = key(&sandbox, "log", &["-t", "ed25519"])?;
    Some((sandbox, key))
}

fn kept(sandbox: &Sandbox) -> Vec<String> {
    let Ok(folder) = fs::read_dir(sandbox.path(".git/git-audit/checkpoints")) else { return Vec::new() };
    let mut names: Vec<_> = folder.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn checkpoint(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.audit(&[&["checkpoint"], arguments].concat())
}

fn code(run: &Run) -> String {
    run.json()["findings"][0]["code"].as_str().unwrap().to_owned()
}

/// An ssh-agent that ends with the test.
struct Agent(Child, String);

impl Agent {
    fn start(sandbox: &Sandbox) -> Self {
        let socket = sandbox.root().join("agent").to_str().unwrap().to_owned();
        let mut command = sandbox.command("ssh-agent");
        let agent = command.args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn().unwrap();
        while !fs::exists(&socket).unwrap() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(agent, socket)
    }

    fn run(&self, sandbox: &Sandbox, program: &str, arguments: &[&str]) -> Run {
        run(sandbox.command(program).args(arguments).env("SSH_AUTH_SOCK", &self.1))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn a_checkpoint_names_the_ledger_its_size_and_its_root_and_is_kept() {
    let sandbox = Sandbox::beside_code();
    sandbox.record("t1", &[]);
    let done = checkpoint(&sandbox, &[]).exits(0);
    let first = sandbox.git(&["rev-list", "--max-parents=0", "audit"]);
    let entry = sandbox.git_bytes(&["cat-file", "blob", "audit:.audit/tasks/t1.json"]);
    let root = Sha256::new_with_prefix([0]).chain_update(&entry).finalize();
    let root = Base64::encode_string(&root);
    assert_eq!(done.stdout, format!("git-audit/{}\n1\n{root}\n", first.trim()));
    let names = kept(&sandbox);
    let digest = Sha256::digest(&done.stdout);
    assert_eq!(
        names,
        [format!("1-{:02x}{:02x}{:02x}{:02x}.txt", digest[0], digest[1], digest[2], digest[3])]
    );
    let file = sandbox.path(&format!(".git/git-audit/checkpoints/{}", names[0]));
    assert_eq!(fs::read_to_string(file).unwrap(), done.stdout);
    assert!(done.stderr.contains("note: kept in"), "{}", done.stderr);
    // Again, it is the same one.
    checkpoint(&sandbox, &[]).exits(0);
    assert_eq!(kept(&sandbox), names);
    let answer = checkpoint(&sandbox, &["--json"]).exits(0).json();
    assert_eq!((&answer["schema"], &answer["outcome"]), (&"git-audit/checkpoint/v1".into(), &"made".into()));
    assert_eq!(
        (&answer["size"], &answer["root"], &answer["signatures"]),
        (&1.into(), &root.into(), &0.into())
    );
    assert_eq!(answer["note"].as_str().unwrap(), done.stdout);
    assert_eq!(checkpoint(&sandbox, &["--format", "csv"]).exits(0).stdout.lines().count(), 2);
}

#[test]
fn a_ledger_without_entries_is_not_stated() {
    let sandbox = Sandbox::with_ledger();
    checkpoint(&sandbox, &[]).exits(1).says("has no entries to state").says("git audit record");
    assert!(kept(&sandbox).is_empty());
}

#[test]
fn a_signature_is_by_the_key_and_in_the_name_of_the_ledger() {
    let Some((sandbox, key)) = ledger(3) else { return };
    let answer = checkpoint(&sandbox, &["--sign", &key, "--json"]).exits(0).json();
    let (origin, vkey) = (answer["origin"].as_str().unwrap(), answer["verifier_key"].as_str().unwrap());
    let note = answer["note"].as_str().unwrap();
    assert!(note.contains(&format!("\n\n— {origin} ")), "{note}");
    assert!(vkey.starts_with(&format!("{origin}+")));
    // The verifier key has the key of the public file.
    let public = fs::read_to_string(format!("{key}.pub")).unwrap();
    let blob = Base64::decode_vec(public.split(' ').nth(1).unwrap()).unwrap();
    let inside = Base64::decode_vec(vkey.splitn(3, '+').nth(2).unwrap()).unwrap();
    assert_eq!(inside[1..], blob[blob.len() - 32..]);
    checkpoint(&sandbox, &["--sign", &key]).exits(0).says("verifier key 'git-audit/");
    // By the public file, too: the private one is beside it.
    let again = checkpoint(&sandbox, &["--sign", &format!("{key}.pub"), "--json"]).exits(0).json();
    assert_eq!(again["note"], note);
}

#[test]
fn a_key_behind_a_passphrase_signs_through_the_agent() {
    let Some((sandbox, key)) = ledger(2) else { return };
    let plain = checkpoint(&sandbox, &["--sign", &key]).exits(0).stdout;
    let agent = Agent::start(&sandbox);
    agent.run(&sandbox, "ssh-add", &["-q", &key]).exits(0);
    let locked = ["-q", "-p", "-P", "", "-N", "a passphrase", "-f", &key];
    run(sandbox.command("ssh-keygen").args(locked)).exits(0);
    let done = agent.run(&sandbox, env!("CARGO_BIN_EXE_git-audit"), &["checkpoint", "--sign", &key]).exits(0);
    assert_eq!(done.stdout, plain);
    let public = format!("{key}.pub");
    let done =
        agent.run(&sandbox, env!("CARGO_BIN_EXE_git-audit"), &["checkpoint", "--sign", &public]).exits(0);
    assert_eq!(done.stdout, plain);
    // Without it in the agent, and without an agent.
    let kept_before = kept(&sandbox);
    agent.run(&sandbox, "ssh-add", &["-q", "-D"]).exits(0);
    let done = agent.run(&sandbox, env!("CARGO_BIN_EXE_git-audit"), &["checkpoint", "--sign", &key]).exits(1);
    done.says("the ssh-agent does not have it").says(&format!("run `ssh-add {key}`"));
    checkpoint(&sandbox, &["--sign", &key]).exits(1).says("no ssh-agent").says("ssh-add");
    assert_eq!(kept(&sandbox), kept_before);
}

#[test]
fn other_kinds_of_keys_are_refused_by_their_names() {
    let Some((sandbox, _)) = ledger(1) else { return };
    for (name, kind, said) in
        [("r", &["-t", "rsa"][..], "ssh-rsa"), ("e", &["-t", "ecdsa"], "ecdsa-sha2-nistp256")]
    {
        let Some(file) = key(&sandbox, name, kind) else { return };
        let said = format!("is a key of type {said}; only ssh-ed25519 keys sign checkpoints");
        checkpoint(&sandbox, &["--sign", &file]).exits(1).says(&said);
        checkpoint(&sandbox, &["--sign", &format!("{file}.pub")]).exits(1).says(&said);
    }
    let pem = key(&sandbox, "p", &["-t", "rsa", "-m", "PEM"]).unwrap();
    checkpoint(&sandbox, &["--sign", &pem]).exits(1).says("`RSA PRIVATE KEY`");
    checkpoint(&sandbox, &["--sign", "no-such"]).exits(1).says("cannot read");
    let text = sandbox.input("text", "hello\n");
    checkpoint(&sandbox, &["--sign", &text]).exits(1).says("no OpenSSH public key");
    assert!(kept(&sandbox).is_empty());
}

#[test]
fn a_ledger_that_has_grown_is_proven_to_go_on_from_an_earlier_checkpoint() {
    let Some((sandbox, key)) = ledger(5) else { return };
    let old = sandbox.input("old", checkpoint(&sandbox, &["--sign", &key]).exits(0).stdout);
    (6..=9).for_each(|number| _ = sandbox.record(&format!("t{number}"), &[]));
    let done =
        checkpoint(&sandbox, &["--consistent-with", &old]).exits(0).says("goes on from the earlier one");
    assert_eq!(done.stdout.lines().nth(1).unwrap(), "9");
    // What was made this month is what next month's goes on from.
    let made = sandbox.input("made", done.stdout);
    checkpoint(&sandbox, &["--consistent-with", &made]).exits(0);
    checkpoint(&sandbox, &["--add", &made]).exits(0);
    let answer = checkpoint(&sandbox, &["--consistent-with", &old, "--json"]).exits(0).json();
    let consistency = &answer["consistency"];
    assert_eq!(consistency["old_size"], 5);
    let hashes = consistency["proof"].as_array().unwrap();
    // From another implementation's point of view: it is the proof between these two roots.
    use git_audit::verify::log::merkle::{extends, from_base64};
    let root = |value: &serde_json::Value| from_base64(value.as_str().unwrap()).unwrap();
    let hashes: Vec<_> = hashes.iter().map(root).collect();
    assert!(extends(&root(&consistency["old_root"]), 5, &root(&answer["root"]), 9, &hashes));
}

#[test]
fn a_history_that_was_rewritten_is_told_and_not_signed() {
    let Some((sandbox, key)) = ledger(3) else { return };
    let old = sandbox.input("old", checkpoint(&sandbox, &["--sign", &key]).exits(0).stdout);
    let before = kept(&sandbox);
    sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    // Cut off.
    let done = checkpoint(&sandbox, &["--sign", &key, "--json"]).exits(3);
    assert_eq!(code(&done), "checkpoint-differs");
    assert_eq!(
        (&done.json()["outcome"], &done.json()["note"]),
        (&"refused".into(), &serde_json::Value::Null)
    );
    checkpoint(&sandbox, &["--consistent-with", &old]).exits(3).says("git audit verify");
    // Gone on from another way.
    sandbox.record("other", &[]);
    sandbox.record("more", &[]);
    let done = checkpoint(&sandbox, &["--consistent-with", &old, "--json"]).exits(3);
    assert_eq!(code(&done), "checkpoint-differs");
    assert!(done.json()["findings"][0]["actual"].as_str().unwrap().contains("\n3\n"));
    assert_eq!(kept(&sandbox), before);
    // A clone that has made none is told by the one that it is shown.
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    assert_eq!(
        code(&checkpoint(&sandbox, &["--consistent-with", &old, "--json"]).exits(3)),
        "checkpoint-differs"
    );
    // Only what it has verified before speaks against it then.
    let done = checkpoint(&sandbox, &["--sign", &key, "--json"]).exits(3);
    assert_eq!(code(&done), "pin-lost");
    fs::remove_dir_all(sandbox.path(".git/git-audit/verified")).unwrap();
    checkpoint(&sandbox, &["--sign", &key]).exits(0);
}

#[test]
fn two_checkpoints_of_one_size_are_a_fork_and_both_are_exported() {
    let Some((sandbox, key)) = ledger(3) else { return };
    let old = checkpoint(&sandbox, &["--sign", &key]).exits(0).stdout;
    sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    sandbox.record("other", &[]);
    let done = checkpoint(&sandbox, &["--sign", &key, "--json"]).exits(3);
    assert_eq!(code(&done), "fork");
    let answer = done.json();
    let files: Vec<_> =
        answer["forks"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    let texts: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let evidence = &answer["findings"][0];
    assert_eq!(texts, [evidence["expected"].as_str().unwrap(), evidence["actual"].as_str().unwrap()]);
    assert!(texts.contains(&old));
    assert!(files.iter().all(|file| evidence["message"].as_str().unwrap().contains(file)));
    // Also where the ledger has grown since: what is kept of both is enough.
    let other = sandbox.input("other.txt", texts.iter().find(|text| **text != old).unwrap());
    let folder = sandbox.path(".git/git-audit/checkpoints");
    fs::copy(other, folder.join("3-00000000.txt")).unwrap();
    sandbox.record("more", &[]);
    assert_eq!(code(&checkpoint(&sandbox, &["--json"]).exits(3)), "fork");
}

#[test]
fn a_checkpoint_of_another_ledger_is_not_consistent_with_this_one() {
    let Some((sandbox, _)) = ledger(2) else { return };
    let text = checkpoint(&sandbox, &[]).exits(0).stdout;
    let first = text.lines().next().unwrap();
    let other = sandbox.input("other", text.replace(first, &format!("git-audit/{}", "0".repeat(40))));
    let done = checkpoint(&sandbox, &["--consistent-with", &other, "--json"]).exits(3);
    assert_eq!(code(&done), "checkpoint-differs");
    checkpoint(&sandbox, &["--add", &other]).exits(3);
    // One that lies around says nothing.
    fs::copy(&other, sandbox.path(".git/git-audit/checkpoints/2-0.txt")).unwrap();
    fs::write(sandbox.path(".git/git-audit/checkpoints/junk.txt"), "junk").unwrap();
    let done =
        checkpoint(&sandbox, &[]).exits(0).says("is of another ledger").says("junk.txt is no checkpoint");
    assert_eq!(done.stdout, text);
    let answer = checkpoint(&sandbox, &["--json"]).exits(0).json();
    let foreign = answer["findings"].as_array().unwrap();
    assert!(foreign.len() == 2 && foreign.iter().all(|finding| finding["code"] == "checkpoint-foreign"));
    let junk = sandbox.input("junk", "junk\n");
    checkpoint(&sandbox, &["--add", &junk]).exits(2).says("is no checkpoint: it has less than three lines");
    checkpoint(&sandbox, &["--consistent-with", "no-such"]).exits(1).says("cannot read");
}

#[test]
fn what_a_witness_returns_is_taken_in_if_it_is_of_this_history() {
    let Some((sandbox, log)) = ledger(3) else { return };
    let Some(witness) = key(&sandbox, "witness", &["-t", "ed25519"]) else { return };
    let note = checkpoint(&sandbox, &["--sign", &log]).exits(0).stdout;
    let by_witness = checkpoint(&sandbox, &["--sign", &witness]).exits(0).stdout;
    let both = format!("{note}{}\n", by_witness.lines().last().unwrap());
    let returned = sandbox.input("returned", &both);
    sandbox.record("t4", &[]);
    let answer = checkpoint(&sandbox, &["--add", &returned, "--json"]).exits(0).json();
    assert_eq!(
        (&answer["outcome"], &answer["size"], &answer["signatures"]),
        (&"added".into(), &3.into(), &2.into())
    );
    assert_eq!(fs::read_to_string(answer["file"].as_str().unwrap()).unwrap(), both);
    let names = kept(&sandbox);
    let lie = both.replace(both.lines().nth(2).unwrap(), &Base64::encode_string(&[0; 32]));
    let lie = sandbox.input("lie", lie);
    assert_eq!(code(&checkpoint(&sandbox, &["--add", &lie, "--json"]).exits(3)), "fork");
    assert_eq!(kept(&sandbox), names);
    checkpoint(&sandbox, &["--add", &returned, "--sign", &log]).exits(2);
}
