//! Ledgers by hand, and what the comparison makes of them.

use super::*;
use crate::ledger::{Fate, MoTaken, Submit};
use crate::token::Token;

fn token(way: Way, number: u32) -> Token {
    Token { way, run: 1, number }
}

fn sent(number: u32, status: u32) -> Sent {
    let id = (status == 202).then(|| format!("id{number}"));
    Sent {
        at: 0,
        token: token(Way::Mt, number),
        to: "49".into(),
        from: None,
        text: None,
        status,
        id,
        more_ids: Vec::new(),
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
        sar: None,
        esm_class: 0,
        data_coding: 0,
        registered_delivery: 1,
        status: u32::from(fate == Fate::Refused) * 8,
        fate,
        state: None,
    })
}

fn taken(number: u32) -> CarrierRecord {
    CarrierRecord::MoTaken(MoTaken {
        at: 0,
        token: Some(token(Way::Mo, number)),
        source: "49".into(),
        destination: "1".into(),
        part: 1,
        parts: 1,
        text: None,
        again: false,
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
        text: None,
        from: None,
        to: None,
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
    let with_id = |name: u32| Found {
        count: 1,
        examples: vec![format!("{} (id{name})", token(Way::Mt, name))],
    };
    assert_eq!(found.missing.examples, [format!("{} (id1)", token(Way::Mt, 1))]);
    assert_eq!(
        (found.doubled.clone(), found.resubmitted.clone()),
        (with_id(2), with_id(3))
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
        (vec![format!("{} (id3)", token(Way::Mt, 3))], vec!["id2".into()])
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

/// A message with a text, sender and recipient, and its submit.
fn whole(number: u32, text: &str) -> (Sent, Submit) {
    let token = token(Way::Mt, number);
    let text = format!("{token} {text}");
    let sent = Sent {
        from: Some("12345".into()),
        to: "+491700000001".into(),
        text: Some(sum(text.as_bytes())),
        ..sent(number, 202)
    };
    let CarrierRecord::Submit(submit) = submit(Some(number), Fate::Accepted) else {
        panic!("no submit")
    };
    let submit = Submit {
        source: "12345".into(),
        destination: "491700000001".into(),
        octets: crate::ledger::hex(text.as_bytes()),
        id: format!("c{number}"),
        ..submit
    };
    (sent, submit)
}

#[test]
fn an_altered_text_sender_or_recipient_is_found() {
    let (sent, submit) = whole(1, "hello");
    let altered = |submit: Submit| {
        mt(std::slice::from_ref(&sent), &[CarrierRecord::Submit(submit)])
            .altered
            .examples
    };
    let found = [format!("{} (id1)", token(Way::Mt, 1))];
    assert_eq!(altered(submit.clone()), [""; 0]);
    let mut octets = submit.octets.clone();
    octets.replace_range(octets.len() - 2.., "70");
    assert_eq!(
        altered(Submit {
            octets,
            ..submit.clone()
        }),
        found
    );
    assert_eq!(
        altered(Submit {
            source: "12346".into(),
            ..submit.clone()
        }),
        found
    );
    assert_eq!(
        altered(Submit {
            destination: "491700000002".into(),
            ..submit.clone()
        }),
        found
    );
    // The same text in another coding is the same text.
    let wide: Vec<u8> = crate::ledger::unhex(&submit.octets)
        .unwrap()
        .into_iter()
        .flat_map(|octet| [0, octet])
        .collect();
    assert_eq!(
        altered(Submit {
            octets: crate::ledger::hex(&wide),
            data_coding: 8,
            ..submit
        }),
        [""; 0]
    );
}

/// The submits of a message in parts, by UDH.
fn in_parts(number: u32, text: &str, size: usize) -> (Sent, Vec<Submit>) {
    let (sent, submit) = whole(number, text);
    let octets = crate::ledger::unhex(&submit.octets).unwrap();
    let total = u8::try_from(octets.chunks(size).count()).unwrap();
    let parts = octets.chunks(size).zip(1_u8..).map(|(piece, at)| Submit {
        octets: crate::ledger::hex(&[&[5, 0, 3, 9, total, at], piece].concat()),
        token: submit.token.filter(|_| at == 1),
        esm_class: 0x40,
        id: format!("c{number}-{at}"),
        ..submit.clone()
    });
    (sent, parts.collect())
}

#[test]
fn long_messages_are_put_together_before_they_are_compared() {
    let (sent, parts) = in_parts(1, &"lorem ipsum ".repeat(20), 100);
    assert_eq!(parts.len(), 3);
    let found = |parts: &[&Submit]| {
        let records: Vec<_> = parts
            .iter()
            .map(|part| CarrierRecord::Submit((*part).clone()))
            .collect();
        mt(std::slice::from_ref(&sent), &records)
    };
    let [one, two, three] = &parts[..] else {
        panic!("{parts:?}")
    };
    let whole = found(&[three, one, two]);
    assert_eq!(
        (
            whole.carried,
            whole.missing.count,
            whole.altered.count,
            whole.without_token
        ),
        (1, 0, 0, 0)
    );
    let cut = found(&[one, two]);
    assert_eq!((cut.carried, cut.missing.count), (0, 1));
    let twice = found(&[one, two, three, two]);
    assert_eq!((twice.carried, twice.doubled.count), (1, 1));
    let swapped = Submit {
        octets: three.octets.replacen("050003090303", "050003090302", 1),
        ..three.clone()
    };
    let other = Submit {
        octets: two.octets.replacen("050003090302", "050003090303", 1),
        ..two.clone()
    };
    assert_eq!(found(&[one, &swapped, &other]).altered.count, 1);
    assert_eq!(found(&[two, three]).without_token, 2);
}

#[test]
fn a_report_that_says_otherwise_than_the_carrier_is_found() {
    let (sent, submit) = whole(1, "hello");
    let found = |told: Option<&str>, status: u32, reported: &str| {
        let submit = Submit {
            state: told.map(str::to_owned),
            status,
            fate: if status == 0 {
                Fate::Accepted
            } else {
                Fate::Refused
            },
            ..submit.clone()
        };
        let mut comparer = Comparer::new(Vec::new(), true);
        comparer.sent(&sent);
        comparer.carrier(&CarrierRecord::Submit(submit));
        comparer.callback(&callback("report", "e1", "id1", Some(reported), None, 200));
        let found = comparer.finish(true);
        let wrong = found.reports.clone().unwrap().wrong.count;
        assert_eq!(found.nothing_invented(), wrong == 0);
        (wrong, found.mt.missing.count, found.mt.refused_for_good)
    };
    assert_eq!(found(Some("DELIVRD"), 0, "delivered"), (0, 0, 0));
    assert_eq!(found(Some("DELIVRD"), 0, "failed"), (1, 0, 0));
    assert_eq!(found(Some("UNDELIV"), 0, "failed"), (0, 0, 0));
    assert_eq!(found(Some("EXPIRED"), 0, "delivered"), (1, 0, 0));
    assert_eq!(
        found(None, 0, "expired"),
        (0, 0, 0),
        "nothing is said, nothing is judged"
    );
    assert_eq!(found(None, 0x0b, "rejected"), (0, 0, 1));
    assert_eq!(found(None, 0x0b, "delivered"), (1, 0, 1));
    assert_eq!(
        found(None, 0x58, "rejected"),
        (0, 1, 0),
        "it should have been tried again"
    );
}

#[test]
fn what_one_carrier_refused_and_another_took_is_reported_as_the_other_says() {
    let (sent, submit) = whole(1, "hello");
    let refused = Submit {
        status: 0x0b,
        fate: Fate::Refused,
        ..submit.clone()
    };
    let taken = Submit {
        state: Some("DELIVRD".to_owned()),
        ..submit
    };
    for (reported, wrong) in [("delivered", 0), ("rejected", 1)] {
        let mut comparer = Comparer::new(Vec::new(), true);
        comparer.sent(&sent);
        for submit in [&refused, &taken] {
            comparer.carrier(&CarrierRecord::Submit(submit.clone()));
        }
        comparer.callback(&callback("report", "e1", "id1", Some(reported), None, 200));
        let found = comparer.finish(true);
        assert_eq!(found.reports.unwrap().wrong.count, wrong, "{reported}");
        assert_eq!(found.mt.refused_for_good, 0);
    }
}

#[test]
fn every_submit_beyond_the_first_of_a_part_is_counted() {
    let (sent, submit) = whole(1, "hello");
    let again = Submit {
        fate: Fate::Cut,
        ..submit.clone()
    };
    let records = [again.clone(), again, submit].map(CarrierRecord::Submit);
    assert_eq!(mt(&[sent], &records).repeated_submits, 2);
    let (sent, parts) = in_parts(1, &"lorem ipsum ".repeat(20), 100);
    let records = [0, 1, 1, 2].map(|at: usize| CarrierRecord::Submit(parts[at].clone()));
    assert_eq!(mt(&[sent], &records).repeated_submits, 1);
}

#[test]
fn what_comes_twice_within_a_window_is_excused_and_outside_it_is_not() {
    let (sent, submit) = whole(1, "hello");
    let doubled = |at: i64| {
        let mut comparer = Comparer::new(vec![Window { from: 1000, to: 2000 }], true);
        comparer.sent(&sent);
        for (at, id) in [(10, "a"), (at, "b")] {
            let submit = Submit {
                at,
                id: id.into(),
                ..submit.clone()
            };
            comparer.carrier(&CarrierRecord::Submit(submit));
        }
        for (at, event) in [(20, "e1"), (at, "e2")] {
            let report = callback("report", event, "id1", Some("delivered"), None, 200);
            comparer.callback(&Callback { at, ..report });
        }
        let found = comparer.finish(true);
        let reports = found.reports.clone().unwrap();
        (
            found.mt.doubled.count,
            found.mt.resubmitted.count,
            reports.doubled.count,
            reports.excused.count,
            found.nothing_invented(),
        )
    };
    assert_eq!(doubled(1500), (0, 1, 0, 1, true));
    assert_eq!(doubled(2500), (1, 0, 1, 0, false));
}

#[test]
fn messages_from_phones_are_compared_both_ways() {
    let taken = |number: u32, text: &str, again: bool| {
        let CarrierRecord::MoTaken(taken) = taken(number) else {
            panic!("no MO")
        };
        CarrierRecord::MoTaken(MoTaken {
            text: Some(sum(text.as_bytes())),
            again,
            ..taken
        })
    };
    let called = |number: u32, text: &str, to: &str| Callback {
        text: Some(sum(text.as_bytes())),
        from: Some("+49".into()),
        to: Some(to.into()),
        ..callback("mo", "e", "m", None, Some(number), 200)
    };
    let carrier = [
        taken(1, "one", false),
        taken(2, "two", false),
        taken(3, "three", true),
        taken(4, "four", false),
    ];
    let mut invented = called(9, "nine", "1");
    invented.token = Some(Token {
        run: 77,
        ..token(Way::Mo, 9)
    });
    let callbacks = [
        called(1, "one", "1"),
        called(2, "other", "1"),
        called(3, "three", "1"),
        called(3, "three", "1"),
        called(4, "four", "2"),
        invented,
    ];
    let found = compare(Ledgers {
        sent: &[],
        carrier: &carrier,
        callbacks: Some(&callbacks),
        reports_expected: false,
    });
    let mo = found.mo.clone().unwrap();
    assert_eq!(
        (
            mo.altered.count,
            mo.excused.count,
            mo.doubled.count,
            mo.unknown.count
        ),
        (2, 1, 0, 1)
    );
    assert!(!found.nothing_invented() && found.nothing_lost());
}

#[test]
fn a_message_costs_about_a_hundred_octets() {
    let mut comparer = Comparer::new(Vec::new(), false);
    for number in 0..50_000 {
        comparer.sent(&sent(number, 202));
    }
    let memory = comparer.finish(false).memory / 50_000;
    assert!((60..160).contains(&memory), "{memory} octets a message");
}
