//! `GET /explain?mo=1`: what would become of a message from a phone, and of what it is answered.
//!
//! Puts together what the router node decides of the message and what the client node makes of the answer; decides nothing.
//! Invariant: neither numbers nor texts reach a log.

use crate::trace::query::encode;
use serde::{Deserialize, Serialize};
use smsgw_config::Snapshot;
use smsgw_message::{ClientId, OperatorId, Timestamp};
use smsgw_node_client::{Asked, Explained, auto_replies_key, explain};
use smsgw_node_router::{MoAsked, MoExplained, explain_mo};
use smsgw_queue::{Engine, StateKey};
use smsgw_routing::RouteError;
use std::sync::Arc;
use std::time::Duration;

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MoAnswer {
    /// What becomes of the message.
    pub(crate) mo: MoExplained,
    /// What becomes of the answer to the phone, where one is asked for: as `smsgw explain` says of any message.
    pub(crate) reply: Option<Explained>,
    /// How many answers the phone may still get within the period; absent where no gateway was asked.
    #[serde(default)]
    pub(crate) replies_left: Option<u32>,
}

/// Says what would become of a message by a configuration.
pub(crate) fn answer(snapshot: &Arc<Snapshot>, asked: &MoAsked) -> Result<MoAnswer, RouteError> {
    let mo = explain_mo(snapshot, asked)?;
    let wanted = mo.reply.as_ref().filter(|reply| reply.is_asked());
    let reply = wanted.and_then(|reply| {
        let message = Asked {
            client: ClientId::try_new(&reply.client).ok()?,
            to: asked.from.as_str().to_owned(),
            from: Some(reply.from.clone()),
            text: Some(reply.text.clone()),
            class: reply.class.clone(),
            tags: Vec::new(),
            at: asked.at,
        };
        Some(explain(Arc::clone(snapshot), &message))
    });
    Ok(MoAnswer {
        mo,
        reply,
        replies_left: None,
    })
}

/// Adds what only the running gateway knows.
pub(crate) async fn count(engine: &dyn Engine, asked: &MoAsked, answer: MoAnswer) -> MoAnswer {
    let Some(reply) = answer.mo.reply.as_ref().filter(|reply| reply.is_asked()) else {
        return answer;
    };
    let Ok(client) = ClientId::try_new(&reply.client) else {
        return answer;
    };
    let period = Duration::from_secs(reply.period_seconds);
    let key = auto_replies_key(&client, &asked.from, &asked.to, period, asked.at);
    // What cannot be read is not told.
    let found = engine.get(vec![StateKey::from(key)]).await.ok();
    let replies_left = found.map(|found| {
        let counted = found.into_iter().flatten().next();
        let counted = counted.and_then(|there| there.as_counter()).unwrap_or(0);
        let used = u32::try_from(counted.saturating_neg()).unwrap_or(0);
        reply.max.saturating_sub(used)
    });
    MoAnswer {
        replies_left,
        ..answer
    }
}

/// The question as a query; [`asked`] reads it.
pub(crate) fn query(asked: &MoAsked) -> String {
    let mut pairs = vec![
        ("mo", "1".to_owned()),
        ("from", asked.from.as_str().to_owned()),
        ("to", asked.to.as_str().to_owned()),
        ("operator", asked.operator.to_string()),
        ("at", asked.at.to_string()),
    ];
    pairs.extend(asked.text.clone().map(|text| ("text", text)));
    let pair = |(key, value): (&str, String)| format!("{key}={}", encode(&value));
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Reads a question; `required` and `optional` give values of the query.
pub(crate) fn asked(
    required: impl Fn(&str) -> Result<String, String>,
    optional: impl Fn(&str) -> Result<Option<String>, String>,
    at: Timestamp,
) -> Result<MoAsked, String> {
    let address = |key: &str| {
        let text = required(key)?;
        MoAsked::address(&text).map_err(|error| format!("{key}: {error}"))
    };
    let operator =
        OperatorId::try_new(&required("operator")?).map_err(|error| format!("operator: {error}"))?;
    Ok(MoAsked {
        from: address("from")?,
        to: address("to")?,
        operator,
        text: optional("text")?,
        at,
    })
}
