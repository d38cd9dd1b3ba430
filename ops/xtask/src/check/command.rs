//! Starts other programs, with their output going straight to ours.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use anyhow::{Context, bail};

/// One call of a program.
#[derive(Debug)]
pub(super) struct Tool {
    command: Command,
    program: OsString,
}

impl Tool {
    pub(super) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null());
        Self {
            command,
            program: program.as_ref().to_owned(),
        }
    }

    pub(super) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our own output. An exit code other than 0 is an error.
    pub(super) fn stream(mut self) -> anyhow::Result<()> {
        let status = self.command.status().with_context(|| self.not_started())?;
        if !status.success() {
            bail!("{} ended with {status}", self.program.display());
        }
        Ok(())
    }

    /// Like `stream`, and shows each line to `see`.
    pub(super) fn stream_lines(mut self, mut see: impl FnMut(&str)) -> anyhow::Result<()> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().with_context(|| self.not_started())?;
        let (sender, lines) = sync_channel(256);
        let stdout: Box<dyn Read + Send> =
            Box::new(child.stdout.take().context("no pipe for standard output")?);
        let stderr: Box<dyn Read + Send> =
            Box::new(child.stderr.take().context("no pipe for standard error")?);
        let readers: Vec<_> = [stdout, stderr]
            .into_iter()
            .map(|pipe| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut pipe = BufReader::new(pipe);
                    let mut line = Vec::new();
                    while pipe.read_until(b'\n', &mut line)? > 0 {
                        if sender.send(std::mem::take(&mut line)).is_err() {
                            break;
                        }
                    }
                    std::io::Result::Ok(())
                })
            })
            .collect();
        drop(sender);
        for line in lines {
            std::io::stdout()
                .write_all(&line)
                .context("failed to pass the output on")?;
            see(String::from_utf8_lossy(&line).trim_end());
        }
        for reader in readers {
            reader
                .join()
                .expect("the readers do not panic")
                .context("failed to read the output")?;
        }
        let status = child.wait().context("failed to wait for the program")?;
        if !status.success() {
            bail!("{} ended with {status}", self.program.display());
        }
        Ok(())
    }

    /// Whether it starts and ends with 0; its output is not shown.
    pub(super) fn succeeds(mut self) -> bool {
        self.command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn not_started(&self) -> String {
        format!("failed to start {}", self.program.display())
    }
}

/// Where a program is on the search path, as a shell would find it, or in the directories of system programs.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_outputs_are_seen_line_by_line() {
        let mut seen = Vec::new();
        Tool::new("sh")
            .args(&["-c", "echo a; echo b >&2; printf c"])
            .stream_lines(|l| seen.push(l.to_owned()))
            .unwrap();
        seen.sort();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn an_exit_code_is_an_error() {
        assert!(
            Tool::new("sh")
                .args(&["-c", "exit 3"])
                .stream_lines(|_| {})
                .is_err()
        );
        assert!(Tool::new("sh").args(&["-c", "exit 3"]).stream().is_err());
        assert!(!Tool::new("no-such-program-anywhere").succeeds());
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
