//! What is written of a message, and how it is found again.

use crate::make::{Database, NOW, SOURCE, accepted, at, event, id, life, write};
use smsgw_history::{Batch, Clue, Known, Life, Place, PostgresPlace, Settings, Writer, Written};
use smsgw_message::{Address, Event, EventName, MessageState, OperatorId, Record};
use smsgw_testkit::Postgres;

#[tokio::test]
async fn a_life_is_read_back_and_other_programs_read_the_same() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let message = id(0, 1);
        let written = write(&mut writer, 0, &life(message, 0, "491700000001")).await;
        assert_eq!(
            written,
            Written {
                messages: 1,
                events: 6
            }
        );
        let history = database.history();
        let Life { message: row, events } = history.life(message).await.unwrap().unwrap();
        assert_eq!(row.id, message);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((row.direction, row.client), (text("mt"), text("acme")));
        assert_eq!(
            (row.sender, row.recipient),
            (text("Example"), text("491700000001"))
        );
        assert_eq!((row.reference, row.class), (text("order-0"), text("otp")));
        assert_eq!(row.tags, ["news", "it's \"quoted\""]);
        assert_eq!(
            (row.encoding, row.parts, row.route),
            (text("gsm7"), Some(2), Some(1))
        );
        assert_eq!(
            (row.operator, row.state, row.error),
            (text("alpha"), text("delivered"), None)
        );
        assert_eq!((row.accepted_at, row.sent_at), (Some(at(0)), Some(at(20))));
        assert_eq!(
            (row.final_at, row.told_at, row.text),
            (Some(at(910)), Some(at(1_000)), None)
        );
        // The receipt is not known to be this message's; it has a row of its own.
        let words: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(
            words,
            [
                "mt_accepted",
                "mt_routed",
                "mt_sent",
                "mt_final",
                "delivered_to_client"
            ]
        );
        assert_eq!(
            (events[2].part, events[2].link.as_deref()),
            (Some(1), Some("alpha-1"))
        );
        assert_eq!(events[2].carrier_id.as_deref(), Some("C0"));
        assert_eq!(events[3].state.as_deref(), Some("delivered"));

        let day = "20261121";
        let columns = "client, sender, recipient, reference, state, parts, operator";
        let rows = database.rows(day, columns, "message", "id");
        assert_eq!(rows, ["acme|Example|491700000001|order-0|delivered|2|alpha"]);
        let rows = database.rows(day, "position, name", "event", "position");
        let all = [
            "0|mt_accepted",
            "1|mt_routed",
            "2|mt_sent",
            "3|dr_received",
            "4|mt_final",
            "5|delivered_to_client",
        ];
        assert_eq!(rows, all);
        assert_eq!(database.rows(day, "position", "source", "number"), ["6"]);

        for clue in [
            Clue::CarrierId("C0".to_owned()),
            Clue::Reference("order-0".to_owned()),
            Clue::Number("+491700000001".to_owned()),
            Clue::Number("Example".to_owned()),
        ] {
            let found = history.find(clue.clone(), 5).await.unwrap();
            assert_eq!(
                found.iter().map(|row| row.id).collect::<Vec<_>>(),
                [message],
                "{clue:?}"
            );
        }
        assert_eq!(
            history.find(Clue::CarrierId("C9".to_owned()), 5).await.unwrap(),
            []
        );
        assert_eq!(history.life(id(0, 2)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_mo_is_a_message_too() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let message = id(0, 1);
        let mo = |name, millis| Event {
            from: Some(Address::msisdn("491700000009").unwrap()),
            to: Some(Address::msisdn("12345").unwrap()),
            operator: Some(OperatorId::try_new("alpha").unwrap()),
            ..event(message, millis, name)
        };
        let received = Event {
            client: None,
            ..mo(EventName::MoReceived, 0)
        };
        write(&mut writer, 0, &[received]).await;
        let found = database
            .history()
            .find(Clue::Number("491700000009".to_owned()), 5)
            .await
            .unwrap();
        assert_eq!(
            (found[0].state.as_deref(), &found[0].client),
            (Some("received"), &None)
        );
        write(
            &mut writer,
            1,
            &[
                mo(EventName::MoRouted, 5),
                event(message, 9, EventName::DeliveredToClient),
            ],
        )
        .await;
        let Life { message: row, .. } = database.history().life(message).await.unwrap().unwrap();
        assert_eq!(
            (row.direction.as_deref(), row.state.as_deref()),
            (Some("mo"), Some("routed"))
        );
        assert_eq!((row.client.as_deref(), row.told_at), (Some("acme"), Some(at(9))));
    }
}

