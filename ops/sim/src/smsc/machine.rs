//! The carrier as a machine: what the sessions tell goes in, what they shall do and what belongs in the ledger comes
//! out.
//!
//! Knows no socket and reads no clock; everything random comes from the seed. Invariants:
//! - the record of a submit comes out before its answer;
//! - a delivery is made once and stays until it is answered, refused for good or pushed out of a full outbox (counted);
//!   what a lost session had not answered goes to the next bind of its account.
//!
//! # Limits
//! query_sm, cancel_sm and replace_sm are answered as failed: the carrier remembers no message. A delivery that timed
//! out is sent again even if its late answer comes meanwhile. At most [`ACCOUNTS`] accounts are known.

mod delivery;

use super::account::{Account, Outgoing};
use super::agenda::Agenda;
use super::id::Id;
use super::mo::{MoBatch, MoSource};
use super::options::SmscOptions;
use super::session::SimCommand;
use super::stats::SmscStats;
use crate::ledger::{AnswerLost, CarrierRecord, Fate, Submit, hex};
use crate::token::Token;
use bytes::{BufMut, Bytes, BytesMut};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustc_hash::FxHashMap;
use smsgw_message::Timestamp;
use smsgw_smpp::pdu::QuerySmResp;
use smsgw_smpp::{
    BindKind, COctets, CommandStatus, Password, Refusal, SmscCommand, SmscConfig, SmscEvent, SubmitSm,
    esm_class,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Accounts known at most; binds of further ones are refused.
const ACCOUNTS: usize = 10_000;

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// A point in time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For delays.
    pub instant: Instant,
    /// For receipts and ledgers.
    pub wall: Timestamp,
}

/// What a session shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Which session.
    pub session: SessionId,
    /// What.
    pub command: SimCommand,
}

#[derive(Debug)]
struct Session {
    /// Position in `accounts`; none before the bind.
    account: Option<usize>,
    kind: Option<BindKind>,
    window: usize,
    /// It was told to cut: what it still brings had not been read.
    cut: bool,
    outstanding: FxHashMap<u64, Outgoing>,
}

impl Session {
    fn has_room(&self) -> bool {
        !self.cut && self.outstanding.len() < self.window
    }
}

