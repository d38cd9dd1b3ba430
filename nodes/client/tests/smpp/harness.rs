//! What the tests share: the node under supervision on an engine with a mood, and a client that speaks SMPP by
//! `EsmeSession` over a real socket.

use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{
    Address, ClientId, Dispatch, Down, DownKind, Encoding, ForBind, MessageId, MessageLife, MessageState,
    MoDown, MtMessage, OperatorId, Record, Report, Timestamp, names,
};
use smsgw_node_client::{Sessions, supervise_watched};
use smsgw_queue::{Engine, Lane, MemoryEngine, Place, QueueName, StateKey, Step, StepId, Want};
use smsgw_runtime::{Clock, Strategy, Supervisor, SystemClock, Tree};
use smsgw_smpp::{
    Address as WireAddress, BindKind, COctets, CommandStatus, DeliverSm, EsmeCommand, EsmeConfig, EsmeEvent,
    EsmeSession, Password, SubmitSm,
};
use smsgw_testkit::{MoodyClock, MoodyEngine, neighbour};
use smsgw_transport::{DriveOptions, drive};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Where an accept puts a message of a part: to the router, or to the operator of its route.
const WAYS: [&str; 2] = [names::MT_ACCEPTED, "mt.operator.alpha"];

pub(crate) struct Node {
    pub(crate) engine: Arc<MoodyEngine>,
    pub(crate) luck: Arc<MoodyClock>,
    pub(crate) config: ConfigHandle,
    pub(crate) sessions: Sessions,
    pub(crate) tree: Tree,
    pub(crate) address: SocketAddr,
}

pub(crate) fn config(smpp: &str, acme: &str) -> Config {
    let text = format!(
        "[node]\nname = \"t\"\ndrain_timeout = \"2s\"\n[smpp]\nlisten = \"127.0.0.1:0\"\nlogin_delay = \"0s\"\n{smpp}\n\
         [operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n\
         [client.acme]\nsystem_id = \"acme\"\npassword = \"a long secret\"\n{acme}\n\
         [client.other]\nsystem_id = \"other\"\npassword = \"secret\"\n\
         [[route.mt]]\nprefix = [\"49\"]\noperators = [\"alpha\"]\n"
    );
    Config::parse("t.toml", &text).unwrap()
}

impl Node {
    pub(crate) async fn start(smpp: &str, acme: &str) -> Self {
        Self::with(config(smpp, acme)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = MoodyEngine::over(MemoryEngine::new(Arc::clone(&clock)));
        let (beside, _) = neighbour();
        let config = ConfigHandle::new(config);
        let luck = MoodyClock::over(clock);
        let (spec, faces) = supervise_watched(engine.clone(), config.clone(), luck.clone());
        let tree = Supervisor::new("t", Strategy::OneForOne)
            .child(spec)
            .child(beside)
            .spawn()
            .await;
        assert!(tree.started().await);
        let address = faces.smpp.borrow().unwrap();
        Self {
            engine,
            luck,
            config,
            sessions: faces.sessions,
            tree,
            address,
        }
    }

    pub(crate) async fn bind(&self) -> Esme {
        self.bind_as("acme", "a long secret", BindKind::Transceiver, 0x34)
            .await
            .unwrap()
    }

    pub(crate) async fn bind_as(
        &self,
        system_id: &str,
        password: &str,
        kind: BindKind,
        version: u8,
    ) -> Result<Esme, CommandStatus> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut esme = Esme::over(
            stream,
            EsmeSession::new(
                esme_config(system_id, password, kind, version),
                SystemClock.instant(),
            ),
        );
        match esme.event().await {
            EsmeEvent::Bound { .. } => Ok(esme),
            EsmeEvent::BindRefused { status } => Err(status),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub(crate) fn depth(&self, queue: &str, place: Place) -> u64 {
        self.engine.depth(&QueueName::from(queue)).at(place)
    }

    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"));
    }

    /// How many messages wait, for the router or for their operator.
    pub(crate) fn waiting(&self) -> u64 {
        WAYS.map(|queue| self.depth(queue, Place::Ready)).iter().sum()
    }

    /// The messages for the router and those for their operator, which are settled.
    pub(crate) async fn accepted(&self) -> Vec<MtMessage> {
        let mut taken = Vec::new();
        for queue in WAYS {
            let want = Want::new(10_000, Duration::ZERO);
            taken.extend(self.engine.checkout(&queue.into(), want).await.unwrap());
        }
        let mut messages = Vec::new();
        for delivery in &taken {
            messages.push(match MtMessage::from_record(delivery.record()) {
                Ok(message) => message,
                Err(_) => {
                    let part = Dispatch::from_record(delivery.record()).unwrap();
                    let key = StateKey::from(names::message(part.message));
                    let life = self.engine.get(vec![key]).await.unwrap().remove(0).unwrap();
                    MessageLife::from_record(&life.value).unwrap().message
                }
            });
            Step::from(delivery)
                .settle(delivery)
                .commit(self.engine.as_ref())
                .await
                .unwrap();
        }
        messages
    }

    /// Publishes what the router would.
    pub(crate) async fn tell(&self, down: Down) {
        let lane = Lane::new(smsgw_message::Class::Transactional, &down.client);
        let step = Step::new(StepId::accept(down.event)).publish(names::DOWN_SMPP, lane, down.to_record());
        step.commit(self.engine.as_ref()).await.unwrap();
    }
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::try_new(name).unwrap()
}

pub(crate) fn id(n: u8) -> MessageId {
    MessageId::from_parts(SystemClock.now(), [n; 10])
}

pub(crate) fn report(to: &str, message: MessageId, bind: Option<u64>) -> Down {
    Down {
        event: message.derive(1),
        client: client(to),
        url: None,
        at: SystemClock.now(),
        what: DownKind::Report(Report {
            message,
            reference: None,
            from: Some(Address::sender("12345").unwrap()),
            to: Address::msisdn("491700000001").unwrap(),
            state: MessageState::Delivered,
            error: None,
            accepted_at: SystemClock.now(),
        }),
        for_bind: Some(ForBind {
            id: None,
            bind,
            parts: 1,
            delivered: 1,
            is_final: true,
            text: None,
        }),
    }
}

pub(crate) fn mo(to: &str, message: MessageId, text: &str) -> Down {
    Down {
        event: message.derive(0),
        client: client(to),
        url: None,
        at: Timestamp::from_millis(1_795_248_000_000),
        what: DownKind::Mo(MoDown {
            message,
            from: Address::msisdn("491700000001").unwrap(),
            to: Address::sender("12345").unwrap(),
            text: Some(text.to_owned()),
            data: text.as_bytes().to_vec().into(),
            encoding: Encoding::Gsm7,
            data_coding: 0,
            operator: OperatorId::try_new("alpha").unwrap(),
            incomplete: false,
            charset: None,
            raw: None,
            headers: None,
            missing: None,
            byte_order: None,
            keyword: None,
        }),
        for_bind: None,
    }
}

pub(crate) fn esme_config(system_id: &str, password: &str, kind: BindKind, version: u8) -> EsmeConfig {
    EsmeConfig {
        bind: kind,
        interface_version: version,
        window: 2000,
        ..EsmeConfig::new(
            COctets::try_from(system_id).unwrap(),
            Password::try_new(password.as_bytes()).unwrap(),
        )
    }
}

/// A client.
pub(crate) struct Esme {
    commands: mpsc::Sender<EsmeCommand>,
    events: mpsc::Receiver<Vec<EsmeEvent>>,
    pending: std::collections::VecDeque<EsmeEvent>,
}

impl Esme {
    pub(crate) fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        session: EsmeSession,
    ) -> Self {
        let (commands, taken) = mpsc::channel(4096);
        let (told, events) = mpsc::channel(64);
        tokio::spawn(drive(session, stream, taken, told, DriveOptions::new("test")));
        Self {
            commands,
            events,
            pending: std::collections::VecDeque::new(),
        }
    }

