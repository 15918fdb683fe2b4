//! What OpenSSH writes, as far as Ed25519 keys need it: public key lines, private key files, and signing through the
//! ssh-agent. No other kind of key is read.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use base64ct::{Base64, Base64Unpadded, Encoding};
use zeroize::Zeroizing;

const ED25519: &str = "ssh-ed25519";
const ARMOR: [&str; 2] = ["-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"];
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// An agent may ask a person first.
const AGENT_PATIENCE: Duration = Duration::from_secs(120);
/// Its answer to us has less than 200.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// A private key file.
pub(super) enum Private {
    /// The key is readable.
    Plain(Zeroizing<[u8; 32]>),
    /// It is behind a passphrase; this is its public half.
    Encrypted([u8; 32]),
}

/// The key on a line such as `ssh-ed25519 AAAA… comment`.
///
/// # Errors
/// It is no such line; in words.
pub(super) fn public_key(line: &str) -> Result<[u8; 32], String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err("is no OpenSSH public key".into());
    };
    only_ed25519(kind)?;
    let blob = Base64::decode_vec(blob).map_err(|_| "has a public key that is not base64")?;
    public_of(&blob).ok_or_else(|| "has a public key that is cut off or altered".into())
}

/// Whether a line begins as a public key of OpenSSH does.
pub(super) fn is_public_key(line: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| line.starts_with(kind))
}

fn only_ed25519(kind: &str) -> Result<(), String> {
    if kind == ED25519 {
        Ok(())
    } else {
        Err(format!("is a key of type {kind}; only {ED25519} keys sign checkpoints"))
    }
}

fn public_of(blob: &[u8]) -> Option<[u8; 32]> {
    let mut blob = Wire(blob);
    let (kind, key) = (blob.string()?, blob.string()?);
    if kind != ED25519.as_bytes() || !blob.0.is_empty() {
        return None;
    }
    key.try_into().ok()
}

/// The key in a private key file.
///
/// # Errors
/// It is no such file, or of another kind; in words.
pub(super) fn private_key(text: &str) -> Result<Private, String> {
    let inside = text.trim().strip_prefix(ARMOR[0]).and_then(|rest| rest.strip_suffix(ARMOR[1]));
    let Some(inside) = inside else {
        let other = text.trim_start().lines().next().and_then(|line| line.strip_prefix("-----BEGIN "));
        return Err(match other {
            Some(kind) => format!(
                "is a `{}` file; only {ED25519} keys in OpenSSH's format sign checkpoints",
                kind.trim_end_matches('-')
            ),
            None => "is no OpenSSH key".into(),
        });
    };
    let inside: Zeroizing<String> = Zeroizing::new(inside.split_ascii_whitespace().collect());
    let bytes = Base64::decode_vec(&inside).map_err(|_| "is a private key that is not base64")?;
    let bytes = Zeroizing::new(bytes);
    read_private(&bytes).unwrap_or_else(|| Err("is a private key that is cut off or altered".into()))
}

/// `None` where the bytes do not have the form.
fn read_private(bytes: &[u8]) -> Option<Result<Private, String>> {
    let mut file = Wire(bytes.strip_prefix(MAGIC)?);
    let (cipher, _kdf, _options) = (file.string()?, file.string()?, file.string()?);
    let (1, blob, secret) = (file.number()?, file.string()?, file.string()?) else { return None };
    let kind = String::from_utf8_lossy(Wire(blob).string()?).into_owned();
    if let Err(other) = only_ed25519(&kind) {
        return Some(Err(other));
    }
    let public = public_of(blob)?;
    if cipher != b"none" {
        return Some(Ok(Private::Encrypted(public)));
    }
    let mut secret = Wire(secret);
    let is_whole = secret.number()? == secret.number()? && secret.string()? == ED25519.as_bytes();
    let (again, pair) = (secret.string()?, secret.string()?);
    let (seed, last) = pair.split_first_chunk::<32>()?;
    let is_same = again == public && last == public && file.0.is_empty();
    (is_whole && is_same).then(|| Ok(Private::Plain(Zeroizing::new(*seed))))
}

/// Has the agent at `socket` sign `message` by the key. `None`: it does not have the key, or refused.
pub(super) fn sign_by_agent(
    socket: &Path,
    public: &[u8; 32],
    message: &[u8],
) -> io::Result<Option<[u8; 64]>> {
    const SIGN_REQUEST: u8 = 13;
    const SIGN_RESPONSE: u8 = 14;
    let mut blob = Vec::new();
    put_string(&mut blob, ED25519.as_bytes());
    put_string(&mut blob, public);
    let mut request = vec![SIGN_REQUEST];
    put_string(&mut request, &blob);
    put_string(&mut request, message);
    request.extend([0; 4]);
    let mut framed = Vec::new();
    put_string(&mut framed, &request);

    let mut agent = UnixStream::connect(socket)?;
    agent.set_read_timeout(Some(AGENT_PATIENCE))?;
    agent.set_write_timeout(Some(AGENT_PATIENCE))?;
    agent.write_all(&framed)?;
    let mut length = [0; 4];
    agent.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_ANSWER_BYTES {
        return Err(io::Error::other("its answer is too long"));
    }
    let mut answer = vec![0; length];
    agent.read_exact(&mut answer)?;
    Ok(match answer.split_first() {
        Some((&SIGN_RESPONSE, rest)) => signature_of(rest),
        _ => None,
    })
}

