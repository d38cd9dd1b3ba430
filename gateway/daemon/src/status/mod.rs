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

use crate::check::load_or_explain;
use crate::exit::Exit;
use crate::reach;
use clap::{ArgGroup, Args};
use draw::Glyphs;
use fetch::fetch;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Options of the verb.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("gateway").args(["config", "admin"])))]
pub(crate) struct StatusOptions {
    /// The gateway's configuration file: its [admin] listen is asked.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The administrator's listener, as in 127.0.0.1:8081.
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Draw the supervision tree instead of the overview.
    #[arg(long)]
    tree: bool,
    /// Print what the gateway answered, as JSON (ops/docs/api/admin.md); with --tree only the tree.
    #[arg(long)]
    json: bool,
}

/// Asks, and draws the answer on standard output.
pub(crate) async fn status(options: &StatusOptions) -> Exit {
    let address = match address(options) {
        Ok(address) => address,
        Err(exit) => return exit,
    };
    let (raw, status) = match fetch(address).await {
        Ok(answer) => answer,
        Err(error @ fetch::FetchError::Denied) => {
            eprintln!("smsgw: {address}: {error}");
            return Exit::Denied;
        }
        Err(error) => {
            eprintln!(
                "smsgw: no gateway answers at {address}: {:#}",
                anyhow::Error::from(error)
            );
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

fn address(options: &StatusOptions) -> Result<SocketAddr, Exit> {
    listener(options.admin, options.config.as_deref())
}

/// The administrator's listener, as named or as a configuration file says.
pub(crate) fn listener(admin: Option<SocketAddr>, config: Option<&Path>) -> Result<SocketAddr, Exit> {
    match (admin, config) {
        (Some(address), _) => Ok(address),
        (None, Some(file)) => of_file(file),
        (None, None) if reach::is_unnamed(None, None) => {
            eprintln!("smsgw: name the gateway with --config FILE, --admin ADDR or SMSGW_ADMIN");
            Err(Exit::Config)
        }
        (None, None) => reach::address_of_environment().ok_or(Exit::Config),
    }
}

fn of_file(file: &Path) -> Result<SocketAddr, Exit> {
    let loaded = load_or_explain(file).ok_or(Exit::Config)?;
    reach::use_configured(loaded.config.admin.token.clone());
    let mut listen = match loaded.config.admin.listen {
        None => {
            eprintln!(
                "smsgw: {} has no [admin] listen, so the gateway cannot be asked",
                file.display()
            );
            return Err(Exit::Config);
        }
        Some(listen) if listen.port() == 0 => {
            eprintln!(
                "smsgw: [admin] listen of {} leaves the port to the system; name it with --admin ADDR (the log \
                 says it at \"admin listens\")",
                file.display()
            );
            return Err(Exit::Config);
        }
        Some(listen) => listen,
    };
    if listen.ip().is_unspecified() {
        // It listens everywhere, so here too.
        listen.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(listen)
}