#[tokio::test]
async fn a_batch_written_again_changes_nothing_and_the_position_comes_back() {
    for database in Database::both() {
        let (first, second) = (
            life(id(0, 1), 0, "491700000001"),
            life(id(5, 2), 5, "491700000002"),
        );
        let mut writer = database.writer().await;
        write(&mut writer, 0, &first).await;
        let before = database.rows("20261121", "*", "message", "id");
        assert_eq!(write(&mut writer, 0, &first).await, Written::default());
        // The end of one and the beginning of the next, by a writer that did not hear the last answer.
        let mut writer = Writer::new(database.settings());
        assert_eq!(writer.open(SOURCE, NOW).await.unwrap().highest, Some(6));
        let overlapping: Vec<Event> = first[3..].iter().chain(&second).cloned().collect();
        write(&mut writer, 3, &overlapping).await;
        assert_eq!(database.rows("20261121", "*", "message", "id")[0], before[0]);
        assert_eq!(database.rows("20261121", "count(*)", "event", "1"), ["12"]);
        assert_eq!(database.rows("20261121", "position", "source", "number"), ["12"]);
    }
}

#[tokio::test]
async fn nothing_that_is_not_final_follows_what_is() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let message = id(0, 1);
        write(&mut writer, 0, &life(message, 0, "491700000001")).await;
        write(&mut writer, 6, &[event(message, 2_000, EventName::MtSent)]).await;
        let row = database.history().life(message).await.unwrap().unwrap().message;
        assert_eq!(
            (row.state.as_deref(), row.sent_at),
            (Some("delivered"), Some(at(20)))
        );
        // A receipt that overrules another one is final again.
        let failed = Event {
            state: Some(MessageState::Failed),
            error: Some("UNDELIV".to_owned()),
            ..event(message, 3_000, EventName::MtFinal)
        };
        write(&mut writer, 7, &[failed]).await;
        let row = database.history().life(message).await.unwrap().unwrap().message;
        assert_eq!(
            (row.state.as_deref(), row.error.as_deref()),
            (Some("failed"), Some("UNDELIV"))
        );
    }
}

#[tokio::test]
async fn what_a_peer_sends_is_stored_whatever_is_in_it() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let message = id(0, 1);
        let nasty = "'; DROP TABLE message; --\0\u{FFFF}\n|\"";
        let event = Event {
            reference: Some(nasty.to_owned()),
            carrier_id: Some(nasty.to_owned()),
            error: Some(nasty.repeat(2_000)),
            tags: Some(vec![nasty.to_owned()]),
            text: Some(nasty.to_owned()),
            ..accepted(message, 0, "491700000001")
        };
        let far = Event {
            message: Some(message),
            ..Event::new(at(i64::MAX - 2_000_000_000_000), EventName::DrUnknown)
        };
        write(&mut writer, 0, &[event, far]).await;
        let clean = nasty.replace('\0', "\u{FFFD}");
        let row = database.history().life(message).await.unwrap().unwrap().message;
        assert_eq!(row.reference.as_deref(), Some(clean.as_str()));
        assert_eq!(row.tags, std::slice::from_ref(&clean));
        assert_eq!(row.text.as_deref(), Some(clean.as_str()));
        let events = database.history().life(message).await.unwrap().unwrap().events;
        assert_eq!(events[0].carrier_id.as_deref(), Some(clean.as_str()));
        assert_eq!(events[1].name, "dr_unknown");
        let found = database
            .history()
            .find(Clue::CarrierId(nasty.to_owned()), 5)
            .await;
        assert!(found.unwrap().is_empty(), "it is no mt_sent");
    }
}

