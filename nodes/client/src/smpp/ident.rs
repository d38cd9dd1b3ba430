//! How message ids are written for a client, and read again.
//!
//! ```text
//! uuid     0198c1f2-…            36 characters
//! hex      0198c1f2…             32 digits, the same number
//! decimal  2170…                 at most 39 digits, the same number
//! short    9A8B7C6D              8 digits: the last 4 octets, named `esme/<client>/<short>` in state when it was accepted
//! ```
//! Pure. Invariant ID-1: what was written is read back as the same id, `short` with the help of its key. SMPP 3.3 has room
//! for 8 characters (section 6.2.1), 3.4 and 5.0 for 64.

use smsgw_config::ClientMessageId;
use smsgw_message::{ClientId, MessageId};
use smsgw_queue::StateKey;
use smsgw_smpp::{COctets, Version};

/// A message as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Id(MessageId),
    /// Which one says this key.
    Key(StateKey),
}

/// The form for a session of that version.
pub(super) const fn form(configured: ClientMessageId, version: Version) -> ClientMessageId {
    match version {
        Version::V3_3 => ClientMessageId::Short,
        Version::V3_4 | Version::V5_0 => configured,
    }
}

pub(super) fn write(form: ClientMessageId, id: MessageId) -> String {
    let number = u128::from_be_bytes(*id.as_bytes());
    match form {
        ClientMessageId::Uuid => id.to_string(),
        ClientMessageId::Hex => format!("{number:032x}"),
        ClientMessageId::Decimal => number.to_string(),
        ClientMessageId::Short => short(id),
    }
}

/// In a PDU.
pub(super) fn octets(form: ClientMessageId, id: MessageId) -> COctets {
    COctets::try_from(write(form, id)).expect("digits and hyphens hold no NUL")
}

fn short(id: MessageId) -> String {
    let [.., a, b, c, d] = *id.as_bytes();
    format!("{:08X}", u32::from_be_bytes([a, b, c, d]))
}

/// The key under which a short id is remembered.
pub(super) fn key(client: &ClientId, id: MessageId) -> StateKey {
    key_of(client, &short(id))
}

fn key_of(client: &ClientId, short: &str) -> StateKey {
    StateKey::from(format!("esme/{client}/{short}"))
}

/// Reads an id in whichever form a client of ours can have been given it: a form that was changed since is still read.
pub(super) fn read(client: &ClientId, octets: &COctets) -> Option<Named> {
    let text = octets.to_str()?.trim();
    let of_number = |number: u128| Named::Id(MessageId::from_bytes(number.to_be_bytes()));
    match text.len() {
        36 => text.parse().ok().map(Named::Id),
        8 if text.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
            Some(Named::Key(key_of(client, &text.to_ascii_uppercase())))
        }
        32 if text.bytes().all(|octet| octet.is_ascii_hexdigit()) => {
            u128::from_str_radix(text, 16).ok().map(of_number)
        }
        // A decimal id has 37 digits in our time (the first ones of a UUID of version 7 are its time).
        33..=39 if text.bytes().all(|octet| octet.is_ascii_digit()) => text.parse().ok().map(of_number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_message::Timestamp;

    #[test]
    fn every_form_is_read_back_and_fits_its_version() {
        let client = ClientId::try_new("acme").unwrap();
        for (millis, random) in [
            (1_795_248_000_000, 7),
            (1_795_248_000_000, 0xFF),
            (4_000_000_000_000, 0),
        ] {
            let id = MessageId::from_parts(Timestamp::from_millis(millis), [random; 10]);
            for form in [
                ClientMessageId::Uuid,
                ClientMessageId::Hex,
                ClientMessageId::Decimal,
            ] {
                let written = octets(form, id);
                assert!(written.len() <= Version::V3_4.message_id_max());
                assert_eq!(read(&client, &written), Some(Named::Id(id)), "{form} {written:?}");
            }
            let written = octets(ClientMessageId::Short, id);
            assert!(written.len() <= Version::V3_3.message_id_max());
            assert_eq!(read(&client, &written), Some(Named::Key(key(&client, id))));
        }
        assert_eq!(form(ClientMessageId::Uuid, Version::V3_3), ClientMessageId::Short);
    }

    #[test]
    fn what_no_form_writes_names_nothing() {
        let client = ClientId::try_new("acme").unwrap();
        for text in [
            "",
            "1",
            "1234567G",
            "not-a-uuid",
            "../../etc",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(read(&client, &COctets::try_from(text).unwrap()), None, "{text}");
        }
    }
}
