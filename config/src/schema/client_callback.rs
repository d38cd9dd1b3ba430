//! `[client.<id>.callback_policy]`: how one client's events are posted, where it differs from `[callback]`.
//!
//! Must not know how a request is made; the callback node reads these values. Invariant: a template names only fields that
//! events have, a signing key decodes, a header is none that the gateway writes itself: a request can always be made.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

use super::admission::TextPattern;
use super::callback::CallbackSection;
use super::operator::CertificateCheck;
use crate::reader::Reader;
use crate::section::{Check, between, if_set};
use crate::types::{ByteSize, Ladder, Secret, SpkiPin};
use crate::value::{Key, Value};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Longest template and longest name of a parameter or header, in octets.
const MAX_TEMPLATE: usize = 1_000;
const MAX_NAME: usize = 100;
/// Octets of a signing key, as the Standard Webhooks convention wants it.
const KEY_OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// Headers that the gateway writes itself, or that belong to the connection.
const OWN_HEADERS: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

words! {
    /// How an event is written.
    CallbackFormat {
        /// POST with the event as a JSON document.
        Json = "json",
        /// POST with parameters as a form (`application/x-www-form-urlencoded`).
        Form = "form",
        /// GET with parameters behind the URL.
        Get = "get",
    }
}

words! {
    /// A field of an event that a parameter may hold.
    CallbackField {
        /// `report` or `mo`.
        Type = "type",
        /// Id of the event, the same on each attempt.
        Id = "id",
        /// When it happened (RFC 3339).
        At = "at",
        /// The same in seconds since 1970.
        Unix = "unix",
        /// The client's id.
        Client = "client",
        /// Which attempt, from 1.
        Attempt = "attempt",
        /// Id of the message.
        MessageId = "message_id",
        /// The client's own name for the message.
        Reference = "reference",
        /// Sender.
        From = "from",
        /// Recipient.
        To = "to",
        /// State of the message.
        State = "state",
        /// Why it failed.
        Error = "error",
        /// When the message was accepted (RFC 3339).
        AcceptedAt = "accepted_at",
        /// Text of an MO.
        Text = "text",
        /// The carrier that an MO came from.
        Operator = "operator",
        /// How an MO was encoded.
        Encoding = "encoding",
        /// data_coding of an MO.
        DataCoding = "data_coding",
        /// Octets of an MO in hexadecimal.
        Data = "data",
    }
}

section! {
    /// `[client.<id>.callback_policy.tls]`: TLS towards the client's targets.
    CallbackTls {
        /// Certificates (PEM) that sign the targets'; absent: those of the system. The files are read again when the
        /// configuration is. Since 0.1.
        ca_file: Option<PathBuf> = None, Live;
        /// Our certificate chain (PEM), for targets that ask for one. Since 0.1.
        cert_file: Option<PathBuf> = None, Live;
        /// Our private key (PEM), with `cert_file`. Since 0.1.
        key_file: Option<PathBuf> = None, Live;
        /// Keys that a target may have: SHA-256 of the SubjectPublicKeyInfo of its certificate (RFC 7469), 64 hex digits. Empty:
        /// any. Since 0.1.
        pin_sha256: Vec<SpkiPin> = Vec::new(), Live;
        /// What a target's certificate is checked for: `full` or `pin` (the key alone). Since 0.1.
        verify: CertificateCheck = CertificateCheck::Full, Live;
    }
}

