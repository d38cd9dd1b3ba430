//! `smsgw operator`: stops, drains, starts, holds and releases an operator of a running gateway or one of its links, moves what
//! waits for it, and lists them.
//!
//! Talks to the administrator's listener; knows no state itself.

use super::config::{self, AccountAct};
use super::moves;
use crate::exit::Exit;
use crate::operators::{OperatorRow, Ordered};
use crate::reach::{self, GatewayOptions};
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use std::io::Write;
use std::time::Duration;

/// How long the gateway may take to answer; it waits some seconds for the order to be done.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Stop, drain, start, hold or release an operator of a running gateway, or one of its links: lasts until ordered otherwise,
/// over restarts too. Or move what waits for it.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct OperatorOptions {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    gateway: GatewayOptions,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show the operators: whether they are started and held, their links and queues.
    List {
        /// Print what the gateway answered, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add one to the configuration: NAME KEY=VALUE …
    Add(config::Keys),
    /// Change some of its keys: NAME KEY=VALUE …
    Set(config::Keys),
    /// Remove one from the configuration; its parts wait in its queue (`smsgw status` shows an alarm).
    Remove(config::Gone),
    /// Take nothing new, wait for what is unanswered at most node.drain_timeout, unbind; its parts wait in the queue.
    Stop(Target),
    /// Take nothing new, wait until all is answered (or has passed response_timeout), unbind; its parts wait in the queue.
    Drain(Target),
    /// Open its links again, also when the file keeps them closed. Links with an order of their own keep it.
    Start(Target),
    /// Take nothing from its queue; its links stay bound, receipts and replies come in.
    Hold(Target),
    /// Take from its queue again.
    Release(Target),
    /// Give what waits for it to another operator. What was sent, or may have been, stays, and so do its siblings.
    Move(moves::MoveOptions),
}

#[derive(Debug, Args)]
struct Target {
    /// As in [operator.NAME].
    #[arg(value_name = "NAME")]
    operator: String,
    /// Only this link, by its number from 1; its parts go over the others.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    link: Option<u32>,
}

impl Target {
    fn path(&self, act: &str) -> String {
        let path = format!("/operators/{}/{act}", self.operator);
        match self.link {
            None => path,
            Some(link) => format!("{path}?link={link}"),
        }
    }
}

/// Asks, and says what was answered.
pub(super) async fn run(options: OperatorOptions) -> anyhow::Result<Exit> {
    let target = options.gateway.clone();
    let options = match options.act {
        Act::Add(keys) => return config::account("operator", AccountAct::Add(keys), &target).await,
        Act::Set(keys) => return config::account("operator", AccountAct::Set(keys), &target).await,
        Act::Remove(gone) => return config::account("operator", AccountAct::Remove(gone), &target).await,
        act @ (Act::List { .. }
        | Act::Stop(_)
        | Act::Drain(_)
        | Act::Start(_)
        | Act::Hold(_)
        | Act::Release(_)
        | Act::Move(_)) => OperatorOptions { act, ..options },
    };
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let (method, path) = match &options.act {
        Act::List { .. } => (Method::GET, "/operators".to_owned()),
        Act::Stop(target) => (Method::POST, target.path("stop")),
        Act::Drain(target) => (Method::POST, target.path("drain")),
        Act::Start(target) => (Method::POST, target.path("start")),
        Act::Hold(target) => (Method::POST, target.path("hold")),
        Act::Release(target) => (Method::POST, target.path("release")),
        Act::Move(options) => return moves::run(options, &at).await,
        // Done above.
        Act::Add(_) | Act::Set(_) | Act::Remove(_) => return Ok(Exit::Failed),
    };
    let (code, body) = match reach::ask(&at, method, &path, Bytes::new(), PATIENCE).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let text = match (&options.act, code) {
        (Act::List { json: true }, StatusCode::OK) => String::from_utf8(body.to_vec())?,
        (Act::List { json: false }, StatusCode::OK) => {
            table(&serde_json::from_slice::<Vec<OperatorRow>>(&body)?)
        }
        (_, StatusCode::OK | StatusCode::ACCEPTED) => {
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

fn table(rows: &[OperatorRow]) -> String {
    let widest = rows
        .iter()
        .map(|row| row.operator.len())
        .max()
        .unwrap_or(0)
        .max(8);
    let mut text = format!(
        "{:widest$}  {:7}  {:7}  {:>9}  LINKS\n",
        "OPERATOR", "STATE", "QUEUE", "READY"
    );
    for row in rows {
        let links: Vec<String> = row
            .links
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        text.push_str(&format!(
            "{:widest$}  {:7}  {:7}  {:>9}  {}\n",
            row.operator,
            match (row.enabled, row.closing.as_str()) {
                (true, _) => "started",
                (false, "drain") => "drained",
                (false, _) => "stopped",
            },
            if row.held_since.is_some() { "held" } else { "open" },
            row.queue.get("ready").copied().unwrap_or(0),
            if links.is_empty() {
                "-".to_owned()
            } else {
                links.join(", ")
            },
        ));
        for (link, word) in &row.ordered {
            text.push_str(&format!("  {}-{link} is {word}\n", row.operator));
        }
    }
    text
}
