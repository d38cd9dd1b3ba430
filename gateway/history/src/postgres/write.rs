//! Writes batches into PostgreSQL: one transaction a batch, one statement a table.
//!
//! Invariant HI-1: rows and position commit together; the answer to COMMIT is what `write` returns after. Whoever does not
//! hear it writes the batch again, which changes nothing.

use super::{MIGRATIONS, connect, uuid, version};
use crate::day::Day;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::row::{Batch, EventRow, MessageRow, Rows, sorted, told};
use crate::settings::PostgresPlace;
use crate::writer::{SourceId, Written};
use smsgw_message::{MessageId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};
use tokio_postgres::{Client, Transaction};
use tracing::info;
use uuid::Uuid;

/// Longest statement of the writer: a batch, or the removal of a partition that a backup reads.
const STATEMENT: Duration = Duration::from_secs(60);
/// Number of the lock that lets one process change the schema: "smsgw" in ASCII.
const LOCK: i64 = 0x73_6D_73_67_77;
/// Records that become rows in one go: less than half a millisecond of a thread that others wait for.
const IN_ONE_GO: usize = 128;

/// One connection that writes.
#[derive(Debug)]
pub(crate) struct PostgresWriter {
    client: Client,
    source: SourceId,
    /// Days that have their partitions.
    made: BTreeSet<Day>,
}

impl PostgresWriter {
    /// Connects, brings the schema up to date, and tells the position of the source.
    pub(crate) async fn open(
        place: &PostgresPlace,
        source: SourceId,
    ) -> Result<(Self, Option<u64>), HistoryError> {
        let mut client = connect(place, STATEMENT).await?;
        let what = "bring the schema of history up to date";
        migrate(&mut client)
            .await
            .map_err(|kind| HistoryError::new(what, kind))?;
        let source_id = Uuid::from_bytes(*source.as_bytes());
        let sql = "SELECT position FROM smsgw_source WHERE id = $1";
        let row = client
            .query_opt(sql, &[&source_id])
            .await
            .map_err(|e| HistoryError::new("read the position of history", e))?;
        let position = row.and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok());
        let made = partitions(&client)
            .await
            .map_err(|e| HistoryError::new("list the days of history", e))?;
        let made = made.into_keys().collect();
        Ok((Self { client, source, made }, position))
    }

    /// Whether the connection still stands.
    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Writes a batch; one that the database has already is passed over.
    pub(crate) async fn write(
        &mut self,
        batch: &Batch,
        kept: RangeInclusive<Day>,
    ) -> Result<Written, HistoryError> {
        let mut rows = Rows::new(batch, kept);
        for records in batch.records.chunks(IN_ONE_GO) {
            tokio::task::yield_now().await;
            for (position, record) in records {
                rows.add(*position, record);
            }
        }
        let days: Vec<Day> = rows
            .days
            .keys()
            .copied()
            .filter(|day| !self.made.contains(day))
            .collect();
        for day in days {
            make(&self.client, day)
                .await
                .map_err(|e| HistoryError::new("make a day of history", e))?;
            self.made.insert(day);
        }
        let source = Uuid::from_bytes(*self.source.as_bytes());
        put(&mut self.client, source, &rows, batch.next())
            .await
            .map_err(|e| HistoryError::new("write history", e))
    }

    /// Removes days before `oldest`, and the oldest ones while all together are larger than `max`; never `today`.
    pub(crate) async fn retain(
        &mut self,
        oldest: Day,
        today: Day,
        max: Option<u64>,
    ) -> Result<Vec<Day>, HistoryError> {
        let removed = self.remove(oldest, today, max).await;
        removed.map_err(|e| HistoryError::new("remove old history", e))
    }

    async fn remove(
        &mut self,
        oldest: Day,
        today: Day,
        max: Option<u64>,
    ) -> Result<Vec<Day>, tokio_postgres::Error> {
        let there = partitions(&self.client).await?;
        let mut size: u64 = there.values().sum();
        let mut removed = Vec::new();
        for (day, octets) in there {
            let too_large = max.is_some_and(|max| size > max) && day < today;
            if day >= oldest && !too_large {
                continue;
            }
            let sql = format!("DROP TABLE IF EXISTS smsgw_message_{day}, smsgw_event_{day}");
            self.client.batch_execute(&sql).await?;
            self.made.remove(&day);
            size = size.saturating_sub(octets);
            removed.push(day);
        }
        Ok(removed)
    }
}

