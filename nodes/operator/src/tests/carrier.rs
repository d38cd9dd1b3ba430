//! A simulated carrier: our own SMSC session behind every connection, answering by a script, writing down what it sees.

use crate::dial::{Dial, Dialled};
use smsgw_queue::BoxFuture;
use smsgw_smpp::pdu::{QuerySm, QuerySmResp};
use smsgw_smpp::{
    BindKind, COctets, CommandStatus, DataSm, DeliverSm, SmscCommand, SmscConfig, SmscEvent, SmscSession,
    SubmitSm,
};
use smsgw_transport::{ConnectError, ConnectOptions, DriveOptions, drive};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What is done with a submit.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Answered at once, with an id of its own when it is taken.
    Now(CommandStatus),
    After(Duration, CommandStatus),
    Never,
    /// The connection breaks.
    Hang,
}

/// A submit as the carrier saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) message: SubmitSm,
    /// Unanswered submits of the session at that moment, this one included.
    pub(super) outstanding: usize,
    /// From 0.
    pub(super) session: usize,
}

type Script = Box<dyn FnMut(usize, &SubmitSm) -> Reply + Send>;

#[derive(Default)]
struct Book {
    seen: Vec<Seen>,
    binds: Vec<(Instant, BindKind)>,
    unbound: usize,
    answered: Vec<(u64, CommandStatus)>,
    queries: Vec<QuerySm>,
    ids: usize,
}

struct Inner {
    script: Mutex<Script>,
    /// What a bind is refused with.
    refuse: Mutex<Option<CommandStatus>>,
    /// What a transceiver is refused with, whatever other binds are.
    refuse_transceivers: Mutex<Option<CommandStatus>>,
    book: Mutex<Book>,
    sessions: Mutex<Vec<Session>>,
    closed: Mutex<bool>,
    /// Sessions, from 0, that answer nothing.
    mute: Mutex<Vec<usize>>,
    /// What a query is answered with.
    query: Mutex<Option<CommandStatus>>,
}

struct Session {
    kind: Option<BindKind>,
    commands: mpsc::Sender<SmscCommand>,
    inject: mpsc::Sender<Vec<u8>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
pub(super) struct Carrier(Arc<Inner>);

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

impl Carrier {
    pub(super) fn accepting() -> Self {
        Self::scripted(|_, _| Reply::Now(CommandStatus::OK))
    }

    /// `script` is asked for each submit, with its number from 0.
    pub(super) fn scripted(script: impl FnMut(usize, &SubmitSm) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(Inner {
            script: Mutex::new(Box::new(script)),
            refuse: Mutex::new(None),
            refuse_transceivers: Mutex::new(None),
            book: Mutex::default(),
            sessions: Mutex::default(),
            closed: Mutex::new(false),
            mute: Mutex::default(),
            query: Mutex::new(None),
        }))
    }

    pub(super) fn refuse_binds(&self, status: Option<CommandStatus>) {
        *self.0.refuse.lock().unwrap() = status;
    }

    /// This session, counted from 0, answers no submits.
    pub(super) fn mute(&self, session: usize) {
        self.0.mute.lock().unwrap().push(session);
    }

    /// Answers queries with this.
    pub(super) fn answer_queries(&self, status: Option<CommandStatus>) {
        *self.0.query.lock().unwrap() = status;
    }

    pub(super) fn queries(&self) -> Vec<QuerySm> {
        self.0.book.lock().unwrap().queries.clone()
    }

    pub(super) fn refuse_transceivers(&self, status: CommandStatus) {
        *self.0.refuse_transceivers.lock().unwrap() = Some(status);
    }

    /// Takes no connections any more, or again.
    pub(super) fn close_port(&self, closed: bool) {
        *self.0.closed.lock().unwrap() = closed;
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.book.lock().unwrap().seen.clone()
    }

    pub(super) fn binds(&self) -> Vec<(Instant, BindKind)> {
        self.0.book.lock().unwrap().binds.clone()
    }

    pub(super) fn unbound(&self) -> usize {
        self.0.book.lock().unwrap().unbound
    }

    /// Answers to deliveries: tag and status, in order.
    pub(super) fn answered(&self) -> Vec<(u64, CommandStatus)> {
        self.0.book.lock().unwrap().answered.clone()
    }

