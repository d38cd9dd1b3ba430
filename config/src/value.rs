//! How a value of each type is read from the file, shown, compared and taken over.
//!
//! Must not know any section. Reading reports to the [`Reader`] and goes on: one wrong value hides no other.
//! Invariant: `show` of a secret says only that it is one.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use smsgw_message::{Encoding, Timestamp};
use smsgw_routing::{CountryCode, Currency, MicroUnits, NetworkCode, Rewrite, SenderPattern, TimeWindow};
use toml::Spanned;
use toml::de::DeValue;

use crate::diff::{Change, Impact};
use crate::reader::Reader;
use crate::schema::admission::{ListEntry, ListFile, ListName, TextPattern};
use crate::schema::client_callback::{HeaderName, HostPattern};
use crate::schema::content::{TlvRange, TlvTag, TlvValue, TonNpi};
use crate::schema::http_carrier::{CarrierTemplate, Picker};
use crate::schema::operator::ReceiptState;
use crate::schema::route::PortedFile;
use crate::section::KeyInfo;
use crate::status::StatusRange;
use crate::types::{
    ByteSize, CallbackUrl, Class, ClientId, Digits, HostPort, InDoubt, Ladder, LogFilter, OperatorId,
    ReceiptWord, Report, Rung, Secret, Sha256Digest, SpkiPin, duration_from_text, duration_to_text,
};

/// A type that can stand in the file.
pub(crate) trait Value: Clone + PartialEq {
    /// Whether the text of the value must not be shown.
    const SECRET: bool = false;

    /// What is expected, for people.
    fn kind() -> String;

    /// The value, or `None` after a problem was reported.
    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self>;

    /// The value as it would stand in the file.
    fn show(&self) -> String;

    /// What the schema of the file says of it.
    fn schema() -> serde_json::Value {
        crate::json_schema::of_kind(&Self::kind())
    }

    /// The keys below, when the value is a section.
    fn rows(_prefix: &str, _out: &mut Vec<KeyInfo>) {}

    /// What differs, key by key where the value is a section.
    fn differ(old: &Self, new: &Self, path: &str, impact: Impact, out: &mut Vec<Change>) {
        if old != new {
            out.push(Change::changed(path, shown(old), shown(new), impact));
        }
    }

    /// Takes over from `other` what stands under the paths given.
    fn take(&mut self, other: &Self, path: &str, paths: &[String]) {
        if paths.iter().any(|wanted| wanted == path) {
            *self = other.clone();
        }
    }
}

fn shown<T: Value>(value: &T) -> String {
    if T::SECRET {
        "(secret)".to_owned()
    } else {
        value.show()
    }
}

/// A path and a key below it; a key that is not bare is quoted, so that two keys never share a path.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    let key = quoted(key);
    if prefix.is_empty() {
        key
    } else {
        format!("{prefix}.{key}")
    }
}

/// A key as TOML writes it: bare where it can be, else in quotes.
pub(crate) fn quoted(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_owned() } else { format!("{key:?}") }
}

/// The rows of the manual for one declared key.
pub(crate) fn key_rows<T: Value>(
    path: String,
    default: &T,
    range: String,
    required: bool,
    impact: Impact,
    doc: &str,
    out: &mut Vec<KeyInfo>,
) {
    let before = out.len();
    T::rows(&path, out);
    if out.len() == before {
        let doc = doc
            .lines()
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ")
            .trim()
            .to_owned();
        let default = if required { String::new() } else { default.show() };
        out.push(KeyInfo {
            path,
            kind: T::kind(),
            range,
            default,
            required,
            secret: T::SECRET,
            impact,
            doc,
        });
    }
}

/// Types written as a string in the file.
macro_rules! from_text {
    ($($type:ty, $kind:literal, $secret:literal, $read:expr, $show:expr;)+) => {
        $(
            impl Value for $type {
                const SECRET: bool = $secret;

                fn kind() -> String {
                    $kind.to_owned()
                }

                fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
                    let text = reader.text::<Self>(at)?;
                    let read: fn(&str) -> Option<Self> = $read;
                    let value = read(text);
                    if value.is_none() {
                        reader.not_a::<Self>(at, text);
                    }
                    value
                }

                fn show(&self) -> String {
                    let show: fn(&Self) -> String = $show;
                    show(self)
                }
            }
        )+
    };
}

