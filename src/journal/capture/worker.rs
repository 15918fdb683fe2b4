//! Work in somebody else's repository, on a thread of its own: whatever is wrong there, the caller goes on in time.
//!
//! What the worker found by then is kept. A worker that is late looks at its deadline and ends; one that hangs (a
//! truncated object makes libgit2 spin, a network mount may never answer) is left behind until the process ends.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// When the work has to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until(Instant);

impl Until {
    pub fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// A moment in between: after `part` of the time that is left.
    pub fn sooner(self, part: f64) -> Self {
        let now = Instant::now();
        Self(now + self.0.saturating_duration_since(now).mul_f64(part))
    }
}

/// Runs `work` for at most `time`; each thing it sends is given to `take`. Returns whether the work was done in time.
pub(super) fn run<P: Send + 'static>(
    time: Duration,
    work: impl FnOnce(Until, Sender<P>) + Send + 'static,
    mut take: impl FnMut(P),
) -> Result<bool> {
    // The worker gets a little less, so that it can say what it did not come to.
    let until = Until(Instant::now() + time.mul_f64(0.9));
    let end = Instant::now() + time;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("capture".into())
        .spawn(move || work(until, sender))
        .map_err(|error| Error::io("start a thread", error))?;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(part) => take(part),
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_left_behind_with_what_it_found() {
        let mut found = Vec::new();
        let work = |_: Until, sender: Sender<u32>| {
            _ = sender.send(1);
            thread::sleep(Duration::from_secs(60));
        };
        assert!(!run(Duration::from_millis(50), work, |part| found.push(part)).unwrap());
        assert_eq!(found, [1]);
    }
}
