//! The smsgw binary: command line, boot, the administrator's listener, and the demonstration.
//!
//! The only crate that names an engine and wires nodes together; it holds no message and decides nothing about one.

mod admin;
mod boot;
mod bounds;
mod check;
mod cli;
mod config_api;
mod counters;
mod credit;
mod dead_letters;
mod demo;
mod exit;
mod explain;
mod explain_mo;
mod history;
mod logging;
mod moves;
mod operators;
mod queues;
mod reach;
mod run;
mod sessions;
mod status;
mod trace;

use clap::Parser;
use std::process::ExitCode;

/// Records are made on one thread and freed on another, which the C library's allocator pays for with locks.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::Cli::parse().execute()
}
