//! The simulator's processes: carrier, callback receiver, and the judge of their ledgers.

use super::{Gateway, Process};
use serde_json::Value;
use std::path::Path;

/// A peer that says first where it listens.
pub(crate) async fn peer(words: &[&str]) -> (Process, u16) {
    let process = Gateway::tool(words);
    let listen = process
        .out
        .wait("the address it listens on", |lines| {
            let line: Value = serde_json::from_str(lines.first()?).unwrap();
            Some(line["listen"].as_str().unwrap().to_owned())
        })
        .await;
    (process, listen.rsplit(':').next().unwrap().parse().unwrap())
}

/// What a carrier has counted.
pub(crate) async fn stats(carrier: &mut Process) -> Value {
    let seen = carrier.out.read(<[String]>::len);
    carrier.tell("stats").await;
    carrier
        .out
        .wait("the carrier's counts", |lines| {
            let line: Value = serde_json::from_str(lines.get(seen)?).unwrap();
            assert!(line["error"].is_null(), "{line}");
            Some(line)
        })
        .await
}

/// What `smsgw compare` says of the ledgers `sent`, `carrier` (and every `carrier-…`) and `callbacks`, with what `windows`
/// excuses, where there is such a file; `Err` with its findings.
pub(crate) async fn compare(dir: &Path) -> Result<String, String> {
    let path = |name: &str| dir.join(name).display().to_string();
    let (sent, callbacks) = (path("sent"), path("callbacks"));
    let mut words = vec!["compare", "--sent", &sent, "--callbacks", &callbacks, "--reports"];
    let carriers: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name == "carrier" || name.starts_with("carrier-"))
        .map(|name| path(&name))
        .collect();
    let windows = path("windows");
    if Path::new(&windows).exists() {
        words.extend(["--windows", &windows]);
    }
    for carrier in &carriers {
        words.extend(["--carrier", carrier]);
    }
    let mut process = Gateway::tool(&words);
    let status = process.ended().await;
    let said = process.out.read(|lines| lines.join("\n")) + &process.err.read(|lines| lines.join("\n"));
    if status.success() { Ok(said) } else { Err(said) }
}
