//! `/v1/opt-outs/{number}`: phones that want no messages of the account, or of one of its senders.
//!
//! The list is the account's own: what one says binds no other. It is kept whether the account is checked against it
//! (`opt_out`) or not, so that it can be filled before the check is switched on; each answer says which. Writes state that
//! [`admission`](crate::admission) reads. Invariant: an answer to `PUT` and `DELETE` is said after the commit, and the next
//! message is judged by it.
//!
//! # Limits
//! How long the list may grow is not bounded: an entry takes some 150 octets on disk and nothing in memory. Entries of an
//! account that is taken out of the configuration stay, since they must hold again should it come back.

use crate::admission::optout;
use crate::http::answer::{Answer, document};
use crate::http::call::Call;
use crate::http::fields::invalid;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::router::{Handler, Route};
use crate::shared::Shared;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use smsgw_config::Scope;
use smsgw_message::{Address, ClientId, OptOut, Record, Timestamp, names};
use smsgw_queue::{Expected, Expiry, StateKey, Step, StepId, Versioned};
use smsgw_telemetry::ApiCode;
use std::borrow::Cow;
use std::fmt;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

pub(crate) const ROUTES: &[Route] = &[
    Route {
        method: Method::PUT,
        path: "/v1/opt-outs/{number}",
        label: "opt_out",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(list(call))),
    },
    Route {
        method: Method::GET,
        path: "/v1/opt-outs/{number}",
        label: "opt_out_view",
        handler: Handler::Scoped(Scope::Read, |call| Box::pin(show(call))),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/opt-outs/{number}",
        label: "opt_out_end",
        handler: Handler::Scoped(Scope::Send, |call| Box::pin(strike(call))),
    },
];

/// How things stand with a phone, or with a phone and a sender.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OptOut)]
pub(crate) struct OptOutView {
    to: String,
    /// Absent: the phone wants no messages of the account, whatever the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Whether just this entry is on the list.
    listed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Absent: until it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Whether a message to the phone with this sender meets this or a wider entry.
    opted_out: bool,
    /// Whether messages of the account are checked against the list.
    enforced: bool,
}

/// What `PUT` may say of an entry; everything that a body can have.
#[derive(Debug, Default)]
struct Asked {
    expires_at: Option<String>,
    /// The first field that is none of ours.
    unknown: Option<String>,
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Asked;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that describes one entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Asked, A::Error> {
                let (mut asked, mut seen) = (Asked::default(), false);
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name != "expires_at" {
                        asked.unknown.get_or_insert_with(|| name.into_owned());
                        map.next_value::<IgnoredAny>()?;
                    } else if seen {
                        return Err(de::Error::duplicate_field("expires_at"));
                    } else {
                        seen = true;
                        asked.expires_at = map.next_value()?;
                    }
                }
                Ok(asked)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl Asked {
    fn read(octets: &[u8]) -> Result<Self, Problem> {
        if octets.is_empty() {
            return Ok(Self::default());
        }
        let asked: Self = serde_json::from_slice(octets).map_err(|error| {
            let why = format!(
                "not an entry in JSON, at line {} column {}",
                error.line(),
                error.column()
            );
            Problem::new(ApiCode::InvalidJson, why)
        })?;
        match &asked.unknown {
            None => Ok(asked),
            Some(name) => {
                let name: String = name.chars().take(40).collect();
                let why = format!("there is no field {name:?}; an entry may have \"expires_at\"");
                Err(Problem::new(ApiCode::UnknownField, why))
            }
        }
    }

    fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = &self.expires_at else {
            return Ok(None);
        };
        let at = Timestamp::from_rfc3339(text).ok_or_else(|| {
            invalid(
                "expires_at",
                "is an RFC 3339 time such as 2027-01-31T09:00:00+01:00",
            )
        })?;
        if at <= now {
            return Err(invalid("expires_at", "lies in the past"));
        }
        Ok(Some(at))
    }
}

/// What a request is about.
struct Entry {
    client: ClientId,
    to: Address,
    from: Option<Address>,
}

impl Entry {
    fn of(call: &Call) -> Result<Self, Problem> {
        // Paths are compared as they were sent; a plus is the one character of a number that programs escape.
        let number = call.param();
        let plain = number.strip_prefix("%2B").or_else(|| number.strip_prefix("%2b"));
        let number = plain.map_or(Cow::Borrowed(number), |digits| Cow::Owned(format!("+{digits}")));
        let to = Address::msisdn(&number)
            .map_err(|error| Problem::field(ApiCode::InvalidNumber, "number", error.to_string()))?;
        let from = Params::parse(call.query(), &["from"])?
            .get("from")
            .map(Address::sender)
            .transpose()
            .map_err(|error| Problem::field(ApiCode::InvalidNumber, "from", error.to_string()))?;
        Ok(Self {
            client: call.caller.client.clone(),
            to,
            from,
        })
    }

    fn key(&self) -> StateKey {
        StateKey::from(match &self.from {
            None => names::opted_out_of_client(&self.client, &self.to),
            Some(from) => names::opted_out_of_clients_sender(&self.client, from, &self.to),
        })
    }

