//! The records that stand in queues, logs and state: what any release wrote, this one reads.
//!
//! `fixtures/<kind>-v<version>.hex` is committed when a kind or version is born and never changed. To add one, run with
//! `SMSGW_WRITE_FIXTURES=1`: only missing files are written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "records/down.rs"]
mod down;
#[path = "records/money.rs"]
mod money;
#[path = "records/routed.rs"]
mod routed;

use down::{mo_down, mo_down_with_everything, report};
use proptest::prelude::*;
use smsgw_message::dcs::Charset;
use smsgw_message::segment::split;
use smsgw_message::text::{Requested, encode};
use smsgw_message::*;
use std::path::PathBuf;

fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn via() -> Via {
    let operator = OperatorId::try_new("alpha").unwrap();
    Via {
        group: LinkGroup::of(&operator),
        operator,
    }
}

fn link() -> LinkId {
    LinkId::new(&via().operator, 1)
}

fn client() -> ClientId {
    ClientId::try_new("acme").unwrap()
}

fn mt() -> MtMessage {
    MtMessage {
        id: id(1),
        client: client(),
        accepted_at: at(1_795_248_000_000),
        from: Some(Address::sender("ACME").unwrap()),
        to: Address::msisdn("+491700000001").unwrap(),
        encoding: Encoding::Gsm7,
        parts: split(&encode(&"x€".repeat(100), Requested::Auto).unwrap(), 7).unwrap(),
        class: Class::Otp,
        valid_until: at(1_795_248_600_000),
        report: ReportLevel::All,
        callback: Some("http://127.0.0.1:9000/events".to_owned()),
        reference: Some("order-7".to_owned()),
        origin: Origin::Http,
        message_class: Some(0),
        options: None,
        send_at: None,
        tags: None,
        registered_delivery: None,
        bind: None,
        bundle: None,
        batch: None,
        charge: None,
        submitted_coding: None,
    }
}

fn life() -> MessageLife {
    let mut life = MessageLife::accepted(mt());
    life.state = MessageState::Failed;
    life.error = Some("001".to_owned());
    life.is_final = true;
    life.parts[0] = PartLife {
        state: MessageState::Delivered,
        via: Some(via()),
        carrier_id: Some("0A1b".to_owned()),
        error: None,
        is_final: true,
        link: None,
        tried: None,
        sent_as: None,
        fallback: None,
        silent_at: None,
        spent: None,
    };
    life.note(LifeEvent {
        at: at(1_795_248_000_050),
        event: EventName::MtSent,
        part: Some(1),
        detail: Some("alpha".to_owned()),
    });
    life
}

fn receipt() -> Receipt {
    Receipt {
        via: via(),
        link: link(),
        carrier_id: "0A1b".to_owned(),
        state: ReceiptState::Delivered,
        error: Some("000".to_owned()),
        text: "id:0A1b sub:001".to_owned(),
        at: at(1_795_248_001_000),
        done_date: Some("2611210800".to_owned()),
        from: None,
        to: None,
        text_id: None,
    }
}

fn result(outcome: SubmitOutcome) -> Up {
    Up::SubmitResult(SubmitResult {
        message: id(1),
        part: 2,
        client: client(),
        via: via(),
        link: Some(link()),
        outcome,
        at: at(1_795_248_000_050),
        receipt_asked: true,
        report: ReportLevel::Final,
        reroute: None,
    })
}

fn mo() -> Up {
    Up::Mo(Mo {
        id: id(3),
        via: via(),
        link: link(),
        from: Address::msisdn("491700000001").unwrap(),
        to: Address::sender("12345").unwrap(),
        data_coding: 8,
        encoding: Encoding::Ucs2,
        udh: vec![5, 0, 3, 1, 2, 1].into(),
        data: vec![0, 65].into(),
        at: at(1_795_248_002_000),
        sar: Some(Sar {
            reference: 9,
            total: 2,
            number: 1,
        }),
        charset: None,
        raw: None,
    })
}

