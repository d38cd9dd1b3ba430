//! `smsgw top`: what a running gateway does now, drawn anew every few seconds.
//!
//! Talks to the administrator's listener; keeps one sample, the one before. Rates are differences of counters of the
//! gateway, so they are right however late an answer comes. Invariant: no line is wider than the terminal, no frame higher.

use super::balance::say;
use super::links::millis;
use super::queues::{at, span};
use crate::exit::Exit;
use crate::queues::{QueueRow, Queues};
use crate::reach::{self, GatewayOptions, Listener};
use crate::status::draw::printable;
use crate::status::schema::{Link, Status};
use clap::Args;
use serde::Serialize;
use smsgw_config::duration_from_text;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::time::Instant;

/// The counter whose differences are the rates.
const MESSAGES: &str = "smsgw_messages_total{";
/// The client of events that belong to none.
const NOBODY: &str = "-";
/// Columns from which links are shown with everything.
const WIDE: usize = 76;
/// Onto the other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Show rates, queues, links and clients of a running gateway, refreshed until Ctrl-C.
#[derive(Debug, Args)]
pub(super) struct TopOptions {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// How often it is drawn.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    every: Duration,
    /// Draw once, after one such time, and end.
    #[arg(long)]
    once: bool,
    /// Print a line of JSON instead of each frame.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    duration_from_text(text)
        .filter(|time| (Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(time))
        .ok_or_else(|| "a time from 100ms to 1h, such as 2s".to_owned())
}

/// What happened to messages a second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct Rates {
    accepted: f64,
    sent: f64,
    delivered: f64,
    /// Failed, expired, rejected.
    failed: f64,
}

/// The same, counted.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Counts {
    accepted: f64,
    sent: f64,
    delivered: f64,
    failed: f64,
}

impl Counts {
    /// A counter that is lower than before began anew: the gateway was restarted.
    fn since(self, before: Self, seconds: f64) -> Rates {
        let rate = |now: f64, then: f64| (if now < then { now } else { now - then }) / seconds;
        Rates {
            accepted: rate(self.accepted, before.accepted),
            sent: rate(self.sent, before.sent),
            delivered: rate(self.delivered, before.delivered),
            failed: rate(self.failed, before.failed),
        }
    }
}

/// What was answered at one time.
struct Sample {
    at: Instant,
    status: Status,
    queues: Vec<QueueRow>,
    clients: BTreeMap<String, Counts>,
}

/// One frame.
#[derive(Debug, Serialize)]
struct Frame {
    at: String,
    node: String,
    ready: bool,
    unready: Option<String>,
    /// Between the two samples, in seconds.
    seconds: f64,
    alarms: Vec<String>,
    rates: Rates,
    clients: BTreeMap<String, Rates>,
    queues: Vec<QueueRow>,
    links: Vec<Link>,
}

/// Draws until Ctrl-C, or once.
pub(super) async fn run(options: TopOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let live = stdout().is_terminal() && !options.once && !options.json;
    let before = match sample(&at).await {
        Ok(sample) => sample,
        Err(exit) => return Ok(exit),
    };
    if live {
        say(ENTER);
        say("\x1b[H\x1b[Jsmsgw top: measuring ...");
    }
    let ended = tokio::select! {
        exit = frames(&at, before, &options, live) => exit,
        _ = tokio::signal::ctrl_c() => Exit::Stopped,
    };
    if live {
        say(LEAVE);
    }
    if live && ended != Exit::Stopped {
        eprintln!("smsgw: the gateway at {at} does not answer any more");
    }
    Ok(ended)
}

async fn frames(at: &Listener, mut before: Sample, options: &TopOptions, live: bool) -> Exit {
    loop {
        tokio::time::sleep(options.every).await;
        let now = match sample(at).await {
            Ok(now) => now,
            Err(exit) => return exit,
        };
        let frame = frame(&before, &now);
        if options.json {
            match serde_json::to_string(&frame) {
                Ok(line) => say(&format!("{line}\n")),
                Err(_) => return Exit::Failed,
            }
        } else {
            let (columns, lines) = if live {
                terminal(stdout())
            } else {
                (80, usize::MAX)
            };
            let drawn = draw(&frame, columns, lines);
            say(&match live {
                // Each line clears what stood behind it, the last one what stood below: no flicker.
                true => format!("\x1b[H{}\x1b[J", drawn.replace('\n', "\x1b[K\n")),
                false => format!("{drawn}\n"),
            });
        }
        if options.once {
            return Exit::Stopped;
        }
        before = now;
    }
}

