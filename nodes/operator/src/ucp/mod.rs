//! A UCP session in the words of an ESME, so that everything about a link is the same for both protocols: window, rate, verdicts,
//! doubt, receipts, metrics, orders.
//!
//! ```text
//! EsmeCommand::Submit ─▶ send     ─▶ O/51        R/51 ─▶ Answered: AdC:SCTS is the carrier's id, an error code a status
//! EsmeCommand::Answer ─▶ R/52, R/53              O/52 ─▶ receive ─▶ Delivered, an MO
//!                        R/60 ◀─ its secret ◀─   O/60, where the centre connected to us
//!                                                O/53 ─▶ receive ─▶ Delivered, a receipt with its id in a TLV
//! ```
//! Sans-IO, as both sessions are. Invariant UC-1: each command and each operation has exactly one counterpart on the other side,
//! or is refused there.
//!
//! Error codes stand as statuses above [`BASE`], under the names `UCP_01` to `UCP_99`: the lists of an operator name them so.
//!
//! # Limits
//! Queries and withdrawals (55, 56) are not asked for: a part in doubt is not asked after, which the configuration refuses.
//! Two messages to one number in the same second have the same id. On a connection that the centre opened we do not log in.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use crate::calls::Credentials;
use bytes::BytesMut;
use smsgw_config::{CarrierCalls, NumberFormat, Operator, Secret, SecretSource, UCP_BASE as BASE};
use smsgw_session::Session;
use smsgw_smpp::{
    Answer, COctets, CloseCause, CommandId, CommandStatus, DeliverSm, EsmeCommand, EsmeEvent, EsmeSession,
    Operation as Brought, Refusal, Reply, Tlvs, Undecodable, Version, decode::DecodeError,
};
use smsgw_ucp::{
    self as ucp, ErrorCode, Login, NotSent, Operation, Outcome, Text, UcpCommand, UcpConfig, UcpEvent,
    UcpSession,
};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// AdC of keep-alives where we have no account.
const NOBODY: &str = "0";

/// The id of a message, of its recipient and time stamp as an answer has them.
pub(crate) fn key(number: &str, scts: &str) -> String {
    receive::key(number, scts)
}

/// What a PDU log says of an operation that carries a message, in either direction.
pub(crate) fn shown(operation: &Operation) -> Option<DeliverSm> {
    receive::shown(operation)
}

/// Deliveries that wait for their answer, by the number the traffic knows them by.
type Waiting = HashMap<u32, u64>;

/// What a link drives.
#[derive(Debug)]
pub(crate) enum LinkSession {
    Smpp(Box<EsmeSession>),
    Ucp(Box<UcpLink>),
}

/// Why an operator has nothing to log in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("the operator has no login")]
    NoLogin,
    #[error("the operator has no password")]
    NoPassword,
    #[error("the password file was not read")]
    PasswordNotRead,
    #[error("the login holds a slash, or something that is not ASCII")]
    Login,
}

/// What a session is begun with.
#[derive(Debug)]
pub(crate) struct UcpStart {
    config: UcpConfig,
    writing: Writing,
    /// On a connection that the centre opened: what it has to be called and to know, where it logs in.
    caller: Option<Credentials>,
}

impl UcpStart {
    /// `called`: how the centre connects, when it is the one to do so.
    pub(crate) fn of(operator: &Operator, called: Option<&CarrierCalls>) -> Result<Self, LoginError> {
        let config = UcpConfig {
            window: usize::try_from(operator.window).unwrap_or(usize::MAX),
            response_timeout: operator.response_timeout,
            login_timeout: operator.response_timeout,
            keep_alive: Some(operator.enquire_link),
            tombstone_ttl: operator.response_timeout.saturating_mul(10),
            ..UcpConfig::default()
        };
        let login = operator.login.as_deref();
        let config = match called {
            None => {
                let account = Text::new(login.ok_or(LoginError::NoLogin)?).ok_or(LoginError::Login)?;
                let password: Secret = match operator.password_source() {
                    Some(SecretSource::Known(secret)) => secret,
                    Some(SecretSource::File(_)) => return Err(LoginError::PasswordNotRead),
                    None => return Err(LoginError::NoPassword),
                };
                UcpConfig {
                    keep_alive_address: account.clone(),
                    login: Some(Login::new(account, password.expose().as_bytes())),
                    ..config
                }
            }
            Some(calls) => UcpConfig {
                keep_alive_address: Text::new(login.unwrap_or(NOBODY)).ok_or(LoginError::Login)?,
                expect_login: calls.asks_who(),
                ..config
            },
        };
        Ok(Self {
            config,
            writing: Writing::of(operator),
            caller: called.map(Credentials::of),
        })
    }

