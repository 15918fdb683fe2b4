//! OpenPGP signatures, by `gpg`, which is told to speak for programs. Whoever is in its keyring may sign, as far as the
//! user trusts them.
//!
//! gpg judges by the time now. Whether a key was valid *then* follows from the times that it tells.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use super::signed::Signed;
use super::{Files, Judgement, LIMIT, shown};
use crate::entry::text::visible;
use crate::ledger::signing::{SigningTools, run};
use crate::verify::report::Code;

/// Clocks differ: a key may be this much younger than what it signed.
const CLOCKS_DIFFER_SECONDS: i64 = 300;
/// The files of a keyring, as far as they bear on who may sign.
const KEYRING: [&str; 5] =
    ["pubring.kbx", "pubring.gpg", "public-keys.d/pubring.db", "trustdb.gpg", "gpg.conf"];
/// How far gpg trusts a key, in git's order.
const LEVELS: [&str; 5] = ["undefined", "never", "marginal", "fully", "ultimate"];
const NEVER: usize = 1;
const MARGINAL: usize = 2;
/// The class of a signature over bytes as they are. Over text, line ends would not count.
const OF_BYTES: &str = "00";
/// gpg's reason for not checking, where it does not have the key.
const NO_KEY: &str = "9";

/// What gpg knows of keys, by fingerprint.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<String, Key>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Key {
    created: i64,
    /// Addresses, and how far it is sure that they are the owner's. `None`: it does not say of an expired key.
    addresses: Vec<(String, Option<usize>)>,
}

/// What tells one state of the keyring from the next.
pub(super) fn state_of_keyring(tools: &SigningTools) -> String {
    let level = tools.min_trust_level().unwrap_or_default().to_owned();
    let home = tools.keyring();
    let files = home.iter().flat_map(|home| KEYRING.map(|name| home.join(name)));
    files.fold(level, |mut state, file| {
        let found =
            fs::metadata(&file).map(|found| (found.len(), found.mtime(), found.mtime_nsec(), found.ino()));
        state.push_str(&format!("\n{} {:?}", file.display(), found.ok()));
        state
    })
}

pub(super) fn judge(
    tools: &SigningTools,
    keys: &Keys,
    files: &Files,
    signed: &Signed,
    verify_at: i64,
) -> Judgement {
    let program = tools.openpgp_program();
    let ran = files.with(&signed.signature, |signature| {
        let mut command = tools.openpgp();
        // Nothing is fetched: what it says must not depend on who answers.
        command.args([
            "--batch",
            "--no-tty",
            "--no-auto-key-retrieve",
            "--keyid-format=long",
            "--status-fd=1",
        ]);
        run(command.arg("--verify").arg(signature).arg("-"), &signed.payload, LIMIT)
    });
    let ran = match ran {
        Ok(Ok(ran)) => ran,
        Ok(Err(failure)) => return Judgement::not_run(&program, &failure),
        Err(unchecked) => return unchecked,
    };
    let Some(level) = LEVELS.iter().position(|level| *level == tools.min_trust_level().unwrap_or(LEVELS[0]))
    else {
        return Judgement::against(Code::SignatureUnchecked, "gpg.minTrustLevel is none that git knows");
    };
    let status = String::from_utf8_lossy(&ran.stdout);
    let found = match Status::read(&status) {
        Ok(found) => found,
        Err(Some(judgement)) => return judgement,
        Err(None) => {
            let said = String::from_utf8_lossy(&ran.stderr);
            let said = visible(crate::entry::text::first_line(&said));
            return Judgement::against(Code::SignatureUnchecked, format!("`{program}` does not say: {said}"));
        }
    };
    let key = match keys.find(tools, found.fingerprint) {
        Ok(key) => key,
        Err(unchecked) => return unchecked,
    };
    found.judge(&key, signed.author.as_deref(), level, verify_at)
}

/// A signature that fits, as gpg tells of it.
struct Status<'s> {
    /// `GOODSIG`, `EXPSIG`, `EXPKEYSIG`, `REVKEYSIG`
    verdict: &'s str,
    owner: String,
    fingerprint: &'s str,
    /// When the signature says that it was made.
    made: i64,
    /// When it ends; 0 where it does not.
    ends: i64,
    /// When a key that it is by ended, as far as that has happened.
    key_ended: Option<i64>,
    trust: Option<usize>,
}

