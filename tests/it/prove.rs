//! `git audit prove`, and `git audit verify --proof`: an entry for somebody who has neither ledger nor repository.

use std::fs;

use serde_json::Value;

use crate::checkpoint::{key, ledger};
use crate::sandbox::{Run, Sandbox, run};

/// Verifies a proof where there is no repository, and no home.
fn verify(sandbox: &Sandbox, proof: &str, more: &[&str]) -> Run {
    let mut command = sandbox.audit_command(&["verify", "--proof", proof]);
    command.args(more).current_dir(sandbox.root()).env_remove("HOME");
    run(&mut command)
}

/// A ledger with five entries and a signed checkpoint, and the proof of the third.
fn proof() -> Option<(Sandbox, String, String)> {
    let (sandbox, key) = ledger(5)?;
    sandbox.audit(&["checkpoint", "--sign", &key]).exits(0);
    let proof = sandbox.audit(&["prove", "t3"]).exits(0).stdout;
    let file = sandbox.input("t3.proof", proof);
    Some((sandbox, format!("{key}.pub"), file))
}

fn finding(run: &Run) -> Value {
    run.json()["findings"][0]["code"].clone()
}

#[test]
fn a_proof_is_checked_without_a_repository() {
    let Some((sandbox, key, file)) = proof() else { return };
    let done = verify(&sandbox, &file, &["--key", &key]).exits(0);
    assert!(done.stdout.starts_with("valid — proof of task t3\n"), "{}", done.stdout);
    let answer = verify(&sandbox, &file, &["--key", &key, "--json"]).exits(0).json();
    assert_eq!(
        (&answer["schema"], &answer["verdict"]),
        (&"git-audit/verify-proof/v1".into(), &"valid".into())
    );
    assert_eq!((&answer["task_id"], &answer["index"], &answer["size"]), (&"t3".into(), &2.into(), &5.into()));
    let commit = sandbox.git(&["log", "--format=%H", "--grep=audit: task t3 "]);
    assert_eq!(answer["commit"], commit.trim());
    let digest =
        sandbox.git(&["log", "-1", "--format=%(trailers:key=Audit-Digest,valueonly)", commit.trim()]);
    assert_eq!(answer["digest"], digest.trim());
    assert_eq!(answer["findings"], serde_json::json!([]));
    let rows = verify(&sandbox, &file, &["--key", &key, "--format", "csv"]).exits(0).stdout;
    assert_eq!(rows, "check,status,why\nentry,ok,\ninclusion,ok,\nsignature,ok,\n");
    // From a stream, and with what `checkpoint` says the key is.
    let text = fs::read_to_string(&file).unwrap();
    sandbox.audit_with_input(&["verify", "--proof", "-", "--key", &key], &text).exits(0);
    let made =
        sandbox.audit(&["checkpoint", "--sign", key.trim_end_matches(".pub"), "--json"]).exits(0).json();
    let vkey = made["verifier_key"].as_str().unwrap();
    verify(&sandbox, &file, &["--key", vkey]).exits(0);
    let keys = sandbox.input("keys", format!("# who may sign\n\n{vkey}\n"));
    verify(&sandbox, &file, &["--key", &keys]).exits(0);
    verify(&sandbox, &file, &["--key", fs::read_to_string(&key).unwrap().trim()]).exits(0);
}

#[test]
fn every_entry_is_proven_at_every_size() {
    let Some((sandbox, key)) = ledger(1) else { return };
    for size in 1..=7 {
        sandbox.audit(&["checkpoint", "--sign", &key]).exits(0);
        for task in 1..=size {
            let proof = sandbox.audit(&["prove", &format!("t{task}")]).exits(0).stdout;
            let file = sandbox.input("proof", proof);
            let answer = verify(&sandbox, &file, &["--key", &format!("{key}.pub"), "--json"]).exits(0).json();
            assert_eq!((&answer["index"], &answer["size"]), (&(task - 1).into(), &size.into()));
        }
        sandbox.record(&format!("t{}", size + 1), &[]);
    }
}

