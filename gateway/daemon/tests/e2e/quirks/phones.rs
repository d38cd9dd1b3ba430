//! What phones write, and how carriers hand it over (items 16, 19, 34 to 38, 41, 42).

use super::case::{Case, case};
use serde_json::{Value, json};

/// Three messages in that coding, of characters that any of them has.
fn coded(name: &'static str, encoding: &str, text: &str) -> Case {
    case(name).phones(json!({"total": 3, "encoding": encoding, "text": text}))
}

/// Three messages of three parts, their parts in any order and each part twice, over two binds.
fn long(name: &'static str, concat: &str) -> Case {
    case(name)
        .operator("binds = 2")
        .phones(json!({"total": 3, "parts": 3, "concat": concat, "order": "shuffled", "text": "@ 5 \u{e9}"}))
}

fn numbers(name: &'static str, batch: Value) -> Case {
    let mut all = json!({"total": 1});
    all.as_object_mut()
        .unwrap()
        .extend(batch.as_object().unwrap().clone());
    case(name).phones(all)
}

pub(super) fn cases() -> Vec<Case> {
    let latin = "Gr\u{fc}\u{df}e @ \u{e9}";
    vec![
        coded("phone_in_gsm", "gsm", "Gr\u{fc}\u{df}e @ \u{e9} \u{20ac}"),
        coded("phone_in_gsm_as_241", "gsm241", "Gr\u{fc}\u{df}e @ \u{e9}"),
        coded("phone_in_latin1", "latin1", latin),
        coded("phone_in_latin1_as_0", "latin1-as0", latin).operator("alphabet = \"latin1\""),
        coded("phone_in_utf8_as_0", "utf8-as0", latin).operator("alphabet = \"utf8\""),
        coded("phone_in_octets", "binary", "octets"),
        coded(
            "phone_in_ucs2",
            "ucs2",
            "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442} \u{1f600}",
        ),
        coded(
            "phone_in_ucs2_with_a_mark",
            "ucs2-bom",
            "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}",
        ),
        coded(
            "phone_in_ucs2_of_the_other_order",
            "ucs2-le-bom",
            "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}",
        ),
        coded("phone_in_packed_septets", "packed", "Gr\u{fc}\u{df}e @ \u{e9}")
            .operator("alphabet = \"gsm7-packed\""),
        case("phone_in_packed_septets_in_parts")
            .operator("alphabet = \"gsm7-packed\"")
            .phones(json!({"total": 3, "parts": 3, "encoding": "packed", "text": "@ \u{e9}"})),
        case("phone_in_ucs2_of_the_other_order_in_parts")
            .phones(json!({"total": 3, "parts": 3, "encoding": "ucs2-le-bom", "text": "\u{41f}\u{440}"})),
        long("phone_in_parts_of_8_bits", "udh"),
        long("phone_in_parts_of_16_bits", "udh16"),
        long("phone_in_parts_by_sar", "sar"),
        long("phone_in_parts_by_header_and_sar", "udh-and-sar"),
        long("phone_in_parts_that_no_bit_announces", "no-udhi"),
        long("phone_in_parts_with_ports", "ports"),
        long("phone_in_parts_with_ports_in_the_first", "ports-in-first"),
        long("phone_in_message_payload", "payload"),
        case("phone_whose_parts_come_twice").phones(json!({"total": 3, "parts": 2, "twice": true})),
        case("phone_in_data_sm").phones(json!({"total": 3, "data_sm": true})),
        case("phone_in_a_broken_delivery")
            .carrier(json!({"deliveries": {"tail": "truncated-tlv"}}))
            .phones(json!({"total": 3}))
            .tolerated("truncated_tlv"),
        numbers("phone_with_00", json!({"from": "0049170*"})).phone("4917000000000"),
        numbers("phone_with_plus", json!({"from": "+49170*"})).phone("4917000000000"),
        numbers("phone_of_letters", json!({"from": "Service", "from_ton": 1})).phone("Service"),
        numbers(
            "phone_of_fewer_than_7_digits",
            json!({"from": "47110", "from_ton": 1}),
        )
        .phone("47110"),
        numbers(
            "phone_to_a_number_of_another_type",
            json!({"to_ton": 1, "to_npi": 1}),
        ),
        numbers(
            "phone_with_a_product_as_service_type",
            json!({"service_type": "PREMIUM-CODE-42"}),
        ),
    ]
}
