//! The data coding octet: SMPP data_coding (SMPP 3.4 §5.2.19, 5.0 §4.7.7) and TP-DCS (3GPP TS 23.038 §4).
//!
//! ```text
//! 0000 xxxx  SMPP's own values: alphabets of the carrier and of the world     TP-DCS: general group, no class
//! 00cm aakk  general group: c compressed, m class is given, aa alphabet, kk class
//! 01cm aakk  the same, and the phone deletes the message once it is read
//! 10xx xxxx  reserved
//! 1100 i0tt  message waiting, discard: i icon on, tt what waits
//! 1101 i0tt  message waiting, store
//! 1110 i0tt  message waiting, store, UCS-2
//! 1111 0akk  data coding and message class: a 8-bit data, kk class
//! ```
//! Knows what an octet means by the standards. What one carrier means by it (0 as Latin-1, 241 for GSM 7-bit; carrier
//! quirks, item 34) is the business of that carrier's settings.
//!
//! Invariants:
//! - DC-1: every octet has a meaning here, and one whose body we cannot read as text is binary, so that the body is kept as
//!   it came.
//! - DC-2: `parse(x).octet() == x` for every octet, except where a reserved bit is set in a group that is defined: such bits
//!   are read as 0, as the standard asks, and written as 0.

mod charset;
#[cfg(test)]
mod tests;

pub use charset::{Charset, decode_octets};

use crate::text::Encoding;
use crate::udh::{Indication, Waiting};

/// The message class of 23.038: what a phone does with the message. Not to be confused with the class of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GsmClass {
    /// Shown at once and not stored ("flash").
    Class0,
    /// Stored in the phone (ME specific).
    Class1,
    /// Stored on the SIM.
    Class2,
    /// Passed to the terminal equipment (TE specific).
    Class3,
}

impl GsmClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Class0, Self::Class1, Self::Class2, Self::Class3];

    /// The class of a number, 0 to 3.
    #[must_use]
    pub const fn new(class: u8) -> Option<Self> {
        match class {
            0 => Some(Self::Class0),
            1 => Some(Self::Class1),
            2 => Some(Self::Class2),
            3 => Some(Self::Class3),
            _ => None,
        }
    }

    /// The two lowest bits of the octet.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Class0 => 0,
            Self::Class1 => 1,
            Self::Class2 => 2,
            Self::Class3 => 3,
        }
    }

    const fn from_bits(octet: u8) -> Self {
        match octet & 0b11 {
            0 => Self::Class0,
            1 => Self::Class1,
            2 => Self::Class2,
            _ => Self::Class3,
        }
    }
}

/// SMPP's own values, 0x00 to 0x0E (SMPP 3.4 §5.2.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmppCoding {
    /// 0x00: the SMSC's default alphabet; GSM 7-bit unless the carrier says otherwise.
    SmscDefault,
    /// 0x01: IA5 (CCITT T.50), ASCII (ANSI X3.4).
    Ia5,
    /// 0x02: octets, on TDMA and CDMA.
    OctetTdma,
    /// 0x03: Latin-1 (ISO-8859-1).
    Latin1,
    /// 0x04: octets, on every technology.
    Octet,
    /// 0x05: JIS (X 0208-1990).
    Jis,
    /// 0x06: Cyrillic (ISO-8859-5).
    Cyrillic,
    /// 0x07: Latin and Hebrew (ISO-8859-8).
    Hebrew,
    /// 0x08: UCS2 (ISO/IEC-10646).
    Ucs2,
    /// 0x09: pictograms, no common table.
    Pictogram,
    /// 0x0A: ISO-2022-JP (music codes).
    Iso2022Jp,
    /// 0x0D: Extended Kanji JIS (X 0212-1990).
    ExtendedKanji,
    /// 0x0E: KS C 5601.
    KsC5601,
}

impl SmppCoding {
    /// Every value.
    pub const ALL: [Self; 13] = [
        Self::SmscDefault,
        Self::Ia5,
        Self::OctetTdma,
        Self::Latin1,
        Self::Octet,
        Self::Jis,
        Self::Cyrillic,
        Self::Hebrew,
        Self::Ucs2,
        Self::Pictogram,
        Self::Iso2022Jp,
        Self::ExtendedKanji,
        Self::KsC5601,
    ];

