//! source_addr and destination_addr: type, plan and form by kind of address (SMPP 3.4 sections 5.2.5 to 5.2.8).
//!
//! The kind is what the message model found the address to be; here it only gets the carrier's words. Invariant: no
//! character is replaced; a sender with a character that its alphabet lacks is refused.
//!
//! # Limits
//! In GSM 7-bit `@` is 0, which ends an address field: such a sender is refused, not sent as `?` or cut off.

use super::Unsendable;
use smsgw_config::{NumberFormat, Operator, SenderAlphabet, TonNpi};
use smsgw_message::{Address, Dispatch, Npi, Ton, gsm7};
use smsgw_smpp::{Address as WireAddress, address};

/// The sender: the message's, else the operator's default, else empty (the carrier puts its own).
pub(super) fn source(dispatch: &Dispatch, operator: &Operator) -> Result<WireAddress, Unsendable> {
    let (ton, npi) = (operator.source_ton, operator.source_npi);
    match (&dispatch.from, operator.default_from.as_deref()) {
        (Some(from), _) => wire(from, operator, ton, npi),
        (None, Some(text)) if !text.is_empty() => {
            // What no rule for senders knows goes out as it is written, and the carrier decides.
            let from = Address::sender(text)
                .unwrap_or_else(|_| Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, text));
            wire(&from, operator, ton, npi)
        }
        (None, Some(_) | None) => Ok(WireAddress::default()),
    }
}

/// The recipient.
pub(super) fn destination(dispatch: &Dispatch, operator: &Operator) -> Result<WireAddress, Unsendable> {
    wire(&dispatch.to, operator, operator.dest_ton, operator.dest_npi)
}

fn wire(
    address: &Address,
    operator: &Operator,
    ton: Option<u8>,
    npi: Option<u8>,
) -> Result<WireAddress, Unsendable> {
    if address.as_str().is_empty() {
        return Ok(WireAddress::default());
    }
    let rules = &operator.addresses;
    let plain = |prefix, text| latin1(prefix, text).ok_or(Unsendable::Address);
    let (kind, octets) = match address.ton() {
        Ton::INTERNATIONAL => {
            let prefix = match rules.number_format {
                NumberFormat::Plain => "",
                NumberFormat::Plus => "+",
                NumberFormat::DoubleZero => "00",
            };
            (rules.international, plain(prefix, address.as_str())?)
        }
        Ton::NATIONAL => (rules.national, plain("", address.as_str())?),
        Ton::NETWORK_SPECIFIC | Ton::ABBREVIATED => (rules.short_code, plain("", address.as_str())?),
        Ton::ALPHANUMERIC => (
            rules.alphanumeric,
            letters(address.as_str(), operator.sender_alphabet)?,
        ),
        // As dialled, and kinds without a rule: as the client said.
        Ton(ton) => (TonNpi::new(ton, address.npi().0), plain("", address.as_str())?),
    };
    address::Address::try_new(ton.unwrap_or(kind.ton), npi.unwrap_or(kind.npi), octets)
        .map_err(|_| Unsendable::Address)
}

fn letters(text: &str, alphabet: SenderAlphabet) -> Result<Vec<u8>, Unsendable> {
    match alphabet {
        SenderAlphabet::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
        SenderAlphabet::Latin1 => latin1("", text),
        SenderAlphabet::Gsm7 => gsm7::DEFAULT.encode(text).ok(),
    }
    .ok_or(Unsendable::Address)
}

/// Both in ISO 8859-1.
fn latin1(prefix: &str, text: &str) -> Option<Vec<u8>> {
    if text.is_ascii() && prefix.is_ascii() {
        // Nearly always, and then the octets are those of the text.
        return Some([prefix.as_bytes(), text.as_bytes()].concat());
    }
    prefix
        .chars()
        .chain(text.chars())
        .map(|character| u8::try_from(character).ok())
        .collect()
}
