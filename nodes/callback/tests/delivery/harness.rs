//! What the tests share: targets that misbehave on request, the node under supervision on an engine with a mood.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{
    Address, Class, ClientId, Down, DownKind, Event, MessageId, MessageState, Record, Report, Told, names,
};
use smsgw_node_callback::supervise;
use smsgw_queue::{Depth, Engine, Lane, LogName, MemoryEngine, Place, Position, QueueName, Step, StepId};
use smsgw_runtime::{Clock, Strategy, Supervisor, SystemClock, Tree};
use smsgw_testkit::{MoodyClock, MoodyEngine, neighbour};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a target answers.
#[derive(Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// 200 after a while.
    After(Duration),
    Hang,
    Redirect(String),
    /// 200 and a body without end, as fast as it is read.
    Endless,
    /// 200, the announcement of a body, and nothing of it.
    NoBody,
    /// Not HTTP.
    Garbage,
    /// As it stands.
    Raw(&'static str),
}

pub(crate) struct Got {
    pub(crate) at: Instant,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An HTTP server of its own making, so that it can misbehave.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) reply: Arc<Mutex<Reply>>,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
    pub(crate) written: Arc<AtomicUsize>,
}

impl Target {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Self {
            address: listener.local_addr().unwrap(),
            reply: Arc::new(Mutex::new(reply)),
            got: Arc::default(),
            connections: Arc::default(),
            under_way: Arc::default(),
            most: Arc::default(),
            written: Arc::default(),
        };
        let serving = target.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        target
    }

    pub(crate) async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(&mut buffer).await.ok()? == 0 {
                    return None;
                }
            };
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap().to_lowercase();
            let length: usize = match head.split("content-length: ").nth(1) {
                Some(rest) => rest.split("\r\n").next()?.parse().ok()?,
                None => 0,
            };
            while buffer.len() < end + length {
                stream.read_buf(&mut buffer).await.ok()?;
            }
            let body = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
            buffer.drain(..end + length);
            self.got.lock().unwrap().push(Got {
                at: Instant::now(),
                head,
                body,
            });
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let reply = self.reply.lock().unwrap().clone();
            let text = match reply {
                Reply::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
                Reply::After(wait) => {
                    tokio::time::sleep(wait).await;
                    "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
                }
                Reply::Hang => {
                    // Until the other side gives up.
                    stream.read_buf(&mut buffer).await.ok();
                    self.under_way.fetch_sub(1, Ordering::SeqCst);
                    return None;
                }
                Reply::Redirect(to) => {
                    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
                }
                Reply::Endless => {
                    let mut next = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
                    while let Ok(written) = stream.write(&next).await {
                        self.written.fetch_add(written, Ordering::SeqCst);
                        next = vec![b'x'; 65_536];
                    }
                    return None;
                }
                Reply::NoBody => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_owned(),
                Reply::Raw(text) => text.to_owned(),
                Reply::Garbage => "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
            };
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            stream.write_all(text.as_bytes()).await.ok()?;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events?token=t", self.address)
    }

    pub(crate) fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    pub(crate) fn answer(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }
}

pub(crate) struct Node {
    pub(crate) memory: Arc<MemoryEngine>,
    pub(crate) engine: Arc<MoodyEngine>,
    pub(crate) luck: Arc<MoodyClock>,
    pub(crate) neighbour: Arc<AtomicUsize>,
    pub(crate) tree: Tree,
    pub(crate) next: AtomicUsize,
}

pub(crate) const ALLOWED: &str = "allow = [\"127.0.0.0/8\"]\ntimeout = \"1s\"\n";

impl Node {
    pub(crate) async fn start(callback: &str) -> Self {
        Self::start_with(callback, "").await
    }

    /// With lines of `[callback]`, and what else stands in the file.
    pub(crate) async fn start_with(callback: &str, rest: &str) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self::over(MemoryEngine::new(clock), callback, rest, 1).await
    }

    /// Another life of the node on the same engine.
    pub(crate) async fn again(self, callback: &str, rest: &str) -> Self {
        let next = self.next.load(Ordering::SeqCst);
        Self::over(Arc::clone(&self.memory), callback, rest, next).await
    }

    async fn over(memory: Arc<MemoryEngine>, callback: &str, rest: &str, next: usize) -> Self {
        let text = format!("[node]\nname = \"t\"\n[callback]\n{callback}\n{rest}");
        let config = Config::parse("t.toml", &text).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = MoodyEngine::over(memory.clone());
        let luck = MoodyClock::over(clock);
        let (beside, neighbour) = neighbour();
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(supervise(engine.clone(), ConfigHandle::new(config), luck.clone()))
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        Self {
            memory,
            engine,
            luck,
            neighbour,
            tree,
            next: AtomicUsize::new(next),
        }
    }

    /// Publishes that many reports for a client; gives the ids of their messages.
    pub(crate) async fn report(&self, client: &str, url: &str, count: usize) -> Vec<MessageId> {
        let client = ClientId::try_new(client).unwrap();
        let now = SystemClock.now();
        let mut ids = Vec::new();
        let mut steps = Vec::new();
        for _ in 0..count {
            let n = self.next.fetch_add(1, Ordering::SeqCst);
            let id = MessageId::from_bytes((n as u128).to_be_bytes());
            let down = Down {
                event: MessageId::from_bytes((n as u128 + (1 << 64)).to_be_bytes()),
                client: client.clone(),
                url: Some(url.to_owned()),
                at: now,
                what: DownKind::Report(Report {
                    message: id,
                    reference: Some("order-7".to_owned()),
                    from: None,
                    to: Address::msisdn("491700000001").unwrap(),
                    state: MessageState::Delivered,
                    error: None,
                    accepted_at: now,
                }),
                for_bind: None,
            };
            ids.push(id);
            steps.push(Step::new(StepId::accept(id)).publish(
                names::DOWN_CALLBACK,
                Lane::new(Class::Transactional, &client),
                down.to_record(),
            ));
        }
        for answer in self.memory.commit(steps).await {
            answer.unwrap();
        }
        ids
    }

    pub(crate) fn depth(&self) -> Depth {
        self.engine.depth(&QueueName::from(names::DOWN_CALLBACK))
    }

    pub(crate) async fn told(&self, id: MessageId) -> Option<Told> {
        let found = self.memory.get(vec![names::told(id).into()]).await.unwrap();
        found[0]
            .as_ref()
            .map(|told| Told::from_record(&told.value).unwrap())
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let log = LogName::from(names::EVENTS);
        let entries = self
            .engine
            .read(&log, Position::default(), 100_000, Duration::ZERO)
            .await
            .unwrap();
        entries
            .iter()
            .map(|entry| Event::from_record(&entry.record).unwrap())
            .collect()
    }

    pub(crate) async fn aside(&self, place: Place) -> Vec<&'static str> {
        let queue = QueueName::from(names::DOWN_CALLBACK);
        let found = self.engine.browse(&queue, place, None, 1000).await.unwrap();
        found.iter().map(|record| record.reason).collect()
    }
}

pub(crate) async fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) const SOON: Duration = Duration::from_secs(30);
