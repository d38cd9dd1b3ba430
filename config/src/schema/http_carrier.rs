//! `[operator.<id>.http]`: a carrier that takes messages as HTTP requests, and tells of receipts and MO by requests of its own.
//!
//! Must not know how a request is made; the operator node reads these values. Invariant: a template names only fields that
//! parts have, a picker can be followed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::admission::TextPattern;
use super::client_callback::{HeaderName, ParameterName};
use crate::section::between;
use crate::status::StatusRange;
use crate::types::Secret;

const SECOND: Duration = Duration::from_secs(1);
/// Longest template, in octets.
const MAX_TEMPLATE: usize = 16 * 1024;

words! {
    /// Method of a request.
    HttpMethod {
        /// With a body.
        Post = "POST",
        /// With a body.
        Put = "PUT",
        /// Without a body: everything stands in the URL.
        Get = "GET",
    }
}

words! {
    /// How we say who we are; the secret is the operator's `password`.
    HttpAuth {
        /// Not at all, or by what stands in `headers`.
        None = "none",
        /// HTTP Basic, with `username`.
        Basic = "basic",
        /// `Authorization: Bearer` and the password.
        Bearer = "bearer",
        /// The password in the header `auth_header`.
        Header = "header",
        /// HMAC-SHA256 under the password, in the header `auth_header`.
        Hmac = "hmac",
    }
}

words! {
    /// How a signature is written.
    SignatureForm {
        /// Hexadecimal, small letters.
        Hex = "hex",
        /// Base64.
        Base64 = "base64",
    }
}

words! {
    /// How the carrier's requests show that they are the carrier's.
    InboundAuth {
        /// By their address only.
        None = "none",
        /// The secret is the last element of the path.
        Path = "path",
        /// The secret stands in the header `header`.
        Header = "header",
        /// The header `header` holds the HMAC-SHA256 of the body under the secret.
        Hmac = "hmac",
    }
}

words! {
    /// What a template may name.
    CarrierField {
        /// Recipient, digits alone.
        To = "to",
        /// Recipient, with `+` before an international number.
        ToPlus = "to_plus",
        /// Sender, as it is shown.
        From = "from",
        /// Sender, with `+` before an international number.
        FromPlus = "from_plus",
        /// The text; empty for octets that are none.
        Text = "text",
        /// The octets behind the header in hexadecimal: septets one each, UCS-2 with the high octet first.
        TextHex = "text_hex",
        /// The user data header in hexadecimal, with its length; empty without one.
        UdhHex = "udh_hex",
        /// The word of `encodings`.
        Encoding = "encoding",
        /// data_coding, as a number.
        DataCoding = "data_coding",
        /// Our id of the message.
        MessageId = "message_id",
        /// Our id of the part: the message's, `-` and the part.
        PartId = "part_id",
        /// Which part, from 1.
        Part = "part",
        /// Of how many.
        Parts = "parts",
        /// What the parts of a long message have in common; 0 for others.
        Reference = "reference",
        /// How long it is valid still, in seconds.
        Validity = "validity",
        /// 1 where a receipt is wanted, else 0.
        Receipt = "receipt",
        /// Where receipts are to go: `inbound.public_url` and `receipt_path`.
        ReceiptUrl = "receipt_url",
        /// Seconds since 1970 (in `sign`).
        Timestamp = "timestamp",
        /// Method (in `sign`).
        Method = "method",
        /// Path and query of the request (in `sign`).
        Path = "path",
        /// The body as it is sent (in `sign`).
        Body = "body",
    }
}

impl CarrierField {
    /// Whether only `sign` has it.
    pub const fn is_of_signature(self) -> bool {
        matches!(self, Self::Timestamp | Self::Method | Self::Path | Self::Body)
    }
}