    pub(crate) async fn event(&mut self) -> EsmeEvent {
        loop {
            if let Some(event) = self.pending.pop_front() {
                match event {
                    EsmeEvent::Tolerated { .. } | EsmeEvent::Adapted { .. } => continue,
                    event => return event,
                }
            }
            let batch = timeout(PATIENCE, self.events.recv())
                .await
                .expect("an event in time");
            self.pending.extend(batch.expect("the session is not over"));
        }
    }

    pub(crate) async fn command(&self, command: EsmeCommand) {
        self.commands.send(command).await.unwrap();
    }

    pub(crate) async fn submit(&self, tag: u64, message: SubmitSm) {
        self.command(EsmeCommand::Submit { tag, message }).await;
    }

    /// Submits and waits for this answer.
    pub(crate) async fn answer(&mut self, message: SubmitSm) -> (CommandStatus, String) {
        self.submit(1, message).await;
        self.answered().await
    }

    pub(crate) async fn answered(&mut self) -> (CommandStatus, String) {
        match self.event().await {
            EsmeEvent::Answered {
                status, message_id, ..
            } => (status, message_id.to_string_lossy()),
            other => panic!("an answer, not {other:?}"),
        }
    }

    pub(crate) async fn delivered(&mut self) -> (u32, DeliverSm) {
        match self.event().await {
            EsmeEvent::Delivered {
                sequence, message, ..
            } => (sequence, message),
            other => panic!("a delivery, not {other:?}"),
        }
    }

    pub(crate) async fn reply(&self, sequence: u32, status: CommandStatus) {
        self.command(EsmeCommand::Answer { sequence, status }).await;
    }

    /// Takes the next delivery, and says so.
    pub(crate) async fn take(&mut self) -> DeliverSm {
        let (sequence, message) = self.delivered().await;
        self.reply(sequence, CommandStatus::OK).await;
        message
    }

    /// Nothing comes for that long.
    pub(crate) async fn is_quiet(&mut self, span: Duration) -> bool {
        self.pending.is_empty() && timeout(span, self.events.recv()).await.is_err()
    }

    pub(crate) async fn closed(&mut self) -> smsgw_smpp::CloseCause {
        loop {
            if let EsmeEvent::Closed { cause, .. } = self.event().await {
                return cause;
            }
        }
    }
}

pub(crate) fn text(text: &str) -> SubmitSm {
    SubmitSm {
        source: WireAddress::short_code("12345").unwrap(),
        destination: WireAddress::international("491700000001").unwrap(),
        short_message: bytes::Bytes::copy_from_slice(text.as_bytes()),
        registered_delivery: 1,
        ..SubmitSm::default()
    }
}
