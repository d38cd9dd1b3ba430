//! From events to a request: method, URL, body, headers, signature, as the client's policy says.
//!
//! Pure: the time comes from the caller. Values of a template are percent-encoded (`application/x-www-form-urlencoded`), so no
//! text of a phone can add a parameter. Invariant: the same events make the same id and the same body on every attempt, but for
//! the field `attempt`, where a template asks for it.

use crate::policy::Policy;
use crate::sign::signatures;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use sha2::{Digest, Sha256};
use smsgw_config::{CallbackField, CallbackFormat, Piece, Template};
use smsgw_message::{Address, Down, DownKind, MessageId, Timestamp, document};
use std::fmt::{self, Write};
use url::Url;
use url::form_urlencoded::Serializer;

/// Version of the events' shape: fields may be added within one.
const SCHEMA: HeaderValue = HeaderValue::from_static("1");

/// Where a callback goes: a URL that can be called, and the name its limits go by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    url: Url,
    uri: Uri,
    authorization: Option<HeaderValue>,
    /// Scheme, host and port: what the breaker and the limit count.
    pub(crate) origin: String,
}

/// Without path and query, which may hold a token.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Target {
    /// Of a URL; user and password in it become Basic authentication (RFC 7617).
    pub(crate) fn of(mut url: Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        let origin = url.origin().ascii_serialization();
        let mut authorization = None;
        if !url.username().is_empty() || url.password().is_some() {
            authorization = basic(url.username(), url.password().unwrap_or_default());
            url.set_username("").ok()?;
            url.set_password(None).ok()?;
        }
        url.set_fragment(None);
        Some(Self {
            uri: url.as_str().parse().ok()?,
            url,
            authorization,
            origin,
        })
    }
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    secret(&format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An event, which attempt at it this is, and its document where it was written already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) down: &'a Down,
    pub(crate) attempt: u32,
    pub(crate) document: Option<&'a [u8]>,
}

/// The request for these events; `None` when their parameters make a URL that is too long to be one.
pub(crate) fn build(
    policy: &Policy,
    target: &Target,
    parts: &[Part<'_>],
    now: Timestamp,
) -> Option<Request<Full<Bytes>>> {
    let own = &policy.own;
    let (method, uri, body, kind) = match own.format {
        CallbackFormat::Json => (
            Method::POST,
            target.uri.clone(),
            json(policy, parts),
            Some("application/json"),
        ),
        CallbackFormat::Form => {
            let form = encode(policy, parts, Serializer::new(String::new())).into_bytes();
            let kind = Some("application/x-www-form-urlencoded");
            (Method::POST, target.uri.clone(), form, kind)
        }
        CallbackFormat::Get => {
            let mut url = target.url.clone();
            let before = url.query().unwrap_or_default();
            let query = encode(policy, parts, Serializer::for_suffix(before.to_owned(), 0));
            url.set_query(Some(&query));
            (Method::GET, url.as_str().parse().ok()?, Vec::new(), None)
        }
    };
    let id = webhook_id(parts);
    let seconds = now.as_millis().div_euclid(1000);
    let signature = signatures(&policy.keys, &id, seconds, &body);
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    for (name, value) in &own.headers {
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), secret(value.expose())) {
            headers.insert(name, value);
        }
    }
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("smsgw/", env!("CARGO_PKG_VERSION"))),
    );
    let attempt = parts.iter().map(|part| part.attempt).max().unwrap_or(1);
    headers.insert("smsgw-attempt", HeaderValue::from(attempt));
    headers.insert("smsgw-schema", SCHEMA);
    if let [only] = parts
        && let Ok(event) = HeaderValue::try_from(only.down.event.to_string())
    {
        headers.insert("smsgw-event", event);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert("webhook-id", id);
    }
    headers.insert("webhook-timestamp", HeaderValue::from(seconds));
    if !signature.is_empty()
        && let Ok(signature) = HeaderValue::try_from(signature)
    {
        headers.insert("webhook-signature", signature);
    }
    let authorization = target.authorization.clone().or_else(|| {
        let bearer = own
            .bearer
            .as_ref()
            .map(|token| secret(&format!("Bearer {}", token.expose())));
        let user = own.username.as_deref().zip(own.password.as_ref());
        bearer
            .or_else(|| user.map(|(user, password)| basic(user, password.expose())))
            .flatten()
    });
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    Some(request)
}

