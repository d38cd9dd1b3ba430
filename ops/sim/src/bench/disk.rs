//! The disk alone: small appends and syncs at a steady pace, where the gateway's data lie and while it has nothing to do.
//!
//! An accept is answered after a sync, so its latency says something about the gateway only beside what the disk did at
//! the same time. Each sync is timed from when it was due, and one sync serves all that were due when it began, as a
//! group commit does: a stall counts for everything it held up, and a disk that is slower than the pace builds no
//! backlog. Of the gateway it knows how much that has written, and nothing else. Invariants: every time that was due is
//! counted once; there are at most as many appends as times, which bounds the file; a disk that cannot be measured is a
//! value with its reason, never a missing figure.
//!
//! # Limits
//! What else the machine writes is part of it, as it is of the gateway's latencies. The thread needs a processor to see
//! that a sync is done, and the pace has the grain of the system's timer (0.1 ms).

use super::BenchError;
use crate::histogram::Histogram;
use crate::load::Quantiles;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// How long it takes at most on a disk that answers.
pub(super) const AT_MOST: Duration = STILL_WITHIN.saturating_add(LASTS);
/// How long syncs are made.
const LASTS: Duration = Duration::from_secs(2);
/// One sync is due in each.
const PACE: Duration = Duration::from_millis(1);
/// What `LASTS` has of them: with `BLOCK` 31 MiB at most.
const TIMES: u32 = 2000;
/// About what a group commit writes.
const BLOCK: usize = 16 * 1024;
/// A sync that takes longer is one that stalled.
const STALL: Duration = Duration::from_millis(5);
/// A gateway that has written nothing for so long has done what its load left behind (history gathers a second).
const STILL: Duration = Duration::from_millis(1_500);
/// How long it may take to come to that.
const STILL_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// When a disk that does not answer is given up.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// What is measured, in words.
pub(super) const WHAT: &str = "a 16 KiB append and sync each ms";

/// The disk before and after a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Immediately before.
    pub before: DiskAlone,
    /// Immediately after.
    pub after: DiskAlone,
}

/// What one measurement brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskAlone {
    /// Figures.
    Measured(DiskFigures),
    /// Why there are none.
    Failed(String),
}

/// Appends with their syncs, timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiskFigures {
    /// Times at which a sync was due.
    pub due: u32,
    /// Syncs made: fewer when one served several times.
    pub syncs: u32,
    /// From when it was due, half were done in no more, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 were.
    pub p99_ms: f64,
    /// The greatest.
    pub max_ms: f64,
    /// How much of the time lay in syncs above 5 ms, their appends included, in percent.
    pub stalled_percent: f64,
    /// What the gateway wrote meanwhile: the disk was not alone unless it is 0.
    pub gateway_wrote_bytes: u64,
}

impl fmt::Display for DiskAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(found) => {
                write!(
                    f,
                    "p50 {:.2}, p99 {:.2}, greatest {:.2} ms; {:.1} % of the time in syncs above {} ms",
                    found.p50_ms,
                    found.p99_ms,
                    found.max_ms,
                    found.stalled_percent,
                    STALL.as_millis(),
                )?;
                match found.gateway_wrote_bytes.div_ceil(1024) {
                    0 => Ok(()),
                    kib => write!(f, "; not alone: the gateway wrote {kib} KiB"),
                }
            }
            Self::Failed(why) => write!(f, "not measured: {why}"),
        }
    }
}

/// Waits until the gateway is still, then measures the disk of that directory. `written`: octets the gateway has written.
pub(super) async fn measure(directory: &Path, written: impl Fn() -> Result<u64, BenchError>) -> DiskAlone {
    match try_measure(directory, written).await {
        Ok(figures) => DiskAlone::Measured(figures),
        Err(error) => DiskAlone::Failed(told(&error)),
    }
}

