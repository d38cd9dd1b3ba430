//! The peers of the tests understand each other, and the texts of the gateway: what they find in the gateway is the
//! gateway's.
//!
//! Runs `ops/peers/check.py`, `text_check.py` and `ucp_check.py`, which hold the assertions. A missing peer fails these tests;
//! they are never skipped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "peers/text.rs"]
mod text;
#[path = "peers/ucp.rs"]
mod ucp;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the workspace, the place of the peers, and their Python.
fn peers() -> (PathBuf, PathBuf, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let peers = std::env::var_os("SMSGW_PEERS").map_or_else(|| root.join("target/peers"), PathBuf::from);
    let python = peers.join("venv/bin/python");
    assert!(
        python.is_file(),
        "no peers under {}: run `cargo xtask test --only install`, and name another place in SMSGW_PEERS",
        peers.display()
    );
    (root, peers, python)
}

/// Fails with what a check said, or prints it.
fn report(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    println!("{}", text(&output.stdout).trim());
}

#[test]
fn peers_understand_each_other_and_the_dissector_finds_what_is_planted() {
    let (root, peers, python) = peers();
    let output = Command::new(python)
        .arg(root.join("ops/peers/check.py"))
        .env("SMSGW_PEERS", &peers)
        .output()
        .unwrap();
    report(&output);
}