/// Columns and lines.
pub(super) fn terminal(of: impl AsFd) -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(of).ok();
    let or = |n: Option<u16>, usual: usize| n.filter(|n| *n > 0).map_or(usual, usize::from);
    (
        or(size.map(|size| size.ws_col), 80),
        or(size.map(|size| size.ws_row), 24),
    )
}

async fn sample(gateway: &Listener) -> Result<Sample, Exit> {
    let metrics = reach::get(gateway, "/metrics").await?;
    let at = Instant::now();
    let (_, status) = reach::read(gateway, "/status").await?;
    let (_, queues): (_, Queues) = reach::read(gateway, "/queues").await?;
    Ok(Sample {
        at,
        status,
        queues: queues.queues,
        clients: counts(&String::from_utf8_lossy(&metrics)),
    })
}

/// Messages by client, from the metrics in the Prometheus text format.
fn counts(metrics: &str) -> BTreeMap<String, Counts> {
    let mut clients: BTreeMap<String, Counts> = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, value)) = line.strip_prefix(MESSAGES).and_then(|rest| rest.split_once("} ")) else {
            continue;
        };
        let label = |name: &str| {
            let behind = labels.split_once(&format!("{name}=\""))?.1;
            Some(behind.split_once('"')?.0)
        };
        let (Some(client), Some(what), Ok(value)) = (label("client"), label("what"), value.trim().parse())
        else {
            continue;
        };
        let counts = clients.entry(client.to_owned()).or_default();
        let value: f64 = value;
        match what {
            "mt_accepted" => counts.accepted += value,
            "mt_sent" => counts.sent += value,
            "delivered" => counts.delivered += value,
            "failed" | "expired" | "rejected" => counts.failed += value,
            _others => {}
        }
    }
    clients
}

fn frame(before: &Sample, now: &Sample) -> Frame {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let clients: BTreeMap<String, Rates> = now
        .clients
        .iter()
        .map(|(client, counts)| {
            let then = before.clients.get(client).copied().unwrap_or_default();
            (client.clone(), counts.since(then, seconds))
        })
        .collect();
    let mut rates = Rates::default();
    for client in clients.values() {
        rates.accepted += client.accepted;
        rates.sent += client.sent;
        rates.delivered += client.delivered;
        rates.failed += client.failed;
    }
    Frame {
        at: now.status.at.clone(),
        node: now.status.node.clone(),
        ready: now.status.ready,
        unready: now.status.unready.clone(),
        seconds,
        alarms: now
            .status
            .alarms
            .iter()
            .map(|alarm| format!("{} {}: {}", alarm.kind, alarm.subject, alarm.text))
            .collect(),
        rates,
        clients,
        queues: now.queues.clone(),
        links: now.status.links.clone().unwrap_or_default(),
    }
}

/// Records that wait for their turn.
fn waiting(row: &QueueRow) -> u64 {
    ["ready", "in_flight", "deferred", "held"]
        .into_iter()
        .map(|place| at(&row.places, place))
        .fold(0, u64::saturating_add)
}

/// A row of the links; a narrow terminal gets fewer columns rather than names that are cut.
fn link_line(wide: bool, [window, sent, p99, received, p50, state, link]: [&str; 7]) -> String {
    match wide {
        true => format!("{window:>9} {sent:>8} {received:>8} {p50:>7} {p99:>7}  {state:10}  {link}"),
        false => format!("{window:>9} {sent:>8} {p99:>7}  {state:10}  {link}"),
    }
}