    /// The octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::SmscDefault => 0x00,
            Self::Ia5 => 0x01,
            Self::OctetTdma => 0x02,
            Self::Latin1 => 0x03,
            Self::Octet => 0x04,
            Self::Jis => 0x05,
            Self::Cyrillic => 0x06,
            Self::Hebrew => 0x07,
            Self::Ucs2 => 0x08,
            Self::Pictogram => 0x09,
            Self::Iso2022Jp => 0x0A,
            Self::ExtendedKanji => 0x0D,
            Self::KsC5601 => 0x0E,
        }
    }
}

/// The alphabet bits of the general groups (23.038 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GeneralAlphabet {
    /// GSM 7-bit default alphabet.
    Gsm7,
    /// 8-bit data.
    Octet,
    /// UCS-2.
    Ucs2,
    /// Reserved; to be read as the default alphabet.
    Reserved,
}

impl GeneralAlphabet {
    const fn from_bits(octet: u8) -> Self {
        match (octet >> 2) & 0b11 {
            0 => Self::Gsm7,
            1 => Self::Octet,
            2 => Self::Ucs2,
            _ => Self::Reserved,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Gsm7 => 0x00,
            Self::Octet => 0x04,
            Self::Ucs2 => 0x08,
            Self::Reserved => 0x0C,
        }
    }
}

/// What a phone does with a message about waiting messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingGroup {
    /// 0xC0: sets the icon, may throw the text away; GSM 7-bit.
    Discard,
    /// 0xD0: sets the icon, stores the text; GSM 7-bit.
    Store,
    /// 0xE0: the same; UCS-2.
    StoreUcs2,
}

/// What waits (23.038 §4, the two lowest bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingKind {
    /// Voicemail.
    Voicemail,
    /// Fax.
    Fax,
    /// Electronic mail.
    Email,
    /// Something else.
    Other,
}

impl WaitingKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Voicemail, Self::Fax, Self::Email, Self::Other];

    const fn from_bits(octet: u8) -> Self {
        match octet & 0b11 {
            0 => Self::Voicemail,
            1 => Self::Fax,
            2 => Self::Email,
            _ => Self::Other,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Voicemail => 0,
            Self::Fax => 1,
            Self::Email => 2,
            Self::Other => 3,
        }
    }
}

/// What a data coding octet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataCoding {
    /// One of SMPP's own values.
    Smpp(SmppCoding),
    /// General group, and the one of messages marked for automatic deletion.
    General {
        /// The alphabet.
        alphabet: GeneralAlphabet,
        /// The body is compressed (3GPP 23.042).
        compressed: bool,
        /// The message class, where one is given.
        class: Option<GsmClass>,
        /// The phone deletes the message once it is read.
        auto_delete: bool,
    },
    /// Message waiting indication groups.
    Waiting {
        /// What the phone does with the text, and its alphabet.
        group: WaitingGroup,
        /// The icon is switched on; else off.
        active: bool,
        /// What waits.
        kind: WaitingKind,
    },
    /// Data coding/message class group.
    Class {
        /// 8-bit data; else GSM 7-bit.
        octets: bool,
        /// The message class.
        class: GsmClass,
    },
    /// 0x0B, 0x0C, 0x0F and 0x80 to 0xBF.
    Reserved(u8),
}

impl DataCoding {
    /// The meaning of a data_coding of SMPP.
    #[must_use]
    pub const fn parse(octet: u8) -> Self {
        match octet {
            0x00 => Self::Smpp(SmppCoding::SmscDefault),
            0x01 => Self::Smpp(SmppCoding::Ia5),
            0x02 => Self::Smpp(SmppCoding::OctetTdma),
            0x03 => Self::Smpp(SmppCoding::Latin1),
            0x04 => Self::Smpp(SmppCoding::Octet),
            0x05 => Self::Smpp(SmppCoding::Jis),
            0x06 => Self::Smpp(SmppCoding::Cyrillic),
            0x07 => Self::Smpp(SmppCoding::Hebrew),
            0x08 => Self::Smpp(SmppCoding::Ucs2),
            0x09 => Self::Smpp(SmppCoding::Pictogram),
            0x0A => Self::Smpp(SmppCoding::Iso2022Jp),
            0x0D => Self::Smpp(SmppCoding::ExtendedKanji),
            0x0E => Self::Smpp(SmppCoding::KsC5601),
            0x0B | 0x0C | 0x0F | 0x80..=0xBF => Self::Reserved(octet),
            0x10..=0x7F => Self::general(octet),
            0xC0..=0xCF => Self::waiting(WaitingGroup::Discard, octet),
            0xD0..=0xDF => Self::waiting(WaitingGroup::Store, octet),
            0xE0..=0xEF => Self::waiting(WaitingGroup::StoreUcs2, octet),
            0xF0..=0xFF => Self::Class {
                octets: octet & 0x04 != 0,
                class: GsmClass::from_bits(octet),
            },
        }
    }

