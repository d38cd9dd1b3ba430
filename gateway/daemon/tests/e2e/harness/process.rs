//! A child process: its lines, its signals, its end. Killed when dropped; shows its last lines when a test fails.

use super::PATIENCE;
use super::ledger::Ledger;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// Lines shown of a process when a test fails.
const SHOWN: usize = 60;

#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: Pid,
    stdin: Option<ChildStdin>,
    readers: Vec<JoinHandle<()>>,
    /// Lines of standard output.
    pub(crate) out: Arc<Ledger<String>>,
    /// Lines of standard error.
    pub(crate) err: Arc<Ledger<String>>,
}

impl Process {
    pub(crate) fn spawn(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let out = Ledger::new(format!("{name} stdout"));
        let err = Ledger::new(format!("{name} stderr"));
        let readers = vec![
            tokio::spawn(read_lines(child.stdout.take().unwrap(), Arc::clone(&out))),
            tokio::spawn(read_lines(child.stderr.take().unwrap(), Arc::clone(&err))),
        ];
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        Self {
            name: name.to_owned(),
            pid,
            stdin: child.stdin.take(),
            child,
            readers,
            out,
            err,
        }
    }

    /// Writes one line to its standard input.
    pub(crate) async fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal)
            .unwrap_or_else(|error| panic!("{} cannot be signalled: {error}", self.name));
    }

    /// Waits for its end and for its last line.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("{} does not end within {PATIENCE:?}", self.name))
            .unwrap();
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        status
    }

    /// SIGKILL, and its end.
    pub(crate) async fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to kill, and its status says why.
        if let Err(error) = kill_process(self.pid, Signal::KILL) {
            eprintln!("{} had ended before its kill: {error}", self.name);
        }
        self.ended().await;
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

async fn read_lines(stream: impl AsyncRead + Unpin, ledger: Arc<Ledger<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        ledger.push(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (stream, ledger) in [("stdout", &self.out), ("stderr", &self.err)] {
            ledger.read(|lines| {
                let skipped = lines.len().saturating_sub(SHOWN);
                eprintln!(
                    "---- {} {stream}: {} lines, the last ones:",
                    self.name,
                    lines.len()
                );
                for line in &lines[skipped..] {
                    eprintln!("{line}");
                }
            });
        }
    }
}