#[test]
fn without_the_right_key_nobody_vouches_for_it() {
    let Some((sandbox, log, file)) = proof() else { return };
    let Some(other) = key(&sandbox, "other", &["-t", "ed25519"]) else { return };
    let done = verify(&sandbox, &file, &["--json"]).exits(4);
    assert_eq!(
        (&done.json()["verdict"], finding(&done)),
        (&"inconclusive".into(), "checkpoint-unsigned".into())
    );
    let other = format!("{other}.pub");
    let done = verify(&sandbox, &file, &["--key", &other]).exits(4);
    assert!(done.stdout.contains(&format!("no signature by {other}")), "{}", done.stdout);
    // Every key that is asked for has to have signed; of a file of keys, one.
    verify(&sandbox, &file, &["--key", &log, "--key", &other]).exits(4);
    let both = fs::read_to_string(&log).unwrap() + &fs::read_to_string(&other).unwrap();
    let both = sandbox.input("both", both);
    verify(&sandbox, &file, &["--key", &both]).exits(0);
    // An unsigned checkpoint is one by nobody.
    sandbox.record("t6", &[]);
    sandbox.audit(&["checkpoint"]).exits(0);
    let unsigned = sandbox.audit(&["prove", "t6"]).exits(0).says("nobody has signed the checkpoint");
    let unsigned = sandbox.input("unsigned", unsigned.stdout);
    verify(&sandbox, &unsigned, &["--key", &log]).exits(4);
}

#[test]
fn whatever_is_changed_in_a_proof_it_does_not_hold_any_more() {
    let Some((sandbox, key, file)) = proof() else { return };
    let text = fs::read_to_string(&file).unwrap();
    let line = |number: usize| text.lines().nth(number).unwrap();
    let signature = text.lines().find(|line| line.starts_with('—')).unwrap();
    let root =
        text.lines().find(|line| line.len() == 44 && text.contains(&format!("\n5\n{line}\n"))).unwrap();
    let flip = |text: &str| text.replacen(['A', 'B', 'C'], "Q", 1).replacen("w", "x", 1);
    for (changed, code) in [
        (text.replacen("task t3", "task t4", 1), "proof-task"),
        (text.replace("\"completed\"", "\"cancelled\""), "proof-differs"),
        (text.replace("index 2", "index 3"), "proof-differs"),
        (text.replace(line(8), line(9)), "proof-differs"),
        (text.replace(root, &format!("{}=", "A".repeat(43))), "proof-differs"),
        (text.replace("\n5\n", "\n6\n"), "checkpoint-signature"),
        (
            text.replace(&signature[signature.len() - 30..], &flip(&signature[signature.len() - 30..])),
            "checkpoint-signature",
        ),
        (text[..text.len() - 1].to_owned(), "proof-malformed"),
        (format!("{text}\n"), "proof-malformed"),
        (text.replace("v1", "v2"), "proof-malformed"),
        (String::new(), "proof-malformed"),
        (text.repeat(2000), "proof-malformed"),
    ] {
        assert_ne!(changed, text);
        let changed = sandbox.input("changed", changed);
        let done = verify(&sandbox, &changed, &["--key", &key, "--json"]).exits(3);
        assert_eq!(finding(&done), code);
        assert_eq!(done.json()["verdict"], "not-valid");
        verify(&sandbox, &changed, &["--key", &key]).exits(3);
    }
    verify(&sandbox, "no-such", &["--key", &key]).exits(1).says("cannot read");
    verify(&sandbox, &file, &["--key", "no-such"]).exits(1).says("`no-such` is no file, and no key");
    verify(&sandbox, &file, &["--key", key.trim_end_matches(".pub")]).exits(1).says("`.pub` file");
}

#[test]
fn its_parts_are_cut_apart_and_checked_by_other_tools() {
    let Some((sandbox, key)) = ledger(1) else { return };
    sandbox.audit(&["checkpoint", "--sign", &key]).exits(0);
    let file = sandbox.path("t1.proof");
    let said = sandbox.audit(&["prove", "t1", "--output", "t1.proof"]).exits(0).stdout;
    assert_eq!(said.trim(), file.to_str().unwrap());
    // Of a ledger with one entry, the hash of the leaf is the root.
    let script = r#"
        entry=$(sed -n 's/^entry \([0-9]*\) bytes$/\1/p' t1.proof | head -n 1)
        proof=$(sed -n 's/^proof \([0-9]*\) bytes$/\1/p' t1.proof | head -n 1)
        tail -c "$entry" t1.proof | cmp - .audit/tasks/t1.json
        tail -c $((entry + 1 + proof)) t1.proof | head -c "$proof" > t1.tlog-proof
        root=$( (printf '\0'; tail -c "$entry" t1.proof) | sha256sum | cut -c 1-64)
        sed -n 6p t1.tlog-proof | base64 -d | od -An -tx1 | tr -d ' \n' | grep -qx "$root" && head -n 1 t1.tlog-proof"#;
    let done = run(sandbox.command("sh").args(["-ec", script])).exits(0);
    assert_eq!(done.stdout, "c2sp.org/tlog-proof@v1\n");
    let answer = sandbox.audit(&["prove", "t1", "--output", "t1.proof", "--json"]).exits(0).json();
    assert_eq!((&answer["schema"], &answer["proof"]), (&"git-audit/prove/v1".into(), &Value::Null));
    let answer = sandbox.audit(&["prove", "t1", "--json"]).exits(0).json();
    assert_eq!(answer["proof"].as_str().unwrap(), fs::read_to_string(&file).unwrap());
}

