//! `smsgw links`: every link to a carrier, its state, window, rates and answer times.
//!
//! Talks to the administrator's listener; knows no state itself. Invariant: what a carrier said is printed without what
//! could steer a terminal.

use super::balance::say;
use crate::exit::Exit;
use crate::reach::{self, GatewayOptions};
use crate::status::draw::printable;
use crate::status::schema::Link;
use clap::Args;
use std::fmt::Write;

/// Show the links to carriers: state, window in use, parts per second, answer times, last error.
#[derive(Debug, Args)]
pub(super) struct LinksOptions {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Only those of this operator.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Asks, and prints.
pub(super) async fn run(options: LinksOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let mut links: Vec<Link> = match reach::read(&at, "/links").await {
        Ok((_, links)) => links,
        Err(exit) => return Ok(exit),
    };
    if let Some(operator) = &options.operator {
        links.retain(|link| link.operator == *operator);
        if links.is_empty() {
            eprintln!(
                "smsgw: there is no operator {}, or it has no links",
                printable(operator)
            );
            return Ok(Exit::Found);
        }
    }
    say(&match options.json {
        true => format!("{}\n", serde_json::to_string_pretty(&links)?),
        false => table(&links),
    });
    Ok(Exit::Stopped)
}

/// `-` where there is none.
pub(super) fn millis(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}ms"))
}

fn table(links: &[Link]) -> String {
    let widest = links.iter().map(|link| link.link.len()).max().unwrap_or(0).max(4);
    let mut out = format!(
        "{:widest$}  {:11}  {:10}  {:>9}  {:>8}  {:>8}  {:>7}  {:>7}  PEER\n",
        "LINK", "BIND", "STATE", "WINDOW", "SENT/S", "RECV/S", "P50", "P99"
    );
    for link in links {
        writeln!(
            out,
            "{:widest$}  {:11}  {:10}  {:>9}  {:>8.1}  {:>8.1}  {:>7}  {:>7}  {}",
            link.link,
            link.bind,
            link.state,
            format!("{}/{}", link.in_flight, link.window),
            link.sent_per_second,
            link.received_per_second,
            millis(link.answer_p50_ms),
            millis(link.answer_p99_ms),
            link.peer.as_deref().unwrap_or("-"),
        )
        .expect("writing to a String cannot fail");
        let orders = (!link.orders.is_empty()).then(|| link.orders.join(", "));
        let notes = [
            ("", &orders),
            ("", &link.reason),
            ("last error: ", &link.last_error),
        ];
        for (what, note) in notes {
            if let Some(note) = note {
                writeln!(out, "  {what}{}", printable(note)).expect("writing to a String cannot fail");
            }
        }
    }
    out
}