    /// Breaks every connection.
    pub(super) fn hang_up(&self) {
        for session in self.0.sessions.lock().unwrap().drain(..) {
            session.tasks.iter().for_each(JoinHandle::abort);
        }
    }

    /// Says how busy it is, in percent, in every answer from now on; to ESMEs of 5.0.
    pub(super) fn is_busy(&self, percent: u8) {
        for session in self.0.sessions.lock().unwrap().iter() {
            let state = smsgw_smpp::Congestion::new(percent);
            session
                .commands
                .try_send(SmscCommand::Congestion(Some(state)))
                .unwrap();
        }
    }

    /// Delivers a data_sm over the newest session.
    pub(super) fn deliver_data(&self, tag: u64, message: DataSm) {
        let sessions = self.0.sessions.lock().unwrap();
        let session = sessions.last().expect("a session");
        session
            .commands
            .try_send(SmscCommand::DeliverData { tag, message })
            .unwrap();
    }

    /// Delivers over the newest session that can receive.
    pub(super) fn deliver(&self, tag: u64, message: DeliverSm) {
        let sessions = self.0.sessions.lock().unwrap();
        let session = sessions
            .iter()
            .rev()
            .find(|session| session.kind.is_some_and(|kind| kind != BindKind::Transmitter));
        session
            .expect("a receiver")
            .commands
            .try_send(SmscCommand::Deliver { tag, message })
            .unwrap();
    }

    /// The same, if there is a session that can receive and takes it.
    pub(super) fn try_deliver(&self, tag: u64, message: DeliverSm) -> bool {
        let sessions = self.0.sessions.lock().unwrap();
        let mut receivers = sessions
            .iter()
            .rev()
            .filter(|session| matches!(session.kind, Some(BindKind::Receiver | BindKind::Transceiver)));
        receivers.next().is_some_and(|session| {
            let command = SmscCommand::Deliver { tag, message };
            session.commands.try_send(command).is_ok()
        })
    }

    /// Puts octets between the PDUs of the newest session.
    pub(super) fn inject(&self, octets: &[u8]) {
        let sessions = self.0.sessions.lock().unwrap();
        sessions
            .last()
            .expect("a session")
            .inject
            .try_send(octets.to_vec())
            .unwrap();
    }

    async fn serve(
        self,
        number: usize,
        mut events: mpsc::Receiver<Vec<SmscEvent>>,
        commands: mpsc::Sender<SmscCommand>,
    ) {
        let outstanding = Arc::new(Mutex::new(0_usize));
        while let Some(batch) = events.recv().await {
            for event in batch {
                match event {
                    SmscEvent::BindRequested { kind, .. } => {
                        self.0.book.lock().unwrap().binds.push((Instant::now(), kind));
                        let transceivers = *self.0.refuse_transceivers.lock().unwrap();
                        let refused = transceivers.filter(|_| kind == BindKind::Transceiver).or(*self
                            .0
                            .refuse
                            .lock()
                            .unwrap());
                        let command = match refused {
                            Some(status) => SmscCommand::RefuseBind { status },
                            None => SmscCommand::AcceptBind { window: None },
                        };
                        if refused.is_none()
                            && let Some(session) = self.0.sessions.lock().unwrap().get_mut(number)
                        {
                            session.kind = Some(kind);
                        }
                        // The connection may be gone.
                        commands.send(command).await.ok();
                    }
                    SmscEvent::Submit {
                        sequence, message, ..
                    } => {
                        let reply = self.note(number, message, &outstanding);
                        let answer = |carrier: &Self, status: CommandStatus| {
                            let mut book = carrier.0.book.lock().unwrap();
                            book.ids += 1;
                            let id = format!("C{}", book.ids);
                            let message_id = COctets::try_from(id).unwrap();
                            SmscCommand::AnswerSubmit {
                                sequence,
                                status,
                                message_id,
                            }
                        };
                        match reply {
                            Reply::Now(status) => {
                                *outstanding.lock().unwrap() -= 1;
                                commands.send(answer(&self, status)).await.ok();
                            }
                            Reply::After(delay, status) => {
                                let command = answer(&self, status);
                                let (commands, outstanding) = (commands.clone(), Arc::clone(&outstanding));
                                tokio::spawn(async move {
                                    tokio::time::sleep(delay).await;
                                    *outstanding.lock().unwrap() -= 1;
                                    // The connection may be gone.
                                    commands.send(command).await.ok();
                                });
                            }
                            Reply::Never => {}
                            Reply::Hang => {
                                self.hang_up();
                                return;
                            }
                        }
                    }
                    SmscEvent::Query { sequence, query } => {
                        let message_id = query.message_id.clone();
                        self.0.book.lock().unwrap().queries.push(query);
                        let status = *self.0.query.lock().unwrap();
                        if let Some(status) = status {
                            let answer = QuerySmResp {
                                message_id,
                                message_state: 1,
                                ..QuerySmResp::default()
                            };
                            let command = SmscCommand::AnswerQuery {
                                sequence,
                                status,
                                answer,
                            };
                            // The connection may be gone.
                            commands.send(command).await.ok();
                        }
                    }
                    SmscEvent::DeliverAnswered { tag, status, .. } => {
                        self.0.book.lock().unwrap().answered.push((tag, status));
                    }
                    SmscEvent::Closed {
                        cause: smsgw_smpp::CloseCause::PeerUnbound,
                        ..
                    } => {
                        self.0.book.lock().unwrap().unbound += 1;
                    }
                    _ => {}
                }
            }
        }
    }

