//! Answers: their type and how they are made.
//!
//! Knows no resource. Invariant: an answer's body cannot fail; a stream that has nothing more to say ends.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::convert::Infallible;

/// Octets of an answer: all at once, or as they come.
pub(crate) type Content = UnsyncBoxBody<Bytes, Infallible>;

/// An answer on its way to the client.
pub(crate) type Answer = Response<Content>;

/// Octets that are there already.
pub(crate) fn full(body: Vec<u8>) -> Content {
    Full::new(Bytes::from(body)).boxed_unsync()
}

/// A JSON document that was written before.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A value as a JSON document. Values of the API are structs, lists, strings and numbers: they can always be written.
pub(crate) fn document(status: StatusCode, value: &impl Serialize) -> Answer {
    json(
        status,
        serde_json::to_vec(value).expect("a struct of strings and numbers is valid JSON"),
    )
}