#[tokio::test]
async fn each_id_of_a_carrier_leads_to_its_message() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let message = id(0, 1);
        let sent = |part: u16| Event {
            part: Some(part),
            carrier_id: Some(format!("C-{part}")),
            ..event(message, i64::from(part), EventName::MtSent)
        };
        let events = [accepted(message, 0, "491700000001"), sent(1), sent(2)];
        write(&mut writer, 0, &events).await;
        write(&mut writer, 3, &[sent(3)]).await;
        let history = database.history();
        for part in 1..=3 {
            let found = history
                .find(Clue::CarrierId(format!("C-{part}")), 5)
                .await
                .unwrap();
            assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [message]);
        }
        let events = history.life(message).await.unwrap().unwrap().events;
        let parts: Vec<Option<u16>> = events.iter().map(|event| event.part).collect();
        assert_eq!(parts, [None, Some(1), Some(2), Some(3)]);
    }
}

#[tokio::test]
async fn masked_numbers_are_nowhere_and_are_still_found() {
    for database in Database::both() {
        let settings = Settings {
            mask: 4,
            ..database.settings()
        };
        let mut writer = Writer::new(settings.clone());
        writer.open(SOURCE, NOW).await.unwrap();
        let mut masked = Batch::new(0, 4);
        masked.push(0, accepted(id(0, 1), 0, "491700000001").to_record());
        masked.push(1, accepted(id(1, 2), 1, "491800000001").to_record());
        writer.write(masked, NOW).await.unwrap();
        assert_eq!(
            database.rows("20261121", "recipient", "message", "id"),
            ["49170000xxxx", "49180000xxxx"]
        );
        let history = smsgw_history::History::new(&settings);
        let found = history
            .find(Clue::Number("491700000001".to_owned()), 5)
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].sender.as_deref(), Some("Example"));
    }
}

#[tokio::test]
async fn two_gateways_share_one_server() {
    let database = Database::postgres();
    let mut one = database.writer().await;
    let other_source = smsgw_history::SourceId::from_bytes([1; 16]);
    let mut other = Writer::new(database.settings());
    assert_eq!(other.open(other_source, NOW).await.unwrap(), Known::default());
    write(&mut one, 0, &life(id(0, 1), 0, "491700000001")).await;
    write(&mut other, 0, &life(id(0, 2), 0, "491700000002")).await;
    assert_eq!(database.rows("", "count(*)", "event", "1"), ["12"]);
}

#[tokio::test]
async fn tls_is_used_where_it_is_asked_for_and_only_with_a_server_that_proves_itself() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let server = Postgres::start_with_tls(&certified.cert.pem(), &certified.signing_key.serialize_pem());
    let directory = tempfile::tempdir().unwrap();
    let authorities = directory.path().join("authorities.pem");
    std::fs::write(&authorities, certified.cert.pem()).unwrap();
    let place = |ca_file| Settings {
        place: Place::Postgres(PostgresPlace {
            url: server.tls_url(),
            ca_file,
        }),
        ..Settings::postgres("")
    };
    let mut writer = Writer::new(place(Some(authorities)));
    writer.open(SOURCE, NOW).await.unwrap();
    write(&mut writer, 0, &life(id(0, 1), 0, "491700000001")).await;
    assert_eq!(server.psql("SELECT count(*) FROM smsgw_event"), "6");
    assert_eq!(server.psql("SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE s.ssl AND a.application_name = 'smsgw'"), "1");
    let error = Writer::new(place(None)).open(SOURCE, NOW).await.unwrap_err();
    assert!(error.words().contains("certificate"), "{}", error.words());
}
