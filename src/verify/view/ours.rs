//! Which of a few objects are the ledger's: its commits, their trees, and everything below `.audit`.
//!
//! It is asked only where git is told to take others for them, which honest repositories have for code if at all.

use std::collections::HashSet;

use super::super::object;
use super::super::timeline::Step;
use crate::ledger::layout::ROOT;
use crate::ledger::{Kind, ObjectId, RawObjects};

/// Those of `asked` that are.
pub(super) fn among(
    asked: Vec<Vec<u8>>,
    steps: &[Step],
    objects: &RawObjects,
    id_size: usize,
) -> HashSet<Vec<u8>> {
    let mut search = Search { asked: asked.into_iter().collect(), met: HashSet::new(), objects, id_size };
    let mut found = HashSet::new();
    for step in steps {
        search.asked.take(step.id.as_bytes()).map(|id| found.insert(id));
        search.asked.take(step.tree.as_bytes()).map(|id| found.insert(id));
    }
    // Where all are commits, or trees at the top, nothing has to be read.
    for step in steps.iter().rev() {
        if search.asked.is_empty() {
            break;
        }
        search.below_top(step.tree, &mut found);
    }
    found
}

struct Search<'s> {
    asked: HashSet<Vec<u8>>,
    met: HashSet<ObjectId>,
    objects: &'s RawObjects,
    id_size: usize,
}

impl Search<'_> {
    fn below_top(&mut self, top: ObjectId, found: &mut HashSet<Vec<u8>>) {
        let Ok(bytes) = self.objects.read(top, Kind::Tree) else { return };
        let items = object::tree(&bytes, self.id_size, Some(ROOT)).unwrap_or_default();
        let ledger = items.iter().find(|line| line.name == ROOT.as_bytes()).and_then(object::Line::item);
        let ledger = ledger.map(|item| item.id);
        let mut ahead: Vec<_> = ledger.into_iter().collect();
        while let Some(id) = ahead.pop() {
            if !self.met.insert(id) {
                continue;
            }
            self.asked.take(id.as_bytes()).map(|id| found.insert(id));
            let Ok(bytes) = self.objects.read(id, Kind::Tree) else { continue };
            let lines = object::tree(&bytes, self.id_size, None).unwrap_or_default();
            for item in lines.iter().filter_map(object::Line::item) {
                if item.is_directory() {
                    ahead.push(item.id);
                } else {
                    self.asked.take(item.id.as_bytes()).map(|id| found.insert(id));
                }
            }
        }
    }
}