impl<'s> Status<'s> {
    /// `Err`: it does not fit, or cannot be checked; `None` there where gpg says neither.
    fn read(text: &'s str) -> Result<Self, Option<Judgement>> {
        let lines: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
            .collect();
        let rest_of = |name: &str| lines.iter().find(|(found, _)| *found == name).map(|(_, rest)| *rest);
        let is_verdict = |name: &str| {
            matches!(name, "GOODSIG" | "EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" | "BADSIG" | "ERRSIG")
        };
        let verdicts: Vec<_> = lines.iter().filter(|(name, _)| is_verdict(name)).collect();
        let bad = |why: &str| Some(Judgement::against(Code::SignatureBad, why));
        let [(verdict, rest)] = verdicts.as_slice() else {
            return Err(match verdicts.len() {
                0 if rest_of("NODATA").is_none() => None,
                0 => bad("gpg finds no signature in it"),
                _ => bad("it has several signatures; a commit has one"),
            });
        };
        let (key_id, owner) = rest.split_once(' ').unwrap_or((rest, ""));
        match *verdict {
            "BADSIG" => return Err(bad("the signature is not of this commit")),
            "ERRSIG" if rest.split(' ').nth(5) == Some(NO_KEY) => {
                let why = format!("the key {} is not in gpg's keyring", visible(key_id));
                return Err(Some(Judgement::against(Code::SignerUnknown, why)));
            }
            "ERRSIG" => {
                let why = "gpg cannot check a signature of this kind".to_owned();
                return Err(Some(Judgement::against(Code::SignatureUnchecked, why)));
            }
            _ => {}
        }
        let fields: Vec<_> = rest_of("VALIDSIG").unwrap_or_default().split(' ').collect();
        let [fingerprint, _, made, ends, .., class, _] = fields.as_slice() else {
            return Err(bad("gpg does not call it valid"));
        };
        if *class != OF_BYTES {
            return Err(bad("the signature is of text, or of something else than bytes"));
        }
        let ended =
            lines.iter().filter(|(name, _)| *name == "KEYEXPIRED").filter_map(|(_, time)| seconds(time));
        let trust = lines.iter().find_map(|(name, _)| name.strip_prefix("TRUST_"));
        let trust = trust.and_then(|trust| LEVELS.iter().position(|level| level.eq_ignore_ascii_case(trust)));
        Ok(Self {
            verdict,
            owner: visible(owner),
            fingerprint,
            made: seconds(made).unwrap_or(i64::MAX),
            ends: seconds(ends).unwrap_or(i64::MIN),
            key_ended: ended.min(),
            trust,
        })
    }

    fn judge(&self, key: &Key, author: Option<&str>, level: usize, verify_at: i64) -> Judgement {
        let Self { verdict, owner, fingerprint, .. } = self;
        let expired = |why: String| Judgement::against(Code::SignerExpired, why);
        let unknown = |why: String| Judgement::against(Code::SignerUnknown, why);
        let key_is_over = *verdict == "EXPKEYSIG";
        if *verdict == "REVKEYSIG" {
            return expired(format!("the key {fingerprint} of {owner} is revoked"));
        }
        if key_is_over && self.key_ended.is_none_or(|ended| ended <= verify_at || ended <= self.made) {
            let ended = self.key_ended.map_or_else(|| "at some time".into(), shown);
            return expired(format!("the key {fingerprint} of {owner} ended {ended}"));
        }
        if *verdict == "EXPSIG" && self.ends <= verify_at {
            return expired(format!("the signature of {owner} ended {}", shown(self.ends)));
        }
        if key.created > verify_at.saturating_add(CLOCKS_DIFFER_SECONDS) {
            let (made, at) = (shown(key.created), shown(verify_at));
            return expired(format!("the key {fingerprint} of {owner} was made {made}, and this is of {at}"));
        }
        match self.trust {
            Some(NEVER) => {
                return unknown(format!("gpg is told never to trust the key {fingerprint} of {owner}"));
            }
            // It says nothing of a key that is over by now.
            None if key_is_over && level > 0 => {
                let why =
                    format!("gpg does not say how far it trusts the key {fingerprint}, which is over by now");
                return Judgement::against(Code::SignatureUnchecked, why);
            }
            trust if trust.unwrap_or(0) < level => {
                let wanted = LEVELS[level];
                return unknown(format!("gpg trusts the key {fingerprint} of {owner} less than `{wanted}`"));
            }
            _ => {}
        }
        // Anybody can put any address into their own key: where gpg knows whose it is, that counts.
        let needed = if self.trust >= Some(MARGINAL) { level.max(MARGINAL) } else { level };
        let is_sure = |sure: Option<usize>| sure.map_or(key_is_over, |sure| sure >= needed);
        let mut addresses =
            key.addresses.iter().filter(|(_, sure)| is_sure(*sure)).map(|(address, _)| address);
        match author.and_then(|author| addresses.clone().find(|address| address.eq_ignore_ascii_case(author)))
        {
            Some(_) => Judgement::Good { principal: author.unwrap_or_default().to_owned() },
            None => {
                let author = author.unwrap_or("nobody");
                let why =
                    format!("the author is {author}, and it is signed with the key {fingerprint} of {owner}");
                let signer = addresses.next().unwrap_or(owner).to_owned();
                Judgement::Against { code: Code::AuthorDiffers, why, signer: Some(signer) }
            }
        }
    }
}

