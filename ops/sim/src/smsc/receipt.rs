//! Receipts as carriers write them: octets from a message, its state and the carrier's habits.
//!
//! Pure; reads no clock: the time of submit and of the final state come with the message. Invariant: a receipt names the
//! message by the id in its receipt form, and goes from the recipient to the sender.

use super::options::{
    DateForm, DeliverQuirks, Disagreement, NetworkError, ReceiptForm, ReceiptQuirks, ReceiptText, Tail,
};
use super::rule::StateWord;
use super::wire::{put_address, put_string, put_tlv, tag};
use bytes::{BufMut, Bytes, BytesMut};
use smsgw_message::Timestamp;
use std::io::Write;

/// esm_class of receipts (SMPP 3.4 §5.2.12).
const RECEIPT: u8 = 0x04;
/// esm_class of intermediate notifications.
const INTERMEDIATE: u8 = 0x20;

/// What a receipt is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) id: &'a str,
    /// Of the message.
    pub(super) source: (u8, u8, &'a [u8]),
    pub(super) destination: (u8, u8, &'a [u8]),
    pub(super) state: StateWord,
    pub(super) is_final: bool,
    pub(super) submitted: Timestamp,
    pub(super) done: Timestamp,
    /// Of the message; the first 20 octets are cited.
    pub(super) user_data: &'a [u8],
}

/// How the carrier writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits<'a> {
    pub(super) form: ReceiptForm,
    pub(super) receipt: &'a ReceiptQuirks,
    pub(super) deliveries: &'a DeliverQuirks,
}

/// The body of the deliver_sm or data_sm that tells it.
pub(super) fn body(about: &About<'_>, habits: Habits<'_>) -> Bytes {
    let quirks = habits.receipt;
    let (text, id_tlv, state_tlv) = match habits.form {
        ReceiptForm::Both | ReceiptForm::DataSm => (true, true, true),
        ReceiptForm::Text | ReceiptForm::Payload => (true, false, false),
        ReceiptForm::Tlv => (false, true, true),
        ReceiptForm::IdTlv => (true, true, false),
        ReceiptForm::StateTlv => (true, false, true),
    };
    let text = if text { text_of(about, quirks) } else { Vec::new() };
    let esm_class = quirks
        .esm_class
        .unwrap_or(if about.is_final { RECEIPT } else { INTERMEDIATE });
    let mut out = BytesMut::with_capacity(160_usize.saturating_add(text.len()));
    let head = DeliverHead {
        source: about.destination,
        destination: about.source,
        esm_class,
        data_coding: 0,
        service_type: b"",
    };
    let in_payload = match habits.form {
        ReceiptForm::DataSm => {
            head.write_data_sm(&mut out, habits.deliveries);
            true
        }
        ReceiptForm::Payload => {
            head.write(&mut out, &[], habits.deliveries);
            true
        }
        ReceiptForm::Both
        | ReceiptForm::Text
        | ReceiptForm::Tlv
        | ReceiptForm::IdTlv
        | ReceiptForm::StateTlv => {
            head.write(&mut out, &text, habits.deliveries);
            false
        }
    };
    if in_payload {
        put_tlv(&mut out, tag::MESSAGE_PAYLOAD, &text);
    }
    if id_tlv {
        let mut id = about.id.as_bytes().to_vec();
        id.push(0);
        put_tlv(&mut out, tag::RECEIPTED_MESSAGE_ID, &id);
    }
    if state_tlv {
        put_tlv(&mut out, tag::MESSAGE_STATE, &[about.state.number()]);
    }
    match quirks.network_error {
        NetworkError::None => {}
        // Type 3 is GSM (SMPP 3.4 §5.3.2.31); 1 is an absent subscriber where the message did not arrive.
        NetworkError::Proper => {
            put_tlv(
                &mut out,
                tag::NETWORK_ERROR_CODE,
                &[3, 0, u8::from(!about.state.is_delivered())],
            );
        }
        NetworkError::Ascii => {
            let digits: &[u8] = if about.state.is_delivered() {
                b"000"
            } else {
                b"042"
            };
            put_tlv(&mut out, tag::NETWORK_ERROR_CODE, digits);
        }
    }
    put_tail(&mut out, habits.deliveries.tail);
    out.freeze()
}

/// The fields before the text of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliverHead<'a> {
    pub(super) source: (u8, u8, &'a [u8]),
    pub(super) destination: (u8, u8, &'a [u8]),
    pub(super) esm_class: u8,
    pub(super) data_coding: u8,
    pub(super) service_type: &'a [u8],
}

impl DeliverHead<'_> {
    /// Body of a deliver_sm up to its text; at most 255 octets of it, which is what sm_length can say.
    pub(super) fn write(&self, out: &mut BytesMut, text: &[u8], quirks: &DeliverQuirks) {
        self.addresses(out, quirks);
        out.put_slice(&[self.esm_class, 0, 0]);
        put_string(out, b"");
        put_string(out, b"");
        out.put_slice(&[0, 0, self.data_coding, 0]);
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        out.put_u8(length);
        out.put_slice(text.get(..usize::from(length)).unwrap_or(text));
        if quirks.tail == Tail::Nul {
            out.put_u8(0);
        }
    }

    /// Body of a data_sm up to its optional parameters.
    pub(super) fn write_data_sm(&self, out: &mut BytesMut, quirks: &DeliverQuirks) {
        self.addresses(out, quirks);
        out.put_slice(&[self.esm_class, 0, self.data_coding]);
    }

    fn addresses(&self, out: &mut BytesMut, quirks: &DeliverQuirks) {
        let (ton, npi, value) = self.source;
        if quirks.overlong_strings {
            put_string(out, b"SERVICE-TYPE-TOO-LONG");
            let mut long = vec![b'0'; 30_usize.saturating_sub(value.len())];
            long.extend_from_slice(value);
            put_address(out, ton, npi, &long);
        } else {
            put_string(out, self.service_type);
            put_address(out, ton, npi, value);
        }
        let (ton, npi, value) = self.destination;
        put_address(out, ton, npi, value);
    }
}

