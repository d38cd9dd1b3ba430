//! Binds and sessions.

use super::*;
use serde_json::json;

#[test]
fn a_bind_is_taken_from_the_right_account_only() {
    let account = json!({"system_id": "a", "password": "p"});
    for (name, password, status) in [("a", "p", 0), ("b", "p", 0x0f), ("a", "q", 0x0e)] {
        let mut rig = Rig::new(options(account.clone()));
        assert_eq!(rig.bind_as(1, TRANSCEIVER, name, password)[0].status, status);
        assert_eq!(rig.flow(1), if status == 0 { Flow::Open } else { Flow::Closing });
    }
    let mut rig = Rig::new(options(json!({"refuse_binds": 0x0d})));
    assert_eq!(rig.bind(1, TRANSCEIVER)[0].status, 0x0d);
}

#[test]
fn quirk_33_a_wrong_password_is_answered_with_the_cause_or_without() {
    let mut rig = Rig::new(options(
        json!({"password": "p", "binds": {"wrong_password_status": 0x0d}}),
    ));
    assert_eq!(rig.bind_as(1, TRANSCEIVER, "a", "q")[0].status, 0x0d);
    let mut rig = Rig::new(options(
        json!({"system_id": "p", "binds": {"wrong_system_id_status": 0x53}}),
    ));
    assert_eq!(rig.bind_as(1, TRANSCEIVER, "a", "q")[0].status, 0x53);
}

#[test]
fn quirk_20_a_name_of_30_and_a_password_of_20_characters_are_taken() {
    let mut rig = Rig::new(SmscOptions::default());
    assert_eq!(
        rig.bind_as(1, TRANSCEIVER, &"n".repeat(30), &"p".repeat(20))[0].status,
        0
    );
}

#[test]
fn quirk_23_enquire_link_is_answered_before_the_bind_and_sent_before_it_when_told() {
    let mut rig = Rig::new(options(json!({"binds": {"enquire_before_bind": true}})));
    assert_eq!(ids(&rig.open(1)), [id::ENQUIRE_LINK]);
    assert_eq!(
        ids(&rig.feed(1, &request(id::ENQUIRE_LINK, 9, |_| {}))),
        [ANSWER | id::ENQUIRE_LINK]
    );
}

#[test]
fn quirk_23_enquire_link_is_never_answered_when_told_while_traffic_goes_on() {
    let mut rig = Rig::with(json!({"ignore_enquire_link": true, "receipts": "never"}));
    assert_eq!(rig.feed(1, &request(id::ENQUIRE_LINK, 9, |_| {})), []);
    assert_eq!(ids(&rig.submit(10, "49")), [ANSWER | id::SUBMIT_SM]);
}

#[test]
fn quirk_23_a_session_without_enquire_link_is_cut_whatever_else_it_sends() {
    let mut rig = Rig::with(json!({"receipts": "never", "binds": {"enquire_link_demanded": "20s"}}));
    rig.at(19_000);
    rig.submit(1, "49");
    assert_eq!(rig.flow(1), Flow::Open);
    rig.at(20_000);
    assert_eq!(rig.flow(1), Flow::Closing);
    let mut rig = Rig::with(json!({"binds": {"enquire_link_demanded": "20s"}}));
    rig.pass(15_000);
    rig.feed(1, &request(id::ENQUIRE_LINK, 9, |_| {}));
    rig.pass(34_000);
    assert_eq!(rig.flow(1), Flow::Open);
}

#[test]
fn the_carrier_asks_a_silent_session_and_closes_it_without_an_answer() {
    let mut rig = Rig::with(json!({"binds": {"enquire_link": "10s"}}));
    assert_eq!(ids(&rig.at(10_000)), [id::ENQUIRE_LINK]);
    rig.pass(40_000);
    assert_eq!(rig.flow(1), Flow::Closing);
    let mut rig = Rig::with(json!({"binds": {"enquire_link": "10s"}}));
    let asked = rig.at(10_000)[0].sequence;
    rig.feed(1, &request(ANSWER | id::ENQUIRE_LINK, asked, |_| {}));
    assert_eq!(ids(&rig.at(20_000)), [id::ENQUIRE_LINK]);
}

#[test]
fn nobody_stays_unbound_for_long_and_an_idle_session_is_unbound_when_told() {
    let mut rig = Rig::new(SmscOptions::default());
    rig.open(1);
    rig.pass(30_000);
    assert_eq!(rig.flow(1), Flow::Closing);
    let mut rig = Rig::with(json!({"binds": {"inactivity": "5s"}}));
    assert_eq!(ids(&rig.at(5_000)), [id::UNBIND]);
    rig.feed(1, &request(ANSWER | id::UNBIND, 1, |_| {}));
    assert_eq!(rig.flow(1), Flow::Closing);
}

#[test]
fn quirk_25_a_half_dead_connection_takes_everything_and_answers_nothing() {
    let mut rig = Rig::with(json!({"receipts": "never", "binds": {"half_dead_after": 2}}));
    assert_eq!((rig.submit(1, "49").len(), rig.submit(2, "49").len()), (1, 1));
    assert_eq!(rig.submit(3, "49"), []);
    assert_eq!(rig.feed(1, &request(id::ENQUIRE_LINK, 4, |_| {})), []);
    assert_eq!(rig.flow(1), Flow::Open);
    let stats = rig.machine.stats();
    assert_eq!((stats.accepted, stats.swallowed), (2, 2));
}

