//! `GET /explain` on the administrator's listener: what would become of a message by the configuration in force.
//!
//! Knows how a question stands in a query; the answer is the client node's. Invariant: neither number nor text reaches a log.

use crate::explain_mo;
use crate::trace::query::{encode, value};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use smsgw_config::ConfigHandle;
use smsgw_message::{ClientId, Timestamp};
use smsgw_node_client::{Asked, explain};
use smsgw_node_router::MoAsked;
use smsgw_queue::Engine;

/// The question as a query; [`asked`] reads it.
pub(crate) fn query(asked: &Asked) -> String {
    let mut pairs = vec![
        ("client", asked.client.to_string()),
        ("to", asked.to.clone()),
        ("at", asked.at.to_string()),
    ];
    let some = |key, value: &Option<String>| value.clone().map(|value| (key, value));
    pairs.extend(some("from", &asked.from));
    pairs.extend(some("text", &asked.text));
    pairs.extend(some("class", &asked.class));
    if !asked.tags.is_empty() {
        pairs.push(("tags", asked.tags.join(",")));
    }
    let pair = |(key, value): (&str, String)| format!("{key}={}", encode(&value));
    pairs.into_iter().map(pair).collect::<Vec<_>>().join("&")
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// A message to a phone.
    Mt(Asked),
    /// A message from one.
    Mo(MoAsked),
}

fn asked(query: &str, now: Timestamp) -> Result<Question, String> {
    let is_there = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
    let optional = |key: &str| match value(query, key) {
        None if is_there(key) => Err(format!("{key} is too long here, or no text")),
        value => Ok(value),
    };
    let required = |key: &str| optional(key)?.ok_or_else(|| format!("{key} is missing"));
    match value(query, "mo").as_deref() {
        None => {}
        Some("1") => {
            let at = time(optional("at")?, now)?;
            return explain_mo::asked(required, optional, at).map(Question::Mo);
        }
        Some(_) => return Err("mo is 1".to_owned()),
    }
    let client = ClientId::try_new(&required("client")?).map_err(|error| format!("client: {error}"))?;
    let at = time(optional("at")?, now)?;
    let tags = optional("tags")?.unwrap_or_default();
    Ok(Question::Mt(Asked {
        client,
        to: required("to")?,
        from: optional("from")?,
        text: optional("text")?,
        class: optional("class")?,
        tags: tags
            .split(',')
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        at,
    }))
}

fn time(at: Option<String>, now: Timestamp) -> Result<Timestamp, &'static str> {
    let read = |at: String| Timestamp::from_rfc3339(&at).ok_or("at is a time such as 2027-01-31T08:00:00Z");
    at.map_or(Ok(now), read)
}

/// Answers a question. Building tables and walking over routes takes a thread of its own.
pub(crate) async fn answer<B>(
    engine: &dyn Engine,
    config: &ConfigHandle,
    now: Timestamp,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    if *request.method() != Method::GET {
        return said(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
    }
    let asked = match asked(request.uri().query().unwrap_or_default(), now) {
        Ok(asked) => asked,
        Err(why) => return said(StatusCode::BAD_REQUEST, format!("{why}\n")),
    };
    let body = match body(engine, config, asked).await {
        Ok(body) => body,
        Err(error) => return said(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")),
    };
    let mut answer = said(StatusCode::OK, format!("{body}\n"));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

async fn body(engine: &dyn Engine, config: &ConfigHandle, asked: Question) -> anyhow::Result<String> {
    let snapshot = config.current();
    let explained = match asked {
        Question::Mt(asked) => {
            let explained = tokio::task::spawn_blocking(move || explain(snapshot, &asked)).await?;
            serde_json::to_string_pretty(&explained)
        }
        Question::Mo(asked) => {
            let question = asked.clone();
            let work = move || explain_mo::answer(&snapshot, &question);
            let explained = tokio::task::spawn_blocking(work).await??;
            serde_json::to_string_pretty(&explain_mo::count(engine, &asked, explained).await)
        }
    };
    Ok(explained?)
}

fn said(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written() {
        let whole = Asked {
            client: ClientId::try_new("acme").unwrap(),
            to: "+491701234567".to_owned(),
            from: Some("A & B".to_owned()),
            text: Some("50% = ½".to_owned()),
            class: Some("otp".to_owned()),
            tags: vec!["a".to_owned(), "b".to_owned()],
            at: Timestamp::from_millis(1_795_248_000_000),
        };
        let now = Timestamp::from_millis(5);
        assert_eq!(asked(&query(&whole), now), Ok(Question::Mt(whole)));
        let at = |query| match asked(query, now) {
            Ok(Question::Mt(asked)) => asked.at,
            Ok(Question::Mo(asked)) => asked.at,
            Err(why) => panic!("{why}"),
        };
        assert_eq!(at("client=a&to=1"), now);
        assert_eq!(at("mo=1&from=491701234567&to=12345&operator=alpha"), now);
        let from_a_phone = MoAsked {
            from: MoAsked::address("+491701234567").unwrap(),
            to: MoAsked::address("ACME & Co").unwrap(),
            operator: smsgw_message::OperatorId::try_new("alpha").unwrap(),
            text: Some("50% = ½".to_owned()),
            at: Timestamp::from_millis(1_795_248_000_000),
        };
        assert_eq!(
            asked(&explain_mo::query(&from_a_phone), now),
            Ok(Question::Mo(from_a_phone))
        );
        for (query, why) in [
            ("to=1", "client is missing"),
            ("client=a", "to is missing"),
            (
                "client=a&to=1&at=noon",
                "at is a time such as 2027-01-31T08:00:00Z",
            ),
            ("client=a&to=1&text=%FF", "text is too long here, or no text"),
            ("mo=1&from=491701234567&to=12345", "operator is missing"),
            ("mo=yes", "mo is 1"),
        ] {
            assert_eq!(asked(query, now), Err(why.to_owned()), "{query}");
        }
    }
}