fn signature_of(answer: &[u8]) -> Option<[u8; 64]> {
    let mut signature = Wire(Wire(answer).string()?);
    let (kind, bytes) = (signature.string()?, signature.string()?);
    if kind == ED25519.as_bytes() { bytes.try_into().ok() } else { None }
}

/// The fingerprint that `ssh-keygen -l` and `ssh-add -l` show.
pub(super) fn fingerprint(public: &[u8; 32]) -> String {
    let mut blob = Vec::new();
    put_string(&mut blob, ED25519.as_bytes());
    put_string(&mut blob, public);
    format!("SHA256:{}", Base64Unpadded::encode_string(crate::entry::Digest::of(&blob).as_bytes()))
}

/// Lengths are below 4 GiB: keys, and the text of a checkpoint.
fn put_string(bytes: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(string);
}

/// The rest of what is read: numbers of four bytes, and strings with their length before them.
struct Wire<'w>(&'w [u8]);

impl<'w> Wire<'w> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Option<&'w [u8]> {
        let length = self.number()? as usize;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A private key file, as `ssh-keygen -t ed25519` writes it, with one part of it changed by `change`.
    fn file(change: impl Fn(&str, &mut Vec<u8>)) -> String {
        let secret = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let public = secret.verifying_key().to_bytes();
        let part = |name: &str, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            change(name, &mut bytes);
            let mut string = Vec::new();
            put_string(&mut string, &bytes);
            string
        };
        let blob = [part("kind", b"ssh-ed25519"), part("public", &public)].concat();
        let secret = [
            vec![0, 0, 0, 9, 0, 0, 0, 9],
            part("kind again", b"ssh-ed25519"),
            part("public again", &public),
            part("pair", &secret.to_keypair_bytes()),
            part("comment", b"me"),
            vec![1, 2, 3],
        ];
        let head =
            [part("cipher", b"none"), part("kdf", b"none"), part("options", b""), vec![0, 0, 0, 1]].concat();
        let bytes = [MAGIC, &head, &part("blob", &blob), &part("secret", &secret.concat())].concat();
        format!("{}\n{}\n{}\n", ARMOR[0], Base64::encode_string(&bytes), ARMOR[1])
    }

    #[test]
    fn a_private_key_is_read() {
        let Ok(Private::Plain(seed)) = private_key(&file(|_, _| {})) else { panic!("no key") };
        assert_eq!(*seed, [3; 32]);
        let encrypted = file(|name, bytes| {
            if name == "cipher" {
                *bytes = b"aes256-ctr".to_vec()
            }
        });
        assert!(matches!(private_key(&encrypted), Ok(Private::Encrypted(_))));
    }

    #[test]
    fn halves_that_do_not_belong_together_are_no_key() {
        for part in ["kind again", "public", "public again", "pair"] {
            let changed = file(|name, bytes| {
                if name == part {
                    *bytes.last_mut().unwrap() ^= 1
                }
            });
            assert!(private_key(&changed).is_err(), "{part}");
        }
        let other = file(|name, bytes| {
            if name == "kind" {
                *bytes = b"ssh-rsa".to_vec()
            }
        });
        assert!(private_key(&other).err().unwrap().contains("type ssh-rsa"));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert!(private_key(old).err().unwrap().contains("`RSA PRIVATE KEY`"));
    }

    #[test]
    fn a_file_that_is_cut_off_or_claims_to_be_long_is_no_key() {
        let whole = file(|_, _| {});
        let whole = whole.lines().nth(1).unwrap();
        let bytes = Base64::decode_vec(whole).unwrap();
        for length in 0..bytes.len() {
            assert!(!matches!(read_private(&bytes[..length]), Some(Ok(Private::Plain(_)))), "{length} bytes");
        }
        for at in MAGIC.len()..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] = 255;
            _ = read_private(&changed);
        }
    }

    #[test]
    fn a_public_key_line_is_read_to_the_end() {
        let mut blob = Vec::new();
        put_string(&mut blob, ED25519.as_bytes());
        put_string(&mut blob, &[7; 32]);
        let line = |blob: &[u8]| format!("ssh-ed25519 {} me", Base64::encode_string(blob));
        assert_eq!(public_key(&line(&blob)), Ok([7; 32]));
        assert!((0..blob.len()).all(|length| public_key(&line(&blob[..length])).is_err()));
        blob.push(0);
        assert!(public_key(&line(&blob)).is_err());
    }
}