    /// How things stand, by all that a message would meet.
    async fn look(&self, call: &Call) -> Result<OptOutView, Problem> {
        let own = self.key();
        let keys: Vec<StateKey> = optout::keys(&self.client, self.from.as_ref(), &self.to).collect();
        let found = read(&call.shared, keys.clone(), call.caller.deadline).await?;
        let opted_out = found.iter().any(Option::is_some);
        let listed = keys
            .iter()
            .zip(found)
            .find(|(key, _)| **key == own)
            .and_then(|(_, found)| found);
        let entry = listed.as_ref().and_then(decoded);
        Ok(OptOutView {
            to: self.to.to_string(),
            from: self.from.as_ref().map(ToString::to_string),
            listed: listed.is_some(),
            since: entry.map(|entry| entry.since.to_string()),
            expires_at: entry.and_then(|entry| entry.until).map(|until| until.to_string()),
            opted_out,
            enforced: call
                .tables
                .account(&self.client)
                .is_some_and(|account| account.opt_out),
        })
    }
}

/// The record, where it can be read; the key counts without it.
fn decoded(found: &Versioned) -> Option<OptOut> {
    OptOut::from_record(&found.value)
        .map_err(|error| error!(%error, "the record of an opt-out could not be decoded"))
        .ok()
}

async fn read(
    shared: &Shared,
    keys: Vec<StateKey>,
    deadline: Instant,
) -> Result<Vec<Option<Versioned>>, Problem> {
    timeout_at(deadline, shared.engine.get(keys))
        .await
        .map_err(|_| Problem::overloaded("the gateway could not read the list in time"))?
        .map_err(|error| {
            error!(%error, "the list of opt-outs could not be read");
            Problem::overloaded("the gateway could not read the list")
        })
}

/// Commits a change; each is the same when it is done again.
async fn store(shared: &Shared, step: Step, deadline: Instant) -> Result<(), Problem> {
    timeout_at(deadline, step.commit(shared.engine.as_ref()))
        .await
        .map_err(|_| Problem::overloaded("the gateway could not confirm the change in time; it may hold"))?
        .map_err(|error| {
            error!(error = %error.kind, "a change of the list of opt-outs could not be stored");
            Problem::overloaded("the gateway could not store the change")
        })?;
    Ok(())
}

fn step() -> Step {
    Step::new(StepId::from_bytes(rand::random()))
}

/// `PUT /v1/opt-outs/{number}`
async fn list(mut call: Call) -> Result<Answer, Problem> {
    let octets = call.read().await?;
    let asked = Asked::read(&octets)?;
    let entry = Entry::of(&call)?;
    let now = call.shared.clock.now();
    let until = asked.until(now)?;
    let there = read(&call.shared, vec![entry.key()], call.caller.deadline).await?;
    let there = there.into_iter().next().flatten();
    let since = there.as_ref().and_then(decoded).map_or(now, |entry| entry.since);
    let expiry = until.map_or(Expiry::Owner, Expiry::At);
    let record = OptOut { since, until }.to_record();
    // Who writes last has said last: nothing to compare with.
    let step = step().compare_and_put(entry.key(), Expected::Any, record, expiry);
    store(&call.shared, step, call.caller.deadline).await?;
    info!(client = %entry.client, to = %entry.to.redacted(), "phone opted out");
    Ok(document(StatusCode::OK, &entry.look(&call).await?))
}

/// `GET /v1/opt-outs/{number}`
async fn show(call: Call) -> Result<Answer, Problem> {
    let entry = Entry::of(&call)?;
    Ok(document(StatusCode::OK, &entry.look(&call).await?))
}

/// `DELETE /v1/opt-outs/{number}`
async fn strike(call: Call) -> Result<Answer, Problem> {
    let entry = Entry::of(&call)?;
    let step = step().delete(entry.key(), Expected::Any);
    store(&call.shared, step, call.caller.deadline).await?;
    info!(client = %entry.client, to = %entry.to.redacted(), "phone no longer opted out");
    Ok(document(StatusCode::OK, &entry.look(&call).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_entry_or_refused_by_its_own_code() {
        assert_eq!(Asked::read(b"").unwrap().expires_at, None);
        assert_eq!(Asked::read(b"{\"expires_at\":null}").unwrap().expires_at, None);
        let now = Timestamp::from_rfc3339("2027-01-01T00:00:00Z").unwrap();
        let asked = Asked::read(b"{\"expires_at\":\"2027-01-01T01:00:00+00:59\"}").unwrap();
        assert_eq!(
            asked.until(now).unwrap(),
            Timestamp::from_rfc3339("2027-01-01T00:01:00Z")
        );
        for (body, code) in [
            ("{", ApiCode::InvalidJson),
            ("[]", ApiCode::InvalidJson),
            ("{\"expires_at\":1}", ApiCode::InvalidJson),
            ("{\"expires_at\":null,\"expires_at\":null}", ApiCode::InvalidJson),
            ("{\"expires\":1}", ApiCode::UnknownField),
        ] {
            assert_eq!(Asked::read(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
        for wrong in ["", "tomorrow", "2027-01-01T00:00:00Z"] {
            let asked = Asked {
                expires_at: Some(wrong.to_owned()),
                unknown: None,
            };
            assert_eq!(asked.until(now).unwrap_err().field, Some("expires_at"), "{wrong}");
        }
    }
}
