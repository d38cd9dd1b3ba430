//! Small values of the file: sizes, secrets, addresses, retry ladders.
//!
//! Each has one way to be written in the file and one way to be shown. Must not know any section.
//! Invariant: `Debug` and `Display` of `Secret`, `CallbackUrl` and `Sha256Digest` show nothing that opens a door.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use url::Url;

pub(crate) use smsgw_message::{Class, ClientId, OperatorId, ReportLevel as Report};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(u64);

const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// That many bytes.
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }

    /// That many times 1024 bytes.
    pub const fn kib(n: u32) -> Self {
        Self((n as u64) << 10)
    }

    /// That many times 1024² bytes.
    pub const fn mib(n: u32) -> Self {
        Self((n as u64) << 20)
    }

    /// That many times 1024³ bytes.
    pub const fn gib(n: u32) -> Self {
        Self((n as u64) << 30)
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// Reads `256MiB`, `1GB`, `512B`.
    pub fn from_text(text: &str) -> Option<Self> {
        let at = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at(at);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
        digits.parse::<u64>().ok()?.checked_mul(*factor).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / factor)
    }
}

const TIME_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Reads `500ms`, `0.5s`, `10m`, `1h30m`, `2d`.
pub fn duration_from_text(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanos = 0u64;
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(at);
        let end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = fraction
            .parse::<u64>()
            .ok()?
            .checked_mul(*factor)?
            .checked_div(scale)?;
        nanos = nanos
            .checked_add(whole.parse::<u64>().ok()?.checked_mul(*factor)?)?
            .checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_nanos(nanos))
}

/// The shortest way to write a duration in the file; hours up to three days, then days.
pub(crate) fn duration_to_text(value: Duration) -> String {
    let millis = value.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (name, unit) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis.is_multiple_of(unit) && (name != "d" || millis > 3 * unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

/// Text that must not be shown: no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place that needs it: never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// It stands in the file, or was read from its own file already.
    Known(Secret),
    /// It stands in a file of its own that has not been read.
    File(PathBuf),
}

impl SecretSource {
    pub(crate) fn of(known: Option<&Secret>, file: Option<&PathBuf>) -> Option<Self> {
        known
            .cloned()
            .map(Self::Known)
            .or_else(|| file.cloned().map(Self::File))
    }
}

/// SHA-256 of an API key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads 64 hex digits.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut digest = [0u8; 32];
        for (octet, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }

    /// The octets, for a comparison in constant time.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Digest(***)")
    }
}

/// `host:port`; the host is a name or an address, IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl HostPort {
    /// Reads `smsc.example.net:2775`, `192.0.2.1:2775`, `[2001:db8::1]:2775`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner
                .strip_suffix(']')
                .filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
            None => Some(host).filter(|host| {
                !host.is_empty()
                    && host
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            })?,
        };
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// SHA-256 of the SubjectPublicKeyInfo of a certificate (RFC 7469 section 2.4): public, so it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpkiPin([u8; 32]);

impl SpkiPin {
    /// Reads 64 hex digits, with colons between octets or without.
    pub fn from_text(text: &str) -> Option<Self> {
        let digits: Vec<char> = text.chars().filter(|c| *c != ':').collect();
        if digits.len() != 64 {
            return None;
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                *octet = *octet << 4 | u8::try_from(digit.to_digit(16)?).ok()?;
            }
        }
        Some(Self(octets))
    }

    /// The digest.
    pub fn octets(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Target of a callback: http or https, with a host.
///
/// A URL may carry a password or token, so it is shown without user, query and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl(Url);

impl CallbackUrl {
    /// Reads a URL.
    pub fn from_text(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Self(url))
    }

    /// The whole URL, for the request: never for a log.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            self.0.scheme(),
            self.0.host_str().unwrap_or_default()
        )?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({self})")
    }
}

/// Decimal digits, at least one: a prefix or a number as the phone dials it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digits(String);

