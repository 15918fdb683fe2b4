//! One test binary: a change rebuilds one program, not twenty. Each file is a subject.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that cannot go on stops, and tests live outside the rules for the product"
)]

mod architecture;
mod capture;
mod capture_odd;
mod checkout;
mod checkpoint;
mod ci;
mod ci_examples;
mod concurrency;
mod damage;
mod docs;
mod faults;
mod guard;
mod guard_signing;
mod hook;
mod hook_install;
mod import;
mod index;
mod index_life;
mod init;
mod input;
mod journal;
mod journal_end;
mod journal_faults;
mod log;
mod merges;
mod output;
mod places;
mod plain_git;
mod prove;
mod query;
mod record;
mod redaction;
mod redaction_tasks;
mod run;
mod run_ends;
mod run_signals;
mod run_terminal;
mod sandbox;
mod shell;
mod show;
mod signatures;
mod signing;
mod spool;
mod superseded;
mod tamper;
mod terminal;
mod verify;
mod verify_checkout;
mod verify_damage;
mod verify_entries;
mod verify_history;
mod verify_masks;
mod verify_merges;
mod verify_objects;
mod verify_pin;
mod verify_places;
mod verify_properties;
mod verify_signed;
mod verify_since;
mod verify_view;
mod verify_witnessed;
mod writers;
