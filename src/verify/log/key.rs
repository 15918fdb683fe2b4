//! Keys of checkpoints: Ed25519, in the files that OpenSSH has them in, or as verifier keys of C2SP's signed note
//! (`<name>+<id>+<key>`).
//!
//! A secret key is in memory while it signs, and nowhere else. One behind a passphrase signs through the ssh-agent.

use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::note::is_key_name;
use super::ssh::{self, Private};
use crate::error::{Error, Result, shell_quoted};

/// No key file is near this.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;

/// What a signature says, besides the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The text, and nothing else: the log's own.
    Plain = 1,
    /// The text, and when it was seen: a witness's (`cosignature/v1`).
    Cosignature = 4,
}

/// A key to check signatures by.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyingKey {
    /// The name and the kind that a verifier key states. An OpenSSH key has neither, and checks whatever is by it.
    stated: Option<(String, Kind)>,
    key: ed25519_dalek::VerifyingKey,
}

/// A key to sign by.
pub struct SigningKey {
    public: [u8; 32],
    half: Half,
}

enum Half {
    Secret(ed25519_dalek::SigningKey),
    Agent { socket: Option<PathBuf>, file: PathBuf },
}

/// The four bytes by which a signature names its key.
pub fn key_id(name: &str, kind: Kind, public: &[u8; 32]) -> [u8; 4] {
    let hash =
        Sha256::new_with_prefix(name).chain_update([b'\n', kind as u8]).chain_update(public).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl VerifyingKey {
    /// The keys that an argument names: a key itself, or a file of keys, one a line, as seen from `directory`.
    ///
    /// # Errors
    /// No such file, or no such key.
    pub fn read(argument: &str, directory: &Path) -> Result<Vec<Self>> {
        if ssh::is_public_key(argument) || argument.parse::<Self>().is_ok() {
            return Ok(vec![argument.parse().map_err(|problem| no_key(&format!("`{argument}`"), problem))?]);
        }
        let text = match read_file(&directory.join(argument)) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Err(no_key(&format!("`{argument}`"), "is no file, and no key".into()));
            }
            read => read?,
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(|line| line.parse().map_err(|problem| no_key(argument, problem)));
        let keys: Vec<_> = keys.collect::<Result<_>>()?;
        if keys.is_empty() { Err(no_key(argument, "is empty".into())) } else { Ok(keys) }
    }

    /// The verifier key of a log of this name.
    pub fn named(name: &str, public: &[u8; 32]) -> Option<Self> {
        let key = point(public)?;
        is_key_name(name).then(|| Self { stated: Some((name.to_owned(), Kind::Plain)), key })
    }

    /// The key itself.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// What kind a signature of this name and id is, if it is by this key.
    pub fn kind_of(&self, name: &str, id: [u8; 4]) -> Option<Kind> {
        let is_by = |kind: &Kind| key_id(name, *kind, self.public()) == id;
        match &self.stated {
            Some((stated, kind)) => (stated == name && is_by(kind)).then_some(*kind),
            None => [Kind::Plain, Kind::Cosignature].into_iter().find(is_by),
        }
    }

    /// Whether `signature` is by this key over `message`. Strict: one signature only is right for key and message, as
    /// far as that can be, and no key of small order signs anything.
    pub fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl std::str::FromStr for VerifyingKey {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if ssh::is_public_key(text) {
            let key =
                point(&ssh::public_key(text)?).ok_or("has a public key that nothing can be signed by")?;
            return Ok(Self { stated: None, key });
        }
        if text.starts_with("-----BEGIN") {
            return Err("is a private key; signatures are checked by the public one (its `.pub` file)".into());
        }
        let is_none = "is neither an OpenSSH public key nor a verifier key (`name+id+key`)";
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(is_none.into());
        };
        let blob = Base64::decode_vec(blob).map_err(|_| is_none)?;
        let (kind, public) = match blob.split_first() {
            Some((1, public)) => (Kind::Plain, public),
            Some((4, public)) => (Kind::Cosignature, public),
            Some((kind, _)) => {
                return Err(format!("has the signature type {kind:#04x}; 0x01 and 0x04 are known here"));
            }
            None => return Err(is_none.into()),
        };
        let public = public.try_into().map_err(|_| "has a key of another length than Ed25519 keys have")?;
        if !is_key_name(name) || id != hex(key_id(name, kind, public)) {
            return Err("has an id that is not that of its name and key".into());
        }
        let key = point(public).ok_or("has a public key that nothing can be signed by")?;
        Ok(Self { stated: Some((name.to_owned(), kind)), key })
    }
}