    pub(crate) fn window(&self) -> usize {
        self.config.window
    }
}

/// How messages are written for this carrier.
#[derive(Debug, Clone)]
struct Writing {
    numbers: ucp::NumberFormat,
    /// NAdC.
    notify: Text,
}

impl Writing {
    fn of(operator: &Operator) -> Self {
        let notify = operator.notification_address.as_ref();
        Self {
            numbers: match operator.number_format {
                NumberFormat::DoubleZero => ucp::NumberFormat::DoubleZero,
                NumberFormat::Plain => ucp::NumberFormat::Plain,
                NumberFormat::Plus => ucp::NumberFormat::Plus,
            },
            notify: notify
                .and_then(|notify| Text::new(notify.as_str()))
                .unwrap_or_default(),
        }
    }
}

/// The status that stands for an error code.
pub(crate) fn status(code: ErrorCode) -> CommandStatus {
    CommandStatus(BASE.saturating_add(u32::from(code.0)))
}

/// See the module.
#[derive(Debug)]
pub(crate) struct UcpLink {
    session: UcpSession,
    account: COctets,
    writing: Writing,
    caller: Option<Credentials>,
    waiting: Waiting,
    next: u32,
    events: VecDeque<EsmeEvent>,
}

impl UcpLink {
    pub(crate) fn new(start: UcpStart, now: Instant) -> Self {
        let UcpStart {
            config,
            writing,
            caller,
        } = start;
        let account = config.keep_alive_address.as_str();
        let mut link = Self {
            account: COctets::until_nul(account.as_bytes()),
            session: UcpSession::new(config, now),
            writing,
            caller,
            waiting: Waiting::new(),
            next: 1,
            events: VecDeque::new(),
        };
        // Where nobody logs in it is bound from the start.
        link.translate(now);
        link
    }

    fn submit(&mut self, now: Instant, tag: u64, message: &smsgw_smpp::SubmitSm) {
        match send::operation(message, &self.writing) {
            Some(operation) => {
                self.session
                    .handle_command(now, UcpCommand::Submit { tag, operation });
            }
            None => self.events.push_back(EsmeEvent::NotSent {
                tag,
                why: Refusal::DoesNotFit,
            }),
        }
    }

    fn answer(&mut self, now: Instant, sequence: u32, status: CommandStatus) {
        let Some(request) = self.waiting.remove(&sequence) else {
            let command_id = CommandId::DeliverSm;
            return self.events.push_back(EsmeEvent::Unmatched {
                command_id,
                sequence,
                status,
            });
        };
        // There is no code for "later": after 04 centres try again, after others they give up.
        let outcome = if status.is_ok() {
            Outcome::ack()
        } else {
            Outcome::nack(ErrorCode::NOT_ALLOWED)
        };
        self.session
            .handle_command(now, UcpCommand::Answer { request, outcome });
    }

