//! The laws that every engine keeps, kept by this one. A crash is a copy of the directory, taken while it is open.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use smsgw_engine_embedded::EmbeddedEngine;
use smsgw_message::{Clock, Timestamp};
use smsgw_queue::Engine;
use smsgw_queue::conformance::{Harness, ManualClock};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Embedded {
    clock: Arc<ManualClock>,
    engine: Arc<EmbeddedEngine>,
    dir: TempDir,
    /// Directories of engines that may still be held by a law.
    old: Vec<TempDir>,
}

impl Harness for Embedded {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new();
        let engine = support::open(dir.path(), clock.clone());
        Self {
            clock,
            engine,
            dir,
            old: Vec::new(),
        }
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    async fn crash_and_reopen(&mut self) {
        let dir = tempfile::tempdir().unwrap();
        support::copy(self.dir.path(), dir.path());
        self.engine = support::open(dir.path(), self.clock.clone());
        self.old.push(std::mem::replace(&mut self.dir, dir));
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.engine.tick().await;
    }
}

smsgw_queue::conformance!(Embedded);

/// A sample by default; with `SMSGW_FULL_SWEEP=1` enough of them to meet what two changes of one step do to each other. That takes
/// longer than nextest lets a test: `SMSGW_FULL_SWEEP=1 cargo test -p smsgw-engine-embedded random_acts`.
#[test]
fn random_acts_leave_what_the_model_says() {
    let cases = if std::env::var_os("SMSGW_FULL_SWEEP").is_some() {
        4000
    } else {
        40
    };
    smsgw_queue::conformance::model::run::<Embedded>(cases, 60);
}
