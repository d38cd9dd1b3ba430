//! What the scenarios stand on: processes and what they say, the API's client, a callback receiver, peers.
//!
//! Knows nothing of the gateway's inside: the command line, the configuration file, log lines, HTTP and the wire are all
//! it uses. Invariant: whatever a scenario started ends with it, and a scenario that fails shows what its processes said.

mod authority;
mod carrier;
mod gateway;
mod http;
mod ledger;
mod metrics;
mod process;
mod receiver;
mod settings;
mod sim;
mod smsc;
mod starved;
mod world;

pub(crate) use authority::Authority;
pub(crate) use carrier::{Carrier, Relay, content, dissect};
pub(crate) use gateway::{Api, Gateway};
pub(crate) use http::Http;
pub(crate) use ledger::Ledger;
pub(crate) use metrics::Metrics;
pub(crate) use process::Process;
pub(crate) use receiver::{Callback, Receiver};
pub(crate) use settings::Settings;
pub(crate) use sim::{compare, peer, stats};
pub(crate) use smsc::{DELIVER_SM, DELIVER_SM_RESP, FakeCarrier, GENERIC_NACK, Pdu, SUBMIT_SM, deliver_sm};
pub(crate) use starved::{Starved, Watch};
pub(crate) use world::{World, usual};

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long anything may take before a scenario fails. Long, because the machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a state that tells nobody of its changes is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Where the peers are installed, if they are.
pub(crate) fn peers_dir() -> PathBuf {
    std::env::var_os("SMSGW_PEERS").map_or_else(|| root().join("target/peers"), PathBuf::from)
}

/// Where the peers are installed.
pub(crate) fn peers() -> PathBuf {
    let peers = peers_dir();
    assert!(
        peers.join("npm/node_modules/smpp").is_dir() && peers.join("venv/bin/python").is_file(),
        "no peers under {}: run `cargo xtask test --only install`, and name another place in SMSGW_PEERS",
        peers.display()
    );
    peers
}

/// A port that is free now and that no outgoing connection gets by chance: below the range the system gives out.
pub(crate) fn free_port() -> u16 {
    for _ in 0..1000 {
        let port = rand::random_range(20_000..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// Looks again and again until there is an answer; fails after [`PATIENCE`].
pub(crate) async fn eventually<R, F: Future<Output = Option<R>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> R {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Octets written in hexadecimal.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Octets in hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// UCS-2 octets of a text.
pub(crate) fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
