//! The name of who holds a certificate, for logs and the audit.
//!
//! Reads the few fields of X.509 (RFC 5280 section 4.1) that it needs, in DER (ITU-T X.690); judges nothing: whether the
//! certificate is to be believed was decided in the handshake. Invariant: whatever the octets are, an answer or none, of
//! at most [`LONGEST`] characters, on one line.
//!
//! ```text
//! Certificate    = SEQ { TBS, algorithm, signature }
//! TBS            = SEQ { [0] version?, INTEGER serial, SEQ algorithm, SEQ issuer, SEQ validity, SEQ subject, SEQ key, …, [3] extensions? }
//! subject        = SEQ of SET of SEQ { OID, text }
//! extensions     = SEQ of SEQ { OID, BOOLEAN?, OCTETS }
//! subjectAltName = SEQ of { [1] mail | [2] DNS name | [6] URI | … }
//! ```
//!
//! # Limits
//! Of several common names the last one counts, the most specific. Texts are read as UTF-8 or UTF-16 (BMPString); others give no name.

/// Longest name that is told, in characters.
const LONGEST: usize = 64;
/// Octets of a serial number that are shown (RFC 5280 section 4.1.2.2 allows no more).
const SERIAL: usize = 20;

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const MAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-ce-subjectAltName, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Whose a certificate (DER) is: its common name, else its first alternative name (mail address, DNS name or URI), else
/// `serial` and its number. `None` when it is no certificate.
pub fn certificate_name(certificate: &[u8]) -> Option<String> {
    let mut outer = Der(certificate).of(SEQUENCE)?;
    let mut tbs = outer.of(SEQUENCE)?;
    tbs.skip(VERSION);
    let serial = tbs.of(INTEGER)?.0;
    let _algorithm = tbs.of(SEQUENCE)?;
    let _issuer = tbs.of(SEQUENCE)?;
    let _validity = tbs.of(SEQUENCE)?;
    let subject = tbs.of(SEQUENCE)?;
    if let Some(name) = common_name(subject) {
        return Some(name);
    }
    let _key = tbs.of(SEQUENCE)?;
    while let Some((tag, value)) = tbs.next() {
        if tag == EXTENSIONS
            && let Some(name) = alternative(Der(value))
        {
            return Some(name);
        }
    }
    let digits: String = serial
        .iter()
        .take(SERIAL)
        .map(|octet| format!("{octet:02x}"))
        .collect();
    Some(format!("serial {digits}"))
}

fn common_name(mut subject: Der<'_>) -> Option<String> {
    let mut found = None;
    while let Some(mut set) = subject.of(SET) {
        while let Some(mut attribute) = set.of(SEQUENCE) {
            if attribute.of(OID).is_some_and(|oid| oid.0 == COMMON_NAME)
                && let Some((tag, value)) = attribute.next()
            {
                found = text(tag, value).or(found);
            }
        }
    }
    found
}

fn alternative(mut extensions: Der<'_>) -> Option<String> {
    let mut all = extensions.of(SEQUENCE)?;
    while let Some(mut extension) = all.of(SEQUENCE) {
        if extension.of(OID).is_none_or(|oid| oid.0 != SUBJECT_ALT_NAME) {
            continue;
        }
        // The BOOLEAN `critical` may stand between.
        while let Some((tag, value)) = extension.next() {
            if tag != OCTETS {
                continue;
            }
            let mut names = Der(value).of(SEQUENCE)?;
            while let Some((tag, value)) = names.next() {
                if matches!(tag, MAIL | DNS | URI)
                    && let Some(name) = text(IA5, value)
                {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// On one line, and not empty.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let read = match tag {
        UTF8 | PRINTABLE | IA5 | TELETEX => std::str::from_utf8(value).ok()?.to_owned(),
        BMP => {
            let (pairs, []) = value.as_chunks::<2>() else {
                return None;
            };
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok()?
        }
        _ => return None,
    };
    let shown: String = read.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0x00..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = octets.iter().try_fold(0_usize, |sum, octet| {
                    sum.checked_mul(256)?.checked_add(usize::from(*octet))
                })?;
                (length, rest)
            }
            // DER has no indefinite lengths, and no certificate is that long.
            0x80 | 0x85..=0xff => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    /// The next element when it has this tag.
    fn of(&mut self, tag: u8) -> Option<Self> {
        let before = self.0;
        match self.next() {
            Some((found, value)) if found == tag => Some(Self(value)),
            Some(_) | None => {
                self.0 = before;
                None
            }
        }
    }

    fn skip(&mut self, tag: u8) {
        let _optional = self.of(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType, SerialNumber};

    fn made(names: &[DnValue], alternatives: &[SanType]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "AT");
        for name in names {
            params.distinguished_name.push(DnType::CommonName, name.clone());
        }
        params.subject_alt_names = alternatives.to_vec();
        params.serial_number = Some(SerialNumber::from(vec![0x1a, 0x2b]));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_has_the_name_of_its_subject_else_another_else_its_number() {
        let mail = SanType::Rfc822Name("alice@example".try_into().unwrap());
        let dns = SanType::DnsName("ops.example".try_into().unwrap());
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        let utf8 = DnValue::Utf8String("Älice".to_owned());
        let bmp = DnValue::BmpString("Älice".try_into().unwrap());
        let printable = DnValue::PrintableString("alice".try_into().unwrap());
        let lines = DnValue::Utf8String("a\nb\u{7}".to_owned());
        let long = DnValue::Utf8String("x".repeat(400));
        let name = |names: &[DnValue], others: &[SanType]| certificate_name(&made(names, others)).unwrap();
        assert_eq!(name(&[utf8], std::slice::from_ref(&mail)), "Älice");
        assert_eq!(name(&[bmp], &[]), "Älice");
        assert_eq!(name(&[printable], &[]), "alice");
        assert_eq!(name(&[lines], &[]), "ab");
        assert_eq!(name(&[long], &[]).chars().count(), LONGEST);
        assert_eq!(name(&[], &[address.clone(), mail, dns.clone()]), "alice@example");
        assert_eq!(name(&[], &[dns]), "ops.example");
        assert_eq!(name(&[], &[address]), "serial 1a2b");
    }

    #[test]
    fn octets_of_any_kind_give_a_name_or_none() {
        let whole = made(&[DnValue::Utf8String("alice".to_owned())], &[]);
        for cut in 0..whole.len() {
            // Must not panic; what is cut off behind the subject still has a name.
            let cut = certificate_name(&whole[..cut]);
            assert!(cut.is_none_or(|name| name == "alice"));
        }
        for at in 0..whole.len() {
            for octet in [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut other = whole.clone();
                other[at] = octet;
                let name = certificate_name(&other).unwrap_or_default();
                assert!(name.chars().count() <= 7 + 2 * SERIAL.max(LONGEST));
            }
        }
        assert_eq!(certificate_name(b""), None);
        assert_eq!(certificate_name(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