async fn migrate(client: &mut Client) -> Result<(), HistoryErrorKind> {
    let step = client.transaction().await?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    step.batch_execute("CREATE TABLE IF NOT EXISTS smsgw_schema (version integer NOT NULL)")
        .await?;
    let found = step.query_opt("SELECT version FROM smsgw_schema", &[]).await?;
    let had: i32 = found.map_or(0, |row| row.get(0));
    if had > version() {
        return Err(HistoryErrorKind::Newer(had, version()));
    }
    if had < version() {
        for migration in MIGRATIONS.iter().skip(usize::try_from(had).unwrap_or(0)) {
            step.batch_execute(migration).await?;
        }
        step.execute("DELETE FROM smsgw_schema", &[]).await?;
        step.execute("INSERT INTO smsgw_schema (version) VALUES ($1)", &[&version()])
            .await?;
        info!(version = version(), "schema of history brought up to date");
    }
    step.commit().await?;
    Ok(())
}

/// The days that have partitions, with their size in octets.
async fn partitions(client: &Client) -> Result<BTreeMap<Day, u64>, tokio_postgres::Error> {
    let sql = "SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               WHERE i.inhparent IN ('smsgw_message'::regclass, 'smsgw_event'::regclass)";
    let mut days = BTreeMap::new();
    for row in client.query(sql, &[]).await? {
        let name: String = row.get(0);
        if let Some(day) = name.rsplit('_').next().and_then(Day::from_name) {
            *days.entry(day).or_default() += u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        }
    }
    Ok(days)
}

/// Makes the partitions of a day. The rows of messages are changed a few times: room in the page saves index entries.
async fn make(client: &Client, day: Day) -> Result<(), tokio_postgres::Error> {
    let (from, to) = (uuid(day.first_id()), uuid(day.next().first_id()));
    let sql = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); \
         CREATE TABLE IF NOT EXISTS smsgw_message_{day} PARTITION OF smsgw_message FOR VALUES FROM ('{from}') TO ('{to}') \
         WITH (fillfactor = 70); \
         CREATE TABLE IF NOT EXISTS smsgw_event_{day} PARTITION OF smsgw_event FOR VALUES FROM ('{from}') TO ('{to}'); \
         COMMIT"
    );
    let made = client.batch_execute(&sql).await;
    if made.is_err() {
        // The transaction is open and failed; when the connection is gone, so is it.
        client.batch_execute("ROLLBACK").await.unwrap_or_default();
    }
    made
}

