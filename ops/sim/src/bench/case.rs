//! The cases: which path, how it is loaded, when it is done, what is measured.
//!
//! Invariant: a rate counts messages that went the whole path, over the time until the last of them arrived.

use super::child::Peer;
use super::disk::Disk;
use super::rig::{Rig, Setup, Used, carrier};
use super::table::{Cpu, LinkRow, Row, Table};
use super::{BenchError, BenchOptions};
use crate::load::LoadReport;
use crate::progress::{Phase, Progress, Span};
use crate::smsc::SmscStats;
use crate::span;
use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Messages before a measurement.
const WARM_UP: &str = "2000";
/// How long what was accepted may take to arrive, beside the time it was loaded.
const DRAIN: Duration = Duration::from_secs(60);
/// Messages from phones per second of the duration; the case takes as long as the gateway needs for them.
const MO_PER_SECOND: u64 = 20_000;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// HTTP in, SMPP out; no report.
    Mt,
    /// HTTP in, SMPP out, receipt, callback.
    Report,
    /// SMPP in, SMPP out, receipt, SMPP deliver.
    Smpp,
    /// MO over SMPP, callback.
    Mo,
    /// One bind, window 10, answers after 50 ms.
    Window10,
    /// One bind, window 100, answers after 100 ms.
    Window100,
}

impl Case {
    /// In the order they are run.
    pub const ALL: [Self; 6] = [
        Self::Mt,
        Self::Report,
        Self::Smpp,
        Self::Mo,
        Self::Window10,
        Self::Window100,
    ];

    pub(super) fn setup<'a>(
        self,
        options: &'a BenchOptions,
        progress: &'a Arc<Progress>,
        bin: &'a Path,
    ) -> Setup<'a> {
        Setup {
            options,
            progress,
            bin,
            window: options.window,
            receipts: match self {
                Self::Report | Self::Smpp => "always",
                Self::Mt | Self::Mo | Self::Window10 | Self::Window100 => "asked",
            },
            smsc: &[],
        }
    }

    pub(super) async fn run(self, setup: Setup<'_>, table: &mut Table) -> Result<(), BenchError> {
        match self {
            Self::Mt => table.rows.push(run_mt(setup, false).await?),
            Self::Report => table.rows.push(run_mt(setup, true).await?),
            Self::Smpp => table.rows.push(run_smpp(setup).await?),
            Self::Mo => table.rows.push(run_mo(setup).await?),
            Self::Window10 => table
                .links
                .push(run_link(setup, 10, Duration::from_millis(50)).await?),
            Self::Window100 => table
                .links
                .push(run_link(setup, 100, Duration::from_millis(100)).await?),
        }
        Ok(())
    }
}

async fn run_mt(setup: Setup<'_>, reports: bool) -> Result<Row, BenchError> {
    let Setup {
        options, progress, ..
    } = setup;
    let report = if reports { "final" } else { "none" };
    let mut rig = Rig::start(setup).await?;
    let within = options.duration.saturating_add(DRAIN);
    progress.begin(Phase::WarmUp, None, None);
    let mut expected = rig.load(report, &["--total", WARM_UP], DRAIN).await?.accepted;
    arrived(&mut rig, reports, expected, DRAIN).await?;

    let before = rig.used().await?;
    let (since, started) = (expected, SystemClock.now());
    progress.begin(Phase::Measuring, None, Some(Span::Lasts(options.duration)));
    let load = rig
        .load(report, &["--duration", &span::show(options.duration)], within)
        .await?;
    expected = expected.saturating_add(load.accepted);
    let drain = within.saturating_mul(3);
    progress.begin(Phase::Arriving, Some(expected), Some(Span::AtMost(drain)));
    let last = arrived(&mut rig, reports, expected, drain).await?;
    let after = rig.used().await?;
    let took = last.saturating_sub(started.as_millis());

    let messages = expected.saturating_sub(since);
    let rate = per_second(messages, took);
    // Whole messages: a rate below one per second is no load.
    let half = format!("{:.0}", (rate / 2.0).max(1.0));
    let duration = options.duration / 2;
    let disk_before = rig.disk_alone().await;
    progress.begin(Phase::HalfRate, None, Some(Span::Lasts(duration)));
    let duration = span::show(duration);
    let slow = rig
        .load(report, &["--duration", &duration, "--rate", &half], within)
        .await?;
    expected = expected.saturating_add(slow.accepted);
    progress.begin(Phase::Arriving, Some(expected), Some(Span::AtMost(within)));
    arrived(&mut rig, reports, expected, within).await?;
    let disk = Some(Disk {
        before: disk_before,
        after: rig.disk_alone().await,
    });
    rig.stop().await?;

    let path = if reports {
        "HTTP in -> SMPP out -> receipt -> callback"
    } else {
        "HTTP in -> SMPP out"
    };
    let usage = load.usage.ok_or_else(|| BenchError::Unexpected {
        who: "the load generator",
        line: "a report without its usage".into(),
        expected: "what it has used",
    })?;
    let refused = load.sent.saturating_sub(load.accepted);
    let row = row(
        path,
        messages,
        rate,
        before,
        after,
        usage.cpu_seconds,
        Some(&slow),
    );
    Ok(Row { refused, disk, ..row })
}

