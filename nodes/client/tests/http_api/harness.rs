//! What the tests share: the node under supervision on an engine with a mood, and a peer that writes what it likes.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::names;
use smsgw_node_client::supervise;
use smsgw_queue::{Engine, MemoryEngine, Op, QueueName, Step};
use smsgw_runtime::{Clock, Strategy, Supervisor, SystemClock, Tree};
use smsgw_testkit::{MoodyClock, MoodyEngine, neighbour};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where an accept puts a message of a part: to the router, or to the operator of its route.
pub(crate) const WAYS: [&str; 2] = [names::MT_ACCEPTED, "mt.operator.alpha"];

pub(crate) struct Node {
    pub(crate) memory: Arc<MemoryEngine>,
    pub(crate) engine: Arc<MoodyEngine>,
    pub(crate) luck: Arc<MoodyClock>,
    pub(crate) neighbour: Arc<AtomicUsize>,
    pub(crate) config: ConfigHandle,
    pub(crate) tree: Tree,
    pub(crate) address: SocketAddr,
}

pub(crate) fn config(http: &str, acme: &str) -> Config {
    let delay = if http.contains("login_delay") {
        ""
    } else {
        "login_delay = \"0s\""
    };
    let text = format!(
        "[node]\nname = \"t\"\n[http]\nlisten = \"127.0.0.1:0\"\n{delay}\n{http}\n[operator.alpha]\nprotocol = \"smpp\"\n\
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
        let memory = MemoryEngine::new(Arc::clone(&clock));
        let engine = MoodyEngine::over(memory.clone());
        let luck = MoodyClock::over(clock);
        let (beside, neighbour) = neighbour();
        let config = ConfigHandle::new(config);
        let (spec, bound) = supervise(engine.clone(), config.clone(), luck.clone());
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(spec)
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        let address = bound.borrow().unwrap();
        Self {
            memory,
            engine,
            luck,
            neighbour,
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

    /// Steps about messages, in order; those of the node's own upkeep left out.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let is_of_a_message = |op: &Op| match op {
            Op::Put(key, ..) => matches!(key.space(), "msg" | "cancel"),
            _ => false,
        };
        let steps = self.engine.steps();
        steps
            .iter()
            .filter(|step| step.ops().iter().any(is_of_a_message))
            .cloned()
            .collect()
    }

    /// Messages that wait, for the router or for their operator.
    pub(crate) fn accepted(&self) -> u64 {
        WAYS.map(|queue| self.engine.depth(&QueueName::from(queue)).ready)
            .iter()
            .sum()
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
