//! Signatures, checked: each way in which one is not good, and that only it is found.

use std::ffi::OsString;
use std::fs;

use git_audit::ledger::signing::{SigningTools, SigningVariables, is_required_by};
use git_audit::ledger::{Clock, ConfigVariables, IdentityVariables, Ledger, Place};
use git_audit::verify::report::{Code, Finding};
use git_audit::verify::signatures::{Outcome, Question, Signatures, Signers};

use crate::sandbox::{NOW, Sandbox, run};
use crate::signing::{Keyring, configure, has, keyring, public_key, sign_as, signing_ledger, ssh_key};

/// 2026-11-20T12:00:00Z, as [`NOW`].
const THEN: i64 = 1_795_176_000;

fn place(sandbox: &Sandbox, more: &[(&'static str, OsString)]) -> Place {
    let home = ("HOME", sandbox.root().join("home").into_os_string());
    Place {
        directory: sandbox.path(""),
        git_dir: None,
        work_tree: None,
        ceilings: vec![sandbox.root().to_owned()],
        config: ConfigVariables { no_system: true, ..ConfigVariables::default() },
        identity: IdentityVariables::default(),
        durability: None,
        state_home: None,
        cache_home: None,
        signing: SigningVariables([&[home], more].concat()),
        search_path: std::env::var_os("PATH"),
        clock: Clock::Fixed(NOW.parse().unwrap()),
    }
}

fn tools(sandbox: &Sandbox) -> SigningTools {
    Ledger::open(&place(sandbox, &[])).unwrap().signing_tools()
}

/// Checks by git's configuration, and nothing is remembered.
fn signatures(sandbox: &Sandbox) -> Signatures {
    let tools = tools(sandbox);
    let signers = Signers::of(&tools, None);
    Signatures::new(tools, signers, None)
}

fn commit(sandbox: &Sandbox, name: &str) -> (String, Vec<u8>) {
    (sandbox.git(&["rev-parse", name]).trim().to_owned(), sandbox.git_bytes(&["cat-file", "commit", name]))
}

/// What is found: a code, `good` or `unsigned`.
fn said(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Unsigned => "unsigned",
        Outcome::Good { .. } => "good",
        Outcome::Findings(findings) => {
            assert_eq!(findings.len(), 1);
            findings[0].code.as_str()
        }
    }
}

#[track_caller]
fn finding(outcome: Outcome) -> Finding {
    match outcome {
        Outcome::Findings(mut findings) => findings.remove(0),
        other => panic!("{other:?}"),
    }
}

fn allow(sandbox: &Sandbox, lines: &str) {
    let file = sandbox.input("signers", lines);
    configure(sandbox, &[("gpg.ssh.allowedSignersFile", &file)]);
}

/// A ledger with one signed entry.
fn one_entry() -> (Sandbox, String, (String, Vec<u8>)) {
    let (sandbox, key) = signing_ledger();
    sandbox.record("one", &[]);
    let tip = commit(&sandbox, "HEAD");
    (sandbox, key, tip)
}

#[test]
fn what_was_signed_here_is_good() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let Outcome::Good { principal } = signatures(&sandbox).check(&id, &bytes, THEN) else { panic!() };
    assert_eq!(principal, "alice@example.com");
    allow(&sandbox, &format!("*@example.com,!bob@example.com {}\n", public_key(&key)));
    assert_eq!(said(&signatures(&sandbox).check(&id, &bytes, THEN)), "good");
    // Of any time that a commit can state.
    for verify_at in [i64::MIN, -1, 0, 1, i64::MAX] {
        assert_eq!(said(&signatures(&sandbox).check(&id, &bytes, verify_at)), "good", "{verify_at}");
    }
}

