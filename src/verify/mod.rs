//! Verification: the checks, over raw objects. It returns a report, never prints, and never uses the index.
//!
//! - [`report`]: findings, layers, the verdict

pub mod report;
