//! `smsgw dead-letters`: what a running gateway has given up or cannot read, in every queue: look at it, replay it, drop it.
//!
//! Talks to the administrator's listener; knows no state itself. An order goes a bounded number of records at a time, and this
//! gives the next one until the end, saying how far it is.

use super::operator::PATIENCE;
use super::progress::{Bar, Unit};
use crate::dead_letters::{LetterPage, LetterRow, LettersOrdered, QueueRow};
use crate::exit::Exit;
use crate::reach::{self, GatewayOptions, Listener, ReachError};
use crate::trace::query::encode;
use anyhow::bail;
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use serde::Serialize;
use std::io::Write;

/// Look at what a running gateway has given up or cannot read; replay or drop it.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct DeadLettersOptions {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the queues that have some, or those of one queue or filter.
    List {
        #[command(flatten)]
        filter: Filter,
        /// Show at most so many.
        #[arg(long, default_value_t = 100)]
        max: usize,
        /// Show whole numbers and contents.
        #[arg(long)]
        reveal: bool,
    },
    /// Show one.
    Show {
        /// Its queue.
        queue: String,
        /// Its number, as `list` shows it.
        number: u64,
        /// Show whole numbers and contents.
        #[arg(long)]
        reveal: bool,
    },
    /// Make them ready again. Those older than their ladder get one more attempt.
    Replay(Order),
    /// Delete them.
    Drop(Order),
}

#[derive(Debug, Args)]
struct Order {
    #[command(flatten)]
    filter: Filter,
    /// This one only, with --queue.
    #[arg(long, value_name = "NUMBER", requires = "queue")]
    id: Option<u64>,
    /// All of them; needed where no filter is given.
    #[arg(long)]
    all: bool,
    /// Only count them.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Filter {
    /// Of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Of this client (or other flow).
    #[arg(long)]
    client: Option<String>,
    /// With this reason, as in attempts_exhausted or refused.
    #[arg(long)]
    reason: Option<String>,
    /// For callback targets whose host has this text.
    #[arg(long)]
    target: Option<String>,
    /// Dead for longer than this, as in 48h.
    #[arg(long, value_name = "AGE")]
    older_than: Option<String>,
    /// Dead for at most this long.
    #[arg(long, value_name = "AGE")]
    newer_than: Option<String>,
    /// Records that cannot be read, instead of dead letters.
    #[arg(long)]
    corrupt: bool,
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Self {
            queue,
            client,
            reason,
            target,
            older_than,
            newer_than,
            corrupt: _,
        } = self;
        [queue, client, reason, target, older_than, newer_than]
            .into_iter()
            .all(Option::is_none)
    }

    fn query(&self, id: Option<u64>) -> String {
        let mut query = String::new();
        let texts = [
            ("client", &self.client),
            ("reason", &self.reason),
            ("target", &self.target),
            ("older_than", &self.older_than),
            ("newer_than", &self.newer_than),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                query.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        if self.corrupt {
            query.push_str("&corrupt=1");
        }
        if let Some(id) = id {
            query.push_str(&format!("&id={id}"));
        }
        query
    }
}

/// What an order did, over all queues.
#[derive(Debug, Default, Serialize)]
struct Total {
    queues: usize,
    done: u64,
    passed_over: u64,
    dry_run: bool,
}

struct Gateway {
    at: Listener,
}

