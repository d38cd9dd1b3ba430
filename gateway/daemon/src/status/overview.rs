//! The overview: is it well, and if not, what to look at first. 80 columns.

use super::draw::{WIDTH, clock, printable, push_line, since, wrapped};
use super::schema::{Link, Part, Receipts, Status};

/// Queues that are drawn when nothing is wrong with them: the fullest.
const QUEUES: usize = 20;

/// Draws the whole overview.
pub(super) fn draw(status: &Status) -> String {
    let mut out = String::new();
    head(&mut out, status);
    alarms(&mut out, status);
    listeners(&mut out, status);
    links(&mut out, status);
    receipts(&mut out, status);
    queues(&mut out, status);
    parts(&mut out, status);
    out
}

fn head(out: &mut String, status: &Status) {
    let state = match &status.unready {
        None => "READY".to_owned(),
        Some(why) => format!("NOT READY: {why}"),
    };
    let line = format!(
        "{}  smsgw {}  pid {}  epoch {}  engine {}  {state}",
        status.node, status.version, status.pid, status.epoch, status.engine.health
    );
    wrapped(out, "", "    ", &line);
}

fn alarms(out: &mut String, status: &Status) {
    if status.alarms.is_empty() {
        push_line(out, "\nno alarms");
        return;
    }
    push_line(out, "\nALARMS");
    for alarm in &status.alarms {
        let mark = if alarm.severity == "critical" {
            " !! "
        } else {
            "  ! "
        };
        let text = format!("{} {}: {}", alarm.kind, alarm.subject, alarm.text);
        wrapped(out, mark, "      ", &text);
    }
}

fn listeners(out: &mut String, status: &Status) {
    push_line(out, "\nLISTENERS");
    if status.listeners.is_empty() {
        push_line(out, "  none is open");
    }
    for listener in &status.listeners {
        push_line(out, &format!("  {:<8} {}", listener.name, listener.address));
    }
}

fn links(out: &mut String, status: &Status) {
    let Some(links) = &status.links else { return };
    row(
        out,
        "\nLINKS",
        &[
            ("bind", 5),
            ("state", 12),
            ("for", 7),
            ("in flight", 11),
            ("out/s", 8),
            ("in/s", 8),
            ("p50 ms", 7),
            ("p99 ms", 7),
        ],
    );
    if links.is_empty() {
        push_line(out, "  no operator is configured");
    }
    for link in links {
        let window = match link.window {
            0 => "-".to_owned(),
            window => format!("{}/{window}", link.in_flight),
        };
        row(
            out,
            &format!("  {}", printable(&link.link)),
            &[
                (bind(link), 5),
                (&link.state, 12),
                (&since(&link.since, &status.at), 7),
                (&window, 11),
                (&format!("{:.1}", link.sent_per_second), 8),
                (&format!("{:.1}", link.received_per_second), 8),
                (&answered(link.answer_p50_ms), 7),
                (&answered(link.answer_p99_ms), 7),
            ],
        );
        for line in details(link, &status.at) {
            wrapped(out, "      ", "      ", &line);
        }
        if let (Some(error), Some(at)) = (&link.last_error, &link.last_error_at) {
            let text = format!("last error {} ago: {error}", since(at, &status.at));
            wrapped(out, "      ", "      ", &text);
        }
    }
}

/// Where it is connected to, what limits it and what is to come: lines below its numbers, only those that say something.
fn details(link: &Link, at: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(peer) = &link.peer {
        let mut to = format!("to {peer}");
        if let Some(host) = link.host.as_ref().filter(|host| *host != peer) {
            to.push_str(&format!(" ({host})"));
        }
        to.push_str(if link.tls { ", TLS" } else { ", no TLS" });
        if let Some(version) = &link.version {
            to.push_str(&format!(", SMPP {version}"));
        }
        lines.push(to);
    }
    let mut limits = Vec::new();
    if let Some(rate) = link.rate {
        limits.push(format!("operator's rate {rate}/s"));
    }
    match (link.rate, link.rate_now) {
        (Some(rate), Some(now)) if now < rate => {
            limits.push(format!("now {now:.1}/s: the carrier throttles"))
        }
        (None, Some(now)) => limits.push(format!("now at most {now:.1}/s: the carrier throttles")),
        (Some(_) | None, Some(_) | None) => {}
    }
    limits.extend(link.orders.iter().map(|order| order.to_uppercase()));
    if !limits.is_empty() {
        lines.push(limits.join(", "));
    }
    if let Some(reason) = &link.reason {
        lines.push(match &link.next_try {
            Some(next) => format!("{reason}; next try in {}", since(at, next)),
            None => reason.clone(),
        });
    }
    lines
}

