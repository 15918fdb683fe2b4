//! The `git-audit` binary, run by people and machines as `git audit …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    git_audit::cli::main()
}
