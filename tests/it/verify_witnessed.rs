//! The layer of checkpoints, by the command: what each finding needs to be found, alone; whose signatures count; and the
//! one way to a ledger that is called valid.

use std::fs;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use git_audit::verify::log::SigningKey;
use git_audit::verify::log::key::{Kind, key_id};
use git_audit::verify::report::Code;

use crate::checkpoint::{key, ledger};
use crate::sandbox::{Sandbox, entry};
use crate::signing::{configure, has, public_key, signing_ledger};
use crate::tamper::{Report, verify_in};

#[track_caller]
fn verify(sandbox: &Sandbox, flags: &[&str]) -> Report {
    verify_in(sandbox, &sandbox.path(""), flags)
}

fn why(report: &Report) -> String {
    let layers = report.answer["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["layer"] == "checkpoints").unwrap();
    layer["why"].as_str().unwrap_or_default().to_owned()
}

/// Signs a checkpoint of the ledger as it is, and gives its text.
#[track_caller]
fn sign(sandbox: &Sandbox, key: &str) -> String {
    sandbox.audit(&["checkpoint", "--sign", key]).exits(0).stdout
}

fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let folder = fs::read_dir(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    folder.map(|item| item.unwrap().path()).collect()
}

/// Takes the newest entry back, as somebody who removes the pin, too.
fn take_back(sandbox: &Sandbox) {
    sandbox.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    fs::remove_dir_all(sandbox.path(".git/git-audit/verified")).unwrap();
}

#[test]
fn a_ledger_that_is_not_what_was_stated_of_it_is_found() {
    let Some((sandbox, key)) = ledger(3) else { return };
    let given = sandbox.input("given.txt", sign(&sandbox, &key));
    take_back(&sandbox);
    let report = verify(&sandbox, &[]).finds(&[Code::CheckpointDiffers]);
    assert_eq!(report.layer("checkpoints"), "failed");
    sandbox.record("other", &[]);
    sandbox.record("more", &[]);
    let report = verify(&sandbox, &["--key", &format!("{key}.pub")]).finds(&[Code::CheckpointDiffers]);
    let finding = report.finding(Code::CheckpointDiffers);
    assert!(finding["expected"].as_str().unwrap().contains("\n3\n"), "{finding:#}");
    assert!(finding["actual"].as_str().unwrap().contains("\n3\n"), "{finding:#}");
    // Also where this clone has kept none, and somebody brings it along.
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    verify(&sandbox, &[]).finds(&[]);
    verify(&sandbox, &["--since", &given]).finds(&[Code::CheckpointDiffers]);
    verify(&sandbox, &["--since", "pin"]).finds(&[]);
}

#[test]
fn two_stories_are_a_fork_and_both_are_exported() {
    let Some((sandbox, key)) = ledger(3) else { return };
    let one = sign(&sandbox, &key);
    take_back(&sandbox);
    sandbox.record("other", &[]);
    let report = verify(&sandbox, &[]).finds(&[Code::Fork]);
    let finding = report.finding(Code::Fork);
    let sides = ["expected", "actual"].map(|side| finding[side].as_str().unwrap().to_owned());
    assert!(sides.contains(&one) && sides[0] != sides[1]);
    let exported = fs::read_dir(sandbox.path(".git/git-audit/forks")).unwrap();
    let exported: Vec<_> = exported.map(|item| fs::read_to_string(item.unwrap().path()).unwrap()).collect();
    assert!(exported.len() == 2 && sides.iter().all(|side| exported.contains(side)));
}

#[test]
fn a_signature_that_does_not_fit_is_found_by_who_has_the_key() {
    let Some((sandbox, key)) = ledger(2) else { return };
    let text = sign(&sandbox, &key);
    let [file] = &kept(&sandbox)[..] else { panic!() };
    let (start, signature) = text.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = Base64::decode_vec(signature).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, format!("{start} {}\n", Base64::encode_string(&bytes))).unwrap();
    let key = format!("{key}.pub");
    let report = verify(&sandbox, &["--key", &key]).finds(&[Code::CheckpointSignature]);
    assert_eq!(report.layer("checkpoints"), "failed");
    assert_ne!(verify(&sandbox, &[]).finds(&[]).layer("checkpoints"), "ok");
}