from_text! {
    String, "text", false, |text| Some(text.to_owned()), |value| format!("{value:?}");
    PathBuf, "path", false, |text| (!text.is_empty()).then(|| PathBuf::from(text)), |value| format!("{value:?}");
    SocketAddr, "address and port such as \"127.0.0.1:8080\"", false, |text| text.parse().ok(), |value| format!("\"{value}\"");
    IpAddr, "address such as \"192.0.2.1\" or \"2001:db8::1\"", false, |text| text.parse().ok(), |value| format!("\"{value}\"");
    SpkiPin, "64 hex digits", false, SpkiPin::from_text, |value| format!("\"{value}\"");
    IpNet, "network such as \"10.0.0.0/8\"", false, |text| text.parse().ok(), |value| format!("\"{value}\"");
    Timestamp, "RFC 3339 time such as \"2027-01-31T00:00:00Z\"", false, Timestamp::from_rfc3339, |value| format!("\"{value}\"");
    Duration, "time such as \"30s\", \"10m\", \"48h\", \"1d\"", false, duration_from_text, |value| format!("\"{}\"", duration_to_text(*value));
    ByteSize, "size such as \"64KiB\", \"256MiB\", \"1GiB\"", false, ByteSize::from_text, |value| format!("\"{value}\"");
    Secret, "secret text", true, |text| (!text.is_empty()).then(|| Secret::new(text)), |_| "(secret)".to_owned();
    Sha256Digest, "64 hex digits", true, Sha256Digest::from_text, |_| "(secret)".to_owned();
    HostPort, "\"host:port\"", false, HostPort::from_text, |value| format!("\"{value}\"");
    CallbackUrl, "http or https URL", false, CallbackUrl::from_text, |value| format!("\"{value}\"");
    HostPattern, "host such as \"hooks.example.com\", \"*.example.com\" or \"192.0.2.1:8080\"", false, HostPattern::from_text, |value| format!("\"{value}\"");
    Digits, "digits", false, Digits::from_text, |value| format!("{:?}", value.as_str());
    InDoubt, "\"resubmit\" | \"wait:30s\" | \"query\" | \"reject\"", false, InDoubt::from_text, |value| format!("\"{value}\"");
    TonNpi, "\"TON/NPI\" such as \"1/1\"; TON 0 to 6, NPI 0 to 18", false, TonNpi::from_text, |value| format!("\"{value}\"");
    TlvValue, "\"text:abc\" | \"hex:0102\", at most 1024 octets", false, TlvValue::from_text, |value| format!("{:?}", value.as_str());
    Rung, "time such as \"30s\" or \"1m for 10m\"", false, Rung::from_text, |value| format!("\"{value}\"");
    LogFilter, "level such as \"info\" or \"info,smsgw_node_operator=debug\"", false, LogFilter::from_text, |value| format!("{:?}", value.as_str());
    OperatorId, "name of an operator", false, |text| OperatorId::try_new(text).ok(), |value| format!("{:?}", value.as_str());
    ClientId, "name of a client", false, |text| ClientId::try_new(text).ok(), |value| format!("{:?}", value.as_str());
    Class, "\"otp\" | \"transactional\" | \"bulk\"", false, Class::from_word, |value| format!("\"{}\"", value.as_str());
    Encoding, "\"gsm7\" | \"latin1\" | \"ucs2\" | \"binary\"", false, Encoding::from_word, |value| format!("\"{}\"", value.as_str());
    ListName, "name of a list", false, ListName::from_text, |value| format!("{:?}", value.as_str());
    ListFile, "path", false, ListFile::from_text, |value| value.to_string();
    ListEntry, "number or prefix such as \"491701234567\" or \"4990*\"", false, ListEntry::from_text, |value| format!("{:?}", value.as_str());
    CarrierTemplate, "text with fields of a part in braces", false, CarrierTemplate::from_text, |value| format!("{:?}", value.as_str());
    HeaderName, "name of a header", false, <HeaderName as Key>::from_key, |value| format!("{:?}", value.as_str());
    Picker, "\"json:/a\" | \"xml:/a/@b\" | \"regex:a(.)\" | \"param:a\" | \"header:a\"", false, Picker::from_text, |value| format!("{:?}", value.to_string());
    TextPattern, "regular expression", false, TextPattern::from_text, |value| format!("{:?}", value.as_str());
    SenderPattern, "sender or pattern such as \"ACME\" or \"49171*\"", false, SenderPattern::from_text, |value| format!("{:?}", value.as_str());
    CountryCode, "country such as \"DE\"", false, CountryCode::from_text, |value| format!("\"{value}\"");
    NetworkCode, "network such as \"262-01\" or \"262\"", false, NetworkCode::from_text, |value| format!("\"{value}\"");
    TimeWindow, "days and time such as \"mon-fri 08:00-18:00\", \"sat,sun\" or \"22:00-06:00\"", false, TimeWindow::from_text, |value| format!("{:?}", value.as_str());
    Rewrite, "\"set:ACME\" | \"prefix:49\" | \"replace:0=49\"", false, Rewrite::from_text, |value| format!("{:?}", value.to_string());
    PortedFile, "path", false, PortedFile::from_text, |value| value.to_string();
    MicroUnits, "price such as \"0.075\"; at most six digits behind the point", false, MicroUnits::from_text, |value| format!("\"{value}\"");
    Currency, "three capital letters such as \"EUR\"", false, Currency::from_text, |value| format!("\"{value}\"");
    Report, "\"none\" | \"final\" | \"all\"", false, Report::from_word, |value| format!("\"{}\"", value.as_str());
}

