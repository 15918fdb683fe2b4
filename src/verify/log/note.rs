//! Signed notes (<https://c2sp.org/signed-note>): a text, and under it lines with signatures. Of the kinds of signature,
//! Ed25519 and the cosignatures of witnesses (<https://c2sp.org/tlog-cosignature>) are known here.
//!
//! Signatures by keys that nobody named are passed over. One by a known key that does not fit the text makes the whole
//! note worthless.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::key::{Kind, SigningKey, VerifyingKey, hex, key_id};
use crate::error::Result;

/// The most bytes of a note: room for many signatures of the longest kind.
pub const MAX_NOTE_BYTES: usize = 256 << 10;
/// The most signatures of a note.
const MAX_SIGNATURES: usize = 100;
const DASH: &str = "— ";

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// What the key is told from others by, with its name.
    pub id: [u8; 4],
    bytes: Vec<u8>,
}

/// A signature that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The name of the key, as the note has it.
    pub name: String,
    /// Its id.
    pub id: [u8; 4],
    /// What was signed.
    pub kind: Kind,
    /// When a witness says that it saw the text: seconds since 1970.
    pub seen_at: Option<u64>,
}

impl Note {
    /// A text that nobody has signed yet. It ends in a newline.
    pub(super) fn unsigned(text: String) -> Self {
        Self { text, signatures: Vec::new() }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// The rule that it breaks, in words.
    pub fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let whole = readable(bytes)?;
        // The last empty line: the text may have such lines, too.
        let end = whole.rfind("\n\n").ok_or("has no empty line before its signatures")?;
        let (text, lines) = (&whole[..=end], &whole[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or("does not end in a newline, or has no signature")?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(format!("has more than {MAX_SIGNATURES} signatures"));
            }
            signatures.push(signature(line).ok_or("has a line that should be a signature, and is none")?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures, checked or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks every signature by one of these keys, and gives those that fit.
    ///
    /// # Errors
    /// One of them does not fit the text: it.
    pub fn verify(&self, keys: &[VerifyingKey]) -> std::result::Result<Vec<Verified>, &Signature> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            for key in keys {
                let Some(kind) = key.kind_of(&signature.name, signature.id) else { continue };
                let seen_at = signature.fits(&self.text, kind, key).ok_or(signature)?;
                let found = Verified { name: signature.name.clone(), id: signature.id, kind, seen_at };
                if !verified.contains(&found) {
                    verified.push(found);
                }
            }
        }
        Ok(verified)
    }

    /// Signs the text, under `name`. An earlier signature by the same key is replaced.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&mut self, key: &SigningKey, name: &str) -> Result<()> {
        let bytes = key.sign(self.text.as_bytes())?.to_vec();
        let id = key_id(name, Kind::Plain, key.public());
        self.signatures.retain(|other| other.name != name || other.id != id);
        self.signatures.insert(0, Signature { name: name.to_owned(), id, bytes });
        Ok(())
    }
}

/// As it is written. Without signatures, it is the text alone.
impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        if self.signatures.is_empty() {
            return Ok(());
        }
        formatter.write_str("\n")?;
        self.signatures.iter().try_for_each(|Signature { name, id, bytes }| {
            let bytes = Base64::encode_string(&[id.as_slice(), bytes].concat());
            writeln!(formatter, "{DASH}{name} {bytes}")
        })
    }
}

impl Signature {
    /// Whether it is by `key` over `text`; with the time that is signed with it, if there is one.
    fn fits(&self, text: &str, kind: Kind, key: &VerifyingKey) -> Option<Option<u64>> {
        let (message, seen_at, bytes) = match kind {
            Kind::Plain => (text.to_owned(), None, self.bytes.as_slice()),
            Kind::Cosignature => {
                let (time, bytes) = self.bytes.split_first_chunk::<8>()?;
                let time = u64::from_be_bytes(*time);
                (format!("cosignature/v1\ntime {time}\n{text}"), Some(time), bytes)
            }
        };
        key.has_signed(message.as_bytes(), bytes.try_into().ok()?).then_some(seen_at)
    }

    /// Its key's name and id, as they begin a verifier key.
    pub fn signer(&self) -> String {
        format!("{}+{}", self.name, hex(self.id))
    }
}

/// The rules of the format about characters.
pub(super) fn readable(bytes: &[u8]) -> std::result::Result<&str, String> {
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(format!("is longer than {MAX_NOTE_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err("has control characters".into());
    }
    Ok(text)
}

/// Whether a key can have this name.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|character: char| character.is_whitespace() || character == '+')
}