    /// What the session says, translated.
    fn translate(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            let event = match event {
                UcpEvent::Bound => EsmeEvent::Bound {
                    system_id: self.account.clone(),
                    interface_version: None,
                    version: Version::V3_4,
                },
                UcpEvent::LoginRefused { code, .. } => EsmeEvent::BindRefused {
                    status: refused_login(code),
                },
                UcpEvent::Answered { tag, outcome, took } => answered(tag, &outcome, took, false),
                UcpEvent::LateAnswer { tag, outcome, took } => answered(tag, &outcome, took, true),
                UcpEvent::TimedOut { tag } => EsmeEvent::TimedOut { tag },
                UcpEvent::NotSent { tag, why } => EsmeEvent::NotSent {
                    tag,
                    why: refusal(why),
                },
                UcpEvent::Delivered { request, operation } => match self.delivered(now, request, operation) {
                    Some(event) => event,
                    None => continue,
                },
                UcpEvent::LoginAsked { request, session } => {
                    self.logged_in(now, request, &session);
                    continue;
                }
                UcpEvent::Refused { ot, code } => EsmeEvent::DeliveryRefused {
                    command_id: CommandId::DeliverSm,
                    sequence: u32::from(ot.0),
                    status: status(code),
                },
                UcpEvent::Unmatched { trn, ot } => EsmeEvent::Unmatched {
                    command_id: CommandId::from(u32::from(ot.0)),
                    sequence: u32::from(trn.number()),
                    status: CommandStatus::OK,
                },
                UcpEvent::NothingToAnswer { .. } | UcpEvent::Alerted(_) => continue,
                // What it had to pass over was understood all the same; octets between frames belong to nothing.
                UcpEvent::Tolerated(..) | UcpEvent::Skipped(_) => continue,
                UcpEvent::Undecodable(frame) => EsmeEvent::Undecodable(Undecodable {
                    command_id: spoiled(&frame.raw),
                    sequence: 0,
                    error: DecodeError::UnknownCommand(0),
                    answered: frame.answered.map(status),
                    raw: frame.raw,
                }),
                UcpEvent::Closed { cause, in_doubt } => EsmeEvent::Closed {
                    cause: closed(cause, self.caller.is_some()),
                    in_doubt: in_doubt.into_iter().map(|doubt| doubt.tag).collect(),
                },
            };
            self.events.push_back(event);
        }
    }

    /// The centre says who it is, on a connection that it opened. Whoever came that far was looked at before; what the
    /// configuration says may have changed meanwhile.
    fn logged_in(&mut self, now: Instant, request: u64, session: &ucp::Session) {
        let outcome = match &self.caller {
            Some(known) => known.judge(session),
            None => Outcome::nack(ErrorCode::NOT_SUPPORTED),
        };
        self.session
            .handle_command(now, UcpCommand::Answer { request, outcome });
    }

    fn delivered(&mut self, now: Instant, request: u64, operation: Operation) -> Option<EsmeEvent> {
        if let Operation::Session(session) = &operation {
            self.logged_in(now, request, session);
            return None;
        }
        let Some(message) = receive::message(&operation) else {
            let outcome = Outcome::nack(ErrorCode::NOT_SUPPORTED);
            self.session
                .handle_command(now, UcpCommand::Answer { request, outcome });
            return None;
        };
        let sequence = self.next;
        self.next = if sequence >= 0x7FFF_FFFF {
            1
        } else {
            sequence.saturating_add(1)
        };
        self.waiting.insert(sequence, request);
        Some(EsmeEvent::Delivered {
            sequence,
            operation: Brought::DeliverSm,
            message,
        })
    }
}

