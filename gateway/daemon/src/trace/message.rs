//! Finds all of a message by any id: ours, one that a carrier gave to one of its parts, the client's reference, a number.
//!
//! Reads the message's record and the router's correlations and changes nothing. Invariant: what is shown holds no text of
//! a message, and of addresses what `log.bodies` allows.
//!
//! # Limits
//! Without a message history a message is found while its record lives (`limits.message_retention` after its end), by a
//! carrier's id while its correlation does, and not by reference or number.

use super::past;
use super::schema::{Event, Found, FoundBy, Message, Parked, Part};
use smsgw_config::Config;
use smsgw_history::{History, HistoryError};
use smsgw_message::{Address, LinkGroup, MessageId, MessageLife, Record, Told, names};
use smsgw_node_router::lookup::{self, LookupError, Meaning};
use smsgw_queue::{Engine, EngineError, StateKey};

/// Messages shown of those that an id may mean.
const MOST: usize = 16;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("the state cannot be read")]
    Engine(#[from] EngineError),
    #[error("the record {key} cannot be decoded")]
    Corrupt {
        key: StateKey,
        #[source]
        source: smsgw_message::RecordError,
    },
}

/// Everything that an id may mean.
pub(crate) async fn find(
    engine: &dyn Engine,
    config: &Config,
    history: Option<&History>,
    id: &str,
) -> Result<Found, FindError> {
    let mut found = here(engine, config, id).await?;
    if let Some(history) = history
        && let Err(error) = before(engine, config, history, &mut found).await?
    {
        found.history_error = Some(error.words());
    }
    Ok(found)
}

/// Adds what the history knows; a message whose record lives is told from that.
async fn before(
    engine: &dyn Engine,
    config: &Config,
    history: &History,
    found: &mut Found,
) -> Result<Result<(), HistoryError>, FindError> {
    let mut ids = match past::ids(history, &found.id).await {
        Ok(ids) => ids,
        Err(error) => return Ok(Err(error)),
    };
    // What a carrier's id still points at.
    for gone in found
        .gone
        .iter()
        .filter_map(|gone| gone.parse::<MessageId>().ok())
    {
        let by = FoundBy {
            kind: "carrier_id".to_owned(),
            group: None,
            part: None,
            carrier_id: Some(found.id.clone()),
            form: None,
        };
        ids.push((gone, by));
    }
    for (id, by) in ids {
        let known = id.to_string();
        let seen = found.messages.iter().any(|there| there.message_id == known);
        if seen || found.messages.len() >= MOST {
            continue;
        }
        if let Some(message) = message(engine, config, id, by.clone()).await? {
            found.messages.push(message);
            continue;
        }
        match history.life(id).await {
            Ok(Some(life)) => {
                found.gone.retain(|gone| *gone != known);
                found.messages.push(past::shown(&life, config.log.bodies, by));
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// What the engine's state knows.
async fn here(engine: &dyn Engine, config: &Config, id: &str) -> Result<Found, FindError> {
    let mut found = Found {
        id: id.to_owned(),
        messages: Vec::new(),
        parked: Vec::new(),
        gone: Vec::new(),
        history_error: None,
    };
    if let Ok(ours) = id.parse::<MessageId>() {
        let by = FoundBy {
            kind: "message_id".to_owned(),
            group: None,
            part: None,
            carrier_id: None,
            form: None,
        };
        if let Some(message) = message(engine, config, ours, by).await? {
            found.messages.push(message);
        }
    }
    let groups: Vec<LinkGroup> = config.operator.keys().map(LinkGroup::of).collect();
    for meaning in lookup::by_carrier_id(engine, groups, id).await? {
        match meaning {
            Meaning::Parked { group, receipts } => {
                found.parked.extend(receipts.iter().map(|receipt| Parked {
                    group: group.to_string(),
                    carrier_id: receipt.carrier_id.clone(),
                    state: format!("{:?}", receipt.state).to_lowercase(),
                    link: receipt.link.to_string(),
                    at: receipt.at.to_string(),
                }));
            }
            Meaning::Part {
                group,
                message: ours,
                part,
                carrier_id,
                form,
            } => {
                let known = ours.to_string();
                let seen = found.messages.iter().any(|there| there.message_id == known);
                if seen || found.gone.contains(&known) || found.messages.len() >= MOST {
                    continue;
                }
                let by = FoundBy {
                    kind: "carrier_id".to_owned(),
                    group: Some(group.to_string()),
                    part: Some(part),
                    carrier_id: Some(carrier_id),
                    form: Some(form.to_owned()),
                };
                match message(engine, config, ours, by).await? {
                    Some(message) => found.messages.push(message),
                    None => found.gone.push(known),
                }
            }
        }
    }
    Ok(found)
}

async fn message(
    engine: &dyn Engine,
    config: &Config,
    id: MessageId,
    found_by: FoundBy,
) -> Result<Option<Message>, FindError> {
    let (life_key, told_key) = (
        StateKey::from(names::message(id)),
        StateKey::from(names::told(id)),
    );
    let mut there = engine
        .get(vec![life_key.clone(), told_key.clone()])
        .await?
        .into_iter();
    let Some(life) = there.next().flatten() else {
        return Ok(None);
    };
    let life = MessageLife::from_record(&life.value).map_err(|source| FindError::Corrupt {
        key: life_key,
        source,
    })?;
    let told = match there.next().flatten() {
        None => None,
        Some(told) => Some(
            Told::from_record(&told.value).map_err(|source| FindError::Corrupt {
                key: told_key,
                source,
            })?,
        ),
    };
    Ok(Some(shown(&life, told, config.log.bodies, found_by)))
}

fn shown(life: &MessageLife, told: Option<Told>, bodies: bool, found_by: FoundBy) -> Message {
    let address = |address: &Address| match bodies {
        true => address.to_string(),
        false => address.redacted().to_string(),
    };
    let message = &life.message;
    Message {
        message_id: message.id.to_string(),
        found_by,
        client: message.client.to_string(),
        reference: message.reference.clone(),
        class: message.class.as_str().to_owned(),
        from: message.from.as_ref().map(address),
        to: address(&message.to),
        encoding: message.encoding.as_str().to_owned(),
        accepted_at: message.accepted_at.to_string(),
        valid_until: message.valid_until.to_string(),
        state: life.state.as_str().to_owned(),
        is_final: life.is_final,
        error: life.error.clone(),
        parts: (1..)
            .zip(&life.parts)
            .map(|(number, part)| Part {
                part: number,
                state: part.state.as_str().to_owned(),
                is_final: part.is_final,
                operator: part.via.as_ref().map(|via| via.operator.to_string()),
                link: part.link.as_ref().map(ToString::to_string),
                carrier_id: part.carrier_id.clone(),
                error: part.error.clone(),
            })
            .collect(),
        events: life
            .events
            .iter()
            .map(|event| Event {
                at: event.at.to_string(),
                event: event.event.as_str().to_owned(),
                part: event.part,
                detail: event.detail.clone(),
            })
            .collect(),
        told_at: told.map(|told| told.at.to_string()),
        told_attempts: told.map(|told| told.attempts),
    }
}