async fn put(
    client: &mut Client,
    source: Uuid,
    rows: &Rows<'_>,
    next: u64,
) -> Result<Written, tokio_postgres::Error> {
    let step = client.transaction().await?;
    let next = i64::try_from(next).unwrap_or(i64::MAX);
    // The row's lock keeps a second writer of the same log behind the first.
    let sql = "INSERT INTO smsgw_source AS s (id, position) VALUES ($1, $2) \
               ON CONFLICT (id) DO UPDATE SET position = excluded.position WHERE s.position < excluded.position RETURNING number";
    let Some(row) = step.query_opt(sql, &[&source, &next]).await? else {
        return Ok(Written::default());
    };
    let number: i32 = row.get(0);
    let mut written = Written::default();
    let sorted: Vec<_> = rows.days.values().flat_map(sorted).collect();
    let messages = told(&sorted);
    written.messages = messages.len();
    put_messages(&step, &messages).await?;
    let events: Vec<(&MessageId, &EventRow<'_>)> = sorted
        .iter()
        .flat_map(|(id, rows)| rows.events.iter().map(|event| (*id, event)))
        .collect();
    written.events = events.len();
    put_events(&step, &events, number).await?;
    step.commit().await?;
    Ok(written)
}

/// One column of rows, each behind the id of its message.
macro_rules! column {
    ($rows:ident, $row:ident: $of:expr) => {
        $rows.iter().map(|(_, $row)| $of).collect::<Vec<_>>()
    };
}

async fn put_messages(
    step: &Transaction<'_>,
    rows: &[(&MessageId, &MessageRow<'_>)],
) -> Result<(), tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO smsgw_message AS m (id, direction, client, sender, recipient, reference, class, tags, encoding, parts, \
        operator, route, state, error, accepted_at, sent_at, final_at, told_at, text) \
        SELECT r.id, r.direction, r.client, r.sender, r.recipient, r.reference, r.class, r.tags::jsonb, r.encoding, r.parts, \
        r.operator, r.route, r.state, r.error, r.accepted_at, r.sent_at, r.final_at, r.told_at, r.text \
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
        $10::int[], $11::text[], $12::bigint[], $13::text[], $14::text[], $15::timestamptz[], $16::timestamptz[], \
        $17::timestamptz[], $18::timestamptz[], $19::text[]) AS r (id, direction, client, sender, recipient, reference, class, \
        tags, encoding, parts, operator, route, state, error, accepted_at, sent_at, final_at, told_at, text) \
        ON CONFLICT (id) DO UPDATE SET \
        direction = coalesce(m.direction, excluded.direction), client = coalesce(m.client, excluded.client), \
        sender = coalesce(m.sender, excluded.sender), recipient = coalesce(m.recipient, excluded.recipient), \
        reference = coalesce(m.reference, excluded.reference), class = coalesce(m.class, excluded.class), \
        tags = coalesce(m.tags, excluded.tags), encoding = coalesce(m.encoding, excluded.encoding), \
        accepted_at = coalesce(m.accepted_at, excluded.accepted_at), sent_at = coalesce(m.sent_at, excluded.sent_at), \
        text = coalesce(m.text, excluded.text), \
        parts = coalesce(excluded.parts, m.parts), operator = coalesce(excluded.operator, m.operator), \
        route = coalesce(excluded.route, m.route), told_at = coalesce(excluded.told_at, m.told_at), \
        state = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.state \
                     WHEN m.final_at IS NOT NULL THEN m.state ELSE coalesce(excluded.state, m.state) END, \
        error = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.error ELSE m.error END, \
        final_at = coalesce(excluded.final_at, m.final_at)";
    let statement = step.prepare(sql).await?;
    let ids: Vec<Uuid> = rows.iter().map(|(id, _)| uuid(**id)).collect();
    let direction = column!(rows, row: row.direction.map(|direction| direction.as_str()));
    let client = column!(rows, row: row.client);
    let sender = column!(rows, row: row.sender.as_deref());
    let recipient = column!(rows, row: row.recipient.as_deref());
    let reference = column!(rows, row: row.reference.as_deref());
    let class = column!(rows, row: row.class);
    let tags = column!(rows, row: row.tags.as_deref());
    let encoding = column!(rows, row: row.encoding);
    let parts = column!(rows, row: row.parts.map(i32::from));
    let operator = column!(rows, row: row.operator);
    let route = column!(rows, row: row.route.map(i64::from));
    let state = column!(rows, row: row.state);
    let error = column!(rows, row: row.error.as_deref());
    let accepted_at = column!(rows, row: row.accepted_at.map(time));
    let sent_at = column!(rows, row: row.sent_at.map(time));
    let final_at = column!(rows, row: row.final_at.map(time));
    let told_at = column!(rows, row: row.told_at.map(time));
    let text = column!(rows, row: row.text.as_deref());
    step.execute(
        &statement,
        &[
            &ids,
            &direction,
            &client,
            &sender,
            &recipient,
            &reference,
            &class,
            &tags,
            &encoding,
            &parts,
            &operator,
            &route,
            &state,
            &error,
            &accepted_at,
            &sent_at,
            &final_at,
            &told_at,
            &text,
        ],
    )
    .await?;
    Ok(())
}

async fn put_events(
    step: &Transaction<'_>,
    rows: &[(&MessageId, &EventRow<'_>)],
    source: i32,
) -> Result<(), tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO smsgw_event (message, source, position, at, name, part, operator, link, carrier_id, route, state, error) \
        SELECT r.message, $1, r.position, r.at, r.name, r.part, r.operator, r.link, r.carrier_id, r.route, r.state, r.error \
        FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[], \
        $10::bigint[], $11::text[], $12::text[]) \
        AS r (message, position, at, name, part, operator, link, carrier_id, route, state, error) \
        ON CONFLICT (message, source, position) DO NOTHING";
    let statement = step.prepare(sql).await?;
    let message: Vec<Uuid> = rows.iter().map(|(message, _)| uuid(**message)).collect();
    let position = column!(rows, row: i64::try_from(row.position).unwrap_or(i64::MAX));
    let at = column!(rows, row: time(row.at));
    let name = column!(rows, row: row.name.as_str());
    let part = column!(rows, row: row.part.map(i32::from));
    let operator = column!(rows, row: row.operator);
    let link = column!(rows, row: row.link);
    let carrier_id = column!(rows, row: row.carrier_id.as_deref());
    let route = column!(rows, row: row.route.map(i64::from));
    let state = column!(rows, row: row.state.map(|state| state.as_str()));
    let error = column!(rows, row: row.error.as_deref());
    step.execute(
        &statement,
        &[
            &source,
            &message,
            &position,
            &at,
            &name,
            &part,
            &operator,
            &link,
            &carrier_id,
            &route,
            &state,
            &error,
        ],
    )
    .await?;
    Ok(())
}

/// A time of the calendar; one outside (a damaged clock) becomes its nearest end.
fn time(at: Timestamp) -> SystemTime {
    // From 0001-01-01 to 9999-12-31, in milliseconds around 1970.
    let millis = at.as_millis().clamp(-62_135_596_800_000, 253_402_214_400_000);
    let span = Duration::from_millis(millis.unsigned_abs());
    match millis < 0 {
        true => SystemTime::UNIX_EPOCH - span,
        false => SystemTime::UNIX_EPOCH + span,
    }
}
