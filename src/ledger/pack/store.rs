//! A built pack onto the disk: written, read back, named, durable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use git2::ObjectFormat;

use super::builder::{BuiltPack, PackBuilder};
use super::shelf::{Shelf, ShelvedPack};
use super::{checksum_bytes, index};
use crate::error::{Error, Result};
use crate::ledger::durability::{Draft, Syncing};
use crate::ledger::sharing::Sharing;
use crate::ledger::zlib::Effort;

/// What a keep file of ours says.
const KEPT_BY_US: &str = "git-audit: an append is under way\n";
/// Compared piece by piece: a pack can have many megabytes.
const READ_BACK_BYTES: usize = 1 << 20;

/// Where packs go.
pub(in crate::ledger) struct Store {
    pub format: ObjectFormat,
    /// `objects/pack`
    pub directory: PathBuf,
    pub sharing: Sharing,
    pub syncing: Syncing,
    /// For what takes the place of packs that are durable.
    pub syncing_others: Syncing,
    pub shelf: Shelf,
}

/// A pack that is durable. Until it is [released](StoredPack::release) git keeps it whatever it is doing: a repack that
/// looked before the branch moved would take its objects for garbage.
pub(in crate::ledger) struct StoredPack {
    shelf: Shelf,
    pack: ShelvedPack,
    keep: PathBuf,
    absorbed: Vec<ShelvedPack>,
}

impl Store {
    /// Stores a pack, together with those that are due to become one with it.
    pub fn store(&self, built: &BuiltPack) -> Result<StoredPack> {
        if let Some((joint, absorbed)) = self.join_due(built)? {
            // Whatever goes wrong with more than the append needs is no failure of the append: the disk may be full.
            if let Ok(stored) = self.place(&joint, absorbed) {
                return Ok(stored);
            }
        }
        self.place(built, Vec::new())
    }

