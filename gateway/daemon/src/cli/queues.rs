//! `smsgw queues`: every queue with what waits in it and how long; the lanes of one.
//!
//! Talks to the administrator's listener; knows no state itself.

use super::balance::say;
use super::table::{Side, Table};
use crate::exit::Exit;
use crate::queues::{QueueRow, Queues};
use crate::reach::{self, GatewayOptions};
use crate::status::draw::printable;
use crate::trace::query::encode;
use clap::Args;
use std::collections::BTreeMap;

/// Show the queues: records by place, octets, age of the oldest, holds. With a name: its lanes, by class and flow.
#[derive(Debug, Args)]
pub(super) struct QueuesOptions {
    /// Only this queue, with its lanes.
    #[arg(value_name = "QUEUE")]
    queue: Option<String>,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print what the gateway answered, as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks, and prints.
pub(super) async fn run(options: QueuesOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let path = match &options.queue {
        None => "/queues".to_owned(),
        Some(queue) => format!("/queues?queue={}", encode(queue)),
    };
    let (raw, queues): (_, Queues) = match reach::read(&at, &path).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    say(&match options.json {
        true => format!("{raw:#}\n"),
        false => table(&queues.queues),
    });
    Ok(Exit::Stopped)
}

/// Records at a place.
pub(super) fn at(places: &BTreeMap<String, u64>, place: &str) -> u64 {
    places.get(place).copied().unwrap_or(0)
}

/// A span as people say it: `250ms`, `12s`, `3m12s`, `5h03m`, `12d04h`.
pub(super) fn span(millis: Option<u64>) -> String {
    let Some(millis) = millis else {
        return "-".to_owned();
    };
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        86_400.. => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Octets as people say them.
fn size(octets: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| octets >= *unit) {
        Some((unit, name)) => format!(
            "{}.{}{name}",
            octets / unit,
            (octets % unit).saturating_mul(10) / unit
        ),
        None => format!("{octets}B"),
    }
}

fn cells(name: String, places: &BTreeMap<String, u64>, octets: u64, oldest: Option<u64>) -> [String; 9] {
    let place = |place| at(places, place).to_string();
    [
        name,
        place("ready"),
        place("in_flight"),
        place("deferred"),
        place("held"),
        place("dead_letter"),
        place("corrupt"),
        size(octets),
        span(oldest),
    ]
}

fn table(queues: &[QueueRow]) -> String {
    let mut table = Table::new([
        ("QUEUE", Side::Left),
        ("READY", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("DEFERRED", Side::Right),
        ("HELD", Side::Right),
        ("DEAD", Side::Right),
        ("CORRUPT", Side::Right),
        ("OCTETS", Side::Right),
        ("OLDEST", Side::Right),
    ]);
    for row in queues {
        table.row(cells(row.queue.clone(), &row.places, row.octets, row.oldest_ms));
        for hold in &row.holds {
            let flow = hold
                .flow
                .as_ref()
                .map_or_else(String::new, |flow| format!(" flow {}", printable(flow)));
            table.note(&format!("held{flow} since {}: {}", hold.since, hold.reason));
        }
        let Some(lanes) = &row.lanes else { continue };
        for lane in &lanes.lanes {
            let name = format!("  {} {}", lane.class, printable(&lane.flow));
            table.row(cells(name, &lane.places, lane.octets, Some(lane.oldest_ms)));
        }
        if !lanes.whole {
            table.note("the queue is longer than what was looked through for its lanes");
        }
    }
    table.draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_short() {
        for (millis, said) in [
            (0, "0ms"),
            (999, "999ms"),
            (59_999, "59s"),
            (192_000, "3m12s"),
            (18_180_000, "5h03m"),
            (1_051_200_000, "12d04h"),
        ] {
            assert_eq!(span(Some(millis)), said);
        }
        assert_eq!(span(None), "-");
        for (octets, said) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_536, "1.5KiB"),
            (3 << 30, "3.0GiB"),
        ] {
            assert_eq!(size(octets), said);
        }
    }

    #[test]
    fn a_row_has_every_place_and_lanes_that_are_not_all_say_so() {
        let row = |queue: &str, ready: u64, lanes| QueueRow {
            queue: queue.to_owned(),
            places: [("ready".to_owned(), ready)].into(),
            octets: ready * 100,
            oldest: BTreeMap::new(),
            oldest_ms: (ready > 0).then_some(1_500),
            holds: Vec::new(),
            lanes,
        };
        let drawn = table(&[row("a", 3, None), row("b", 0, None)]);
        let words: Vec<&str> = drawn.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["a", "3", "0", "0", "0", "0", "0", "300B", "1s"]);
        let words: Vec<&str> = drawn.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(words, ["b", "0", "0", "0", "0", "0", "0", "0B", "-"]);
        let lanes = crate::queues::Lanes {
            whole: false,
            lanes: Vec::new(),
        };
        assert!(table(&[row("a", 1, Some(lanes))]).contains("longer than what was looked"));
    }
}
