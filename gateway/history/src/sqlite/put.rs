//! Writes the rows of one day into its file: one transaction, few statements.
//!
//! ```text
//! messages with their accept ──▶ INSERT, sixteen at once, what all of them have in common bound once; where one of them is
//!                                there already, the merge of each
//! what is told later         ──▶ UPDATE of columns that have no index; where it does not fit, the merge
//! events                     ──▶ INSERT into `life`, one row for each message, sixteen at once
//! ```
//! No statement of many rows can be undone by itself: one that fails takes the transaction with it (OR ROLLBACK). What could be
//! would keep each page as it was before it, in a temporary file, and that was seven of eight writes.
//!
//! Invariant HI-1: rows and position in one transaction, and no event before the position is written again: `life` would have
//! it twice. Invariant HI-2: the SQL merges as [`MessageRow`] does.

use super::bind::{Bind, millis};
use super::life::Life;
use crate::row::{DayRows, MessageRow, MessageRows, sorted, told};
use crate::writer::{SourceId, Written};
use rusqlite::{Connection, OptionalExtension, Statement, Transaction, TransactionBehavior, params};
use smsgw_message::MessageId;
use std::sync::LazyLock;

/// Rows of one statement: what opens and ends it is paid once for them.
const AT_ONCE: usize = 16;

/// Columns of a message that neighbours mostly have in common, which are bound first, and those that each has of its own.
const ALIKE: usize = 11;
const OWN: usize = 7;
/// Columns of a life that are bound for each row; the source is the same for all.
const LIFE_COLUMNS: usize = 5;

/// What is in the database already, and what the row that is written says, by the rules of [`MessageRow`].
const MERGE: &str = " ON CONFLICT (id) DO UPDATE SET \
    direction = coalesce(m.direction, excluded.direction), client = coalesce(m.client, excluded.client), \
    sender = coalesce(m.sender, excluded.sender), recipient = coalesce(m.recipient, excluded.recipient), \
    reference = coalesce(m.reference, excluded.reference), class = coalesce(m.class, excluded.class), \
    tags = coalesce(m.tags, excluded.tags), encoding = coalesce(m.encoding, excluded.encoding), \
    accepted_at = coalesce(m.accepted_at, excluded.accepted_at), sent_at = coalesce(m.sent_at, excluded.sent_at), \
    parts = coalesce(excluded.parts, m.parts), operator = coalesce(excluded.operator, m.operator), \
    route = coalesce(excluded.route, m.route), told_at = coalesce(excluded.told_at, m.told_at), \
    state = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.state \
                 WHEN m.final_at IS NOT NULL THEN m.state ELSE coalesce(excluded.state, m.state) END, \
    error = CASE WHEN excluded.final_at IS NOT NULL THEN excluded.error ELSE m.error END, \
    final_at = coalesce(excluded.final_at, m.final_at)";

/// The same for a row that is there and has whose it is and between whom, or is not told: those columns are indexed, the first
/// event that tells them counts, so nothing of them changes and no index is touched. ?10 has a bit for each that is not told.
const LATER: &str = "UPDATE message SET \
    sent_at = coalesce(sent_at, ?2), parts = coalesce(?3, parts), operator = coalesce(?4, operator), \
    route = coalesce(?5, route), told_at = coalesce(?6, told_at), \
    state = CASE WHEN ?9 IS NOT NULL THEN ?7 WHEN final_at IS NOT NULL THEN state ELSE coalesce(?7, state) END, \
    error = CASE WHEN ?9 IS NOT NULL THEN ?8 ELSE error END, final_at = coalesce(?9, final_at) \
    WHERE id = ?1 AND (client IS NOT NULL OR ?10 & 1) AND (recipient IS NOT NULL OR ?10 & 2) \
    AND (sender IS NOT NULL OR ?10 & 4) AND (direction IS NOT NULL OR ?10 & 8) AND (class IS NOT NULL OR ?10 & 16) \
    AND (reference IS NOT NULL OR ?10 & 32)";

/// Many rows that are alike, many rows, none of which changes what is there, and one row with its merge. Many with their merges
/// could be undone by themselves, whatever they say of it: that row of an upsert is looked for once more, and must be there.
static MESSAGES: LazyLock<[String; 3]> = LazyLock::new(|| {
    let many = " ON CONFLICT (id) DO NOTHING";
    let alike = (1..=ALIKE)
        .map(|number| format!("?{number},"))
        .collect::<String>();
    let each = "?,".repeat(ALIKE);
    [
        ("OR ROLLBACK", AT_ONCE, alike, many),
        ("OR ROLLBACK", AT_ONCE, each.clone(), many),
        ("", 1, each, MERGE),
    ]
    .map(|(or, rows, first, conflict)| {
        let into = "INTO message AS m (direction, client, sender, class, tags, encoding, parts, operator, route, state, \
            error, id, recipient, reference, accepted_at, sent_at, final_at, told_at) VALUES ";
        let row = format!("({first}{})", ["?"; OWN].join(","));
        format!("INSERT {or} {into}{}{conflict}", vec![row; rows].join(","))
    })
});