impl Keys {
    fn find(&self, tools: &SigningTools, fingerprint: &str) -> Result<Key, Judgement> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(fingerprint) {
            return Ok(key.clone());
        }
        let mut command = tools.openpgp();
        command.args(["--batch", "--no-tty", "--no-auto-key-retrieve", "--with-colons", "--list-keys", "--"]);
        let ran = run(command.arg(fingerprint), b"", LIMIT);
        let ran = ran.map_err(|failure| Judgement::not_run(&tools.openpgp_program(), &failure))?;
        let key = Key::read(&String::from_utf8_lossy(&ran.stdout), fingerprint).ok_or_else(|| {
            Judgement::against(
                Code::SignatureUnchecked,
                format!("gpg does not tell of the key {fingerprint}"),
            )
        })?;
        known.insert(fingerprint.to_owned(), key.clone());
        Ok(key)
    }
}

impl Key {
    /// From gpg's listing with colons: the key with this fingerprint, primary or not, and the addresses of its owner.
    fn read(listing: &str, fingerprint: &str) -> Option<Self> {
        let mut key = Self::default();
        let (mut created, mut is_there) = (0, false);
        for line in listing.lines() {
            let fields: Vec<_> = line.split(':').collect();
            match fields.as_slice() {
                ["pub" | "sub", _, _, _, _, time, ..] => created = seconds(time).unwrap_or(i64::MAX),
                ["fpr", _, _, _, _, _, _, _, _, found, ..] if *found == fingerprint => {
                    (key.created, is_there) = (created, true);
                }
                ["uid", sure, _, _, _, _, _, _, _, name, ..] => {
                    let sure = match *sure {
                        "r" | "i" | "n" => continue,
                        "e" => None,
                        "m" => Some(2),
                        "f" => Some(3),
                        "u" => Some(4),
                        _ => Some(0),
                    };
                    key.addresses.push((address(&unescaped(name)), sure));
                }
                _ => {}
            }
        }
        is_there.then_some(key)
    }
}

/// Seconds since 1970, which gpg may write as a date.
fn seconds(time: &str) -> Option<i64> {
    let by_date =
        || NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%S").ok().map(|time| time.and_utc().timestamp());
    time.parse().ok().or_else(by_date)
}

/// The address in `Name <address>`.
fn address(name: &str) -> String {
    let inside = name.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(inside, _)| inside);
    inside.unwrap_or(name).to_owned()
}

