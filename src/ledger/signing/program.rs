//! Running one of the programs: what it reads is given, what it says is bounded, and it ends by a deadline.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a program says beyond this is read, and dropped.
const MAX_OUTPUT_BYTES: usize = 256 << 10;
/// A program that ended may leave another one running that holds its streams: an agent, say.
const GRACE: Duration = Duration::from_millis(50);

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code was 0.
    pub succeeded: bool,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
}

/// Why it did nothing.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started.
    NotStarted(io::Error),
    /// It had not ended after so long, and was killed.
    TimedOut(Duration),
}

/// Runs `command` with `input` on its standard input, which is empty else, for at most `limit`.
///
/// # Errors
/// It cannot be started, or does not end.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Ran, Failure> {
    let ends = Instant::now() + limit;
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(Failure::NotStarted)?;
    let followed = follow(&mut child, input);
    let status = match &followed {
        Ok(streams) => wait(&mut child, streams, ends),
        Err(_) => None,
    };
    if status.is_none() {
        _ = child.kill();
        _ = child.wait();
    }
    let [stdout, stderr] = followed.map_err(Failure::NotStarted)?;
    let status = status.ok_or(Failure::TimedOut(limit))?;
    Ok(Ran { succeeded: status.success(), stdout: stdout.take(), stderr: stderr.take() })
}

/// Feeds the program and hears it, each on a thread of its own: whoever of us waited for the other would wait for ever.
fn follow(child: &mut Child, input: &[u8]) -> io::Result<[Stream; 2]> {
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // It need not read all of it to know what it has to say.
        std::thread::Builder::new().spawn(move || _ = stdin.write_all(&input))?;
    }
    Ok([Stream::of(child.stdout.take())?, Stream::of(child.stderr.take())?])
}

/// Something that is being read.
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Disconnected at its end.
    end: Receiver<()>,
}

impl Stream {
    fn of(pipe: Option<impl Read + Send + 'static>) -> io::Result<Self> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let (at_its_end, end) = channel();
        if let Some(mut pipe) = pipe {
            let kept = Arc::clone(&bytes);
            let read = move || {
                let mut buffer = [0; 8 << 10];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = MAX_OUTPUT_BYTES - kept.len();
                    kept.extend_from_slice(&buffer[..count.min(room)]);
                }
                drop(at_its_end);
            };
            std::thread::Builder::new().spawn(read)?;
        }
        Ok(Self { bytes, end })
    }

    fn take(self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How the program ended; `None` if it did not in time.
fn wait(child: &mut Child, streams: &[Stream; 2], ends: Instant) -> Option<ExitStatus> {
    let left = || ends.saturating_duration_since(Instant::now());
    for stream in streams {
        // The end of its streams is the end of the program, and wakes us sooner than any asking.
        while stream.end.recv_timeout(GRACE.min(left())) == Err(RecvTimeoutError::Timeout) {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            if left().is_zero() {
                return None;
            }
        }
    }
    let mut pause = Duration::from_micros(20);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if !left().is_zero() => std::thread::sleep(pause),
            _ => return None,
        }
        pause = (pause * 2).min(GRACE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], limit: Duration) -> Result<Ran, Failure> {
        run(Command::new("sh").args(["-c", script]), input, limit)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_program_is_fed_and_heard() {
        let input = vec![b'x'; 200 << 10];
        let ran = shell("cat; echo oops >&2; exit 3", &input, LONG).unwrap();
        assert_eq!((ran.succeeded, ran.stdout, ran.stderr), (false, input, b"oops\n".to_vec()));
        assert!(shell("exec true", &[b'x'; 1 << 20], LONG).unwrap().succeeded);
        assert_eq!(shell("cat", b"", LONG).unwrap().stdout, b"");
    }

    #[test]
    fn what_it_says_is_bounded() {
        let ran = shell("head -c 3000000 /dev/zero", b"", LONG).unwrap();
        assert_eq!((ran.succeeded, ran.stdout.len()), (true, MAX_OUTPUT_BYTES));
    }

    #[test]
    fn one_that_hangs_is_ended_and_one_that_leaves_another_behind_is_not_waited_for() {
        let started = Instant::now();
        let hung = shell("exec sleep 60", b"", Duration::from_millis(100));
        assert!(matches!(hung, Err(Failure::TimedOut(_))));
        // It closed its streams, and goes on.
        let silent = shell("exec >&- 2>&-; exec sleep 60", b"", Duration::from_millis(100));
        assert!(matches!(silent, Err(Failure::TimedOut(_))));
        let left_behind = shell("sleep 20 & echo made", b"", LONG).unwrap();
        assert_eq!((left_behind.succeeded, left_behind.stdout), (true, b"made\n".to_vec()));
        assert!(started.elapsed() < Duration::from_secs(15));
        let missing = run(&mut Command::new("/no/such/program"), b"", LONG);
        assert!(matches!(missing, Err(Failure::NotStarted(_))));
    }
}