/// Waits until that many messages have arrived at the end of the path; says when the last one did.
async fn arrived(rig: &mut Rig, reports: bool, expected: u64, within: Duration) -> Result<i64, BenchError> {
    let (found, last) = if reports {
        let what = "the reports of all messages did not arrive";
        let stats = rig
            .wait_for_sink(what, within, expected, |stats| stats.reports)
            .await?;
        (stats.reports, stats.last_at)
    } else {
        let what = "all messages did not arrive at the carrier";
        let stats = rig
            .wait_for_carrier(what, within, expected, |stats| stats.accepted)
            .await?;
        (stats.accepted, stats.last_accepted_at)
    };
    if found > expected {
        return Err(BenchError::Wrong {
            what: "more arrived than was accepted",
            found,
            expected,
        });
    }
    Ok(last)
}

/// One client's bind in, one bind out, and the receipts back the same way.
async fn run_smpp(setup: Setup<'_>) -> Result<Row, BenchError> {
    let Setup {
        options, progress, ..
    } = setup;
    let rig = Rig::start(setup).await?;
    let within = options.duration.saturating_add(DRAIN);
    progress.begin(Phase::WarmUp, None, None);
    all_receipts(&rig.load_smpp(&["--total", WARM_UP], DRAIN).await?)?;
    let before = rig.used().await?;
    progress.begin(Phase::Measuring, None, Some(Span::Lasts(options.duration)));
    let load = rig
        .load_smpp(&["--duration", &span::show(options.duration)], within)
        .await?;
    all_receipts(&load)?;
    let after = rig.used().await?;
    let rate = count(load.accepted) / load.receipts_seconds.max(0.001);
    let half = format!("{:.0}", (rate / 2.0).max(1.0));
    let duration = options.duration / 2;
    let disk_before = rig.disk_alone().await;
    progress.begin(Phase::HalfRate, None, Some(Span::Lasts(duration)));
    let duration = span::show(duration);
    let slow = rig
        .load_smpp(&["--duration", &duration, "--rate", &half], within)
        .await?;
    all_receipts(&slow)?;
    let disk = Some(Disk {
        before: disk_before,
        after: rig.disk_alone().await,
    });
    rig.stop().await?;
    let usage = load.usage.ok_or_else(|| BenchError::Unexpected {
        who: "the load generator",
        line: "a report without its usage".into(),
        expected: "what it has used",
    })?;
    let refused = load.sent.saturating_sub(load.accepted);
    let path = "SMPP in -> SMPP out -> receipt -> SMPP deliver";
    let row = row(
        path,
        load.accepted,
        rate,
        before,
        after,
        usage.cpu_seconds,
        Some(&slow),
    );
    Ok(Row { refused, disk, ..row })
}

/// Each message that was accepted has one receipt.
fn all_receipts(load: &LoadReport) -> Result<(), BenchError> {
    if load.receipts == load.accepted {
        return Ok(());
    }
    Err(BenchError::Wrong {
        what: "receipts for the messages accepted",
        found: load.receipts,
        expected: load.accepted,
    })
}

async fn run_mo(setup: Setup<'_>) -> Result<Row, BenchError> {
    let Setup {
        options, progress, ..
    } = setup;
    let mut rig = Rig::start(setup).await?;
    let warm_up: u64 = 500;
    progress.begin(Phase::WarmUp, Some(warm_up), None);
    rig.smsc.tell(&format!("mo {{\"total\":{warm_up}}}")).await?;
    let missing = "messages from phones did not arrive";
    rig.wait_for_sink(missing, DRAIN, warm_up, |stats| stats.mo)
        .await?;

    let total = options.duration.as_secs().max(1).saturating_mul(MO_PER_SECOND);
    let before = rig.used().await?;
    let started = SystemClock.now();
    rig.smsc.tell(&format!("mo {{\"total\":{total}}}")).await?;
    let within = options.duration.saturating_mul(20).saturating_add(DRAIN);
    let expected = total.saturating_add(warm_up);
    progress.begin(Phase::Measuring, Some(expected), Some(Span::AtMost(within)));
    let done = rig
        .wait_for_sink(missing, within, expected, |stats| stats.mo)
        .await?;
    let after = rig.used().await?;
    if done.mo > expected {
        let what = "more messages from phones arrived than were sent";
        return Err(BenchError::Wrong {
            what,
            found: done.mo,
            expected,
        });
    }
    rig.stop().await?;
    let rate = per_second(total, done.last_at.saturating_sub(started.as_millis()));
    Ok(row(
        "MO: SMPP in -> callback",
        total,
        rate,
        before,
        after,
        0.0,
        None,
    ))
}

