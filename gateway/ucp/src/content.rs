//! What a message says: MT with its text or data, and the extra services beside it (EMI-UCP 4.0 sections 5.2 and 5.3).
//!
//! - MT 2: decimal digits as they stand.
//! - MT 3: characters of the GSM default alphabet, one in two hexadecimal digits, an escaped one in four.
//! - MT 4: octets as hexadecimal digits, with their number of bits in NB; DCS and header stand in XSer.
//!
//! XSer is a list of services, each a type, a length and data in hexadecimal octets. Services that are not known are kept.
//!
//! # Limits
//! A billing identifier and the other services are handed through as octets.

use crate::operation::Message;
use crate::text::{Text, from_hex};
use smsgw_message::gsm7;
use thiserror::Error;

/// Digits of a message text at most: 160 characters, all of them escaped, would be 640.
const MAX_DIGITS: usize = 640;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// MT 2.
    Numeric(String),
    /// MT 3: unpacked septets of the GSM default alphabet, escapes included.
    Alphanumeric(Vec<u8>),
    /// MT 4.
    Transparent {
        /// The octets, without a user data header.
        octets: Vec<u8>,
        /// How many of their bits count; 7-bit packed text ends within an octet.
        bits: usize,
    },
}

/// Why a message has no content that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContentError {
    /// MT is none of 2, 3 and 4.
    #[error("MT is none of 2, 3 and 4")]
    Kind,
    /// The field holds something other than digits of its kind, or too many.
    #[error("the message is not written in digits of its kind")]
    Digits,
    /// XSer cannot be cut into services.
    #[error("XSer cannot be cut into services")]
    Services,
}

impl Content {
    /// Reads MT, NB and the message. NB that says more than there is, or nothing, counts as all.
    ///
    /// # Errors
    /// When MT is not known, or the digits are none.
    pub fn read(mt: &Text, nb: &Text, msg: &Text) -> Result<Self, ContentError> {
        if msg.as_str().len() > MAX_DIGITS {
            return Err(ContentError::Digits);
        }
        match mt.as_str() {
            "2" => {
                let digits = msg
                    .as_str()
                    .bytes()
                    .all(|octet| octet.is_ascii_digit() || octet == b' ');
                digits
                    .then(|| Self::Numeric(msg.to_string()))
                    .ok_or(ContentError::Digits)
            }
            "3" => {
                let octets = msg.octets().ok_or(ContentError::Digits)?;
                let septets = octets.iter().all(|octet| *octet < 0x80);
                septets
                    .then_some(Self::Alphanumeric(octets))
                    .ok_or(ContentError::Digits)
            }
            "4" => {
                let octets = msg.octets().ok_or(ContentError::Digits)?;
                let all = octets.len().saturating_mul(8);
                let said = nb.to_number().and_then(|bits| usize::try_from(bits).ok());
                Ok(Self::Transparent {
                    octets,
                    bits: said.filter(|bits| *bits > 0 && *bits <= all).unwrap_or(all),
                })
            }
            _ => Err(ContentError::Kind),
        }
    }

    /// MT, NB and the message; NB is empty but for MT 4. `None` where a number holds something else.
    #[must_use]
    pub fn fields(&self) -> Option<(Text, Text, Text)> {
        Some(match self {
            Self::Numeric(digits) => (Text::number(2, 1), Text::default(), Text::new(digits)?),
            Self::Alphanumeric(septets) => (Text::number(3, 1), Text::default(), Text::hex(septets)),
            Self::Transparent { octets, bits } => {
                let bits = u64::try_from(*bits).unwrap_or(u64::MAX);
                (Text::number(4, 1), Text::number(bits, 4), Text::hex(octets))
            }
        })
    }

    /// The characters of the two kinds of text, and whether some had no exact meaning.
    #[must_use]
    pub fn to_text(&self) -> Option<(String, bool)> {
        match self {
            Self::Numeric(digits) => Some((digits.clone(), false)),
            Self::Alphanumeric(septets) => Some(gsm7::DEFAULT.decode(septets)),
            Self::Transparent { .. } => None,
        }
    }
}

/// Type of an extra service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceType(pub u8);

impl ServiceType {
    /// 01: user data header, its length octet included.
    pub const UDH: Self = Self(0x01);
    /// 02: data coding scheme.
    pub const DCS: Self = Self(0x02);
    /// 0C: billing identifier.
    pub const BILLING: Self = Self(0x0C);
    /// 0D: single shot: one attempt to deliver, no more.
    pub const SINGLE_SHOT: Self = Self(0x0D);
}

/// The extra services of a message, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Services(pub Vec<(ServiceType, Vec<u8>)>);

