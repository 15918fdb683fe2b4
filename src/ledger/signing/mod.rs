//! Signing commits, by the programs and the key that git's configuration names.
//!
//! - [`policy`]: whether commits must be signed · [`key`]: by which key · [`tools`]: the programs, and what they may see
//! - [`program`]: running one, until a deadline · [`scratch`]: a directory of our own for what they read and write
//!
//! Invariants: a commit that has to be signed and cannot be is not made; a program gets a pinned environment, reads
//! nothing of ours from standard input but what is signed, and cannot hang us; `index.lock` is not held meanwhile.

use std::cell::OnceCell;
use std::time::Duration;

use git2::ObjectFormat;

use super::commit;
use super::gate::Gate;
use super::{Ledger, state_directory};
use crate::entry::text::{truncate, visible};
use crate::error::{Error, Result};

mod key;
mod policy;
mod program;
mod scratch;
mod tools;

pub(super) use policy::SigningPolicy;
pub use policy::is_required_by;
pub use program::{Failure, Ran, run};
pub use scratch::Scratch;
pub use tools::{SigningTools, SigningVariables};

use key::SshKey;
use tools::Format;

/// A larger one is refused, here and by whoever checks it.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;
/// A person may have to type a passphrase, however short the caller would wait for other writers.
const AT_LEAST: Duration = Duration::from_secs(10);
/// So much of what a program says is told.
const MAX_TOLD_LINES: usize = 3;
const MAX_TOLD_BYTES: usize = 400;

/// Signs the commits of one pass.
pub(super) struct Signer {
    tools: SigningTools,
    format: Format,
    /// The header that holds the signature.
    header: &'static str,
    limit: Duration,
    prepared: OnceCell<Prepared>,
}

/// What is needed for the first commit, and serves for all.
struct Prepared {
    scratch: Scratch,
    ssh_key: Option<SshKey>,
}

impl Ledger {
    /// The programs that make and check signatures, as git's configuration names them.
    pub fn signing_tools(&self) -> SigningTools {
        let top = self.repository.workdir().unwrap_or_else(|| self.repository.commondir());
        SigningTools::of(&self.settings, &self.place, top, &self.state_directory())
    }

    /// Whether git's configuration wants commits to be signed: `audit.sign`. The ledger's own policy may want it, too.
    ///
    /// # Errors
    /// `audit.sign` is no word that is known.
    pub fn is_signing_configured(&self) -> Result<bool> {
        policy::is_configured(&self.settings)
    }

    /// Who signs under a ledger's policy; `None` where nobody has to. The stricter one of that and `audit.sign` wins.
    pub(super) fn signer(&self, policy: SigningPolicy) -> Result<Option<Signer>> {
        if !self.is_signing_configured()? && !policy.is_required() {
            return Ok(None);
        }
        let tools = self.signing_tools();
        let header = match self.repository.object_format() {
            ObjectFormat::Sha1 => "gpgsig",
            ObjectFormat::Sha256 => "gpgsig-sha256",
        };
        let format = tools.format()?;
        let limit = self.signing_limit.get().max(AT_LEAST);
        Ok(Some(Signer { tools, format, header, limit, prepared: OnceCell::new() }))
    }
}

impl Gate {
    /// The programs that check signatures, as the configuration of this repository names them.
    pub fn signing_tools(&self) -> SigningTools {
        let top = self.repository.commondir();
        SigningTools::of(&self.settings, &self.place, top, &state_directory(&self.repository))
    }

    /// Whether the configuration of this repository wants commits to be signed.
    ///
    /// # Errors
    /// `audit.sign` is no word that is known.
    pub fn is_signing_configured(&self) -> Result<bool> {
        policy::is_configured(&self.settings)
    }
}

impl Signer {
    /// The commit, signed. `committer` is `Name <email>`: who signs where no key is configured for OpenPGP.
    ///
    /// # Errors
    /// [`Error::Signing`]: whatever the reason, there is no signature.
    pub fn signed(&self, commit: &[u8], committer: &str) -> Result<Vec<u8>> {
        let prepared = match self.prepared.get() {
            Some(prepared) => prepared,
            None => {
                let prepared = self.prepare()?;
                self.prepared.get_or_init(|| prepared)
            }
        };
        let signature = match &prepared.ssh_key {
            Some(key) => self.by_ssh(commit, &prepared.scratch, key),
            None => self.by_openpgp(commit, committer),
        }?;
        Ok(commit::with_signature(commit, self.header, &signature))
    }

    fn prepare(&self) -> Result<Prepared> {
        let scratch =
            self.tools.scratch().map_err(|error| Error::io("make a directory to sign in", error))?;
        let ssh_key = match self.format {
            Format::Ssh => Some(SshKey::find(&self.tools, &scratch, self.limit)?),
            Format::OpenPgp => None,
        };
        Ok(Prepared { scratch, ssh_key })
    }