/// A queue that is never empty, sent over one bind; then the same bind without a gateway.
async fn run_link(setup: Setup<'_>, window: usize, round_trip: Duration) -> Result<LinkRow, BenchError> {
    let Setup {
        options, progress, ..
    } = setup;
    let delay = span::show(round_trip);
    let smsc = ["--answer-delay", &delay];
    let best = number(window) / round_trip.as_secs_f64();
    let mut rig = Rig::start(Setup {
        window,
        smsc: &smsc,
        ..setup
    })
    .await?;
    // The time of the load itself, two seconds at most, and half as much again as can be sent.
    let seconds = options.duration.as_secs_f64().mul_add(1.5, 2.0);
    let total = format!("{:.0}", best * seconds);
    progress.begin(Phase::WarmUp, None, None);
    let load = rig
        .load(
            "none",
            &["--total", &total],
            options.duration.saturating_add(DRAIN),
        )
        .await?;
    let (start, first) = (Instant::now(), counted(&mut rig.smsc).await?);
    progress.begin(Phase::Measuring, None, Some(Span::Lasts(options.duration)));
    sleep(options.duration).await;
    let (took, last) = (start.elapsed(), counted(&mut rig.smsc).await?);
    let sent = last.saturating_sub(first);
    if last >= load.accepted {
        return Err(BenchError::Wrong {
            what: "the queue was empty before its time",
            found: last,
            expected: load.accepted,
        });
    }
    rig.stop().await?;
    let gateway = count(sent) / took.as_secs_f64();

    let own = carrier(setup.bin, &smsc).await?;
    let (host, window_text) = (own.address()?.to_string(), window.to_string());
    let duration = span::show(options.duration);
    progress.begin(Phase::Alone, None, Some(Span::Lasts(options.duration)));
    let arguments = [
        "load",
        "smpp",
        "--quiet",
        "--host",
        &host,
        "--window",
        &window_text,
        "--duration",
        &duration,
    ];
    let report: LoadReport = Peer::start("the load generator", setup.bin, &arguments)?
        .result(options.duration.saturating_add(DRAIN))
        .await?;
    own.end().await?;
    Ok(LinkRow {
        window,
        round_trip_ms: u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX),
        gateway,
        own: report.rate,
        percent: if report.rate > 0.0 {
            100.0 * gateway / report.rate
        } else {
            0.0
        },
    })
}

async fn counted(smsc: &mut Peer) -> Result<u64, BenchError> {
    Ok(smsc.stats::<SmscStats>().await?.accepted)
}

fn row(
    path: &str,
    messages: u64,
    rate: f64,
    before: Used,
    after: Used,
    load_cpu: f64,
    slow: Option<&LoadReport>,
) -> Row {
    let per_message = |seconds: f64| {
        if messages == 0 {
            0.0
        } else {
            seconds * 1e6 / count(messages)
        }
    };
    let cpu_us = Cpu {
        gateway: per_message(after.gateway.cpu_seconds - before.gateway.cpu_seconds),
        smsc: per_message(after.smsc.cpu_seconds - before.smsc.cpu_seconds),
        load: per_message(load_cpu),
        sink: per_message(after.sink.cpu_seconds - before.sink.cpu_seconds),
    };
    let mib = |kib: u64| count(kib) / 1024.0;
    Row {
        path: path.to_owned(),
        messages,
        refused: 0,
        rate,
        cpu_us,
        syncs: after
            .syncs
            .zip(before.syncs)
            .map(|(after, before)| (after - before) / count(messages.max(1))),
        p50_ms: slow.map(|slow| slow.latency_from_due.p50_ms),
        p99_ms: slow.map(|slow| slow.latency_from_due.p99_ms),
        disk: None,
        rss_mib: mib(after.gateway.rss_kib),
        peak_rss_mib: mib(after.gateway.peak_rss_kib),
    }
}

fn per_second(messages: u64, millis: i64) -> f64 {
    let millis = u32::try_from(millis.max(1)).unwrap_or(u32::MAX);
    count(messages) * 1000.0 / f64::from(millis)
}

/// Counts of a run are far below 2^32.
fn count(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn number(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