section! {
    /// `[client.<id>.callback_policy]`: how the client's events are posted.
    CallbackPolicy {
        /// How an event is written. Since 0.1.
        format: CallbackFormat = CallbackFormat::Json, Live;
        /// Parameters of formats `form` and `get`, as in `{ id = "{message_id}", status = "{state}" }`; a name in braces stands for
        /// a field of the event, `{{` for a brace. A parameter that is only a field which the event lacks is left out. Empty: every
        /// field under its own name. Since 0.1.
        parameters: BTreeMap<ParameterName, Template> = BTreeMap::new(), Live;
        /// Headers of every request. They are kept as secret, since they often are. Since 0.1.
        headers: BTreeMap<HeaderName, Secret> = BTreeMap::new(), Live;
        /// Hosts that messages of the client may name in their `callback` (`hooks.example.com`, `*.example.com`, with `:port` where
        /// only that port will do); empty: any. The client's own `callback` is always allowed. Since 0.1.
        hosts: Vec<HostPattern> = Vec::new(), Live;
        /// User of HTTP Basic authentication. Since 0.1.
        username: Option<String> = None, Live;
        /// Password of HTTP Basic authentication; or `password_file`. Since 0.1.
        password: Option<Secret> = None, Live;
        /// File with the password (its first line). Since 0.1.
        password_file: Option<PathBuf> = None, Live;
        /// Token of Bearer authentication; or `bearer_file`. Since 0.1.
        bearer: Option<Secret> = None, Live;
        /// File with the token (its first line). Since 0.1.
        bearer_file: Option<PathBuf> = None, Live;
        /// Key that requests are signed with (Standard Webhooks): `whsec_` and 24 to 64 octets in Base64; or `signing_key_file`.
        /// Absent: not signed. Since 0.1.
        signing_key: Option<Secret> = None, Live;
        /// File with the key (its first line). Since 0.1.
        signing_key_file: Option<PathBuf> = None, Live;
        /// A second key that requests are signed with as well, while keys are changed. Since 0.1.
        next_signing_key: Option<Secret> = None, Live;
        /// File with the second key (its first line). Since 0.1.
        next_signing_key_file: Option<PathBuf> = None, Live;
        /// TLS towards the client's targets; absent: the system's certificates and no certificate of ours. Since 0.1.
        tls: Option<CallbackTls> = None, Live;
        /// Statuses that settle an event, none of them 3xx; empty: any 2xx. Since 0.1.
        success: Vec<u32> = Vec::new(), Live where statuses();
        /// Regular expression that must besides be found in the first 64 KiB of the answer. Since 0.1.
        success_body: Option<TextPattern> = None, Live;
        /// How long a target may take; absent: `callback.timeout`. Since 0.1.
        timeout: Option<Duration> = None, Live where if_set(between(SECOND, 300 * SECOND));
        /// Delays between attempts; absent: `callback.retry`. Since 0.1.
        retry: Option<Ladder> = None, Live;
        /// Age at which an event is dead-lettered; absent: `callback.give_up`. Since 0.1.
        give_up: Option<Duration> = None, Live where if_set(between(Duration::ZERO, 30 * 24 * HOUR));
        /// The longest `Retry-After` that is waited for; a longer one counts as this. Since 0.1.
        retry_after_max: Duration = HOUR, Live where between(Duration::ZERO, 24 * HOUR);
        /// Requests in flight to all targets of the client; absent: half of `callback.max_in_flight`. Since 0.1.
        max_in_flight: Option<u32> = None, Live where if_set(between(1, 65_536));
        /// Requests in flight to one target of the client; absent: `callback.max_per_target`. Since 0.1.
        max_per_target: Option<u32> = None, Live where if_set(between(1, 65_536));
        /// Events per second; 0 = unlimited. Since 0.1.
        rate: f64 = 0.0, Live where between(0.0, 100_000.0);
        /// Events that are put into one request at most (format `json`), as an array; 1: each alone, not in an array. An event whose
        /// second attempt failed goes alone in an array. Since 0.1.
        batch: u32 = 1, Live where between(1, 1_000);
        /// Octets of a request with several events at most. Since 0.1.
        batch_octets: ByteSize = ByteSize::kib(256), Live where between(ByteSize::kib(1), ByteSize::mib(8));
        /// How long the first event of a request waits for others. Since 0.1.
        batch_linger: Duration = Duration::from_millis(50), Live where between(Duration::ZERO, 60 * SECOND);
        /// Whether the answer to an MO may carry a reply that is sent to its phone. Since 0.1.
        replies: bool = false, Live;
        /// Replies to one phone at most within `replies_period`; a program that answers another one must end. Since 0.1.
        replies_max: u32 = 5, Live where between(1, 10_000);
        /// Period of `replies_max`. Since 0.1.
        replies_period: Duration = HOUR, Live where between(SECOND, 31 * 24 * HOUR);
    }
}

fn statuses() -> Check<Vec<u32>> {
    Check {
        text: "statuses 200 to 299 and 400 to 599".to_owned(),
        test: Box::new(|list| {
            list.iter()
                .all(|status| (200..300).contains(status) || (400..600).contains(status))
        }),
    }
}

impl CallbackPolicy {
    /// How long a target may take.
    pub fn timeout(&self, all: &CallbackSection) -> Duration {
        self.timeout.unwrap_or(all.timeout)
    }

