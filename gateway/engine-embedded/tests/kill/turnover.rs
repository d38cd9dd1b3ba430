//! A process that begins, empties and drops generations of records all the time, killed at any moment of it.
//!
//! Said: `P n` all records before n are published, `S n` all before n are settled but for tenths, which are deferred.

use crate::support::raw::Raw;
use crate::support::tenths::{numbers, pass, publish, settle_most, tenths};
use crate::{DIR, FIRST, say, support};
use smsgw_queue::Place;
use smsgw_queue::conformance::ManualClock;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PORTION: u64 = 500;

/// Not a test of its own: the process that is killed.
#[test]
fn turning() {
    let (Ok(dir), Ok(first)) = (std::env::var(DIR), std::env::var(FIRST)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = ManualClock::new();
        let engine = support::open(Path::new(&dir), clock.clone());
        let mut first: u64 = first.parse().unwrap();
        loop {
            publish(&engine, first..first + PORTION).await;
            first += PORTION;
            say(&format!("P {first}"));
            pass(&clock, &engine, Duration::from_millis(100), 2).await;
            settle_most(&engine).await;
            say(&format!("S {first}"));
            // The look for generations with few records, every ten seconds.
            pass(&clock, &engine, Duration::from_secs(4), 8).await;
        }
    });
}

#[tokio::test]
async fn killed_at_any_moment_of_a_turnover_nothing_is_lost_and_nothing_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let rounds = if std::env::var_os("SMSGW_FULL_SWEEP").is_some() {
        200
    } else {
        12
    };
    let (mut next, mut copied, mut dropped) = (0, false, false);
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["turnover::turning", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let said = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.fold((0, 0), |(published, settled), line| {
                let number = |line: &str| line[2..].parse().unwrap_or(0);
                match line.get(..2) {
                    Some("P ") => (number(&line), settled),
                    Some("S ") => (published, number(&line)),
                    Some(_) | None => (published, settled),
                }
            })
        });
        // Long enough to get some way, and never the same way.
        std::thread::sleep(Duration::from_millis(500 + 137 * (round % 9)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (published, settled): (u64, u64) = said.join().unwrap();
        let (published, settled) = (published.max(next), settled);
        let engine = support::open(dir.path(), ManualClock::new());
        let mut found = numbers(&engine, Place::Ready).await;
        found.extend(numbers(&engine, Place::Deferred).await);
        for n in 0..settled {
            assert_eq!(
                found.contains(&n),
                n % 10 == 0,
                "round {round}: record {n}, {settled} settled"
            );
        }
        assert!(
            tenths(published).is_subset(&found),
            "round {round}: {published} published"
        );
        next = found.last().map_or(0, |last| last + 1).max(published);
        assert!(
            next <= published + PORTION,
            "round {round}: {next} after {published}"
        );
        next = next.next_multiple_of(10);
        drop(engine);
        let raw = Raw::open(dir.path());
        copied |= !raw.keys("records").is_empty();
        dropped |= !raw.generations().contains(&"g1".to_owned());
    }
    assert!(copied, "some were emptied");
    assert!(dropped, "some were dropped");
}