/// What fields that were added later hold.
fn mo_of_packed_septets() -> Up {
    let Up::Mo(plain) = mo() else {
        panic!("an MO");
    };
    Up::Mo(Mo {
        charset: Some(Charset::Cyrillic),
        raw: Some(vec![0xC1, 0x60].into()),
        ..plain
    })
}

fn event() -> Event {
    Event {
        message: Some(id(1)),
        client: Some(client()),
        operator: Some(via().operator),
        parts: 2,
        state: Some(MessageState::Delivered),
        error: Some("000".to_owned()),
        age_ms: Some(1_234),
        ..Event::new(at(1_795_248_001_000), EventName::MtFinal)
    }
}

fn event_everything() -> Event {
    Event {
        from: Some(Address::sender("ACME").unwrap()),
        to: Some(Address::msisdn("491700000001").unwrap()),
        reference: Some("order-7".to_owned()),
        class: Some(Class::Otp),
        part: Some(2),
        link: Some(link()),
        carrier_id: Some("A7".to_owned()),
        route: Some(3),
        tags: Some(vec!["spring".to_owned()]),
        encoding: Some(Encoding::Gsm7),
        text: Some("Hello".to_owned()),
        ..event()
    }
}

fn holds<R: Record + PartialEq + std::fmt::Debug>(name: &str, record: &R) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(format!("{name}-v{}.hex", R::VERSION));
    if std::env::var_os("SMSGW_WRITE_FIXTURES").is_some() && !file.exists() {
        let hex: String = record
            .to_record()
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        std::fs::write(&file, hex + "\n").unwrap();
    }
    let hex = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let octets: Vec<u8> = hex
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(
        &R::from_record(&octets).unwrap(),
        record,
        "{name}: the fixture means something else now"
    );
    assert_eq!(
        record.to_record().as_ref(),
        octets,
        "{name}: written differently without a new version"
    );
}

