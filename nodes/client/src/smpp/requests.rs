//! What a bound client asks for: submits to durable messages, queries to answers.
//!
//! Requests come in batches as they were read; each batch is admitted in order and committed together, and any number of
//! batches of any number of sessions are joined by the engine. Invariants:
//! - RQ-1: every request is answered once, or given back unanswered (over the rate, to come again shortly).
//! - RQ-2: a submit is answered OK only after the commit of its message; of submit_multi, a destination that is not listed as
//!   failed.
//!
//! # Limits
//! submit_multi to distribution lists is refused: there are none. Its destinations over the rate are not held back.

use super::binds::Bind;
use super::refusal::{self, Unfit};
use super::submit::{self, Context};
use super::{Server, ident, metric};
use crate::accept::{self, Refusal};
use crate::admission::{self, Admitted, Why, turn::Turn};
use crate::shared::Shared;
use crate::tables::Tables;
use bytes::Bytes;
use smsgw_config::{Client, ClientMessageId, LimitsSection};
use smsgw_message::{MessageId, MtMessage};
use smsgw_queue::{Expected, Expiry, Step};
use smsgw_smpp::pdu::{CancelSm, QuerySm, QuerySmResp, ReplaceSm};
use smsgw_smpp::pdu::{Destination, SubmitMulti, Unsuccess};
use smsgw_smpp::{Address, COctets, CommandId, CommandStatus, Operation, SmscCommand, SubmitSm};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tracing::debug;

/// How often another short id is tried when one is taken.
const SHORT_TRIES: usize = 5;

/// A request that waits for its turn.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) sequence: u32,
    pub(super) asks: Asks,
    /// When it was read.
    pub(super) arrived: Instant,
}

/// What it asks for.
#[derive(Debug)]
pub(super) enum Asks {
    Submit(Operation, SubmitSm),
    Multi(SubmitMulti),
    Query(QuerySm),
    Cancel(CancelSm),
    Replace(ReplaceSm),
}

impl Asks {
    fn command(&self) -> CommandId {
        match self {
            Self::Submit(Operation::DataSm, _) => CommandId::DataSm,
            Self::Submit(Operation::SubmitSm | Operation::DeliverSm, _) => CommandId::SubmitSm,
            Self::Multi(_) => CommandId::SubmitMulti,
            Self::Query(_) => CommandId::QuerySm,
            Self::Cancel(_) => CommandId::CancelSm,
            Self::Replace(_) => CommandId::ReplaceSm,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Submit(Operation::DataSm, _) => "data_sm",
            Self::Submit(Operation::SubmitSm | Operation::DeliverSm, _) => "submit_sm",
            Self::Multi(_) => "submit_multi",
            Self::Query(_) => "query_sm",
            Self::Cancel(_) => "cancel_sm",
            Self::Replace(_) => "replace_sm",
        }
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) answers: Vec<SmscCommand>,
    /// Not answered: over the rate for so long.
    pub(super) rest: VecDeque<Request>,
    pub(super) retry_in: Duration,
}

/// A message that is admitted, for one destination.
struct Part {
    address: Address,
    message: MtMessage,
    admitted: Admitted,
}

/// A submit whose messages are admitted.
struct Pending {
    request: Request,
    /// The id that the client is given.
    id: MessageId,
    parts: Vec<Part>,
    unsuccess: Vec<Unsuccess>,
}

/// Why a submit has no messages.
enum Stop {
    Refused(Unfit),
    /// Over the rate, for so long.
    Hold(Duration),
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        Self::Refused(unfit)
    }
}

/// One batch of one session.
struct Batch<'a> {
    shared: &'a Shared,
    tables: &'a Tables,
    account: &'a Client,
    bind: &'a Bind,
    form: ClientMessageId,
}