#[test]
fn every_octet_counts_and_a_signature_cannot_be_moved() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _, (id, bytes)) = one_entry();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let mut signatures = signatures(&sandbox);
    let mut check = |commit: &str| said(&signatures.check(&id, commit.as_bytes(), THEN));
    assert_eq!(check(&text), "good");
    let header_end = text.find("\n\n").unwrap();
    let (at, end) = (text.find("gpgsig ").unwrap(), header_end + 1);
    let (signature, unsigned) = (&text[at..end], format!("{}{}", &text[..at], &text[end..]));
    let other_tree = if text.as_bytes()[5] == b'a' { "tree b" } else { "tree a" };
    let changed = [
        text.replacen(&text[..6], other_tree, 1),
        text.replacen("author alice", "author alicf", 1),
        text.replacen("committer alice", "committer Alice", 1),
        text.replacen("parent ", "parent 0", 1),
        text.replacen("audit: task one", "audit: task onf", 1),
        text.replacen(" +0000\ngpgsig", " +0001\ngpgsig", 1),
        format!("{text} "),
        text.replacen("\n\naudit", "\nencoding x\n\naudit", 1),
        // Within the signature, its first and its last letters.
        text.replacen("U1NIU0lH", "U1NIU0lI", 1),
        text.replacen("\n -----END", "A\n -----END", 1),
        text.replacen("SSH SIGNATURE-----\n", "SSH SIGNATURE-----\r\n", 2),
        text.replace('\n', "\r\n").replacen("\r\n\r\n", "\n\n", 1),
        text.replacen("\n\n", "\r\n\r\n", 1),
        text.replacen(signature, &signature.replace('\n', "\r\n"), 1),
        // Two of them, one of another format, one that is none, one that never ends.
        format!("{}{signature}{}", &text[..end], &text[end..]),
        text.replacen("gpgsig ", "gpgsig-sha256 ", 1),
        text.replacen(
            signature,
            &format!("{signature}{}", signature.replacen("gpgsig", "gpgsig-sha256", 1)),
            1,
        ),
        text.replacen(signature, "gpgsig junk\n", 1),
        text.replacen(signature, "gpgsig\n", 1),
        text.replacen("\n -----END", &format!("{}\n -----END", "\n AAAAAAAA".repeat(8000)), 1),
    ];
    for (number, changed) in changed.iter().enumerate() {
        assert_ne!(*changed, text, "{number}");
        assert_eq!(check(changed), "signature-bad", "{number}");
    }
    // Stripped, or in the message only.
    assert_eq!(check(&unsigned), "unsigned");
    assert_eq!(check(&format!("{unsigned}\n{signature}")), "unsigned");
    assert_eq!(check(""), "unsigned");
    // A signature of another commit, of this ledger or of another one by the same key.
    sandbox.record("two", &[]);
    let two = String::from_utf8(commit(&sandbox, "HEAD").1).unwrap();
    let other = &two[two.find("gpgsig ").unwrap()..two.find("\n\n").unwrap() + 1];
    assert_eq!(check(&text.replacen(signature, other, 1)), "signature-bad");
}

#[test]
fn a_signature_of_other_things_than_commits_does_not_count() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let text = String::from_utf8(bytes).unwrap();
    let (at, end) = (text.find("gpgsig ").unwrap(), text.find("\n\n").unwrap() + 1);
    let payload = sandbox.input("payload", format!("{}{}", &text[..at], &text[end..]));
    for (namespace, expected) in [("file", "signature-bad"), ("git", "good")] {
        let mut sign = sandbox.command("ssh-keygen");
        run(sign.args(["-q", "-Y", "sign", "-n", namespace, "-f", &key, &payload])).exits(0);
        let signature = fs::read_to_string(format!("{payload}.sig")).unwrap();
        fs::remove_file(format!("{payload}.sig")).unwrap();
        let signature: String = signature.lines().map(|line| format!(" {line}\n")).collect();
        let resigned = format!("{}gpgsig{signature}{}", &text[..at], &text[end..]);
        assert_eq!(said(&signatures(&sandbox).check(&id, resigned.as_bytes(), THEN)), expected);
    }
    // The key may sign, but not for git.
    allow(&sandbox, &format!("alice@example.com namespaces=\"file\" {}\n", public_key(&key)));
    assert_eq!(said(&signatures(&sandbox).check(&id, text.as_bytes(), THEN)), "signer-unknown");
}