static LIVES: LazyLock<[String; 2]> = LazyLock::new(|| {
    [AT_ONCE, 1].map(|rows| {
        let into = "INSERT OR ROLLBACK INTO life (source, message, position, at, carrier_id, events) VALUES ";
        let row = |_| format!("(?1,{})", ["?"; LIFE_COLUMNS].join(","));
        format!("{into}{}", (0..rows).map(row).collect::<Vec<_>>().join(","))
    })
});

/// Up to where a file has the log of a source.
pub(super) fn position_of(db: &Connection, source: SourceId) -> rusqlite::Result<Option<u64>> {
    let mut select = db.prepare_cached("SELECT position FROM source WHERE id = ?1")?;
    let position = select
        .query_row([source.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(position.and_then(|position| u64::try_from(position).ok()))
}

/// Writes what the file has not got.
pub(super) fn put(
    db: &mut Connection,
    source: SourceId,
    rows: &DayRows<'_>,
    next: u64,
) -> rusqlite::Result<Written> {
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let has = position_of(&step, source)?.unwrap_or(0);
    if has >= next {
        return Ok(Written::default());
    }
    let number: i64 = step
        .prepare_cached(
            "INSERT INTO source (id, position) VALUES (?1, ?2) \
             ON CONFLICT (id) DO UPDATE SET position = excluded.position RETURNING number",
        )?
        .query_row(params![source.as_bytes(), signed(next)], |row| row.get(0))?;
    let sorted = sorted(rows);
    let messages = told(&sorted);
    // What overlaps is merged again, which changes nothing (HI-2): the rows end as the log does.
    put_messages(&step, &messages)?;
    let events = put_lives(&step, &sorted, has, number)?;
    step.commit()?;
    Ok(Written {
        messages: messages.len(),
        events,
    })
}

fn put_messages(step: &Transaction<'_>, sorted: &[Row<'_>]) -> rusqlite::Result<()> {
    let (new, later): (Vec<Row<'_>>, Vec<Row<'_>>) = sorted.iter().copied().partition(|(_, row)| is_new(row));
    merge(step, &new)?;
    let unfit = put_later(step, &later)?;
    merge(step, &unfit)?;
    put_texts(step, sorted)
}

type Row<'a> = (&'a MessageId, &'a MessageRow<'a>);

/// Writes rows whatever is in the database.
fn merge(step: &Transaction<'_>, rows: &[Row<'_>]) -> rusqlite::Result<()> {
    let [alike, many, one] = &*MESSAGES;
    let (chunks, rest) = rows.as_chunks::<AT_ONCE>();
    let mut single = rest.to_vec();
    if !chunks.is_empty() {
        let mut alike = step.prepare_cached(alike)?;
        let mut many = step.prepare_cached(many)?;
        for chunk in chunks {
            let [(_, first), others @ ..] = chunk;
            let new = if others.iter().all(|(_, row)| row.is_alike(first)) {
                bind_alike(&mut alike, first, chunk)?;
                alike.raw_execute()?
            } else {
                bind_messages(&mut many, chunk)?;
                many.raw_execute()?
            };
            if new < AT_ONCE {
                // Those that were not there are now, and a row merged with itself changes nothing.
                single.extend(chunk);
            }
        }
    }
    if !single.is_empty() {
        let mut one = step.prepare_cached(one)?;
        for row in &single {
            bind_messages(&mut one, std::slice::from_ref(row))?;
            one.raw_execute()?;
        }
    }
    Ok(())
}

/// Writes rows of messages that are in the database; returns those that must be merged.
fn put_later<'a>(step: &Transaction<'_>, rows: &[Row<'a>]) -> rusqlite::Result<Vec<Row<'a>>> {
    let mut unfit = Vec::new();
    let mut update = step.prepare_cached(LATER)?;
    for (id, row) in rows {
        bind_later(&mut update, id, row)?;
        if update.raw_execute()? == 0 {
            unfit.push((*id, *row));
        }
    }
    Ok(unfit)
}

fn put_texts(step: &Transaction<'_>, rows: &[Row<'_>]) -> rusqlite::Result<()> {
    let texts = rows.iter().filter_map(|(id, row)| Some((id, row.text.as_ref()?)));
    let mut insert = None;
    for (id, body) in texts {
        let insert = match &mut insert {
            Some(insert) => insert,
            none => none
                .insert(step.prepare_cached("INSERT OR IGNORE INTO text (message, body) VALUES (?1, ?2)")?),
        };
        insert.execute(params![id.as_bytes(), body])?;
    }
    Ok(())
}

