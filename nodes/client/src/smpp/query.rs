//! query_sm: what became of a message (SMPP 3.4 section 4.8).
//!
//! Pure. Several messages, those of a submit_multi, are told as one: under way while one of them is, then the worst of
//! their ends.

use super::down::receipt::{error_number, state};
use super::named::Lives;
use super::refusal::Unfit;
use smsgw_config::Client;
use smsgw_message::validity::{SmppTime, ZoneOffset};
use smsgw_message::{EventName, MessageLife, MessageState, Timestamp};
use smsgw_smpp::pdu::QuerySmResp;
use smsgw_smpp::{COctets, CommandStatus};

pub(super) const NOT_FOUND: Unfit = Unfit::new(CommandStatus::QUERY_FAILED, "no such message");

/// What the client is told, under the id it asked by.
pub(super) fn answer(lives: &Lives, account: &Client, message_id: COctets) -> QuerySmResp {
    let told = lives
        .iter()
        .max_by_key(|life| weight(life))
        .unwrap_or(&lives.named);
    let ended = if told.is_final {
        lives.iter().filter_map(ended_at).max()
    } else {
        None
    };
    QuerySmResp {
        message_id,
        final_date: ended.and_then(|at| final_date(at, account)).unwrap_or_default(),
        message_state: state(told.state, told.is_final).number(),
        error_code: u8::try_from(error_number(told.error.as_deref())).unwrap_or(u8::MAX),
        ..QuerySmResp::default()
    }
}

/// What is told of several: the highest. A message under way goes before every end, one that waits for its time behind
/// those that do not.
fn weight(life: &MessageLife) -> (bool, u8) {
    let weight = match life.state {
        MessageState::Delivered | MessageState::Scheduled => 0,
        MessageState::Sent => 1,
        MessageState::Cancelled | MessageState::Accepted | MessageState::Queued => 2,
        MessageState::Expired => 3,
        MessageState::Rejected => 4,
        MessageState::Failed => 5,
    };
    (!life.is_final, weight)
}

fn ended_at(life: &MessageLife) -> Option<Timestamp> {
    life.events
        .iter()
        .rev()
        .find(|line| line.event == EventName::MtFinal)
        .map(|line| line.at)
}

/// An absolute time in the client's zone (SMPP 3.4 section 7.1.1).
fn final_date(at: Timestamp, account: &Client) -> Option<COctets> {
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    let minutes = account.smpp.zone().to_offset(instant).seconds() / 60;
    let zone = ZoneOffset::from_minutes(i16::try_from(minutes).ok()?)?;
    COctets::try_from(SmppTime::Absolute { at, zone }.write()?).ok()
}