#[test]
fn a_key_that_nobody_allowed_is_unknown() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _, (id, bytes)) = one_entry();
    let mallory = ssh_key(&sandbox, "mallory");
    for lines in [String::new(), format!("alice@example.com {}\n", public_key(&mallory)), "rubbish\n".into()]
    {
        allow(&sandbox, &lines);
        let finding = finding(signatures(&sandbox).check(&id, &bytes, THEN));
        assert_eq!(finding.code, Code::SignerUnknown);
        assert_eq!(finding.commit.as_deref(), Some(id.as_str()));
        assert!(finding.message.contains("SHA256:"), "{}", finding.message);
    }
}

#[test]
fn an_author_who_is_another_than_who_signed_is_named_with_both() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, _) = one_entry();
    let ceo = ssh_key(&sandbox, "ceo");
    let signers = [("ceo", &ceo), ("alice", &key)]
        .map(|(name, key)| format!("{name}@example.com {}\n", public_key(key)))
        .concat();
    allow(&sandbox, &signers);
    sign_as(&sandbox, "ceo", &key);
    sandbox.record("two", &[]);
    let (id, bytes) = commit(&sandbox, "HEAD");
    // git is content with it.
    sandbox.git(&["verify-commit", "HEAD"]);
    let found = finding(signatures(&sandbox).check(&id, &bytes, THEN));
    assert_eq!(found.code, Code::AuthorDiffers);
    assert_eq!(found.expected, Some("ceo@example.com".into()));
    assert_eq!(found.actual, Some("alice@example.com".into()));
    // Who has no address is nobody.
    let nobody = String::from_utf8(bytes).unwrap().replacen("<ceo@example.com>", "<>", 1);
    assert_eq!(said(&signatures(&sandbox).check(&id, nobody.as_bytes(), THEN)), "signature-bad");
    configure(&sandbox, &[("user.email", "*@example.com")]);
    sandbox.record("three", &[]);
    let (id, bytes) = commit(&sandbox, "HEAD");
    assert_eq!(said(&signatures(&sandbox).check(&id, &bytes, THEN)), "author-differs");
}

#[test]
fn a_key_counts_while_it_is_valid_and_a_backdated_commit_does_not_bring_it_back() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let key = public_key(&key);
    let one_day = 86_400;
    for (options, verify_at, expected) in [
        ("valid-before=\"20261121\"", THEN, "good"),
        ("valid-before=\"20261121\"", THEN + one_day, "signer-expired"),
        ("valid-before=\"20261120110000\"", THEN, "signer-expired"),
        ("valid-before=\"20261120130000Z\"", THEN, "good"),
        ("valid-after=\"20261120130000\"", THEN, "signer-expired"),
        ("namespaces=\"git\",valid-after=\"20261101\",valid-before=\"20261201\"", THEN, "good"),
        ("namespaces=\"git\",valid-after=\"20261101\",valid-before=\"20261119\"", THEN, "signer-expired"),
    ] {
        allow(&sandbox, &format!("alice@example.com {options} {key}\n"));
        let found = signatures(&sandbox).check(&id, &bytes, verify_at);
        assert_eq!(said(&found), expected, "{options} at {verify_at}");
    }
    // The commit claims a time at which the key was valid, and what comes before it is later.
    allow(&sandbox, &format!("alice@example.com valid-before=\"20250101\" {key}\n"));
    let mut record = sandbox.audit_command(&["record", "--task-id", "old", "--status", "failed"]);
    run(record.env("GIT_AUDIT_TEST_NOW", "2024-05-01T00:00:00Z")).exits(0);
    sandbox.git(&["verify-commit", "HEAD"]);
    let (id, bytes) = commit(&sandbox, "HEAD");
    let found = finding(signatures(&sandbox).check(&id, &bytes, THEN));
    assert_eq!(found.code, Code::SignerExpired);
    assert!(
        found.message.contains("alice@example.com was not valid at 2026-11-20T12:00:00Z"),
        "{}",
        found.message
    );
}

