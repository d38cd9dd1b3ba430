//! Requests that name a message by the id its client was given: query_sm, cancel_sm and replace_sm (SMPP 3.4 sections 4.8 to
//! 4.10); and groups of messages, which cancel_sm names by their addresses.
//!
//! The id of a submit_multi names all its messages: the first has it, the others follow from it by their place. Invariant
//! NM-1: a client finds its own messages only, and only with the sender it gave.
//!
//! # Limits
//! A message whose record has expired (`limits.message_retention`) is not found. A submit_multi whose short id was taken by
//! another message, and that got a second one, is named by it as far as its first message goes. Such an id cannot be replaced.
//! A group of messages (cancel_sm without message_id) is in no index: that there are none cannot be said.

use super::binds::Bind;
use super::ident::{self, Named};
use super::refusal::{self, Unfit};
use super::requests::{self, Asks, Request, Served};
use super::submit::{self, Context};
use super::{Server, query};
use crate::accept::{self, Refusal};
use crate::cancel::{self, GroupDenied};
use crate::replace::{self, Denied};
use crate::shared::Shared;
use crate::tables::Tables;
use smsgw_config::{Client, LimitsSection};
use smsgw_message::{ClientId, MessageId, MessageLife, MtMessage, Npi, Origin, Record, Ton, names};
use smsgw_queue::{StateKey, Step, Versioned};
use smsgw_smpp::pdu::{CancelSm, QuerySmResp, ReplaceSm};
use smsgw_smpp::{Address, COctets, CommandId, CommandStatus, SmscCommand};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error};

/// Destinations of a submit_multi behind its first: number_of_dests is one octet (SMPP 3.4 section 4.5.1).
const OTHERS: std::ops::RangeInclusive<u64> = 1..=254;

/// Answers one request.
pub(super) async fn serve(server: Arc<Server>, bind: Arc<Bind>, request: Request) -> Served {
    let shared = &*server.shared;
    let tables = shared.tables.current();
    let config = &tables.snapshot.config;
    let deadline = Instant::now() + config.smpp.response_timeout;
    let sequence = request.sequence;
    let place = shared.place(config.smpp.max_in_flight);
    let answer = match (&request.asks, config.client.get(&bind.client), &place) {
        (_, None, _) => Err(Unfit::new(
            CommandStatus::SYSTEM_ERROR,
            "the account no longer exists",
        )),
        (_, Some(_), None) => Err(Unfit::new(
            CommandStatus::THROTTLED,
            "too many requests wait for the engine",
        )),
        (Asks::Query(asked), Some(account), Some(_)) => {
            let find = Find {
                shared,
                client: &bind.client,
                missing: query::NOT_FOUND,
                deadline,
            };
            find.all(&asked.message_id, &asked.source).await.map(|lives| {
                let form = ident::form(account.smpp.message_id, bind.version);
                let answer = query::answer(&lives, account, ident::octets(form, lives.named.message.id));
                answered(sequence, answer)
            })
        }
        (Asks::Cancel(asked), Some(_), Some(_)) => {
            let status = CommandStatus::OK;
            cancel(shared, &bind.client, asked, &config.limits, deadline)
                .await
                .map(|()| SmscCommand::AnswerCancel { sequence, status })
        }
        (Asks::Replace(asked), Some(account), Some(_)) => {
            let status = CommandStatus::OK;
            let find = Find {
                shared,
                client: &bind.client,
                missing: NOT_REPLACED,
                deadline,
            };
            replace(&find, &tables, account, asked)
                .await
                .map(|()| SmscCommand::AnswerReplace { sequence, status })
        }
        (Asks::Submit(..) | Asks::Multi(_), Some(_), Some(_)) => Err(Unfit::new(
            CommandStatus::SYSTEM_ERROR,
            "a submit names no message",
        )),
    };
    let answer = match answer {
        Ok(answer) => {
            requests::count(&bind, &request, CommandStatus::OK);
            answer
        }
        Err(unfit) => requests::refuse(&bind, &request, unfit),
    };
    Served {
        answers: vec![answer],
        ..Served::default()
    }
}

fn answered(sequence: u32, answer: QuerySmResp) -> SmscCommand {
    SmscCommand::AnswerQuery {
        sequence,
        status: CommandStatus::OK,
        answer,
    }
}

