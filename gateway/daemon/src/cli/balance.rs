//! `smsgw balance`: whether every accepted message has ended once or is still open, asked of a running gateway.
//!
//! Draws and decides the exit code; knows no state itself.

use super::progress::{Bar, Unit};
use crate::counters::{AT_MOST, Account, Judged};
use crate::exit::Exit;
use crate::reach::{self, GatewayOptions};
use bytes::Bytes;
use clap::Args;
use hyper::{Method, StatusCode};
use std::io::{self, Write};
use std::time::Duration;

/// How long the gateway may take to answer, beyond the time it was told to wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prove that every accepted message has ended once or is still open, and name those that break it.
///
/// Compares, for each client, accepted messages with those that ended and those whose records say that they are open; for
/// each operator, the parts it was given with those sent, refused, taken back and waiting in its queue. The exit code is 0 when it
/// balances, 1 when it does not, 69 when no gateway answers. While messages flow some of it cannot be compared, which is
/// said; nothing is called broken for that.
#[derive(Debug, Args)]
pub(super) struct BalanceOptions {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Seconds to wait for a moment at which nothing moves, at most 120.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(0..=120))]
    wait: u64,
    /// Open messages whose records are looked at, oldest first.
    #[arg(long, value_name = "NUMBER", default_value_t = AT_MOST)]
    at_most: u64,
    /// Fail as well (70) when not everything could be compared.
    #[arg(long)]
    settled: bool,
    /// Print what the gateway answered, as JSON (ops/docs/counters.md).
    #[arg(long)]
    json: bool,
}

/// Does what was asked.
pub(super) async fn run(options: BalanceOptions) -> anyhow::Result<Exit> {
    let path = format!("/balance?seconds={}&at_most={}", options.wait, options.at_most);
    let mut bar = Bar::new(Unit::Seconds, options.json);
    bar.begin("comparing");
    bar.show(0, Some(options.wait));
    let asked = ask(&options.gateway, &path).await;
    drop(bar);
    let body = match asked? {
        Ok(body) => body,
        Err(exit) => return Ok(exit),
    };
    let judged: Judged = serde_json::from_slice(&body)?;
    if options.json {
        say(&format!(
            "{:#}\n",
            serde_json::from_slice::<serde_json::Value>(&body)?
        ));
    } else {
        say(&draw(&judged));
    }
    Ok(if !judged.holds {
        Exit::Found
    } else if options.settled && !judged.settled {
        Exit::Failed
    } else {
        Exit::Stopped
    })
}

fn draw(judged: &Judged) -> String {
    let mut out = String::new();
    for (what, accounts) in [
        ("client, in messages", &judged.clients),
        ("operator, in parts", &judged.operators),
    ] {
        out.push_str(&format!("{what}\n"));
        for account in accounts {
            out.push_str(&drawn(account));
        }
    }
    out.push_str(&format!(
        "{} messages are open, {} of their records were looked at; {} events are not counted yet\n",
        judged.open, judged.checked, judged.lag
    ));
    if judged.totals_differ != 0 {
        out.push_str(&format!("totals and ledger differ by {}\n", judged.totals_differ));
    }
    for broken in &judged.broken {
        out.push_str(&format!("BROKEN {} {}\n", broken.id, broken.fault));
    }
    if judged.more_broken {
        out.push_str("BROKEN and more\n");
    }
    out.push_str(match (judged.holds, judged.settled) {
        (false, _) => "it does NOT balance\n",
        (true, true) => "it balances\n",
        (true, false) => "nothing is wrong, but not everything could be compared: messages flow (--wait), or more are open than --at-most\n",
    });
    out
}

fn drawn(account: &Account) -> String {
    let counts: Vec<String> = account
        .counts
        .iter()
        .map(|(what, times)| format!("{what} {times}"))
        .collect();
    let found = account
        .found
        .map_or_else(|| "not compared".to_owned(), |found| format!("found {found}"));
    let verdict = match account.difference {
        0 => String::new(),
        difference => format!("  WRONG by {difference}"),
    };
    format!(
        "  {}: {}; open {}, {found}{verdict}\n",
        account.name,
        counts.join(", "),
        account.open
    )
}

/// A reader that has seen enough (`| head`) is no failure.
pub(super) fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).unwrap_or_default();
}

/// The body of the answer, or the exit code that says why there is none.
pub(super) async fn ask(gateway: &GatewayOptions, path: &str) -> anyhow::Result<Result<Bytes, Exit>> {
    let at = match gateway.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(Err(exit)),
    };
    let patience = PATIENCE + crate::counters::MOST_PATIENCE;
    let (status, body) = match reach::ask(&at, Method::GET, path, Bytes::new(), patience).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(Err(exit)),
    };
    if status == StatusCode::OK {
        return Ok(Ok(body));
    }
    let said = String::from_utf8_lossy(&body);
    eprintln!(
        "smsgw: the gateway answers {}: {}",
        status.as_u16(),
        said.trim_end()
    );
    Ok(Err(if status == StatusCode::UNPROCESSABLE_ENTITY {
        Exit::Config
    } else {
        Exit::Failed
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_it_is_named() {
        let judged: Judged = serde_json::from_str(
            r#"{"holds":false,"settled":true,"position":9,"lag":0,"open":1,"checked":1,"totals_differ":0,
                "clients":[{"name":"acme","counts":{"mt_accepted":3,"delivered":1},"open":2,"found":1,"difference":1}],
                "operators":[{"name":"alpha","counts":{"parts_given":3},"open":3,"difference":0}],
                "broken":[{"id":"0198","fault":"lost"}],"more_broken":false}"#,
        )
        .unwrap();
        let drawn = draw(&judged);
        for words in [
            "acme: delivered 1, mt_accepted 3; open 2, found 1  WRONG by 1",
            "alpha: parts_given 3; open 3, not compared\n",
            "BROKEN 0198 lost",
            "it does NOT balance",
        ] {
            assert!(drawn.contains(words), "{words}: {drawn}");
        }
    }
}