/// What follows everything else inside command_length.
pub(super) fn put_tail(out: &mut BytesMut, tail: Tail) {
    match tail {
        Tail::Proper | Tail::Nul => {}
        Tail::TruncatedTlv => out.put_slice(&[0x14, 0x01, 0x00, 0x20, b'x', b'y']),
        Tail::HalfTlv => out.put_slice(&[0x14, 0x01, 0x00]),
    }
}

fn text_of(about: &About<'_>, quirks: &ReceiptQuirks) -> Vec<u8> {
    let form = quirks.text;
    let delivered = about.state.is_delivered();
    let (id, state) = match quirks.disagree {
        Disagreement::None => (about.id.to_owned(), about.state.word()),
        Disagreement::Id => (format!("9{}", about.id), about.state.word()),
        Disagreement::State => (about.id.to_owned(), opposite(about.state)),
        Disagreement::Both => (format!("9{}", about.id), opposite(about.state)),
    };
    let counts = !matches!(form, ReceiptText::NoCounts | ReceiptText::Bare);
    let cited = !matches!(
        form,
        ReceiptText::NoText | ReceiptText::Bare | ReceiptText::NoTail
    );
    let err = match form {
        ReceiptText::LongErr => "0000",
        ReceiptText::WordErr => "nul",
        ReceiptText::Padded => " 042",
        _ if delivered => "000",
        _ => "001",
    };
    let (id_label, sub, dlvrd, submit, done, stat, error, text) = match form {
        ReceiptText::UpperLabels => (
            "ID:",
            "SUB:",
            "DLVRD:",
            "SUBMIT DATE:",
            "DONE DATE:",
            "STAT:",
            "ERR:",
            "TEXT:",
        ),
        ReceiptText::Underscores => (
            "id:",
            "sub:",
            "dlvrd:",
            "submit_date:",
            "done_date:",
            "stat:",
            "err:",
            "text:",
        ),
        ReceiptText::NoStatLabel => (
            "id:",
            "sub:",
            "dlvrd:",
            "submit date:",
            "done date:",
            "",
            "err:",
            "text:",
        ),
        ReceiptText::CapitalText => (
            "id:",
            "sub:",
            "dlvrd:",
            "submit date:",
            "done date:",
            "stat:",
            "err:",
            "Text:",
        ),
        _ => (
            "id:",
            "sub:",
            "dlvrd:",
            "submit date:",
            "done date:",
            "stat:",
            "err:",
            "text:",
        ),
    };
    let mut out = Vec::with_capacity(150);
    let blank: &[u8] = if form == ReceiptText::Padded { b" " } else { b"" };
    let mut field = |label: &str, value: &[u8]| {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(value);
    };
    field(id_label, &[blank, id.as_bytes()].concat());
    if counts {
        field(sub, b"001");
        field(dlvrd, if delivered { b"001" } else { b"000" });
    }
    field(submit, &date(about.submitted, quirks));
    field(done, &date(about.done, quirks));
    if form == ReceiptText::LowerCase {
        field(stat, state.to_ascii_lowercase().as_bytes());
    } else {
        field(stat, &[blank, state.as_bytes()].concat());
    }
    field(error, err.as_bytes());
    if cited {
        field(text, about.user_data.get(..20).unwrap_or(about.user_data));
    }
    if form == ReceiptText::BinaryTail {
        out.extend_from_slice(&[0x00, 0x05, 0xff, 0x80, 0x1b]);
    }
    out
}

const fn opposite(state: StateWord) -> &'static str {
    if state.is_delivered() {
        "UNDELIV"
    } else {
        "DELIVRD"
    }
}

/// A time in the carrier's zone and form.
pub(super) fn date(at: Timestamp, quirks: &ReceiptQuirks) -> Vec<u8> {
    let (year, month, day, hour, minute, second) = calendar(at, quirks.zone);
    let mut out = Vec::with_capacity(14);
    let short = year % 100;
    let written = match quirks.dates {
        DateForm::Minutes => write!(out, "{short:02}{month:02}{day:02}{hour:02}{minute:02}"),
        DateForm::Seconds => write!(out, "{short:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}"),
        DateForm::Century => write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}"),
        DateForm::CenturySeconds => write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"),
        DateForm::Empty => Ok(()),
    };
    written.expect("memory takes all text");
    out
}

/// An absolute time as query_sm_resp has it (SMPP 3.4 §7.1.1), in UTC.
pub(super) fn absolute(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = calendar(at, 0);
    let year = year % 100;
    format!("{year:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}000+")
}

/// Year, month, day, hour, minute and second, so many minutes ahead of UTC. Days are counted from 0000-03-01, so that
/// leap days are the last of their year.
fn calendar(at: Timestamp, zone: i32) -> (i64, i64, i64, i64, i64, i64) {
    let seconds = at
        .as_millis()
        .div_euclid(1000)
        .saturating_add(i64::from(zone).saturating_mul(60));
    let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let days = days.saturating_add(719_468);
    let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let of_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = of_era + era.saturating_mul(400) + i64::from(month <= 2);
    (year, month, day, in_day / 3600, in_day / 60 % 60, in_day % 60)
}
