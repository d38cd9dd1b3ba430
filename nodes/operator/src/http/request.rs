//! The request of what would be submit_sm, as the templates of `[operator.<id>.http]` want it.
//!
//! Pure; time is an argument. Invariant: a field can end neither the string, the element, the parameter nor the header that it
//! stands in; what a template has no place for and the phone would need is refused ([`Misfit`]), never left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use sha2::Sha256;
use smsgw_config::{
    CarrierField as Field, CarrierPiece, CarrierTemplate, HttpAuth, HttpCarrier, HttpMethod, InboundAuth,
    Operator, Secret, SecretSource, SignatureForm,
};
use smsgw_message::text;
use smsgw_message::udh::{Udh, id};
use smsgw_message::{Encoding, Ton};
use smsgw_smpp::{Address, SubmitSm, tlv};
use std::fmt::Write as _;
use url::form_urlencoded;

/// esm_class: a user data header stands before the text.
const UDHI: u8 = 0x40;
/// registered_delivery: a receipt is wanted, of whatever outcome or of failures only.
const RECEIPT: u8 = 0x03;

/// The message needs what the templates do not tell, or a header cannot hold a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

/// What requests of a link are made of.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    http: HttpCarrier,
    password: Option<Secret>,
}

impl Writer {
    /// `None` when a secret is wanted and was not read.
    pub(super) fn new(operator: &Operator, http: &HttpCarrier) -> Option<Self> {
        let password = match operator.password_source() {
            Some(SecretSource::Known(secret)) => Some(secret),
            Some(SecretSource::File(_)) | None => None,
        };
        (http.auth == HttpAuth::None || password.is_some()).then(|| Self {
            http: http.clone(),
            password,
        })
    }

    /// The request for a part, at `seconds` since 1970.
    pub(super) fn request(&self, message: &SubmitSm, seconds: u64) -> Result<Request<Full<Bytes>>, Misfit> {
        let values = Values::of(message, &self.http)?;
        let http = &self.http;
        let url = http.url.fill(|field| percent(&values.get(field)));
        let uri: Uri = url.parse().map_err(|_| Misfit)?;
        let (kind, body) = if let Some(json) = &http.json {
            let written = json.fill(|field| json_text(&values.get(field)));
            ("application/json", written)
        } else if let Some(xml) = &http.xml {
            let written = xml.fill(|field| xml_text(&values.get(field)));
            ("application/xml", written)
        } else if http.form.is_empty() {
            ("", String::new())
        } else {
            ("application/x-www-form-urlencoded", self.form(&values))
        };
        let mut request = Request::builder()
            .method(match http.method {
                HttpMethod::Post => Method::POST,
                HttpMethod::Put => Method::PUT,
                HttpMethod::Get => Method::GET,
            })
            .uri(uri.clone())
            .header(USER_AGENT, concat!("smsgw/", env!("CARGO_PKG_VERSION")));
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        for (name, value) in &http.headers {
            request = request.header(name.as_str(), secret_value(value.expose())?);
        }
        let password = self.password.as_ref().map(Secret::expose).unwrap_or_default();
        let named = http.auth_header.as_ref().map(|name| name.as_str());
        request = match http.auth {
            HttpAuth::None => request,
            HttpAuth::Basic => {
                let user = http.username.as_deref().unwrap_or_default();
                let pair = BASE64.encode(format!("{user}:{password}"));
                request.header(AUTHORIZATION, secret_value(&format!("Basic {pair}"))?)
            }
            HttpAuth::Bearer => request.header(AUTHORIZATION, secret_value(&format!("Bearer {password}"))?),
            HttpAuth::Header => request.header(named.ok_or(Misfit)?, secret_value(password)?),
            HttpAuth::Hmac => {
                let path = uri.path_and_query().map(|path| path.as_str()).unwrap_or_default();
                let signed = http.sign.fill(|field| match field {
                    Field::Body => body.clone(),
                    Field::Timestamp => seconds.to_string(),
                    Field::Method => http.method.as_str().to_owned(),
                    Field::Path => path.to_owned(),
                    // Refused by the configuration.
                    other => values.get(other),
                });
                let signature = sign(password, signed.as_bytes(), http.signature);
                request.header(named.ok_or(Misfit)?, secret_value(&signature)?)
            }
        };
        if let Some(name) = &http.timestamp_header {
            request = request.header(name.as_str(), seconds);
        }
        request.body(Full::new(Bytes::from(body))).map_err(|_| Misfit)
    }

    fn form(&self, values: &Values) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, template) in &self.http.form {
            let value = template.fill(|field| values.get(field));
            let is_field = matches!(template.pieces(), [CarrierPiece::Field(field)] if *field != Field::Text);
            if !(is_field && value.is_empty()) {
                form.append_pair(name.as_str(), &value);
            }
        }
        form.finish()
    }
}

/// HMAC-SHA256 under a secret.
pub(super) fn sign(secret: &str, octets: &[u8], form: SignatureForm) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(octets);
    let signature = mac.finalize().into_bytes();
    match form {
        SignatureForm::Hex => hex(&signature),
        SignatureForm::Base64 => BASE64.encode(signature),
    }
}

/// Where receipts come in, as the carrier sees it.
fn receipt_url(http: &HttpCarrier) -> String {
    let Some(inbound) = &http.inbound else {
        return String::new();
    };
    let base = inbound
        .public_url
        .as_deref()
        .unwrap_or_default()
        .trim_end_matches('/');
    let path = inbound.receipt_path.as_deref().unwrap_or_default();
    match (inbound.auth, &inbound.secret) {
        (InboundAuth::Path, Some(secret)) => format!("{base}{path}/{}", percent(secret.expose())),
        (InboundAuth::Path | InboundAuth::None | InboundAuth::Header | InboundAuth::Hmac, _) => {
            format!("{base}{path}")
        }
    }
}

