//! `GET /v1/messages/{id}`: the life of a message as its client sees it.

use serde::Serialize;
use smsgw_message::{EventName, MessageLife, Told};

#[derive(Serialize)]
struct View<'a> {
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
    valid_until: String,
    parts: Vec<PartView<'a>>,
    events: Vec<EventView<'a>>,
}

#[derive(Serialize)]
struct PartView<'a> {
    part: usize,
    state: &'static str,
    operator: Option<&'a str>,
    carrier_id: Option<&'a str>,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct EventView<'a> {
    at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The answer's body.
pub(crate) fn render(life: &MessageLife, told: Option<&Told>) -> Vec<u8> {
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
    let view = View {
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
        valid_until: message.valid_until.to_string(),
        parts: parts.collect(),
        events: events.chain(told).collect(),
    };
    serde_json::to_vec(&view).expect("a struct of strings and numbers is valid JSON")
}