    fn by_ssh(&self, commit: &[u8], scratch: &Scratch, key: &SshKey) -> Result<String> {
        let failed = |error| Error::io("write what is signed", error);
        let payload = scratch.write("commit", commit).map_err(failed)?;
        let signature = scratch.path("commit.sig");
        scratch.remove("commit.sig");
        let mut command = self.tools.ssh();
        command.args(["-Y", "sign", "-n", "git", "-f"]).arg(&key.file);
        // Of a literal key there is no private half in any file.
        command.args(key.is_literal.then_some("-U")).arg(&payload);
        let name = self.tools.ssh_program();
        let ran =
            run(&mut command, b"", self.limit).map_err(|failure| not_run(&name, &failure, SSH_PROGRAM))?;
        let made = if ran.succeeded { std::fs::read(&signature).unwrap_or_default() } else { Vec::new() };
        armoured(made).ok_or_else(|| refused(&name, &ran, SSH_WAY_OUT))
    }

    fn by_openpgp(&self, commit: &[u8], committer: &str) -> Result<String> {
        let mut command = self.tools.openpgp();
        command.args(["--status-fd=2", "-bsau", self.tools.signing_key().unwrap_or(committer)]);
        let name = self.tools.openpgp_program();
        let ran = run(&mut command, commit, self.limit);
        let ran = ran.map_err(|failure| not_run(&name, &failure, OPENPGP_PROGRAM))?;
        let said_so = String::from_utf8_lossy(&ran.stderr).lines().any(|line| line.starts_with(SIG_CREATED));
        let made = if ran.succeeded && said_so { ran.stdout.clone() } else { Vec::new() };
        armoured(made).ok_or_else(|| refused(&name, &ran, OPENPGP_WAY_OUT))
    }
}

/// What gpg says on its status channel when there is a signature: its exit code alone does not mean it.
const SIG_CREATED: &str = "[GNUPG:] SIG_CREATED ";

const SSH_PROGRAM: &str =
    "install OpenSSH 8.2 or later, or name its program with `git config gpg.ssh.program PATH`";
const OPENPGP_PROGRAM: &str = "install GnuPG, or name its program with `git config gpg.program PATH`; for an SSH key, run `git config gpg.format ssh`";
const SSH_WAY_OUT: &str = "run `git config user.signingkey` to see the key, and `ssh-add -l` to see what the agent has; then record again";
const OPENPGP_WAY_OUT: &str = "run `gpg --list-secret-keys` to see the keys, and choose one with `git config user.signingkey KEY`; then record again";

/// The program was not there, or did not come to an end.
fn not_run(name: &str, failure: &Failure, way_out: &str) -> Error {
    match failure {
        Failure::NotStarted(source) => {
            Error::signing(format!("`{}` cannot be run: {source}", visible(name)), way_out)
        }
        Failure::TimedOut(limit) => Error::signing(
            format!("`{}` did not sign within {:.0} s", visible(name), limit.as_secs_f64()),
            "if it asked for a passphrase, have an agent hold the key (`ssh-add`, `gpg-agent`); \
             to wait longer, add `--timeout SECONDS`",
        ),
    }
}

/// The program ended without a signature.
fn refused(name: &str, ran: &Ran, way_out: &str) -> Error {
    let said = String::from_utf8_lossy(&ran.stderr);
    // Not what tells how it goes, but what went wrong.
    let chatter = ["[GNUPG:]", "Signing file ", "Write signature to "];
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> = lines
        .filter(|line| !chatter.iter().any(|start| line.starts_with(start)))
        .take(MAX_TOLD_LINES)
        .map(visible)
        .collect();
    let told = if told.is_empty() { "it gave no signature".to_owned() } else { told.join("; ") };
    Error::signing(format!("`{}` did not sign: {}", visible(name), truncate(&told, MAX_TOLD_BYTES)), way_out)
}

/// The text of a signature, if it is one: between its two lines, and of lines that a header of a commit can hold.
fn armoured(bytes: Vec<u8>) -> Option<String> {
    // Some builds end lines as Windows does.
    let text = String::from_utf8(bytes).ok()?.replace("\r\n", "\n");
    let whole = text.starts_with("-----BEGIN ") && text.trim_end().ends_with("-----");
    (whole && text.len() <= MAX_SIGNATURE_BYTES && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_armour_is_a_signature() {
        let sound = "-----BEGIN SSH SIGNATURE-----\r\nAAAA\r\n-----END SSH SIGNATURE-----\r\n";
        assert_eq!(armoured(sound.into()).unwrap(), sound.replace('\r', ""));
        let huge = format!("-----BEGIN X-----\n{}-----END X-----\n", "A\n".repeat(MAX_SIGNATURE_BYTES));
        for unsound in ["", "AAAA", "-----BEGIN SSH SIGNATURE-----\nAAAA\n", &huge, "-----BEGIN \0-----"] {
            assert_eq!(armoured(unsound.into()), None);
        }
    }

    #[test]
    fn what_a_program_says_is_told_on_one_line_without_its_chatter() {
        let stderr =
            b"Signing file /x\n[GNUPG:] FAILURE sign 17\n\ngpg: \x1b[31mno key\ngpg: failed\n".to_vec();
        let ran = Ran { succeeded: false, stdout: Vec::new(), stderr };
        let told = refused("gpg", &ran, OPENPGP_WAY_OUT).to_string();
        assert_eq!(told, "`gpg` did not sign: gpg: \\u001b[31mno key; gpg: failed; nothing was recorded");
    }
}
