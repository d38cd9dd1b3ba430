//! HI-2: wherever the log is cut, and however often a piece is written again, the rows are the same.

use crate::make::{Database, SOURCE, at, client, event, id, life, write};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use smsgw_history::{History, Life, Settings, SourceId, Writer};
use smsgw_message::{Address, Class, Encoding, Event, EventName, MessageState, OperatorId};

const NAMES: [EventName; 8] = [
    EventName::MtAccepted,
    EventName::MtRouted,
    EventName::MtSent,
    EventName::MtRefused,
    EventName::MtRerouted,
    EventName::MtFinal,
    EventName::DeliveredToClient,
    EventName::MtRecut,
];

fn log(picks: &[(usize, u16, usize)]) -> Vec<Event> {
    (0_i64..)
        .zip(picks)
        .map(|(n, (name, message, more))| {
            let name = NAMES[*name];
            let mut event = event(id(0, *message), n, name);
            event.client = (more % 2 == 0).then(|| client(["a", "b"][more / 2 % 2]));
            event.operator =
                (more % 3 == 0).then(|| OperatorId::try_new(["alpha", "beta"][more % 2]).unwrap());
            event.to = (more % 5 == 0).then(|| Address::msisdn(&format!("4917000000{more:02}")).unwrap());
            event.state = (name == EventName::MtFinal).then(|| MessageState::ALL[4 + more % 5]);
            event.error = (more % 4 == 1).then(|| format!("e{more}"));
            event.parts = *more as u16;
            event.from = (more % 7 == 0).then(|| Address::sender(&format!("Name{more}")).unwrap());
            event.reference = (more % 7 == 1).then(|| format!("own-{more}"));
            event.class = (more % 7 == 2).then_some([Class::Otp, Class::Bulk][more % 2]);
            event.tags = (more % 2 == 0).then(|| vec![format!("t{more}")]);
            event.carrier_id = (more % 3 == 1).then(|| format!("C\"{more}\\\n"));
            event.part = (more % 3 == 1).then_some(*more as u16);
            event.route = (more % 5 == 1).then_some(*more as u32);
            event
        })
        .collect()
}

async fn lives(settings: &Settings) -> Vec<Option<Life>> {
    let history = History::new(settings);
    let mut lives = Vec::new();
    for message in 0..4 {
        lives.push(history.life(id(0, message)).await.unwrap());
    }
    lives
}

/// Writes the log in one piece, and in pieces of which some are written twice, to databases of their own.
async fn same(events: &[Event], cuts: &[usize], whole: &Settings, pieces: &Settings, source: SourceId) {
    let mut writer = Writer::new(whole.clone());
    writer.open(source, at(0)).await.unwrap();
    writer.write(crate::make::batch(0, events), at(0)).await.unwrap();
    let mut writer = Writer::new(pieces.clone());
    writer.open(source, at(0)).await.unwrap();
    let mut from = 0;
    for (n, cut) in cuts.iter().chain([&events.len()]).enumerate() {
        let to = (*cut).clamp(from, events.len());
        // Every other piece begins again a little before: as after a crash between the database and the engine.
        let again = from.saturating_sub(n % 2 * 3);
        let batch = crate::make::batch(again as u64, &events[again..to]);
        writer.write(batch, at(0)).await.unwrap();
        from = to;
    }
    assert_eq!(lives(whole).await, lives(pieces).await);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn cutting_the_log_elsewhere_changes_no_row(
        picks in proptest::collection::vec((0_usize..8, 0_u16..4, 0_usize..30), 1..40),
        mut cuts in proptest::collection::vec(0_usize..40, 0..6),
    ) {
        cuts.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, pieces) = (Database::sqlite(), Database::sqlite());
        runtime.block_on(same(&log(&picks), &cuts, &whole.settings(), &pieces.settings(), SOURCE));
    }
}

