//! Events and policies that the tests of several modules share.

use crate::policy::{Policies, Policy};
use smsgw_config::{Config, ConfigHandle};
use smsgw_message::{
    Address, ClientId, Down, DownKind, Encoding, MessageId, MessageState, MoDown, OperatorId, Report,
    Timestamp,
};
use std::sync::Arc;

/// The policy of a client with these lines.
pub(crate) fn policy(lines: &str) -> Arc<Policy> {
    let text = format!(
        "[node]\nname = \"t\"\n[client.acme]\ncallback = \"http://127.0.0.1:1/\"\n[client.acme.callback_policy]\n{lines}\n"
    );
    let config = ConfigHandle::new(Config::parse("t.toml", &text).unwrap());
    let policies = Policies::of(&config.current(), &config, None);
    Arc::clone(policies.client(&ClientId::try_new("acme").unwrap()))
}

fn down(what: DownKind, n: u8) -> Down {
    Down {
        event: MessageId::from_bytes([n; 16]),
        client: ClientId::try_new("acme").unwrap(),
        url: None,
        at: Timestamp::from_millis(1_795_248_000_007),
        what,
        for_bind: None,
    }
}

/// A report.
pub(crate) fn report() -> Down {
    let report = Report {
        message: MessageId::from_bytes([1; 16]),
        reference: Some("order-7".to_owned()),
        from: Some(Address::sender("12345").unwrap()),
        to: Address::msisdn("491700000001").unwrap(),
        state: MessageState::Delivered,
        error: None,
        accepted_at: Timestamp::from_millis(1_795_248_000_000),
    };
    down(DownKind::Report(report), 2)
}

/// An MO.
pub(crate) fn mo() -> Down {
    let mo = MoDown {
        message: MessageId::from_bytes([3; 16]),
        from: Address::msisdn("491700000001").unwrap(),
        to: Address::sender("12345").unwrap(),
        text: Some("Ja".to_owned()),
        data: b"Ja".to_vec().into(),
        encoding: Encoding::Gsm7,
        data_coding: 0,
        operator: OperatorId::try_new("alpha").unwrap(),
        incomplete: false,
        charset: None,
        raw: None,
        headers: None,
        missing: None,
        byte_order: None,
        keyword: None,
    };
    down(DownKind::Mo(mo), 4)
}