macro_rules! integers {
    ($($type:ty),+) => {
        $(
            impl Value for $type {
                fn kind() -> String {
                    "integer".to_owned()
                }

                fn schema() -> serde_json::Value {
                    serde_json::json!({ "type": "integer", "minimum": 0, "maximum": Self::MAX })
                }

                fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
                    let number = reader.integer::<Self>(at)?;
                    let value = Self::try_from(number).ok();
                    if value.is_none() {
                        reader.out_of_range(at, &number.to_string(), &format!("0 to {}", Self::MAX));
                    }
                    value
                }

                fn show(&self) -> String {
                    self.to_string()
                }
            }
        )+
    };
}

integers!(u8, u32, u64);

impl Value for StatusRange {
    fn kind() -> String {
        "command_status (0x58, \"ESME_RTHROTTLED\" or \"0x400-0x4ff\")".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": ["integer", "string"] })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        if let Some(text) = at.get_ref().as_str() {
            let range = Self::from_text(text);
            if range.is_none() {
                reader.not_a::<Self>(at, text);
            }
            return range;
        }
        let number = reader.integer::<Self>(at)?;
        let range = u32::try_from(number).ok().and_then(Self::one);
        if range.is_none() {
            reader.out_of_range(at, &number.to_string(), "1 to 0xFFFFFFFF");
        }
        range
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Tags of TLVs: a number, or a text where the type has one for it.
macro_rules! tags {
    ($($type:ty, $kind:literal, $one:expr, $range:literal;)+) => {
        $(
            impl Value for $type {
                fn kind() -> String {
                    $kind.to_owned()
                }

                fn schema() -> serde_json::Value {
                    serde_json::json!({ "type": ["integer", "string"] })
                }

                fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
                    if let Some(text) = at.get_ref().as_str() {
                        let tag = Self::from_text(text);
                        if tag.is_none() {
                            reader.not_a::<Self>(at, text);
                        }
                        return tag;
                    }
                    let number = reader.integer::<Self>(at)?;
                    let tag = u16::try_from(number).ok().and_then($one);
                    if tag.is_none() {
                        reader.out_of_range(at, &number.to_string(), $range);
                    }
                    tag
                }

                fn show(&self) -> String {
                    self.to_string()
                }
            }
        )+
    };
}

tags! {
    TlvTag, "tag of a TLV (0x1401)", TlvTag::new, "1 to 0xFFFF, without the tags that the gateway writes itself";
    TlvRange, "tags of TLVs (0x1401 or \"0x1410-0x141F\")", TlvRange::one, "1 to 0xFFFF, without the tags that the gateway writes itself";
}

impl Value for bool {
    fn kind() -> String {
        "true | false".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        let value = at.get_ref().as_bool();
        if value.is_none() {
            reader.wrong_type::<Self>(at);
        }
        value
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for f64 {
    fn kind() -> String {
        "number".to_owned()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "number" })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        reader.number::<Self>(at)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: Value> Value for Option<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        T::kind()
    }

    fn schema() -> serde_json::Value {
        T::schema()
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        T::read(reader, at).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "absent".to_owned(), T::show)
    }

    fn rows(prefix: &str, out: &mut Vec<KeyInfo>) {
        T::rows(prefix, out);
    }

    fn differ(old: &Self, new: &Self, path: &str, impact: Impact, out: &mut Vec<Change>) {
        match (old, new) {
            (Some(old), Some(new)) => T::differ(old, new, path, impact, out),
            (None, Some(new)) => out.push(Change::added(path, shown(new), impact)),
            (Some(old), None) => out.push(Change::removed(path, shown(old), impact)),
            (None, None) => {}
        }
    }

    fn take(&mut self, other: &Self, path: &str, paths: &[String]) {
        if paths.iter().any(|wanted| wanted == path) {
            self.clone_from(other);
        } else if let (Some(mine), Some(other)) = (self.as_mut(), other) {
            mine.take(other, path, paths);
        }
    }
}