/// The fields of one part.
struct Values {
    to: (String, bool),
    from: (String, bool),
    text: String,
    octets: String,
    udh: String,
    encoding: String,
    data_coding: u8,
    message: String,
    part: String,
    parts: String,
    validity: String,
    reference: u32,
    receipt: bool,
    receipt_url: String,
}

impl Values {
    fn of(message: &SubmitSm, http: &HttpCarrier) -> Result<Self, Misfit> {
        let payload = message.payload();
        let (header, body) = if message.esm_class & UDHI == 0 {
            (&[][..], payload)
        } else {
            let length = usize::from(*payload.first().ok_or(Misfit)?);
            payload.split_at_checked(length.saturating_add(1)).ok_or(Misfit)?
        };
        let udh = Udh::parse(header).ok().map(|(udh, _)| udh).unwrap_or_default();
        let own = message.tlvs.text(super::OWN_TLV).unwrap_or_default();
        let own = String::from_utf8_lossy(own);
        let mut own = own.split(' ').map(str::to_owned);
        let mut next = || own.next().unwrap_or_default();
        let (id, part, parts, validity) = (next(), next(), next(), next());
        let encoding = Encoding::from_word(&next()).ok_or(Misfit)?;
        // What the phone would not get without the header; tables of characters are told by the text.
        let needs_header = udh
            .others
            .iter()
            .any(|element| !matches!(element.id, id::SINGLE_SHIFT | id::LOCKING_SHIFT))
            || (udh.concat.is_some() && !(http.tells(Field::Part) && http.tells(Field::Parts)));
        if needs_header && !http.tells(Field::UdhHex) {
            return Err(Misfit);
        }
        let text = match encoding {
            Encoding::Binary => String::new(),
            Encoding::Gsm7 | Encoding::Latin1 | Encoding::Ucs2 => {
                text::decode_shifted(encoding, udh.shifts(), body).text
            }
        };
        if encoding == Encoding::Binary && !http.tells(Field::TextHex) {
            return Err(Misfit);
        }
        let words = &http.encodings;
        let sar = message.tlvs.integer(tlv::tag::SAR_MSG_REF_NUM);
        Ok(Self {
            to: number(&message.destination),
            from: number(&message.source),
            text,
            octets: hex(body),
            udh: hex(header),
            encoding: match encoding {
                Encoding::Gsm7 => &words.gsm7,
                Encoding::Ucs2 => &words.ucs2,
                Encoding::Latin1 => &words.latin1,
                Encoding::Binary => &words.binary,
            }
            .clone(),
            data_coding: message.data_coding,
            message: id,
            part,
            parts,
            validity,
            reference: udh
                .concat
                .map(|concat| u32::from(concat.reference))
                .or(sar)
                .unwrap_or_default(),
            receipt: message.registered_delivery & RECEIPT != 0,
            receipt_url: receipt_url(http),
        })
    }

    fn get(&self, field: Field) -> String {
        let plus = |(digits, international): &(String, bool)| match international {
            true => format!("+{digits}"),
            false => digits.clone(),
        };
        match field {
            Field::To => self.to.0.clone(),
            Field::ToPlus => plus(&self.to),
            Field::From => self.from.0.clone(),
            Field::FromPlus => plus(&self.from),
            Field::Text => self.text.clone(),
            Field::TextHex => self.octets.clone(),
            Field::UdhHex => self.udh.clone(),
            Field::Encoding => self.encoding.clone(),
            Field::DataCoding => self.data_coding.to_string(),
            Field::MessageId => self.message.clone(),
            Field::PartId => format!("{}-{}", self.message, self.part),
            Field::Part => self.part.clone(),
            Field::Parts => self.parts.clone(),
            Field::Reference => self.reference.to_string(),
            Field::Validity => self.validity.clone(),
            Field::Receipt => u8::from(self.receipt).to_string(),
            // Not where none is wanted: the carrier would send one all the same.
            Field::ReceiptUrl => match self.receipt {
                true => self.receipt_url.clone(),
                false => String::new(),
            },
            // Refused by the configuration.
            Field::Timestamp | Field::Method | Field::Path | Field::Body => String::new(),
        }
    }
}

/// Letters were written one octet each.
fn number(address: &Address) -> (String, bool) {
    let text = address.value.as_bytes().iter().copied().map(char::from).collect();
    (text, Ton(address.ton) == Ton::INTERNATIONAL)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut out, octet| {
        let written = write!(out, "{octet:02x}");
        debug_assert!(written.is_ok(), "a String takes everything");
        out
    })
}

pub(super) fn percent(text: &str) -> String {
    // A blank is `+` in a form only; `%20` is a blank in both.
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// As it stands between the quotes of a JSON string.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}

/// As text or attribute. What XML 1.0 has no characters for becomes U+FFFD: an answer to it would be a refusal of the whole.
fn xml_text(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            '\0'..='\x1F' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
        out
    })
}

fn secret_value(text: &str) -> Result<HeaderValue, Misfit> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Misfit)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `host:port` of where requests go; the configuration has checked that it does not depend on the message.
pub(super) fn host(template: &CarrierTemplate) -> Option<(String, bool)> {
    let uri: Uri = template.fill(|_| "1".to_owned()).parse().ok()?;
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    Some((format!("{}:{port}", uri.host()?), is_tls))
}
