//! One element of a header, and what it means (3GPP TS 23.040 §9.2.3.24.1 to .18).
//!
//! Invariant EL-1: an element that cannot mean what its identifier says means nothing; its octets stay as they are.

/// Identifiers that this gateway reads or writes.
pub mod id {
    /// Concatenation with an 8-bit reference (§9.2.3.24.1).
    pub const CONCAT_8_BIT: u8 = 0x00;
    /// Special SMS message indication (§9.2.3.24.2).
    pub const INDICATION: u8 = 0x01;
    /// Application ports of 8 bits (§9.2.3.24.3).
    pub const PORTS_8_BIT: u8 = 0x04;
    /// Application ports of 16 bits (§9.2.3.24.4).
    pub const PORTS_16_BIT: u8 = 0x05;
    /// Concatenation with a 16-bit reference (§9.2.3.24.8).
    pub const CONCAT_16_BIT: u8 = 0x08;
    /// National language single shift (§9.2.3.24.15).
    pub const SINGLE_SHIFT: u8 = 0x24;
    /// National language locking shift (§9.2.3.24.16).
    pub const LOCKING_SHIFT: u8 = 0x25;
}

const SMSC_CONTROL: u8 = 0x06;
const UDH_SOURCE: u8 = 0x07;
const EMAIL_HEADER: u8 = 0x20;
const HYPERLINK: u8 = 0x21;

/// An element other than a valid concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Information element identifier.
    pub id: u8,
    /// Its data, at most 255 octets.
    pub data: Vec<u8>,
}

impl Element {
    /// The element of two ports.
    #[must_use]
    pub fn of_ports(ports: Ports) -> Self {
        match ports {
            Ports::Narrow { destination, source } => Self {
                id: id::PORTS_8_BIT,
                data: vec![destination, source],
            },
            Ports::Wide { destination, source } => {
                let [to_high, to_low] = destination.to_be_bytes();
                let [from_high, from_low] = source.to_be_bytes();
                Self {
                    id: id::PORTS_16_BIT,
                    data: vec![to_high, to_low, from_high, from_low],
                }
            }
        }
    }

    /// The element of messages waiting.
    #[must_use]
    pub fn of_indication(indication: Indication) -> Self {
        let store = if indication.store { 0x80 } else { 0 };
        Self {
            id: id::INDICATION,
            data: vec![
                store | (indication.profile & 0b11) << 5 | indication.waiting.bits(),
                indication.count,
            ],
        }
    }

    /// What kind of element it is.
    #[must_use]
    pub const fn kind(&self) -> ElementKind {
        ElementKind::of(self.id)
    }

    /// The ports, when it is an element of ports.
    #[must_use]
    pub fn ports(&self) -> Option<Ports> {
        match (self.id, self.data.as_slice()) {
            (id::PORTS_8_BIT, &[destination, source]) => Some(Ports::Narrow { destination, source }),
            (id::PORTS_16_BIT, &[to_high, to_low, from_high, from_low]) => Some(Ports::Wide {
                destination: u16::from_be_bytes([to_high, to_low]),
                source: u16::from_be_bytes([from_high, from_low]),
            }),
            _ => None,
        }
    }

    /// The messages waiting, when it is an element of them.
    #[must_use]
    pub fn indication(&self) -> Option<Indication> {
        match (self.id, self.data.as_slice()) {
            (id::INDICATION, &[what, count]) => Some(Indication {
                store: what & 0x80 != 0,
                profile: (what >> 5) & 0b11,
                waiting: Waiting::of(what),
                count,
            }),
            _ => None,
        }
    }

    /// Its length is not the one its identifier has, where that has one.
    pub(super) fn is_broken(&self) -> bool {
        let octets = match self.id {
            id::INDICATION | id::PORTS_8_BIT => 2,
            id::PORTS_16_BIT | HYPERLINK => 4,
            SMSC_CONTROL | UDH_SOURCE | EMAIL_HEADER | id::SINGLE_SHIFT | id::LOCKING_SHIFT => 1,
            _ => return false,
        };
        self.data.len() != octets
    }
}

