//! Ledgers by hand, and what the comparison makes of them.

use super::*;
use crate::ledger::{Fate, MoTaken, Submit};

fn token(way: Way, number: u32) -> Token {
    Token { way, run: 1, number }
}

fn sent(number: u32, status: u32) -> Sent {
    let id = (status == 202).then(|| format!("id{number}"));
    Sent {
        at: 0,
        token: token(Way::Mt, number),
        to: "49".into(),
        status,
        id,
    }
}

fn submit(number: Option<u32>, fate: Fate) -> CarrierRecord {
    CarrierRecord::Submit(Submit {
        at: 0,
        session: 1,
        system_id: "test".into(),
        sequence: 1,
        id: "1".into(),
        token: number.map(|number| token(Way::Mt, number)),
        source: String::new(),
        destination: "49".into(),
        octets: String::new(),
        esm_class: 0,
        data_coding: 0,
        registered_delivery: 1,
        status: u32::from(fate == Fate::Refused) * 8,
        fate,
    })
}

fn taken(number: u32) -> CarrierRecord {
    CarrierRecord::MoTaken(MoTaken {
        at: 0,
        token: Some(token(Way::Mo, number)),
        source: "49".into(),
        destination: "1".into(),
    })
}

fn callback(
    kind: &str,
    event: &str,
    message: &str,
    state: Option<&str>,
    mo: Option<u32>,
    answered: u16,
) -> Callback {
    Callback {
        at: 0,
        kind: kind.into(),
        event: event.into(),
        message: message.into(),
        state: state.map(Into::into),
        token: mo.map(|number| token(Way::Mo, number)),
        answered,
    }
}

fn mt(sent: &[Sent], carrier: &[CarrierRecord]) -> MtComparison {
    compare(Ledgers {
        sent,
        carrier,
        callbacks: None,
        reports_expected: false,
    })
    .mt
}

#[test]
fn what_arrived_once_is_neither_missing_nor_doubled() {
    let all = mt(
        &[sent(1, 202), sent(2, 202)],
        &[submit(Some(2), Fate::Accepted), submit(Some(1), Fate::Accepted)],
    );
    assert_eq!(
        all,
        MtComparison {
            accepted: 2,
            carried: 2,
            ..MtComparison::default()
        }
    );
}

#[test]
fn each_deviation_is_found_where_it_belongs() {
    use Fate::{Accepted, Cut, Refused, Unanswered};
    let found = mt(
        &[
            sent(1, 202),
            sent(2, 202),
            sent(3, 202),
            sent(4, 503),
            sent(5, 0),
            sent(6, 0),
            sent(7, 202),
        ],
        &[
            submit(Some(2), Accepted),
            submit(Some(2), Accepted),
            submit(Some(3), Cut),
            submit(Some(3), Unanswered),
            submit(Some(3), Accepted),
            submit(Some(4), Accepted),
            submit(Some(5), Accepted),
            submit(Some(7), Refused),
            submit(Some(7), Accepted),
            submit(Some(99), Accepted),
            submit(None, Accepted),
        ],
    );
    let one = |name: u32| Found {
        count: 1,
        examples: vec![token(Way::Mt, name).to_string()],
    };
    assert_eq!(found.missing.examples, [format!("{} (id1)", token(Way::Mt, 1))]);
    assert_eq!(
        (found.doubled.clone(), found.resubmitted.clone()),
        (one(2), one(3))
    );
    assert_eq!(
        (found.unknown.count, found.in_doubt, found.in_doubt_carried),
        (2, 2, 1)
    );
    assert_eq!(
        (found.accepted, found.carried, found.refused, found.without_token),
        (4, 6, 1, 1)
    );
    let whole = Comparison {
        mt: found,
        ..Comparison::default()
    };
    assert!(!whole.nothing_lost() && !whole.nothing_invented());
}

#[test]
fn an_id_answered_to_two_requests_is_found() {
    let mut second = sent(2, 202);
    second.id = Some("id1".into());
    let found = mt(
        &[sent(1, 202), second],
        &[submit(Some(1), Fate::Accepted), submit(Some(2), Fate::Accepted)],
    );
    assert_eq!(found.ids_repeated.examples, ["id1"]);
}

#[test]
fn reports_are_missing_doubled_or_unknown() {
    let sent: Vec<Sent> = (1..=4).map(|number| sent(number, 202)).collect();
    let carrier: Vec<CarrierRecord> = (1..=3)
        .map(|number| submit(Some(number), Fate::Accepted))
        .collect();
    let callbacks = [
        callback("report", "e1", "id1", Some("sent"), None, 200),
        callback("report", "e2", "id1", Some("delivered"), None, 503),
        callback("report", "e2", "id1", Some("delivered"), None, 204),
        callback("report", "e3", "id2", Some("delivered"), None, 200),
        callback("report", "e4", "id2", Some("failed"), None, 200),
        callback("report", "e5", "id9", Some("delivered"), None, 200),
        callback("report", "e6", "id3", Some("delivered"), None, 500),
    ];
    let ledgers = Ledgers {
        sent: &sent,
        carrier: &carrier,
        callbacks: Some(&callbacks),
        reports_expected: true,
    };
    let found = compare(ledgers).reports.unwrap();
    assert_eq!(found.reported, 2);
    assert_eq!(
        (found.missing.examples, found.doubled.examples),
        (vec!["id3".into()], vec!["id2".into()])
    );
    assert_eq!(found.unknown.examples, ["id9"]);
    assert_eq!(
        compare(Ledgers {
            reports_expected: false,
            ..ledgers
        })
        .reports,
        None
    );
}

#[test]
fn messages_from_phones_are_missing_doubled_or_not_taken() {
    let callbacks = [
        callback("mo", "e1", "m1", None, Some(1), 200),
        callback("mo", "e2", "m2", None, Some(2), 200),
        callback("mo", "e2", "m2", None, Some(2), 200),
        callback("mo", "e3", "m3", None, Some(3), 503),
        callback("mo", "e4", "m4", None, Some(4), 200),
    ];
    let carrier = [taken(1), taken(2), taken(3)];
    let found = compare(Ledgers {
        sent: &[],
        carrier: &carrier,
        callbacks: Some(&callbacks),
        reports_expected: false,
    });
    let mo = found.mo.unwrap();
    assert_eq!((mo.taken, mo.called_back), (3, 3));
    let one = |number| vec![token(Way::Mo, number).to_string()];
    assert_eq!(
        (mo.missing.examples, mo.doubled.examples, mo.not_taken.examples),
        (one(3), one(2), one(4))
    );
}

#[test]
fn a_submit_whose_answer_was_lost_may_come_again() {
    use crate::ledger::AnswerLost;
    let lost = CarrierRecord::AnswerLost(AnswerLost {
        session: 1,
        id: "1".into(),
    });
    let mut again = submit(Some(1), Fate::Accepted);
    if let CarrierRecord::Submit(again) = &mut again {
        again.id = "2".into();
    }
    let found = mt(&[sent(1, 202)], &[submit(Some(1), Fate::Accepted), lost, again]);
    assert_eq!((found.resubmitted.count, found.doubled.count), (1, 0));
}
