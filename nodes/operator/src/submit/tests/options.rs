//! What clients ask of a carrier for their own messages, and what of it goes.

use super::*;
use smsgw_config::{ClientOption, TlvRange, TlvTag, TlvValue};
use smsgw_message::{CarrierOptions, RawTlv};

fn asking(options: CarrierOptions) -> Dispatch {
    Dispatch {
        options: Some(options),
        ..dispatch(1)
    }
}

fn tlvs(set: &[(u16, &str)]) -> Dispatch {
    let tlvs = set.iter().map(|(tag, value)| RawTlv {
        tag: *tag,
        value: value.as_bytes().to_vec().into(),
    });
    asking(CarrierOptions {
        tlvs: Some(tlvs.collect()),
        ..CarrierOptions::default()
    })
}

fn submitted(dispatch: &Dispatch, operator: &Operator) -> Submit {
    submit(dispatch, Class::Transactional, operator, NOW).unwrap()
}

fn everything() -> CarrierOptions {
    CarrierOptions {
        priority: Some(2),
        protocol_id: Some(0x41),
        service_type: Some("VMA".to_owned()),
        replace_if_present: Some(true),
        data_coding: Some(0xF1),
        tlvs: None,
    }
}

/// The fields, as they go out.
fn fields(message: &SubmitSm) -> (u8, u8, &[u8], u8, u8) {
    (
        message.priority_flag,
        message.protocol_id,
        message.service_type.as_bytes(),
        message.replace_if_present,
        message.data_coding,
    )
}

fn own() -> Operator {
    let mut own = Operator {
        protocol_id: 7,
        service_type: "CMT".to_owned(),
        ..Operator::default()
    };
    own.priority.transactional = 1;
    own
}

#[test]
fn by_default_all_goes_but_data_coding_and_the_clients_value_comes_first() {
    let sent = submitted(&asking(everything()), &own());
    assert_eq!(fields(&sent.message), (2, 0x41, b"VMA".as_slice(), 1, 0));
    assert_eq!(sent.left_out, ["data_coding"]);
    let nothing_asked = submitted(&dispatch(1), &own());
    assert_eq!(fields(&nothing_asked.message), (1, 7, b"CMT".as_slice(), 0, 0));
    assert!(nothing_asked.left_out.is_empty());
}

#[test]
fn what_an_operator_does_not_pass_on_is_left_out_and_named() {
    let closed = Operator {
        pass_options: Vec::new(),
        ..own()
    };
    let sent = submitted(&asking(everything()), &closed);
    assert_eq!(fields(&sent.message), (1, 7, b"CMT".as_slice(), 0, 0));
    assert_eq!(
        sent.left_out,
        [
            "priority",
            "protocol_id",
            "service_type",
            "replace_if_present",
            "data_coding"
        ]
    );
    let as_it_would_go_anyway = asking(CarrierOptions {
        replace_if_present: Some(false),
        data_coding: Some(0),
        ..CarrierOptions::default()
    });
    assert!(submitted(&as_it_would_go_anyway, &closed).left_out.is_empty());
    let beyond = asking(CarrierOptions {
        priority: Some(9),
        ..CarrierOptions::default()
    });
    let sent = submitted(&beyond, &own());
    assert_eq!((sent.message.priority_flag, sent.left_out), (1, vec!["priority"]));
}

#[test]
fn parts_of_a_long_message_never_replace_each_other() {
    let wish = || {
        asking(CarrierOptions {
            replace_if_present: Some(true),
            ..CarrierOptions::default()
        })
    };
    let mut joined = wish();
    joined.content.udh = vec![5, 0, 3, 0x77, 2, 1];
    let long = [
        Dispatch { parts: 2, ..wish() },
        Dispatch {
            bundle: Some(9),
            ..wish()
        },
        joined,
    ];
    for part in long {
        let sent = submitted(&part, &Operator::default());
        assert_eq!(sent.message.replace_if_present, 0);
        assert_eq!(sent.left_out, ["replace_if_present"]);
    }
}

