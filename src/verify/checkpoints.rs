//! Checkpoints that this clone has made or was given, and whether the ledger still is what they state. They are kept
//! outside the history, one file each, and are never written again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::log::Checkpoint;
use super::log::merkle::{self, Hash};
use super::log::note::MAX_NOTE_BYTES;
use super::report::{Code, Finding};
use crate::entry::Digest;
use crate::error::{Error, Result};
use crate::ledger::Ledger;

/// Where a clone keeps its checkpoints.
pub struct Checkpoints<'l> {
    ledger: &'l Ledger,
    directory: PathBuf,
    forks: PathBuf,
}

/// A checkpoint that is in a file.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub checkpoint: Checkpoint,
}

/// A log, as its leaves make it.
#[derive(Clone, Copy, Debug)]
pub struct Log<'l> {
    /// Its name.
    pub origin: &'l str,
    /// The hashes of its entries, in order.
    pub leaves: &'l [Hash],
}

impl<'l> Checkpoints<'l> {
    /// Those of the ledger's repository.
    pub fn of(ledger: &'l Ledger) -> Self {
        let state = ledger.state_directory();
        Self { ledger, directory: state.join("checkpoints"), forks: state.join("forks") }
    }

    /// All that are kept, by size and then by name, and a finding for each file that is no checkpoint.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn all(&self) -> Result<(Vec<Kept>, Vec<Finding>)> {
        let failed = |error| Error::io(format!("read {}", self.directory.display()), error);
        let mut paths = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Default::default()),
            read => read
                .map_err(failed)?
                .map(|item| Ok(item.map_err(failed)?.path()))
                .collect::<Result<Vec<_>>>()?,
        };
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        let (mut kept, mut findings) = (Vec::new(), Vec::new());
        for path in paths {
            match read(&path)? {
                Ok(checkpoint) => kept.push(Kept { path, checkpoint }),
                Err(problem) => {
                    let message = format!("{} is no checkpoint: it {problem}", path.display());
                    findings.push(Finding::new(Code::CheckpointForeign, message));
                }
            }
        }
        kept.sort_by_key(|one| one.checkpoint.size);
        Ok((kept, findings))
    }

    /// Keeps a checkpoint, durably; where one with these very bytes is kept already, it stays as it is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        self.write(&self.directory, checkpoint)
    }

    /// Puts both sides of every fork into files, to be shown to others, and has the findings name them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn export_forks(&self, findings: &mut [Finding]) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for finding in findings.iter_mut().filter(|finding| finding.code == Code::Fork) {
            let sides =
                [&finding.expected, &finding.actual].map(|side| side.as_ref().and_then(|text| text.as_str()));
            let sides =
                sides.into_iter().flatten().filter_map(|text| Checkpoint::parse(text.as_bytes()).ok());
            let written = sides.map(|side| self.write(&self.forks, &side)).collect::<Result<Vec<_>>>()?;
            let names: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
            finding.message += &format!("; they are in {}", names.join(" and "));
            files.extend(written);
        }
        Ok(files)
    }

    fn write(&self, directory: &Path, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let text = checkpoint.to_string();
        let digest = Digest::of(text.as_bytes()).to_string();
        let digest = digest.trim_start_matches("sha256:");
        self.ledger.make_state_directory(directory)?;
        // A name that others have is made longer: nothing is written again.
        for length in [8, digest.len()] {
            let path = directory.join(format!("{}-{}.txt", checkpoint.size, &digest[..length]));
            match fs::read(&path) {
                Ok(bytes) if bytes == text.as_bytes() => return Ok(path),
                Ok(_) => continue,
                Err(_) => {
                    write_durably(&path, text.as_bytes())?;
                    self.ledger.share(&path);
                    return Ok(path);
                }
            }
        }
        Err(Error::Damaged(format!("{} has files that are not what their names say", directory.display())))
    }
}

impl Log<'_> {
    /// The checkpoint of it as it is now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint::new(self.origin, self.leaves.len() as u64, &merkle::root(self.leaves))
    }

    /// What these checkpoints of it, each with what it is called, have against the log. That it has grown since is not
    /// against it.
    pub fn judge(&self, checkpoints: &[(String, &Checkpoint)]) -> Vec<Finding> {
        let now = self.checkpoint();
        let sizes: BTreeSet<_> = checkpoints.iter().map(|(_, checkpoint)| checkpoint.size).collect();
        let roots = merkle::roots_at(self.leaves, &sizes);
        let mut findings = Vec::new();
        let mut seen = BTreeMap::from([(now.size, ("the ledger as it is now", &now))]);
        for (name, checkpoint) in checkpoints {
            let (other, first) = *seen.entry(checkpoint.size).or_insert((name, checkpoint));
            if first.root != checkpoint.root {
                findings.push(fork((other, first), (name, checkpoint)));
                continue;
            }
            let root = roots.get(&checkpoint.size);
            if root != Some(&checkpoint.root) {
                findings.push(self.differs(name, checkpoint, root));
            }
        }
        findings
    }

    /// `root`: that of the ledger at the checkpoint's size; `None`: it is smaller.
    fn differs(&self, name: &str, checkpoint: &Checkpoint, root: Option<&Hash>) -> Finding {
        let (size, now) = (checkpoint.size, self.leaves.len());
        let message = match root {
            Some(_) => format!("the first {size} entries are not those that {name} states"),
            None => format!(
                "{name} states {size} entries, and the ledger here has {now}: entries vanished, \
                 or this clone is behind"
            ),
        };
        let here = root.map_or_else(|| self.checkpoint(), |root| Checkpoint::new(self.origin, size, root));
        Finding::new(Code::CheckpointDiffers, message).evidence(checkpoint.to_string(), here.to_string())
    }
}

/// That a checkpoint is of a log by another name than `origin`. One that lies around says nothing; one that somebody holds
/// against the ledger does, for whoever begins the history anew gives it another name.
pub fn foreign(code: Code, name: &str, checkpoint: &Checkpoint, origin: &str) -> Finding {
    let message = format!("{name} is of another ledger, or this one was begun anew");
    Finding::new(code, message).evidence(checkpoint.origin.as_str(), origin)
}

/// What tells these checkpoints from others.
pub fn digest_of(kept: &[Kept]) -> String {
    let texts = kept.iter().map(|one| Digest::of(one.checkpoint.to_string().as_bytes()).to_string());
    Digest::of(texts.collect::<String>().as_bytes()).to_string()
}

fn fork(one: (&str, &Checkpoint), other: (&str, &Checkpoint)) -> Finding {
    let message =
        format!("{} and {} state the same {} entries, with different roots", one.0, other.0, one.1.size);
    Finding::new(Code::Fork, message).evidence(one.1.to_string(), other.1.to_string())
}

/// Reads a checkpoint; the inner error is what is wrong with it, in words.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<std::result::Result<Checkpoint, String>> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    let mut bytes = Vec::new();
    // Reading a named pipe would wait for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_NOTE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Checkpoint::parse(&bytes))
}

/// Writes a file in one step: under its name there is never a part of it, also after a power cut.
///
/// # Errors
/// It cannot be written.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::io(format!("write {}", path.display()), error);
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.draft", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        _ = fs::remove_file(&draft);
    }
    written.map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