/// Nothing before the first receipt.
fn receipts(out: &mut String, status: &Status) {
    let had_some = |ids: &&Receipts| [ids.matched, ids.parked, ids.unknown] != [0; 3];
    let mut shown = status.receipts.iter().flatten().filter(had_some).peekable();
    if shown.peek().is_none() {
        return;
    }
    let heads = [
        ("ids", 24),
        ("matched", 10),
        ("parked", 9),
        ("unknown", 9),
        ("share", 9),
    ];
    row(out, "\nRECEIPTS", &heads);
    for ids in shown {
        let form = match (&ids.form, ids.configured) {
            (None, _) => "not known".to_owned(),
            (Some(form), true) => format!("{form} (set)"),
            (Some(form), false) => form.clone(),
        };
        let share = ids
            .matched_share
            .map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
        row(
            out,
            &format!("  {}", printable(&ids.operator)),
            &[
                (&form, 24),
                (&short(ids.matched), 10),
                (&short(ids.parked), 9),
                (&short(ids.unknown), 9),
                (&share, 9),
            ],
        );
    }
}

/// Milliseconds in at most six columns.
fn answered(millis: Option<f64>) -> String {
    match millis {
        None => "-".to_owned(),
        Some(millis) if millis < 100.0 => format!("{millis:.1}"),
        Some(millis) => format!("{millis:.0}"),
    }
}

fn bind(link: &Link) -> &str {
    match link.bind.as_str() {
        "transceiver" => "trx",
        "transmitter" => "tx",
        "receiver" => "rx",
        other => other,
    }
}

fn queues(out: &mut String, status: &Status) {
    const PLACES: [(&str, &str); 6] = [
        ("ready", "ready"),
        ("in_flight", "in fl."),
        ("deferred", "deferred"),
        ("held", "held"),
        ("dead_letter", "dead"),
        ("corrupt", "corrupt"),
    ];
    let heads: Vec<(&str, usize)> = PLACES.iter().map(|(_, head)| (*head, 9)).collect();
    row(out, "\nQUEUES", &heads);
    let mut queues: Vec<_> = status
        .queues
        .iter()
        .map(|(name, places)| (name, places, places.values().sum::<u64>()))
        .filter(|(.., all)| *all > 0)
        .collect();
    if queues.is_empty() {
        push_line(out, "  all are empty");
    }
    queues.sort_by_key(|(.., all)| std::cmp::Reverse(*all));
    for (name, places, _) in queues.iter().take(QUEUES) {
        let counts: Vec<String> = PLACES
            .iter()
            .map(|(place, _)| places.get(*place).copied().unwrap_or(0))
            .map(short)
            .collect();
        let cells: Vec<(&str, usize)> = counts.iter().map(|count| (count.as_str(), 9)).collect();
        row(out, &format!("  {}", printable(name)), &cells);
    }
    let more = queues.len().saturating_sub(QUEUES);
    if more > 0 {
        push_line(
            out,
            &format!("  and {more} with fewer records (--json has them all)"),
        );
    }
}

fn parts(out: &mut String, status: &Status) {
    let Some(tree) = &status.tree else {
        return push_line(out, "\nPARTS: not started yet");
    };
    let mut states: Vec<(&str, u64)> = Vec::new();
    let mut restarts = 0;
    tally(tree, &mut states, &mut restarts);
    let said: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let line = format!(
        "PARTS {}; {restarts} restarts{}",
        said.join(", "),
        last_failure(tree).map_or(String::new(), |at| format!(", the last failure at {}", clock(at)))
    );
    out.push('\n');
    wrapped(out, "", "      ", &line);
    if restarts > 0 {
        push_line(out, "      smsgw status --tree shows which and why");
    }
}

fn tally<'a>(part: &'a Part, states: &mut Vec<(&'a str, u64)>, restarts: &mut u64) {
    match states.iter_mut().find(|(state, _)| *state == part.state) {
        Some((_, count)) => *count += 1,
        None => states.push((&part.state, 1)),
    }
    *restarts += part.restarts;
    for child in &part.children {
        tally(child, states, restarts);
    }
}

fn last_failure(part: &Part) -> Option<&str> {
    let below = part.children.iter().filter_map(last_failure);
    // Of one format and one zone, so the latest is the greatest.
    below.chain(part.failed_at.as_deref()).max()
}

/// A name and right-aligned cells; a name that is too long gets a line of its own.
fn row(out: &mut String, name: &str, cells: &[(&str, usize)]) {
    let right: String = cells
        .iter()
        .map(|(cell, width)| format!("{cell:>width$}", width = *width))
        .collect();
    let room = WIDTH.saturating_sub(right.chars().count());
    let (gap, name) = match name.strip_prefix('\n') {
        Some(name) => ("\n", name),
        None => ("", name),
    };
    if name.chars().count() < room {
        push_line(out, &format!("{gap}{name:<room$}{right}"));
    } else {
        push_line(out, &format!("{gap}{name}"));
        push_line(out, &format!("{:<room$}{right}", ""));
    }
}

/// A count in at most eight columns: `12345678`, `123.4M`.
fn short(count: u64) -> String {
    match count {
        0..=9_999_999 => count.to_string(),
        10_000_000..=9_999_999_999 => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests;
