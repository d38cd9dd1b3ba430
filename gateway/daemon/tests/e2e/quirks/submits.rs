//! How carriers take and answer submits (items 20, 21, 24, 29 to 34, 39, 40, 42).

use super::case::{Case, case};
use serde_json::{Value, json};

const RELEASED: &str = "smsgw_operator_released_total";

fn answers(name: &'static str, quirks: Value) -> Case {
    case(name).carrier(json!({"answers": quirks}))
}

/// Refuses everything, with an answer in that form.
fn refuses(name: &'static str, form: &str) -> Case {
    case(name)
        .carrier(json!({"reject": ["share:1=0x0b"], "answers": {"error_answers": form}}))
        .sends(2, 0)
        .refused()
        .stays_bound()
}

/// Takes three submits a second, and says so with that status.
fn throttles(name: &'static str, status: u32) -> Case {
    case(name)
        .carrier(json!({"throttle": 3, "throttle_status": status}))
        .sends(6, 0)
        .stays_bound()
}

pub(super) fn cases() -> Vec<Case> {
    let (throttled, temporary) = (&[("reason", "throttled")], &[("reason", "temporary")]);
    vec![
        answers(
            "answer_strings_without_nul",
            json!({"answer_strings": "unterminated"}),
        )
        .tolerated("unterminated_string"),
        answers("answer_strings_too_long", json!({"answer_strings": "overlong"}))
            .tolerated("overlong_string"),
        // Its receipts have ids that nobody was told.
        answers("answer_without_an_id", json!({"answer_strings": "empty"})).ends_sent(),
        refuses("refusal_as_the_version_says", "proper"),
        refuses("refusal_without_a_body", "bare"),
        refuses("refusal_with_an_empty_id", "empty-id"),
        refuses("refusal_with_an_id", "id"),
        refuses("refusal_with_tlvs_and_no_id", "tlvs"),
        refuses("refusal_by_generic_nack", "nack"),
        case("refusal_with_a_vendor_code")
            .carrier(json!({"reject": ["share:1=0x4ff"]}))
            .sends(2, 0)
            .refused(),
        answers("answers_out_of_order", json!({"out_of_order": 3})).sends(6, 0),
        answers("answer_twice", json!({"duplicate_answers": 1.0}))
            .at_least(3, "smsgw_operator_unmatched_total", &[])
            .stays_bound(),
        answers(
            "answer_after_the_timeout",
            json!({"late_share": 1.0, "late_after": "1300ms"}),
        )
        .operator("response_timeout = \"1s\"")
        .sends(1, 0)
        .at_least(1, "smsgw_operator_late_answers_total", &[("use", "used")])
        .stays_bound(),
        case("answer_never_given")
            .carrier(json!({"never_answer": 0.5}))
            .operator("response_timeout = \"1s\"")
            .operator("in_doubt_max = 50")
            .sends(8, 1)
            .may_repeat()
            .at_least(1, "smsgw_operator_in_doubt_total", &[]),
        throttles("throttled_by_0x58", 0x58)
            .operator("throttled_retry = \"300ms\"")
            .at_least(1, RELEASED, throttled),
        throttles("throttled_by_0x14", 0x14)
            .operator("queue_full_retry = [\"300ms\"]")
            .at_least(1, RELEASED, &[("reason", "mobile_queue_full")]),
        throttles("throttled_by_0x64", 0x64)
            .operator("temporary_retry = [\"300ms\"]")
            .operator("temporary_attempts = 50")
            .at_least(1, RELEASED, temporary),
        throttles("throttled_by_0x45", 0x45)
            .operator("temporary_retry = [\"300ms\"]")
            .operator("temporary_attempts = 50")
            .at_least(1, RELEASED, temporary),
        throttles("throttled_by_0x08", 0x08)
            .operator("temporary_retry = [\"300ms\"]")
            .operator("temporary_attempts = 50")
            .at_least(1, RELEASED, temporary),
        throttles("throttled_by_a_vendor_code", 0x400)
            .operator("throttled = [\"0x400-0x4ff\"]")
            .operator("throttled_retry = \"300ms\"")
            .at_least(1, RELEASED, throttled),
        case("throttled_by_late_answers")
            .carrier(json!({"submits": {"service_rate": 10.0}}))
            .sends(8, 1)
            .exactly(0, RELEASED, &[]),
        case("throttled_and_cut")
            .carrier(json!({"throttle": 3, "drop_every": 5}))
            .operator("throttled_retry = \"300ms\"")
            .sends(6, 0)
            .may_repeat()
            .at_least(1, RELEASED, throttled),
        case("limit_of_the_account_counts_parts")
            .carrier(json!({"throttle": 12, "submits": {"count_parts": true}}))
            .operator("rate = 12")
            .operator("binds = 3")
            .sends(6, 4)
            .exactly(0, RELEASED, &[]),
        case("octets_of_the_alphabet_only")
            .carrier(json!({"submits": {"strict_data_coding": true}}))
            .operator("alphabet = \"ascii\"")
            .sends(2, 0),
        case("addresses_of_their_type_only").carrier(json!({"submits": {"strict_addresses": true}})),
        case("sender_of_letters_of_its_type_only")
            .carrier(json!({"submits": {"strict_addresses": true, "alphanumeric_max": 11}}))
            .from("Acme Corp 1"),
        case("validity_absolute_only").carrier(json!({"submits": {"validity": "absolute"}})),
        case("validity_relative_only")
            .carrier(json!({"submits": {"validity": "relative"}}))
            .operator("validity = \"relative\""),
        case("validity_not_at_all")
            .carrier(json!({"submits": {"validity": "empty"}}))
            .operator("validity = \"none\""),
        case("validity_of_an_hour_at_most")
            .carrier(json!({"submits": {"validity": "relative", "validity_max": "1h"}}))
            .operator("validity = \"relative\"")
            .operator("validity_max = \"1h\""),
        case("service_type_of_a_product")
            .carrier(json!({"submits": {"strict_service_type": true}}))
            .operator("service_type = \"PRD05\""),
    ]
}