/// Where in the phone a message goes, and where answers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ports {
    /// 8 bits; 0 to 239 are reserved.
    Narrow {
        /// At the receiver.
        destination: u8,
        /// At the sender.
        source: u8,
    },
    /// 16 bits; above 49151 reserved. 2948 is WAP push, 9200 to 9207 WAP, 16000 to 16999 free for applications.
    Wide {
        /// At the receiver.
        destination: u16,
        /// At the sender.
        source: u16,
    },
}

/// What waits for the subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// Voice messages.
    Voice,
    /// Fax messages.
    Fax,
    /// Electronic mail.
    Email,
    /// Others, without more being said.
    Other,
    /// Others, of an extended kind 1 to 7; 1 is video. 0 is [`Waiting::Other`].
    Extended(u8),
    /// A basic kind that is not 11 together with extended bits: the five bits as they are.
    Reserved(u8),
}

impl Waiting {
    /// The five lowest bits of the octet.
    const fn of(octet: u8) -> Self {
        match octet & 0b1_1111 {
            0 => Self::Voice,
            1 => Self::Fax,
            2 => Self::Email,
            3 => Self::Other,
            bits if bits & 0b11 == 0b11 => Self::Extended(bits >> 2),
            bits => Self::Reserved(bits),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Voice => 0,
            Self::Fax => 1,
            Self::Email => 2,
            Self::Other => 3,
            Self::Extended(kind) => ((kind & 0b111) << 2) | 0b11,
            Self::Reserved(bits) => bits & 0b1_1111,
        }
    }
}

/// Messages waiting, as a phone shows them by an icon (§9.2.3.24.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Indication {
    /// The message is stored after the icon is set; else it is discarded.
    pub store: bool,
    /// Which of the subscriber's profiles, 0 to 3.
    pub profile: u8,
    /// What waits.
    pub waiting: Waiting,
    /// How many; 0 removes the icon, 255 means 255 or more.
    pub count: u8,
}

/// What the identifier of an element stands for (table of §9.2.3.24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementKind {
    /// 0x00 and 0x08.
    Concat,
    /// 0x01.
    Indication,
    /// 0x04 and 0x05.
    Ports,
    /// 0x06: which status reports the SMSC shall send, and whether the header goes with them.
    SmscControl,
    /// 0x07: who wrote the header: original sender, original receiver or SMSC.
    UdhSource,
    /// 0x09.
    WirelessControl,
    /// 0x0A to 0x1F: text formatting, sounds, pictures, animations and their control.
    Enhanced,
    /// 0x20: octets of an e-mail header at the start of the text.
    EmailHeader,
    /// 0x21: a place in the text and lengths of a title and a URL.
    Hyperlink,
    /// 0x22: the address to answer to.
    ReplyAddress,
    /// 0x23.
    EnhancedVoiceMail,
    /// 0x24.
    SingleShift,
    /// 0x25.
    LockingShift,
    /// 0x70 to 0x7F: security headers of SIM toolkit applications.
    SimToolkit,
    /// 0x80 to 0x9F: between two ends, by their agreement.
    Private,
    /// 0xC0 to 0xDF: between phone and SMSC, by their agreement.
    SmscSpecific,
    /// Everything else. 0x03 among it: never used, as it could be taken for a line feed.
    Reserved,
}

impl ElementKind {
    /// The kind of an identifier.
    #[must_use]
    pub const fn of(id: u8) -> Self {
        match id {
            id::CONCAT_8_BIT | id::CONCAT_16_BIT => Self::Concat,
            id::INDICATION => Self::Indication,
            id::PORTS_8_BIT | id::PORTS_16_BIT => Self::Ports,
            SMSC_CONTROL => Self::SmscControl,
            UDH_SOURCE => Self::UdhSource,
            0x09 => Self::WirelessControl,
            0x0A..=0x1F => Self::Enhanced,
            EMAIL_HEADER => Self::EmailHeader,
            HYPERLINK => Self::Hyperlink,
            0x22 => Self::ReplyAddress,
            0x23 => Self::EnhancedVoiceMail,
            id::SINGLE_SHIFT => Self::SingleShift,
            id::LOCKING_SHIFT => Self::LockingShift,
            0x70..=0x7F => Self::SimToolkit,
            0x80..=0x9F => Self::Private,
            0xC0..=0xDF => Self::SmscSpecific,
            0x02 | 0x03 | 0x26..=0x6F | 0xA0..=0xBF | 0xE0..=0xFF => Self::Reserved,
        }
    }
}
