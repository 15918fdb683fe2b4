//! The guard, where commits have to be signed: by the server's configuration, or by the ledger's policy.

use std::fs;

use crate::guard::Server;
use crate::sandbox::Sandbox;
use crate::signing::{configure, has, public_key, sign_as, signing_ledger, ssh_key};

const CONFIG: &str = ".audit/config.toml";
const SIGNERS: &str = ".audit/allowed_signers";

/// A signed ledger whose own policy wants that, on a server that knows nothing of signatures. Alice's key is allowed.
fn by_policy() -> (Server, String) {
    let (sandbox, key) = signing_ledger();
    let config = fs::read_to_string(sandbox.path(CONFIG)).unwrap();
    sandbox.write(CONFIG, format!("{config}\n[signing]\npolicy = \"required\"\n"));
    sandbox.write(SIGNERS, format!("alice@example.com {}\n", public_key(&key)));
    sandbox.git(&["add", "."]);
    sandbox.git(&["commit", "--quiet", "-S", "-m", "who may sign"]);
    (Server::of(sandbox), key)
}

#[test]
fn the_policy_of_the_ledger_holds_for_every_push() {
    if !has("ssh-keygen") {
        return;
    }
    let (server, alice) = by_policy();
    let ledger = &server.sandbox;
    ledger.record("c", &[]);
    server.push(&["main"]).exits(0);
    // Unsigned.
    ledger.write(SIGNERS, "");
    server.commit_all();
    server.refuses(&["main"], "signature-missing");
    server.reset();
    // By somebody else, under her own name and under that of another.
    let mallory = ssh_key(ledger, "mallory");
    for name in ["mallory", "alice"] {
        sign_as(ledger, name, &mallory);
        ledger.record(name, &[]);
        server.refuses(&["main"], "signer-unknown");
        server.reset();
    }
    // A push does not let its own signers in, nor does it loosen the policy for what follows in it.
    ledger.write(SIGNERS, format!("mallory@example.com {}\n", public_key(&mallory)));
    ledger.git(&["commit", "--quiet", "--all", "-S", "-m", "me"]);
    server.refuses(&["main"], "signer-unknown");
    server.reset();
    sign_as(ledger, "alice", &alice);
    let config = fs::read_to_string(ledger.path(CONFIG)).unwrap();
    ledger.write(CONFIG, config.replace("required", "off"));
    ledger.git(&["commit", "--quiet", "--all", "-S", "-m", "off"]);
    configure(ledger, &[("audit.sign", "off")]);
    ledger.record("d", &[]);
    server.refuses(&["main"], "signature-missing");
    server.push(&["main~1:main"]).exits(0);
    server.push(&["main"]).exits(0);
}

#[test]
fn a_policy_that_nobody_could_follow_is_refused() {
    let server = Server::of(Sandbox::with_ledger());
    server.sandbox.write(CONFIG, "[signing]\npolicy = \"sometimes\"\n");
    server.commit_all();
    server.refuses(&["main"], "policy");
}

#[test]
fn what_the_server_asks_for_is_judged_by_the_signers_that_it_knows() {
    if !has("ssh-keygen") {
        return;
    }
    let server = Server::of(Sandbox::with_ledger());
    let ledger = &server.sandbox;
    server.git(&["config", "audit.sign", "required"]);
    ledger.record("c", &[]);
    server.refuses(&["main"], "signature-missing");
    server.reset();
    let key = ssh_key(ledger, "alice");
    sign_as(ledger, "alice", &key);
    configure(ledger, &[("audit.sign", "required")]);
    ledger.record("c", &[]);
    server.refuses(&["main"], "signature-unchecked").says("nothing says who may sign");
    let signers = ledger.input("of-the-server", format!("alice@example.com {}\n", public_key(&key)));
    server.git(&["config", "gpg.ssh.allowedSignersFile", &signers]);
    server.push(&["main"]).exits(0);
    server.git(&["config", "audit.sign", "sometimes"]);
    ledger.record("d", &[]);
    server.refuses(&["main"], "usage");
    server.git(&["config", "audit.sign", "off"]);
    server.push(&["main"]).exits(0);
}

#[test]
fn code_beside_a_signed_ledger_need_not_be_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let server = Server::of(Sandbox::on_main());
    server.git(&["config", "audit.sign", "required"]);
    server.sandbox.write("src/main.c", "int main(void) { return 1; }\n");
    server.commit_all();
    server.push(&["main"]).exits(0);
}