#[test]
fn a_proof_of_a_large_entry_is_little_more_than_the_entry() {
    let Some((sandbox, key)) = ledger(40) else { return };
    let large = serde_json::json!({
        "task_id": "large", "status": "failed", "error_message": "x".repeat(1_048_000),
        "timestamp": "2026-11-19T08:00:00Z",
    });
    sandbox.audit_with_input(&["record", "-"], large.to_string()).exits(0);
    sandbox.audit(&["checkpoint", "--sign", &key]).exits(0);
    let proof = sandbox.audit(&["prove", "large"]).exits(0).stdout;
    let entry = sandbox.audit(&["show", "large", "--raw"]).exits(0).stdout;
    assert!(proof.ends_with(&entry) && proof.len() < entry.len() + 4096);
    let file = sandbox.input("large.proof", proof);
    verify(&sandbox, &file, &["--key", &format!("{key}.pub")]).exits(0);
}

#[test]
fn a_proof_rests_on_the_checkpoint_with_the_most_signatures_or_on_the_one_that_is_named() {
    let Some((sandbox, log)) = ledger(3) else { return };
    let Some(witness) = key(&sandbox, "witness", &["-t", "ed25519"]) else { return };
    let by_log = sandbox.audit(&["checkpoint", "--sign", &log]).exits(0).stdout;
    let by_witness = sandbox.audit(&["checkpoint", "--sign", &witness]).exits(0).stdout;
    let both = sandbox.input("both", format!("{by_log}{}\n", by_witness.lines().last().unwrap()));
    sandbox.audit(&["checkpoint", "--add", &both]).exits(0);
    sandbox.record("t4", &[]);
    let newer = sandbox.audit(&["checkpoint", "--sign", &log]).exits(0).stdout;
    sandbox.record("t5", &[]);
    sandbox.audit(&["checkpoint"]).exits(0);
    let size = |arguments: &[&str]| {
        let answer = sandbox.audit(&[&["prove", "--json"], arguments].concat()).exits(0).json();
        (answer["size"].as_u64().unwrap(), answer["signatures"].as_u64().unwrap())
    };
    assert_eq!(size(&["t3"]), (3, 2));
    assert_eq!(size(&["t4"]), (4, 1));
    assert_eq!(size(&["t5"]), (5, 0));
    let newer = sandbox.input("newer", newer);
    assert_eq!(size(&["t3", "--checkpoint", &newer]), (4, 1));
    let keys = ["--key", &format!("{log}.pub"), "--key", &format!("{witness}.pub")];
    let proof = sandbox.input("proof", sandbox.audit(&["prove", "t3"]).exits(0).stdout);
    assert_eq!(verify(&sandbox, &proof, &keys).exits(0).stdout.matches("by git-audit/").count(), 2);
    sandbox
        .audit(&["prove", "t5", "--checkpoint", &newer])
        .exits(1)
        .says("was made before task t5 was recorded")
        .says("git audit checkpoint --sign KEY");
}

#[test]
fn what_cannot_be_proven_is_said_with_what_to_run() {
    let Some((sandbox, key)) = ledger(2) else { return };
    let said = "no checkpoint is kept here that covers task t1";
    sandbox.audit(&["prove", "t1"]).exits(1).says(said).says("git audit checkpoint --sign KEY");
    sandbox.audit(&["prove", "nobody"]).exits(1).says("no entry for task `nobody`");
    let note = sandbox.audit(&["checkpoint", "--sign", &key]).exits(0).stdout;
    let lie = sandbox.input("lie", note.replace("\n2\n", "\n1\n"));
    let done = sandbox.audit(&["prove", "t1", "--checkpoint", &lie]).exits(1);
    done.says("the first 1 entries are not those").says("--consistent-with");
    sandbox.audit(&["prove", "t1", "--output", "no/such/folder"]).exits(1).says("cannot write");
    // An entry that was changed is not the one that was recorded.
    let entry = fs::read_to_string(sandbox.path(".audit/tasks/t1.json")).unwrap();
    sandbox.write(".audit/tasks/t1.json", entry.replace("completed", "cancelled"));
    sandbox.git(&["add", "."]);
    sandbox.commit("tidy");
    sandbox.audit(&["prove", "t1"]).exits(1).says(".audit/tasks/t1.json is not what commit");
}
