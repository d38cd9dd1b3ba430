//! Events to write, and a database of each kind to write them to.

use smsgw_history::{Batch, History, Settings, SourceId, Writer, Written};
use smsgw_message::{
    Address, Class, ClientId, Encoding, Event, EventName, LinkId, MessageId, MessageState, OperatorId,
    Record, Timestamp,
};
use smsgw_testkit::Postgres;
use std::process::Command;
use tempfile::TempDir;

pub(crate) const SOURCE: SourceId = SourceId::from_bytes([9; 16]);
/// 2026-11-21T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_262_400_000);

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + millis)
}

pub(crate) fn id(millis: i64, n: u16) -> MessageId {
    let [high, low] = n.to_be_bytes();
    MessageId::from_parts(at(millis), [high & 0x0F, low, high, low, 0, 0, 0, 0, high, low])
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::try_new(name).unwrap()
}

/// An event of a message made at `millis`.
pub(crate) fn event(message: MessageId, millis: i64, name: EventName) -> Event {
    Event {
        message: Some(message),
        client: Some(client("acme")),
        ..Event::new(at(millis), name)
    }
}

pub(crate) fn accepted(message: MessageId, millis: i64, to: &str) -> Event {
    Event {
        from: Some(Address::sender("Example").unwrap()),
        to: Some(Address::msisdn(to).unwrap()),
        reference: Some(format!("order-{millis}")),
        class: Some(Class::Otp),
        tags: Some(vec!["news".to_owned(), "it's \"quoted\"".to_owned()]),
        encoding: Some(Encoding::Gsm7),
        parts: 2,
        ..event(message, millis, EventName::MtAccepted)
    }
}

/// A whole life: six events.
pub(crate) fn life(message: MessageId, millis: i64, to: &str) -> Vec<Event> {
    let operator = Some(OperatorId::try_new("alpha").unwrap());
    let link = Some(LinkId::try_new("alpha-1").unwrap());
    let carrier_id = Some(format!("C{}", millis));
    vec![
        accepted(message, millis, to),
        Event {
            operator: operator.clone(),
            route: Some(1),
            ..event(message, millis + 1, EventName::MtRouted)
        },
        Event {
            operator: operator.clone(),
            link: link.clone(),
            part: Some(1),
            carrier_id: carrier_id.clone(),
            ..event(message, millis + 20, EventName::MtSent)
        },
        Event {
            message: None,
            client: None,
            operator: operator.clone(),
            link,
            carrier_id,
            ..event(message, millis + 900, EventName::DrReceived)
        },
        Event {
            operator,
            state: Some(MessageState::Delivered),
            ..event(message, millis + 910, EventName::MtFinal)
        },
        event(message, millis + 1_000, EventName::DeliveredToClient),
    ]
}

pub(crate) fn batch(from: u64, events: &[Event]) -> Batch {
    let mut batch = Batch::new(from, 0);
    for (position, event) in (from..).zip(events) {
        batch.push(position, event.to_record());
    }
    batch
}

/// A database of a test's own.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    pub(crate) fn settings(&self) -> Settings {
        match self {
            Self::Sqlite(directory) => Settings::sqlite(directory.path().join("history")),
            Self::Postgres(server) => Settings::postgres(server.url()),
        }
    }

    pub(crate) async fn writer(&self) -> Writer {
        let mut writer = Writer::new(self.settings());
        writer.open(SOURCE, NOW).await.unwrap();
        writer
    }

    pub(crate) fn history(&self) -> History {
        History::new(&self.settings())
    }

    /// Rows as another program reads them: one line a row, columns parted by `|`. `day` is the file of SQLite.
    pub(crate) fn rows(&self, day: &str, columns: &str, table: &str, order: &str) -> Vec<String> {
        let text = match self {
            Self::Sqlite(directory) => {
                let file = directory.path().join(format!("history/{day}.db"));
                let output = Command::new("sqlite3")
                    .arg("-readonly")
                    .arg(file)
                    .arg(format!("SELECT {columns} FROM {table} ORDER BY {order}"))
                    .output()
                    .unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            Self::Postgres(server) => {
                server.psql(&format!("SELECT {columns} FROM smsgw_{table} ORDER BY {order}"))
            }
        };
        text.lines().map(str::to_owned).collect()
    }
}

pub(crate) async fn write(writer: &mut Writer, from: u64, events: &[Event]) -> Written {
    writer.write(batch(from, events), NOW).await.unwrap()
}