/// As a verifier key, or as an OpenSSH fingerprint where it has no name.
impl fmt::Display for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, kind)) = &self.stated else {
            return formatter.write_str(&ssh::fingerprint(self.public()));
        };
        let blob = Base64::encode_string(&[&[*kind as u8], self.public().as_slice()].concat());
        write!(formatter, "{name}+{}+{blob}", hex(key_id(name, *kind, self.public())))
    }
}

/// A key id as it stands in verifier keys.
pub fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// `None` for what is no point of the curve, or one of those that make every signature right.
fn point(public: &[u8; 32]) -> Option<ed25519_dalek::VerifyingKey> {
    ed25519_dalek::VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak())
}

impl SigningKey {
    /// The key of a file: a private key, or a public one whose private half is beside it or in the agent at `socket`.
    ///
    /// # Errors
    /// No such file, or no Ed25519 key of OpenSSH.
    pub fn open(file: &Path, socket: Option<&Path>) -> Result<Self> {
        let text = read_file(file)?;
        let no_key = |problem| no_key(&file.display().to_string(), problem);
        if !text.trim_start().starts_with("-----BEGIN") {
            let public = ssh::public_key(&text).map_err(no_key)?;
            let private = beside(file).filter(|private| private.public == public);
            return Ok(private.unwrap_or_else(|| Self::of_agent(public, socket, file)));
        }
        match ssh::private_key(&text).map_err(no_key)? {
            Private::Plain(seed) => Ok(Self::of_seed(&seed)),
            Private::Encrypted(public) => Ok(Self::of_agent(public, socket, file)),
        }
    }

    /// The key that RFC 8032 makes of 32 secret bytes.
    pub(super) fn of_seed(seed: &[u8; 32]) -> Self {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        Self { public: secret.verifying_key().to_bytes(), half: Half::Secret(secret) }
    }

    fn of_agent(public: [u8; 32], socket: Option<&Path>, file: &Path) -> Self {
        // What `ssh-add` wants is the private one.
        let file = private_name(file).unwrap_or_else(|| file.to_owned());
        let half = Half::Agent { socket: socket.map(Into::into), file };
        Self { public, half }
    }

    /// Its public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// The agent cannot be asked, does not have the key, or gave something that is no signature by it.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let (socket, file) = match &self.half {
            Half::Secret(secret) => return Ok(secret.sign(message).to_bytes()),
            Half::Agent { socket, file } => (socket, file),
        };
        let fingerprint = ssh::fingerprint(&self.public);
        let add = format!("ssh-add {}", shell_quoted(&file.to_string_lossy()));
        let failed = |why: &str, way_out: String| Error::Key {
            problem: format!("cannot sign by key {fingerprint}: {why}"),
            way_out: Some(way_out),
        };
        let Some(socket) = socket else {
            let way_out = format!("run `eval \"$(ssh-agent)\" && {add}` first");
            return Err(failed(
                "it is behind a passphrase, and there is no ssh-agent (SSH_AUTH_SOCK)",
                way_out,
            ));
        };
        let signed = ssh::sign_by_agent(socket, &self.public, message).map_err(|error| {
            failed(&format!("the ssh-agent does not answer: {error}"), format!("run `{add}` first"))
        })?;
        let is_right = |signature: &[u8; 64]| {
            point(&self.public)
                .is_some_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
        };
        signed
            .filter(is_right)
            .ok_or_else(|| failed("the ssh-agent does not have it, or refused", format!("run `{add}` first")))
    }
}

