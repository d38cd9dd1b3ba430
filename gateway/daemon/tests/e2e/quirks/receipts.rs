//! How carriers write ids and receipts (items 1 to 17 of `ops/docs/carrier-quirks.md`).

use super::case::{Case, case};
use serde_json::{Value, json};

const MATCHED: &str = "smsgw_receipts_matched_total";
const PARKED: &str = "smsgw_receipts_parked_total";
const DUPLICATE: &str = "smsgw_receipts_duplicate_total";
const UNKNOWN: &str = "smsgw_receipts_unknown_total";
const UNREQUESTED: &str = "smsgw_receipts_unrequested_total";

fn ids(name: &'static str, form: &str) -> Case {
    case(name).carrier(json!({"ids": form}))
}

/// Receipts as text alone that say that the message failed: a text that is not understood would leave it as sent.
fn text(name: &'static str, quirks: Value) -> Case {
    case(name)
        .carrier(json!({"receipt_form": "text", "states": ["undeliv=1"], "receipt": quirks}))
        .ends("failed")
}

fn state(name: &'static str, word: &str, ends: &'static str) -> Case {
    case(name)
        .carrier(json!({"states": [format!("{word}=1")]}))
        .ends(ends)
}

fn form(name: &'static str, form: &str) -> Case {
    case(name)
        .carrier(json!({"receipt_form": form, "states": ["undeliv=1"]}))
        .ends("failed")
}

fn disagrees(name: &'static str, about: &str) -> Case {
    case(name)
        .carrier(json!({"receipt": {"disagree": about}, "states": ["expired=1"]}))
        .ends("expired")
        .tolerated("receipt_disagrees")
}

fn part(name: &'static str, part: &str) -> Case {
    case(name).carrier(json!({"receipt": {"part": part}}))
}

pub(super) fn cases() -> Vec<Case> {
    [ids_of_all_kinds(), texts(), states(), ways(), which()].concat()
}

fn ids_of_all_kinds() -> Vec<Case> {
    let (hex, decimal) = (&[("form", "hex-to-decimal")], &[("form", "decimal-to-hex")]);
    vec![
        ids("id_hex_then_decimal", "hex-then-decimal").at_least(1, MATCHED, hex),
        ids("id_hex_then_padded_decimal", "hex-then-padded").at_least(1, MATCHED, hex),
        ids("id_decimal_then_hex", "decimal-then-hex").at_least(1, MATCHED, decimal),
        ids(
            "id_of_more_than_64_bits_hex_then_decimal",
            "long-hex-then-decimal",
        )
        .at_least(1, MATCHED, hex),
        ids(
            "id_of_more_than_64_bits_decimal_then_hex",
            "long-decimal-then-hex",
        )
        .at_least(1, MATCHED, decimal),
        ids("id_without_its_leading_zeros", "padded-then-decimal"),
        ids("id_with_leading_zeros_added", "decimal-then-padded"),
        ids("id_of_23_digits_without_its_zero", "long-zero-lost"),
        ids("id_in_upper_case", "hex-then-upper"),
        ids("id_in_lower_case", "upper-then-hex"),
        ids("id_uuid_in_upper_case_without_its_zero", "uuid-zero-lost"),
        ids("id_that_looks_like_a_number", "padded"),
        case("receipt_before_its_answer")
            .carrier(json!({"receipt_first": true, "answer_delay": "300ms"}))
            .at_least(4, PARKED, &[])
            .exactly(0, UNKNOWN, &[]),
        case("receipt_before_its_answer_in_another_base")
            .carrier(json!({"receipt_first": true, "answer_delay": "300ms", "ids": "hex-then-decimal"}))
            .at_least(1, PARKED, &[]),
        case("receipt_on_a_sibling_bind")
            .carrier(json!({"receipt": {"bind": "other"}}))
            .operator("binds = 3"),
        case("receipt_on_the_receiver_of_a_pair")
            .carrier(json!({"receipt": {"bind": "receiver"}}))
            .operator("bind = \"transmitter+receiver\"")
            .operator("binds = 2"),
        case("receipt_after_reconnecting")
            .carrier(json!({"receipt": {"bind": "reconnected"}, "receipt_delay": "300ms"}))
            .cut(0)
            .at_least(1, "smsgw_operator_reconnects_total", &[]),
        // Two carriers with the same ids: each message has its own carrier's state.
        case("id_of_another_carrier_delivered").carrier(json!({"first_id": 7000})),
        case("id_of_another_carrier_expired")
            .carrier(json!({"first_id": 7000, "states": ["expired=1"]}))
            .ends("expired"),
    ]
}