impl Digits {
    /// Reads digits; at most 20 of them, which is all an SMPP address holds.
    pub fn from_text(text: &str) -> Option<Self> {
        let right = !text.is_empty() && text.len() <= 20 && text.bytes().all(|octet| octet.is_ascii_digit());
        right.then(|| Self(text.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a carrier writes after `stat:` in its receipts, or the number in its message_state; in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptWord(String);

impl ReceiptWord {
    /// Reads a word in any case: 1 to 20 letters, digits or `_`.
    pub fn from_text(text: &str) -> Option<Self> {
        let right = (1..=20).contains(&text.len())
            && text
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
        right.then(|| Self(text.to_ascii_uppercase()))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The message_state that it is, when it is a number.
    pub fn as_number(&self) -> Option<u8> {
        self.0.parse().ok()
    }
}

/// What happens to a part that was written to the carrier and never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// Submitted again at once after the reconnect or restart.
    Resubmit,
    /// Submitted again unless its receipt comes within this time.
    Wait(Duration),
    /// The carrier is asked.
    Query,
    /// Ended as rejected.
    Reject,
}

impl InDoubt {
    /// Reads `resubmit`, `wait:30s`, `query`, `reject`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "resubmit" => Some(Self::Resubmit),
            "query" => Some(Self::Query),
            "reject" => Some(Self::Reject),
            _ => duration_from_text(text.strip_prefix("wait:")?)
                .filter(|wait| !wait.is_zero())
                .map(Self::Wait),
        }
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resubmit => f.write_str("resubmit"),
            Self::Wait(wait) => write!(f, "wait:{}", duration_to_text(*wait)),
            Self::Query => f.write_str("query"),
            Self::Reject => f.write_str("reject"),
        }
    }
}

/// One delay of a [`Ladder`], once or repeated for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Time until the next attempt; not zero.
    pub delay: Duration,
    /// For how long the delay is repeated; `None`: once.
    pub during: Option<Duration>,
}

impl Rung {
    /// Reads `30s` or `1m for 10m`.
    pub fn from_text(text: &str) -> Option<Self> {
        let rung = match text.split_once(" for ") {
            Some((delay, during)) => Self {
                delay: duration_from_text(delay.trim())?,
                during: Some(duration_from_text(during.trim())?),
            },
            None => Self {
                delay: duration_from_text(text)?,
                during: None,
            },
        };
        (!rung.delay.is_zero()).then_some(rung)
    }

    /// How many attempts it makes; at least one.
    fn times(&self) -> u128 {
        self.during.map_or(1, |during| {
            (during.as_nanos() / self.delay.as_nanos().max(1)).max(1)
        })
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration_to_text(self.delay))?;
        if let Some(during) = self.during {
            write!(f, " for {}", duration_to_text(during))?;
        }
        Ok(())
    }
}

/// Delays between attempts. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder(Vec<Rung>);

impl Ladder {
    /// A ladder of at least one rung.
    pub fn try_new(rungs: Vec<Rung>) -> Option<Self> {
        (!rungs.is_empty()).then_some(Self(rungs))
    }

    /// 1, 2, 4, 8, 16, 30, 60 s, then every minute for 10 minutes, then every 10 minutes to 48 h (design section 9).
    pub fn callback() -> Self {
        let once = [1, 2, 4, 8, 16, 30, 60].map(|s| Rung {
            delay: Duration::from_secs(s),
            during: None,
        });
        let repeated = [(60, 600), (600, 172_800)].map(|(delay, during)| Rung {
            delay: Duration::from_secs(delay),
            during: Some(Duration::from_secs(during)),
        });
        Self(once.into_iter().chain(repeated).collect())
    }

    /// 2, 4, 8, 16, 32, 60 s (design section 9).
    pub fn doubling() -> Self {
        Self(
            [2, 4, 8, 16, 32, 60]
                .map(|s| Rung {
                    delay: Duration::from_secs(s),
                    during: None,
                })
                .to_vec(),
        )
    }

    /// The rungs.
    pub fn rungs(&self) -> &[Rung] {
        &self.0
    }

    /// The delay after the given failed attempt, counted from 1; `None` when the ladder is used up.
    pub fn delay(&self, failed: u32) -> Option<Duration> {
        let mut left = u128::from(failed.max(1));
        for rung in &self.0 {
            let times = rung.times();
            if left <= times {
                return Some(rung.delay);
            }
            left -= times;
        }
        None
    }

    /// The delay after the given failed attempt, counted from 1; the last one repeats for ever.
    pub fn delay_or_last(&self, failed: u32) -> Duration {
        self.delay(failed)
            .or_else(|| self.0.last().map(|rung| rung.delay))
            .expect("a ladder has at least one rung")
    }
}

/// Which log lines are written: a level, or levels by module, as in `info,smsgw_node_operator=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Reads a filter.
    pub fn from_text(text: &str) -> Option<Self> {
        let right = text.split(',').all(|directive| {
            let (target, level) = directive.rsplit_once('=').unwrap_or(("x", directive));
            let level_right = level == "off" || crate::schema::node::LogLevel::from_word(level).is_some();
            level_right
                && !target.is_empty()
                && target
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        });
        right.then(|| Self(text.to_owned()))
    }

    /// The filter as `tracing` reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}