/// Serves a batch.
pub(super) async fn serve(server: Arc<Server>, bind: Arc<Bind>, mut requests: VecDeque<Request>) -> Served {
    let shared = &*server.shared;
    let tables = shared.tables.current();
    let mut served = Served::default();
    let Some(account) = tables.snapshot.config.client.get(&bind.client) else {
        let gone = Unfit::new(CommandStatus::SYSTEM_ERROR, "the account no longer exists");
        for request in requests {
            served.answers.push(refuse(&bind, &request, gone));
        }
        return served;
    };
    let batch = Batch {
        shared,
        tables: &tables,
        account,
        bind: &bind,
        form: ident::form(account.smpp.message_id, bind.version),
    };
    while !requests.is_empty() {
        let Some(turn) = batch.turn(requests.len()).await else {
            let throttled = Unfit::new(CommandStatus::THROTTLED, "too many submits of the account wait");
            let refused = requests
                .drain(..)
                .map(|request| refuse(&bind, &request, throttled));
            served.answers.extend(refused);
            break;
        };
        let behind = requests.split_off(turn.requests().min(requests.len()));
        batch.serve(&mut requests, &mut served).await;
        let is_held = !requests.is_empty();
        requests.extend(behind);
        if is_held {
            served.rest = requests;
            break;
        }
    }
    served
}

/// The answer to a request that is refused.
pub(super) fn refuse(bind: &Bind, request: &Request, unfit: Unfit) -> SmscCommand {
    let unfit = unfit.known_in(bind.version);
    debug!(client = %bind.client, command = request.asks.word(), status = %unfit.status, why = unfit.why, "request refused");
    count(bind, request, unfit.status);
    answer(request, unfit.status, COctets::new(), Vec::new())
}

pub(super) fn count(bind: &Bind, request: &Request, status: CommandStatus) {
    metric::REQUESTS_TOTAL
        .with(&[bind.client.as_str(), request.asks.word(), refusal::word(status)])
        .inc();
}

fn answer(
    request: &Request,
    status: CommandStatus,
    message_id: COctets,
    unsuccess: Vec<Unsuccess>,
) -> SmscCommand {
    let sequence = request.sequence;
    match &request.asks {
        Asks::Submit(..) => SmscCommand::AnswerSubmit {
            sequence,
            status,
            message_id,
        },
        Asks::Multi(_) => SmscCommand::AnswerMulti {
            sequence,
            status,
            message_id,
            unsuccess,
        },
        Asks::Query(_) => SmscCommand::AnswerQuery {
            sequence,
            status,
            answer: QuerySmResp::default(),
        },
        Asks::Cancel(_) => SmscCommand::AnswerCancel { sequence, status },
        Asks::Replace(_) => SmscCommand::AnswerReplace { sequence, status },
    }
}

