//! What stands in the messages of one carrier: addresses, data codings, long messages, constant TLVs.
//!
//! Parts of `[operator.<id>]` (SMPP). Must not know how a PDU is written; the operator and the router node read these
//! values. Invariant: a value that no PDU holds, and a TLV that the gateway itself writes, is refused here.

use std::fmt;

use super::operator::NumberFormat;
use crate::section::between;
use crate::types::Class;

words! {
    /// How the octets of a sender of letters are to be read.
    SenderAlphabet {
        /// ASCII.
        Ascii = "ascii",
        /// ISO 8859-1.
        Latin1 = "latin1",
        /// GSM 03.38, one septet in each octet; `@` is 0 there, which no address field holds.
        Gsm7 = "gsm7",
    }
}

words! {
    /// How the message class (flash: class 0) is told to an SMPP carrier.
    ClassForm {
        /// In data_coding, 0x10 to 0x1B: the general group of 3GPP 23.038.
        DataCoding = "data-coding",
        /// In data_coding, 0xF0 to 0xF7: the group for class alone; UCS-2 has none there and goes as `data-coding`.
        DataCodingF0 = "data-coding-f0",
        /// In the TLV dest_addr_subunit.
        Tlv = "tlv",
        /// Not at all.
        None = "none",
    }
}

words! {
    /// How the parts of a long message are told to belong together.
    LongMessages {
        /// A user data header with an 8-bit reference.
        Udh8 = "udh8",
        /// A user data header with a 16-bit reference.
        Udh16 = "udh16",
        /// The TLVs sar_msg_ref_num, sar_total_segments and sar_segment_seqnum.
        Sar = "sar",
        /// The whole text in message_payload; the carrier cuts it.
        Payload = "payload",
    }
}

words! {
    /// What a client may ask of the carrier with a message.
    ClientOption {
        /// priority_flag.
        Priority = "priority",
        /// protocol_id.
        ProtocolId = "protocol_id",
        /// service_type.
        ServiceType = "service_type",
        /// replace_if_present_flag.
        ReplaceIfPresent = "replace_if_present",
        /// data_coding.
        DataCoding = "data_coding",
    }
}

impl ClientOption {
    /// All that does not change how the content is read.
    pub(crate) const DEFAULT: [Self; 4] = [
        Self::Priority,
        Self::ProtocolId,
        Self::ServiceType,
        Self::ReplaceIfPresent,
    ];
}

section! {
    /// `[operator.<id>.data_coding]`: data_coding of texts, where the carrier's differs.
    DataCodings {
        /// Of GSM 7-bit text; absent: 0, which means what `alphabet` says. Any other octet says that the text is GSM 7-bit.
        /// Since 0.1.
        gsm7: Option<u8> = None, Live;
        /// Of UCS-2 text; absent: 8. Since 0.1.
        ucs2: Option<u8> = None, Live;
        /// Of ISO 8859-1 text; absent: 3. Since 0.1.
        latin1: Option<u8> = None, Live;
        /// Of octets; absent: 4. Since 0.1.
        binary: Option<u8> = None, Live;
    }
}

section! {
    /// `[operator.<id>.addresses]`: type and plan of each kind of address, as `TON/NPI`.
    Addresses {
        /// Of numbers with country code. Since 0.1.
        international: TonNpi = TonNpi::new(1, 1), Live;
        /// Of numbers that a client handed in as national (TON 2). Since 0.1.
        national: TonNpi = TonNpi::new(2, 1), Live;
        /// Of short codes. Since 0.1.
        short_code: TonNpi = TonNpi::new(3, 0), Live;
        /// Of senders of letters. Since 0.1.
        alphanumeric: TonNpi = TonNpi::new(5, 0), Live;
        /// What stands before a number with country code. Since 0.1.
        number_format: NumberFormat = NumberFormat::Plain, Live;
    }
}

section! {
    /// `[operator.<id>.priority]`: priority_flag by class (SMPP 3.4 section 5.2.14).
    Priorities {
        /// Of class `otp`. Since 0.1.
        otp: u8 = 0, Live where between(0, 4);
        /// Of class `transactional`. Since 0.1.
        transactional: u8 = 0, Live where between(0, 4);
        /// Of class `bulk`. Since 0.1.
        bulk: u8 = 0, Live where between(0, 4);
    }
}

impl Priorities {
    /// priority_flag of a class.
    pub fn of(&self, class: Class) -> u8 {
        match class {
            Class::Otp => self.otp,
            Class::Transactional => self.transactional,
            Class::Bulk => self.bulk,
        }
    }
}

/// Type of number and numbering plan (SMPP 3.4 sections 5.2.5 and 5.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TonNpi {
    /// 0 to 6.
    pub ton: u8,
    /// 0 to 18.
    pub npi: u8,
}

impl TonNpi {
    /// Both.
    pub const fn new(ton: u8, npi: u8) -> Self {
        Self { ton, npi }
    }

    /// Reads `1/1`.
    pub fn from_text(text: &str) -> Option<Self> {
        let (ton, npi) = text.split_once('/')?;
        let number = |text: &str| text.trim().parse::<u8>().ok();
        let both = Self::new(number(ton)?, number(npi)?);
        (both.ton <= 6 && both.npi <= 18).then_some(both)
    }
}

impl fmt::Display for TonNpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ton, self.npi)
    }
}

/// Tags that the gateway writes itself: sar_*, message_payload, more_messages_to_send.
const OWN_TAGS: [u16; 5] = [0x020C, 0x020E, 0x020F, 0x0424, 0x0426];
/// Octets of a constant TLV.
const TLV_OCTETS: usize = 1024;

