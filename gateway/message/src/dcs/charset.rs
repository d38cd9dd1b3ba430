//! The character sets a data coding can name, and how octets in them become text.
//!
//! Knows no data coding octet. Never refuses octets: what has no character becomes U+FFFD and is flagged, what is no text
//! at all is an empty text and flagged; whoever asks keeps the octets.
//!
//! # Limits
//! SMPP names "JIS (X 0208-1990)" and "Extended Kanji JIS" without saying how the pairs are written: escapes mean
//! ISO-2022-JP, else Shift_JIS and EUC-JP are tried and what reads without an error is taken.

use crate::text::{self, Encoding};
use encoding_rs::{EUC_JP, EUC_KR, ISO_2022_JP, ISO_8859_5, ISO_8859_8, SHIFT_JIS, UTF_8};
use minicbor::{Decode, Encode};

const ESCAPE: u8 = 0x1B;

/// The characters of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Charset {
    /// What the carrier says; GSM 7-bit when it says nothing.
    #[n(0)]
    SmscDefault,
    /// GSM 7-bit default alphabet with its extension, one octet a septet.
    #[n(1)]
    Gsm7,
    /// ASCII.
    #[n(2)]
    Ia5,
    /// ISO-8859-1.
    #[n(3)]
    Latin1,
    /// No text.
    #[n(4)]
    Octet,
    /// JIS X 0208-1990.
    #[n(5)]
    Jis,
    /// ISO-8859-5.
    #[n(6)]
    Cyrillic,
    /// ISO-8859-8.
    #[n(7)]
    Hebrew,
    /// UTF-16, big-endian unless marked.
    #[n(8)]
    Ucs2,
    /// ISO-2022-JP.
    #[n(9)]
    Iso2022Jp,
    /// JIS X 0212-1990.
    #[n(10)]
    ExtendedKanji,
    /// KS C 5601.
    #[n(11)]
    KsC5601,
    /// A text we have no table for: pictograms, compressed, reserved.
    #[n(12)]
    Unknown,
    /// UTF-8: no octet names it, some carriers mean it by 0.
    #[n(13)]
    Utf8,
}

impl Charset {
    /// Every character set.
    pub const ALL: [Self; 14] = [
        Self::SmscDefault,
        Self::Gsm7,
        Self::Ia5,
        Self::Latin1,
        Self::Octet,
        Self::Jis,
        Self::Cyrillic,
        Self::Hebrew,
        Self::Ucs2,
        Self::Iso2022Jp,
        Self::ExtendedKanji,
        Self::KsC5601,
        Self::Unknown,
        Self::Utf8,
    ];

    /// The word in APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SmscDefault | Self::Gsm7 => "gsm7",
            Self::Ia5 => "ascii",
            Self::Latin1 => "latin1",
            Self::Octet | Self::Unknown => "binary",
            Self::Jis => "jis",
            Self::Cyrillic => "iso-8859-5",
            Self::Hebrew => "iso-8859-8",
            Self::Ucs2 => "ucs2",
            Self::Iso2022Jp => "iso-2022-jp",
            Self::ExtendedKanji => "jis-x0212",
            Self::KsC5601 => "ks-c-5601",
            Self::Utf8 => "utf8",
        }
    }

    /// The encoding a message model of ours holds such a body in.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::SmscDefault | Self::Gsm7 => Encoding::Gsm7,
            // ASCII is the lower half of Latin-1.
            Self::Ia5 | Self::Latin1 => Encoding::Latin1,
            Self::Ucs2 => Encoding::Ucs2,
            Self::Octet
            | Self::Jis
            | Self::Cyrillic
            | Self::Hebrew
            | Self::Iso2022Jp
            | Self::ExtendedKanji
            | Self::KsC5601
            | Self::Utf8
            | Self::Unknown => Encoding::Binary,
        }
    }

    /// Whether a body in it is a text we can read.
    #[must_use]
    pub const fn is_text(self) -> bool {
        match self {
            Self::Octet | Self::Unknown => false,
            Self::SmscDefault
            | Self::Gsm7
            | Self::Ia5
            | Self::Latin1
            | Self::Jis
            | Self::Cyrillic
            | Self::Hebrew
            | Self::Ucs2
            | Self::Iso2022Jp
            | Self::ExtendedKanji
            | Self::KsC5601
            | Self::Utf8 => true,
        }
    }
}

/// The text of a whole body, its parts joined, and whether the text alone is not all of it: an octet without a character,
/// half a character at the end, or no text in the first place.
#[must_use]
pub fn decode_octets(charset: Charset, octets: &[u8]) -> (String, bool) {
    let own = |encoding| {
        let decoded = text::decode(encoding, octets);
        (decoded.text, decoded.lossy)
    };
    match charset {
        Charset::SmscDefault | Charset::Gsm7 => own(Encoding::Gsm7),
        Charset::Ucs2 => own(Encoding::Ucs2),
        Charset::Latin1 => own(Encoding::Latin1),
        // The upper half is none of ASCII; carriers that send it mean Latin-1.
        Charset::Ia5 => (own(Encoding::Latin1).0, !octets.is_ascii()),
        Charset::Octet | Charset::Unknown => own(Encoding::Binary),
        Charset::Cyrillic => legacy(ISO_8859_5, octets),
        Charset::Hebrew => legacy(ISO_8859_8, octets),
        Charset::KsC5601 => legacy(EUC_KR, octets),
        Charset::Utf8 => legacy(UTF_8, octets),
        Charset::Iso2022Jp => legacy(ISO_2022_JP, octets),
        Charset::Jis => japanese(octets, SHIFT_JIS, EUC_JP),
        Charset::ExtendedKanji => japanese(octets, EUC_JP, SHIFT_JIS),
    }
}

fn legacy(encoding: &'static encoding_rs::Encoding, octets: &[u8]) -> (String, bool) {
    let (text, lossy) = encoding.decode_without_bom_handling(octets);
    (text.into_owned(), lossy)
}

fn japanese(
    octets: &[u8],
    first: &'static encoding_rs::Encoding,
    second: &'static encoding_rs::Encoding,
) -> (String, bool) {
    if octets.contains(&ESCAPE) {
        return legacy(ISO_2022_JP, octets);
    }
    let likely = legacy(first, octets);
    if !likely.1 {
        return likely;
    }
    let other = legacy(second, octets);
    if other.1 { likely } else { other }
}