fn signature(line: &str) -> Option<Signature> {
    let (name, text) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = Base64::decode_vec(text).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    let is_sound = is_key_name(name) && !bytes.is_empty();
    is_sound.then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/fixtures/notes/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn keys(name: &str) -> Vec<VerifyingKey> {
        let path = format!("{}/fixtures/notes/{name}.keys", env!("CARGO_MANIFEST_DIR"));
        VerifyingKey::read(&path, "".as_ref()).unwrap()
    }

    #[test]
    fn published_notes_are_read_verified_and_written_as_they_were() {
        for (name, signatures) in [("poem", 1), ("two-signers", 2), ("c2sp", 1), ("certificate-log", 5)] {
            let bytes = fixture(&format!("{name}.note"));
            let note = Note::parse(&bytes).unwrap();
            assert_eq!(note.to_string().as_bytes(), bytes);
            let keys = keys(name);
            assert_eq!(note.verify(&keys).unwrap().len(), signatures, "{name}");
            // A signature by a key that nobody named is passed over.
            assert_eq!(note.verify(&keys[..1]).unwrap().len(), 1, "{name}");
            assert_eq!(note.verify(&[]), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_witness_says_when_it_saw_the_text() {
        let note = Note::parse(&fixture("certificate-log.note")).unwrap();
        let seen: Vec<_> = note.verify(&keys("certificate-log")).unwrap();
        let of = |kind| seen.iter().filter(|one| one.kind == kind).map(|one| one.seen_at).collect::<Vec<_>>();
        assert_eq!(of(Kind::Plain), [None]);
        assert_eq!(of(Kind::Cosignature), [Some(1_779_573_024); 4]);
    }

    #[test]
    fn any_changed_byte_of_the_text_or_of_a_known_signature_makes_the_note_worthless() {
        for name in ["poem", "certificate-log"] {
            let (bytes, keys) = (fixture(&format!("{name}.note")), keys(name));
            let text = Note::parse(&bytes).unwrap().text().len();
            let mut refused = 0;
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                let Ok(note) = Note::parse(&changed) else {
                    refused += 1;
                    continue;
                };
                match note.verify(&keys) {
                    Err(_) => refused += 1,
                    // Another name or id: it is a signature by nobody who is known.
                    Ok(_) => assert!(at > text, "byte {at} of {name}"),
                }
            }
            assert!(refused > text);
        }
    }

    #[test]
    fn what_the_format_forbids_is_refused() {
        let poem = String::from_utf8(fixture("poem.note")).unwrap();
        let (text, signature) = poem.split_once("\n\n").unwrap();
        let broken = [
            String::new(),
            text.to_owned(),
            format!("{text}\n\n"),
            poem[..poem.len() - 1].to_owned(),
            format!("\u{1}{poem}"),
            poem.replace('\n', "\r\n"),
            format!("{poem}An unexpected line.\n"),
            format!("{poem}\n"),
            poem.replace("PeterNeumann", "Bad Name"),
            poem.replace("PeterNeumann", "a+b"),
            poem.replace("PeterNeumann", ""),
            poem.replace("PeterNeumann ", "PeterNeumann  "),
            poem.replace("PeterNeumann", "no\u{a0}break"),
            poem.replace("x08go", "x08g_"),
            poem.replace("— ", "- "),
            format!("{text}\n\n— PeterNeumann x08g\n"),
            format!("{text}\n\n{}", signature.repeat(101)),
            format!("{}{poem}", "x".repeat(MAX_NOTE_BYTES)),
        ];
        for note in &broken {
            assert!(Note::parse(note.as_bytes()).is_err(), "{note:?}");
        }
        let mut bytes = poem.clone().into_bytes();
        bytes[0] = 0xff;
        assert!(Note::parse(&bytes).is_err());
        // What looks like a signature in the text is text, and a hundred signatures are enough.
        assert!(Note::parse(format!("{signature}\n{poem}").as_bytes()).is_ok());
        assert!(Note::parse(format!("{text}\n\n{}", signature.repeat(100)).as_bytes()).is_ok());
    }

    #[test]
    fn signing_gives_the_published_signature_and_replaces_an_earlier_one() {
        let seed = Base64::decode_vec(String::from_utf8(fixture("signing-key.txt")).unwrap().trim()).unwrap();
        let key = SigningKey::of_seed(seed[1..].try_into().unwrap());
        let published = String::from_utf8(fixture("poem.note")).unwrap();
        let mut note = Note::unsigned(Note::parse(published.as_bytes()).unwrap().text().to_owned());
        for _ in 0..2 {
            note.sign(&key, "PeterNeumann").unwrap();
            assert_eq!(note.to_string(), published);
        }
    }
}
