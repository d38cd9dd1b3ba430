//! `smsgw credit`: balances and ledgers of prepaid accounts, and paying in.
//!
//! Talks to the administrator's listener; knows no state itself. Every order has a key, printed before it is sent: the same
//! command with that key moves nothing twice, whatever became of the first one.

use super::operator::PATIENCE;
use crate::credit::{CreditRow, LedgerRows};
use crate::exit::Exit;
use crate::operators::Ordered;
use crate::reach::{self, GatewayOptions};
use crate::trace::query::encode;
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use smsgw_message::names;
use std::fmt::Write as _;
use std::io::Write;

/// Show the credit of prepaid clients and their ledgers, or pay in.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct CreditOptions {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    gateway: GatewayOptions,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show balances: of one client, or of all that are prepaid or ever were.
    Show {
        /// As in [client.NAME].
        #[arg(value_name = "CLIENT")]
        client: Option<String>,
        /// Print what the gateway answered, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Pay into an account.
    TopUp(Order),
    /// Set an account right: an amount below zero takes out, never below the account's floor.
    Correct(Order),
    /// Show the movements of an account, oldest first.
    Ledger {
        /// As in [client.NAME].
        #[arg(value_name = "CLIENT")]
        client: String,
        /// From this position on; the last ones without.
        #[arg(long, value_name = "POSITION")]
        from: Option<u64>,
        /// Entries of the log at most; each holds up to 256 movements.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Print what the gateway answered, as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Order {
    /// As in [client.NAME].
    #[arg(value_name = "CLIENT")]
    client: String,
    /// As in 25.50; at most six digits behind the point.
    #[arg(value_name = "AMOUNT", allow_negative_numbers = true)]
    amount: String,
    /// That of the account, which it has without saying so.
    #[arg(long, value_name = "EUR")]
    currency: Option<String>,
    /// What stands in the ledger beside it, such as the number of an invoice.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Of all orders with one key only the first moves money; a fresh one without.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Order {
    /// The path, and the key.
    fn path(&self, act: &str) -> (String, String) {
        let key = self
            .key
            .clone()
            .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        let mut path = format!(
            "/credit/{}/{act}?amount={}&key={}",
            encode(&self.client),
            encode(&self.amount),
            encode(&key)
        );
        for (name, value) in [("currency", &self.currency), ("reference", &self.reference)] {
            if let Some(value) = value {
                write!(path, "&{name}={}", encode(value)).expect("writing to a String cannot fail");
            }
        }
        (path, key)
    }
}

/// Asks, and says what was answered.
pub(super) async fn run(options: CreditOptions) -> anyhow::Result<Exit> {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let order = |order: &Order, act: &str| {
        let (path, key) = order.path(act);
        eprintln!("key {key}");
        (Method::POST, path)
    };
    let (method, path) = match &options.act {
        Act::Show { .. } => (Method::GET, "/credit".to_owned()),
        Act::TopUp(given) => order(given, names::TOP_UP),
        Act::Correct(given) => order(given, names::CORRECT),
        Act::Ledger {
            client, from, limit, ..
        } => {
            let from = from.map_or_else(String::new, |from| format!("&from={from}"));
            let path = format!("/credit/{}/ledger?limit={limit}{from}", encode(client));
            (Method::GET, path)
        }
    };
    let (code, body) = match reach::ask(&at, method, &path, Bytes::new(), PATIENCE).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    if code != StatusCode::OK && code != StatusCode::ACCEPTED {
        eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(&body).trim_end());
        return Ok(Exit::Found);
    }
    let text = match &options.act {
        Act::Show { client, json } => {
            let mut rows: Vec<CreditRow> = serde_json::from_slice(&body)?;
            rows.retain(|row| client.as_ref().is_none_or(|client| row.client == *client));
            if let (Some(client), true) = (client, rows.is_empty()) {
                eprintln!("smsgw: client {client} has no credit");
                return Ok(Exit::Found);
            }
            match json {
                true => format!("{}\n", serde_json::to_string_pretty(&rows)?),
                false => accounts(&rows),
            }
        }
        Act::Ledger { json: true, .. } => String::from_utf8(body.to_vec())?,
        Act::Ledger { json: false, .. } => lines(&serde_json::from_slice(&body)?),
        Act::TopUp(_) | Act::Correct(_) => {
            let ordered: Ordered = serde_json::from_slice(&body)?;
            format!("{}: {}\n", ordered.outcome, ordered.detail)
        }
    };
    // A reader that has seen enough (`| head`) is no failure.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
    Ok(Exit::Stopped)
}

fn accounts(rows: &[CreditRow]) -> String {
    let widest = rows.iter().map(|row| row.client.len()).max().unwrap_or(0).max(6);
    let mut text = format!(
        "{:widest$}  {:8}  {:>16}  {:>16}  {:>16}  {:>16}  PREPAID\n",
        "CLIENT", "CURRENCY", "BALANCE", "RESERVED", "CHARGED", "PAID"
    );
    for row in rows {
        text.push_str(&format!(
            "{:widest$}  {:8}  {:>16}  {:>16}  {:>16}  {:>16}  {}\n",
            row.client,
            row.currency,
            row.balance,
            row.reserved,
            row.charged,
            row.paid,
            if row.prepaid { "yes" } else { "no" }
        ));
    }
    text
}

fn lines(ledger: &LedgerRows) -> String {
    let mut text = format!(
        "{:>10}  {:24}  {:10}  {:>16}  {:>16}  {:3}  {:>5}  {:36}  REFERENCE\n",
        "LINE", "AT", "MOVEMENT", "AMOUNT", "BALANCE", "", "PARTS", "ID"
    );
    for row in &ledger.lines {
        text.push_str(&format!(
            "{:>10}  {:24}  {:10}  {:>16}  {:>16}  {:3}  {:>5}  {:36}  {}\n",
            row.number,
            row.at,
            row.movement,
            row.amount,
            row.balance,
            row.currency,
            row.parts,
            row.id,
            row.reference.as_deref().unwrap_or("-")
        ));
    }
    text.push_str(&format!("next: --from {}\n", ledger.next));
    text
}
