//! `[client.<id>.smpp]`: how an account is served over SMPP.
//!
//! Must not know how a PDU is written or a session runs; the client node and the router read these values.
//! Invariant: an absent section and an empty one mean the same, so an account that only binds needs none of this.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::schema::operator::Alphabet;
use crate::section::{Check, between, if_set};
use crate::types::{HostPort, Secret};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

words! {
    /// How the id of a message is written for a client.
    ClientMessageId {
        /// As over HTTP: 36 characters.
        Uuid = "uuid",
        /// The same number in 32 hexadecimal digits.
        Hex = "hex",
        /// The same number in at most 39 decimal digits.
        Decimal = "decimal",
        /// Eight hexadecimal digits, unique among the messages of the client that are kept. All that SMPP 3.3 has room for.
        Short = "short",
    }
}

words! {
    /// With which operation reports and MO are sent to a client.
    DeliverWith {
        /// deliver_sm.
        DeliverSm = "deliver_sm",
        /// data_sm; a client of SMPP 3.3, which has none, gets deliver_sm.
        DataSm = "data_sm",
    }
}

words! {
    /// How an MO that is longer than one SMS is sent to a client.
    LongDeliveries {
        /// In parts with a user data header.
        Udh = "udh",
        /// In parts with the TLVs sar_msg_ref_num, sar_total_segments and sar_segment_seqnum.
        Sar = "sar",
        /// Whole, in message_payload.
        Payload = "payload",
    }
}

section! {
    /// `[client.<id>.smpp]`: how an account is served over SMPP.
    ClientSmpp {
        /// What data_coding 0 means in both directions. Since 0.1.
        alphabet: Alphabet = Alphabet::Gsm7, Live;
        /// How message ids are written in answers and receipts; clients of SMPP 3.3 get `short` whatever this says. Since 0.1.
        message_id: ClientMessageId = ClientMessageId::Uuid, Live;
        /// Operation of reports and MO. Since 0.1.
        deliver_with: DeliverWith = DeliverWith::DeliverSm, Live;
        /// Form of MO that are longer than one SMS; clients of SMPP 3.3 get `udh`. Since 0.1.
        long_deliveries: LongDeliveries = LongDeliveries::Udh, Live;
        /// IANA name of the zone of all times in receipts and query_sm_resp, and of the client's own times that name none.
        /// Since 0.1.
        time_zone: String = "UTC".to_owned(), Live where known_zone();
        /// Text of receipts, with `{id}`, `{sub}`, `{dlvrd}`, `{submit_date}`, `{done_date}`, `{stat}`, `{err}` and `{text}`, the
        /// first 20 characters of the message (`?` for what is not ASCII); absent: SMPP 3.4 appendix B without text. Since 0.1.
        receipt_text: Option<String> = None, Live where if_set(receipt_template());
        /// Whether receipts have the TLVs receipted_message_id, message_state and network_error_code; SMPP 3.3 has none. Since 0.1.
        receipt_tlvs: bool = true, Live;
        /// Transmitters at once; 0: no bound but `max_binds`. Since 0.1.
        max_transmitters: u32 = 0, Live where between(0, 100_000);
        /// Receivers at once; 0: no bound but `max_binds`. Since 0.1.
        max_receivers: u32 = 0, Live where between(0, 100_000);
        /// Transceivers at once; 0: no bound but `max_binds`. Since 0.1.
        max_transceivers: u32 = 0, Live where between(0, 100_000);
        /// Age at which a report or MO that could not be delivered is dead-lettered. Since 0.1.
        waiting_expiry: Duration = 3 * DAY, Live where between(MINUTE, 30 * DAY);
        /// Reports and MO that wait for the client at most while it is away; above it the oldest are dead-lettered. Since 0.1.
        waiting_max: u64 = 1_000_000, Live where between(1, 100_000_000);
        /// Where to call the client (outbind) when something waits for it and it is not bound. Since 0.1.
        outbind: Vec<HostPort> = Vec::new(), Live;
        /// Password in our outbind. Since 0.1.
        outbind_password: Option<Secret> = None, Live;
    }
}

impl ClientSmpp {
    /// The zone of `time_zone`.
    pub fn zone(&self) -> TimeZone {
        // Validation has found it; a value that did not come through validation is read as UTC.
        TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC)
    }
}

pub(super) fn known_zone() -> Check<String> {
    Check {
        text: "IANA name such as \"Europe/Vienna\"".to_owned(),
        test: Box::new(|name| TimeZone::get(name).is_ok()),
    }
}

/// Names of receipt_text.
const PLACES: [&str; 8] = [
    "id",
    "sub",
    "dlvrd",
    "submit_date",
    "done_date",
    "stat",
    "err",
    "text",
];

fn receipt_template() -> Check<String> {
    Check {
        text: "at most 200 ASCII characters with `{id}`".to_owned(),
        test: Box::new(|text| {
            let mut rest = text.as_str();
            while let Some((_, behind)) = rest.split_once('{') {
                match behind.split_once('}') {
                    Some((name, after)) if PLACES.contains(&name) => rest = after,
                    Some(_) | None => return false,
                }
            }
            text.len() <= 200 && text.is_ascii() && text.contains("{id}")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_text_names_the_id_and_only_what_there_is() {
        let fits = |text: &str| (receipt_template().test)(&text.to_owned());
        assert!(fits("id:{id} stat:{stat} err:{err}"));
        assert!(fits(
            "{id} {sub} {dlvrd} {submit_date} {done_date} {stat} {err} {text}"
        ));
        for wrong in ["", "stat:{stat}", "id:{id} {txt}", "id:{id} {stat", "id:{id} ä"] {
            assert!(!fits(wrong), "{wrong}");
        }
        assert!(!fits(&format!("{{id}}{}", "x".repeat(200))));
    }
}
