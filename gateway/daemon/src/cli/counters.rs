//! `smsgw counters`: totals of a running gateway, asked of its administrator's listener.
//!
//! Draws; knows no state itself. What is drawn holds no control characters.

use super::balance::{ask, say};
use crate::counters::{Counters, Line, Times};
use crate::exit::Exit;
use crate::reach::GatewayOptions;
use crate::trace::query::encode;
use clap::{Args, ValueEnum};
use std::fmt::Write;

/// Show what was counted: accepted, sent, delivered, failed …, by client, operator, route, country, class or sender.
#[derive(Debug, Args)]
pub(super) struct CountersOptions {
    /// From this day or time on (UTC): 2026-11-21 or 2026-11-21T17:00:00Z. Usually: today.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until before this day or time. Usually: now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// By what.
    #[arg(long, value_name = "WHAT", default_value = "client")]
    by: By,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print what the gateway answered, as JSON (ops/docs/counters.md).
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Client,
    Operator,
    Route,
    Country,
    Class,
    Sender,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Route => "route",
            Self::Country => "country",
            Self::Class => "class",
            Self::Sender => "sender",
        }
    }
}

/// Does what was asked.
pub(super) async fn run(options: CountersOptions) -> anyhow::Result<Exit> {
    let mut path = format!("/counters?by={}", options.by.word());
    for (key, value) in [("from", &options.from), ("to", &options.to)] {
        if let Some(value) = value {
            write!(path, "&{key}={}", encode(value))?;
        }
    }
    let body = match ask(&options.gateway, &path).await? {
        Ok(body) => body,
        Err(exit) => return Ok(exit),
    };
    if options.json {
        say(&format!(
            "{:#}\n",
            serde_json::from_slice::<serde_json::Value>(&body)?
        ));
    } else {
        say(&draw(&serde_json::from_slice(&body)?));
    }
    Ok(Exit::Stopped)
}

fn draw(found: &Counters) -> String {
    let mut out = String::new();
    if let (Some(first), Some(last)) = (found.periods.first(), found.periods.last()) {
        let span = if first == last {
            first.clone()
        } else {
            format!("{first} to {last}")
        };
        out.push_str(&format!("{span} (UTC), by {}\n", found.by));
    }
    if found.lines.is_empty() {
        out.push_str("nothing was counted\n");
    }
    for line in &found.lines {
        out.push_str(&drawn(line));
    }
    out
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn drawn(line: &Line) -> String {
    let mut out = format!("\n{}\n", plain(&line.value));
    for (what, times) in &line.counts {
        out.push_str(&format!("  {what:<22}{times:>12}\n"));
        for (cause, times) in line.causes.get(what).into_iter().flatten() {
            out.push_str(&format!("    {:<20}{times:>12}\n", plain(cause)));
        }
    }
    for (name, spread) in [
        ("accept to sent", &line.accept_to_sent),
        ("sent to delivered", &line.sent_to_delivered),
    ] {
        if let Some(spread) = spread {
            out.push_str(&format!("  {name:<22}{}\n", quantiles(spread)));
        }
    }
    out
}

fn quantiles(times: &Times) -> String {
    let of = |millis: Option<u64>| {
        millis.map_or_else(|| "more than 49 days".to_owned(), |millis| format!("{millis} ms"))
    };
    format!(
        "p50 {}, p90 {}, p99 {}",
        of(times.p50),
        of(times.p90),
        of(times.p99)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_drawn_with_its_causes_and_no_control_characters() {
        let found: Counters = serde_json::from_str(
            r#"{"periods":["20261120","2026112108"],"by":"client","lines":[{"value":"ac\u001bme",
                "counts":{"failed":3,"mt_accepted":10},"causes":{"failed":{"001":3}},
                "accept_to_sent":{"count":1,"p50":5,"p90":5,"p99":null,"buckets":[[5,1]]}}]}"#,
        )
        .unwrap();
        let drawn = draw(&found);
        assert!(
            drawn.starts_with("20261120 to 2026112108 (UTC), by client\n"),
            "{drawn}"
        );
        assert!(drawn.contains("\nac?me\n"), "{drawn}");
        assert!(
            drawn.contains("  failed                           3\n    001"),
            "{drawn}"
        );
        assert!(
            drawn.contains("p50 5 ms, p90 5 ms, p99 more than 49 days"),
            "{drawn}"
        );
        assert!(!drawn.contains('\u{1b}'));
    }
}
