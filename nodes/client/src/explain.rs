//! Why a message goes where it goes, for the administrator: what its accept would make of it, and every route.
//!
//! Goes the way of `POST /v1/messages/preview`: the same body, the same admission, the same table. Invariant: nothing is
//! written and nothing is used up; texts and numbers stand only in the answer.
//!
//! # Limits
//! Balance, quota counters, opt-outs and rates are not looked at: they change from message to message.

use crate::http::problem::Problem;
use crate::http::submit;
use crate::tables::Tables;
use serde::{Deserialize, Serialize};
use smsgw_config::Snapshot;
use smsgw_message::{Address, ClientId, MessageId, MtMessage, Timestamp};
use smsgw_routing::{Content, Explanation, Question, RouteVerdict, explain_mt};
use std::sync::Arc;

/// Stands for a text that was not given: one part of GSM 7-bit, in which no route finds anything.
const NO_TEXT: &str = "-";

/// A message that nobody has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who would send it.
    pub client: ClientId,
    /// To this phone.
    pub to: String,
    /// Sender; absent: as the account says.
    pub from: Option<String>,
    /// Text; absent: unknown, so that no route with `text` holds.
    pub text: Option<String>,
    /// Class of service; absent: the account's.
    pub class: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// When it would be sent.
    pub at: Timestamp,
}

/// What would become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// Why it would not be accepted: the code of the HTTP API.
    pub refused: Option<String>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// The phone, in the form in which routes see it.
    pub to: Option<String>,
    /// The sender it goes out with, before the route changes it.
    pub from: Option<String>,
    /// Its class.
    pub class: Option<String>,
    /// When it would be sent, RFC 3339.
    pub at: String,
    /// Country of the number, ISO 3166-1.
    pub country: Option<String>,
    /// Network of the number, MCC-MNC.
    pub network: Option<String>,
    /// Whether the number was ported to that network.
    pub ported: bool,
    /// Encoding of its text.
    pub encoding: Option<String>,
    /// Parts it takes.
    pub parts: Option<u16>,
    /// What it costs the client.
    pub price: Option<Amount>,
    /// The route that is taken, counted from 1 as in the file.
    pub route: Option<usize>,
    /// By which rule its operators stand in their order.
    pub strategy: Option<String>,
    /// In the order in which they are tried.
    pub operators: Vec<Way>,
    /// The sender that the carrier sees, where the route changes it.
    pub sent_from: Option<String>,
    /// The phone that the carrier sees, where the route changes it.
    pub sent_to: Option<String>,
    /// Every route in the order of the file.
    pub routes: Vec<RouteSeen>,
}

/// Money of a message: decimal numbers as text, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Of a part.
    pub per_part: String,
    /// Of all parts.
    pub total: String,
    /// In this currency.
    pub currency: String,
}

/// An operator that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Its name.
    pub operator: String,
    /// Whether it is enabled; one that is not holds what it is given.
    pub enabled: bool,
    /// What it costs there, where `[[cost]]` says so.
    pub cost: Option<Amount>,
}

/// What came of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSeen {
    /// Counted from 1 as in the file.
    pub route: usize,
    /// Its priority.
    pub priority: u32,
    /// How many digits of its prefix the phone begins with.
    pub prefix: Option<usize>,
    /// `taken`, `lower_priority`, `shorter_prefix`, `later` (it holds, and stands behind the one that is taken) or `fails`.
    pub verdict: String,
    /// The criterion that does not hold.
    pub criterion: Option<String>,
}

/// Says what would become of a message. Walks over all routes: for people, not for traffic.
pub fn explain(snapshot: Arc<Snapshot>, asked: &Asked) -> Explained {
    let mut explained = Explained {
        at: asked.at.to_string(),
        ..Explained::default()
    };
    let tables = Tables::build(snapshot, None);
    let mut message = match build(&tables, asked) {
        Ok(message) => message,
        Err(problem) => return refused(explained, &problem),
    };
    let as_asked = message.clone();
    match tables.judge(&mut message) {
        Ok(admitted) => {
            explained.price = admitted.charge.as_ref().map(|charge| Amount {
                per_part: charge.per_part.to_string(),
                total: charge.total.to_string(),
                currency: charge.currency.to_string(),
            });
        }
        Err(why) => {
            // A refused sender is gone from the message: routes are asked about the one that was wanted.
            if message.from.is_none() {
                message = as_asked;
            }
            explained = refused(explained, &Problem::from(why));
        }
    }
    let mut question = Question::of(&message, asked.at);
    if asked.text.is_none() {
        question.content = Content::Is(None);
    }
    let found = explain_mt(tables.routes(), question);
    explained.to = Some(message.to.as_str().to_owned());
    explained.from = message.from.as_ref().map(|from| from.as_str().to_owned());
    explained.class = Some(message.class.as_str().to_owned());
    explained.encoding = Some(message.encoding.as_str().to_owned());
    explained.parts = Some(message.part_count());
    fill(explained, &found, &tables, &message, asked.at)
}

fn build(tables: &Tables, asked: &Asked) -> Result<MtMessage, Problem> {
    let mut body = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| body.insert(key.to_owned(), value);
    put("to", asked.to.as_str().into());
    put("text", asked.text.as_deref().unwrap_or(NO_TEXT).into());
    if let Some(from) = &asked.from {
        put("from", from.as_str().into());
    }
    if let Some(class) = &asked.class {
        put("class", class.as_str().into());
    }
    if !asked.tags.is_empty() {
        put("tags", asked.tags.clone().into());
    }
    let body = submit::parse(serde_json::Value::Object(body).to_string().as_bytes())?;
    let id = MessageId::from_parts(asked.at, [0; 10]);
    let config = &tables.snapshot.config;
    Ok(submit::build(&body, &asked.client, config, id, asked.at, 0)?.message)
}