section! {
    /// `[operator.<id>.http.encodings]`: the carrier's words for encodings.
    EncodingWords {
        /// The carrier's word for GSM 7-bit. Since 0.1.
        gsm7: String = "gsm7".to_owned(), Live;
        /// The carrier's word for UCS-2. Since 0.1.
        ucs2: String = "ucs2".to_owned(), Live;
        /// The carrier's word for ISO 8859-1. Since 0.1.
        latin1: String = "latin1".to_owned(), Live;
        /// The carrier's word for octets that are no text. Since 0.1.
        binary: String = "binary".to_owned(), Live;
    }
}

section! {
    /// `[operator.<id>.http.inbound.mo]`: where an MO stands in the carrier's request.
    InboundMo {
        /// The phone that has sent it. Since 0.1.
        from: Option<Picker> = None, Relink;
        /// The number of ours that it was sent to. Since 0.1.
        to: Option<Picker> = None, Relink;
        /// The text of the message. Since 0.1.
        text: Option<Picker> = None, Relink;
        /// Octets in hexadecimal, instead of a text. Since 0.1.
        data: Option<Picker> = None, Relink;
        /// The user data header in hexadecimal, with its length. Since 0.1.
        udh: Option<Picker> = None, Relink;
    }
}

section! {
    /// `[operator.<id>.http.inbound.receipt]`: where a receipt stands in the carrier's request.
    InboundReceipt {
        /// The carrier's id of the message. Since 0.1.
        id: Option<Picker> = None, Relink;
        /// The word for what became of it; see `receipt_words`. Since 0.1.
        state: Option<Picker> = None, Relink;
        /// The carrier's word for why, told as it is. Since 0.1.
        error: Option<Picker> = None, Relink;
    }
}

section! {
    /// `[operator.<id>.http.inbound]`: where the carrier brings receipts and MO.
    HttpInbound {
        /// Where we listen; without TLS: put a proxy in front of it. Since 0.1.
        listen: Option<SocketAddr> = None, Relink [required];
        /// How the carrier reaches it, for `{receipt_url}`: `https://sms.example.com`. Since 0.1.
        public_url: Option<String> = None, Relink;
        /// Path of MO; absent: none come. Since 0.1.
        mo_path: Option<String> = None, Relink;
        /// Path of receipts; absent: none come. Since 0.1.
        receipt_path: Option<String> = None, Relink;
        /// How requests show that they are the carrier's: `none`, `path`, `header` or `hmac`. Since 0.1.
        auth: InboundAuth = InboundAuth::None, Relink;
        /// The header that `auth` is about. Since 0.1.
        header: Option<HeaderName> = None, Relink;
        /// How the signature of `auth = "hmac"` is written. Since 0.1.
        signature: SignatureForm = SignatureForm::Hex, Relink;
        /// The secret of `auth`; or `secret_file`. Since 0.1.
        secret: Option<Secret> = None, Relink;
        /// File with the secret (its first line). Since 0.1.
        secret_file: Option<PathBuf> = None, Relink;
        /// Addresses that requests may come from; empty: any. Since 0.1.
        allow: Vec<IpNet> = Vec::new(), Relink;
        /// Where an MO stands. Since 0.1.
        mo: InboundMo = InboundMo::default(), Relink;
        /// Where a receipt stands. Since 0.1.
        receipt: InboundReceipt = InboundReceipt::default(), Relink;
        /// Status of our answer, once it is durable. Since 0.1.
        answer_status: u32 = 200, Relink where between(200, 299);
        /// Content-Type of our answer. Since 0.1.
        answer_type: String = "text/plain".to_owned(), Relink;
        /// Body of our answer. Since 0.1.
        answer_body: String = String::new(), Relink;
    }
}