fn json(policy: &Policy, parts: &[Part<'_>]) -> Vec<u8> {
    let document = |part: &Part<'_>| {
        part.document
            .map_or_else(|| document::render(part.down), <[u8]>::to_vec)
    };
    if policy.own.batch == 1
        && let [only] = parts
    {
        return document(only);
    }
    let mut array = vec![b'['];
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            array.push(b',');
        }
        array.extend(document(part));
    }
    array.push(b']');
    array
}

/// Of one event its own id, of several one that follows from all of theirs.
fn webhook_id(parts: &[Part<'_>]) -> String {
    if let [only] = parts {
        return only.down.event.to_string();
    }
    let mut all = Sha256::new();
    for part in parts {
        all.update(part.down.event.as_bytes());
    }
    let mut id = "batch-".to_owned();
    for octet in all.finalize().iter().take(16) {
        write!(id, "{octet:02x}").expect("writing to a String cannot fail");
    }
    id
}

fn encode(policy: &Policy, parts: &[Part<'_>], mut out: Serializer<'_, String>) -> String {
    for part in parts {
        if policy.own.parameters.is_empty() {
            for field in CallbackField::ALL {
                if let Some(value) = value(*part, *field) {
                    out.append_pair(field.as_str(), &value);
                }
            }
        }
        for (name, template) in &policy.own.parameters {
            if let Some(value) = filled(*part, template) {
                out.append_pair(name.as_str(), &value);
            }
        }
    }
    out.finish()
}

fn filled(part: Part<'_>, template: &Template) -> Option<String> {
    if let [Piece::Field(field)] = template.pieces() {
        return value(part, *field);
    }
    let pieces = template.pieces().iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Field(field) => value(part, *field).unwrap_or_default(),
    });
    Some(pieces.collect())
}

fn value(part: Part<'_>, field: CallbackField) -> Option<String> {
    let down = part.down;
    let (report, mo) = match &down.what {
        DownKind::Report(report) => (Some(report), None),
        DownKind::Mo(mo) => (None, Some(mo)),
    };
    match field {
        CallbackField::Type => Some(if report.is_some() { "report" } else { "mo" }.to_owned()),
        CallbackField::Id => Some(down.event.to_string()),
        CallbackField::At => Some(down.at.to_string()),
        CallbackField::Unix => Some(down.at.as_millis().div_euclid(1000).to_string()),
        CallbackField::Client => Some(down.client.to_string()),
        CallbackField::Attempt => Some(part.attempt.to_string()),
        CallbackField::MessageId => Some(message(down).to_string()),
        CallbackField::Reference => report.and_then(|report| report.reference.clone()),
        CallbackField::From => {
            let from = report
                .and_then(|report| report.from.as_ref())
                .or(mo.map(|mo| &mo.from));
            from.map(Address::to_string)
        }
        CallbackField::To => {
            let to = report.map(|report| &report.to).or(mo.map(|mo| &mo.to));
            to.map(Address::to_string)
        }
        CallbackField::State => report.map(|report| report.state.as_str().to_owned()),
        CallbackField::Error => report.and_then(|report| report.error.clone()),
        CallbackField::AcceptedAt => report.map(|report| report.accepted_at.to_string()),
        CallbackField::Text => mo.and_then(|mo| mo.text.clone()),
        CallbackField::Operator => mo.map(|mo| mo.operator.to_string()),
        CallbackField::Encoding => mo.map(|mo| {
            mo.charset
                .map_or_else(|| mo.encoding.as_str(), |charset| charset.as_str())
                .to_owned()
        }),
        CallbackField::DataCoding => mo.map(|mo| mo.data_coding.to_string()),
        CallbackField::Data => mo.map(|mo| {
            mo.data.iter().fold(String::new(), |mut text, octet| {
                write!(text, "{octet:02x}").expect("writing to a String cannot fail");
                text
            })
        }),
    }
}

