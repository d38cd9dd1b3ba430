//! Searches: every condition, pages, and what a slow database costs.

use crate::make::{Database, accepted, at, client, id, life, write};
use smsgw_history::{Direction, History, Page, Query, Settings};
use smsgw_message::{Event, MessageId};
use std::time::{Duration, Instant};

const DAY: i64 = 86_400_000;

fn ids(page: &Page) -> Vec<MessageId> {
    page.messages.iter().map(|message| message.id).collect()
}

#[tokio::test]
async fn each_condition_narrows_and_pages_join_without_gap_or_repetition() {
    for database in Database::both() {
        let mut writer = database.writer().await;
        let mut events = Vec::new();
        // Three days, five messages each, two clients, the first of each day delivered.
        for (n, day) in (1_u16..).zip(-2..=0) {
            for (k, millis) in (0_u16..).zip([0, 10, 20, 30, 40]) {
                let millis = day * DAY + millis;
                let message = id(millis, n * 100 + k);
                let to = format!("49170000{:04}", 100 * n + k);
                if k == 0 {
                    events.extend(life(message, millis, &to));
                } else {
                    let of = if k % 2 == 0 { "acme" } else { "other" };
                    let text = (k == 2).then(|| "Your parcel O'Neill arrives today".to_owned());
                    events.push(Event {
                        client: Some(client(of)),
                        text,
                        ..accepted(message, millis, &to)
                    });
                }
            }
        }
        write(&mut writer, 0, &events).await;
        let history = database.history();
        let search = async |query: Query| history.search(Query { limit: 100, ..query }).await.unwrap();
        let all = search(Query::default()).await;
        assert_eq!((all.messages.len(), all.next), (15, None));
        let mut sorted = ids(&all);
        sorted.sort();
        sorted.reverse();
        assert_eq!(ids(&all), sorted, "newest first");
        let count = async |query: Query| search(query).await.messages.len();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            count(Query {
                client: Some(client("other")),
                ..Query::default()
            })
            .await,
            6
        );
        assert_eq!(
            count(Query {
                since: Some(at(0)),
                ..Query::default()
            })
            .await,
            5
        );
        assert_eq!(
            count(Query {
                since: Some(at(10)),
                until: Some(at(30)),
                ..Query::default()
            })
            .await,
            2
        );
        assert_eq!(
            count(Query {
                until: Some(at(-DAY)),
                ..Query::default()
            })
            .await,
            5
        );
        assert_eq!(
            count(Query {
                recipient: text("+491700000103"),
                ..Query::default()
            })
            .await,
            1
        );
        assert_eq!(
            count(Query {
                sender: text("Example"),
                ..Query::default()
            })
            .await,
            15
        );
        assert_eq!(
            count(Query {
                sender: text("example"),
                ..Query::default()
            })
            .await,
            0
        );
        assert_eq!(
            count(Query {
                state: text("delivered"),
                ..Query::default()
            })
            .await,
            3
        );
        assert_eq!(
            count(Query {
                reference: text("order-40"),
                ..Query::default()
            })
            .await,
            1
        );
        assert_eq!(
            count(Query {
                tag: text("it's \"quoted\""),
                ..Query::default()
            })
            .await,
            15
        );
        assert_eq!(
            count(Query {
                tag: text("new"),
                ..Query::default()
            })
            .await,
            0
        );
        assert_eq!(
            count(Query {
                direction: Some(Direction::Mo),
                ..Query::default()
            })
            .await,
            0
        );
        assert_eq!(
            count(Query {
                text: text("PARCEL today"),
                ..Query::default()
            })
            .await,
            3
        );
        assert_eq!(
            count(Query {
                text: text("parcel tomorrow"),
                ..Query::default()
            })
            .await,
            0
        );
        for odd in ["\"", "*", "parcel OR", "NEAR(", "a:b", "-", "' OR 1=1 --"] {
            assert!(
                count(Query {
                    text: text(odd),
                    ..Query::default()
                })
                .await
                    <= 3,
                "{odd}"
            );
        }
        for limit in [1, 4, 5, 7, 15] {
            let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = history
                    .search(Query {
                        after,
                        limit,
                        ..Query::default()
                    })
                    .await
                    .unwrap();
                assert!(page.messages.len() <= limit);
                seen.extend(ids(&page));
                after = page.next;
                pages += 1;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, sorted, "{limit}");
            assert_eq!(pages, 15_usize.div_ceil(limit), "{limit}");
        }
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_ends_and_the_next_one_is_answered() {
    let database = Database::sqlite();
    let mut writer = database.writer().await;
    let events: Vec<Event> = (0..60_000_i64)
        .map(|n| accepted(id(n, n as u16), n, &format!("4917{n:08}")))
        .collect();
    write(&mut writer, 0, &events).await;
    // No tag matches: each row's list is looked through.
    let slow = || Query {
        tag: Some("nowhere".to_owned()),
        limit: 10,
        ..Query::default()
    };
    let hasty = History::new(&Settings {
        query_timeout: Duration::from_millis(2),
        ..database.settings()
    });
    let began = Instant::now();
    let error = hasty.search(slow()).await.unwrap_err();
    assert!(
        matches!(error.kind, smsgw_history::HistoryErrorKind::Late(_)),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    let patient = database.history();
    assert_eq!(patient.search(slow()).await.unwrap(), Page::default());
    assert_eq!(
        patient
            .search(Query {
                limit: 1,
                ..Query::default()
            })
            .await
            .unwrap()
            .messages
            .len(),
        1
    );
}

#[tokio::test]
async fn no_database_is_an_error_and_an_empty_one_is_none() {
    let server = Database::postgres();
    let Database::Postgres(mut server) = server else {
        unreachable!()
    };
    let history = History::new(&Settings::postgres(server.url()));
    server.stop();
    let began = Instant::now();
    history.life(id(0, 1)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(30));
    let nowhere = tempfile::tempdir().unwrap();
    let history = History::new(&Settings::sqlite(nowhere.path().join("not there")));
    assert_eq!(history.search(Query::default()).await.unwrap(), Page::default());
}