section! {
    /// `[operator.<id>.http]`: a carrier that takes messages as HTTP requests. In templates a name in braces stands for a field of
    /// the part, written as the place needs it (percent, JSON, XML): `to`, `to_plus`, `from`, `from_plus`, `text`, `text_hex`, `udh_hex`,
    /// `encoding`, `data_coding`, `message_id`, `part_id`, `part`, `parts`, `reference`, `validity`, `receipt`, `receipt_url`.
    HttpCarrier {
        /// Where requests go, with templates: `https://api.example.com/send?to={to}`. Since 0.1.
        url: CarrierTemplate = CarrierTemplate::default(), Relink [required];
        /// Method of the requests. Since 0.1.
        method: HttpMethod = HttpMethod::Post, Relink;
        /// Headers of every request. They are kept as secret, since they often are. Since 0.1.
        headers: BTreeMap<HeaderName, Secret> = BTreeMap::new(), Relink;
        /// The body as a form: templates by parameter. One that is only a field which is empty is left out. Since 0.1.
        form: BTreeMap<ParameterName, CarrierTemplate> = BTreeMap::new(), Relink;
        /// The body as JSON, a template; fields stand inside of strings or as numbers. Since 0.1.
        json: Option<CarrierTemplate> = None, Relink;
        /// The body as XML, a template; fields stand as text or in attributes. Since 0.1.
        xml: Option<CarrierTemplate> = None, Relink;
        /// How we say who we are: `none`, `basic`, `bearer`, `header` or `hmac`; the secret is the operator's `password` or
        /// `password_file`. Since 0.1.
        auth: HttpAuth = HttpAuth::None, Relink;
        /// User of `auth = "basic"`. Since 0.1.
        username: Option<String> = None, Relink;
        /// The header of `auth = "header"` and `"hmac"`. Since 0.1.
        auth_header: Option<HeaderName> = None, Relink;
        /// What `auth = "hmac"` signs: a template of `body`, `timestamp`, `method` and `path`. Since 0.1.
        sign: CarrierTemplate = CarrierTemplate::from_text("{body}").expect("a field"), Relink;
        /// How the signature is written. Since 0.1.
        signature: SignatureForm = SignatureForm::Hex, Relink;
        /// Header in which `timestamp` is told. Since 0.1.
        timestamp_header: Option<HeaderName> = None, Relink;
        /// The carrier's words for encodings. Since 0.1.
        encodings: EncodingWords = EncodingWords::default(), Relink;
        /// Where the carrier's id stands in its answer: `json:/messages/0/id`, `xml:/answer/message/@id`, `regex:ID: (\w+)` (the first
        /// group), `param:id` (of a form) or `header:x-id`. Since 0.1.
        id: Option<Picker> = None, Relink;
        /// Where a code stands that says how it went, where the status of HTTP does not. A 2xx whose code is none of `success` and
        /// not in `codes` counts as `HTTP_CODE_n` when it is a number up to 65535, else as ESME_RX_R_APPN; without the code
        /// the part is in doubt. Since 0.1.
        code: Option<Picker> = None, Relink;
        /// Codes that mean success. Since 0.1.
        success: Vec<String> = vec!["0".to_owned()], Relink;
        /// What other codes count as, with any status of HTTP: `{ busy = "ESME_RTHROTTLED", "21610" = "HTTP_403" }`. Since 0.1.
        codes: BTreeMap<ParameterName, StatusRange> = BTreeMap::new(), Relink;
        /// The longest `Retry-After` that is waited for; a longer one counts as this. Nothing is sent on the link meanwhile. Since 0.1.
        retry_after_max: Duration = 60 * SECOND, Relink where between(Duration::ZERO, 3600 * SECOND);
        /// Where the carrier brings receipts and MO; absent: it does not. Since 0.1.
        inbound: Option<HttpInbound> = None, Relink;
    }
}

impl HttpCarrier {
    /// Every template of a request.
    pub fn templates(&self) -> impl Iterator<Item = &CarrierTemplate> {
        std::iter::once(&self.url)
            .chain(self.form.values())
            .chain(&self.json)
            .chain(&self.xml)
    }

    /// Whether a request tells the field.
    pub fn tells(&self, field: CarrierField) -> bool {
        self.templates()
            .any(|template| template.pieces().contains(&CarrierPiece::Field(field)))
    }
}