    fn note(&self, session: usize, message: SubmitSm, outstanding: &Mutex<usize>) -> Reply {
        let outstanding = {
            let mut outstanding = outstanding.lock().unwrap();
            *outstanding += 1;
            *outstanding
        };
        let number = {
            let mut book = self.0.book.lock().unwrap();
            book.seen.push(Seen {
                at: Instant::now(),
                message: message.clone(),
                outstanding,
                session,
            });
            book.seen.len() - 1
        };
        if self.0.mute.lock().unwrap().contains(&session) {
            return Reply::Never;
        }
        (self.0.script.lock().unwrap())(number, &message)
    }
}

impl Dial for Carrier {
    fn dial<'a>(
        &'a self,
        hosts: &'a [String],
        _: &'a ConnectOptions,
    ) -> BoxFuture<'a, Result<Dialled, ConnectError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if *self.0.closed.lock().unwrap() {
                return Err(ConnectError { attempts: Vec::new() });
            }
            let (ours, theirs) = tokio::io::duplex(256 * 1024);
            let (read, mut write) = tokio::io::split(theirs);
            // Between the session and the wire, so that octets can be injected.
            let (pipe, mut wire) = tokio::io::duplex(256 * 1024);
            let (inject, mut injected) = mpsc::channel::<Vec<u8>>(16);
            let pump = tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let octets = tokio::select! {
                        got = wire.read(&mut buffer) => match got {
                            Ok(count) if count > 0 => buffer[..count].to_vec(),
                            Ok(_) | Err(_) => break,
                        },
                        Some(octets) = injected.recv() => octets,
                    };
                    if write.write_all(&octets).await.is_err() {
                        break;
                    }
                }
            });
            let (commands, session_commands) = mpsc::channel(10_000);
            let (session_events, events) = mpsc::channel(16);
            let config = SmscConfig {
                interface_version: Some(0x50),
                requests: 100_000,
                window: 10_000,
                enquire_link: None,
                ..SmscConfig::new(COctets::try_from("fake").unwrap())
            };
            let session = SmscSession::new(config, Instant::now().into_std());
            let driver = tokio::spawn(async move {
                let io = tokio::io::join(read, pipe);
                drive(
                    session,
                    io,
                    session_commands,
                    session_events,
                    DriveOptions::new("carrier"),
                )
                .await;
            });
            let mut sessions = self.0.sessions.lock().unwrap();
            let number = sessions.len();
            tokio::spawn(self.clone().serve(number, events, commands.clone()));
            sessions.push(Session {
                kind: None,
                commands,
                inject,
                tasks: vec![pump, driver],
            });
            Ok(Dialled {
                stream: Box::new(ours),
                peer: "192.0.2.1:2775".parse().unwrap(),
                host: hosts.first().cloned().unwrap_or_default(),
                tls: false,
            })
        })
    }
}