/// The frame as text: at most so many columns and lines, each with its end but the last.
fn draw(frame: &Frame, columns: usize, lines: usize) -> String {
    let mut out = Vec::new();
    let ready = match &frame.unready {
        None => "READY".to_owned(),
        Some(why) => format!("NOT READY: {why}"),
    };
    out.push(format!("smsgw top  {}  {}  {ready}", frame.node, frame.at));
    let rates = frame.rates;
    out.push(format!(
        "per s: accepted {:.1}  sent {:.1}  delivered {:.1}  failed {:.1}",
        rates.accepted, rates.sent, rates.delivered, rates.failed
    ));
    for alarm in frame.alarms.iter().take(3) {
        out.push(format!("! {alarm}"));
    }
    if frame.alarms.len() > 3 {
        out.push(format!("! and {} more: smsgw status", frame.alarms.len() - 3));
    }
    // Numbers first where names may be long: a narrow terminal cuts the end of a line.
    out.push(String::new());
    out.push("  WAITING     READY    OLDEST  QUEUE".to_owned());
    let mut queues: Vec<&QueueRow> = frame.queues.iter().filter(|row| waiting(row) > 0).collect();
    queues.sort_by_key(|row| std::cmp::Reverse(waiting(row)));
    for row in queues.iter().take(8) {
        out.push(format!(
            "{:>9} {:>9} {:>9}  {}{}",
            waiting(row),
            at(&row.places, "ready"),
            span(row.oldest_ms),
            row.queue,
            if row.holds.is_empty() { "" } else { " (held)" },
        ));
    }
    if queues.is_empty() {
        out.push("        0         0         -  all are empty".to_owned());
    } else if queues.len() > 8 {
        out.push(format!("          and {} more: smsgw queues", queues.len() - 8));
    }
    out.push(String::new());
    let wide = columns >= WIDE;
    out.push(link_line(
        wide,
        ["WINDOW", "SENT/S", "P99", "RECV/S", "P50", "STATE", "LINK"],
    ));
    for link in &frame.links {
        out.push(link_line(
            wide,
            [
                &format!("{}/{}", link.in_flight, link.window),
                &format!("{:.1}", link.sent_per_second),
                &millis(link.answer_p99_ms),
                &format!("{:.1}", link.received_per_second),
                &millis(link.answer_p50_ms),
                &link.state,
                &link.link,
            ],
        ));
    }
    out.push(String::new());
    out.push("ACCEPT/S   SENT/S  DELIV/S   FAIL/S  CLIENT".to_owned());
    for (client, rates) in frame.clients.iter().filter(|(client, _)| *client != NOBODY) {
        out.push(format!(
            "{:>8.1} {:>8.1} {:>8.1} {:>8.1}  {client}",
            rates.accepted, rates.sent, rates.delivered, rates.failed
        ));
    }
    let hidden = out.len().saturating_sub(lines);
    if hidden > 0 {
        out.truncate(lines.saturating_sub(1));
        out.push(format!("... {} lines more", hidden + 1));
    }
    let cut = |line: &String| printable(line).chars().take(columns).collect::<String>();
    out.iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_and_a_restart_begins_anew() {
        let text = "# TYPE smsgw_messages_total counter\n\
                    smsgw_messages_total{client=\"acme\",what=\"mt_accepted\"} 30\n\
                    smsgw_messages_total{client=\"acme\",what=\"expired\"} 2\n\
                    smsgw_messages_total{client=\"acme\",what=\"rejected\"} 1\n\
                    smsgw_messages_total{client=\"-\",what=\"dr_received\"} 7\n\
                    other{client=\"acme\",what=\"mt_sent\"} 5\n";
        let acme = counts(text)["acme"];
        assert_eq!((acme.accepted, acme.sent, acme.failed), (30.0, 0.0, 3.0));
        let before = Counts {
            accepted: 10.0,
            ..Counts::default()
        };
        assert_eq!(acme.since(before, 2.0).accepted, 10.0);
        let later = Counts {
            accepted: 4.0,
            ..Counts::default()
        };
        assert_eq!(later.since(acme, 2.0).accepted, 2.0, "started again");
    }

    #[test]
    fn a_frame_fits_into_any_terminal() {
        let queue = |n: u64| QueueRow {
            queue: format!("mt.operator.{}{n}", "long".repeat(20)),
            places: [("ready".to_owned(), n)].into(),
            octets: n,
            oldest: BTreeMap::new(),
            oldest_ms: Some(n),
            holds: Vec::new(),
            lanes: None,
        };
        let frame = Frame {
            at: "2026-11-21T08:00:00.000Z".to_owned(),
            node: "gw1".to_owned(),
            ready: true,
            unready: None,
            seconds: 2.0,
            alarms: vec!["link alpha-1: refused \u{1b}[2J".to_owned(); 5],
            rates: Rates::default(),
            clients: BTreeMap::new(),
            queues: (1..30).map(queue).collect(),
            links: Vec::new(),
        };
        for (columns, lines) in [(1, 1), (20, 5), (80, 24), (300, 100)] {
            let drawn = draw(&frame, columns, lines);
            assert!(drawn.lines().count() <= lines, "{drawn}");
            assert!(
                drawn.lines().all(|line| line.chars().count() <= columns),
                "{drawn}"
            );
            assert!(!drawn.contains('\u{1b}'), "{drawn}");
        }
        let whole = draw(&frame, 300, 100);
        assert!(whole.contains("and 21 more: smsgw queues"), "{whole}");
        assert!(whole.contains("and 2 more: smsgw status"), "{whole}");
    }
}