#[test]
fn every_record_ever_released_is_read_and_written_the_same() {
    holds(
        "cancel-request",
        &CancelRequest {
            client: client(),
            at: at(1_795_248_000_000),
        },
    );
    holds(
        "cancels",
        &Cancels {
            until: at(1_795_248_600_000),
            groups: None,
        },
    );
    holds(
        "cancels-groups",
        &Cancels {
            until: at(1_795_248_600_000),
            groups: Some(vec![GroupCancels {
                client: client(),
                until: at(1_795_248_700_000),
            }]),
        },
    );
    let wish = |service_type: Option<&str>| GroupWish {
        at: at(1_795_248_600_000),
        service_type: service_type.map(str::to_owned),
    };
    holds(
        "cancel-group",
        &CancelGroup {
            client: client(),
            wishes: vec![wish(None), wish(Some("WAP"))],
        },
    );
    let replace = ReplaceRequest {
        client: client(),
        at: at(1_795_248_000_000),
        seen: 17,
        message: Some(MtMessage {
            submitted_coding: Some(1),
            ..mt()
        }),
        waiting: Some(WaitingParts {
            operator: via().operator,
            records: vec![18, 19],
        }),
        spends: vec![CounterSpend {
            key: "quota/acme/day/2026-11-21".to_owned(),
            delta: -1,
            floor: Some(-1000),
            until: at(1_795_248_900_000),
        }],
        verdict: None,
    };
    holds("replace-request", &replace);
    holds(
        "replace-verdict",
        &ReplaceRequest {
            message: None,
            waiting: None,
            spends: Vec::new(),
            verdict: Some(ReplaceVerdict::TooLate),
            ..replace
        },
    );
    holds(
        "opt-out",
        &OptOut {
            since: at(1_795_248_000_000),
            until: Some(at(1_795_248_600_000)),
        },
    );
    holds("mt", &mt());
    holds(
        "client-request",
        &ClientRequest {
            event: id(2),
            client: client(),
            event_at: at(1_795_248_000_007),
            phone: Address::msisdn("491700000001").unwrap(),
            number: Address::sender("12345").unwrap(),
            body: "{\"text\":\"Danke\"}".to_owned(),
            at: at(1_795_248_000_107),
            refused: Some("no_route: no route leads to this destination".to_owned()),
            auto: None,
        },
    );
    holds(
        "client-request-auto",
        &ClientRequest {
            event: id(2),
            client: client(),
            event_at: at(1_795_248_000_007),
            phone: Address::msisdn("491700000001").unwrap(),
            number: Address::sender("12345").unwrap(),
            body: "{\"text\":\"Danke\",\"report\":\"none\"}".to_owned(),
            at: at(1_795_248_000_107),
            refused: None,
            auto: Some(ReplyBounds {
                max: 3,
                period_millis: 3_600_000,
                confirms_opt_out: true,
            }),
        },
    );
    let mut keyword = mo_down();
    if let DownKind::Mo(mo) = &mut keyword.what {
        mo.keyword = Some(KeywordAction::OptOut);
    }
    holds("down-mo-keyword", &keyword);
    let dispatch = mt().dispatch(2, &via().operator).unwrap();
    let before = Dispatch {
        reference: None,
        class: None,
        ..dispatch
    };
    holds("dispatch", &before);
    holds(
        "up-sent",
        &result(SubmitOutcome::Sent {
            carrier_id: "0A1b".to_owned(),
        }),
    );
    holds(
        "up-refused",
        &result(SubmitOutcome::Refused {
            error: "ESME_RINVDSTADR".to_owned(),
            status: 11,
        }),
    );
    holds("up-expired", &result(SubmitOutcome::Expired));
    holds("up-in-doubt", &result(SubmitOutcome::InDoubt));
    holds("up-receipt", &Up::Receipt(receipt()));
    holds(
        "up-receipt-two-ids",
        &Up::Receipt(Receipt {
            text_id: Some("2587".to_owned()),
            ..receipt()
        }),
    );
    holds(
        "up-doubt",
        &Up::InDoubt(InDoubt {
            message: id(1),
            part: 2,
            via: via(),
            detail: "link_lost: resubmit 1 of 5".to_owned(),
            at: at(1_795_248_000_050),
        }),
    );
    holds("up-mo", &mo());
    holds("up-mo-packed", &mo_of_packed_septets());
    holds("down-report", &report());
    holds(
        "down-report-for-bind",
        &Down {
            url: None,
            for_bind: Some(smsgw_message::ForBind {
                id: Some(id(9)),
                bind: Some(0x0102_0304_0506_0708),
                parts: 3,
                delivered: 2,
                is_final: true,
                text: None,
            }),
            ..report()
        },
    );
    holds("down-mo", &mo_down());
    holds("down-mo-everything", &mo_down_with_everything());
    holds("life", &life());
    holds(
        "told",
        &Told {
            message: id(1),
            at: at(1_795_248_003_500),
            attempts: 2,
        },
    );
    holds("event", &event());
    holds("event-everything", &event_everything());
    holds(
        "event-in-doubt",
        &Event::new(at(1_795_248_000_050), EventName::MtInDoubt),
    );
    let (verb, by) = ("reload".to_owned(), "SIGHUP".to_owned());
    holds(
        "instruction",
        &Instruction {
            id: id(5),
            verb,
            by,
            at: at(1_795_248_004_000),
            target: None,
            link: None,
            reason: None,
            argument: None,
        },
    );
    let alpha = || "alpha".to_owned();
    holds(
        "operator-orders",
        &OperatorOrders {
            enabled: [(alpha(), false)].into(),
            ..OperatorOrders::default()
        },
    );
    let order = |state: Option<&str>, held| LinkOrder {
        state: state.map(str::to_owned),
        held,
    };
    holds(
        "operator-orders-links",
        &OperatorOrders {
            enabled: [(alpha(), false)].into(),
            drained: Some([alpha()].into()),
            links: Some(
                [(
                    alpha(),
                    [
                        (2, order(Some("drained"), None)),
                        (3, order(Some("open"), Some(true))),
                    ]
                    .into(),
                )]
                .into(),
            ),
        },
    );
    let (verb, by) = ("drain".to_owned(), "admin".to_owned());
    holds(
        "instruction-link",
        &Instruction {
            id: id(6),
            verb,
            by,
            at: at(1_795_248_004_000),
            target: Some(alpha()),
            link: Some(2),
            reason: None,
            argument: None,
        },
    );
    let (outcome, detail) = ("applied".to_owned(), "epoch 2".to_owned());
    holds(
        "instruction-result",
        &InstructionResult {
            outcome,
            detail,
            at: at(1_795_248_005_000),
        },
    );
}