/// Asks for a message, or those of a submit_multi, to be withdrawn. All that can be are asked for together; the answer is
/// OK once one of them was, and the receipts say which were in time.
async fn cancel(
    shared: &Shared,
    client: &ClientId,
    asked: &CancelSm,
    limits: &LimitsSection,
    deadline: Instant,
) -> Result<(), Unfit> {
    let missing = Unfit::new(CommandStatus::CANCEL_FAILED, "no such message");
    if asked.message_id.is_empty() {
        return cancel_group(shared, client, asked, limits, deadline).await;
    }
    let find = Find {
        shared,
        client,
        missing,
        deadline,
    };
    let lives = find.all(&asked.message_id, &asked.source).await?;
    // Of a submit_multi one destination may be meant; of a single message it must be right where it is given.
    let meant: Vec<&MessageLife> = lives
        .iter()
        .filter(|life| is_same(&asked.destination, Some(&life.message.to)))
        .collect();
    if meant.is_empty() {
        return Err(missing);
    }
    let open: Vec<&MessageLife> = meant
        .into_iter()
        .filter(|life| cancel::check(life, client).is_ok())
        .collect();
    if open.is_empty() {
        return Err(Unfit::new(
            CommandStatus::CANCEL_FAILED,
            "nothing of it is left to withdraw",
        ));
    }
    let steps: Vec<Step> = open.iter().map(|life| cancel::step(shared, life)).collect();
    let mut refused = None;
    let mut asked_for = 0_usize;
    for (life, stored) in open.iter().zip(accept::commit_all(shared, steps, deadline).await) {
        match stored {
            Ok(()) => {
                asked_for += 1;
                debug!(message_id = %life.message.id, %client, "asked to be withdrawn");
            }
            Err(why) => refused = Some(refusal::not_stored(why)),
        }
    }
    match refused {
        Some(unfit) if asked_for == 0 => Err(unfit),
        Some(_) | None => Ok(()),
    }
}

/// Asks for all messages from one sender to one phone to be withdrawn, those of one service type where it is given.
async fn cancel_group(
    shared: &Shared,
    client: &ClientId,
    asked: &CancelSm,
    limits: &LimitsSection,
    deadline: Instant,
) -> Result<(), Unfit> {
    let failed = |why| Unfit::new(CommandStatus::CANCEL_FAILED, why);
    if asked.source.value.is_empty() || asked.destination.value.is_empty() {
        return Err(failed("a group has a sender and a destination"));
    }
    let service_type = asked.service_type.to_string_lossy();
    let group = cancel::Group {
        client,
        from: submit::source(&asked.source)?.ok_or(failed("a group has a sender"))?,
        to: submit::destination(&asked.destination)?,
        service_type: (!service_type.is_empty()).then_some(service_type),
    };
    let done = cancel::request_group(shared, &group, limits, deadline).await;
    done.map_err(|denied| match denied {
        GroupDenied::TooMany => failed("too many groups"),
        GroupDenied::Refused(refusal) => refusal::not_stored(refusal),
        GroupDenied::Unreadable => Unfit::new(
            CommandStatus::SYSTEM_ERROR,
            "requests for groups could not be read",
        ),
    })
}

const NOT_REPLACED: Unfit = Unfit::new(CommandStatus::REPLACE_FAILED, "no such message");

/// Replaces a message; answered when the router has done it.
async fn replace(find: &Find<'_>, tables: &Tables, account: &Client, asked: &ReplaceSm) -> Result<(), Unfit> {
    let lives = find.all(&asked.message_id, &asked.source).await?;
    let named = &lives.named.message;
    if named.origin == Origin::Smpp && named.batch == Some(named.id) {
        return Err(Unfit::new(
            CommandStatus::REPLACE_FAILED,
            "the id stands for messages to many",
        ));
    }
    let context = Context {
        client: find.client,
        account,
        config: &tables.snapshot.config,
        command: CommandId::ReplaceSm,
        bind: 0,
        now: find.shared.clock.now(),
        id: named.id,
        reference: rand::random(),
    };
    let make = |before: &MtMessage| super::replace::apply(asked, before, &context);
    let done = replace::request(find.shared, tables, find.client, named.id, make, find.deadline);
    done.await.map_err(|denied| {
        let failed = |why| Unfit::new(CommandStatus::REPLACE_FAILED, why);
        match denied {
            Denied::NotFound => NOT_REPLACED,
            Denied::TooLate => failed("a part of it is sent or on its way, or it is over"),
            Denied::Withdrawn => failed("it is withdrawn"),
            Denied::Prepaid => failed("its price is that of another number of parts"),
            Denied::Unanswered => failed("nobody has done it in time"),
            Denied::Refused(Refusal::Taken) => failed("another request for the message is under way"),
            Denied::Unfit(unfit) => unfit,
            Denied::NotAdmitted(refused) => refusal::not_admitted(refused.why),
            Denied::Unreadable => Unfit::new(CommandStatus::SYSTEM_ERROR, "what it needs could not be read"),
            Denied::Refused(refusal) => refusal::not_stored(refusal),
        }
    })
}