#[test]
fn a_revoked_key_does_not_count() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let krl = sandbox.root().join("krl").to_str().unwrap().to_owned();
    run(sandbox.command("ssh-keygen").args(["-q", "-k", "-f", &krl, &format!("{key}.pub")])).exits(0);
    let list = sandbox.input("list", format!("{}\n", public_key(&key)));
    let other = format!("{}.pub", ssh_key(&sandbox, "other"));
    for (file, expected) in [(&krl, "signer-expired"), (&list, "signer-expired"), (&other, "good")] {
        configure(&sandbox, &[("gpg.ssh.revocationFile", file)]);
        assert_eq!(said(&signatures(&sandbox).check(&id, &bytes, THEN)), expected, "{file}");
    }
    configure(&sandbox, &[("gpg.ssh.revocationFile", "/no/such/file")]);
    let found = finding(signatures(&sandbox).check(&id, &bytes, THEN));
    assert_eq!(found.code, Code::SignatureUnchecked);
    assert!(found.message.contains("/no/such/file"));
}

#[test]
fn what_cannot_be_checked_is_neither_good_nor_bad() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let signers = format!("alice@example.com {}\n", public_key(&key));
    let unchecked = |says: &str| {
        let found = finding(signatures(&sandbox).check(&id, &bytes, THEN));
        assert_eq!(found.code, Code::SignatureUnchecked);
        assert!(found.message.contains(says), "{}", found.message);
    };
    sandbox.git(&["config", "--unset", "gpg.ssh.allowedSignersFile"]);
    unchecked("nothing says who may sign");
    // But what does not fit, does not fit.
    let changed = [&bytes[..], b" "].concat();
    assert_eq!(said(&signatures(&sandbox).check(&id, &changed, THEN)), "signature-bad");
    // The ledger's own file.
    let tools = tools(&sandbox);
    let of_ledger = Signers::of(&tools, Some(signers.clone().into_bytes()));
    assert_eq!(said(&Signatures::new(tools, of_ledger, None).check(&id, &bytes, THEN)), "good");
    configure(&sandbox, &[("gpg.ssh.allowedSignersFile", "/no/such/file")]);
    unchecked("cannot read /no/such/file");
    allow(&sandbox, &signers);
    configure(&sandbox, &[("gpg.ssh.program", "/no/such/program")]);
    unchecked("`/no/such/program` cannot be run");
    let old = sandbox.input("old", "#!/bin/sh\necho 'unknown option -- O' >&2; exit 1\n");
    run(sandbox.command("chmod").args(["+x", &old])).exits(0);
    configure(&sandbox, &[("gpg.ssh.program", &old)]);
    unchecked("OpenSSH 8.8");
    let smime = String::from_utf8(bytes.clone()).unwrap().replace("SSH SIGNATURE", "SIGNED MESSAGE");
    assert_eq!(said(&signatures(&sandbox).check(&id, smime.as_bytes(), THEN)), "signature-unchecked");
}

#[test]
fn what_was_good_is_not_asked_again_until_it_could_be_otherwise() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, key, (id, bytes)) = one_entry();
    let cache = sandbox.root().join("cache/deep");
    let calls = sandbox.root().join("calls");
    let count = || fs::read_to_string(&calls).unwrap_or_default().lines().count();
    let script = format!("#!/bin/sh\necho x >> '{}'\nexec ssh-keygen \"$@\"\n", calls.display());
    let program = sandbox.input("counting", script);
    run(sandbox.command("chmod").args(["+x", &program])).exits(0);
    configure(&sandbox, &[("gpg.ssh.program", &program)]);
    let check = |bytes: &[u8]| {
        let tools = tools(&sandbox);
        let signers = Signers::of(&tools, None);
        said(&Signatures::new(tools, signers, Some(&cache)).check(&id, bytes, THEN))
    };
    assert_eq!((check(&bytes), count()), ("good", 1));
    assert_eq!((check(&bytes), count()), ("good", 1));
    // What is not good is asked each time; and nobody is let in by what was good before.
    allow(&sandbox, "");
    assert_eq!(check(&bytes), "signer-unknown");
    let after = count();
    assert_eq!(check(&bytes), "signer-unknown");
    assert!(count() > after);
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    let after = count();
    assert_eq!((check(&bytes), count()), ("good", after + 1));
    let revoked = sandbox.input("revoked", format!("{}\n", public_key(&key)));
    configure(&sandbox, &[("gpg.ssh.revocationFile", &revoked)]);
    assert_eq!(check(&bytes), "signer-expired");
    sandbox.git(&["config", "--unset", "gpg.ssh.revocationFile"]);
    // A damaged note is no note.
    let file = cache.join("signatures");
    let noted = fs::read_to_string(&file).unwrap();
    fs::write(&file, noted.replace("alice", "mallo")).unwrap();
    let after = count();
    assert_eq!((check(&bytes), count()), ("good", after + 1));
}

