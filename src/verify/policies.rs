//! What a ledger says of itself in the tree of a commit: whether the commits that follow have to be signed, and who may.

use std::collections::HashMap;

use super::object::{self, Item};
use super::timeline::Step;
use crate::ledger::layout::ROOT;
use crate::ledger::signing::is_required_by;
use crate::ledger::{Kind, ObjectId, RawObjects};

/// The policy file, below `.audit`.
const CONFIG: &str = "config.toml";

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

    /// The ledger's directory under this tree at the top.
    pub fn directory(&self, top: ObjectId) -> Option<ObjectId> {
        self.line(top, ROOT).map(|item| item.id)
    }

    /// A file of the ledger's that is no entry.
    pub fn file(&self, top: ObjectId, name: &str) -> Option<ObjectId> {
        self.line(self.directory(top)?, name).map(|item| item.id)
    }

    /// Its content.
    pub fn content(&self, top: ObjectId, name: &str) -> Option<Vec<u8>> {
        let bytes = self.objects.read(self.file(top, name)?, Kind::Blob).ok()?;
        Some(bytes.to_vec())
    }

    /// Whether what follows this tree has to be signed.
    ///
    /// # Errors
    /// The policy cannot be read: why.
    pub fn requires_signatures(&mut self, top: ObjectId) -> Result<bool, String> {
        let Some(file) = self.file(top, CONFIG) else { return Ok(false) };
        if let Some(known) = self.known.get(&file) {
            return known.clone();
        }
        let content = self.objects.read(file, Kind::Blob);
        let content = content.map_err(|_| format!("{ROOT}/{CONFIG} cannot be read"));
        let requires = content.and_then(|bytes| is_required_by(&String::from_utf8_lossy(&bytes)));
        self.known.insert(file, requires.clone());
        requires
    }

    /// Whether the commit has another policy than the one that it follows, and which cannot be read: why.
    pub fn broken_by(&mut self, step: &Step, before: Option<ObjectId>) -> Option<String> {
        let is_new = self.file(step.tree, CONFIG) != before.and_then(|top| self.file(top, CONFIG));
        if is_new { self.requires_signatures(step.tree).err() } else { None }
    }

    fn line(&self, tree: ObjectId, name: &str) -> Option<Item> {
        let bytes = self.objects.read(tree, Kind::Tree).ok()?;
        let lines = object::tree(&bytes, self.id_bytes, Some(ROOT)).ok()?;
        lines.iter().find(|line| line.name == name.as_bytes()).and_then(object::Line::item)
    }
}

/// A policy that cannot be read may require it.
pub fn is_required_at(policies: &mut Policies<'_>, top: ObjectId) -> bool {
    policies.requires_signatures(top).unwrap_or(true)
}
