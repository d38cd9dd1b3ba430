//! `smsgw explain`: why a message to a phone, or from one (`--mo`), would go where it would, route by route.
//!
//! Asks a running gateway (`--admin`), or decides by a file (`--config`) without one; draws the answer. Decides nothing itself.

use crate::check::load_or_explain;
use crate::exit::Exit;
use crate::explain_mo::{self, MoAnswer};
use crate::reach::{self, AdminAddress};
use bytes::Bytes;
use clap::Args;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smsgw_config::{ConfigHandle, Snapshot};
use smsgw_message::{ClientId, OperatorId, Timestamp};
use smsgw_node_client::{Amount, Asked, Explained, RouteSeen, explain};
use smsgw_node_router::MoAsked;
use smsgw_runtime::{Clock, SystemClock};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Routes that are shown unless all are wanted.
const ROUTES: usize = 20;

/// Show which route a message takes and why not the others, its operators in order, parts, price and cost; or of a message from a
/// phone (--mo) who gets it, what it is answered and what it opts out of.
#[derive(Debug, Args)]
pub(super) struct ExplainOptions {
    /// Who sends it.
    #[arg(long, value_name = "NAME", required_unless_present = "mo", conflicts_with = "mo",
        value_parser = |text: &str| ClientId::try_new(text))]
    client: Option<ClientId>,
    /// A message from a phone: --from is the phone, --to the number it writes to.
    #[arg(long, requires = "operator", requires = "from")]
    mo: bool,
    /// With --mo: over this operator.
    #[arg(long, value_name = "NAME", requires = "mo", value_parser = |text: &str| OperatorId::try_new(text))]
    operator: Option<OperatorId>,
    /// To this phone, with country code.
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// From this sender; absent: as the account says.
    #[arg(long, value_name = "SENDER")]
    from: Option<String>,
    /// With this text; absent: one part, and no route with `text` holds.
    #[arg(long)]
    text: Option<String>,
    /// In this class; absent: the account's.
    #[arg(long, value_name = "CLASS", conflicts_with = "mo")]
    class: Option<String>,
    /// With this tag; may be repeated.
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "mo")]
    tags: Vec<String>,
    /// At this time, as in 2027-01-31T08:00:00+01:00; absent: now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// By this configuration file, whether a gateway runs or not.
    #[arg(long, short, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// By what is in force in the gateway behind this administrator's listener, as in 127.0.0.1:8081 or https://gw.example:8081.
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    admin: Option<AdminAddress>,
    /// Show every route, however many there are.
    #[arg(long)]
    all: bool,
    /// Print the answer as JSON (ops/docs/routing.md).
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text).ok_or_else(|| "a time such as 2027-01-31T08:00:00Z".to_owned())
}

