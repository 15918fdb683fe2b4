//! Wall times of whole processes.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::sandbox::{Result, output};

/// The wall time of the commands, one after the other, from before the first starts to after the last has ended.
pub(crate) fn wall_ms(commands: &mut [Command]) -> Result<f64> {
    let start = Instant::now();
    for command in commands {
        output(command.stdout(Stdio::null()))?;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}
