//! `smsgw completions` and `smsgw man`: what shells and `man` know of the command line.
//!
//! Both are made from the options themselves; nothing is written twice.

use super::Cli;
use super::balance::say;
use crate::exit::Exit;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

/// Print what completes words of smsgw in a shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsOptions {
    /// The shell, such as bash, zsh or fish.
    shell: Shell,
}

/// Write the manual pages, one a command, into a directory.
#[derive(Debug, Args)]
pub(super) struct ManOptions {
    /// The directory; it must exist.
    dir: PathBuf,
}

/// Prints.
pub(super) fn run(options: &CompletionsOptions) -> Exit {
    let mut octets = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "smsgw", &mut octets);
    say(&String::from_utf8_lossy(&octets));
    Exit::Stopped
}

/// Writes.
pub(super) fn run_man(options: &ManOptions) -> Exit {
    match clap_mangen::generate_to(Cli::command(), &options.dir) {
        Ok(()) => Exit::Stopped,
        Err(error) => {
            eprintln!("smsgw: {}: {error}", options.dir.display());
            Exit::Config
        }
    }
}
