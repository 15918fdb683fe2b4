//! Waiting: one deadline for everything a writer may have to wait for, and the lock that keeps writers of one
//! repository from racing each other. Correctness never rests on the lock, only on the ref's compare-and-swap.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::sharing::Sharing;
use crate::error::{Error, Result};

/// How long a writer waits, in all.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From now on.
    pub fn within(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout }
    }

    /// The time that there was in the beginning.
    pub(super) fn whole(&self) -> Duration {
        self.timeout
    }

    /// Whether the time is up.
    pub(super) fn is_over(&self) -> bool {
        self.started.elapsed() >= self.timeout
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    fn busy(&self, what: &str) -> Error {
        Error::Busy { what: what.to_owned(), waited: self.started.elapsed() }
    }

    /// Sleeps a little before the next try; longer with each `attempt`, and not in step with other processes.
    ///
    /// # Errors
    /// [`Error::Busy`], naming `what`, when the time is up.
    pub fn pause(&self, attempt: u32, what: &str) -> Result<()> {
        let waited = self.started.elapsed();
        let Some(left) = self.timeout.checked_sub(waited).filter(|left| !left.is_zero()) else {
            return Err(self.busy(what));
        };
        let step = Duration::from_micros(500) * 2_u32.pow(attempt.min(6));
        let jitter =
            std::process::id().wrapping_mul(2_654_435_761).wrapping_add(attempt.wrapping_mul(40_503)) % 1000;
        std::thread::sleep((step + step.mul_f64(f64::from(jitter) / 1000.0)).min(left));
        Ok(())
    }
}

/// The writers' lock, held until it is dropped (or its process dies).
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// The lock, if nobody holds it.
    pub fn try_acquire(directory: &Path, sharing: Sharing) -> Result<Option<Self>> {
        let (file, path) = Self::open(directory, sharing)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Self::failed(&path, error)),
        }
    }

    /// Waits for the lock.
    pub fn acquire(directory: &Path, sharing: Sharing, deadline: Deadline) -> Result<Self> {
        let (file, path) = Self::open(directory, sharing)?;
        match file.try_lock() {
            Ok(()) => return Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Self::failed(&path, error)),
        }
        // The system wakes one that waits, which no polling can do as soon; but it knows no deadline. A thread that is
        // left waiting lets the lock go as soon as it gets it.
        let (sender, receiver) = mpsc::channel();
        let waiter = move || {
            let locked = file.lock();
            _ = sender.send(locked.map(|()| file));
        };
        std::thread::Builder::new().spawn(waiter).map_err(|error| Self::failed(&path, error))?;
        match receiver.recv_timeout(deadline.left()) {
            Ok(Ok(file)) => Ok(Self { _file: file }),
            Ok(Err(error)) => Err(Self::failed(&path, error)),
            Err(_) => Err(deadline.busy("the ledger's writer lock")),
        }
    }

    fn failed(path: &Path, error: io::Error) -> Error {
        Error::io(format!("lock {}", path.display()), error)
    }

    fn open(directory: &Path, sharing: Sharing) -> Result<(File, PathBuf)> {
        let path = directory.join("lock");
        let is_new = !path.exists();
        fs::create_dir_all(directory)
            .map_err(|error| Error::io(format!("create {}", directory.display()), error))?;
        let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.map_err(|error| Error::io(format!("open {}", path.display()), error))?;
        if is_new {
            sharing.apply_to_directory(directory);
            sharing.apply_to_file(&path);
        }
        Ok((file, path))
    }
}