#[test]
fn quirk_25_a_deaf_connection_is_not_read_any_more() {
    let mut rig = Rig::with(json!({"receipts": "never", "binds": {"deaf_after": 1}}));
    assert_eq!(rig.flow(1), Flow::Open);
    assert_eq!(rig.submit(1, "49").len(), 1);
    assert_eq!(rig.flow(1), Flow::Deaf);
}

#[test]
fn quirk_26_a_lost_session_haunts_the_account_for_its_time() {
    let mut rig = Rig::with(json!({"binds": {"ghost": "30s"}}));
    rig.lose(1);
    assert_eq!(rig.bind(2, TRANSCEIVER)[0].status, 0x05);
    rig.pass(29_999);
    assert_eq!(rig.bind(3, TRANSCEIVER)[0].status, 0x05);
    rig.pass(30_000);
    assert_eq!(rig.bind(4, TRANSCEIVER)[0].status, 0);
    // One that unbinds leaves no ghost.
    rig.feed(4, &request(id::UNBIND, 9, |_| {}));
    assert_eq!(rig.bind(5, TRANSCEIVER)[0].status, 0);
}

#[test]
fn quirk_27_sessions_are_counted_per_account() {
    let mut rig = Rig::with(json!({"binds": {"max_sessions": 2, "max_sessions_status": 5}}));
    assert_eq!(rig.bind(2, id::BIND_RECEIVER)[0].status, 0);
    assert_eq!(rig.bind(3, TRANSCEIVER)[0].status, 5);
    assert_eq!(rig.bind_as(4, TRANSCEIVER, "other", "")[0].status, 0);
    rig.lose(2);
    assert_eq!(rig.bind(5, TRANSCEIVER)[0].status, 0);
}

#[test]
fn interface_versions_3_3_3_4_and_5_0_are_told_to_those_who_know_tlvs() {
    for (version, tlv) in [
        (0x33, &[2, 0x10, 0, 1, 0x33][..]),
        (0x34, &[2, 0x10, 0, 1, 0x34]),
        (0x50, &[2, 0x10, 0, 1, 0x50]),
        (0, &[]),
    ] {
        let mut rig = Rig::new(options(json!({"binds": {"interface_version": version}})));
        let answer = &rig.bind(1, TRANSCEIVER)[0];
        assert_eq!(answer.body, [b"smsgw-sim\0", tlv].concat());
    }
    let mut rig = Rig::new(SmscOptions::default());
    rig.open(1);
    assert_eq!(
        rig.feed(1, &bind_pdu(TRANSCEIVER, "a", "", 0x33))[0].body,
        b"smsgw-sim\0"
    );
}

#[test]
fn a_bind_answer_may_take_its_time() {
    let mut rig = Rig::new(options(json!({"binds": {"bind_delay": "3s"}})));
    assert_eq!(rig.bind(1, TRANSCEIVER), []);
    assert_eq!(rig.at(2_999), []);
    assert_eq!(rig.at(3_000)[0].status, 0);
}

#[test]
fn the_carrier_unbinds_after_so_many_submits_or_when_told() {
    let mut rig = Rig::with(json!({"receipts": "never", "binds": {"unbind_every": 2}}));
    assert_eq!(ids(&rig.submit(1, "49")), [ANSWER | id::SUBMIT_SM]);
    assert_eq!(ids(&rig.submit(2, "49")), [ANSWER | id::SUBMIT_SM, id::UNBIND]);
    assert_eq!(rig.submit(3, "49")[0].status, 0x04);
    let mut rig = Rig::bound(SmscOptions::default());
    rig.machine.unbind_all();
    assert_eq!(ids(&rig.out(1)), [id::UNBIND]);
}

#[test]
fn outbind_asks_an_esme_to_bind_with_name_and_password() {
    let mut rig = Rig::new(SmscOptions::default());
    rig.open(1);
    rig.machine.outbind(SessionId(1), "secret");
    let out = rig.out(1);
    assert_eq!(
        (out[0].id, &out[0].body[..]),
        (id::OUTBIND, &b"smsgw-sim\0secret\0"[..])
    );
    assert_eq!(
        rig.feed(1, &bind_pdu(id::BIND_RECEIVER, "a", "", 0x34))[0].status,
        0
    );
}

#[test]
fn what_was_bound_once_is_not_bound_again_and_a_cut_length_ends_a_session() {
    let mut rig = Rig::bound(SmscOptions::default());
    assert_eq!(rig.feed(1, &bind_pdu(TRANSCEIVER, "a", "", 0x34))[0].status, 0x05);
    assert_eq!(rig.flow(1), Flow::Open);
    let nack = rig.feed(1, &[0, 0, 0, 8]);
    assert_eq!(
        (nack[0].id, nack[0].status, rig.flow(1)),
        (id::GENERIC_NACK, 0x02, Flow::Closing)
    );
}

#[test]
fn requests_nobody_knows_are_nacked_and_octets_may_be_cut_anywhere() {
    let mut rig = Rig::bound(options(json!({"receipts": "never"})));
    assert_eq!(
        (
            rig.feed(1, &request(0x77, 3, |_| {}))[0].id,
            rig.machine.stats().undecodable
        ),
        (id::GENERIC_NACK, 1)
    );
    let submit = request(id::SUBMIT_SM, 7, |out| Submit::default().body(out));
    let mut answered = Vec::new();
    for octet in submit.iter().chain(&submit) {
        answered.extend(rig.feed(1, &[*octet]));
    }
    assert_eq!(answers(&answered).len(), 2);
}
