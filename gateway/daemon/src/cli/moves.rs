//! `smsgw operator move`: gives what waits for an operator to another one, and shows how far that is.
//!
//! Talks to the administrator's listener; knows no state itself. The gateway does the work whether this waits for it or not.

use super::operator::PATIENCE;
use super::progress::{Bar, Unit};
use crate::exit::Exit;
use crate::moves::MoveRow;
use crate::reach::{self, Listener};
use crate::trace::query::encode;
use bytes::Bytes;
use clap::Args;
use hyper::{Method, StatusCode};
use std::io::Write;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct MoveOptions {
    /// The operator in whose queue they wait, configured or not.
    #[arg(value_name = "FROM")]
    from: String,
    /// To this operator.
    #[arg(long, value_name = "OPERATOR", required_unless_present = "by_route")]
    to: Option<String>,
    /// Each to the first other operator, started, of the route that applies to it now.
    #[arg(long, conflicts_with = "to")]
    by_route: bool,
    /// Only this class: otp, transactional or bulk.
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Only this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Give the order and do not wait for its end.
    #[arg(long)]
    no_wait: bool,
    /// Print the answer as JSON (ops/docs/api/admin.md).
    #[arg(long)]
    json: bool,
}

impl MoveOptions {
    fn path(&self) -> String {
        let mut path = format!("/operators/{}/move?", encode(&self.from));
        match &self.to {
            Some(to) => path.push_str(&format!("to={}", encode(to))),
            None => path.push_str("routes=1"),
        }
        let more = [
            ("class", &self.class),
            ("client", &self.client),
            ("reason", &self.reason),
        ];
        for (key, value) in more {
            if let Some(value) = value {
                path.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        path
    }
}

/// Gives the order and waits for its end.
pub(super) async fn run(options: &MoveOptions, at: &Listener) -> anyhow::Result<Exit> {
    let mut row = match asked(at, Method::POST, &options.path()).await? {
        Ok(row) => row,
        Err(exit) => return Ok(exit),
    };
    let mut bar = Bar::new(Unit::Things, options.json);
    bar.begin("moving");
    while row.outcome == "waiting" && !options.no_wait {
        let done = row.moved.parts.saturating_add(row.moved.ended);
        bar.show(done, Some(done.saturating_add(row.waiting)));
        tokio::time::sleep(LOOK).await;
        let path = format!("/operators/{}/move/{}", encode(&options.from), row.instruction);
        row = match asked(at, Method::GET, &path).await? {
            Ok(row) => row,
            Err(exit) => {
                drop(bar);
                eprintln!("smsgw: the order is stored ({}) and goes on", row.instruction);
                return Ok(exit);
            }
        };
    }
    drop(bar);
    let text = if options.json {
        format!("{}\n", serde_json::to_string_pretty(&row)?)
    } else {
        draw(&row)
    };
    // A reader that has seen enough (`| head`) is no failure.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
    Ok(match row.outcome.as_str() {
        "refused" => Exit::Found,
        _ => Exit::Stopped,
    })
}

async fn asked(at: &Listener, method: Method, path: &str) -> anyhow::Result<Result<MoveRow, Exit>> {
    let (code, body) = match reach::ask(at, method, path, Bytes::new(), PATIENCE).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(Err(exit)),
    };
    let row = serde_json::from_slice(&body);
    match (code, row) {
        (StatusCode::OK | StatusCode::ACCEPTED | StatusCode::CONFLICT, Ok(row)) => Ok(Ok(row)),
        (StatusCode::OK | StatusCode::ACCEPTED, Err(error)) => Err(error.into()),
        (code, _) => {
            eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(&body).trim_end());
            Ok(Err(Exit::Found))
        }
    }
}

fn draw(row: &MoveRow) -> String {
    if let Some(detail) = &row.detail {
        return format!("{}: {detail}\n", row.outcome);
    }
    let moved = &row.moved;
    let mut text = format!(
        "{}: {} parts of {} messages moved, {} of messages that had ended deleted; {} wait there now\n",
        row.outcome, moved.parts, moved.messages, moved.ended, row.waiting
    );
    for (why, parts) in &moved.stays {
        text.push_str(&format!("{parts:>10} stay: {}\n", meaning(why)));
    }
    if row.outcome == "waiting" {
        text.push_str(&format!("instruction {}\n", row.instruction));
    }
    text
}

fn meaning(why: &str) -> &str {
    match why {
        "sent" => "another part of their message is with a carrier or has ended",
        "in_doubt" => "they may be with the carrier: it never answered for them",
        "apart" => "other parts of their message do not wait there: they are sent, or with a link now",
        "tried" => "that operator did not take them before",
        "no_route" => "no route leads to another operator that is started",
        "unknown" => "the record of their message is gone or says otherwise",
        "unreadable" => "they cannot be read",
        "busy" => "somebody had them each time",
        "later" => "put there after the order",
        "above" => "too many long messages at once: give the order again",
        "in_flight" => "with a link of the operator now",
        "held" => "held by a person",
        // A newer gateway's word.
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_node_router::Moved;

    #[test]
    fn what_was_moved_and_what_stays_is_told() {
        let row = MoveRow {
            instruction: "0198".to_owned(),
            outcome: "applied".to_owned(),
            detail: None,
            moved: Moved {
                messages: 2,
                parts: 5,
                ended: 1,
                stays: [("in_doubt".to_owned(), 3)].into(),
            },
            waiting: 3,
        };
        assert_eq!(
            draw(&row),
            "applied: 5 parts of 2 messages moved, 1 of messages that had ended deleted; 3 wait there now\n         \
             3 stay: they may be with the carrier: it never answered for them\n"
        );
        let refused = MoveRow {
            outcome: "refused".to_owned(),
            detail: Some("there is no operator x".to_owned()),
            ..row
        };
        assert_eq!(draw(&refused), "refused: there is no operator x\n");
    }
}
