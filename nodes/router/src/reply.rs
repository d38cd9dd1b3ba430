//! What a phone is answered by a route or keyword: a request to the client node, in the client's name.
//!
//! Nodes do not call each other: the request is published in the step that takes the message, and the client node makes a
//! message of it whose id follows from the request's event, so a message that is taken again is answered once. Knows no
//! admission. Invariant RP-1: nothing is answered that would come back: no names, no short codes, none of our own answers.
//!
//! # Limits
//! A machine that answers with other words is stopped by `reply_max` alone.

use crate::outcome::{Note, Outcome};
use crate::plan::Plan;
use crate::ruling::Reply;
use smsgw_message::{Address, ClientRequest, KeywordAction, MessageId, ReplyBounds, Ton, names};
use smsgw_message::{Record, Timestamp, document::reply_body};
use smsgw_queue::Lane;
use smsgw_routing::whole_text;

/// Fewest digits of a phone; below are short codes.
const PHONE_DIGITS: usize = 7;
/// Which of the ids that follow from a message's is that of the answer; the events for clients have small numbers.
const EVENT: u64 = 0x0072_6570_6C79;

/// Why a phone is not answered, or that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The client node was asked to.
    Asked,
    /// Who wrote is no phone: a name or a short code.
    NoPhone,
    /// The text is one that we answer with.
    OwnText,
}

impl Answer {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::NoPhone => "no_phone",
            Self::OwnText => "own_text",
        }
    }
}

/// The message that is answered.
pub(crate) struct Asked<'a> {
    pub(crate) id: MessageId,
    pub(crate) at: Timestamp,
    pub(crate) from: &'a Address,
    pub(crate) to: &'a Address,
}

fn is_phone(address: &Address) -> bool {
    address.is_numeric() && address.ton() != Ton::ALPHANUMERIC && address.as_str().len() >= PHONE_DIGITS
}

/// Whether who wrote this is answered, as far as addresses and texts tell; the client node counts.
pub(crate) fn judge(plan: &Plan, from: &Address, text: Option<&str>) -> Answer {
    if !is_phone(from) {
        return Answer::NoPhone;
    }
    let is_own = text.is_some_and(|text| plan.answers(&whole_text(text)));
    if is_own { Answer::OwnText } else { Answer::Asked }
}

/// Asks for the answer.
pub(crate) fn ask(
    outcome: Outcome,
    plan: &Plan,
    now: Timestamp,
    wanted: &Reply<'_>,
    asked: &Asked<'_>,
) -> Outcome {
    let Reply {
        client,
        reply,
        keyword,
        answer,
    } = *wanted;
    let outcome = outcome.note(Note::Answered(client.clone(), asked.id, answer));
    if answer != Answer::Asked {
        return outcome;
    }
    let request = ClientRequest {
        event: asked.id.derive(EVENT),
        client: client.clone(),
        event_at: asked.at,
        phone: asked.from.clone(),
        number: asked.to.clone(),
        body: reply_body(&reply.text, reply.from.as_deref(), reply.class),
        at: now,
        refused: None,
        auto: Some(ReplyBounds {
            max: reply.max,
            period_millis: u64::try_from(reply.period.as_millis()).unwrap_or(u64::MAX),
            confirms_opt_out: keyword == Some(KeywordAction::OptOut),
        }),
    };
    let lane = Lane::new(reply.class.unwrap_or_else(|| plan.class(client)), client);
    outcome.with(|step| step.publish(names::CLIENT_REQUESTS, lane, request.to_record()))
}