    /// The meaning of a TP-DCS, which has no SMPP values: UCP's XSer 02 and everything that comes from the air. Only 0x00 to
    /// 0x0F differ from [`DataCoding::parse`].
    #[must_use]
    pub const fn parse_tp_dcs(octet: u8) -> Self {
        match octet {
            0x00..=0x0F => Self::general(octet),
            0x10..=0xFF => Self::parse(octet),
        }
    }

    const fn general(octet: u8) -> Self {
        Self::General {
            alphabet: GeneralAlphabet::from_bits(octet),
            compressed: octet & 0x20 != 0,
            // Without bit 4 the two lowest bits are reserved.
            class: if octet & 0x10 == 0 {
                None
            } else {
                Some(GsmClass::from_bits(octet))
            },
            auto_delete: octet & 0x40 != 0,
        }
    }

    const fn waiting(group: WaitingGroup, octet: u8) -> Self {
        Self::Waiting {
            group,
            active: octet & 0x08 != 0,
            kind: WaitingKind::from_bits(octet),
        }
    }

    /// The octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Smpp(coding) => coding.octet(),
            Self::General {
                alphabet,
                compressed,
                class,
                auto_delete,
            } => {
                let class = match class {
                    Some(class) => 0x10 | class.bits(),
                    None => 0,
                };
                let compressed = if compressed { 0x20 } else { 0 };
                let auto_delete = if auto_delete { 0x40 } else { 0 };
                alphabet.bits() | class | compressed | auto_delete
            }
            Self::Waiting { group, active, kind } => {
                let group = match group {
                    WaitingGroup::Discard => 0xC0,
                    WaitingGroup::Store => 0xD0,
                    WaitingGroup::StoreUcs2 => 0xE0,
                };
                group | if active { 0x08 } else { 0 } | kind.bits()
            }
            Self::Class { octets, class } => 0xF0 | if octets { 0x04 } else { 0 } | class.bits(),
            Self::Reserved(octet) => octet,
        }
    }

    /// A body in this encoding, without a class: 0x00, 0x03, 0x08 or 0x04.
    #[must_use]
    pub const fn plain(encoding: Encoding) -> Self {
        Self::Smpp(match encoding {
            Encoding::Gsm7 => SmppCoding::SmscDefault,
            Encoding::Latin1 => SmppCoding::Latin1,
            Encoding::Ucs2 => SmppCoding::Ucs2,
            Encoding::Binary => SmppCoding::Octet,
        })
    }

    /// A body in this encoding with a message class; Latin-1 has none. In the general group, which has all three alphabets.
    #[must_use]
    pub const fn with_class(encoding: Encoding, class: GsmClass) -> Option<Self> {
        let alphabet = match encoding {
            Encoding::Gsm7 => GeneralAlphabet::Gsm7,
            Encoding::Binary => GeneralAlphabet::Octet,
            Encoding::Ucs2 => GeneralAlphabet::Ucs2,
            Encoding::Latin1 => return None,
        };
        Some(Self::General {
            alphabet,
            compressed: false,
            class: Some(class),
            auto_delete: false,
        })
    }

    /// A message that is shown at once and not stored.
    #[must_use]
    pub const fn flash(encoding: Encoding) -> Option<Self> {
        Self::with_class(encoding, GsmClass::Class0)
    }

    /// The message class, where the octet gives one.
    #[must_use]
    pub const fn class(self) -> Option<GsmClass> {
        match self {
            Self::General { class, .. } => class,
            Self::Class { class, .. } => Some(class),
            Self::Smpp(_) | Self::Waiting { .. } | Self::Reserved(_) => None,
        }
    }

    /// Which characters the body holds.
    #[must_use]
    pub const fn charset(self) -> Charset {
        match self {
            Self::Smpp(coding) => match coding {
                SmppCoding::SmscDefault => Charset::SmscDefault,
                SmppCoding::Ia5 => Charset::Ia5,
                SmppCoding::OctetTdma | SmppCoding::Octet => Charset::Octet,
                SmppCoding::Latin1 => Charset::Latin1,
                SmppCoding::Jis => Charset::Jis,
                SmppCoding::Cyrillic => Charset::Cyrillic,
                SmppCoding::Hebrew => Charset::Hebrew,
                SmppCoding::Ucs2 => Charset::Ucs2,
                SmppCoding::Pictogram => Charset::Unknown,
                SmppCoding::Iso2022Jp => Charset::Iso2022Jp,
                SmppCoding::ExtendedKanji => Charset::ExtendedKanji,
                SmppCoding::KsC5601 => Charset::KsC5601,
            },
            Self::General { compressed: true, .. } => Charset::Unknown,
            Self::General { alphabet, .. } => match alphabet {
                // A reserved alphabet "shall be assumed to be the GSM 7 bit default alphabet".
                GeneralAlphabet::Gsm7 | GeneralAlphabet::Reserved => Charset::Gsm7,
                GeneralAlphabet::Octet => Charset::Octet,
                GeneralAlphabet::Ucs2 => Charset::Ucs2,
            },
            Self::Waiting { group, .. } => match group {
                WaitingGroup::Discard | WaitingGroup::Store => Charset::Gsm7,
                WaitingGroup::StoreUcs2 => Charset::Ucs2,
            },
            Self::Class { octets: false, .. } => Charset::Gsm7,
            Self::Class { octets: true, .. } => Charset::Octet,
            // SMPP's reserved values say nothing; 23.038's are to be read as the default alphabet.
            Self::Reserved(0x00..=0x7F) => Charset::Unknown,
            Self::Reserved(0x80..=0xFF) => Charset::Gsm7,
        }
    }
}

