//! The smsgw binary: command line, boot, the administrator's listener, and the demonstration.
//!
//! The only crate that names an engine and wires nodes together; it holds no message and decides nothing about one.

mod admin;
mod boot;
mod check;
mod cli;
mod demo;
mod exit;
mod logging;
mod run;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::Cli::parse().execute()
}