/// More accepts than one statement holds, of messages of which some were told of before: the end of their lives came first.
#[tokio::test]
async fn accepts_of_messages_that_are_there_already_change_what_they_should_and_are_no_less_with_others() {
    let lives: Vec<Vec<Event>> = (0..70_u16)
        .map(|n| life(id(0, n), i64::from(n), &format!("4917000000{n:02}")))
        .collect();
    let late = |n: &usize| *n == 0 || *n == 17 || (32..48).contains(n) || *n == 69;
    let all = async |order: [bool; 2]| {
        let database = Database::sqlite();
        let mut writer = database.writer().await;
        let mut from = 0;
        for late_first in order {
            let part = |(n, life): (usize, &Vec<Event>)| match (late_first, late(&n)) {
                (true, true) => life[3..].to_vec(),
                (false, true) => life[..3].to_vec(),
                (true, false) => Vec::new(),
                (false, false) => life.clone(),
            };
            let events: Vec<Event> = lives.iter().enumerate().flat_map(part).collect();
            write(&mut writer, from, &events).await;
            from += events.len() as u64;
        }
        database.rows("20261121", "*", "message", "id")
    };
    let rows = all([true, false]).await;
    assert_eq!(rows.len(), 70);
    // A state that is not final changes nothing of one that is; all else depends on who tells it.
    assert_eq!(rows, all([false, true]).await);
}

/// Thirteen times as many accepts as one statement holds: the first are all alike, of each of the others one differs in one thing.
#[tokio::test]
async fn a_message_among_others_that_are_alike_keeps_what_only_it_has() {
    let change = |n: u16, life: &mut Vec<Event>| {
        let [accepted, .., last] = life.as_mut_slice() else {
            unreachable!()
        };
        match n {
            // The first, one within and the last of sixteen differ.
            16 => accepted.client = Some(client("other")),
            37 => accepted.from = None,
            63 => accepted.class = Some(Class::Bulk),
            64 => accepted.tags = None,
            82 => accepted.encoding = Some(Encoding::Ucs2),
            111 => accepted.parts = 3,
            // Without an `mt_sent`, which would tell it again.
            114 => life[1].operator = OperatorId::try_new("beta").ok(),
            131 => life[1].route = Some(2),
            159 => last.state = Some(MessageState::Expired),
            160 => last.error = Some("late".to_owned()),
            180 => life.push(event(id(0, n), 500, EventName::DeliveredToClient)),
            207 => {
                let mut received = life[0].clone();
                received.name = EventName::MoReceived;
                life.insert(0, received);
            }
            _ => {}
        }
    };
    let lives: Vec<Vec<Event>> = (0..208_u16)
        .map(|n| {
            let message = id(0, n);
            let mut events = life(message, i64::from(n), &format!("4917000000{n:03}"));
            events.retain(|event| event.message.is_some() && event.name != EventName::DeliveredToClient);
            events.retain(|event| event.name != EventName::MtSent || n % 3 != 0);
            change(n, &mut events);
            events
        })
        .collect();
    let columns = "*, (SELECT group_concat(name || position) FROM event e WHERE e.message = message.id)";
    let together = Database::sqlite();
    write(&mut together.writer().await, 0, &lives.concat()).await;
    let rows = together.rows("20261121", columns, "message", "id");
    assert_eq!(rows.len(), 208);
    let alone = Database::sqlite();
    let mut writer = alone.writer().await;
    let mut from = 0;
    for life in &lives {
        write(&mut writer, from, life).await;
        from += life.len() as u64;
    }
    assert_eq!(rows, alone.rows("20261121", columns, "message", "id"));
}

#[test]
fn both_databases_merge_by_the_same_rules() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = Database::postgres();
    for n in 0..20_u8 {
        let strategy = proptest::collection::vec((0_usize..8, 0_u16..4, 0_usize..30), 1..40);
        let picks = strategy.new_tree(&mut runner).unwrap().current();
        let file = Database::sqlite();
        if let Database::Postgres(server) = &server {
            server.psql("DROP TABLE IF EXISTS smsgw_message, smsgw_event, smsgw_source, smsgw_schema");
        }
        let cuts: Vec<usize> = (0..picks.len()).step_by(usize::from(n % 7) + 1).collect();
        let source = SourceId::from_bytes([n; 16]);
        runtime.block_on(same(
            &log(&picks),
            &cuts,
            &file.settings(),
            &server.settings(),
            source,
        ));
    }
}
