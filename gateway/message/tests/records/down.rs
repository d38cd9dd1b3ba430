//! What goes down to clients.

use super::{Down, DownKind, MoDown, at, client, id, via};
use smsgw_message::dcs::Charset;
use smsgw_message::text::ByteOrder;
use smsgw_message::*;

fn down(what: DownKind) -> Down {
    Down {
        event: id(4),
        client: client(),
        url: Some("http://127.0.0.1:9000/events".to_owned()),
        at: at(1_795_248_003_000),
        what,
        for_bind: None,
    }
}

pub(crate) fn report() -> Down {
    down(DownKind::Report(Report {
        message: id(1),
        reference: Some("order-7".to_owned()),
        from: None,
        to: Address::msisdn("491700000001").unwrap(),
        state: MessageState::Delivered,
        error: None,
        accepted_at: at(1_795_248_000_000),
    }))
}

pub(crate) fn mo_down() -> Down {
    down(DownKind::Mo(MoDown {
        message: id(3),
        from: Address::msisdn("491700000001").unwrap(),
        to: Address::sender("12345").unwrap(),
        text: Some("A".to_owned()),
        data: vec![0, 65].into(),
        encoding: Encoding::Ucs2,
        data_coding: 8,
        operator: via().operator,
        incomplete: false,
        charset: None,
        raw: None,
        headers: None,
        missing: None,
        byte_order: None,
        keyword: None,
    }))
}

pub(crate) fn mo_down_with_everything() -> Down {
    let DownKind::Mo(plain) = mo_down().what else {
        panic!("an MO");
    };
    down(DownKind::Mo(MoDown {
        charset: Some(Charset::Utf8),
        raw: Some(vec![0xC1, 0x60].into()),
        headers: Some(vec![vec![5, 0, 3, 7, 3, 1].into(), vec![5, 0, 3, 7, 3, 3].into()]),
        missing: Some(1),
        byte_order: Some(ByteOrder::LittleMarked),
        ..plain
    }))
}