/// Does what was asked. A message that would be refused, or that no route takes, ends with [`Exit::Found`].
pub(super) async fn run(options: ExplainOptions) -> anyhow::Result<Exit> {
    let at = options.at.unwrap_or_else(|| SystemClock.now());
    if let (Some(operator), Some(from)) = (&options.operator, &options.from) {
        let (from, to) = match (MoAsked::address(from), MoAsked::address(&options.to)) {
            (Ok(from), Ok(to)) => (from, to),
            (Err(error), _) | (_, Err(error)) => {
                eprintln!("smsgw: no phone or number: {error}");
                return Ok(Exit::Config);
            }
        };
        let asked = MoAsked {
            from,
            to,
            operator: operator.clone(),
            text: options.text.clone(),
            at,
        };
        let by_file = |snapshot| Ok(explain_mo::answer(&snapshot, &asked)?);
        let answer: MoAnswer = match explained(&options, &explain_mo::query(&asked), by_file).await? {
            Ok(answer) => answer,
            Err(exit) => return Ok(exit),
        };
        let drawn = super::explain_mo::draw(&answer, options.all);
        return tell(&options, &answer, &drawn, answer.mo.dead_letter.is_some());
    }
    let Some(client) = options.client.clone() else {
        // clap asks for it.
        return Ok(Exit::Config);
    };
    let asked = Asked {
        client,
        to: options.to.clone(),
        from: options.from.clone(),
        text: options.text.clone(),
        class: options.class.clone(),
        tags: options.tags.clone(),
        at,
    };
    let by_file = |snapshot| Ok(explain(snapshot, &asked));
    let answer: Explained = match explained(&options, &crate::explain::query(&asked), by_file).await? {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let drawn = draw(&answer, options.all);
    tell(&options, &answer, &drawn, answer.refused.is_some())
}

/// The answer of the gateway that is named, or by the file that is.
async fn explained<T: DeserializeOwned>(
    options: &ExplainOptions,
    query: &str,
    by_file: impl FnOnce(Arc<Snapshot>) -> anyhow::Result<T>,
) -> anyhow::Result<Result<T, Exit>> {
    match (&options.admin, &options.config) {
        (Some(address), _) => {
            let at = match reach::listener(Some(address), None) {
                Ok(at) => at,
                Err(exit) => return Ok(Err(exit)),
            };
            let path = format!("/explain?{query}");
            match reach::ask(&at, Method::GET, &path, Bytes::new(), PATIENCE).await {
                Ok((StatusCode::OK, body)) => Ok(Ok(serde_json::from_slice(&body)?)),
                Ok((_, body)) => {
                    eprint!("smsgw: {}", String::from_utf8_lossy(&body));
                    Ok(Err(Exit::Failed))
                }
                Err(exit) => Ok(Err(exit)),
            }
        }
        (None, Some(file)) => match load_or_explain(file) {
            Some(loaded) => by_file(ConfigHandle::new(loaded.config).current()).map(Ok),
            None => Ok(Err(Exit::Config)),
        },
        // clap asks for one of them.
        (None, None) => Ok(Err(Exit::Config)),
    }
}

fn tell(
    options: &ExplainOptions,
    answer: &impl Serialize,
    drawn: &str,
    is_found: bool,
) -> anyhow::Result<Exit> {
    if options.json {
        println!("{}", serde_json::to_string_pretty(answer)?);
    } else {
        print!("{drawn}");
    }
    Ok(if is_found { Exit::Found } else { Exit::Stopped })
}

fn draw(explained: &Explained, all: bool) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            writeln!(out, "{name:<10}{value}").expect("a text takes what is written to it");
        }
    };
    let refused = explained.refused.as_ref();
    line(
        "refused",
        refused.map(|code| format!("{code}: {}", explained.detail.as_deref().unwrap_or_default())),
    );
    let arrow = |old: Option<&String>, new: Option<&String>| match (old, new) {
        (old, Some(new)) => Some(format!("{} -> {new}", old.map_or("(none)", String::as_str))),
        (Some(old), None) => Some(old.clone()),
        (None, None) => None,
    };
    line("to", arrow(explained.to.as_ref(), explained.sent_to.as_ref()));
    line(
        "from",
        arrow(explained.from.as_ref(), explained.sent_from.as_ref()),
    );
    line("class", explained.class.clone());
    line("at", Some(explained.at.clone()));
    line("country", explained.country.clone());
    let ported = if explained.ported { " (ported)" } else { "" };
    line(
        "network",
        explained
            .network
            .as_ref()
            .map(|network| format!("{network}{ported}")),
    );
    let parts = explained
        .parts
        .map(|parts| format!("{parts} as {}", explained.encoding.as_deref().unwrap_or("?")));
    line("parts", parts);
    line("price", explained.price.as_ref().map(amount));
    line("route", explained.route.map(|route| route.to_string()));
    line("strategy", explained.strategy.clone());
    for (n, way) in explained.operators.iter().enumerate() {
        let cost = way
            .cost
            .as_ref()
            .map_or_else(|| "no cost known".to_owned(), amount);
        let held = if way.enabled { "" } else { ", not enabled" };
        line(
            if n == 0 { "operators" } else { "" },
            Some(format!("{}: {cost}{held}", way.operator)),
        );
    }
    let holding = |route: &&RouteSeen| route.criterion.is_none();
    let most = if all { usize::MAX } else { ROUTES };
    let shown = explained.routes.iter().filter(holding);
    let failing = explained.routes.iter().filter(|route| !holding(route));
    for (n, route) in shown.chain(failing).take(most).enumerate() {
        line(if n == 0 { "routes" } else { "" }, Some(reason(route)));
    }
    let left = explained.routes.len().saturating_sub(most);
    line("", (left > 0).then(|| format!("and {left} more (--all)")));
    out
}

fn amount(amount: &Amount) -> String {
    format!(
        "{} {} ({} a part)",
        amount.total, amount.currency, amount.per_part
    )
}

fn reason(route: &RouteSeen) -> String {
    let why = match (route.verdict.as_str(), &route.criterion) {
        (_, Some(criterion)) => format!("does not hold: {criterion}"),
        ("taken", None) => "taken".to_owned(),
        ("lower_priority", None) => "holds, with a lower priority".to_owned(),
        ("shorter_prefix", None) => "holds, with a shorter prefix".to_owned(),
        ("later", None) => "holds, and stands behind it in the file".to_owned(),
        // A newer gateway's word.
        (other, None) => other.to_owned(),
    };
    let prefix = route
        .prefix
        .map_or_else(String::new, |length| format!(", prefix of {length} digits"));
    format!("{} (priority {}{prefix}): {why}", route.route, route.priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_that_hold_come_first_and_the_rest_is_counted() {
        let route = |n: usize, verdict: &str, criterion: Option<&str>| RouteSeen {
            route: n,
            priority: 0,
            prefix: None,
            verdict: verdict.to_owned(),
            criterion: criterion.map(str::to_owned),
        };
        let mut explained = Explained {
            to: Some("49170".to_owned()),
            sent_to: Some("0049170".to_owned()),
            ..Explained::default()
        };
        explained.routes = (1..=30).map(|n| route(n, "fails", Some("client"))).collect();
        explained.routes.push(route(31, "taken", None));
        let drawn = draw(&explained, false);
        assert!(drawn.contains("to        49170 -> 0049170\n"), "{drawn}");
        assert!(drawn.contains("routes    31 (priority 0): taken\n"), "{drawn}");
        assert!(
            drawn.contains("1 (priority 0): does not hold: client\n"),
            "{drawn}"
        );
        assert!(drawn.ends_with("and 11 more (--all)\n"), "{drawn}");
        assert_eq!(draw(&explained, true).matches("priority").count(), 31);
    }
}