async fn try_measure(
    directory: &Path,
    written: impl Fn() -> Result<u64, BenchError>,
) -> Result<DiskFigures, BenchError> {
    let before = still(&written).await?;
    let path = PathBuf::from(directory);
    let Ok(done) = timeout(GIVEN_UP, spawn_blocking(move || append(&path, TIMES))).await else {
        // It makes one more sync at most when the disk comes back: by then everything is due.
        return Err(BenchError::NotDone {
            what: "the disk was not done",
            within: GIVEN_UP,
            state: directory.display().to_string(),
        });
    };
    let failed = |error| BenchError::io("measure the disk")(io::Error::other(error));
    let figures = done.map_err(failed)??;
    Ok(DiskFigures {
        gateway_wrote_bytes: written()?.saturating_sub(before),
        ..figures
    })
}

/// Waits until nothing more is written, or for as long as that may take; says how much is written then.
async fn still(written: impl Fn() -> Result<u64, BenchError>) -> Result<u64, BenchError> {
    let start = Instant::now();
    let (mut last, mut since) = (written()?, start);
    while since.elapsed() < STILL && start.elapsed() < STILL_WITHIN {
        sleep(LOOK).await;
        let now = written()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}

/// An error with its causes.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Appends to a file of its own, which is gone afterwards.
fn append(directory: &Path, times: u32) -> Result<DiskFigures, BenchError> {
    // With a name: some file systems need not keep a file without one, and make its syncs free.
    let mut file = tempfile::Builder::new()
        .prefix("disk-alone-")
        .tempfile_in(directory)
        .map_err(BenchError::io("make a file to measure the disk with"))?;
    // Chance, so that nothing below finds it worth compressing.
    let mut block = vec![0; BLOCK];
    rand::rng().fill_bytes(&mut block);
    let mut sync = || {
        file.write_all(&block)
            .and_then(|()| file.as_file().sync_data())
            .map_err(BenchError::io("append and sync to measure the disk"))
    };
    // Not counted: the first one keeps the file itself as well.
    sync()?;
    let mut tally = Tally::new(times);
    let start = SystemClock.instant();
    let now = || SystemClock.instant().saturating_duration_since(start);
    while let Some(due) = tally.next_due() {
        thread::sleep(due.saturating_sub(now()));
        let began = now();
        sync()?;
        tally.note(began, now());
    }
    file.close()
        .map_err(BenchError::io("remove the file that measured the disk"))?;
    Ok(tally.figures())
}

/// Counts syncs against the times at which they were due. All times are since the start.
struct Tally {
    times: u32,
    /// Of the times, how many are served.
    served: u32,
    syncs: u32,
    from_due: Histogram,
    stalled: Duration,
    ended: Duration,
}

impl Tally {
    fn new(times: u32) -> Self {
        Self {
            times,
            served: 0,
            syncs: 0,
            from_due: Histogram::new(),
            stalled: Duration::ZERO,
            ended: Duration::ZERO,
        }
    }

    /// When the next sync is due; nothing when all are done.
    fn next_due(&self) -> Option<Duration> {
        (self.served < self.times).then(|| PACE.saturating_mul(self.served))
    }

    /// A sync serves the time it was made for, and all others that were due when it began.
    fn note(&mut self, began: Duration, ended: Duration) {
        let mut due = self.next_due();
        while let Some(at) = due {
            self.from_due.record(ended.saturating_sub(at));
            self.served = self.served.saturating_add(1);
            due = self.next_due().filter(|at| *at <= began);
        }
        let took = ended.saturating_sub(began);
        if took > STALL {
            self.stalled = self.stalled.saturating_add(took);
        }
        self.syncs = self.syncs.saturating_add(1);
        self.ended = ended;
    }

    fn figures(&self) -> DiskFigures {
        let found = Quantiles::from(&self.from_due);
        let all = self.ended.as_secs_f64();
        DiskFigures {
            due: self.served,
            syncs: self.syncs,
            p50_ms: found.p50_ms,
            p99_ms: found.p99_ms,
            max_ms: found.max_ms,
            stalled_percent: if all > 0.0 {
                100.0 * self.stalled.as_secs_f64() / all
            } else {
                0.0
            },
            gateway_wrote_bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_words_and_the_bounds_are_those_of_the_constants() {
        assert_eq!(PACE * TIMES, LASTS);
        let words = format!(
            "a {} KiB append and sync each {}ms",
            BLOCK / 1024,
            match PACE.as_millis() {
                1 => String::new(),
                millis => format!("{millis} "),
            }
        );
        assert_eq!(words, WHAT);
    }

    #[test]
    fn a_stall_counts_for_every_time_that_was_due_meanwhile() {
        // Times due, syncs in microseconds; p50, p99, greatest in ms, percent of the time in stalls.
        type Syncs = &'static [(u64, u64)];
        let table: [(&str, u32, Syncs, [f64; 4]); 6] = [
            ("nothing due", 0, &[], [0.0; 4]),
            (
                "in time",
                4,
                &[(0, 250), (1000, 1250), (2000, 2250), (3000, 3250)],
                [0.25, 0.25, 0.25, 0.0],
            ),
            // 6.5; 6, 5, 4, 3, 2, 1; 0.25 three times.
            (
                "a stall, then one sync for the six that waited",
                10,
                &[(0, 6500), (6500, 7000), (7000, 7250), (8000, 8250), (9000, 9250)],
                [2.0, 6.5, 6.5, 650.0 / 9.25],
            ),
            (
                "a stall beyond the end still holds up what was due",
                4,
                &[(0, 500), (1000, 11_000), (11_000, 11_500)],
                [8.5, 10.0, 10.0, 1000.0 / 11.5],
            ),
            // 8; 15 to 8; 15 to 9.
            (
                "always slower than the pace, without a backlog",
                16,
                &[(0, 8000), (8000, 16_000), (16_000, 24_000)],
                [11.0, 15.0, 15.0, 100.0],
            ),
            ("late, but no stall", 2, &[(3000, 8000)], [7.0, 8.0, 8.0, 0.0]),
        ];
        for (name, times, syncs, wanted) in table {
            let mut tally = Tally::new(times);
            for (began, ended) in syncs {
                assert!(tally.next_due().is_some(), "{name}: done too early");
                tally.note(Duration::from_micros(*began), Duration::from_micros(*ended));
            }
            assert_eq!(tally.next_due(), None, "{name}");
            let found = tally.figures();
            assert_eq!((found.due, found.syncs as usize), (times, syncs.len()), "{name}");
            let values = [found.p50_ms, found.p99_ms, found.max_ms, found.stalled_percent];
            for (value, wanted) in values.into_iter().zip(wanted) {
                assert!((value - wanted).abs() <= wanted * 0.016, "{name}: {found:?}");
            }
        }
    }

    #[test]
    fn a_measurement_counts_all_that_was_due_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let found = append(directory.path(), 50).unwrap();
        assert_eq!(found.due, 50);
        assert!((1..=50).contains(&found.syncs), "{found:?}");
        assert!(found.p50_ms > 0.0, "{found:?}");
        assert!(
            found.p50_ms <= found.p99_ms && found.p99_ms <= found.max_ms,
            "{found:?}"
        );
        assert!((0.0..=100.0).contains(&found.stalled_percent), "{found:?}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_still_writes_is_waited_for_but_not_for_ever() {
        for (looks, waited) in [(0, STILL), (24, 24 * LOOK + STILL), (u64::MAX, STILL_WITHIN)] {
            let (start, seen) = (Instant::now(), Cell::new(0));
            let written = || {
                seen.set(seen.get() + 1);
                Ok(looks.min(seen.get() - 1))
            };
            let found = still(written).await.unwrap();
            assert_eq!(found, looks.min(seen.get() - 1));
            // Paused time moves in steps of a millisecond.
            let took = start.elapsed();
            assert!(took >= waited && took < waited + 2 * LOOK, "{looks}: {took:?}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_measured_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let found = measure(&directory.path().join("absent"), || Ok(0)).await;
        let text = found.to_string();
        assert!(
            text.starts_with("not measured: failed to make a file to measure the disk with: No such file"),
            "{text}"
        );
    }
}