impl Session for UcpLink {
    type Command = EsmeCommand;
    type Event = EsmeEvent;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        self.session.handle_bytes(now, bytes);
        self.translate(now);
    }

    fn handle_command(&mut self, now: Instant, command: EsmeCommand) {
        match command {
            EsmeCommand::Submit { tag, message } => self.submit(now, tag, &message),
            EsmeCommand::Request { tag, .. } => {
                self.events.push_back(EsmeEvent::NotSent {
                    tag,
                    why: Refusal::NotInVersion,
                });
            }
            EsmeCommand::Answer { sequence, status } => self.answer(now, sequence, status),
            EsmeCommand::Unbind { within } => self.session.handle_command(now, UcpCommand::Close { within }),
            EsmeCommand::Leave => self.session.handle_command(now, UcpCommand::Leave),
            // Only after an outbind, which UCP does not have.
            EsmeCommand::Bind(_) | EsmeCommand::RefuseOutbind => {}
        }
        self.translate(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.translate(now);
    }

    fn handle_eof(&mut self, now: Instant) {
        self.session.handle_eof(now);
        self.translate(now);
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        self.session.poll_transmit(out)
    }

    fn poll_event(&mut self) -> Option<EsmeEvent> {
        self.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

/// The same for whichever it is.
macro_rules! either {
    ($self:ident, $session:ident => $call:expr) => {
        match $self {
            LinkSession::Smpp($session) => $call,
            LinkSession::Ucp($session) => $call,
        }
    };
}

impl Session for LinkSession {
    type Command = EsmeCommand;
    type Event = EsmeEvent;

    fn handle_bytes(&mut self, now: Instant, bytes: &[u8]) {
        either!(self, session => session.handle_bytes(now, bytes));
    }
    fn handle_command(&mut self, now: Instant, command: EsmeCommand) {
        either!(self, session => session.handle_command(now, command));
    }
    fn handle_timeout(&mut self, now: Instant) {
        either!(self, session => session.handle_timeout(now));
    }
    fn handle_eof(&mut self, now: Instant) {
        either!(self, session => session.handle_eof(now));
    }
    fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        either!(self, session => session.poll_transmit(out))
    }
    fn poll_event(&mut self) -> Option<EsmeEvent> {
        either!(self, session => session.poll_event())
    }
    fn poll_timeout(&self) -> Option<Instant> {
        either!(self, session => session.poll_timeout())
    }
    fn is_closed(&self) -> bool {
        either!(self, session => session.is_closed())
    }
}

fn answered(tag: u64, outcome: &Outcome, took: Duration, late: bool) -> EsmeEvent {
    let (status, message_id) = match outcome {
        Outcome::Ack { .. } => {
            let key = outcome.key().map(|(adc, scts)| receive::key(adc, scts));
            let id = key.map(|key| COctets::until_nul(key.as_bytes()));
            (CommandStatus::OK, id.unwrap_or_default())
        }
        Outcome::Nack { code, .. } => (status(*code), COctets::new()),
    };
    let answer = Answer {
        status,
        message_id,
        tlvs: Tlvs::new(),
        reply: Reply::SubmitSm,
    };
    answer.told(tag, took, late)
}

/// What a frame that cannot be understood was: a delivery is kept, others are only counted.
fn spoiled(raw: &[u8]) -> u32 {
    let mut fields = raw.split(|octet| *octet == b'/').skip(2);
    let is_delivery = fields.next() == Some(b"O")
        && matches!(fields.next(), Some(b"01" | b"02" | b"03" | b"30" | b"52" | b"53"));
    if is_delivery {
        CommandId::DeliverSm.into()
    } else {
        0
    }
}

/// What a refused login means for the next try.
fn refused_login(code: ErrorCode) -> CommandStatus {
    match code {
        ErrorCode::AUTHENTICATION | ErrorCode::ADC_INVALID => CommandStatus::INVALID_PASSWORD,
        // Most centres say so while the session before is still there.
        ErrorCode::NOT_ALLOWED => CommandStatus::ALREADY_BOUND,
        _ => CommandStatus::BIND_FAILED,
    }
}

fn refusal(why: NotSent) -> Refusal {
    match why {
        NotSent::NotBound => Refusal::NotBound,
        NotSent::WindowFull => Refusal::WindowFull,
        NotSent::Draining => Refusal::Draining,
        NotSent::Closed => Refusal::Closed,
    }
}

fn closed(cause: ucp::CloseCause, called: bool) -> CloseCause {
    match cause {
        // Theirs, not ours.
        ucp::CloseCause::LoginRefused(_) if called => CloseCause::OutbindRefused,
        ucp::CloseCause::LoginRefused(code) => CloseCause::BindRefused(refused_login(code)),
        ucp::CloseCause::LoginTimeout => CloseCause::BindTimeout,
        ucp::CloseCause::Drained => CloseCause::Unbound,
        ucp::CloseCause::DrainTimeout => CloseCause::UnbindTimeout,
        ucp::CloseCause::KeepAliveTimeout => CloseCause::EnquireLinkTimeout,
        ucp::CloseCause::Silent => CloseCause::Silent,
        ucp::CloseCause::Unanswered => CloseCause::Unanswered,
        ucp::CloseCause::Lost => CloseCause::Lost,
    }
}
