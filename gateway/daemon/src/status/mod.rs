//! `smsgw status`: how a running gateway is, asked of its administrator's listener.
//!
//! `schema` is the one shape of the answer, `gather` fills it inside the gateway, `fetch` asks for it, `overview` and
//! `tree` draw it. Reads only. Invariant: what is drawn holds no control characters, so that a carrier's text cannot
//! steer a terminal.

pub(crate) mod draw;
mod fetch;
pub(crate) mod gather;
mod overview;
pub(crate) mod schema;
mod tree;

use crate::exit::Exit;
use crate::reach::GatewayOptions;
use clap::Args;
use draw::Glyphs;
use fetch::{FetchError, fetch};
use std::io::Write;

/// Options of the verb.
#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Draw the supervision tree instead of the overview.
    #[arg(long)]
    tree: bool,
    /// Print what the gateway answered, as JSON (ops/docs/api/admin.md); with --tree only the tree.
    #[arg(long)]
    json: bool,
}

/// Asks, and draws the answer on standard output.
pub(crate) async fn status(options: &StatusOptions) -> Exit {
    let at = match options.gateway.listener() {
        Ok(at) => at,
        Err(exit) => return exit,
    };
    let (raw, status) = match fetch(&at).await {
        Ok(answer) => answer,
        Err(FetchError::Reach(error)) if error.exit() == Exit::Denied => return error.say(&at),
        Err(error) => {
            match error {
                FetchError::Reach(error) => drop(error.say(&at)),
                FetchError::Status(_) | FetchError::Shape(_) => {
                    eprintln!(
                        "smsgw: no gateway answers at {at}: {:#}",
                        anyhow::Error::from(error)
                    );
                }
            }
            eprintln!(
                "Is it running? It may still recover its data: its log says \"admin listens\" once it can be asked."
            );
            return Exit::Unreachable;
        }
    };
    let text = match (options.json, options.tree) {
        (true, false) => format!("{raw:#}\n"),
        (true, true) => format!("{:#}\n", raw.get("tree").unwrap_or(&serde_json::Value::Null)),
        (false, false) => overview::draw(&status),
        (false, true) => tree::draw(&status, Glyphs::of_terminal()),
    };
    // A reader that has seen enough (`| head`) is no failure.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
    Exit::Stopped
}
