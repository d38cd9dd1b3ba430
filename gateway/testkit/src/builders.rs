//! Values as tests need them: client `acme`, operator `alpha`, phones in Germany.
//!
//! # Panics
//! On names and numbers that are none: a mistake in the test.

use crate::SimClock;
use smsgw_message::{
    Address, Class, ClientId, Encoding, LinkGroup, LinkId, MessageId, MtMessage, OperatorId, Origin, Part,
    ReportLevel, Via,
};
use std::time::Duration;

/// A client account.
pub fn client(name: &str) -> ClientId {
    ClientId::try_new(name).expect("the test names a client")
}

/// A carrier account.
pub fn operator(name: &str) -> OperatorId {
    OperatorId::try_new(name).expect("the test names an operator")
}

/// The first link of an operator.
pub fn link(name: &str) -> LinkId {
    LinkId::new(&operator(name), 1)
}

/// An operator and its link group.
pub fn via(name: &str) -> Via {
    let operator = operator(name);
    Via {
        group: LinkGroup::of(&operator),
        operator,
    }
}

/// A phone by its digits.
pub fn phone(digits: &str) -> Address {
    Address::msisdn(digits).expect("the test gives a phone number")
}

/// The `n`-th of as many ids as a test needs.
pub fn message_id(n: u64) -> MessageId {
    MessageId::from_parts(SimClock::ORIGIN, [0; 10]).derive(n)
}

/// A message of `acme`, accepted at the origin and valid for a day, with that many short parts.
pub fn mt(n: u64, parts: usize) -> MtMessage {
    MtMessage {
        id: message_id(n),
        client: client("acme"),
        accepted_at: SimClock::ORIGIN,
        from: None,
        to: phone("491700000001"),
        encoding: Encoding::Gsm7,
        parts: vec![
            Part {
                udh: Vec::new(),
                data: b"hello".to_vec()
            };
            parts
        ],
        class: Class::Transactional,
        valid_until: SimClock::ORIGIN.after(Duration::from_secs(24 * 3600)),
        report: ReportLevel::Final,
        callback: None,
        reference: None,
        origin: Origin::Http,
        message_class: None,
    }
}
