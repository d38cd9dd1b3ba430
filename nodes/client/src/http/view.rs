//! `GET /v1/messages/{id}`: the life of a message as its client sees it.
//!
//! Of its record while that lives, of the history afterwards: the same shape, with what the history knows.
//!
//! # Limits
//! The history has events and no parts: what became of a part is told by its last event and by the end of the message.

use crate::admission::Charge;
use serde::Serialize;
use smsgw_history::{Direction, Life};
use smsgw_message::smart::Smart;
use smsgw_message::{CarrierOptions, EventName, MessageLife, MessageState, Told};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Message)]
pub(crate) struct View<'a> {
    id: String,
    /// `mt` to a phone, `mo` from one.
    direction: &'a str,
    /// Among the messages of the client or of the conversation, from 1, where they are numbered; some milliseconds after
    /// the accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    to: &'a str,
    state: &'a str,
    error: Option<&'a str>,
    #[serde(rename = "final")]
    is_final: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'a str>,
    /// The text, where the gateway stores texts and the record of the message has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    accepted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_class: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<OptionsView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    parts: Vec<PartView<'a>>,
    events: Vec<EventView<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Part)]
pub(crate) struct PartView<'a> {
    part: usize,
    state: &'a str,
    operator: Option<&'a str>,
    carrier_id: Option<&'a str>,
    error: Option<&'a str>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LifeEvent)]
pub(crate) struct EventView<'a> {
    at: String,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Most changes that an answer lists.
const MAX_CHANGES: usize = 100;

/// What smart encoding did.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Smart)]
pub(crate) struct SmartView<'a> {
    /// Characters that were changed; the first 100 of them stand in `changes`.
    changed: usize,
    saved_parts: usize,
    changes: Vec<ChangeView<'a>>,
}

/// What a message costs: decimal numbers as text, exact.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Price)]
pub(crate) struct PriceView {
    per_part: String,
    total: String,
    currency: String,
}

impl PriceView {
    pub(crate) fn of(charge: &Charge) -> Self {
        Self {
            per_part: charge.per_part.to_string(),
            total: charge.total.to_string(),
            currency: charge.currency.to_string(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SmartChange)]
pub(crate) struct ChangeView<'a> {
    position: usize,
    from: &'a str,
    to: &'a str,
}

impl<'a> SmartView<'a> {
    pub(crate) fn of(smart: &'a Smart) -> Self {
        let changes = smart.changes.iter().take(MAX_CHANGES).map(|change| ChangeView {
            position: change.position,
            from: &change.from,
            to: &change.to,
        });
        Self {
            changed: smart.changes.len(),
            saved_parts: smart.saved_parts(),
            changes: changes.collect(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CarrierOptions)]
pub(crate) struct OptionsView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_if_present: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_coding: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tlvs: Vec<TlvView>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Tlv)]
pub(crate) struct TlvView {
    tag: String,
    value: String,
}

impl<'a> OptionsView<'a> {
    fn of(options: &'a CarrierOptions) -> Self {
        let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let tlvs = options.tlvs.iter().flatten().map(|tlv| TlvView {
            tag: format!("0x{:04X}", tlv.tag),
            value: hex(&tlv.value),
        });
        Self {
            priority: options.priority,
            protocol_id: options.protocol_id,
            service_type: options.service_type.as_deref(),
            replace_if_present: options.replace_if_present,
            data_coding: options.data_coding,
            tlvs: tlvs.collect(),
        }
    }
}

/// A message and what became of it.
pub(crate) fn of<'a>(life: &'a MessageLife, told: Option<&Told>, number: Option<i64>) -> View<'a> {
    let message = &life.message;
    let parts = life.parts.iter().enumerate().map(|(index, part)| PartView {
        part: index.saturating_add(1),
        state: part.state.as_str(),
        operator: part.via.as_ref().map(|via| via.operator.as_str()),
        carrier_id: part.carrier_id.as_deref(),
        error: part.error.as_deref(),
    });
    let events = life.events.iter().map(|event| EventView {
        at: event.at.to_string(),
        event: event.event.as_str(),
        part: event.part,
        detail: event.detail.as_deref(),
    });
    // The delivery to the client is written by another node under its own key, and read into the same story here.
    let told = told.map(|told| EventView {
        at: told.at.to_string(),
        event: EventName::DeliveredToClient.as_str(),
        part: None,
        detail: None,
    });
    View {
        id: message.id.to_string(),
        direction: Direction::Mt.as_str(),
        number,
        reference: message.reference.as_deref(),
        from: message.from.as_ref().map(smsgw_message::Address::as_str),
        to: message.to.as_str(),
        state: life.state.as_str(),
        error: life.error.as_deref(),
        is_final: life.is_final,
        class: Some(message.class.as_str()),
        encoding: Some(message.encoding.as_str()),
        text: None,
        accepted_at: message.accepted_at.to_string(),
        send_at: message.send_at.map(|at| at.to_string()),
        valid_until: Some(message.valid_until.to_string()),
        report: Some(message.report.as_str()),
        message_class: message.message_class,
        options: message.options.as_ref().map(OptionsView::of),
        tags: message.tags.as_deref(),
        batch: message.batch.map(|batch| batch.to_string()),
        parts: parts.collect(),
        events: events.chain(told).collect(),
    }
}