/// Which message an event is about.
pub(crate) fn message(down: &Down) -> MessageId {
    match &down.what {
        DownKind::Report(report) => report.message,
        DownKind::Mo(mo) => mo.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{mo, policy, report};
    use http_body_util::BodyExt;

    fn target(url: &str) -> Option<Target> {
        Target::of(Url::parse(url).ok()?)
    }

    fn part(down: &Down) -> Part<'_> {
        Part {
            down,
            attempt: 3,
            document: None,
        }
    }

    fn built(settings: &str, url: &str, events: &[Down]) -> (Request<()>, String) {
        let parts: Vec<Part<'_>> = events.iter().map(part).collect();
        let now = Timestamp::from_millis(1_700_000_000_900);
        let request = build(&policy(settings), &target(url).unwrap(), &parts, now).unwrap();
        let (head, body) = request.into_parts();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(body.collect()).unwrap().to_bytes();
        (
            Request::from_parts(head, ()),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[test]
    fn credentials_leave_the_url_and_never_show() {
        let target = target("https://user:s3cret@example.org:8443/a?token=t#frag").unwrap();
        assert_eq!(target.origin, "https://example.org:8443");
        assert_eq!(target.uri, "https://example.org:8443/a?token=t");
        assert_eq!(target.authorization.as_ref().unwrap(), "Basic dXNlcjpzM2NyZXQ=");
        let shown = format!("{target:?} {:?}", target.authorization);
        assert!(
            !shown.contains("s3cret") && !shown.contains("dXNlc") && !shown.contains("token"),
            "{shown}"
        );
        assert!(super::Target::of(Url::parse("ftp://x/").unwrap()).is_none());
    }

    #[test]
    fn the_default_is_a_post_of_the_document_with_id_attempt_and_time() {
        let (request, body) = built("", "http://x.test/e", &[report()]);
        assert_eq!(
            (request.method(), body.as_bytes()),
            (&Method::POST, &*document::render(&report()))
        );
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("content-type"), Some("application/json"));
        assert_eq!(header("smsgw-attempt"), Some("3"));
        assert_eq!(header("webhook-timestamp"), Some("1700000000"));
        assert_eq!(header("webhook-id"), Some(&*report().event.to_string()));
        assert_eq!(
            (header("webhook-signature"), header("authorization")),
            (None, None)
        );
    }

    #[test]
    fn a_get_and_a_form_have_their_parameters_encoded() {
        let settings = "format = \"get\"\nparameters = { t = \"{type}: {text}\", \"a b\" = \"{from}\", gone = \"{state}\", k = \"{{}}\" }";
        let mut event = mo();
        if let DownKind::Mo(mo) = &mut event.what {
            mo.text = Some("Ja & nein=ü\r\n#?+%".to_owned());
        }
        let (request, body) = built(settings, "http://x.test/e?fixed=1", &[event.clone()]);
        assert_eq!((request.method(), body.as_str()), (&Method::GET, ""));
        assert_eq!(
            request.uri(),
            "http://x.test/e?fixed=1&a+b=491700000001&k=%7B%7D&t=mo%3A+Ja+%26+nein%3D%C3%BC%0D%0A%23%3F%2B%25"
        );
        let (_, body) = built("format = \"form\"", "http://x.test/e", &[event]);
        assert!(
            body.starts_with("type=mo&id=") && body.contains("&attempt=3&") && !body.contains("state="),
            "{body}"
        );
        let read: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect();
        assert!(
            read.contains(&("text".to_owned(), "Ja & nein=ü\r\n#?+%".to_owned())),
            "{read:?}"
        );
    }

    #[test]
    fn several_events_are_an_array_with_an_id_of_its_own() {
        let (request, body) = built("batch = 10", "http://x.test/e", &[report(), mo()]);
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read.as_array().unwrap().len(), 2);
        let id = request.headers().get("webhook-id").unwrap().to_str().unwrap();
        assert!(id.starts_with("batch-") && id.len() == 38, "{id}");
        assert!(request.headers().get("smsgw-event").is_none());
        let (_, body) = built("batch = 10", "http://x.test/e", &[report()]);
        assert!(body.starts_with('[') && body.ends_with(']'), "{body}");
    }

    #[test]
    fn two_keys_make_two_signatures_and_headers_are_as_configured() {
        let settings = "signing_key = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"\nnext_signing_key = \"whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY\"\n\
            bearer = \"tok\"\nheaders = { X-Team = \"a b\" }";
        let (request, _) = built(settings, "http://x.test/", &[report()]);
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap()
        };
        assert_eq!(header("webhook-signature").split(' ').count(), 2);
        assert_eq!((header("authorization"), header("x-team")), ("Bearer tok", "a b"));
        let (request, _) = built(
            "username = \"u\"\npassword = \"p\"",
            "http://x.test/",
            &[report()],
        );
        assert_eq!(request.headers().get("authorization").unwrap(), "Basic dTpw");
        let (request, _) = built(
            "username = \"u\"\npassword = \"p\"",
            "http://a:b@x.test/",
            &[report()],
        );
        assert_eq!(
            request.headers().get("authorization").unwrap(),
            "Basic YTpi",
            "the URL's own"
        );
    }
}
