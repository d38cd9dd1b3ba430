//! `smsgw links`: every link to a carrier, its state, window, rates and answer times.
//!
//! Talks to the administrator's listener; knows no state itself. Invariant: what a carrier said is printed without what
//! could steer a terminal.

use super::balance::say;
use super::table::{Side, Table};
use crate::exit::Exit;
use crate::reach::{self, GatewayOptions};
use crate::status::draw::printable;
use crate::status::schema::Link;
use clap::Args;

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
    let mut table = Table::new([
        ("LINK", Side::Left),
        ("BIND", Side::Left),
        ("STATE", Side::Left),
        ("WINDOW", Side::Right),
        ("SENT/S", Side::Right),
        ("RECV/S", Side::Right),
        ("P50", Side::Right),
        ("P99", Side::Right),
        ("PEER", Side::Left),
    ]);
    for link in links {
        table.row([
            link.link.clone(),
            link.bind.clone(),
            link.state.clone(),
            format!("{}/{}", link.in_flight, link.window),
            format!("{:.1}", link.sent_per_second),
            format!("{:.1}", link.received_per_second),
            millis(link.answer_p50_ms),
            millis(link.answer_p99_ms),
            link.peer.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
        let orders = (!link.orders.is_empty()).then(|| link.orders.join(", "));
        let notes = [
            ("", &orders),
            ("", &link.reason),
            ("last error: ", &link.last_error),
        ];
        for (what, note) in notes {
            if let Some(note) = note {
                table.note(&format!("{what}{}", printable(note)));
            }
        }
    }
    table.draw()
}