/// A message whose record has expired, or that has none: an MO.
pub(crate) fn of_history(life: &Life) -> View<'_> {
    let message = &life.message;
    let is_mo = message.direction.as_deref() == Some(Direction::Mo.as_str());
    // An MO has nothing to wait for once its client has it.
    let is_final = message.final_at.is_some() || is_mo && message.told_at.is_some();
    let state = message
        .state
        .as_deref()
        .unwrap_or(MessageState::Accepted.as_str());
    let events = life.events.iter().map(|event| EventView {
        at: event.at.to_string(),
        event: &event.name,
        part: event.part,
        detail: event
            .error
            .as_deref()
            .or(event.state.as_deref())
            .or(event.operator.as_deref()),
    });
    View {
        id: message.id.to_string(),
        direction: message.direction.as_deref().unwrap_or(Direction::Mt.as_str()),
        number: None,
        reference: message.reference.as_deref(),
        from: message.sender.as_deref(),
        to: message.recipient.as_deref().unwrap_or_default(),
        state,
        error: message.error.as_deref(),
        is_final,
        class: message.class.as_deref(),
        encoding: message.encoding.as_deref(),
        text: message.text.as_deref(),
        accepted_at: message.accepted_at.map(|at| at.to_string()).unwrap_or_default(),
        send_at: None,
        valid_until: None,
        report: None,
        message_class: None,
        options: None,
        tags: (!message.tags.is_empty()).then_some(message.tags.as_slice()),
        batch: None,
        parts: parts_of(life, state, message.final_at.is_some()),
        events: events.collect(),
    }
}

/// Each part by its last event: what a carrier took shares the fate of the message.
fn parts_of<'a>(life: &'a Life, state: &'a str, is_final: bool) -> Vec<PartView<'a>> {
    let count = usize::from(life.message.parts.unwrap_or(1)).max(1);
    let part = |part: usize| PartView {
        part,
        state,
        operator: life.message.operator.as_deref(),
        carrier_id: None,
        error: None,
    };
    let mut parts: Vec<PartView<'a>> = (1..=count).map(part).collect();
    for event in &life.events {
        let index = event.part.and_then(|part| usize::from(part).checked_sub(1));
        let Some(view) = index.and_then(|index| parts.get_mut(index)) else {
            continue;
        };
        if event.name == EventName::MtSent.as_str() {
            view.operator = event.operator.as_deref();
            view.carrier_id = event.carrier_id.as_deref();
            view.state = if is_final {
                state
            } else {
                MessageState::Sent.as_str()
            };
        } else if event.name == EventName::MtRefused.as_str() {
            view.operator = event.operator.as_deref();
            view.error = event.error.as_deref();
            view.state = match event.error.as_deref() {
                Some("expired") => MessageState::Expired.as_str(),
                Some("cancelled") => MessageState::Cancelled.as_str(),
                Some(_) | None => MessageState::Rejected.as_str(),
            };
        }
    }
    parts
}
