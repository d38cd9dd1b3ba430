//! The gateway under test: the real binary, and what its clients and its administrator ask of it.

use super::http::{Answer, Http};
use super::metrics::Metrics;
use super::process::Process;
use super::{PATIENCE, eventually};
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tokio::process::Command;

/// A client's view of the API; a copy can go to another task.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Http,
    base: String,
    key: String,
}

impl Api {
    /// Where it is: `http://host:port`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// Posts a body as it is.
    pub(crate) async fn post(&self, body: impl Into<Vec<u8>>) -> Result<Answer, String> {
        let url = format!("{}/v1/messages", self.base);
        self.http
            .send(Method::POST, &url, Some(&self.key), body.into())
            .await
    }

    /// Any request.
    pub(crate) async fn request(&self, method: Method, path: &str, key: Option<&str>, body: &str) -> Answer {
        let url = format!("{}{path}", self.base);
        self.http
            .send(method, &url, key, body.as_bytes().to_vec())
            .await
            .unwrap()
    }

    /// Submits a message that must be accepted; returns the answer's body.
    pub(crate) async fn submit(&self, message: &Value) -> Value {
        let answer = self.post(message.to_string()).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    }

    /// Submits a text that must be accepted; returns the message's id.
    pub(crate) async fn text(&self, to: &str, text: &str) -> String {
        let accepted = self
            .submit(&json!({"from": "12345", "to": to, "text": text}))
            .await;
        accepted["id"].as_str().unwrap().to_owned()
    }

    /// The message as it stands.
    pub(crate) async fn message(&self, id: &str) -> Value {
        let url = format!("{}/v1/messages/{id}", self.base);
        let answer = self.http.get(&url, Some(&self.key)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The message once it has this state.
    pub(crate) async fn message_once(&self, id: &str, state: &str) -> Value {
        eventually(&format!("message {id} is {state}"), || async {
            let message = self.message(id).await;
            (message["state"] == state).then_some(message)
        })
        .await
    }

    /// The message once its life has this event.
    pub(crate) async fn message_with(&self, id: &str, event: &str) -> Value {
        eventually(&format!("message {id} has the event {event}"), || async {
            let message = self.message(id).await;
            let events = message["events"].as_array().unwrap();
            events
                .iter()
                .any(|there| there["event"] == event)
                .then_some(message)
        })
        .await
    }
}

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) process: Process,
    /// As the client `acme`.
    pub(crate) api: Api,
    admin: String,
}

impl Gateway {
    /// Starts the binary without waiting for anything.
    pub(crate) fn spawn(dir: &Path) -> Process {
        Self::verb(&["run", "--config"], dir)
    }

    /// Any verb that ends with the configuration file.
    pub(crate) fn verb(words: &[&str], dir: &Path) -> Process {
        let mut command = Command::new(Self::binary());
        command.args(words).arg(Self::file(dir)).env("NO_COLOR", "1");
        Process::spawn("gateway", command)
    }

    /// Any verb, with nothing added to its words.
    pub(crate) fn tool(words: &[&str]) -> Process {
        let mut command = Command::new(Self::binary());
        command.args(words).env("NO_COLOR", "1");
        Process::spawn("smsgw", command)
    }

    /// The binary under test.
    pub(crate) fn binary() -> OsString {
        // Long campaigns name a copy: what cargo builds meanwhile is another binary.
        std::env::var_os("SMSGW_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_smsgw").into())
    }

    fn file(dir: &Path) -> PathBuf {
        dir.join("gateway.toml")
    }

    /// Starts the binary on the configuration in a directory, and waits until it is ready.
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::started(Self::spawn(dir)).await
    }

    /// Waits until a process that runs the binary is ready.
    pub(crate) async fn started(process: Process) -> Self {
        let mut gateway = Self::listening(process).await;
        gateway.ready().await;
        gateway
    }

    /// A process whose listeners are open.
    async fn listening(process: Process) -> Self {
        let address = |lines: &[String], message: &str| {
            lines.iter().rev().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["message"] == message).then(|| format!("http://{}", line["listen"].as_str().unwrap()))
            })
        };
        let (base, admin) = process
            .out
            .wait("both listeners are open", |lines| {
                Some((
                    address(lines, "HTTP API listens")?,
                    address(lines, "admin listens")?,
                ))
            })
            .await;
        Self {
            process,
            api: Api {
                http: Http::new(),
                base,
                key: "acme-key".to_owned(),
            },
            admin,
        }
    }

    /// Waits for `/readyz` to say yes.
    pub(crate) async fn ready(&mut self) {
        let http = self.api.http.clone();
        let url = format!("{}/readyz", self.admin);
        eventually("/readyz answers 200", || async {
            matches!(http.get(&url, None).await, Ok(answer) if answer.status == 200).then_some(())
        })
        .await;
    }

    /// Where the administrator's listener is.
    pub(crate) fn admin_address(&self) -> String {
        self.admin.trim_start_matches("http://").to_owned()
    }

    /// An answer of the administrator's listener.
    pub(crate) async fn admin(&self, path: &str) -> Answer {
        self.api
            .http
            .get(&format!("{}{path}", self.admin), None)
            .await
            .unwrap()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").await.text())
    }

    /// The metrics, or nothing when the process is gone.
    pub(crate) async fn try_metrics(&self) -> Option<Metrics> {
        let answer = self
            .api
            .http
            .get(&format!("{}/metrics", self.admin), None)
            .await
            .ok()?;
        Some(Metrics::parse(&answer.text()))
    }

    /// Waits until a sum of series reaches a number; returns it.
    pub(crate) async fn metric_at_least(&self, name: &str, labels: &[(&str, &str)], least: f64) -> f64 {
        eventually(&format!("{name} {labels:?} reaches {least}"), || async {
            let sum = self.metrics().await.sum(name, labels);
            (sum >= least).then_some(sum)
        })
        .await
    }

    pub(crate) fn hang_up(&self) {
        self.process.signal(Signal::HUP);
    }

    /// SIGTERM, and its end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.ended().await
    }

    /// SIGTERM, and its end with 0 within what a drain may take.
    pub(crate) async fn stop(&mut self) {
        let status = self.terminate().await;
        assert_eq!(
            status.code(),
            Some(0),
            "the gateway drains and ends with 0 within {PATIENCE:?}"
        );
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await;
    }
}