#[test]
fn what_is_no_checkpoint_of_this_ledger_is_named_unless_somebody_holds_it_against_it() {
    let Some((sandbox, _)) = ledger(2) else { return };
    let text = sandbox.audit(&["checkpoint"]).exits(0).stdout;
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    let first = text.lines().next().unwrap();
    let foreign = text.replace(first, &format!("git-audit/{}", "0".repeat(40)));
    for strange in [&foreign, "junk"] {
        let file = sandbox.write(".git/git-audit/checkpoints/2-0.txt", strange);
        let report = verify(&sandbox, &[]).finds(&[Code::CheckpointForeign]);
        assert_eq!((report.code, report.layer("checkpoints")), (0, "not-checked"));
        fs::remove_file(file).unwrap();
    }
    let given = sandbox.input("given", &foreign);
    verify(&sandbox, &["--since", &given]).finds(&[Code::CheckpointDiffers]);
    let junk = sandbox.input("junk", "junk\n");
    let done = sandbox.audit(&["verify", "--since", &junk]).exits(2);
    assert_eq!(done.stdout, "");
    done.says("neither a commit nor a checkpoint: it has less than three lines");
}

#[test]
fn what_cannot_be_read_of_the_kept_ones_does_not_let_the_given_one_pass() {
    let Some((sandbox, key)) = ledger(2) else { return };
    let text = sign(&sandbox, &key);
    let lie = text.replace(text.lines().nth(2).unwrap(), &Base64::encode_string(&[0; 32]));
    let (lie, given) = (sandbox.input("lie", lie), sandbox.input("given", &text));
    fs::create_dir(sandbox.path(".git/git-audit/checkpoints/9-0.txt")).unwrap();
    let key = format!("{key}.pub");
    let report = verify(&sandbox, &["--since", &given, "--key", &key]).finds(&[]);
    assert_eq!(report.layer("checkpoints"), "not-checked");
    verify(&sandbox, &["--since", &lie]).finds(&[Code::Fork]);
}

#[test]
fn only_a_signature_by_a_key_that_was_named_is_a_witness() {
    let Some((sandbox, log)) = ledger(2) else { return };
    let Some(other) = key(&sandbox, "other", &["-t", "ed25519"]) else { return };
    let [log_key, other_key] = [&log, &other].map(|key| format!("{key}.pub"));
    let open = |flags: &[&str], because: &str| {
        let report = verify(&sandbox, &[&["--require", "witnessed"], flags].concat()).exits(4);
        assert!(why(&report).contains(because), "{}", why(&report));
        assert_eq!(report.answer["findings"].as_array().unwrap().len(), 0);
        assert_eq!(verify(&sandbox, flags).finds(&[]).answer["verdict"], "nothing-found");
    };
    open(&["--key", &log_key], "no checkpoint is kept in this clone");
    sandbox.audit(&["checkpoint"]).exits(0);
    open(&[], "no key (--key)");
    open(&["--key", &log_key], "no checkpoint is signed by a key that counts");
    let text = sign(&sandbox, &log);
    open(&["--key", &other_key], "no checkpoint is signed by a key that counts");
    let witnessed = ["--require", "witnessed", "--key", &other_key, "--key", &log_key];
    assert_eq!(verify(&sandbox, &witnessed).finds(&[]).layer("checkpoints"), "ok");
    // One that is brought along is as good.
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    let given = sandbox.input("given", text);
    let flags = [&["--since", given.as_str()][..], &witnessed].concat();
    assert_eq!(verify(&sandbox, &flags).finds(&[]).layer("checkpoints"), "ok");
}

#[test]
fn a_witness_who_says_when_counts_as_well() {
    let Some((sandbox, log)) = ledger(2) else { return };
    let Some(witness) = key(&sandbox, "witness", &["-t", "ed25519"]) else { return };
    let note = sign(&sandbox, &log);
    let text = note.split_once("\n\n").unwrap().0;
    let (signer, name, time) =
        (SigningKey::open(Path::new(&witness), None).unwrap(), "witness.example", 1_795_176_000_u64);
    let signature = signer.sign(format!("cosignature/v1\ntime {time}\n{text}\n").as_bytes()).unwrap();
    let id = key_id(name, Kind::Cosignature, signer.public());
    let blob = [&id[..], &time.to_be_bytes(), &signature].concat();
    let seen = format!("{note}— {name} {}\n", Base64::encode_string(&blob));
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    sandbox.audit(&["checkpoint", "--add", &sandbox.input("seen", seen)]).exits(0);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let public = Base64::encode_string(&[&[4][..], signer.public()].concat());
    for key in [format!("{name}+{id}+{public}"), format!("{witness}.pub")] {
        let report = verify(&sandbox, &["--require", "witnessed", "--key", &key]).finds(&[]);
        assert_eq!(report.layer("checkpoints"), "ok", "{key}");
    }
}