#[test]
fn a_record_of_another_kind_or_a_newer_version_is_told_apart_from_a_broken_one() {
    let record = mt().to_record();
    assert!(matches!(
        Up::from_record(&record),
        Err(RecordError::Kind {
            expected: 3,
            found: 1
        })
    ));
    let mut newer = record.to_vec();
    newer[1] = 2;
    assert!(matches!(
        MtMessage::from_record(&newer),
        Err(RecordError::Version { known: 1, found: 2 })
    ));
    newer[1] = 0;
    assert!(matches!(
        MtMessage::from_record(&newer),
        Err(RecordError::Version { known: 1, found: 0 })
    ));
    assert!(matches!(
        MtMessage::from_record(&record[..20]),
        Err(RecordError::Body(_))
    ));
    assert!(matches!(
        MtMessage::from_record(&record[..1]),
        Err(RecordError::Empty)
    ));
    assert!(matches!(MtMessage::from_record(&[]), Err(RecordError::Empty)));
}

#[test]
fn a_field_added_later_is_skipped_by_this_version() {
    // A told record as a later release could write it: one more field at a new index.
    let mut later = vec![Told::KIND, Told::VERSION];
    let mut encoder = minicbor::Encoder::new(&mut later);
    encoder
        .array(4)
        .unwrap()
        .bytes(&[1; 16])
        .unwrap()
        .i64(5)
        .unwrap()
        .u32(2)
        .unwrap()
        .str("new")
        .unwrap();
    assert_eq!(
        Told::from_record(&later).unwrap(),
        Told {
            message: id(1),
            at: at(5),
            attempts: 2
        }
    );
}

#[test]
fn a_life_stays_bounded_and_keeps_its_beginning_and_its_end() {
    let mut life = life();
    for n in 0..200 {
        life.note(LifeEvent {
            at: at(n),
            event: EventName::MtProgress,
            part: None,
            detail: None,
        });
    }
    assert_eq!(life.events.len(), MAX_EVENTS);
    assert_eq!(life.events[0].event, EventName::MtAccepted);
    assert_eq!(life.events[MAX_EVENTS - 1].at, at(199));
}

proptest! {
    #[test]
    fn whatever_octets_come_decoding_neither_panics_nor_believes_them(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in 1..=10 {
            let mut record = vec![kind, 1];
            record.extend_from_slice(&octets);
            let read = [
                MtMessage::from_record(&record).is_ok(), Dispatch::from_record(&record).is_ok(),
                Up::from_record(&record).is_ok(), Down::from_record(&record).is_ok(),
                MessageLife::from_record(&record).is_ok(), Told::from_record(&record).is_ok(),
                Event::from_record(&record).is_ok(), Instruction::from_record(&record).is_ok(),
                InstructionResult::from_record(&record).is_ok(),
            ];
            prop_assert!(read.iter().filter(|ok| **ok).count() <= 1, "one kind is one type");
        }
    }

    #[test]
    fn a_message_of_any_text_comes_back_as_it_was(text in "\\PC{0,400}", reference in proptest::option::of("\\PC{0,40}")) {
        let parts = split(&encode(&text, Requested::Auto).unwrap(), 1).unwrap();
        let message = MtMessage { parts, reference, ..mt() };
        prop_assert_eq!(MtMessage::from_record(&message.to_record()).unwrap(), message);
    }
}