/// Whether it says what only an accept says: then nothing is there of the message, as a rule.
fn is_new(row: &MessageRow<'_>) -> bool {
    row.accepted_at.is_some() || row.tags.is_some() || row.encoding.is_some()
}

fn bind_messages(statement: &mut Statement<'_>, rows: &[Row<'_>]) -> rusqlite::Result<()> {
    let mut bind = Bind::new(statement);
    for (id, row) in rows {
        bind_common(&mut bind, row)?;
        bind_own(&mut bind, id, row)?;
    }
    Ok(())
}

/// Each value that is bound is copied: what all rows have in common is, once.
fn bind_alike(
    statement: &mut Statement<'_>,
    first: &MessageRow<'_>,
    rows: &[Row<'_>],
) -> rusqlite::Result<()> {
    let mut bind = Bind::new(statement);
    bind_common(&mut bind, first)?;
    for (id, row) in rows {
        bind_own(&mut bind, id, row)?;
    }
    Ok(())
}

/// What [`MessageRow::is_alike`] compares.
fn bind_common(bind: &mut Bind<'_, '_>, row: &MessageRow<'_>) -> rusqlite::Result<()> {
    bind.some(row.direction.map(|direction| direction.as_str()))?;
    bind.some(row.client)?;
    bind.some(row.sender.as_deref())?;
    bind.some(row.class)?;
    bind.some(row.tags.as_deref())?;
    bind.some(row.encoding)?;
    bind.some(row.parts)?;
    bind.some(row.operator)?;
    bind.some(row.route)?;
    bind.some(row.state)?;
    bind.some(row.error.as_deref())
}

fn bind_own(bind: &mut Bind<'_, '_>, id: &MessageId, row: &MessageRow<'_>) -> rusqlite::Result<()> {
    bind.to(id.as_bytes())?;
    bind.some(row.recipient.as_deref())?;
    bind.some(row.reference.as_deref())?;
    bind.some(millis(row.accepted_at))?;
    bind.some(millis(row.sent_at))?;
    bind.some(millis(row.final_at))?;
    bind.some(millis(row.told_at))
}

fn bind_later(statement: &mut Statement<'_>, id: &MessageId, row: &MessageRow<'_>) -> rusqlite::Result<()> {
    let told = [
        row.client.is_some(),
        row.recipient.is_some(),
        row.sender.is_some(),
        row.direction.is_some(),
        row.class.is_some(),
        row.reference.is_some(),
    ];
    let not_told = (0..)
        .zip(told)
        .filter(|(_, told)| !told)
        .fold(0_u8, |bits, (bit, _)| bits | 1 << bit);
    let mut bind = Bind::new(statement);
    bind.to(id.as_bytes())?;
    bind.some(millis(row.sent_at))?;
    bind.some(row.parts)?;
    bind.some(row.operator)?;
    bind.some(row.route)?;
    bind.some(millis(row.told_at))?;
    bind.some(row.state)?;
    bind.some(row.error.as_deref())?;
    bind.some(millis(row.final_at))?;
    bind.to(not_told)
}

/// Writes the events that are not there yet; returns how many they are.
fn put_lives(
    step: &Transaction<'_>,
    sorted: &[(&MessageId, &MessageRows<'_>)],
    has: u64,
    source: i64,
) -> rusqlite::Result<usize> {
    let lives: Vec<Life<'_>> = sorted
        .iter()
        .flat_map(|(id, rows)| Life::all(id, &rows.events, has))
        .collect();
    let mut json = String::new();
    let [many, one] = &*LIVES;
    let (chunks, rest) = lives.as_chunks::<AT_ONCE>();
    if !chunks.is_empty() {
        let mut many = step.prepare_cached(many)?;
        for chunk in chunks {
            bind_lives(&mut many, chunk, source, &mut json)?;
            many.raw_execute()?;
        }
    }
    let mut one = step.prepare_cached(one)?;
    for life in rest {
        bind_lives(&mut one, std::slice::from_ref(life), source, &mut json)?;
        one.raw_execute()?;
    }
    Ok(lives.iter().map(Life::len).sum())
}

fn bind_lives(
    statement: &mut Statement<'_>,
    lives: &[Life<'_>],
    source: i64,
    json: &mut String,
) -> rusqlite::Result<()> {
    let mut bind = Bind::new(statement);
    bind.to(source)?;
    for life in lives {
        bind.to(life.message.as_bytes())?;
        bind.to(signed(life.first.position))?;
        bind.to(life.first.at.as_millis())?;
        bind.some(life.carrier_id)?;
        life.write(json);
        bind.to(json.as_str())?;
    }
    Ok(())
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