fn refused(explained: Explained, problem: &Problem) -> Explained {
    Explained {
        refused: Some(problem.code.as_str().to_owned()),
        detail: Some(problem.detail.clone()),
        ..explained
    }
}

fn fill(
    mut explained: Explained,
    found: &Explanation<'_>,
    tables: &Tables,
    message: &MtMessage,
    at: Timestamp,
) -> Explained {
    explained.country = found.country.map(|country| country.to_string());
    explained.network = found.network.map(|network| network.to_string());
    explained.ported = found.ported;
    match &found.decision {
        Ok(decision) => {
            explained.route = Some(decision.route);
            explained.strategy = Some(decision.strategy.as_str().to_owned());
            let sent = |read: fn(&smsgw_message::SentAs) -> Option<&Address>| {
                Some(read(decision.sent_as.as_ref()?)?.as_str().to_owned())
            };
            explained.sent_from = sent(|sent| sent.from.as_ref());
            explained.sent_to = sent(|sent| sent.to.as_ref());
            let config = &tables.snapshot.config;
            let way = |operator: &&smsgw_message::OperatorId| Way {
                operator: operator.to_string(),
                enabled: config
                    .operator
                    .get(*operator)
                    .is_some_and(|settings| settings.enabled),
                cost: tables
                    .routes()
                    .costs()
                    .cost(operator, message.to.as_str(), at)
                    .map(|cost| Amount {
                        per_part: cost.per_part.to_string(),
                        total: cost.per_part.times(message.part_count()).to_string(),
                        currency: cost.currency.to_string(),
                    }),
            };
            explained.operators = decision.operators().iter().map(way).collect();
        }
        Err(refusal) => explained.route = refusal.route(),
    }
    explained.routes = found
        .routes
        .iter()
        .map(|route| RouteSeen {
            route: route.route,
            priority: route.priority,
            prefix: route.prefix,
            verdict: route.verdict.as_str().to_owned(),
            criterion: match route.verdict {
                RouteVerdict::Fails(criterion) => Some(criterion.to_string()),
                RouteVerdict::Taken
                | RouteVerdict::LowerPriority
                | RouteVerdict::ShorterPrefix
                | RouteVerdict::Later => None,
            },
        })
        .collect();
    explained
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::{Config, ConfigHandle};

    #[test]
    fn every_route_has_its_reason_and_the_message_its_price_and_costs() {
        let text = r#"
[node]
name = "t"
[operator.alpha]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "x"
password = "x"
[operator.beta]
protocol = "smpp"
hosts = ["127.0.0.1:1"]
system_id = "x"
password = "x"
[client.acme]
api_key = "acme-key"
default_from = "ACME"
[client.other]
api_key = "other-key"
[[price]]
price = "0.07"
currency = "EUR"
[[cost]]
operator = ["alpha"]
cost = "0.05"
currency = "EUR"
[[cost]]
operator = ["beta"]
cost = "0.04"
currency = "EUR"
[[route.mt]]
operators = ["alpha", "beta"]
strategy = "least-cost"
country = ["DE"]
rewrite_from = ["set:NEW"]
[[route.mt]]
operators = ["alpha"]
client = ["other"]
[[route.mt]]
operators = ["alpha"]
text = ["code"]
priority = 5
[[route.mt]]
prefix = ["4990"]
reject = "destination_denied"
"#;
        let config = Config::parse("t.toml", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let snapshot = ConfigHandle::new(config).current();
        let mut asked = Asked {
            client: ClientId::try_new("acme").unwrap(),
            to: "+491701234567".to_owned(),
            from: None,
            text: Some("x".repeat(200)),
            class: None,
            tags: Vec::new(),
            at: Timestamp::from_millis(1_795_248_000_000),
        };
        let explained = explain(Arc::clone(&snapshot), &asked);
        assert_eq!(
            (explained.refused, explained.route, explained.parts),
            (None, Some(1), Some(2))
        );
        assert_eq!(explained.from.as_deref(), Some("ACME"));
        assert_eq!(explained.sent_from.as_deref(), Some("NEW"));
        assert_eq!(explained.country.as_deref(), Some("DE"));
        assert_eq!(explained.price.unwrap().total, "0.14");
        let ways: Vec<_> = explained
            .operators
            .iter()
            .map(|way| (way.operator.as_str(), way.cost.as_ref().unwrap().total.as_str()))
            .collect();
        assert_eq!(ways, [("beta", "0.08"), ("alpha", "0.1")]);
        let reasons: Vec<_> = explained
            .routes
            .iter()
            .map(|route| route.criterion.as_deref().unwrap_or(&route.verdict))
            .collect();
        assert_eq!(reasons, ["taken", "client", "text", "prefix"]);
        asked.to = "+49901234567".to_owned();
        let explained = explain(Arc::clone(&snapshot), &asked);
        assert_eq!(
            (explained.refused.as_deref(), explained.route),
            (Some("destination_denied"), Some(4))
        );
        asked.to = "x".to_owned();
        let explained = explain(snapshot, &asked);
        assert_eq!(
            (explained.refused.as_deref(), explained.routes.len()),
            (Some("invalid_number"), 0)
        );
    }
}