/// The private key beside a public one, where it is readable.
fn beside(public: &Path) -> Option<SigningKey> {
    match ssh::private_key(&read_file(&private_name(public)?).ok()?).ok()? {
        Private::Plain(seed) => Some(SigningKey::of_seed(&seed)),
        Private::Encrypted(_) => None,
    }
}

/// The name of the private file that belongs to a public one.
fn private_name(public: &Path) -> Option<PathBuf> {
    public.extension().is_some_and(|extension| extension == "pub").then(|| public.with_extension(""))
}

fn read_file(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    if fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(no_key(&path.display().to_string(), "is a directory".into()));
    }
    let mut text = Zeroizing::new(String::new());
    let mut file = File::open(path).map_err(failed)?.take(MAX_KEY_FILE_BYTES);
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn no_key(what: &str, problem: String) -> Error {
    Error::Key { problem: format!("{what} {problem}"), way_out: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_published_verifier_key_is_read_and_written() {
        let key: VerifyingKey = VKEY.parse().unwrap();
        assert_eq!(key.to_string(), VKEY);
        assert_eq!(VerifyingKey::named("PeterNeumann", key.public()).unwrap(), key);
        assert_eq!(key.kind_of("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa3]), Some(Kind::Plain));
        assert_eq!(key.kind_of("PeterNeumann", [0xc7, 0x4f, 0x20, 0xa4]), None);
        assert_eq!(key.kind_of("PeterNeuman", [0xc7, 0x4f, 0x20, 0xa3]), None);
    }

    #[test]
    fn no_part_of_a_verifier_key_and_no_change_of_it_is_one() {
        for start in 0..VKEY.len() {
            for end in start..=VKEY.len() {
                assert!((start, end) == (0, VKEY.len()) || VKEY[start..end].parse::<VerifyingKey>().is_err());
            }
        }
        for at in 0..VKEY.len() {
            let mut changed = VKEY.as_bytes().to_vec();
            changed[at] += 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<VerifyingKey>().is_err(), "{changed}");
        }
        // Published with ids that fit: a key that is too long, and a type that nobody knows.
        let long = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
        let unknown = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert!(long.parse::<VerifyingKey>().is_err());
        assert!(unknown.parse::<VerifyingKey>().unwrap_err().contains("signature type 0x65"));
    }

    #[test]
    fn keys_by_which_anything_is_signed_are_refused() {
        let neutral: [u8; 32] = std::array::from_fn(|at| u8::from(at == 0));
        assert_eq!(VerifyingKey::named("log", &neutral), None);
        assert_eq!(VerifyingKey::named("log", &[0; 32]), None);
        let seed = SigningKey::of_seed(&[1; 32]);
        assert!(VerifyingKey::named("", seed.public()).is_none());
        assert!(VerifyingKey::named("a+b", seed.public()).is_none());
        assert!(VerifyingKey::named("a b", seed.public()).is_none());
    }

    #[test]
    fn other_kinds_of_keys_are_named() {
        let problem = |text: &str| text.parse::<VerifyingKey>().unwrap_err();
        assert!(problem("ssh-rsa AAAAB3NzaC1yc2E= me").contains("type ssh-rsa"));
        assert!(problem("sk-ssh-ed25519@openssh.com AAAA me").contains("type sk-ssh-ed25519@openssh.com"));
        assert!(problem("-----BEGIN OPENSSH PRIVATE KEY-----").contains("`.pub` file"));
        assert!(problem("ssh-ed25519").contains("no OpenSSH public key"));
        assert!(problem("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==").contains("cut off"));
    }
}