/// What an id names.
pub(super) struct Lives {
    pub(super) named: MessageLife,
    /// The other messages of a submit_multi.
    pub(super) others: Vec<MessageLife>,
}

impl Lives {
    pub(super) fn iter(&self) -> impl Iterator<Item = &MessageLife> {
        std::iter::once(&self.named).chain(&self.others)
    }
}

/// How messages are looked for.
struct Find<'a> {
    shared: &'a Shared,
    client: &'a ClientId,
    /// The answer when there is none.
    missing: Unfit,
    deadline: Instant,
}

impl Find<'_> {
    /// The message of that id, or all of a submit_multi.
    async fn all(&self, message_id: &COctets, source: &Address) -> Result<Lives, Unfit> {
        let none_of_ours = Unfit::new(CommandStatus::INVALID_MESSAGE_ID, "message_id is none of ours");
        let id = match ident::read(self.client, message_id).ok_or(none_of_ours)? {
            Named::Id(id) => id,
            Named::Key(key) => {
                let found = self.read(vec![key]).await?;
                let found = found.into_iter().flatten().next().ok_or(self.missing)?;
                let octets: [u8; 16] = found.value.as_ref().try_into().map_err(|_| self.missing)?;
                MessageId::from_bytes(octets)
            }
        };
        let named = self.lives(std::iter::once(id)).await?.into_iter().next();
        // The source must be that of the message; one that was left to us may be left out again.
        let named = named
            .filter(|life| is_same(source, life.message.from.as_ref()))
            .ok_or(self.missing)?;
        let is_of_many = named.message.origin == Origin::Smpp && named.message.batch == Some(id);
        let others = if is_of_many {
            let others = self.lives(OTHERS.map(|number| id.derive(number))).await?;
            others
                .into_iter()
                .filter(|life| life.message.batch == Some(id))
                .collect()
        } else {
            Vec::new()
        };
        Ok(Lives { named, others })
    }

    /// The client's own messages among these.
    async fn lives(&self, ids: impl Iterator<Item = MessageId>) -> Result<Vec<MessageLife>, Unfit> {
        let keys = ids.map(|id| StateKey::from(names::message(id))).collect();
        let mut lives = Vec::new();
        for found in self.read(keys).await?.into_iter().flatten() {
            let life = MessageLife::from_record(&found.value).map_err(|error| {
                error!(client = %self.client, %error, "record of a message could not be decoded");
                Unfit::new(CommandStatus::SYSTEM_ERROR, "the message's record is damaged")
            })?;
            if life.message.client == *self.client {
                lives.push(life);
            }
        }
        Ok(lives)
    }

    async fn read(&self, keys: Vec<StateKey>) -> Result<Vec<Option<Versioned>>, Unfit> {
        let failed = Unfit::new(CommandStatus::SYSTEM_ERROR, "the message could not be read");
        let found = timeout_at(self.deadline, self.shared.engine.get(keys))
            .await
            .map_err(|_| failed)?;
        found.map_err(|error| {
            error!(%error, "a message could not be read");
            failed
        })
    }
}

/// Whether an address of a PDU is that of a message, or was left out.
fn is_same(given: &Address, known: Option<&smsgw_message::Address>) -> bool {
    let said = given.value.to_string_lossy();
    if said.is_empty() {
        return true;
    }
    let read = smsgw_message::Address::from_wire(Ton(given.ton), Npi(given.npi), &said);
    known.is_some_and(|known| known.as_str() == read.as_str() || known.as_str() == said)
}