    /// Stores a pack as it is, with `absorbed` to be removed when it is released.
    pub fn place(&self, built: &BuiltPack, absorbed: Vec<ShelvedPack>) -> Result<StoredPack> {
        let BuiltPack { bytes, index, checksum, objects, effort } = built;
        let name = self.free_name(checksum);
        let keep = self.shelf.file(&name, "keep");
        let syncing = if absorbed.is_empty() { self.syncing } else { self.syncing_others };
        let shelved = ShelvedPack { name: name.clone(), objects: *objects, effort: *effort };
        self.shelf.add(&shelved)?;
        // From here on an error, and whoever gets the pack, removes the keep file.
        let stored = StoredPack { shelf: self.shelf.clone(), pack: shelved, keep, absorbed };
        match self.write(&name, bytes, index, &stored.keep, syncing) {
            // `git gc` removes empty directories, and `git prune` what it takes for left-overs.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.write(&name, bytes, index, &stored.keep, syncing)?;
            }
            written => written?,
        }
        Ok(stored)
    }

    fn write(&self, name: &str, pack: &[u8], index: &[u8], keep: &Path, syncing: Syncing) -> Result<()> {
        let made = self.sharing.create_directory(&self.directory);
        made.map_err(|error| Error::io(format!("create {}", self.directory.display()), error))?;
        fs::write(keep, KEPT_BY_US).map_err(|error| Error::io(format!("write {}", keep.display()), error))?;
        self.sharing.apply_to_file(keep);
        let mut drafts = Vec::with_capacity(2);
        let written = [("pack", pack), ("idx", index)].into_iter().try_for_each(|(extension, bytes)| {
            let temporary = self.draft_of(name, extension);
            let draft = self.draft(&temporary, bytes);
            let draft = draft.map_err(|error| Error::io(format!("write {}", temporary.display()), error));
            let path = self.shelf.file(name, extension);
            drafts.push(Draft {
                file: draft.inspect_err(|_| _ = fs::remove_file(&temporary))?,
                temporary,
                path,
            });
            Ok(())
        });
        let named = written.and_then(|()| syncing.name(&drafts));
        if named.is_err() {
            // The system may have dropped what it could not write, and still call the next sync of the same file done.
            // Nothing refers to these objects yet; the next try writes them anew.
            for draft in drafts.iter().rev() {
                _ = fs::remove_file(&draft.path);
                _ = fs::remove_file(&draft.temporary);
            }
        }
        named
    }

    /// A name that no pack has or had lately. An append that comes again in the same second makes the same bytes; but a
    /// repack that is under way may have the old name on the list of what it removes in the end.
    fn free_name(&self, checksum: &[u8]) -> String {
        let mut sum = checksum.to_vec();
        let listed = self.shelf.all();
        loop {
            let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = format!("pack-{hex}");
            let is_taken =
                ["pack", "idx", "keep"].iter().any(|extension| self.shelf.file(&name, extension).exists());
            if !is_taken && listed.iter().all(|pack| pack.name != name) {
                return name;
            }
            sum = super::checksum(self.format, &[&sum, b"again"]);
        }
    }

    /// A complete file that was read back.
    fn draft(&self, path: &Path, bytes: &[u8]) -> io::Result<File> {
        let open = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o444).open(path);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(path).and_then(|()| open())
            }
            opened => opened,
        }?;
        file.write_all(bytes)?;
        let mut found = vec![0; bytes.len().min(READ_BACK_BYTES)];
        for (number, part) in bytes.chunks(READ_BACK_BYTES).enumerate() {
            let found = &mut found[..part.len()];
            file.read_exact_at(found, (number * READ_BACK_BYTES) as u64)?;
            if found != part {
                return Err(io::Error::other("it reads back otherwise than it was written"));
            }
        }
        self.sharing.apply_to_file(path);
        Ok(file)
    }

    /// The pack together with those that are due. One that is damaged is left to git. `None`: none is due.
    fn join_due(&self, built: &BuiltPack) -> Result<Option<(BuiltPack, Vec<ShelvedPack>)>> {
        let due = self.shelf.due(built.objects);
        let own = index::parse(self.format, &built.index, &built.checksum);
        let Some(own) = own.filter(|_| !due.is_empty()) else { return Ok(None) };
        // What was written for time is not small when it lies beside what was written for space.
        let effort =
            if due.iter().any(|pack| pack.effort == Effort::Time) { Effort::Time } else { built.effort };
        let mut joint = PackBuilder::new(self.format, effort);
        joint.absorb(&built.bytes, &own);
        let mut absorbed = Vec::new();
        for due in due {
            match self.load(&due.name) {
                Loaded::Whole { pack, objects } => {
                    if joint.absorb(&pack, &objects) {
                        absorbed.push(due);
                    }
                }
                Loaded::Gone => absorbed.push(due),
                Loaded::Damaged => {}
            }
        }
        Ok(Some((joint.finish()?, absorbed)))
    }

    /// Reads a pack of the shelf, and checks it: what is damaged must not get a new checksum.
    pub fn load(&self, name: &str) -> Loaded {
        let read = |extension| fs::read(self.shelf.file(name, extension));
        let (pack, index) = match (read("pack"), read("idx")) {
            (Ok(pack), Ok(index)) => (pack, index),
            (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Loaded::Gone;
            }
            _ => return Loaded::Damaged,
        };
        let body = pack.len().saturating_sub(checksum_bytes(self.format));
        let (content, sum) = pack.split_at(body);
        if super::checksum(self.format, &[content]) != sum {
            return Loaded::Damaged;
        }
        match index::parse(self.format, &index, sum) {
            Some(objects) => Loaded::Whole { pack, objects },
            None => Loaded::Damaged,
        }
    }

    /// No name that git knows: it would take `tmp_…` from under us with `git gc --prune=now`, and read what ends in `.idx`.
    fn draft_of(&self, name: &str, extension: &str) -> PathBuf {
        self.directory.join(format!("audit-draft-{name}-{extension}"))
    }

    /// Removes what an append left that was killed. Only under the writers' lock: nobody else's is under way.
    pub fn clean_up(&self) {
        let Some(ShelvedPack { name, .. }) = self.shelf.all().pop() else { return };
        let keep = self.shelf.file(&name, "keep");
        if !is_our_keep(&keep) {
            return;
        }
        for extension in ["pack", "idx"] {
            _ = fs::remove_file(self.draft_of(&name, extension));
        }
        if !self.shelf.file(&name, "idx").exists() {
            // Without an index it was never seen by anybody.
            _ = fs::remove_file(self.shelf.file(&name, "pack"));
        }
        remove_keep(&keep);
    }
}

/// What became of a pack on the shelf.
pub(in crate::ledger) enum Loaded {
    /// It is as it was written.
    Whole { pack: Vec<u8>, objects: Vec<index::Located> },
    /// It is not there: git repacked it.
    Gone,
    /// It cannot be read, or is not what was written.
    Damaged,
}

impl StoredPack {
    /// The branch has moved to it: git may do with it what it likes, and what it absorbed is not needed any more.
    pub fn release(mut self) -> ShelvedPack {
        let absorbed = std::mem::take(&mut self.absorbed);
        let (shelf, pack) = (self.shelf.clone(), self.pack.clone());
        drop(self);
        // Asked again: somebody may have begun to rely on them meanwhile.
        let free: Vec<_> = absorbed.into_iter().filter(|pack| shelf.is_free(pack)).collect();
        shelf.discard(&free);
        pack
    }
}

impl Drop for StoredPack {
    fn drop(&mut self) {
        remove_keep(&self.keep);
    }
}

/// A keep file that says something else is somebody else's. One that is empty was cut short.
fn is_our_keep(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| KEPT_BY_US.as_bytes().starts_with(&text))
}

fn remove_keep(path: &Path) {
    if is_our_keep(path) {
        _ = fs::remove_file(path);
    }
}