#[test]
fn a_data_coding_goes_only_with_the_octets_that_the_client_wrote() {
    let passing = |alphabet| Operator {
        pass_options: vec![ClientOption::DataCoding],
        alphabet,
        ..Operator::default()
    };
    let wish = CarrierOptions {
        data_coding: Some(0xF1),
        ..CarrierOptions::default()
    };
    let sent = submitted(&asking(wish.clone()), &passing(Alphabet::Gsm7));
    assert_eq!((sent.message.data_coding, sent.left_out.len()), (0xF1, 0));
    let packed = submitted(&asking(wish), &passing(Alphabet::Gsm7Packed));
    assert_eq!(
        (packed.message.data_coding, packed.left_out),
        (0, vec!["data_coding"])
    );
}

fn vendor(text: &str) -> Vec<TlvRange> {
    vec![TlvRange::from_text(text).unwrap()]
}

fn constant(tag: &str, value: &str) -> (TlvTag, TlvValue) {
    (
        TlvTag::from_text(tag).unwrap(),
        TlvValue::from_text(value).unwrap(),
    )
}

fn sent_tlvs(message: &SubmitSm) -> Vec<(u16, Vec<u8>)> {
    message
        .tlvs
        .iter()
        .map(|tlv| (tlv.tag, tlv.value.to_vec()))
        .collect()
}

#[test]
fn clients_set_the_tlvs_that_are_allowed_and_no_others() {
    let set = tlvs(&[(0x1401, "a"), (0x1402, "b"), (0x0424, "payload"), (0x1401, "c")]);
    let none = submitted(&set, &Operator::default());
    assert_eq!(
        (sent_tlvs(&none.message), none.left_out.len()),
        (vec![], 4),
        "none by default"
    );
    let open = Operator {
        tlvs_allowed: vendor("0x0001-0x1401"),
        ..Operator::default()
    };
    let some = submitted(&set, &open);
    assert_eq!(
        sent_tlvs(&some.message),
        [(0x1401, b"a".to_vec()), (0x1401, b"c".to_vec())],
        "in their order, never one of the gateway's own"
    );
    assert_eq!(some.left_out, ["tlv", "tlv"]);
}

#[test]
fn a_clients_tlv_goes_instead_of_the_constant_with_its_tag() {
    let operator = Operator {
        tlvs: [constant("0x1401", "text:K"), constant("0x1402", "text:L")].into(),
        tlvs_allowed: vendor("0x1401"),
        ..Operator::default()
    };
    let sent = submitted(&tlvs(&[(0x1401, "mine"), (0x1402, "mine")]), &operator);
    assert_eq!(
        sent_tlvs(&sent.message),
        [(0x1401, b"mine".to_vec()), (0x1402, b"L".to_vec())]
    );
    assert_eq!(sent.left_out, ["tlv"]);
}

#[test]
fn a_message_without_a_required_tlv_is_refused_before_it_is_sent() {
    let operator = Operator {
        tlvs_allowed: vendor("0x1401"),
        tlvs_required: vec![TlvTag::new(0x1401).unwrap()],
        ..Operator::default()
    };
    let refused = |dispatch| submit(&dispatch, Class::Otp, &operator, NOW).map(drop);
    assert_eq!(refused(dispatch(1)), Err(Unsendable::RequiredTlv));
    assert_eq!(refused(tlvs(&[(0x1402, "x")])), Err(Unsendable::RequiredTlv));
    assert_eq!(refused(tlvs(&[(0x1401, "")])), Ok(()));
    let constant = Operator {
        tlvs: [constant("0x1401", "text:K")].into(),
        ..operator.clone()
    };
    assert!(submit(&dispatch(1), Class::Otp, &constant, NOW).is_ok());
    assert_eq!(Unsendable::RequiredTlv.to_string(), "required_tlv_missing");
}