impl Services {
    /// Reads XSer.
    ///
    /// # Errors
    /// When it is not hexadecimal, or a length goes beyond its end.
    pub fn read(xser: &Text) -> Result<Self, ContentError> {
        let octets = from_hex(xser.as_str().as_bytes()).ok_or(ContentError::Services)?;
        let mut rest = octets.as_slice();
        let mut services = Vec::new();
        while let Some((kind, behind)) = rest.split_first() {
            let (length, data) = behind.split_first().ok_or(ContentError::Services)?;
            let (data, behind) = data
                .split_at_checked(usize::from(*length))
                .ok_or(ContentError::Services)?;
            services.push((ServiceType(*kind), data.to_vec()));
            rest = behind;
        }
        Ok(Self(services))
    }

    /// The data of the first service of that type.
    #[must_use]
    pub fn get(&self, kind: ServiceType) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(known, _)| *known == kind)
            .map(|(_, data)| data.as_slice())
    }

    /// As XSer. `None` where a service has more than 255 octets.
    #[must_use]
    pub fn to_field(&self) -> Option<Text> {
        let mut octets = Vec::new();
        for (kind, data) in &self.0 {
            octets.extend([kind.0, u8::try_from(data.len()).ok()?]);
            octets.extend_from_slice(data);
        }
        Some(Text::hex(&octets))
    }
}

impl Message {
    /// Its content.
    ///
    /// # Errors
    /// As [`Content::read`].
    pub fn content(&self) -> Result<Content, ContentError> {
        Content::read(&self.mt, &self.nb, &self.msg)
    }

    /// Its extra services.
    ///
    /// # Errors
    /// As [`Services::read`].
    pub fn services(&self) -> Result<Services, ContentError> {
        Services::read(&self.xser)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Text {
        Text::new(text).unwrap()
    }

    fn read(mt: &str, nb: &str, msg: &str) -> Result<Content, ContentError> {
        Content::read(&text(mt), &text(nb), &text(msg))
    }

    #[test]
    fn each_kind_is_read_as_it_is_written_and_its_mistakes_refused() {
        let hello = read("3", "", "53686F7274204D657373616765").unwrap();
        assert_eq!(hello.to_text(), Some(("Short Message".to_owned(), false)));
        // An escape takes two: the euro sign is 1B65.
        assert_eq!(
            read("3", "", "1B65").unwrap().to_text(),
            Some(("€".to_owned(), false))
        );
        assert_eq!(
            read("2", "", "0123").unwrap().to_text(),
            Some(("0123".to_owned(), false))
        );
        assert_eq!(
            read("4", "0015", "FFFE").unwrap(),
            Content::Transparent {
                octets: vec![0xFF, 0xFE],
                bits: 15
            }
        );
        for nb in ["", "0", "17", "x"] {
            assert_eq!(
                read("4", nb, "FFFE").unwrap(),
                Content::Transparent {
                    octets: vec![0xFF, 0xFE],
                    bits: 16
                }
            );
        }
        for (mt, msg, error) in [
            ("", "00", ContentError::Kind),
            ("5", "00", ContentError::Kind),
            ("2", "12a", ContentError::Digits),
            ("3", "0", ContentError::Digits),
            ("3", "80", ContentError::Digits),
            ("4", "0G", ContentError::Digits),
        ] {
            assert_eq!(read(mt, "", msg), Err(error), "{mt} {msg}");
        }
        assert_eq!(read("3", "", &"00".repeat(321)), Err(ContentError::Digits));
    }

    #[test]
    fn services_are_cut_by_their_lengths() {
        let services = Services::read(&text("01060500030A0201020108")).unwrap();
        assert_eq!(services.get(ServiceType::UDH), Some(&[5, 0, 3, 10, 2, 1][..]));
        assert_eq!(services.get(ServiceType::DCS), Some(&[8][..]));
        assert_eq!(services.get(ServiceType::BILLING), None);
        assert_eq!(Services::read(&text("")), Ok(Services::default()));
        for broken in ["01", "0106050003", "0Z00", "010"] {
            assert_eq!(
                Services::read(&text(broken)),
                Err(ContentError::Services),
                "{broken}"
            );
        }
    }

    proptest! {
        #[test]
        fn content_and_services_come_back(
            septets in prop::collection::vec(0u8..0x80, 0..160), octets in prop::collection::vec(any::<u8>(), 0..140),
            services in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let bits = octets.len() * 8;
            for content in [Content::Alphanumeric(septets), Content::Transparent { octets, bits }] {
                let (mt, nb, msg) = content.fields().unwrap();
                prop_assert_eq!(Content::read(&mt, &nb, &msg), Ok(content));
            }
            let services = Services(services.into_iter().map(|(kind, data)| (ServiceType(kind), data)).collect());
            prop_assert_eq!(Services::read(&services.to_field().unwrap()), Ok(services));
        }
    }
}
