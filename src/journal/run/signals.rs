//! Signals that are sent to us are sent on to the command. Those that the terminal sends it gets by itself, as it is of
//! the same process group; a second one would look like a second Ctrl-C.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, getpid, getsid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::backend::Handle;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

const ENDING: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
const OTHERS: [i32; 2] = [SIGUSR1, SIGUSR2];

/// The signals that arrive while the command runs.
pub(super) struct Signals {
    state: Arc<Mutex<State>>,
    handle: Option<Handle>,
}

#[derive(Default)]
struct State {
    /// The command, while it runs.
    command: Option<Pid>,
    /// What arrived before it ran.
    waiting: Vec<i32>,
    asked_to_end: Option<i32>,
}

impl Signals {
    /// From now on, none of them ends us. What was ignored when we were started stays so, for the command, too: `nohup`
    /// counts on it.
    pub fn listen() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let ignored = ignored_signals();
        let wanted = ENDING.into_iter().chain(OTHERS).filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let listening = SignalsInfo::<WithOrigin>::new(wanted.collect::<Vec<_>>());
        let Ok(mut signals) = listening else { return Self { state, handle: None } };
        let handle = signals.handle();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for origin in signals.forever() {
                lock(&shared).take(origin);
            }
        });
        Self { state, handle: Some(handle) }
    }

    /// The command runs.
    pub fn send_on_to(&self, command: Pid) {
        let mut state = lock(&self.state);
        state.command = Some(command);
        for signal in std::mem::take(&mut state.waiting) {
            send(command, signal);
        }
    }

    /// The command has ended: nothing is sent any more.
    pub fn stop(&self) {
        lock(&self.state).command = None;
    }

    /// The last signal that was to end the command.
    pub fn asked_to_end(&self) -> Option<i32> {
        lock(&self.state).asked_to_end
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
    }
}

impl State {
    fn take(&mut self, origin: Origin) {
        if ENDING.contains(&origin.signal) {
            self.asked_to_end = Some(origin.signal);
        }
        if matches!(origin.cause, Cause::Kernel) && !is_for_leader_alone(origin.signal) {
            return;
        }
        match self.command {
            Some(command) => send(command, origin.signal),
            None => self.waiting.push(origin.signal),
        }
    }
}

/// When a terminal is closed, only the leader of its session is told, which we are where nothing stands between us and
/// the terminal.
fn is_for_leader_alone(signal: i32) -> bool {
    signal == SIGHUP && getsid(None).is_ok_and(|leader| leader == getpid())
}

fn send(command: Pid, signal: i32) {
    // One that is gone needs none.
    _ = Signal::from_named_raw(signal).map(|signal| kill_process(command, signal));
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bit for each signal that this process was started to ignore. Where the system does not say, none.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