fn texts() -> Vec<Case> {
    vec![
        text("receipt_text_without_counts", json!({"text": "no-counts"})),
        text("receipt_text_without_text", json!({"text": "no-text"})),
        text("receipt_text_bare", json!({"text": "bare"})),
        text("receipt_text_with_capital_text", json!({"text": "capital-text"})),
        text("receipt_text_padded", json!({"text": "padded"})),
        text("receipt_text_in_lower_case", json!({"text": "lower-case"})),
        text(
            "receipt_text_with_labels_in_upper_case",
            json!({"text": "upper-labels"}),
        ),
        text(
            "receipt_text_without_the_word_stat",
            json!({"text": "no-stat-label"}),
        )
        .tolerated("receipt_state_unlabelled"),
        text(
            "receipt_text_with_four_digits_of_error",
            json!({"text": "long-err"}),
        ),
        text("receipt_text_with_a_word_as_error", json!({"text": "word-err"})),
        text(
            "receipt_text_with_octets_after_it",
            json!({"text": "binary-tail"}),
        ),
        text(
            "receipt_text_that_ends_with_its_last_field",
            json!({"text": "no-tail"}),
        ),
        text("receipt_text_with_underscores", json!({"text": "underscores"})),
        text("receipt_date_with_seconds", json!({"dates": "seconds"})),
        text("receipt_date_with_century", json!({"dates": "century"})),
        text(
            "receipt_date_with_century_and_seconds",
            json!({"dates": "century-seconds"}),
        ),
        text("receipt_date_empty", json!({"dates": "empty"})),
        text("receipt_date_of_another_zone", json!({"zone": 330})),
    ]
}

fn states() -> Vec<Case> {
    vec![
        state("state_deleted", "deleted", "cancelled"),
        state("state_unknown", "unknown", "failed"),
        state("state_rejected", "rejectd", "rejected"),
        state("state_0_of_a_vendor", "0", "delivered"),
        state("state_failed_of_a_vendor", "failed", "failed"),
        state("state_accepted_is_not_final", "acceptd", "sent"),
        case("state_accepted_is_final_where_the_operator_says_so")
            .carrier(json!({"states": ["acceptd=1"]}))
            .operator("states = { ACCEPTD = \"delivered\" }"),
        case("state_intermediate_then_final").carrier(
            json!({"receipt": {"intermediate": ["enroute", "acceptd", "acked", "buffred"], "intermediate_delay": "50ms"}}),
        ),
        case("state_final_after_final")
            .carrier(json!({"duplicate_receipts": 1.0}))
            .at_least(3, DUPLICATE, &[]),
    ]
}

fn ways() -> Vec<Case> {
    vec![
        form("receipt_in_tlvs_alone", "tlv"),
        form("receipt_with_an_id_tlv_and_the_state_in_its_text", "id-tlv"),
        form("receipt_with_a_state_tlv_and_the_id_in_its_text", "state-tlv"),
        form("receipt_in_message_payload", "payload"),
        form("receipt_in_data_sm", "data-sm"),
        disagrees("receipt_whose_text_has_another_id", "id"),
        disagrees("receipt_whose_text_has_another_state", "state"),
        disagrees("receipt_whose_text_has_another_id_and_state", "both"),
        case("network_error_code_as_digits")
            .carrier(json!({"receipt": {"network_error": "ascii"}}))
            .tolerated("network_error_digits"),
        case("receipt_with_other_bits_of_esm_class").carrier(json!({"receipt": {"esm_class": 0x44}})),
        case("receipt_without_its_bits_known_by_its_tlvs")
            .carrier(json!({"receipt": {"esm_class": 0}}))
            .tolerated("receipt_unflagged"),
        case("receipt_without_its_bits_known_by_its_text")
            .carrier(json!({"receipt": {"esm_class": 0}, "receipt_form": "text"}))
            .operator("receipts_unflagged = \"text\"")
            .tolerated("receipt_unflagged"),
    ]
}

fn which() -> Vec<Case> {
    vec![
        case("receipt_that_nobody_asked_for")
            .carrier(json!({"receipts": "always", "states": ["undeliv=1"], "receipt_delay": "500ms"}))
            .operator("receipts = \"never\"")
            .at_least(1, UNREQUESTED, &[])
            .ends_sent(),
        case("receipt_for_a_refused_submit")
            .carrier(json!({"reject": ["share:1=0x0b"], "receipt": {"for_refused": true}}))
            .sends(2, 0)
            .at_least(2, UNKNOWN, &[])
            .refused(),
        case("receipt_about_an_id_of_nobody")
            .carrier(json!({"receipt": {"stray": 1.0}}))
            .at_least(4, UNKNOWN, &[]),
        part("receipt_of_the_first_part_alone", "first").operator("long_receipts = \"first\""),
        part("receipt_of_the_last_part_alone", "last").operator("long_receipts = \"last\""),
        part("receipt_of_an_arbitrary_part", "arbitrary").operator("long_receipts = \"any\""),
        part("receipt_of_several_parts", "several").operator("long_receipts = \"any\""),
        case("receipt_again_after_its_answer_was_lost")
            .carrier(json!({"deliver_timeout": "200ms", "deliveries": {"lost_answers": 0.7}}))
            .sends(4, 1)
            .at_least(1, DUPLICATE, &[]),
    ]
}
