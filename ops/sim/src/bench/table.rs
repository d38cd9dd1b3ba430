//! The figures of a run, as a value and as text.

use super::disk::{Disk, WHAT};
use serde::{Deserialize, Serialize};
use std::fmt;

/// CPU time per message in microseconds, by process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The gateway.
    pub gateway: f64,
    /// The simulated carrier.
    pub smsc: f64,
    /// The load generator, its start included.
    pub load: f64,
    /// The callback sink.
    pub sink: f64,
}

/// One path at full load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which path.
    pub path: String,
    /// Messages that went the whole path.
    pub messages: u64,
    /// Requests of the load that were not accepted: refused, or without an answer.
    pub refused: u64,
    /// Per second, from the first request until the last message arrived.
    pub rate: f64,
    /// CPU.
    pub cpu_us: Cpu,
    /// Syncs per message; absent when the gateway has no such counter.
    pub syncs: Option<f64>,
    /// Accept latency at half the rate: half of the requests took no longer.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// The disk before and after the run at half the rate; absent where there is none.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// Resident memory of the gateway at the end of the load.
    pub rss_mib: f64,
    /// The most it ever was.
    pub peak_rss_mib: f64,
}

/// One bind with a long round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Window of the bind.
    pub window: usize,
    /// How long the carrier takes to answer.
    pub round_trip_ms: u64,
    /// Submits per second of the gateway.
    pub gateway: f64,
    /// Submits per second of the load generator's own ESME at the same simulator.
    pub own: f64,
    /// The one in percent of the other.
    pub percent: f64,
}

/// What a run measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Paths.
    pub rows: Vec<Row>,
    /// Binds with a long round trip.
    pub links: Vec<LinkRow>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |link: &LinkRow| format!("window {}, {} ms round trip", link.window, link.round_trip_ms);
        let paths = self.rows.iter().map(|row| row.path.len());
        let names = self.links.iter().map(|link| name(link).len());
        let widest = paths.chain(names).max().unwrap_or(0);
        if !self.rows.is_empty() {
            writeln!(
                f,
                "{:<widest$} {:>9} {:>8} | {:>7} {:>6} {:>6} {:>6} | {:>7} | {:>7} {:>7} | {:>7} {:>7}",
                "path",
                "messages",
                "rate/s",
                "gateway",
                "smsc",
                "load",
                "sink",
                "syncs",
                "p50 ms",
                "p99 ms",
                "RSS MiB",
                "peak"
            )?;
            writeln!(
                f,
                "{:<widest$} {:>9} {:>8} | {:^28} | {:>7} | {:^15} |",
                "", "", "", "CPU us per message", "per msg", "at half rate"
            )?;
        }
        let optional =
            |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        for row in &self.rows {
            let cpu = row.cpu_us;
            writeln!(
                f,
                "{:<widest$} {:>9} {:>8.0} | {:>7.1} {:>6.1} {:>6.1} {:>6.1} | {:>7} | {:>7} {:>7} | {:>7.1} {:>7.1}",
                row.path,
                row.messages,
                row.rate,
                cpu.gateway,
                cpu.smsc,
                cpu.load,
                cpu.sink,
                optional(row.syncs, 4),
                optional(row.p50_ms, 2),
                optional(row.p99_ms, 2),
                row.rss_mib,
                row.peak_rss_mib,
            )?;
        }
        for row in self.rows.iter().filter(|row| row.refused > 0) {
            writeln!(f, "{}: {} requests were not accepted", row.path, row.refused)?;
        }
        if self.rows.iter().any(|row| row.disk.is_some()) {
            writeln!(f, "disk alone, {WHAT}, before and after the run at half rate:")?;
        }
        for row in &self.rows {
            if let Some(disk) = &row.disk {
                writeln!(f, "{:<widest$} before: {}", row.path, disk.before)?;
                writeln!(f, "{:<widest$} after:  {}", row.path, disk.after)?;
            }
        }
        if !self.links.is_empty() {
            writeln!(
                f,
                "{:<widest$} {:>9} {:>8} {:>8}",
                "one bind", "gateway/s", "own/s", "percent"
            )?;
        }
        for link in &self.links {
            writeln!(
                f,
                "{:<widest$} {:>9.1} {:>8.1} {:>8.1}",
                name(link),
                link.gateway,
                link.own,
                link.percent
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{DiskAlone, DiskFigures};

    #[test]
    fn columns_stand_under_their_heads() {
        let row = Row {
            path: "SMPP in -> SMPP out -> receipt -> SMPP deliver".into(),
            messages: 300_000,
            refused: 7,
            rate: 30_000.4,
            cpu_us: Cpu {
                gateway: 35.0,
                smsc: 8.0,
                load: 12.0,
                sink: 0.0,
            },
            syncs: None,
            p50_ms: Some(1.0),
            p99_ms: Some(5.0),
            disk: Some(Disk {
                before: DiskAlone::Measured(DiskFigures {
                    due: 2000,
                    syncs: 1900,
                    p50_ms: 0.3,
                    p99_ms: 12.4,
                    max_ms: 168.0,
                    stalled_percent: 2.61,
                    gateway_wrote_bytes: 4097,
                }),
                after: DiskAlone::Failed("no space".into()),
            }),
            rss_mib: 90.0,
            peak_rss_mib: 95.5,
        };
        let link = LinkRow {
            window: 10,
            round_trip_ms: 50,
            gateway: 198.0,
            own: 200.0,
            percent: 99.0,
        };
        let table = Table {
            rows: vec![row],
            links: vec![link],
        };
        let text = table.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 9);
        assert!(
            lines[3].ends_with(" deliver: 7 requests were not accepted"),
            "{text}"
        );
        assert_eq!(
            lines[4..7],
            [
                "disk alone, a 16 KiB append and sync each ms, before and after the run at half rate:",
                "SMPP in -> SMPP out -> receipt -> SMPP deliver before: p50 0.30, p99 12.40, greatest 168.00 ms; 2.6 % of \
                 the time in syncs above 5 ms; not alone: the gateway wrote 5 KiB",
                "SMPP in -> SMPP out -> receipt -> SMPP deliver after:  not measured: no space",
            ]
        );
        assert_eq!(lines[0].find('|'), lines[2].find('|'));
        assert_eq!(lines[1].find('|'), lines[2].find('|'));
        assert!(
            lines[2].contains(" 30000 ") && lines[8].contains(" 99.0"),
            "{text}"
        );
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
        assert!(
            json.contains(r#""disk":{"before":{"measured":{"due":2000,"#)
                && json.contains(r#""after":{"failed":"no space"}"#),
            "{json}"
        );
    }
}
