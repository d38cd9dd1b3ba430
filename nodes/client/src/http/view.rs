//! `GET /v1/messages/{id}`: the life of a message as its client sees it.

use crate::admission::Charge;
use serde::Serialize;
use smsgw_message::smart::Smart;
use smsgw_message::{CarrierOptions, EventName, MessageLife, Told};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Message)]
pub(crate) struct View<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    to: &'a str,
    state: &'static str,
    error: Option<&'a str>,
    #[serde(rename = "final")]
    is_final: bool,
    class: &'static str,
    encoding: &'static str,
    accepted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<String>,
    valid_until: String,
    report: &'static str,
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
    state: &'static str,
    operator: Option<&'a str>,
    carrier_id: Option<&'a str>,
    error: Option<&'a str>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = LifeEvent)]
pub(crate) struct EventView<'a> {
    at: String,
    event: &'static str,
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
pub(crate) fn of<'a>(life: &'a MessageLife, told: Option<&Told>) -> View<'a> {
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
        reference: message.reference.as_deref(),
        from: message.from.as_ref().map(smsgw_message::Address::as_str),
        to: message.to.as_str(),
        state: life.state.as_str(),
        error: life.error.as_deref(),
        is_final: life.is_final,
        class: message.class.as_str(),
        encoding: message.encoding.as_str(),
        accepted_at: message.accepted_at.to_string(),
        send_at: message.send_at.map(|at| at.to_string()),
        valid_until: message.valid_until.to_string(),
        report: message.report.as_str(),
        message_class: message.message_class,
        options: message.options.as_ref().map(OptionsView::of),
        tags: message.tags.as_deref(),
        batch: message.batch.map(|batch| batch.to_string()),
        parts: parts.collect(),
        events: events.chain(told).collect(),
    }
}