impl Gateway {
    async fn ask<T: serde::de::DeserializeOwned>(&self, method: Method, path: &str) -> anyhow::Result<T> {
        let (code, body) = reach::try_ask(&self.at, method, path, Bytes::new(), PATIENCE).await?;
        if !matches!(code, StatusCode::OK | StatusCode::ACCEPTED) {
            bail!("{code}: {}", String::from_utf8_lossy(&body).trim_end());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// The queues that a filter is about.
    async fn queues(&self, filter: &Filter) -> anyhow::Result<Vec<QueueRow>> {
        let rows: Vec<QueueRow> = self.ask(Method::GET, "/dead-letters").await?;
        let wanted = |row: &QueueRow| filter.queue.as_ref().is_none_or(|queue| row.queue == *queue);
        let some = |row: &QueueRow| {
            if filter.corrupt {
                row.corrupt > 0
            } else {
                row.dead_letter > 0
            }
        };
        Ok(rows.into_iter().filter(|row| wanted(row) && some(row)).collect())
    }

    /// Dead letters of a queue, page by page, until `most` were found; calls `each` for every page.
    async fn pages(
        &self,
        queue: &str,
        query: &str,
        most: usize,
        mut each: impl FnMut(Vec<LetterRow>),
    ) -> anyhow::Result<()> {
        let (mut left, mut after) = (most, String::new());
        while left > 0 {
            let max = left.min(1_000);
            let path = format!("/dead-letters/{}?max={max}{query}{after}", encode(queue));
            let page: LetterPage = self.ask(Method::GET, &path).await?;
            left = left.saturating_sub(page.letters.len());
            each(page.letters);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        Ok(())
    }
}

/// Asks, and says what was answered.
pub(super) async fn run(options: DeadLettersOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let gateway = Gateway { at };
    let done = match &options.act {
        Act::List { filter, max, reveal } => list(&gateway, filter, *max, *reveal, options.json).await,
        Act::Show {
            queue,
            number,
            reveal,
        } => show(&gateway, queue, *number, *reveal, options.json).await,
        Act::Replay(order) => act(&gateway, "replay", order, options.json).await,
        Act::Drop(order) => act(&gateway, "drop", order, options.json).await,
    };
    match done {
        Ok(Ok(text)) => {
            // A reader that has seen enough (`| head`) is no failure.
            std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
            Ok(Exit::Stopped)
        }
        Ok(Err(exit)) => Ok(exit),
        Err(error) => match error.downcast::<ReachError>() {
            Ok(error) => Ok(error.say(&gateway.at)),
            Err(error) => {
                eprintln!("smsgw: {error:#}");
                Ok(Exit::Found)
            }
        },
    }
}

type Said = anyhow::Result<Result<String, Exit>>;

async fn list(gateway: &Gateway, filter: &Filter, max: usize, reveal: bool, json: bool) -> Said {
    let queues = gateway.queues(filter).await?;
    if filter.is_empty() {
        return Ok(Ok(if json { pretty(&queues)? } else { summary(&queues) }));
    }
    let query = format!("{}{}", filter.query(None), if reveal { "&reveal=1" } else { "" });
    let mut letters = Vec::new();
    for row in &queues {
        let left = max.saturating_sub(letters.len());
        gateway
            .pages(&row.queue, &query, left, |page| letters.extend(page))
            .await?;
    }
    Ok(Ok(if json { pretty(&letters)? } else { table(&letters) }))
}

async fn show(gateway: &Gateway, queue: &str, number: u64, reveal: bool, json: bool) -> Said {
    let reveal = if reveal { "?reveal=1" } else { "" };
    let path = format!("/dead-letters/{}/{number}{reveal}", encode(queue));
    let row: LetterRow = gateway.ask(Method::GET, &path).await?;
    if json {
        return Ok(Ok(pretty(&row)?));
    }
    let mut text = String::new();
    if let serde_json::Value::Object(fields) = serde_json::to_value(&row)? {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("{name:13} {value}\n"));
        }
    }
    Ok(Ok(text))
}

async fn act(gateway: &Gateway, verb: &str, order: &Order, json: bool) -> Said {
    if order.filter.is_empty() && !order.all {
        eprintln!("smsgw: say which with --queue, --client, --reason, --target or an age, or --all");
        return Ok(Err(Exit::Config));
    }
    let query = order.filter.query(order.id);
    let queues = gateway.queues(&order.filter).await?;
    let mut total = Total {
        queues: queues.len(),
        dry_run: order.dry_run,
        ..Total::default()
    };
    for row in &queues {
        if order.dry_run {
            gateway
                .pages(&row.queue, &query, usize::MAX, |page| {
                    total.done = total
                        .done
                        .saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
                })
                .await?;
            continue;
        }
        let all = if order.filter.corrupt {
            row.corrupt
        } else {
            row.dead_letter
        };
        let (mut after, mut seen) = (String::new(), 0_u64);
        let mut bar = Bar::new(Unit::Things, json);
        bar.begin(if verb == "replay" { "replaying" } else { "dropping" });
        loop {
            let asked = format!("{query}{after}");
            let path = format!(
                "/dead-letters/{}/{verb}?{}",
                encode(&row.queue),
                asked.trim_start_matches('&')
            );
            let ordered: LettersOrdered = gateway.ask(Method::POST, &path).await?;
            let Some(acted) = ordered.acted else {
                bail!("{}: {}", ordered.outcome, ordered.detail);
            };
            total.done = total.done.saturating_add(acted.done);
            total.passed_over = total.passed_over.saturating_add(acted.passed_over);
            seen = seen.saturating_add(acted.seen);
            bar.show(seen, Some(all));
            match acted.next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
    }
    if json {
        return Ok(Ok(pretty(&total)?));
    }
    let word = match (verb, order.dry_run) {
        ("replay", false) => "replayed",
        ("replay", true) => "would be replayed",
        (_, false) => "dropped",
        (_, true) => "would be dropped",
    };
    let missed = match total.passed_over {
        0 => String::new(),
        missed => format!(", {missed} taken by somebody meanwhile"),
    };
    Ok(Ok(format!("{} {word}{missed}\n", total.done)))
}

fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

fn summary(rows: &[QueueRow]) -> String {
    if rows.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let widest = rows.iter().map(|row| row.queue.len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "{:widest$}  {:>11}  {:>9}  REASONS\n",
        "QUEUE", "DEAD LETTER", "CORRUPT"
    );
    for row in rows {
        let reasons: Vec<String> = row
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let (dead, corrupt) = (row.dead_letter, row.corrupt);
        text.push_str(&format!(
            "{:widest$}  {dead:>11}  {corrupt:>9}  {}\n",
            row.queue,
            reasons.join(", ")
        ));
    }
    text
}

fn table(rows: &[LetterRow]) -> String {
    if rows.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut text = String::new();
    for row in rows {
        let since = row.since.as_deref().unwrap_or("-");
        text.push_str(&format!(
            "{} {:>8}  {since}  {:18}  {:12}  {:8}  {}\n",
            row.queue,
            row.id,
            row.reason,
            row.client,
            row.kind,
            [&row.message_id, &row.to, &row.target, &row.detail]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        ));
        if let Some(content) = &row.content {
            text.push_str(&format!("    {content}\n"));
        }
    }
    text
}
