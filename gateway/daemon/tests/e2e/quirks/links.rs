//! How carriers bind, keep and lose sessions, and what they send beside messages (items 19, 20, 23 to 27, 33).

use super::case::{Case, case};
use serde_json::{Value, json};

const REFUSED: &str = "smsgw_operator_binds_refused_total";
const RECONNECTS: &str = "smsgw_operator_reconnects_total";
const DOUBTS: &str = "smsgw_operator_in_doubt_total";

fn binds(name: &'static str, quirks: Value) -> Case {
    case(name).carrier(json!({"binds": quirks}))
}

fn deliveries(name: &'static str, quirks: Value) -> Case {
    case(name).carrier(json!({"deliveries": quirks})).stays_bound()
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        deliveries("delivery_with_a_nul_behind_its_text", json!({"tail": "nul"})).tolerated("trailing_nul"),
        deliveries("delivery_with_a_truncated_tlv", json!({"tail": "truncated-tlv"}))
            .tolerated("truncated_tlv"),
        deliveries(
            "delivery_with_half_the_head_of_a_tlv",
            json!({"tail": "half-tlv"}),
        )
        .tolerated("truncated_tlv"),
        deliveries(
            "delivery_with_strings_too_long",
            json!({"overlong_strings": true}),
        )
        .tolerated("overlong_string"),
        case("delivery_that_cannot_be_decoded")
            .carrier(json!({"malformed_every": 1}))
            .at_least(4, "smsgw_operator_arrived_total", &[("kind", "undecodable")])
            .stays_bound(),
        deliveries(
            "command_that_nobody_knows",
            json!({"unknown_every": 1, "alert_every": 1}),
        ),
        case("length_that_cannot_be_followed")
            .carrier(json!({"deliveries": {"bad_length_every": 3}}))
            .may_repeat()
            .at_least(1, RECONNECTS, &[]),
        deliveries("sequence_number_0", json!({"sequences": "zero"})).tolerated("reserved_sequence"),
        deliveries(
            "sequence_numbers_that_come_again",
            json!({"sequences": "restarted"}),
        ),
        deliveries("sequence_number_above_0x7fffffff", json!({"sequences": "high"}))
            .tolerated("reserved_sequence"),
        binds(
            "enquire_link_before_the_bind",
            json!({"enquire_before_bind": true}),
        )
        .stays_bound(),
        // It says nothing for longer than the link waits: the link is bound again, and nothing is lost.
        case("enquire_link_not_answered")
            .carrier(json!({"ignore_enquire_link": true}))
            .operator("enquire_link = \"1s\"")
            .operator("response_timeout = \"1s\"")
            .at_least(1, RECONNECTS, &[]),
        binds("enquire_link_demanded", json!({"enquire_link_demanded": "2s"}))
            .operator("enquire_link = \"1s\"")
            .stays_bound(),
        binds(
            "connection_that_swallows_everything",
            json!({"half_dead_after": 1}),
        )
        .operator("response_timeout = \"1s\"")
        .operator("enquire_link = \"1s\"")
        .sends(2, 0)
        .may_repeat()
        .at_least(1, DOUBTS, &[]),
        // What it was sending when it went deaf comes again, once it thinks of it.
        case("connection_that_is_not_read")
            .carrier(json!({"binds": {"deaf_after": 1}, "deliver_timeout": "2s"}))
            .operator("response_timeout = \"1s\"")
            .operator("enquire_link = \"1s\"")
            .sends(2, 0)
            .may_repeat()
            .at_least(1, RECONNECTS, &[]),
        binds("ghost_of_a_lost_session", json!({"ghost": "1500ms"}))
            .operator("already_bound_retry = \"1s\"")
            .cut(1)
            .may_repeat()
            .at_least(1, REFUSED, &[("status", "ESME_RALYBND")]),
        binds("sessions_limited_by_the_carrier", json!({"max_sessions": 1}))
            .operator("binds = 2")
            .at_least(1, REFUSED, &[]),
        // Refused for the password: tried once a minute, and everything waits.
        case("password_refused")
            .carrier(json!({"password": "another"}))
            .ends("queued")
            .exactly(1, REFUSED, &[("status", "ESME_RINVPASWD")]),
        case("password_refused_without_saying_so")
            .carrier(json!({"password": "another", "binds": {"wrong_password_status": 0x0d}}))
            .ends("queued")
            .exactly(1, REFUSED, &[("status", "ESME_RBINDFAIL")]),
        case("bind_refused_for_now")
            .carrier(json!({"refuse_binds": 0x08}))
            .ends("queued")
            .at_least(3, REFUSED, &[("status", "ESME_RSYSERR")]),
        binds("carrier_that_unbinds", json!({"unbind_every": 2}))
            .may_repeat()
            .at_least(1, RECONNECTS, &[]),
        binds("carrier_of_smpp_3_3", json!({"interface_version": 0x33}))
            .operator("interface_version = \"3.3\"")
            .operator("bind = \"auto\"")
            .stays_bound(),
        binds("carrier_of_smpp_5_0", json!({"interface_version": 0x50}))
            .operator("interface_version = \"5.0\"")
            .stays_bound(),
    ]
}
