//! What the tests share: an engine with a mood, the node under supervision, and a peer that writes what it likes.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::names;
use smsgw_node_client::supervise;
use smsgw_queue::{
    BoxFuture, Browsed, CommitError, CommitErrorKind, Committed, Delivery, Depth, Engine, EngineError, Entry,
    Health, LogName, MemoryEngine, Place, Position, QueueName, RecordId, StateKey, Step, Versioned, Want,
};
use smsgw_runtime::{Clock, Strategy, Supervisor, SystemClock, Tree};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Debug, Clone)]
pub(crate) enum Mode {
    Through,
    Delay(Duration),
    Refuse(EngineError),
    Stuck,
}

/// The memory engine with a mood; remembers the steps it was given.
#[derive(Debug)]
pub(crate) struct Moody {
    pub(crate) inner: Arc<MemoryEngine>,
    pub(crate) mode: Mutex<Mode>,
    pub(crate) steps: Mutex<Vec<Step>>,
}

impl Moody {
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl Engine for Moody {
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>> {
        self.steps.lock().unwrap().extend(steps.iter().cloned());
        let mode = self.mode.lock().unwrap().clone();
        Box::pin(async move {
            match mode {
                Mode::Through => {}
                Mode::Delay(wait) => tokio::time::sleep(wait).await,
                Mode::Stuck => std::future::pending().await,
                Mode::Refuse(error) => {
                    let refused = |step: &Step| {
                        Err(CommitError {
                            step: step.id(),
                            kind: CommitErrorKind::Engine(error.clone()),
                        })
                    };
                    return steps.iter().map(refused).collect();
                }
            }
            self.inner.commit(steps).await
        })
    }
    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>> {
        self.inner.checkout(queue, want)
    }
    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>> {
        self.inner.read(log, from, max, wait)
    }
    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>> {
        self.inner.position(log, reader)
    }
    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>> {
        let mode = self.mode.lock().unwrap().clone();
        Box::pin(async move {
            match mode {
                Mode::Refuse(error) => Err(error),
                Mode::Stuck => std::future::pending().await,
                Mode::Through | Mode::Delay(_) => self.inner.get(keys).await,
            }
        })
    }
    fn depth(&self, queue: &QueueName) -> Depth {
        self.inner.depth(queue)
    }
    fn queues(&self) -> Vec<(QueueName, Depth)> {
        self.inner.queues()
    }
    fn browse(
        &self,
        queue: &QueueName,
        place: Place,
        after: Option<RecordId>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Browsed>, EngineError>> {
        self.inner.browse(queue, place, after, max)
    }
    fn health(&self) -> Health {
        self.inner.health()
    }
    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.close()
    }
}

pub(crate) struct Node {
    pub(crate) engine: Arc<Moody>,
    pub(crate) config: ConfigHandle,
    pub(crate) tree: Tree,
    pub(crate) address: SocketAddr,
}

pub(crate) fn config(http: &str, acme: &str) -> Config {
    let text = format!(
        "[node]\nname = \"t\"\n[http]\nlisten = \"127.0.0.1:0\"\n{http}\n[operator.alpha]\nprotocol = \"smpp\"\n\
         hosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n[client.acme]\n{acme}\n\
         [client.other]\napi_key = \"other-key\"\n[[route.mt]]\nprefix = [\"49\"]\noperators = [\"alpha\"]\n"
    );
    Config::parse("t.toml", &text).unwrap()
}

pub(crate) const ACME: &str = "api_key = \"acme-key\"";

impl Node {
    pub(crate) async fn start(http: &str) -> Self {
        Self::with(config(http, ACME)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Arc::new(Moody {
            inner: MemoryEngine::new(Arc::clone(&clock)),
            mode: Mutex::new(Mode::Through),
            steps: Mutex::default(),
        });
        let config = ConfigHandle::new(config);
        let (spec, bound) = supervise(engine.clone(), config.clone(), clock);
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(spec)
            .spawn()
            .await;
        assert!(tree.started().await);
        let address = bound.borrow().unwrap();
        Self {
            engine,
            config,
            tree,
            address,
        }
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer {
            stream: TcpStream::connect(self.address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut peer = self.connect().await;
        peer.send(request).await;
        peer.answer().await
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.engine.depth(&QueueName::from(names::MT_ACCEPTED)).ready
    }
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A problem document with this code, and all that goes with it.
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(
            (&body["code"], &body["status"]),
            (&code.into(), &status.into()),
            "{self:?}"
        );
        assert!(
            body["title"].is_string() && body["detail"].is_string() && body["type"] == "about:blank",
            "{self:?}"
        );
        assert_eq!(
            self.header("www-authenticate").is_some(),
            status == 401,
            "{self:?}"
        );
        assert_eq!(self.header("allow").is_some(), status == 405, "{self:?}");
        let retry = self
            .header("retry-after")
            .map(|after| after.parse::<u64>().unwrap());
        assert_eq!(
            retry.is_some_and(|seconds| seconds >= 1),
            matches!(status, 429 | 503),
            "{self:?}"
        );
    }
}

impl Peer {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer(false).await.expect("an answer")
    }

    /// `None` when the connection ended.
    pub(crate) async fn try_answer(&mut self, to_head: bool) -> Option<Answer> {
        let reading = async {
            let end = loop {
                if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                    return None;
                }
            };
            let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = if to_head {
                0
            } else {
                length.unwrap_or("0").parse().unwrap()
            };
            while self.buffer.len() < end + length {
                if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                    return None;
                }
            }
            let body = String::from_utf8(self.buffer[end..end + length].to_vec()).unwrap();
            self.buffer.drain(..end + length);
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            Some(Answer { status, head, body })
        };
        timeout(Duration::from_secs(8), reading)
            .await
            .expect("an answer or an end in time")
    }

    pub(crate) async fn is_closed_within(&mut self, within: Duration) -> bool {
        let mut rest = Vec::new();
        // A reset is an end too.
        timeout(within, self.stream.read_to_end(&mut rest)).await.is_ok()
    }
}

pub(crate) fn post(body: &str) -> String {
    post_as("Bearer acme-key", body)
}

pub(crate) fn post_as(authorization: &str, body: &str) -> String {
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: t\r\nauthorization: {authorization}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\n\r\n")
}

pub(crate) const HELLO: &str = r#"{"from":"12345","to":"+491700000001","text":"Hello","reference":"order-7","class":"otp","validity":"10m"}"#;
