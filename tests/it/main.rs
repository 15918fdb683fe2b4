//! One test binary: a change rebuilds one program, not twenty.