impl Batch<'_> {
    /// Waits for the turn of so many requests, or of the first of them.
    async fn turn(&self, requests: usize) -> Option<Turn> {
        let smpp = &self.tables.snapshot.config.smpp;
        let row = (self.account.class, &self.bind.client);
        let turn = self.shared.turns.take(row, requests, smpp.max_in_flight);
        tokio::time::timeout(smpp.response_timeout, turn)
            .await
            .ok()
            .flatten()
    }

    /// Serves what has its turn; what is over the rate stays.
    async fn serve(&self, requests: &mut VecDeque<Request>, served: &mut Served) {
        let mut pending = Vec::with_capacity(requests.len());
        while let Some(request) = requests.pop_front() {
            match self.admit(request).await {
                Ok(admitted) => pending.push(admitted),
                Err((request, Stop::Refused(unfit))) => {
                    served.answers.push(refuse(self.bind, &request, unfit));
                }
                Err((request, Stop::Hold(wait))) => {
                    requests.push_front(request);
                    served.retry_in = wait;
                    break;
                }
            }
        }
        self.commit(pending, &mut served.answers).await;
    }

    /// Checks a submit and takes what it costs from the account's rate. What is no submit is refused.
    async fn admit(&self, request: Request) -> Result<Pending, (Request, Stop)> {
        let id = self.fresh_id();
        let judged = match &request.asks {
            Asks::Submit(_, message) => self
                .message(&request, message, id)
                .await
                .map(|part| (vec![part], Vec::new())),
            Asks::Multi(multi) => self.multi(&request, multi, id).await,
            Asks::Query(_) | Asks::Cancel(_) | Asks::Replace(_) => {
                Err(Unfit::new(CommandStatus::SYSTEM_ERROR, "no submit, and among submits").into())
            }
        };
        match judged {
            Ok((parts, unsuccess)) => Ok(Pending {
                request,
                id,
                parts,
                unsuccess,
            }),
            Err(stop) => Err((request, stop)),
        }
    }

    fn fresh_id(&self) -> MessageId {
        let random: [u8; 10] = rand::random();
        MessageId::from_parts(self.shared.clock.now(), random)
    }

    async fn message(&self, request: &Request, message: &SubmitSm, id: MessageId) -> Result<Part, Stop> {
        let context = Context {
            client: &self.bind.client,
            account: self.account,
            config: &self.tables.snapshot.config,
            command: request.asks.command(),
            bind: self.bind.id,
            now: self.shared.clock.now(),
            id,
            reference: rand::random(),
        };
        let mut built = submit::build(message, &context)?;
        match admission::check_uncounted(self.shared, self.tables, &mut built).await {
            Ok(admitted) => Ok(Part {
                address: message.destination.clone(),
                message: built,
                admitted,
            }),
            Err(refused) if refused.why == Why::RateLimited => {
                let waited = self
                    .shared
                    .clock
                    .instant()
                    .saturating_duration_since(request.arrived);
                let most = self.tables.snapshot.config.smpp.rate_wait;
                match refused.retry_after {
                    Some(wait) if waited.saturating_add(wait) <= most => Err(Stop::Hold(wait)),
                    Some(_) | None => Err(self.not_admitted(&built, refused.why)),
                }
            }
            Err(refused) => Err(self.not_admitted(&built, refused.why)),
        }
    }

    fn not_admitted(&self, message: &MtMessage, why: Why) -> Stop {
        admission::count(self.tables, message, why);
        refusal::not_admitted(why).into()
    }

    /// One message for each destination (SMPP 3.4 section 4.5). All have the id of the first, as far as the client knows.
    async fn multi(
        &self,
        request: &Request,
        multi: &SubmitMulti,
        id: MessageId,
    ) -> Result<(Vec<Part>, Vec<Unsuccess>), Stop> {
        if multi.destinations.is_empty() {
            return Err(Unfit::new(CommandStatus::INVALID_DESTINATION_COUNT, "number_of_dests").into());
        }
        let mut parts: Vec<Part> = Vec::with_capacity(multi.destinations.len());
        let mut unsuccess = Vec::new();
        let mut first_refusal = None;
        // By it the others are found again from the id, which the first one has.
        let is_of_many = multi.destinations.len() > 1;
        for (destination, number) in multi.destinations.iter().zip(0_u64..) {
            let (address, refused) = match destination {
                Destination::List(name) => {
                    let unfit = Unfit::new(
                        CommandStatus::INVALID_LIST_NAME,
                        "there are no distribution lists",
                    );
                    let name = Address {
                        value: name.clone(),
                        ..Address::default()
                    };
                    (name, unfit)
                }
                Destination::Sme(address) => {
                    let own = if parts.is_empty() { id } else { id.derive(number) };
                    match self.message(request, &single(multi, address), own).await {
                        Ok(mut part) => {
                            part.message.batch = is_of_many.then_some(id);
                            parts.push(part);
                            continue;
                        }
                        // Nothing is taken yet: all of it may come again.
                        Err(Stop::Hold(wait)) if parts.is_empty() && unsuccess.is_empty() => {
                            return Err(Stop::Hold(wait));
                        }
                        Err(Stop::Hold(_)) => (address.clone(), refusal::not_admitted(Why::RateLimited)),
                        Err(Stop::Refused(unfit)) => (address.clone(), unfit),
                    }
                }
            };
            let refused = refused.known_in(self.bind.version);
            first_refusal.get_or_insert(refused);
            unsuccess.push(Unsuccess {
                address,
                status: refused.status,
            });
        }
        match first_refusal {
            Some(refused) if parts.is_empty() => Err(refused.into()),
            Some(_) | None => Ok((parts, unsuccess)),
        }
    }

    /// Makes the messages durable, all of a batch in one call, and answers.
    async fn commit(&self, pending: Vec<Pending>, answers: &mut Vec<SmscCommand>) {
        let config = &self.tables.snapshot.config;
        let deadline = tokio::time::Instant::now() + config.smpp.response_timeout;
        let mut places = Vec::new();
        let mut steps = Vec::new();
        for one in &pending {
            for part in &one.parts {
                places.push(self.shared.place(config.smpp.max_in_flight));
                steps.push(self.step(part, one.id, &config.limits));
            }
        }
        // As many waits as the bound allows; the others are told to come again.
        let is_full = places.iter().any(Option::is_none);
        let stored: Vec<Result<(), Unfit>> = if is_full {
            let throttled = Unfit::new(CommandStatus::THROTTLED, "too many submits wait for the engine");
            vec![Err(throttled); steps.len()]
        } else {
            let stored = accept::commit_all(self.shared, steps, deadline).await;
            stored
                .into_iter()
                .map(|stored| stored.map_err(refusal::not_stored))
                .collect()
        };
        let mut stored = stored.into_iter();
        for mut one in pending {
            let mut own: Vec<Result<(), Unfit>> = stored.by_ref().take(one.parts.len()).collect();
            if self.form == ClientMessageId::Short
                && let Some(first) = own.first_mut()
                && *first == Err(refusal::not_stored(Refusal::Taken))
            {
                *first = self.again(&mut one, &config.limits, deadline).await;
            }
            let now = self.shared.clock.instant();
            answers.push(self.answered(one, own, now));
        }
    }

    /// The short id was another message's: the message gets another one.
    async fn again(
        &self,
        pending: &mut Pending,
        limits: &LimitsSection,
        deadline: tokio::time::Instant,
    ) -> Result<(), Unfit> {
        let mut last = Refusal::Taken;
        for _ in 0..SHORT_TRIES {
            let id = self.fresh_id();
            pending.id = id;
            let Some(first) = pending.parts.first_mut() else {
                break;
            };
            first.message.id = id;
            let step = self.step(first, id, limits);
            match accept::commit(self.shared, step, deadline).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Taken) => {}
                Err(other) => {
                    last = other;
                    break;
                }
            }
        }
        Err(refusal::not_stored(last))
    }

    fn step(&self, part: &Part, named: MessageId, limits: &LimitsSection) -> Step {
        let until = accept::remembered_until(&part.message, limits).after(limits.message_retention);
        let id = part.message.id;
        let step = accept::step(
            self.shared,
            part.message.clone(),
            part.admitted.routed.as_ref(),
            limits,
        );
        let step = if self.form == ClientMessageId::Short && id == named {
            let key = ident::key(&self.bind.client, id);
            let value = Bytes::copy_from_slice(id.as_bytes());
            step.compare_and_put(key, Expected::Absent, value, Expiry::At(until))
        } else {
            step
        };
        part.admitted.clone().add_to(step)
    }

    fn answered(&self, pending: Pending, outcomes: Vec<Result<(), Unfit>>, now: Instant) -> SmscCommand {
        let Pending {
            request,
            id,
            parts,
            mut unsuccess,
        } = pending;
        let mut accepted = 0_u64;
        let mut refused = None;
        for (part, outcome) in parts.iter().zip(outcomes) {
            match outcome {
                Ok(()) => accepted = accepted.saturating_add(1),
                Err(unfit) => {
                    refused.get_or_insert(unfit);
                    unsuccess.push(Unsuccess {
                        address: part.address.clone(),
                        status: unfit.known_in(self.bind.version).status,
                    });
                }
            }
        }
        match refused {
            Some(unfit) if accepted == 0 => refuse(self.bind, &request, unfit),
            Some(_) | None => {
                self.bind.submitted.fetch_add(accepted, Ordering::Relaxed);
                metric::ACCEPT_SECONDS
                    .with(&[])
                    .observe(now.saturating_duration_since(request.arrived).as_secs_f64());
                count(self.bind, &request, CommandStatus::OK);
                debug!(message_id = %id, client = %self.bind.client, accepted, "accepted");
                answer(
                    &request,
                    CommandStatus::OK,
                    ident::octets(self.form, id),
                    unsuccess,
                )
            }
        }
    }
}

/// The submit_sm that a destination of submit_multi stands for.
fn single(multi: &SubmitMulti, destination: &Address) -> SubmitSm {
    SubmitSm {
        service_type: multi.service_type.clone(),
        source: multi.source.clone(),
        destination: destination.clone(),
        esm_class: multi.esm_class,
        protocol_id: multi.protocol_id,
        priority_flag: multi.priority_flag,
        schedule_delivery_time: multi.schedule_delivery_time.clone(),
        validity_period: multi.validity_period.clone(),
        registered_delivery: multi.registered_delivery,
        replace_if_present: multi.replace_if_present,
        data_coding: multi.data_coding,
        sm_default_msg_id: multi.sm_default_msg_id,
        short_message: multi.short_message.clone(),
        tlvs: multi.tlvs.clone(),
    }
}
