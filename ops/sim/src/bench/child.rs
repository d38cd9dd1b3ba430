//! Processes of a benchmark: started, listened to, ended.
//!
//! Knows the JSON lines of the simulator's commands and the gateway's log lines. Invariants: a process ends with its
//! value, however the benchmark ends; every wait has a deadline.

use super::BenchError;
use crate::process::{self, Usage, UsageError};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long an answer of a process may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a process may take to end.
const END: Duration = Duration::from_secs(30);
/// Log lines of the gateway shown when something goes wrong.
const LOG_TAIL: usize = 20;

fn command(bin: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(bin);
    command
        .args(arguments)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A process, its id, its input and the lines of its output.
type Started = (Child, u32, ChildStdin, Lines<BufReader<ChildStdout>>);

fn spawn(who: &'static str, mut command: Command) -> Result<Started, BenchError> {
    let mut child = command.spawn().map_err(BenchError::io(format!("start {who}")))?;
    let missing = || io::Error::other("the process has no pid or no pipes");
    let (Some(pid), Some(stdin), Some(stdout)) = (child.id(), child.stdin.take(), child.stdout.take()) else {
        return Err(BenchError::io(format!("start {who}"))(missing()));
    };
    Ok((child, pid, stdin, BufReader::new(stdout).lines()))
}

/// A simulated peer, told what to do over standard input.
pub(super) struct Peer {
    who: &'static str,
    child: Child,
    pid: u32,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    listen: Option<SocketAddr>,
}

impl Peer {
    /// Starts a peer that says first where it listens.
    pub(super) async fn listening(
        who: &'static str,
        bin: &Path,
        arguments: &[&str],
    ) -> Result<Self, BenchError> {
        let mut peer = Self::start(who, bin, arguments)?;
        let line: Value = peer.answer("the address it listens on", ANSWER).await?;
        peer.listen = line
            .get("listen")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        if peer.listen.is_none() {
            return Err(BenchError::Unexpected {
                who,
                line: line.to_string(),
                expected: "the address it listens on",
            });
        }
        Ok(peer)
    }

    /// Starts a peer that says one thing at its end.
    pub(super) fn start(who: &'static str, bin: &Path, arguments: &[&str]) -> Result<Self, BenchError> {
        let (child, pid, stdin, lines) = spawn(who, command(bin, arguments))?;
        Ok(Self {
            who,
            child,
            pid,
            stdin,
            lines,
            listen: None,
        })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, BenchError> {
        let expected = "the address it listens on";
        self.listen.ok_or(BenchError::Unexpected {
            who: self.who,
            line: String::new(),
            expected,
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, BenchError> {
        Ok(process::usage(self.pid)?)
    }

    pub(super) async fn tell(&mut self, line: &str) -> Result<(), BenchError> {
        let written = self.stdin.write_all(format!("{line}\n").as_bytes()).await;
        written.map_err(BenchError::io(format!("talk to {}", self.who)))
    }

    pub(super) async fn stats<T: DeserializeOwned>(&mut self) -> Result<T, BenchError> {
        self.tell("stats").await?;
        self.answer("its counts", ANSWER).await
    }

    /// The one thing it says, after at most that time.
    pub(super) async fn result<T: DeserializeOwned>(mut self, within: Duration) -> Result<T, BenchError> {
        let result = self.answer("its result", within).await?;
        self.end().await?;
        Ok(result)
    }

    /// Ends its input, takes its last words and waits for it.
    pub(super) async fn end(self) -> Result<(), BenchError> {
        let Self {
            who,
            mut child,
            stdin,
            mut lines,
            ..
        } = self;
        drop(stdin);
        let last_words = async { while let Ok(Some(_)) = lines.next_line().await {} };
        if timeout(END, last_words).await.is_err() {
            return Err(BenchError::NotDone {
                what: "a process did not end",
                within: END,
                state: who.into(),
            });
        }
        wait(who, &mut child).await
    }

    async fn answer<T: DeserializeOwned>(
        &mut self,
        expected: &'static str,
        within: Duration,
    ) -> Result<T, BenchError> {
        let who = self.who;
        let line = match timeout(within, self.lines.next_line()).await {
            Ok(line) => line
                .map_err(BenchError::io(format!("listen to {who}")))?
                .unwrap_or_default(),
            Err(_) => {
                return Err(BenchError::NotDone {
                    what: "a process did not answer",
                    within,
                    state: who.into(),
                });
            }
        };
        serde_json::from_str(&line).map_err(|_| BenchError::Unexpected { who, line, expected })
    }
}

async fn wait(who: &'static str, child: &mut Child) -> Result<(), BenchError> {
    match timeout(END, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(BenchError::Unexpected {
            who,
            line: status.to_string(),
            expected: "a successful exit",
        }),
        Ok(Err(error)) => Err(BenchError::io(format!("wait for {who}"))(error)),
        Err(_) => Err(BenchError::NotDone {
            what: "a process did not end",
            within: END,
            state: who.into(),
        }),
    }
}

/// The gateway.
pub(super) struct Gateway {
    child: Child,
    pid: u32,
    /// Keeps its standard input open.
    _stdin: ChildStdin,
    /// Takes its log, so that the pipe never fills.
    log: JoinHandle<VecDeque<String>>,
    pub(super) http: SocketAddr,
    pub(super) smpp: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Gateway {
    /// Starts it and reads from its log where it listens.
    pub(super) async fn start(bin: &Path, config: &Path) -> Result<Self, BenchError> {
        let mut command = command(bin, &["run", "--config"]);
        command.arg(config);
        let (child, pid, stdin, mut lines) = spawn("the gateway", command)?;
        let (mut http, mut smpp, mut admin) = (None, None, None);
        let mut tail = VecDeque::new();
        let found = timeout(ANSWER, async {
            loop {
                if let (Some(http), Some(smpp), Some(admin)) = (http, smpp, admin) {
                    return Ok(Some((http, smpp, admin)));
                }
                let Some(line) = lines.next_line().await? else {
                    return Ok(None);
                };
                match listens(&line) {
                    Some((Listener::Http, at)) => http = Some(at),
                    Some((Listener::Smpp, at)) => smpp = Some(at),
                    Some((Listener::Admin, at)) => admin = Some(at),
                    None => {}
                }
                remember(&mut tail, line);
            }
        });
        match found.await {
            Ok(Ok(Some((http, smpp, admin)))) => {
                let log = tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        remember(&mut tail, line);
                    }
                    tail
                });
                Ok(Self {
                    child,
                    pid,
                    _stdin: stdin,
                    log,
                    http,
                    smpp,
                    admin,
                })
            }
            Ok(Err(error)) => Err(BenchError::io("read the gateway's log")(error)),
            Ok(Ok(None)) | Err(_) => Err(BenchError::NotDone {
                what: "the gateway did not say where it listens",
                within: ANSWER,
                state: Vec::from(tail).join("\n"),
            }),
        }
    }

    pub(super) fn usage(&self) -> Result<Usage, BenchError> {
        Ok(process::usage(self.pid)?)
    }

    /// Octets it has sent to disks, as the kernel counts them; memory that looks like a disk is none.
    pub(super) fn written(&self) -> Result<u64, BenchError> {
        let path = format!("/proc/{}/io", self.pid);
        let found = fs::read_to_string(&path).and_then(|text| {
            written(&text).ok_or_else(|| io::Error::other("there is no number of octets written"))
        });
        found.map_err(|kind| UsageError { path, kind }.into())
    }

    /// Drains and stops it.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let told = pid.map(|pid| kill_process(pid, Signal::TERM));
        if let Some(Err(error)) = told {
            return Err(BenchError::io("stop the gateway")(error.into()));
        }
        let ended = wait("the gateway", &mut self.child).await;
        if let (Err(BenchError::Unexpected { who, line, expected }), Ok(tail)) = (&ended, self.log.await) {
            let line = format!("{line}\n{}", Vec::from(tail).join("\n"));
            return Err(BenchError::Unexpected { who, line, expected });
        }
        ended
    }
}

/// From the text of `/proc/<pid>/io`.
fn written(io: &str) -> Option<u64> {
    let number = io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?;
    number.trim().parse().ok()
}

fn remember(tail: &mut VecDeque<String>, line: String) {
    if tail.len() >= LOG_TAIL {
        tail.pop_front();
    }
    tail.push_back(line);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Http,
    Smpp,
    Admin,
}

/// Whether a line of the log says where something listens; fields stand beside the message or in `fields`.
fn listens(line: &str) -> Option<(Listener, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let listener = match fields.get("message")?.as_str()? {
        "HTTP API listens" => Listener::Http,
        "SMPP server listens" => Listener::Smpp,
        "admin listens" => Listener::Admin,
        _ => return None,
    };
    Some((listener, fields.get("listen")?.as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_not_what_was_cancelled() {
        let text = "rchar: 9\nwchar: 8\nread_bytes: 7\nwrite_bytes: 8192\ncancelled_write_bytes: 4096\n";
        assert_eq!((written(text), written("wchar: 8\n")), (Some(8192), None));
    }

    #[test]
    fn the_log_says_where_it_listens() {
        let at = "127.0.0.1:8080".parse().unwrap();
        for (line, found) in [
            (
                r#"{"level":"INFO","fields":{"message":"HTTP API listens","listen":"127.0.0.1:8080"}}"#,
                Listener::Http,
            ),
            (
                r#"{"level":"INFO","message":"SMPP server listens","listen":"127.0.0.1:8080"}"#,
                Listener::Smpp,
            ),
            (
                r#"{"level":"INFO","message":"admin listens","listen":"127.0.0.1:8080"}"#,
                Listener::Admin,
            ),
        ] {
            assert_eq!(listens(line), Some((found, at)));
        }
        assert_eq!((listens(r#"{"message":"other"}"#), listens("text")), (None, None));
    }
}
