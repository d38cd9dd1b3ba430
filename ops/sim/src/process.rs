//! What a process used, from `/proc`: CPU time and resident memory.
//!
//! Invariant: a figure that cannot be read is an error, never zero.
//!
//! # Limits
//! Linux only. CPU time is counted by the kernel in ticks of 10 ms; measure over seconds.

use serde::{Deserialize, Serialize};
use std::io;
use thiserror::Error;

/// Ticks per second in `/proc/<pid>/stat`: `USER_HZ`, which is 100 on every Linux architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// Figures of a process could not be read.
#[derive(Debug, Error)]
#[error("failed to read {path}")]
pub struct UsageError {
    /// Which file.
    pub path: String,
    /// Why.
    #[source]
    pub kind: io::Error,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// Resident memory now.
    pub rss_kib: u64,
    /// The most it ever was.
    pub peak_rss_kib: u64,
}

/// Of any process.
///
/// # Errors
/// When the process is gone or the system has no such files.
pub fn usage(pid: u32) -> Result<Usage, UsageError> {
    read(&format!("/proc/{pid}"))
}

/// Of this process.
///
/// # Errors
/// When the system has no such files.
pub fn own_usage() -> Result<Usage, UsageError> {
    read("/proc/self")
}

fn read(directory: &str) -> Result<Usage, UsageError> {
    let file = |name: &str| {
        let path = format!("{directory}/{name}");
        std::fs::read_to_string(&path).map_err(|kind| UsageError { path, kind })
    };
    let malformed = |name: &str| UsageError {
        path: format!("{directory}/{name}"),
        kind: io::Error::new(io::ErrorKind::InvalidData, "not in the expected form"),
    };
    let ticks = cpu_ticks(&file("stat")?).ok_or_else(|| malformed("stat"))?;
    let status = file("status")?;
    Ok(Usage {
        cpu_seconds: f64::from(ticks) / TICKS_PER_SECOND,
        rss_kib: kib(&status, "VmRSS:").ok_or_else(|| malformed("status"))?,
        peak_rss_kib: kib(&status, "VmHWM:").ok_or_else(|| malformed("status"))?,
    })
}

/// utime and stime; the name in parentheses may hold spaces and parentheses, so fields count from its end.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

fn kib(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(kib("VmHWM:\t  20 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12));
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = own_usage().unwrap();
        assert!(usage.rss_kib > 0 && usage.peak_rss_kib >= usage.rss_kib / 2);
        assert!(own_usage().unwrap().cpu_seconds >= usage.cpu_seconds);
        assert!(super::usage(u32::MAX).is_err());
    }
}
