//! Peers that are not ours: the carriers on npm's and on Jasmin's SMPP, the recording relay, the dissector.

use super::ledger::Ledger;
use super::process::Process;
use super::{peers, root, unhex};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// `ops/peers/carrier.js` or `twisted_carrier.py`: ledger and events come as one stream of lines, written before it answers.
#[derive(Debug)]
pub(crate) struct Carrier {
    process: Process,
    pub(crate) port: u16,
    pub(crate) ledger: Arc<Ledger<Value>>,
    reader: JoinHandle<()>,
}

impl Carrier {
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_on(0, args).await
    }

    pub(crate) async fn start_on(port: u16, args: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(root().join("ops/peers/carrier.js"));
        Self::spawn(command, port, args).await
    }

    /// The carrier on `smpp.twisted3`.
    pub(crate) async fn twisted(args: &[&str]) -> Self {
        let mut command = Command::new(peers().join("venv/bin/python"));
        command.arg(root().join("ops/peers/twisted_carrier.py"));
        Self::spawn(command, 0, args).await
    }

    async fn spawn(mut command: Command, port: u16, args: &[&str]) -> Self {
        command
            .args(["--port", &port.to_string()])
            .args(args)
            .env("SMSGW_PEERS", peers());
        let process = Process::spawn("carrier", command);
        let port = listening(&process).await;
        let ledger = Ledger::new("carrier");
        let (lines, entries) = (Arc::clone(&process.out), Arc::clone(&ledger));
        let reader = tokio::spawn(async move {
            // The first line is the port.
            for n in 1.. {
                let line = lines.nth(n).await;
                entries.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
            }
        });
        Self {
            process,
            port,
            ledger,
            reader,
        }
    }

    /// Gives a command; returns what the carrier answers to it.
    pub(crate) async fn command(&mut self, command: &Value) -> Value {
        let before = self.done(command);
        self.process.tell(&command.to_string()).await;
        self.ledger
            .wait(&format!("the carrier does {command}"), |entries| {
                entries
                    .iter()
                    .filter(|entry| is_done(entry, command))
                    .nth(before)
                    .cloned()
            })
            .await
    }

    fn done(&self, command: &Value) -> usize {
        self.ledger
            .read(|entries| entries.iter().filter(|entry| is_done(entry, command)).count())
    }

    /// Gives a command without waiting for its answer.
    pub(crate) async fn tell(&mut self, command: &Value) {
        self.process.tell(&command.to_string()).await;
    }

    /// Every submit so far, in order.
    pub(crate) fn submits(&self) -> Vec<Value> {
        self.ledger.read(submits)
    }

    /// Waits for so many submits.
    pub(crate) async fn submits_at_least(&self, count: usize) -> Vec<Value> {
        self.ledger
            .wait(&format!("{count} submits reach the carrier"), |entries| {
                Some(submits(entries)).filter(|submits| submits.len() >= count)
            })
            .await
    }

    /// How often something happened: `bind`, `closed`, `malformed`, `unexpected` …
    pub(crate) fn events(&self, event: &str) -> usize {
        self.ledger
            .read(|entries| entries.iter().filter(|entry| entry["event"] == event).count())
    }

    /// Waits until something has happened so often.
    pub(crate) async fn events_at_least(&self, event: &str, count: usize) {
        self.ledger
            .wait(&format!("{count} events {event} at the carrier"), |entries| {
                (entries.iter().filter(|entry| entry["event"] == event).count() >= count).then_some(())
            })
            .await;
    }

    /// Waits until so many deliveries are answered, each with success: `receipt_answered` or `mo_answered`.
    pub(crate) async fn answered(&self, kind: &str, count: usize) {
        let answers = self
            .ledger
            .wait(&format!("{count} entries {kind} at the carrier"), |entries| {
                let answers: Vec<_> = entries
                    .iter()
                    .filter(|entry| entry["kind"] == kind)
                    .cloned()
                    .collect();
                (answers.len() >= count).then_some(answers)
            })
            .await;
        assert!(
            answers.len() == count && answers.iter().all(|answer| answer["status"] == 0),
            "{answers:#?}"
        );
    }

    /// Nothing the gateway sent was malformed or unexpected.
    pub(crate) fn assert_content(&self) {
        for event in ["malformed", "unexpected", "bad_command", "bind_refused"] {
            assert_eq!(
                self.events(event),
                0,
                "{event}: {:#?}",
                self.ledger.read(<[Value]>::to_vec)
            );
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn is_done(entry: &Value, command: &Value) -> bool {
    entry["event"] == "done" && entry["cmd"] == command["cmd"]
}

fn submits(entries: &[Value]) -> Vec<Value> {
    entries
        .iter()
        .filter(|entry| entry["kind"] == "submit")
        .cloned()
        .collect()
}

/// The octets of a submit behind its user data header.
pub(crate) fn content(submit: &Value) -> Vec<u8> {
    let octets = unhex(submit["short_message"].as_str().unwrap());
    let header = submit["udh"].as_str().unwrap().len() / 2;
    octets[header..].to_vec()
}

async fn listening(process: &Process) -> u16 {
    process
        .out
        .wait("the peer listens", |lines| {
            lines
                .first()
                .map(|line| line.strip_prefix("listening ").unwrap().parse().unwrap())
        })
        .await
}

/// `ops/peers/relay.py`: records what passes.
#[derive(Debug)]
pub(crate) struct Relay {
    process: Process,
    pub(crate) port: u16,
}

impl Relay {
    pub(crate) async fn start(target: u16, file: &Path) -> Self {
        let mut command = Command::new(peers().join("venv/bin/python"));
        command
            .arg(root().join("ops/peers/relay.py"))
            .args(["--target", &format!("127.0.0.1:{target}"), "--pcapng"])
            .arg(file);
        let process = Process::spawn("relay", command);
        let port = listening(&process).await;
        Self { process, port }
    }

    /// Ends it; the recording is whole.
    pub(crate) async fn stop(mut self) {
        self.process.signal(rustix::process::Signal::TERM);
        self.process.ended().await;
    }
}

/// What the dissector says of a recording, and whether it is content.
pub(crate) async fn dissect(file: &Path, port: u16) -> (bool, String) {
    let output = Command::new(root().join("ops/peers/dissect.sh"))
        .arg(file)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}