/// Sets or clears the icon for waiting messages: by the data coding alone, or with a number by the header element too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageWaiting {
    /// What waits.
    pub kind: WaitingKind,
    /// How many; 0 clears the icon, 255 means 255 or more.
    pub count: u8,
    /// The phone keeps the text.
    pub store: bool,
}

impl MessageWaiting {
    /// So many wait; 0 clears the icon.
    #[must_use]
    pub const fn set(kind: WaitingKind, count: u8, store: bool) -> Self {
        Self { kind, count, store }
    }

    /// Nothing waits any more.
    #[must_use]
    pub const fn clear(kind: WaitingKind) -> Self {
        Self::set(kind, 0, false)
    }

    /// The data coding for a text in this encoding. `None` for Latin-1 and binary, and for UCS-2 that is not to be stored:
    /// they have no group. Such a message takes the header element alone.
    #[must_use]
    pub const fn data_coding(self, encoding: Encoding) -> Option<DataCoding> {
        let group = match (encoding, self.store) {
            (Encoding::Gsm7, false) => WaitingGroup::Discard,
            (Encoding::Gsm7, true) => WaitingGroup::Store,
            (Encoding::Ucs2, true) => WaitingGroup::StoreUcs2,
            (Encoding::Ucs2, false) | (Encoding::Latin1 | Encoding::Binary, _) => return None,
        };
        Some(DataCoding::Waiting {
            group,
            active: self.count > 0,
            kind: self.kind,
        })
    }
}

/// The header element that says it with a number (special SMS message indication), for the first profile.
impl From<MessageWaiting> for Indication {
    fn from(waiting: MessageWaiting) -> Self {
        Self {
            store: waiting.store,
            profile: 0,
            waiting: match waiting.kind {
                WaitingKind::Voicemail => Waiting::Voice,
                WaitingKind::Fax => Waiting::Fax,
                WaitingKind::Email => Waiting::Email,
                WaitingKind::Other => Waiting::Other,
            },
            count: waiting.count,
        }
    }
}

impl Encoding {
    /// The data_coding octet we send: 0x00, 0x03, 0x08 or 0x04.
    #[must_use]
    pub const fn data_coding(self) -> u8 {
        DataCoding::plain(self).octet()
    }

    /// The octet of the general group with a message class; Latin-1 has none.
    #[must_use]
    pub const fn data_coding_with_class(self, class: GsmClass) -> Option<u8> {
        match DataCoding::with_class(self, class) {
            Some(coding) => Some(coding.octet()),
            None => None,
        }
    }

    /// The encoding an octet from the wire stands for. Texts in the character sets of [`Charset`] that are no encoding of
    /// ours are binary here: [`decode_octets`] reads them.
    #[must_use]
    pub const fn from_data_coding(octet: u8) -> Self {
        DataCoding::parse(octet).charset().encoding()
    }
}