impl<T: Value> Value for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("list of {}", T::kind())
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": T::schema() })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        let Some(array) = at.get_ref().as_array() else {
            reader.wrong_type::<Self>(at);
            return None;
        };
        let mut items = Vec::new();
        for (n, item) in array.iter().enumerate() {
            items.extend(reader.inside(&format!("[{n}]"), item.span(), item, T::read));
        }
        Some(items)
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }

    fn rows(prefix: &str, out: &mut Vec<KeyInfo>) {
        T::rows(prefix, out);
    }
}

impl Value for Ladder {
    fn kind() -> String {
        Vec::<Rung>::kind()
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": Rung::schema(), "minItems": 1 })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        let before = reader.problem_count();
        let ladder = Self::try_new(Vec::read(reader, at)?);
        if ladder.is_none() && reader.problem_count() == before {
            reader.out_of_range(at, "[]", "at least one time");
        }
        ladder
    }

    fn show(&self) -> String {
        format!(
            "[{}]",
            self.rungs()
                .iter()
                .map(Value::show)
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}

/// The left side of an entry that the user names.
pub(crate) trait Key: Clone + Ord {
    /// How the manual writes any such key.
    const ANY: &'static str;
    /// What can be such a key, for people.
    const HELP: &'static str = "a name has 1 to 64 letters, digits, '.', '_' or '-'";
    /// The key, if the text can be one.
    fn from_key(text: &str) -> Option<Self>;
    /// The text.
    fn as_key(&self) -> &str;
}

impl Key for OperatorId {
    const ANY: &'static str = "<id>";
    fn from_key(text: &str) -> Option<Self> {
        Self::try_new(text).ok()
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl Key for ClientId {
    const ANY: &'static str = "<id>";
    fn from_key(text: &str) -> Option<Self> {
        Self::try_new(text).ok()
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl Key for ListName {
    const ANY: &'static str = "<name>";
    fn from_key(text: &str) -> Option<Self> {
        Self::from_text(text)
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl Key for ReceiptState {
    const ANY: &'static str = "<state>";
    const HELP: &'static str =
        "the states are DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, ENROUTE, UNKNOWN and REJECTD";
    fn from_key(text: &str) -> Option<Self> {
        Self::from_word(text)
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl Key for TlvTag {
    const ANY: &'static str = "<tag>";
    const HELP: &'static str = "a tag is written \"0x1400\": four hexadecimal digits, not that of a TLV which the gateway writes itself";
    fn from_key(text: &str) -> Option<Self> {
        Self::from_text(text)
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl Key for ReceiptWord {
    const ANY: &'static str = "<word>";
    const HELP: &'static str = "a word has 1 to 20 letters, digits or '_'";
    fn from_key(text: &str) -> Option<Self> {
        Self::from_text(text)
    }
    fn as_key(&self) -> &str {
        self.as_str()
    }
}

impl<K: Key, T: Value> Value for BTreeMap<K, T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("table of {}", T::kind())
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "object", "additionalProperties": T::schema() })
    }

    fn read(reader: &mut Reader, at: &Spanned<DeValue<'_>>) -> Option<Self> {
        let table = reader.table(at)?;
        let mut map = Self::new();
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            match K::from_key(text) {
                Some(key) => {
                    let step = format!(".{}", quoted(text));
                    if let Some(value) = reader.inside(&step, name.span(), value, T::read) {
                        map.insert(key, value);
                    }
                }
                None => reader.bad_name(name.span(), text, K::HELP),
            }
        }
        Some(map)
    }

    fn show(&self) -> String {
        let entries = self
            .iter()
            .map(|(key, value)| format!("{} = {}", join("", key.as_key()), value.show()));
        format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
    }

    fn rows(prefix: &str, out: &mut Vec<KeyInfo>) {
        T::rows(&format!("{prefix}.{}", K::ANY), out);
    }

    fn differ(old: &Self, new: &Self, path: &str, impact: Impact, out: &mut Vec<Change>) {
        for (key, before) in old {
            let path = join(path, key.as_key());
            match new.get(key) {
                Some(after) => T::differ(before, after, &path, impact, out),
                None => out.push(Change::removed(&path, shown(before), impact)),
            }
        }
        for (key, after) in new.iter().filter(|(key, _)| !old.contains_key(key)) {
            out.push(Change::added(&join(path, key.as_key()), shown(after), impact));
        }
    }

    fn take(&mut self, other: &Self, path: &str, paths: &[String]) {
        let names: Vec<K> = self.keys().chain(other.keys()).cloned().collect();
        for key in names {
            let path = join(path, key.as_key());
            if paths.contains(&path) {
                match other.get(&key) {
                    Some(value) => self.insert(key, value.clone()),
                    None => self.remove(&key),
                };
            } else if let (Some(mine), Some(other)) = (self.get_mut(&key), other.get(&key)) {
                mine.take(other, &path, paths);
            }
        }
    }
}
