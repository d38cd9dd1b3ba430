//! `smsgw session`: who is bound to a running gateway over SMPP, and ending a session.
//!
//! Talks to the administrator's listener; knows no state itself.

use super::operator::PATIENCE;
use super::table::{Side, Table};
use crate::exit::Exit;
use crate::operators::Ordered;
use crate::reach::{self, GatewayOptions};
use crate::sessions::SessionRow;
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use std::io::Write;

/// Show the clients that are bound over SMPP, or end a session.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct SessionOptions {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    gateway: GatewayOptions,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the bound sessions.
    List {
        /// Print what the gateway answered, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Unbind a session; its client may bind again.
    Disconnect {
        /// As `list` shows it.
        #[arg(value_name = "SESSION")]
        session: String,
    },
}

/// Asks, and says what was answered.
pub(super) async fn run(options: SessionOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let (method, path) = match &options.act {
        Act::List { .. } => (Method::GET, "/sessions".to_owned()),
        Act::Disconnect { session } => (Method::POST, format!("/sessions/{session}/disconnect")),
    };
    let (code, body) = match reach::ask(&at, method, &path, Bytes::new(), PATIENCE).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let text = match (&options.act, code) {
        (Act::List { json: true }, StatusCode::OK) => String::from_utf8(body.to_vec())?,
        (Act::List { json: false }, StatusCode::OK) => {
            table(&serde_json::from_slice::<Vec<SessionRow>>(&body)?)
        }
        (Act::Disconnect { .. }, StatusCode::OK | StatusCode::ACCEPTED) => {
            let ordered: Ordered = serde_json::from_slice(&body)?;
            format!("{}: {}\n", ordered.outcome, ordered.detail)
        }
        (_, code) => {
            eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(&body).trim_end());
            return Ok(Exit::Found);
        }
    };
    // A reader that has seen enough (`| head`) is no failure.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
    Ok(Exit::Stopped)
}

pub(super) fn table(rows: &[SessionRow]) -> String {
    let mut table = Table::new([
        ("SESSION", Side::Left),
        ("CLIENT", Side::Left),
        ("BIND", Side::Left),
        ("SMPP", Side::Left),
        ("PEER", Side::Left),
        ("SINCE", Side::Left),
        ("SUBMITTED", Side::Right),
        ("DELIVERED", Side::Right),
    ]);
    for row in rows {
        table.row([
            row.session.clone(),
            row.client.clone(),
            row.bind.clone(),
            row.version.clone(),
            row.peer.clone(),
            row.since.clone(),
            row.submitted.to_string(),
            row.delivered.to_string(),
        ]);
    }
    table.draw()
}
