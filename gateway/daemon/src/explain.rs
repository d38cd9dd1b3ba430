//! `GET /explain` on the administrator's listener: what would become of a message by the configuration in force.
//!
//! Knows how a question stands in a query; the answer is the client node's. Invariant: neither number nor text reaches a log.

use crate::trace::query::{encode, value};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use smsgw_config::ConfigHandle;
use smsgw_message::{ClientId, Timestamp};
use smsgw_node_client::{Asked, explain};

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

fn asked(query: &str, now: Timestamp) -> Result<Asked, String> {
    let is_there = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
    let optional = |key: &str| match value(query, key) {
        None if is_there(key) => Err(format!("{key} is too long here, or no text")),
        value => Ok(value),
    };
    let required = |key: &str| optional(key)?.ok_or_else(|| format!("{key} is missing"));
    let client = ClientId::try_new(&required("client")?).map_err(|error| format!("client: {error}"))?;
    let at = match optional("at")? {
        None => now,
        Some(at) => Timestamp::from_rfc3339(&at).ok_or("at is a time such as 2027-01-31T08:00:00Z")?,
    };
    let tags = optional("tags")?.unwrap_or_default();
    Ok(Asked {
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
    })
}

/// Answers a question. Building tables and walking over routes takes a thread of its own.
pub(crate) async fn answer<B>(
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
    let snapshot = config.current();
    let explained = tokio::task::spawn_blocking(move || explain(snapshot, &asked)).await;
    let body = match explained.map(|explained| serde_json::to_string_pretty(&explained)) {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return said(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => return said(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    };
    let mut answer = said(StatusCode::OK, format!("{body}\n"));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
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
        assert_eq!(asked(&query(&whole), now), Ok(whole));
        assert_eq!(asked("client=a&to=1", now).unwrap().at, now);
        for (query, why) in [
            ("to=1", "client is missing"),
            ("client=a", "to is missing"),
            (
                "client=a&to=1&at=noon",
                "at is a time such as 2027-01-31T08:00:00Z",
            ),
            ("client=a&to=1&text=%FF", "text is too long here, or no text"),
        ] {
            assert_eq!(asked(query, now), Err(why.to_owned()), "{query}");
        }
    }
}
