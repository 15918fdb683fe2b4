//! Packing the ledger's own packs again, off everybody's critical path: many into one, and plain ones into tight ones.

use std::fs::File;
use std::time::Duration;

use super::Ledger;
use super::lock::{Deadline, WriterLock};
use crate::error::{Error, Result};

/// Writers come first: packing gives way when it does not get their lock in this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was done to the packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Packs that are part of others now.
    pub before: usize,
    /// The packs that took their place.
    pub after: usize,
    /// The number of their objects.
    pub objects: usize,
}

impl Ledger {
    /// Packs what has piled up. With `now` also what would not be due yet.
    ///
    /// # Errors
    /// A new pack cannot be written. Nothing is lost then: a pack is removed only when its objects are durable in
    /// another.
    pub fn pack(&self, now: bool) -> Result<Packed> {
        let mut packed = Packed::default();
        let one_at_a_time = self.packing_lock()?;
        if one_at_a_time.try_lock().is_err() {
            // Whoever asks for it now waits until it is done.
            if !(now && one_at_a_time.lock().is_ok()) {
                return Ok(packed);
            }
        }
        let store = self.packs();
        while let Some(due) = store.due(now) {
            let (builder, taken) = store.build(&due)?;
            let lock =
                WriterLock::acquire(&self.state_directory(), self.sharing(), Deadline::within(PATIENCE));
            let Ok(_lock) = lock else { break };
            store.clean_up();
            let shelf = store.shelf.all();
            if taken.is_empty() || taken.iter().any(|pack| !shelf.contains(pack)) {
                // Damaged, or an append was quicker.
                break;
            }
            packed.before += taken.len();
            let is_whole = taken.len() == due.packs().len();
            if builder.is_empty() {
                store.shelf.discard(&taken);
            } else {
                packed.after += 1;
                packed.objects += builder.len();
                store.place(&builder.finish()?, taken)?.release();
            }
            if !is_whole {
                break;
            }
        }
        Ok(packed)
    }

    fn packing_lock(&self) -> Result<File> {
        let path = self.state_directory().join("packing");
        let is_new = !path.exists();
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|error| Error::io(format!("open {}", path.display()), error))?;
        if is_new {
            self.sharing().apply_to_file(&path);
        }
        Ok(file)
    }

    /// Whether enough has piled up that [`Self::pack`] should run, and nobody is at it.
    pub(super) fn packing_is_due(&self) -> bool {
        self.packs().due(false).is_some() && self.packing_lock().is_ok_and(|lock| lock.try_lock().is_ok())
    }
}
