//! SSH signatures, by `ssh-keygen`. A good one takes one run; only one that is not good is asked about further, until it
//! is known why.
//!
//! Every question is one that the exit code answers.

use chrono::DateTime;

use super::allowed::{ALLOWED, ALLOWED_AT_ANY_TIME, REVOKED, Signers};
use super::signed::Signed;
use super::{Files, Judgement, LIMIT, shown};
use crate::ledger::signing::{Ran, SigningTools, run};
use crate::verify::report::Code;

/// A key may have many names; so many are tried.
const MAX_PRINCIPALS: usize = 16;
/// What programs say that know less than is asked of them.
const TOO_OLD: [&str; 3] = ["verify-time", "usage:", "unknown option"];

/// One signature, and all that is asked about it.
struct Asking<'s> {
    tools: &'s SigningTools,
    signers: &'s Signers,
    files: &'s Files,
    signature: &'s std::path::Path,
    payload: &'s [u8],
    /// `-Overify-time=…`
    at: String,
}

/// Whose keys are looked at.
#[derive(Clone, Copy)]
enum Revoked {
    DoNotCount,
    Count,
}

pub(super) fn judge(
    tools: &SigningTools,
    signers: &Signers,
    files: &Files,
    signed: &Signed,
    verify_at: i64,
) -> Judgement {
    let time = DateTime::from_timestamp(verify_at, 0).unwrap_or_default();
    // Without a zone it is local time, which the programs are told is UTC: that is understood by all versions.
    let at = format!("-Overify-time={}", time.format("%Y%m%d%H%M%S"));
    let judged = files.with(&signed.signature, |signature| {
        let payload = signed.payload.as_slice();
        Asking { tools, signers, files, signature, payload, at }.judge(signed.author.as_deref(), verify_at)
    });
    judged.and_then(|judged| judged).unwrap_or_else(|unchecked| unchecked)
}

impl Asking<'_> {
    /// `Err` has why it could not be checked.
    fn judge(&self, author: Option<&str>, verify_at: i64) -> Result<Judgement, Judgement> {
        let trouble = self.signers.trouble();
        if let (Some(author), None) = (author, &trouble)
            && self.verify(author, ALLOWED, Revoked::DoNotCount)?
        {
            return Ok(Judgement::Good { principal: author.to_owned() });
        }
        let Some(key) = self.fits()? else {
            let why = "the signature is not of this commit, or not a signature of git's";
            return Ok(Judgement::against(Code::SignatureBad, why));
        };
        if let Some(why) = trouble {
            return Ok(Judgement::against(Code::SignatureUnchecked, why));
        }
        let origin = self.signers.origin();
        let against = |code, why| Ok(Judgement::against(code, why));
        if let Some(other) = self.who(ALLOWED, Revoked::DoNotCount)? {
            let author = author.unwrap_or("nobody");
            let why = format!("the author is {author}, and it is signed with the key {key} of {other}");
            return Ok(Judgement::Against { code: Code::AuthorDiffers, why, signer: Some(other) });
        }
        if let Some(owner) = self.who(ALLOWED, Revoked::Count)? {
            return against(Code::SignerExpired, format!("the key {key} of {owner} is revoked"));
        }
        if let Some(owner) = self.who(ALLOWED_AT_ANY_TIME, Revoked::Count)? {
            let then = shown(verify_at);
            let why = format!("the key {key} of {owner} was not valid at {then}, by {origin}");
            return against(Code::SignerExpired, why);
        }
        against(Code::SignerUnknown, format!("the key {key} is not one that may sign, by {origin}"))
    }

    /// Whether the key may sign as `principal`, and the signature fits.
    fn verify(&self, principal: &str, allowed: &str, revoked: Revoked) -> Result<bool, Judgement> {
        let path = |name: &str| self.files.scratch.path(name).into_os_string();
        let mut arguments =
            vec!["-f".into(), path(allowed), "-I".into(), principal.into(), self.at.clone().into()];
        if let (Revoked::DoNotCount, Some(_)) = (revoked, self.signers.revoked()) {
            arguments.extend(["-r".into(), path(REVOKED)]);
        }
        Ok(self.ask("verify", &arguments, true)?.succeeded)
    }

    /// The fingerprint of the key, if the signature fits, whoever's it is.
    fn fits(&self) -> Result<Option<String>, Judgement> {
        let ran = self.ask("check-novalidate", &[], true)?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let key = said.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap_or_default();
        Ok(ran.succeeded.then(|| key.to_owned()))
    }

    /// Somebody as whom the key may sign.
    fn who(&self, allowed: &str, revoked: Revoked) -> Result<Option<String>, Judgement> {
        let file = ["-f".into(), self.files.scratch.path(allowed).into_os_string(), self.at.clone().into()];
        let ran = self.ask("find-principals", &file, false)?;
        if !ran.succeeded {
            return Ok(None);
        }
        for principal in String::from_utf8_lossy(&ran.stdout).lines().take(MAX_PRINCIPALS) {
            if self.verify(principal, allowed, revoked)? {
                return Ok(Some(principal.to_owned()));
            }
        }
        Ok(None)
    }

    fn ask(&self, what: &str, arguments: &[std::ffi::OsString], has_payload: bool) -> Result<Ran, Judgement> {
        let mut command = self.tools.ssh();
        command.args(["-Y", what]).args(arguments).arg("-s").arg(self.signature);
        command.args(has_payload.then_some(["-n", "git"]).into_iter().flatten());
        let program = self.tools.ssh_program();
        let input = if has_payload { self.payload } else { &[] };
        let ran =
            run(&mut command, input, LIMIT).map_err(|failure| Judgement::not_run(&program, &failure))?;
        let said = String::from_utf8_lossy(&ran.stderr);
        if !ran.succeeded && TOO_OLD.iter().any(|words| said.contains(words)) {
            let why = format!("`{program}` is too old: OpenSSH 8.8 or later is needed");
            return Err(Judgement::against(Code::SignatureUnchecked, why));
        }
        Ok(ran)
    }
}
