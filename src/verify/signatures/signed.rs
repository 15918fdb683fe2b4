//! A signed commit as its signature and what that is of, taken apart as git does it: what is signed is the commit
//! without the lines of the signature.
//!
//! Stricter than git where git would accept what the signature does not cover: a commit has one signature, in the header
//! of its own object format, and nothing stands around it.

use crate::ledger::signing::MAX_SIGNATURE_BYTES;

/// A signature and what it is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub signature: Vec<u8>,
    pub payload: Vec<u8>,
    /// The address in the author's line.
    pub author: Option<String>,
}

/// What made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ssh,
    OpenPgp,
    X509,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Ssh, "SSH SIGNATURE"), (Kind::OpenPgp, "PGP SIGNATURE"), (Kind::X509, "SIGNED MESSAGE")];

impl Signed {
    /// Takes a commit apart; `None` where it is not signed.
    ///
    /// # Errors
    /// It has a signature, and more than that: why it counts for nothing.
    pub fn of(id: &str, commit: &[u8]) -> Result<Option<Self>, String> {
        // The length of an id says which object format it is of.
        let expected = if id.len() == 64 { "gpgsig-sha256" } else { "gpgsig" };
        let (mut signature, mut payload) = (Vec::new(), Vec::with_capacity(commit.len()));
        let (mut headers, mut is_inside) = (0, false);
        let mut rest = commit;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n').filter(|length| *length > 0) {
            let (line, after) = rest.split_at(length + 1);
            rest = after;
            if is_inside && line[0] == b' ' {
                signature.extend_from_slice(&line[1..]);
                continue;
            }
            is_inside = line.starts_with(b"gpgsig");
            if !is_inside {
                payload.extend_from_slice(line);
                continue;
            }
            let name = line.split(|byte| matches!(byte, b' ' | b'\n')).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name);
            if name != expected {
                return Err(format!("it has a header `{name}`, which no signature covers"));
            }
            headers += 1;
            signature.extend_from_slice(line.get(name.len() + 1..).unwrap_or_default());
        }
        // The empty line that ends the header, and the message.
        payload.extend_from_slice(rest);
        match headers {
            0 => Ok(None),
            1 if signature.len() > MAX_SIGNATURE_BYTES => Err(format!(
                "its signature has {} bytes; one has at most {MAX_SIGNATURE_BYTES}",
                signature.len()
            )),
            1 => Ok(Some(Self { author: author_email(&payload), signature, payload })),
            _ => Err(format!("it has {headers} signatures; a commit has one")),
        }
    }

    /// The kind of the signature; `None` where it is none from its first to its last line.
    pub fn kind(&self) -> Option<Kind> {
        let text = std::str::from_utf8(&self.signature).ok()?;
        let inside = text.strip_prefix("-----BEGIN ")?;
        let (kind, name) =
            KINDS.into_iter().find(|(_, name)| inside.starts_with(&format!("{name}-----\n")))?;
        let end = format!("\n-----END {name}-----\n");
        // One block: nothing before it, nothing behind it, no second one.
        (text.ends_with(&end) && text.matches("-----BEGIN ").count() == 1).then_some(kind)
    }
}

/// The address in the author's line; `None` where there is none that could be anybody's.
pub(super) fn author_email(commit: &[u8]) -> Option<String> {
    let mut header = commit.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let author = std::str::from_utf8(header.find_map(|line| line.strip_prefix(b"author "))?).ok()?;
    let (_, email) = author.split_once('<')?;
    let (email, _) = email.split_once('>')?;
    let is_sound = !email.is_empty() && !email.contains(char::is_control);
    is_sound.then(|| email.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn taken_apart(commit: &str) -> Result<Option<(String, String)>, String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let signed = Signed::of(ID, commit.as_bytes())?;
        Ok(signed.map(|signed| (text(signed.signature), text(signed.payload))))
    }

    #[test]
    fn a_commit_is_taken_apart_as_git_does_it() {
        let commit = "tree t\nauthor A <a@x> 1 +0000\ngpgsig -----BEGIN\n \n A\n -----END\nother x\n y\n\ngpgsig no\n z\n";
        let signature = "-----BEGIN\n\nA\n-----END\n";
        let payload = "tree t\nauthor A <a@x> 1 +0000\nother x\n y\n\ngpgsig no\n z\n";
        assert_eq!(taken_apart(commit), Ok(Some((signature.into(), payload.into()))));
        // In the message it is text.
        assert_eq!(taken_apart("tree t\n\ngpgsig -----BEGIN\n A\n"), Ok(None));
        assert_eq!(taken_apart("tree t\n"), Ok(None));
        assert_eq!(taken_apart(""), Ok(None));
    }

    #[test]
    fn a_commit_has_one_signature_and_it_is_covered() {
        let second = "tree t\ngpgsig A\ngpgsig B\n\nm\n";
        assert!(taken_apart(second).unwrap_err().contains("2 signatures"));
        for other in ["gpgsig-sha256 A", "gpgsigx", "gpgsig\n"] {
            assert!(taken_apart(&format!("tree t\ngpgsig A\n{other}\n\nm\n")).is_err(), "{other:?}");
        }
        let huge = format!("tree t\ngpgsig A\n{}\nm\n", " AAAAAAAA\n".repeat(MAX_SIGNATURE_BYTES / 8));
        assert!(taken_apart(&huge).unwrap_err().contains("at most 65536"));
        let long_id = "0".repeat(64);
        assert!(Signed::of(&long_id, b"tree t\ngpgsig-sha256 A\n\nm\n").unwrap().is_some());
        assert!(Signed::of(&long_id, b"tree t\ngpgsig A\n\nm\n").is_err());
    }

    #[test]
    fn a_signature_is_one_block_and_nothing_else() {
        let kind = |text: &str| Signed { signature: text.into(), payload: Vec::new(), author: None }.kind();
        let sound = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";
        assert_eq!(kind(sound), Some(Kind::Ssh));
        assert_eq!(kind(&sound.replace("SSH", "PGP")), Some(Kind::OpenPgp));
        assert_eq!(kind(&sound.replace("SSH SIGNATURE", "SIGNED MESSAGE")), Some(Kind::X509));
        let around = [
            format!("{sound}{sound}"),
            format!("{sound}x\n"),
            format!("x\n{sound}"),
            sound.replace('\n', "\r\n"),
            sound.replace("END SSH", "END PGP"),
            sound.replace("SSH", "NEW"),
            String::new(),
        ];
        for unsound in around {
            assert_eq!(kind(&unsound), None, "{unsound}");
        }
    }

    #[test]
    fn the_address_is_that_of_the_authors_line() {
        let email =
            |author: &str| author_email(format!("tree t\n{author}\n\nauthor M <m@x> 1 +0000\n").as_bytes());
        assert_eq!(email("author A B <a@x> 1 +0000").as_deref(), Some("a@x"));
        assert_eq!(email("author <a@x> <b@x> 1 +0000").as_deref(), Some("a@x"));
        for none in
            ["author A <> 1 +0000", "author A a@x", "committer A <a@x> 1 +0000", "author A <a\0@x> 1 +0"]
        {
            assert_eq!(email(none), None, "{none:?}");
        }
    }
}