    /// Delays between attempts.
    pub fn retry<'a>(&'a self, all: &'a CallbackSection) -> &'a Ladder {
        self.retry.as_ref().unwrap_or(&all.retry)
    }

    /// Age at which an event is given up.
    pub fn give_up(&self, all: &CallbackSection) -> Duration {
        self.give_up.unwrap_or(all.give_up)
    }

    /// Whether a message may name this target.
    pub fn allows(&self, target: &Url) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(target))
    }

    /// The octets of the signing keys, the first one first.
    pub fn signing_keys(&self) -> Vec<Vec<u8>> {
        [&self.signing_key, &self.next_signing_key]
            .into_iter()
            .flatten()
            .filter_map(signing_key)
            .collect()
    }

    /// Whether a secret stands in the configuration file itself.
    pub fn has_secret(&self) -> bool {
        let stands = |secret: &Option<Secret>, file: &Option<PathBuf>| secret.is_some() && file.is_none();
        stands(&self.password, &self.password_file)
            || stands(&self.bearer, &self.bearer_file)
            || stands(&self.signing_key, &self.signing_key_file)
            || stands(&self.next_signing_key, &self.next_signing_key_file)
            || !self.headers.is_empty()
    }
}

/// The octets of a signing key: Base64, with `whsec_` before it or not.
pub(crate) fn signing_key(secret: &Secret) -> Option<Vec<u8>> {
    let text = secret.expose();
    let octets = BASE64
        .decode(text.strip_prefix("whsec_").unwrap_or(text).trim())
        .ok()?;
    KEY_OCTETS.contains(&octets.len()).then_some(octets)
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// A field of the event.
    Field(CallbackField),
}

/// Text with fields of an event in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// What is wrong with a template.
enum TemplateError<'a> {
    Braces,
    Long,
    Field(&'a str),
}

impl Template {
    /// Reads a template.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn parse(text: &str) -> Result<Self, TemplateError<'_>> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError::Long);
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, behind) = rest.split_at(at);
            plain.push_str(before);
            if let Some(behind) = behind.strip_prefix("{{") {
                plain.push('{');
                rest = behind;
            } else if let Some(behind) = behind.strip_prefix("}}") {
                plain.push('}');
                rest = behind;
            } else {
                let (name, behind) = behind
                    .strip_prefix('{')
                    .and_then(|inner| inner.split_once('}'))
                    .ok_or(TemplateError::Braces)?;
                let field = CallbackField::from_word(name).ok_or(TemplateError::Field(name))?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Field(field));
                rest = behind;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    /// What it is made of.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

impl Value for Template {
    fn kind() -> String {
        "text with fields of an event in braces".to_owned()
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        let text = reader.text::<Self>(at)?;
        match Self::parse(text) {
            Ok(template) => Some(template),
            Err(TemplateError::Field(name)) => {
                let words: Vec<&str> = CallbackField::ALL.iter().map(|field| field.as_str()).collect();
                reader.not_a_word(at, name, &words);
                None
            }
            Err(TemplateError::Braces | TemplateError::Long) => {
                reader.not_a::<Self>(at, text);
                None
            }
        }
    }

    fn show(&self) -> String {
        format!("{:?}", self.text)
    }
}

/// Name of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterName(String);

impl ParameterName {
    /// Reads a name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::from_key(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key for ParameterName {
    const ANY: &'static str = "<name>";
    const HELP: &'static str = "the name of a parameter has 1 to 100 characters";
    fn from_key(text: &str) -> Option<Self> {
        ((1..=MAX_NAME).contains(&text.len()) && !text.contains(char::is_control))
            .then(|| Self(text.to_owned()))
    }
    fn as_key(&self) -> &str {
        &self.0
    }
}

/// Name of a header, in small letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key for HeaderName {
    const ANY: &'static str = "<name>";
    const HELP: &'static str = "a header is a token (RFC 9110) that the gateway does not write itself: not host, content-*, \
        connection and the like, authorization, user-agent, smsgw-* and webhook-*";
    fn from_key(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let is_token = (1..=MAX_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet));
        let is_own = OWN_HEADERS.contains(&name.as_str())
            || name.starts_with("smsgw-")
            || name.starts_with("webhook-");
        (is_token && !is_own).then_some(Self(name))
    }
    fn as_key(&self) -> &str {
        &self.0
    }
}