/// A piece of a [`CarrierTemplate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarrierPiece {
    /// As it stands.
    Text(String),
    /// A field of the part.
    Field(CarrierField),
}

/// Text with fields of a part in braces. A brace that begins no name (letters and `_`) stands for itself, as in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarrierTemplate {
    text: String,
    pieces: Vec<CarrierPiece>,
}

impl CarrierTemplate {
    /// Reads a template; `None` when it names what is no field, or is too long.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > MAX_TEMPLATE {
            return None;
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            plain.push_str(before);
            let name = behind.split_once('}').filter(|(name, _)| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|octet| octet.is_ascii_lowercase() || octet == b'_')
            });
            match name {
                Some((name, behind)) => {
                    let field = CarrierField::from_word(name)?;
                    if !plain.is_empty() {
                        pieces.push(CarrierPiece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(CarrierPiece::Field(field));
                    rest = behind;
                }
                None => {
                    plain.push('{');
                    rest = behind;
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(CarrierPiece::Text(plain));
        }
        Some(Self {
            text: text.to_owned(),
            pieces,
        })
    }

    /// What it is made of.
    pub fn pieces(&self) -> &[CarrierPiece] {
        &self.pieces
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// With each field written as `value` says.
    pub fn fill(&self, mut value: impl FnMut(CarrierField) -> String) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                CarrierPiece::Text(text) => text.clone(),
                CarrierPiece::Field(field) => value(*field),
            })
            .collect()
    }
}

/// Where a value stands in an answer or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picker {
    /// JSON pointer (RFC 6901).
    Json(String),
    /// Names of elements from the root on, an attribute last: `/a/b/@c`.
    Xml(String),
    /// Regular expression; the value is its first group.
    Regex(TextPattern),
    /// Parameter of a query or form.
    Param(String),
    /// Header.
    Header(String),
}

impl Picker {
    /// Reads `json:/a`, `xml:/a/@b`, `regex:a(.)`, `param:a` or `header:a`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "json" if rest.starts_with('/') => Some(Self::Json(rest.to_owned())),
            "xml"
                if rest
                    .strip_prefix('/')
                    .is_some_and(|path| path.split('/').all(|name| !name.is_empty())) =>
            {
                Some(Self::Xml(rest.to_owned()))
            }
            "regex" if rest.contains('(') => TextPattern::from_text(rest).map(Self::Regex),
            "param" if !rest.is_empty() => Some(Self::Param(rest.to_owned())),
            "header" if !rest.is_empty() => Some(Self::Header(rest.to_ascii_lowercase())),
            _ => None,
        }
    }
}

impl std::fmt::Display for Picker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(path) => write!(f, "json:{path}"),
            Self::Xml(path) => write!(f, "xml:{path}"),
            Self::Regex(pattern) => write!(f, "regex:{}", pattern.as_str()),
            Self::Param(name) => write!(f, "param:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_of_json_needs_no_escapes_and_no_wrong_names() {
        let template = CarrierTemplate::from_text(r#"{"to":"+{to}","o":{},"n":{"x":{part}}}"#).unwrap();
        assert_eq!(
            template.fill(|field| format!("<{field}>")),
            r#"{"to":"+<to>","o":{},"n":{"x":<part>}}"#
        );
        assert_eq!(CarrierTemplate::from_text("{txt}"), None);
    }

    #[test]
    fn pickers_are_read_and_shown() {
        for text in [
            "json:/a/0/b",
            "xml:/a/b/@c",
            r"regex:id=(\d+)",
            "param:MessageSid",
            "header:x-id",
        ] {
            assert_eq!(Picker::from_text(text).unwrap().to_string(), text);
        }
        for wrong in [
            "json:a",
            "xml:/a//b",
            "xml:a",
            "regex:id",
            "regex:(",
            "param:",
            "jso:/a",
            "id",
        ] {
            assert_eq!(Picker::from_text(wrong), None, "{wrong}");
        }
    }
}