#[test]
fn a_signature_under_no_entries_witnesses_nothing() {
    let Some((sandbox, log)) = ledger(1) else { return };
    let note = sandbox.audit(&["checkpoint"]).exits(0).stdout;
    fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    let origin = note.lines().next().unwrap();
    let text =
        format!("{origin}\n0\n{}\n", Base64::encode_string(&git_audit::verify::log::merkle::empty_root()));
    let signer = SigningKey::open(Path::new(&log), None).unwrap();
    let blob =
        [&key_id(origin, Kind::Plain, signer.public())[..], &signer.sign(text.as_bytes()).unwrap()].concat();
    let signed = format!("{text}\n— {origin} {}\n", Base64::encode_string(&blob));
    sandbox.write(".git/git-audit/checkpoints/0-0.txt", signed);
    let report = verify(&sandbox, &["--require", "witnessed", "--key", &format!("{log}.pub")]).exits(4);
    assert!(why(&report).contains("without entries"), "{}", why(&report));
}

/// Each of the eight layers is needed, and takes something to be there.
#[test]
fn valid_is_said_of_a_ledger_in_which_every_layer_was_checked_and_of_no_other() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, alice) = signing_ledger();
    sandbox.record("one", &[]);
    let log = key(&sandbox, "log", &["-t", "ed25519"]).unwrap();
    let log_key = format!("{log}.pub");
    let all = ["--key", log_key.as_str()];
    let said = |flags: &[&str], verdict: &str| {
        let report = verify(&sandbox, flags).finds(&[]);
        assert_eq!(report.answer["verdict"], verdict, "{:#}", report.answer["layers"]);
        let human = sandbox.audit(&[&["verify"], flags].concat()).exits(0).stdout;
        assert_eq!(human.starts_with("valid — "), verdict == "valid", "{human}");
        assert_eq!(human.contains("valid"), verdict == "valid", "{human}");
    };
    said(&all, "nothing-found");
    sign(&sandbox, &log);
    said(&all, "valid");
    said(&[&["--require", "signed,witnessed"][..], &all].concat(), "valid");
    // One layer less: checkpoints, then all of the history, signatures, the pin.
    said(&[], "nothing-found");
    said(&[&["--since", "pin"][..], &all].concat(), "nothing-found");
    sandbox.git(&["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    said(&all, "nothing-found");
    let signers = sandbox.input("signers", format!("alice@example.com {}\n", public_key(&alice)));
    configure(&sandbox, &[("gpg.ssh.allowedSignersFile", &signers)]);
    said(&all, "valid");
    // Where no working tree shows the branch, none can differ.
    sandbox.git(&["checkout", "--quiet", "--orphan", "elsewhere"]);
    said(&all, "valid");
    fs::remove_dir_all(sandbox.path(".git/git-audit/verified")).unwrap();
    let report = verify(&sandbox, &all).finds(&[]);
    assert_eq!((&report.answer["verdict"], report.layer("pin")), (&"nothing-found".into(), "not-checked"));
    said(&all, "valid");
}

#[test]
fn a_ledger_with_a_fault_is_not_stated_and_what_was_stated_before_is_still_proven() {
    let Some((sandbox, log)) = ledger(2) else { return };
    sign(&sandbox, &log);
    let before = kept(&sandbox);
    let path = ".audit/tasks/t2.json";
    let changed = fs::read_to_string(sandbox.path(path)).unwrap().replace("completed", "failed");
    sandbox.write(path, changed);
    sandbox.git(&["add", "."]);
    sandbox.commit("it was otherwise");
    // Whether this clone has verified it before, or not.
    for _ in 0..2 {
        let done = sandbox.audit(&["checkpoint", "--sign", &log, "--json"]).exits(3);
        let answer = done.json();
        assert_eq!((&answer["outcome"], &answer["note"]), (&"refused".into(), &serde_json::Value::Null));
        assert_eq!(answer["findings"][0]["code"], "entry-changed");
        let human = sandbox.audit(&["checkpoint"]).exits(3).says("git audit verify");
        assert!(human.stdout.contains("entry-changed"), "{}", human.stdout);
        assert_eq!(kept(&sandbox), before);
        let proof = sandbox.input("proof", sandbox.audit(&["prove", "t1"]).exits(0).stdout);
        sandbox.audit(&["verify", "--proof", &proof, "--key", &format!("{log}.pub")]).exits(0);
        _ = fs::remove_dir_all(sandbox.path(".git/git-audit/verified"));
    }
    // What cannot be read is not stated, either.
    sandbox.unpack();
    fs::remove_file(sandbox.loose("HEAD~2:.audit/tasks/t1.json")).unwrap();
    let done = sandbox.audit(&["checkpoint", "--json"]).exits(3);
    assert!(done.stdout.contains("object-missing"), "{}", done.stdout);
}

/// A clone goes on from what it has noted. If that went wrong on the disk, what is stated is still the truth.
#[test]
fn a_byte_that_went_wrong_in_the_pin_or_the_notebook_never_reaches_a_checkpoint() {
    let Some((sandbox, _)) = ledger(3) else { return };
    verify(&sandbox, &[]).finds(&[]);
    sandbox.record("t4", &[]);
    let honest = sandbox.audit(&["checkpoint"]).exits(0).stdout;
    let proven = sandbox.audit(&["prove", "t2"]).exits(0).stdout;
    let clean = || fs::remove_dir_all(sandbox.path(".git/git-audit/checkpoints")).unwrap();
    let verified = sandbox.path(".git/git-audit/verified");
    let files = ["main.json", "main.leaves"].map(|name| verified.join(name));
    let before = files.clone().map(|file| fs::read(file).unwrap());
    for (file, bytes) in files.iter().zip(&before) {
        // A step that falls on every field, and on every column.
        for at in (0..bytes.len()).step_by(11) {
            for (file, bytes) in files.iter().zip(&before) {
                fs::write(file, bytes).unwrap();
            }
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(file, changed).unwrap();
            let place = format!("{} at {at}", file.display());
            let proof = sandbox.audit(&["prove", "t2"]).exits(0).stdout;
            assert_eq!(proof, proven, "{place}");
            clean();
            assert_eq!(sandbox.audit(&["checkpoint"]).exits(0).stdout, honest, "{place}");
        }
    }
}

#[test]
fn what_held_when_it_was_verified_is_not_asked_of_the_notebook_again() {
    let Some((sandbox, log)) = ledger(3) else { return };
    sign(&sandbox, &log);
    let key = format!("{log}.pub");
    let since = ["--since", "pin", "--key", key.as_str()];
    verify(&sandbox, &[]).finds(&[]);
    // So it need not even be there.
    fs::remove_file(sandbox.path(".git/git-audit/verified/main.leaves")).unwrap();
    assert_eq!(verify(&sandbox, &since).finds(&[]).layer("checkpoints"), "ok");
    // What was kept since then is compared with all there is.
    verify(&sandbox, &[]).finds(&[]);
    let text = fs::read_to_string(&kept(&sandbox)[0]).unwrap();
    let lie = text.replace(text.lines().nth(2).unwrap(), &Base64::encode_string(&[0; 32]));
    let file = sandbox.write(".git/git-audit/checkpoints/3-1.txt", lie);
    for _ in 0..2 {
        verify(&sandbox, &since).finds(&[Code::Fork, Code::CheckpointSignature]);
    }
    fs::remove_file(file).unwrap();
    assert_eq!(verify(&sandbox, &since).finds(&[]).layer("checkpoints"), "ok");
}

/// What it costs to look at a few new entries beside checkpoints, as a ratio: it must not grow with the ledger.
#[test]
#[ignore = "takes minutes; run it by name"]
fn since_the_pin_costs_the_same_with_checkpoints_of_a_large_ledger() {
    let Some((sandbox, log)) = ledger(0) else { return };
    let many: String = (0..100_000).map(|number| format!("{}\n", entry(&format!("t-{number}")))).collect();
    sandbox.audit_with_input(&["import", "-"], many).exits(0);
    sign(&sandbox, &log);
    let time = || {
        let begun = std::time::Instant::now();
        sandbox.audit(&["verify", "--since", "pin", "--json"]).exits(0);
        begun.elapsed()
    };
    sandbox.audit(&["verify"]).exits(0);
    let known = (0..5).map(|_| time()).min().unwrap();
    sandbox.audit(&["checkpoint"]).exits(0);
    let loaded = time();
    let again = (0..5).map(|_| time()).min().unwrap();
    eprintln!("judged before {known:?}, with the notebook {loaded:?}, again {again:?}");
    assert!(again < loaded / 2 && known < loaded / 2);
}