/// A host, or all below a domain; and a port, where only that one will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    /// In small letters; IPv6 in brackets.
    host: String,
    below: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// Reads `hooks.example.com`, `*.example.com`, `192.0.2.1:8080`, `[2001:db8::1]:8443`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().ok().filter(|port| *port != 0)?))
            }
            Some(_) | None => (text, None),
        };
        let (host, below) = match host.strip_prefix("*.") {
            Some(host) => (host, true),
            None => (host, false),
        };
        // The parser of URLs says how the host will be written (IDNA, small letters, addresses).
        let url = Url::parse(&format!("http://{host}/")).ok()?;
        let plain = url.port().is_none() && url.username().is_empty() && url.path() == "/";
        let parsed = url
            .host_str()
            .filter(|parsed| plain && !parsed.is_empty() && !parsed.contains('*'))?;
        Some(Self {
            host: parsed.to_owned(),
            below,
            port,
        })
    }

    /// Whether a URL leads there. A name under a name is meant only with `*.`, and then not the domain itself.
    pub fn matches(&self, target: &Url) -> bool {
        let Some(host) = target.host_str() else {
            return false;
        };
        // A name with a dot at its end is the same name.
        let host = host.strip_suffix('.').unwrap_or(host);
        let there = match self.below {
            false => host == self.host,
            true => host
                .strip_suffix(self.host.as_str())
                .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        };
        there
            && self
                .port
                .is_none_or(|port| target.port_or_known_default() == Some(port))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{below}{}", self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_know_the_fields_and_nothing_else() {
        use Piece::{Field, Text};
        let pieces = |text: &str| Template::from_text(text).map(|template| template.pieces);
        let text = |text: &str| Text(text.to_owned());
        assert_eq!(
            pieces("a{state}-{{x}}{id}"),
            Some(vec![
                text("a"),
                Field(CallbackField::State),
                text("-{x}"),
                Field(CallbackField::Id)
            ])
        );
        assert_eq!(pieces(""), Some(vec![]));
        for wrong in [
            "{",
            "}",
            "{}",
            "{State}",
            "{state",
            "state}",
            "{state:>3}",
            "{a{b}}",
            &"x".repeat(1_001),
        ] {
            assert_eq!(pieces(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_are_compared_as_urls_write_them() {
        let matches = |pattern: &str, url: &str| {
            HostPattern::from_text(pattern)
                .unwrap()
                .matches(&Url::parse(url).unwrap())
        };
        assert!(matches("Hooks.example.com", "https://hooks.EXAMPLE.com/x"));
        assert!(matches("hooks.example.com", "https://hooks.example.com.:444/"));
        assert!(!matches("example.com", "https://hooks.example.com/"));
        assert!(matches("*.example.com", "https://a.b.example.com/"));
        assert!(!matches("*.example.com", "https://example.com/"));
        assert!(!matches("*.example.com", "https://badexample.com/"));
        assert!(!matches("example.com", "https://example.com@evil.test/"));
        assert!(
            matches("example.com:443", "https://example.com/")
                && !matches("example.com:443", "http://example.com/")
        );
        assert!(
            matches("127.0.0.1", "http://0x7f.1/"),
            "an address in another dress"
        );
        assert!(matches("[2001:db8::1]:8443", "https://[2001:DB8:0::1]:8443/"));
        for wrong in ["", "*", "a b", "http://x", "a/b", "x:0", "x:y", "*.*.x", "u@h"] {
            assert_eq!(HostPattern::from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn signing_keys_have_24_to_64_octets() {
        let key = |octets: usize| Secret::new(format!("whsec_{}", BASE64.encode(vec![7; octets])));
        assert_eq!(signing_key(&key(24)), Some(vec![7; 24]));
        assert_eq!(
            signing_key(&Secret::new(BASE64.encode([7; 32]))),
            Some(vec![7; 32])
        );
        for wrong in [key(23), key(65), Secret::new("whsec_!"), Secret::new("secret")] {
            assert_eq!(signing_key(&wrong), None);
        }
    }

    #[test]
    fn headers_of_the_gateway_cannot_be_set() {
        for wrong in [
            "Host",
            "content-length",
            "Webhook-Id",
            "smsgw-attempt",
            "a b",
            "",
            "x:y",
            "Authorization",
        ] {
            assert_eq!(HeaderName::from_key(wrong), None, "{wrong}");
        }
        assert_eq!(HeaderName::from_key("X-Token").unwrap().as_str(), "x-token");
    }
}
