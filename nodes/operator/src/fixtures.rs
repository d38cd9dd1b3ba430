//! Values for the unit tests of this crate.

use smsgw_message::{
    Address, ClientId, Dispatch, Encoding, MessageId, OperatorId, Part, ReportLevel, Timestamp,
};

/// A short part from 12345, valid for a day after 2026-11-21.
pub(crate) fn dispatch(n: u64) -> Dispatch {
    Dispatch {
        message: MessageId::from_parts(Timestamp::from_millis(1_795_248_000_000), [0; 10]).derive(n),
        part: 1,
        parts: 1,
        client: ClientId::try_new("acme").unwrap(),
        operator: OperatorId::try_new("alpha").unwrap(),
        from: Some(Address::sender("12345").unwrap()),
        to: Address::msisdn("491700000001").unwrap(),
        encoding: Encoding::Gsm7,
        content: Part {
            udh: Vec::new(),
            data: b"Hello".to_vec(),
        },
        valid_until: Timestamp::from_millis(1_795_248_000_000 + 86_400_000),
        report: ReportLevel::Final,
        message_class: None,
        options: None,
        bundle: None,
        reference: None,
        class: None,
        route: None,
        own: None,
    }
}
