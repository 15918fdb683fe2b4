//! What a ledger says of itself in the tree of a commit: whether the commits that follow have to be signed, and who may.

use std::collections::HashMap;

use super::engine;
use super::timeline::Step;
use crate::ledger::layout::CONFIG;
use crate::ledger::signing::is_required_by;
use crate::ledger::{Kind, ObjectId, RawObjects};

/// Reads policies; each version of the file once.
pub struct Policies<'o> {
    objects: &'o RawObjects,
    id_bytes: usize,
    known: HashMap<ObjectId, Result<bool, String>>,
}

impl<'o> Policies<'o> {
    /// Reads from these objects.
    pub fn new(objects: &'o RawObjects, id_bytes: usize) -> Self {
        Self { objects, id_bytes, known: HashMap::new() }
    }

    /// A file of the ledger's, by its path from the top of this tree.
    pub fn file(&self, top: ObjectId, path: &str) -> Option<ObjectId> {
        engine::item(self.objects, self.id_bytes, top, path).map(|item| item.id)
    }

    /// Its content.
    pub fn content(&self, top: ObjectId, path: &str) -> Option<Vec<u8>> {
        engine::content(self.objects, self.id_bytes, top, path)
    }

    /// Whether what follows this tree has to be signed.
    ///
    /// # Errors
    /// The policy cannot be read: why.
    pub fn requires_signatures(&mut self, top: ObjectId) -> Result<bool, String> {
        self.file(top, CONFIG).map_or(Ok(false), |file| self.requires(file))
    }

    fn requires(&mut self, file: ObjectId) -> Result<bool, String> {
        if let Some(known) = self.known.get(&file) {
            return known.clone();
        }
        let content = self.objects.read(file, Kind::Blob);
        let content = content.map_err(|_| format!("{CONFIG} cannot be read"));
        let requires = content.and_then(|bytes| is_required_by(&String::from_utf8_lossy(&bytes)));
        self.known.insert(file, requires.clone());
        requires
    }

    /// Whether this version of the file wants signatures. One that nobody understands does: else it would be a way round
    /// them. One that is not here is a finding of its own.
    pub fn binds(&mut self, file: ObjectId) -> bool {
        self.requires(file).unwrap_or_else(|_| self.objects.read(file, Kind::Blob).is_ok())
    }

    /// The same of what follows this tree.
    pub fn binds_after(&mut self, top: ObjectId) -> bool {
        self.file(top, CONFIG).is_some_and(|file| self.binds(file))
    }

    /// Whether the commit has another policy than the one that it follows, and which cannot be read: why.
    pub fn broken_by(&mut self, step: &Step, before: Option<ObjectId>) -> Option<String> {
        let is_new = self.file(step.tree, CONFIG) != before.and_then(|top| self.file(top, CONFIG));
        if is_new { self.requires_signatures(step.tree).err() } else { None }
    }
}
