//! `Idempotency-Key`: a request that is repeated gets the first answer instead of a second message.
//!
//! The key is committed in the step of the accept, so there is no moment at which the message is durable and its key is
//! not. Same key and same body (compared octet for octet): the first answer again. Same key and another body: refused.
//! Invariant: of two requests with one key that run at once, one makes a message and the other gets its answer.

use crate::http::problem::Problem;
use hyper::header::{HeaderMap, HeaderName};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use smsgw_message::{ClientId, Record, RecordError, Timestamp};
use smsgw_queue::{Expected, Expiry, StateKey, Step};
use smsgw_telemetry::ApiCode;
use std::fmt::Write;

/// The header.
pub(crate) const HEADER: &str = "idempotency-key";
/// The same, taken apart once and not for every request.
static NAME: HeaderName = HeaderName::from_static(HEADER);
/// Longest key, in characters.
const MAX: usize = 255;

/// What is remembered of an accept, under `idem/<client>/<digest of the key>`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Remembered {
    /// SHA-256 of the request's body.
    #[n(0)]
    body: ByteArray<32>,
    /// The body of the answer.
    #[n(1)]
    answer: ByteVec,
    /// The path of the message.
    #[n(2)]
    location: String,
}

impl Record for Remembered {
    const KIND: u8 = 34;
    const VERSION: u8 = 1;
}

/// The key of a request, and what it was sent with.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) state: StateKey,
    body: [u8; 32],
}

/// An answer that was given before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) answer: Vec<u8>,
    pub(crate) location: String,
}

impl Key {
    /// The key in the headers, if there is one.
    pub(crate) fn of(headers: &HeaderMap, client: &ClientId) -> Result<Option<Self>, Problem> {
        let mut all = headers.get_all(&NAME).iter();
        let key = match (all.next(), all.next()) {
            (None, _) => return Ok(None),
            (Some(key), None) => key.as_bytes(),
            (Some(_), Some(_)) => return Err(invalid("stands there more than once")),
        };
        let known = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b':' | b'-');
        if key.is_empty() || key.len() > MAX || !key.iter().all(known) {
            return Err(invalid("has 1 to 255 letters, digits, '_', ':' and '-'"));
        }
        let mut state = format!("idem/{client}/");
        for octet in Sha256::digest(key) {
            write!(state, "{octet:02x}").expect("writing to a String cannot fail");
        }
        Ok(Some(Self {
            state: StateKey::from(state),
            body: [0; 32],
        }))
    }

    /// The same key, with the body it came with.
    pub(crate) fn with_body(mut self, body: &[u8]) -> Self {
        self.body = Sha256::digest(body).into();
        self
    }

    /// The same key, with the SHA-256 of a body that was never in memory as a whole.
    pub(crate) fn with_digest(mut self, digest: [u8; 32]) -> Self {
        self.body = digest;
        self
    }

    /// What a record under the key means for this request.
    pub(crate) fn judge(&self, record: &[u8]) -> Result<Result<Replay, Problem>, RecordError> {
        let remembered = Remembered::from_record(record)?;
        if *remembered.body != self.body {
            let why = "the key was used with another body";
            return Ok(Err(Problem::new(ApiCode::IdempotencyMismatch, why)));
        }
        Ok(Ok(Replay {
            answer: remembered.answer.into(),
            location: remembered.location,
        }))
    }

    /// Adds the memory of this answer to the step of the accept.
    pub(crate) fn remember(&self, step: Step, answer: &[u8], location: &str, until: Timestamp) -> Step {
        let remembered = Remembered {
            body: self.body.into(),
            answer: answer.to_vec().into(),
            location: location.to_owned(),
        };
        step.compare_and_put(
            self.state.clone(),
            Expected::Absent,
            remembered.to_record(),
            Expiry::At(until),
        )
    }
}

fn invalid(why: &'static str) -> Problem {
    Problem::field(ApiCode::InvalidField, HEADER, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use smsgw_queue::{Op, StepId};

    fn key(text: &str, client: &str) -> Result<Option<Key>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(text).unwrap());
        Key::of(&headers, &ClientId::try_new(client).unwrap())
    }

    #[test]
    fn keys_are_of_their_client_and_bounded() {
        let acme = key("order-7", "acme").unwrap().unwrap();
        assert_ne!(acme.state, key("order-7", "other").unwrap().unwrap().state);
        assert_ne!(acme.state, key("order-8", "acme").unwrap().unwrap().state);
        for wrong in ["", "a b", "ä", &"x".repeat(256)] {
            assert_eq!(
                key(wrong, "acme").unwrap_err().code,
                ApiCode::InvalidField,
                "{wrong}"
            );
        }
        let mut twice = HeaderMap::new();
        twice.append(HEADER, HeaderValue::from_static("a"));
        twice.append(HEADER, HeaderValue::from_static("a"));
        assert!(Key::of(&twice, &ClientId::try_new("acme").unwrap()).is_err());
        assert!(
            Key::of(&HeaderMap::new(), &ClientId::try_new("acme").unwrap())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_same_body_gets_the_first_answer_and_another_one_is_refused() {
        let first = key("k", "acme").unwrap().unwrap().with_body(b"{}");
        let until = Timestamp::from_millis(9);
        let step = first.remember(
            Step::new(StepId::from_bytes([1; 16])),
            b"answer",
            "/v1/messages/1",
            until,
        );
        let [Op::Put(state, record, Expected::Absent, Expiry::At(at))] = step.ops() else {
            panic!("{step:?}")
        };
        assert_eq!((state, at), (&first.state, &until));
        let replay = Replay {
            answer: b"answer".to_vec(),
            location: "/v1/messages/1".to_owned(),
        };
        assert_eq!(first.judge(record).unwrap(), Ok(replay));
        let other = key("k", "acme").unwrap().unwrap().with_body(b"{ }");
        assert_eq!(
            other.judge(record).unwrap().unwrap_err().code,
            ApiCode::IdempotencyMismatch
        );
    }
}