#[derive(Debug)]
enum Job {
    Answer {
        session: SessionId,
        sequence: u32,
        status: CommandStatus,
        id: COctets,
    },
    Deliver {
        account: usize,
        outgoing: Outgoing,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Smsc {
    options: SmscOptions,
    rng: StdRng,
    run: u32,
    next_id: u64,
    next_tag: u64,
    sessions: FxHashMap<SessionId, Session>,
    accounts: Vec<Account>,
    account_names: FxHashMap<COctets, usize>,
    agenda: Agenda<Job>,
    batches: VecDeque<MoSource>,
    actions: VecDeque<Action>,
    records: Option<VecDeque<CarrierRecord>>,
    stats: SmscStats,
}

impl Smsc {
    /// A carrier; `records` says whether anybody wants ledger records.
    #[must_use]
    pub fn new(options: SmscOptions, now: Moment, records: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(options.seed);
        let millis = u64::try_from(now.wall.as_millis()).unwrap_or(0);
        Self {
            run: rng.random::<u32>() ^ u32::try_from(millis % (1 << 32)).unwrap_or(0),
            rng,
            // Ten thousand ids a millisecond of run time before a restart could repeat one.
            next_id: options.first_id.unwrap_or_else(|| millis.saturating_mul(10_000)),
            next_tag: 0,
            sessions: FxHashMap::default(),
            accounts: Vec::new(),
            account_names: FxHashMap::default(),
            agenda: Agenda::new(),
            batches: VecDeque::new(),
            actions: VecDeque::new(),
            records: records.then(VecDeque::new),
            stats: SmscStats::default(),
            options,
        }
    }

    /// Changes the behaviour from now on; windows and names count for new sessions, the seed not at all.
    pub fn set_options(&mut self, options: SmscOptions) {
        self.options = options;
    }

    /// The behaviour now.
    #[must_use]
    pub const fn options(&self) -> &SmscOptions {
        &self.options
    }

    /// How the protocol session of a new connection is configured.
    #[must_use]
    pub fn session_config(&self) -> SmscConfig {
        SmscConfig {
            requests: self.options.window,
            window: self.options.deliver_window.max(1),
            response_timeout: self.options.deliver_timeout,
            ..SmscConfig::new(COctets::until_nul(self.options.name.as_bytes()))
        }
    }

    /// A connection was opened.
    pub fn handle_opened(&mut self, session: SessionId) {
        let window = self.options.deliver_window.max(1);
        self.sessions.insert(
            session,
            Session {
                account: None,
                kind: None,
                window,
                cut: false,
                outstanding: FxHashMap::default(),
            },
        );
    }

    /// A connection is over, whether its session said so or not.
    pub fn handle_ended(&mut self, session: SessionId) {
        let Some(ended) = self.sessions.remove(&session) else {
            return;
        };
        let Some(account) = ended.account else { return };
        let mut unanswered: Vec<(u64, Outgoing)> = ended.outstanding.into_iter().collect();
        unanswered.sort_unstable_by_key(|(tag, _)| std::cmp::Reverse(*tag));
        if let Some(known) = self.accounts.get_mut(account) {
            known.remove_receiver(session);
            for (_, outgoing) in unanswered {
                self.stats.redelivered = self.stats.redelivered.saturating_add(1);
                known.put_back(outgoing);
            }
        }
        self.deliver(account);
    }

    /// A session tells something.
    pub fn handle_event(&mut self, now: Moment, session: SessionId, event: SmscEvent) {
        match event {
            SmscEvent::BindRequested {
                kind,
                system_id,
                password,
                ..
            } => {
                self.handle_bind(now, session, kind, system_id, &password);
            }
            SmscEvent::Submit {
                sequence, message, ..
            } => self.handle_submit(now, session, sequence, message),
            SmscEvent::Query { sequence, .. } => {
                let (status, answer) = (CommandStatus::QUERY_FAILED, QuerySmResp::default());
                self.fail_query(
                    session,
                    SmscCommand::AnswerQuery {
                        sequence,
                        status,
                        answer,
                    },
                );
            }
            SmscEvent::Cancel { sequence, .. } => {
                let status = CommandStatus::CANCEL_FAILED;
                self.fail_query(session, SmscCommand::AnswerCancel { sequence, status });
            }
            SmscEvent::Replace { sequence, .. } => {
                let status = CommandStatus::REPLACE_FAILED;
                self.fail_query(session, SmscCommand::AnswerReplace { sequence, status });
            }
            SmscEvent::RequestRefused { .. } => count(&mut self.stats.overloaded),
            SmscEvent::DeliverAnswered { tag, status, .. } => {
                self.handle_delivered(now, session, tag, status)
            }
            SmscEvent::TimedOut { tag } => self.redeliver(now, session, tag, Duration::ZERO),
            SmscEvent::LateAnswer { .. } => count(&mut self.stats.late_answers),
            SmscEvent::NotSent { tag, why } => match why {
                Refusal::DoesNotFit => {
                    self.take_outstanding(session, tag);
                    count(&mut self.stats.deliveries_refused);
                }
                Refusal::NotBound
                | Refusal::WrongBind
                | Refusal::Draining
                | Refusal::WindowFull
                | Refusal::Closed => {
                    self.redeliver(now, session, tag, self.options.redeliver_after);
                }
            },
            SmscEvent::Unmatched { .. } => count(&mut self.stats.unmatched),
            SmscEvent::Undecodable(_) => count(&mut self.stats.undecodable),
            SmscEvent::Tolerated { .. } => count(&mut self.stats.tolerated),
            SmscEvent::Closed { .. } => self.handle_ended(session),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Moment) {
        while let Some(job) = self.agenda.take_due(now.instant) {
            match job {
                Job::Answer {
                    session,
                    sequence,
                    status,
                    id,
                } => self.answer(session, sequence, status, id),
                Job::Deliver { account, outgoing } => self.enqueue(account, outgoing),
            }
        }
        self.deliver_mo(now);
    }

    /// Sends messages from phones.
    pub fn inject_mo(&mut self, now: Moment, batch: MoBatch) {
        let run = self
            .run
            .wrapping_add(u32::try_from(self.batches.len()).unwrap_or(0))
            .wrapping_add(self.rng.random());
        self.batches.push_back(MoSource::new(batch, run, now.instant));
        self.deliver_mo(now);
    }

    /// Cuts every connection now.
    pub fn cut_all(&mut self) {
        for (session, known) in &mut self.sessions {
            known.cut = true;
            self.actions.push_back(Action {
                session: *session,
                command: SimCommand::Cut,
            });
        }
    }

    /// When [`Self::handle_timeout`] must be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mo = self
            .batches
            .front()
            .filter(|_| self.has_room_for_mo())
            .map(MoSource::next_at);
        [self.agenda.next_at(), mo].into_iter().flatten().min()
    }

    /// The next thing a session shall do. Take the records first.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next record for the ledger.
    pub fn poll_record(&mut self) -> Option<CarrierRecord> {
        self.records.as_mut()?.pop_front()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> SmscStats {
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        SmscStats {
            sessions: number(self.sessions.len()),
            bound: number(
                self.sessions
                    .values()
                    .filter(|session| session.account.is_some())
                    .count(),
            ),
            waiting: self
                .accounts
                .iter()
                .map(|account| number(account.waiting()))
                .sum(),
            outstanding: self
                .sessions
                .values()
                .map(|session| number(session.outstanding.len()))
                .sum(),
            ..self.stats.clone()
        }
    }

    fn command(&mut self, session: SessionId, command: SmscCommand) {
        self.actions.push_back(Action {
            session,
            command: SimCommand::Smsc(command),
        });
    }

    fn fail_query(&mut self, session: SessionId, answer: SmscCommand) {
        count(&mut self.stats.queries);
        self.command(session, answer);
    }

    fn handle_bind(
        &mut self,
        now: Moment,
        session: SessionId,
        kind: BindKind,
        id: COctets,
        password: &Password,
    ) {
        let options = &self.options;
        let right = |wanted: &Option<String>, given: &[u8]| {
            wanted.as_ref().is_none_or(|want| want.as_bytes() == given)
        };
        let refusal = if options.refuse_binds != 0 {
            Some(CommandStatus(options.refuse_binds))
        } else if !right(&options.system_id, id.as_bytes()) {
            Some(CommandStatus::INVALID_SYSTEM_ID)
        } else if !right(&options.password, password.expose()) {
            Some(CommandStatus::INVALID_PASSWORD)
        } else if self.accounts.len() >= ACCOUNTS && !self.account_names.contains_key(&id) {
            Some(CommandStatus::BIND_FAILED)
        } else {
            None
        };
        if let Some(status) = refusal {
            count(&mut self.stats.binds_refused);
            return self.command(session, SmscCommand::RefuseBind { status });
        }
        let accounts = &mut self.accounts;
        let name = id.to_string_lossy();
        let account = *self.account_names.entry(id).or_insert_with(|| {
            accounts.push(Account::new(name));
            accounts.len().saturating_sub(1)
        });
        let Some(bound) = self.sessions.get_mut(&session) else {
            return;
        };
        (bound.account, bound.kind) = (Some(account), Some(kind));
        if kind.can_deliver()
            && let Some(account) = self.accounts.get_mut(account)
        {
            account.add_receiver(session);
        }
        count(&mut self.stats.binds);
        self.command(session, SmscCommand::AcceptBind { window: None });
        self.deliver(account);
        self.deliver_mo(now);
    }

    fn handle_submit(&mut self, now: Moment, session: SessionId, sequence: u32, message: SubmitSm) {
        let live = self.sessions.get(&session).filter(|session| !session.cut);
        let Some(account) = live.and_then(|session| session.account) else {
            return;
        };
        count(&mut self.stats.submits);
        let (fate, status) = self.judge(now, account, &message);
        let id = match fate {
            Fate::Accepted | Fate::Unanswered | Fate::Cut => {
                count(&mut self.stats.accepted);
                self.stats.last_accepted_at = now.wall.as_millis();
                self.next_id = self.next_id.wrapping_add(1);
                Some(Id::new(self.options.ids, self.next_id, &mut self.rng))
            }
            Fate::Refused => None,
        };
        let answer_id = id.as_ref().map(|id| id.answer.clone()).unwrap_or_default();
        if self.records.is_some() {
            let record = self.record(
                now, session, account, sequence, &message, &answer_id, status, fate,
            );
            if let Some(records) = &mut self.records {
                records.push_back(CarrierRecord::Submit(record));
            }
        }
        let delay = self.spread(self.options.answer_delay, self.options.answer_jitter);
        let receipt = id.and_then(|id| self.receipt(now, &message, id));
        if self.options.receipt_first
            && let Some(due) = &receipt
        {
            self.schedule_receipt(now, account, Duration::ZERO, due.clone());
        }
        match fate {
            Fate::Accepted | Fate::Refused if delay.is_zero() => {
                self.answer(session, sequence, status, answer_id)
            }
            Fate::Accepted | Fate::Refused => {
                let at = later(now.instant, delay);
                self.agenda.insert(
                    at,
                    Job::Answer {
                        session,
                        sequence,
                        status,
                        id: answer_id,
                    },
                );
            }
            Fate::Unanswered => count(&mut self.stats.unanswered),
            Fate::Cut => {
                count(&mut self.stats.cut);
                if let Some(known) = self.sessions.get_mut(&session) {
                    known.cut = true;
                }
                self.actions.push_back(Action {
                    session,
                    command: SimCommand::Cut,
                });
            }
        }
        if !self.options.receipt_first
            && let Some(due) = receipt
        {
            self.schedule_receipt(now, account, delay, due);
        }
        let every = self.options.malformed_every;
        if every > 0 && self.stats.submits.is_multiple_of(every) {
            count(&mut self.stats.malformed);
            let number = u32::try_from(self.stats.malformed % 0x7fff_ffff).unwrap_or(0);
            self.actions.push_back(Action {
                session,
                command: SimCommand::Raw(malformed(number)),
            });
        }
    }

    fn judge(&mut self, now: Moment, account: usize, message: &SubmitSm) -> (Fate, CommandStatus) {
        let limit = self.options.throttle;
        if !self
            .accounts
            .get_mut(account)
            .is_some_and(|account| account.let_through(now.instant, limit))
        {
            count(&mut self.stats.throttled);
            return (Fate::Refused, CommandStatus(self.options.throttle_status));
        }
        let rng = &mut self.rng;
        let destination = message.destination.value.as_bytes();
        let refusal = self
            .options
            .reject
            .iter()
            .find_map(|rule| rule.refuses(destination, |share| hit(rng, share)));
        if let Some(status) = refusal {
            count(&mut self.stats.refused);
            return (Fate::Refused, status);
        }
        let every = self.options.drop_every;
        let fate =
            if (every > 0 && self.stats.submits.is_multiple_of(every)) || hit(rng, self.options.drop_share) {
                Fate::Cut
            } else if hit(rng, self.options.never_answer) {
                Fate::Unanswered
            } else {
                Fate::Accepted
            };
        (fate, CommandStatus::OK)
    }

    fn answer(&mut self, session: SessionId, sequence: u32, status: CommandStatus, message_id: COctets) {
        if self.sessions.get(&session).is_none_or(|session| session.cut) {
            if status.is_ok() {
                count(&mut self.stats.unanswered);
                if let Some(records) = &mut self.records {
                    let (session, id) = (session.0, message_id.to_string_lossy());
                    records.push_back(CarrierRecord::AnswerLost(AnswerLost { session, id }));
                }
            }
            return;
        }
        self.command(
            session,
            SmscCommand::AnswerSubmit {
                sequence,
                status,
                message_id,
            },
        );
    }

    fn spread(&mut self, delay: Duration, jitter: Duration) -> Duration {
        if jitter.is_zero() {
            delay
        } else {
            delay.saturating_add(jitter.mul_f64(self.rng.random()))
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the ledger, from one place")]
    fn record(
        &self,
        now: Moment,
        session: SessionId,
        account: usize,
        sequence: u32,
        message: &SubmitSm,
        id: &COctets,
        status: CommandStatus,
        fate: Fate,
    ) -> Submit {
        let payload = message.payload();
        Submit {
            at: now.wall.as_millis(),
            session: session.0,
            system_id: self
                .accounts
                .get(account)
                .map(|account| account.name().to_owned())
                .unwrap_or_default(),
            sequence,
            id: id.to_string_lossy(),
            token: Token::find(
                payload,
                esm_class::has_udh(message.esm_class),
                message.data_coding,
            ),
            source: message.source.value.to_string_lossy(),
            destination: message.destination.value.to_string_lossy(),
            octets: hex(payload),
            esm_class: message.esm_class,
            data_coding: message.data_coding,
            registered_delivery: message.registered_delivery,
            status: status.0,
            fate,
        }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

fn later(at: Instant, delay: Duration) -> Instant {
    at.checked_add(delay).unwrap_or(at)
}

fn hit(rng: &mut StdRng, share: f64) -> bool {
    share > 0.0 && rng.random::<f64>() < share
}

/// A deliver_sm whose body ends inside its addresses: cut right, but not decodable.
fn malformed(number: u32) -> Bytes {
    let mut pdu = BytesMut::new();
    pdu.put_u32(16 + 3);
    pdu.put_u32(0x0000_0005);
    pdu.put_u32(0);
    pdu.put_u32(0x7000_0000 | number);
    pdu.put_slice(&[0, 1, 1]);
    pdu.freeze()
}
