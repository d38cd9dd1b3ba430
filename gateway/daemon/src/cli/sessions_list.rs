//! `smsgw sessions`: who is bound over SMPP. The same as `smsgw session list`, beside `queues` and `links`.
//!
//! Talks to the administrator's listener; knows no state itself.

use super::balance::say;
use super::session::table;
use crate::exit::Exit;
use crate::reach::{self, GatewayOptions};
use crate::sessions::SessionRow;
use clap::Args;

/// Show the clients that are bound over SMPP: bind, peer, since when, messages.
#[derive(Debug, Args)]
pub(super) struct SessionsOptions {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Only those of this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Asks, and prints.
pub(super) async fn run(options: SessionsOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let mut rows: Vec<SessionRow> = match reach::read(&at, "/sessions").await {
        Ok((_, rows)) => rows,
        Err(exit) => return Ok(exit),
    };
    if let Some(client) = &options.client {
        rows.retain(|row| row.client == *client);
    }
    say(&match options.json {
        true => format!("{}\n", serde_json::to_string_pretty(&rows)?),
        false => table(&rows),
    });
    Ok(Exit::Stopped)
}