/// Tag of a TLV, as the key `"0x1400"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlvTag {
    tag: u16,
    text: String,
}

impl TlvTag {
    /// Reads `0x1400`: four hexadecimal digits, none of the tags that the gateway writes itself.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::new(hex_tag(text)?)
    }

    /// The tag of this number, unless the gateway writes it itself.
    pub fn new(tag: u16) -> Option<Self> {
        (tag != 0 && !Self::is_own(tag)).then(|| Self {
            tag,
            // One text for a tag: "0x14AB" and "0x14ab" are one key.
            text: format!("0x{tag:04X}"),
        })
    }

    /// Whether the gateway writes the TLV with this tag itself, and nobody else does.
    pub fn is_own(tag: u16) -> bool {
        OWN_TAGS.contains(&tag)
    }

    /// The number.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for TlvTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn hex_tag(text: &str) -> Option<u16> {
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// Tags of TLVs from one to another, as `0x1401` or `"0x1410-0x141F"`. Those that the gateway writes itself may lie in
/// between; they are not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlvRange {
    first: u16,
    last: u16,
}

impl TlvRange {
    /// One tag, unless the gateway writes it itself.
    pub fn one(tag: u16) -> Option<Self> {
        TlvTag::new(tag)?;
        Some(Self {
            first: tag,
            last: tag,
        })
    }

    /// Reads `0x1401` or `0x1410-0x141F`.
    pub fn from_text(text: &str) -> Option<Self> {
        let Some((first, last)) = text.split_once('-') else {
            return Self::one(hex_tag(text)?);
        };
        let (first, last) = (hex_tag(first.trim())?, hex_tag(last.trim())?);
        (first != 0 && first <= last).then_some(Self { first, last })
    }

    /// Whether a client's TLV with this tag is meant.
    pub fn contains(self, tag: u16) -> bool {
        (self.first..=self.last).contains(&tag) && !TlvTag::is_own(tag)
    }
}

impl fmt::Display for TlvRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "0x{:04X}", self.first)
        } else {
            write!(f, "\"0x{:04X}-0x{:04X}\"", self.first, self.last)
        }
    }
}

/// Value of a constant TLV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlvValue {
    octets: Vec<u8>,
    text: String,
}

impl TlvValue {
    /// Reads `text:abc` (UTF-8, without a NUL) or `hex:0102`; at most 1024 octets.
    pub fn from_text(text: &str) -> Option<Self> {
        let octets = match text.split_once(':')? {
            ("text", text) => text.as_bytes().to_vec(),
            ("hex", digits) => of_hex(digits)?,
            _ => return None,
        };
        (octets.len() <= TLV_OCTETS).then(|| Self {
            octets,
            text: text.to_owned(),
        })
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// As in the file.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn of_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    let pair = |pair: &[u8; 2]| {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        u8::try_from(high?.checked_mul(16)?.checked_add(low?)?).ok()
    };
    odd.is_empty().then(|| pairs.iter().map(pair).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_plans_are_read_within_their_ranges() {
        assert_eq!(TonNpi::from_text("5/0"), Some(TonNpi::new(5, 0)));
        assert_eq!(TonNpi::from_text("6/18"), Some(TonNpi::new(6, 18)));
        for wrong in ["7/0", "1/19", "1", "1/", "-1/0", "a/b", ""] {
            assert_eq!(TonNpi::from_text(wrong), None, "{wrong}");
        }
        assert_eq!(TonNpi::new(3, 9).to_string(), "3/9");
    }

    #[test]
    fn tags_that_clients_may_set_are_read_and_never_those_of_the_gateway() {
        let one = TlvRange::from_text("0x1401").unwrap();
        assert!(one.contains(0x1401) && !one.contains(0x1402));
        let many = TlvRange::from_text("0x0200-0x14FF").unwrap();
        assert!(many.contains(0x020B) && many.contains(0x14FF) && !many.contains(0x1500));
        for own in OWN_TAGS {
            assert!(!many.contains(own), "{own:#06x}");
            assert_eq!((TlvRange::one(own), TlvTag::new(own)), (None, None));
        }
        for wrong in [
            "",
            "1401",
            "0x1402-0x1401",
            "0x0000-0x1401",
            "0x14",
            "0x1401-",
            "-",
        ] {
            assert_eq!(TlvRange::from_text(wrong), None, "{wrong}");
        }
        for range in [one, many] {
            let shown = range.to_string();
            assert_eq!(TlvRange::from_text(shown.trim_matches('"')), Some(range));
        }
    }

    #[test]
    fn constant_tlvs_are_checked_and_one_tag_is_one_key() {
        assert_eq!(TlvTag::from_text("0x14ab"), TlvTag::from_text("0x14AB"));
        assert_eq!(TlvTag::from_text("0x1400").map(|tag| tag.tag()), Some(0x1400));
        for wrong in [
            "1400", "0x0424", "0x020C", "0x0426", "0x0000", "0x140", "0x14000", "0x+400", "",
        ] {
            assert_eq!(TlvTag::from_text(wrong), None, "{wrong}");
        }
        let octets = |text| TlvValue::from_text(text).map(|value| value.octets().to_vec());
        assert_eq!(octets("text:abc"), Some(b"abc".to_vec()));
        assert_eq!(octets("hex:01fF"), Some(vec![0x01, 0xFF]));
        assert_eq!(octets("hex:"), Some(Vec::new()));
        for wrong in ["abc", "hex:0", "hex:0g", "hex:+1", "int:1"] {
            assert_eq!(octets(wrong), None, "{wrong}");
        }
        assert_eq!(octets(&format!("text:{}", "x".repeat(1025))), None);
    }
}