/// A field of a listing, in which some characters are written as `\x3a`.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 4FF3 B <b@x>\n\
        [GNUPG:] VALIDSIG FPR 2026-11-21 1000 0 4 0 22 8 00 FPR\n[GNUPG:] TRUST_ULTIMATE 0 pgp\n";

    fn key(created: i64) -> Key {
        Key { created, addresses: vec![("b@x".into(), Some(4)), ("claimed@x".into(), Some(0))] }
    }

    /// What is said of a signature: the code, or the address.
    fn said(status: &str, author: &str, level: usize, verify_at: i64) -> String {
        let judgement = match Status::read(status) {
            Ok(status) => status.judge(&key(500), Some(author), level, verify_at),
            Err(Some(judgement)) => judgement,
            Err(None) => return "nothing".into(),
        };
        match judgement {
            Judgement::Good { principal } => principal,
            Judgement::Against { code, .. } => code.as_str().into(),
        }
    }

    #[test]
    fn a_signature_is_judged_by_the_time_of_the_commit() {
        assert_eq!(said(GOOD, "B@x", 0, 1000), "B@x");
        assert_eq!(said(GOOD, "b@x", 0, 100), "signer-expired");
        let over = GOOD.replace("GOODSIG", "EXPKEYSIG").replace("TRUST_ULTIMATE 0 pgp", "KEYEXPIRED 2000");
        assert_eq!(said(&over, "b@x", 0, 1999), "b@x");
        assert_eq!(said(&over, "b@x", 0, 2000), "signer-expired");
        assert_eq!(said(&over.replace("KEYEXPIRED 2000", "X"), "b@x", 0, 1000), "signer-expired");
        assert_eq!(said(&over.replace(" 1000 0 ", " 2001 0 "), "b@x", 0, 1000), "signer-expired");
        assert_eq!(said(&over, "b@x", 3, 1000), "signature-unchecked");
        assert_eq!(said(&GOOD.replace("GOODSIG", "REVKEYSIG"), "b@x", 0, 1000), "signer-expired");
        let ended = GOOD.replace("GOODSIG", "EXPSIG").replace(" 1000 0 ", " 1000 1500 ");
        assert_eq!(
            (said(&ended, "b@x", 0, 1499), said(&ended, "b@x", 0, 1500)),
            ("b@x".into(), "signer-expired".into())
        );
    }

    #[test]
    fn trust_and_addresses_decide_who_it_is() {
        assert_eq!(said(GOOD, "ceo@x", 0, 1000), "author-differs");
        // The owner says so, and nobody else.
        assert_eq!(said(GOOD, "claimed@x", 0, 1000), "author-differs");
        let unknown = GOOD.replace("ULTIMATE", "UNDEFINED");
        assert_eq!(
            (said(&unknown, "claimed@x", 0, 1000), said(&unknown, "b@x", 2, 1000)),
            ("claimed@x".into(), "signer-unknown".into())
        );
        assert_eq!(said(&GOOD.replace("ULTIMATE", "NEVER"), "b@x", 0, 1000), "signer-unknown");
        assert_eq!(said(&GOOD.replace("ULTIMATE", "MARGINAL"), "b@x", 3, 1000), "signer-unknown");
    }

    #[test]
    fn what_is_not_one_good_signature_over_bytes_is_none() {
        assert_eq!(said(&format!("{GOOD}{GOOD}"), "b@x", 0, 1000), "signature-bad");
        assert_eq!(said(&GOOD.replace(" 00 ", " 01 "), "b@x", 0, 1000), "signature-bad");
        assert_eq!(said("[GNUPG:] GOODSIG 4FF3 B <b@x>\n", "b@x", 0, 1000), "signature-bad");
        assert_eq!(said("[GNUPG:] BADSIG 4FF3 B <b@x>\n", "b@x", 0, 1000), "signature-bad");
        assert_eq!(said("[GNUPG:] NODATA 1\n", "b@x", 0, 1000), "signature-bad");
        assert_eq!(said("[GNUPG:] ERRSIG 4FF3 22 8 00 1000 9 FPR\n", "b@x", 0, 1000), "signer-unknown");
        assert_eq!(said("[GNUPG:] ERRSIG 4FF3 22 8 00 1000 4 FPR\n", "b@x", 0, 1000), "signature-unchecked");
        assert_eq!(said("", "b@x", 0, 1000), "nothing");
        // It is the program that speaks, not a name.
        assert_eq!(said("gpg: [GNUPG:] GOODSIG 4FF3 B <b@x>\n", "b@x", 0, 1000), "nothing");
    }

    #[test]
    fn a_listing_tells_of_the_key_that_signed() {
        let listing = "pub:u:255:22:A:100:900::u:::sc:\nfpr:::::::::AAAA:\nuid:u::::100::X::A\\x3a <a@x>::\n\
            uid:r::::100::X::Old <old@x>::\nuid:e::::100::X::e@x::\nsub:u:255:22:B:20260101T000000:::::s:\nfpr:::::::::BBBB:\n";
        let key = Key::read(listing, "BBBB").unwrap();
        assert_eq!(
            (key.created, key.addresses),
            (1_767_225_600, vec![("a@x".into(), Some(4)), ("e@x".into(), None)])
        );
        assert_eq!(Key::read(listing, "AAAA").unwrap().created, 100);
        assert_eq!(Key::read(listing, "CCCC"), None);
    }
}
