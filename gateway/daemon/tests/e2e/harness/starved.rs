//! How long processes waited for a processor, and when: what a machine that is busy with other things adds to their times.
//!
//! A thread looks every few milliseconds at two clocks: its own sleep (late when the whole machine stood still) and the
//! kernel's account of the time that their threads stood in the run queue (`/proc/<pid>/task/*/schedstat`, second field).
//! Invariant: no wait is left out, at worst it is counted twice, and no time is waited for more than it has.
//!
//! # Limits
//! Without scheduler accounting in the kernel only the first clock tells. Waits for a disk are not seen.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Slice {
    from: f64,
    to: f64,
    waited: f64,
}

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Slice>>,
}

/// What it saw.
#[derive(Debug)]
pub(crate) struct Starved(Vec<Slice>);

impl Watch {
    /// Looks at these processes until [`Watch::stop`].
    pub(crate) fn start(pids: &[u32]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (pids, told) = (pids.to_vec(), Arc::clone(&over));
        let thread = std::thread::spawn(move || look(&pids, &told));
        Self { over, thread }
    }

    pub(crate) fn stop(self) -> Starved {
        self.over.store(true, Ordering::Relaxed);
        Starved(self.thread.join().unwrap())
    }
}

impl Starved {
    /// Milliseconds of waiting in the slices that touch a time, of each slice what is above `short`.
    pub(crate) fn within(&self, from: f64, to: f64, short: f64) -> f64 {
        let touches = |slice: &&Slice| slice.from <= to && from <= slice.to;
        let above = |slice: &Slice| (slice.waited - short).max(0.0);
        self.0.iter().filter(touches).map(above).sum()
    }

    /// How late at most something was that came at that time: the waits before it, and those before what they made late.
    pub(crate) fn late_at(&self, at: f64) -> f64 {
        let mut late = 0.0;
        loop {
            // A wait stands in the account once it is over: in the slice after the one that it began in.
            let more = self.within(at - late, at + 1.0, 0.0);
            if more <= late {
                return late;
            }
            late = more;
        }
    }
}

fn look(pids: &[u32], over: &AtomicBool) -> Vec<Slice> {
    let mut slices = Vec::new();
    let (mut wall, mut before) = (since_1970(), queued(pids));
    while !over.load(Ordering::Relaxed) {
        let slept = Instant::now();
        std::thread::sleep(LOOK);
        let late = slept.elapsed().saturating_sub(LOOK);
        let (to, after) = (since_1970(), queued(pids));
        let waited = late + after.saturating_sub(before);
        slices.push(Slice {
            from: wall,
            to,
            waited: (waited.as_secs_f64() * 1e3).min(to - wall),
        });
        (wall, before) = (to, after);
    }
    slices
}

fn since_1970() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
        * 1e3
}

/// The time that the threads of the processes waited so far: those that run tasks, which are the first one and the workers
/// of the runtime. Threads that write to disk are not on the way of a part that has its turn.
fn queued(pids: &[u32]) -> Duration {
    let tasks = |pid: &u32| {
        let first = pid.to_string();
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        tasks.map(|task| task.path()).filter(move |task| {
            task.ends_with(&first)
                || fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("tokio"))
        })
    };
    pids.iter()
        .flat_map(tasks)
        // A thread may end while it is looked at.
        .filter_map(|task| fs::read_to_string(task.join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}