#[test]
fn many_commits_are_answered_in_order() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _, _) = one_entry();
    for task in ["two", "three", "four", "five"] {
        sandbox.record(task, &[]);
    }
    let mut commits: Vec<_> =
        ["HEAD", "HEAD~1", "HEAD~2", "HEAD~3", "HEAD~4"].map(|name| commit(&sandbox, name)).into();
    commits[1].1.push(b' ');
    commits[3].1 = b"tree x\n\nm".to_vec();
    let questions: Vec<_> =
        commits.iter().map(|(commit, bytes)| Question { commit, bytes, verify_at: THEN }).collect();
    let found: Vec<_> = signatures(&sandbox).check_all(&questions).iter().map(said).collect();
    assert_eq!(found, ["good", "signature-bad", "good", "unsigned", "good"]);
    assert!(signatures(&sandbox).check_all(&[]).is_empty());
}

#[test]
fn a_bare_repository_has_what_is_needed_to_check() {
    if !has("ssh-keygen") {
        return;
    }
    let (sandbox, _, (id, bytes)) = one_entry();
    let signers = sandbox.root().join("signers");
    let bare = sandbox.root().join("bare.git");
    sandbox.git(&["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    fs::copy(signers, bare.join("team-signers")).unwrap();
    // Relative: to the repository, where there is no working tree.
    let bare_path = bare.to_str().unwrap();
    sandbox.git(&["-C", bare_path, "config", "gpg.ssh.allowedSignersFile", "team-signers"]);
    sandbox.git(&["-C", bare_path, "config", "audit.sign", "required"]);
    let ledger = Ledger::open(&Place { directory: bare.clone(), ..place(&sandbox, &[]) }).unwrap();
    assert!(ledger.is_signing_configured().unwrap());
    let tools = ledger.signing_tools();
    let signers = Signers::of(&tools, None);
    let found = Signatures::new(tools, signers, Some(&ledger.state_directory())).check(&id, &bytes, THEN);
    assert_eq!(said(&found), "good");
    let policy = sandbox.git(&["-C", bare_path, "show", "HEAD:.audit/config.toml"]);
    assert_eq!(is_required_by(&policy), Ok(false));
}

#[test]
fn gpgs_answers_are_told_apart() {
    if !has("gpg") {
        return;
    }
    let sandbox = Sandbox::new();
    let keyring = keyring(&sandbox, &["Alice <alice@example.com>", "Bob <bob@example.com>"]);
    configure(
        &sandbox,
        &[("user.name", "Alice"), ("user.email", "alice@example.com"), ("audit.sign", "required")],
    );
    keyring.audit(&sandbox, &["init"]).exits(0);
    let mut expiring = sandbox.command("gpg");
    expiring.args(["--batch", "--quiet", "--passphrase", "", "--faked-system-time", "20250101T000000"]);
    expiring.args(["--quick-generate-key", "Carol <carol@example.com>", "ed25519", "sign", "1y"]);
    run(expiring.env("GNUPGHOME", keyring.home.path())).exits(0);

    let check = |keyring: &Keyring, (id, bytes): &(String, Vec<u8>), verify_at: i64| {
        let home = ("GNUPGHOME", keyring.home.path().as_os_str().to_owned());
        let tools = Ledger::open(&place(&sandbox, &[home])).unwrap().signing_tools();
        let signers = Signers::of(&tools, None);
        Signatures::new(tools, signers, None).check(id, bytes, verify_at)
    };
    // The clock of gpg is the real one.
    let now = chrono::Utc::now().timestamp();
    let alice = commit(&sandbox, "HEAD");
    assert_eq!(said(&check(&keyring, &alice, now)), "good");
    assert_eq!(said(&check(&keyring, &alice, now - 86_400)), "signer-expired");
    let changed = (alice.0.clone(), [&alice.1[..], b"x"].concat());
    assert_eq!(said(&check(&keyring, &changed, now)), "signature-bad");

    configure(&sandbox, &[("user.signingkey", "bob@example.com")]);
    keyring.audit(&sandbox, &["record", "--task-id", "one", "--status", "completed"]).exits(0);
    let found = finding(check(&keyring, &commit(&sandbox, "HEAD"), now));
    assert_eq!((found.code, found.actual), (Code::AuthorDiffers, Some("bob@example.com".into())));

    // A key that is over by now was valid then, and is not any more after that.
    let sign = "#!/bin/sh\nexec gpg --faked-system-time 20250601T000000 \"$@\"\n";
    let program = sandbox.input("gpg-of-2025", sign);
    run(sandbox.command("chmod").args(["+x", &program])).exits(0);
    let carol = [
        ("user.email", "carol@example.com"),
        ("user.signingkey", "carol@example.com"),
        ("gpg.program", &program),
    ];
    configure(&sandbox, &carol);
    keyring.audit(&sandbox, &["record", "--task-id", "two", "--status", "completed"]).exits(0);
    configure(&sandbox, &[("gpg.program", "gpg")]);
    let carol = commit(&sandbox, "HEAD");
    let (june_2025, june_2026) = (1_748_736_000, 1_780_272_000);
    assert_eq!(said(&check(&keyring, &carol, june_2025)), "good");
    assert_eq!(said(&check(&keyring, &carol, june_2026)), "signer-expired");

    // Somebody else's keyring, and a key that its owner has disowned.
    let empty = crate::signing::keyring(&sandbox, &[]);
    assert_eq!(said(&check(&empty, &alice, now)), "signer-unknown");
    let listing = keyring.gpg(&sandbox, &["--batch", "--with-colons", "--list-keys", "alice@example.com"]);
    let fingerprint = listing.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
    let certificate =
        keyring.home.path().join(format!("openpgp-revocs.d/{}.rev", fingerprint.trim_end_matches(':')));
    let certificate = fs::read_to_string(certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let certificate = sandbox.input("revocation", certificate);
    keyring.gpg(&sandbox, &["--batch", "--quiet", "--import", &certificate]);
    assert_eq!(said(&check(&keyring, &alice, now)), "signer-expired");
    configure(&sandbox, &[("gpg.program", "/no/such/gpg")]);
    assert_eq!(said(&check(&keyring, &alice, now)), "signature-unchecked");
}

#[test]
fn sha_256_commits_are_checked_by_their_own_header() {
    if !has("ssh-keygen") {
        return;
    }
    let sandbox = Sandbox::empty();
    sandbox.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main"]);
    let key = ssh_key(&sandbox, "alice");
    sign_as(&sandbox, "alice", &key);
    allow(&sandbox, &format!("alice@example.com {}\n", public_key(&key)));
    configure(&sandbox, &[("audit.sign", "required")]);
    sandbox.audit(&["init"]).exits(0);
    let (id, bytes) = commit(&sandbox, "HEAD");
    assert_eq!(said(&signatures(&sandbox).check(&id, &bytes, THEN)), "good");
    let other = String::from_utf8(bytes).unwrap().replacen("gpgsig-sha256", "gpgsig", 1);
    assert_eq!(said(&signatures(&sandbox).check(&id, other.as_bytes(), THEN)), "signature-bad");
}
