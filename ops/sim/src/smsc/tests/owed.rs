//! What is owed when a process is killed, and the next life of the carrier.

use super::*;
use crate::smsc::owed;
use crate::smsc::ucp::wire::put;
use serde_json::json;
use std::io::Write;

/// A carrier of these options at the time of another; it owes what that one owed, and what its writer left of a line.
fn after(mut killed: Rig, options: SmscOptions) -> Rig {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(killed.machine.debts().map_or(&[][..], |lines| lines))
        .unwrap();
    file.write_all(br#"{"type":"owed","number":1"#).unwrap();
    let mut next = Rig::new(options);
    next.now = killed.now;
    let now = next.moment();
    next.machine.resume(now, owed::read(file.path()).unwrap());
    next
}

/// The first life.
fn first(changes: serde_json::Value) -> Rig {
    let mut rig = after(Rig::new(SmscOptions::default()), options(changes));
    rig.bind(1, TRANSCEIVER);
    rig
}

fn told(pdus: &[Pdu]) -> Vec<String> {
    let pdus = receipts(pdus);
    let id = |pdu: &&Pdu| pdu.text()[3..].split(' ').next().unwrap().to_owned();
    pdus.iter().map(id).collect()
}

#[test]
fn receipts_that_a_life_owed_go_out_in_the_next_when_they_are_due() {
    let delay = json!({"receipt_delay": "1s"});
    let mut rig = first(delay.clone());
    rig.submit(1, "491");
    rig.submit(2, "492");
    let sent = rig.at(1000);
    assert_eq!(told(&sent), ["101", "102"]);
    rig.delivered(1, sent[0].sequence, 0);
    rig.submit(3, "493");
    rig.pass(1500);

    let mut next = after(rig, options(delay));
    let bound = next.bind(1, TRANSCEIVER);
    assert_eq!(told(&bound), [] as [String; 0]);
    let sent = next.at(1500);
    assert_eq!(told(&sent), ["102"], "was under way");
    let late = next.at(2000);
    assert_eq!(told(&late), ["103"], "was not due");
    let stats = next.machine.stats();
    assert_eq!((stats.resumed, stats.owed, stats.receipts), (2, 2, 0));
    for pdu in [&sent[0], &late[0]] {
        next.delivered(1, pdu.sequence, 0);
    }
    assert_eq!(next.machine.stats().owed, 0);
}

#[test]
fn a_message_from_a_phone_that_may_have_been_taken_comes_again_and_is_recorded_as_such() {
    let mut rig = first(json!({}));
    let now = rig.moment();
    let batch = json!({"total": 2, "parts": 2});
    rig.machine.inject_mo(now, serde_json::from_value(batch).unwrap());
    let sent = rig.out(1);
    rig.delivered(1, sent[0].sequence, 0);

    let mut next = after(rig, SmscOptions::default());
    next.bind(1, TRANSCEIVER);
    let again = next.at(0);
    let bodies = |pdus: &[Pdu]| pdus.iter().map(|pdu| pdu.body.clone()).collect::<Vec<_>>();
    assert_eq!(bodies(&again), bodies(&sent[1..]));
    for pdu in &again {
        next.delivered(1, pdu.sequence, 0);
    }
    let records = next.records();
    let taken = |record: &CarrierRecord| match record {
        CarrierRecord::MoTaken(taken) => (taken.part, taken.again),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        records.iter().map(taken).collect::<Vec<_>>(),
        [(2, true), (1, true), (2, true)]
    );
}

#[test]
fn what_was_refused_cancelled_or_forgotten_is_owed_no_longer() {
    let mut rig = first(json!({"receipt_delay": "1s", "outbox": 1}));
    rig.submit(1, "491");
    rig.submit(2, "492");
    let cancel = request(id::CANCEL_SM, 3, |out| {
        put_string(out, b"");
        put_string(out, b"102");
        put_address(out, 3, 0, b"12345");
        put_address(out, 1, 1, b"492");
    });
    // Its receipt is that of the cancelled message; the one that was to come at its time does not.
    let cancelled = rig.feed(1, &cancel);
    assert_eq!(told(&cancelled), ["102"]);
    rig.delivered(1, receipts(&cancelled)[0].sequence, 0);
    let sent = rig.at(1000);
    assert_eq!(told(&sent), ["101"]);
    rig.delivered(1, sent[0].sequence, 0x45);
    assert_eq!(rig.machine.stats().owed, 0);
    for sequence in 4..=6 {
        rig.submit(sequence, "494");
    }
    rig.lose(1);
    rig.pass(2000);
    let stats = rig.machine.stats();
    assert_eq!((stats.deliveries_forgotten, stats.owed), (2, 1));
    assert_eq!(after(rig, SmscOptions::default()).machine.stats().owed, 1);
}

#[test]
fn over_ucp_a_notification_of_an_earlier_life_has_the_time_stamp_of_its_answer() {
    let ucp = |changes| SmscOptions {
        protocol: Protocol::Ucp,
        ..options(changes)
    };
    let mut rig = after(
        Rig::new(SmscOptions::default()),
        ucp(json!({"receipt_delay": "5s", "answer_delay": "1500ms"})),
    );
    let open = |rig: &mut Rig| {
        let now = rig.moment();
        rig.machine.handle_opened(now, SessionId(1));
        let mut octets = BytesMut::new();
        let fields = ["1", "6", "5", "1", "", "", "0100", "", "", "", "", ""];
        put(&mut octets, 0, true, 60, &fields, 0);
        rig.machine.handle_bytes(now, SessionId(1), &octets);
        rig.raw(1);
    };
    open(&mut rig);
    let mut fields = [""; 33];
    (fields[0], fields[1], fields[3], fields[5], fields[18], fields[20]) =
        ("0049171", "12345", "1", "3", "3", "48656C6C6F");
    let mut submit = BytesMut::new();
    put(&mut submit, 1, true, 51, &fields, 0);
    let now = rig.moment();
    rig.machine.handle_bytes(now, SessionId(1), &submit);
    rig.pass(1500);
    let answer = String::from_utf8(rig.raw(1)).unwrap();
    assert!(answer.contains("0049171:211126080000"), "{answer}");
    rig.pass(4000);

    let mut next = after(rig, ucp(json!({})));
    open(&mut next);
    next.pass(6500);
    let told = String::from_utf8(next.raw(1)).unwrap();
    assert!(
        told.contains("/O/53/") && told.contains("/211126080000/0/000/"),
        "{told}"
    );
}
