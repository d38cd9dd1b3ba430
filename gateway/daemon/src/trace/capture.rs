//! Writes what goes over a link into a file under `data_dir/traces`, for a time and up to a size.
//!
//! ```text
//! POST /trace/link?link=alpha-1&seconds=300&octets=67108864   ▶ one JSON line at once, each second, and at the end
//! data_dir/traces/alpha-1-20261121T084015.123Z.pcapng.part    ▶ renamed without .part once it is whole
//! ```
//! The file has passwords masked and texts in it: directory 0700, file 0600. Invariants: at most [`RUNNING`] captures at once,
//! [`KEPT`] files, the oldest go; a capture ends when whoever asked for it is gone, when its time or size is over, when the
//! disk is short of space and when the gateway drains. It writes on a thread of its own: a slow disk holds up no link.

use super::schema::Progress;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use smsgw_message::{Clock, LinkId};
use smsgw_node_operator::{Capture, CaptureError, LinkTable};
use smsgw_queue::{Engine, Health};
use smsgw_runtime::SystemClock;
use std::convert::Infallible;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{error, info};

/// Captures at once.
const RUNNING: usize = 2;
/// Files kept, the new one included.
const KEPT: usize = 8;
/// Longest capture.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);
/// Largest file.
pub(crate) const LARGEST: u64 = 1024 * 1024 * 1024;
/// Size of a file when none is asked for.
pub(crate) const USUAL: u64 = 64 * 1024 * 1024;
/// Smallest bound of a file.
pub(crate) const SMALLEST: u64 = 1024 * 1024;
/// Room kept below the bound: what one turn may write.
const RESERVE: u64 = 512 * 1024;
/// How often the capture says how far it is, and looks whether anybody still listens.
const TICK: Duration = Duration::from_secs(1);
const ENDING: &str = "pcapng";
const UNFINISHED: &str = "part";

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) link: LinkId,
    pub(crate) time: Duration,
    pub(crate) octets: u64,
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Link(#[from] CaptureError),
    #[error("{RUNNING} captures run already")]
    Busy,
    #[error("failed to make a file in {}", dir.display())]
    File {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The captures of this process.
#[derive(Debug)]
pub(crate) struct Captures {
    dir: PathBuf,
    slots: Arc<Semaphore>,
}

impl Captures {
    /// Into this directory, which is made when it is needed.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            slots: Arc::new(Semaphore::new(RUNNING)),
        }
    }

    /// Begins a capture; the answer's lines follow it.
    pub(crate) fn start(
        &self,
        ask: &Ask,
        links: &LinkTable,
        engine: Arc<dyn Engine>,
    ) -> Result<Lines, StartError> {
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| StartError::Busy)?;
        let clock = SystemClock;
        let capture = links.capture(&ask.link, &clock)?;
        let (file, path) = make(&self.dir, &ask.link, &clock).map_err(|source| StartError::File {
            dir: self.dir.clone(),
            source,
        })?;
        info!(link = %ask.link, file = %path.display(), time = ?ask.time, octets = ask.octets, "capture begins");
        let (lines, receiver) = mpsc::channel(4);
        let job = Job {
            capture,
            until: clock.instant().checked_add(ask.time),
            octets: ask.octets,
            file,
            path,
            lines,
            engine,
            written: 0,
            _slot: slot,
        };
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || job.run(&handle));
        Ok(Lines(receiver))
    }
}

/// Makes the file of a capture, and room for it.
fn make(dir: &Path, link: &LinkId, clock: &dyn Clock) -> io::Result<(File, PathBuf)> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    make_room(dir)?;
    let at: String = clock
        .now()
        .to_string()
        .chars()
        .filter(|character| !matches!(character, '-' | ':'))
        .collect();
    let path = fs::canonicalize(dir)?.join(format!("{link}-{at}.{ENDING}"));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(unfinished(&path))?;
    Ok((file, path))
}

/// Deletes the oldest captures until one more may be there. Other files are left alone.
fn make_room(dir: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let ours = path
            .extension()
            .is_some_and(|ending| ending == ENDING || ending == UNFINISHED);
        if ours && let Ok(modified) = fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            files.push((modified, path));
        }
    }
    files.sort();
    let surplus = (files.len() + 1).saturating_sub(KEPT);
    for (_, path) in files.into_iter().take(surplus) {
        info!(file = %path.display(), kept = KEPT, "old capture deleted");
        fs::remove_file(path)?;
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(format!("{ENDING}.{UNFINISHED}"))
}

/// A capture that runs, on a thread of its own.
struct Job {
    capture: Capture,
    until: Option<Instant>,
    octets: u64,
    file: File,
    path: PathBuf,
    lines: mpsc::Sender<Progress>,
    engine: Arc<dyn Engine>,
    written: u64,
    _slot: OwnedSemaphorePermit,
}

impl Job {
    fn run(mut self, handle: &Handle) {
        let ended = self.record(handle);
        let Self {
            capture,
            mut file,
            path,
            lines,
            octets,
            mut written,
            ..
        } = self;
        let mut tail = Vec::new();
        let room = octets.saturating_sub(written).saturating_sub(RESERVE / 4);
        let counts = capture.finish(usize::try_from(room).unwrap_or(usize::MAX), &mut tail);
        let (word, result) = match ended {
            Ok(word) => (word, file.write_all(&tail)),
            Err(error) => ("disk", Err(error)),
        };
        if result.is_ok() {
            written = written.saturating_add(size(&tail));
        }
        let failed = result.and_then(|()| fs::rename(unfinished(&path), &path)).err();
        match &failed {
            None => {
                info!(file = %path.display(), pdus = counts.pdus, left_out = counts.left_out, octets = written, ended = word, "capture ends")
            }
            Some(error) => {
                error!(file = %unfinished(&path).display(), %error, "capture could not be written; what there is stays")
            }
        }
        let last = Progress {
            file: path.display().to_string(),
            pdus: counts.pdus,
            left_out: counts.left_out,
            octets: written,
            ended: Some(if failed.is_some() { "disk" } else { word }.to_owned()),
            error: failed.map(|error| error.to_string()),
        };
        // Whoever asked may be gone: the file is there all the same.
        lines.blocking_send(last).unwrap_or_default();
    }

    fn record(&mut self, handle: &Handle) -> io::Result<&'static str> {
        let mut out = Vec::new();
        self.capture.head(&mut out);
        self.write(&out)?;
        let mut said: Option<Instant> = None;
        loop {
            let now = SystemClock.instant();
            if self.lines.is_closed() {
                return Ok("stopped");
            }
            match self.engine.health() {
                Health::Ready => {}
                Health::LowSpace => return Ok("disk"),
                Health::Poisoned(_) | Health::Closed => return Ok("draining"),
            }
            if said.is_none_or(|at| now.saturating_duration_since(at) >= TICK) {
                said = Some(now);
                self.tell();
            }
            let left = self
                .until
                .map_or(TICK, |until| until.saturating_duration_since(now));
            if left.is_zero() {
                return Ok("time");
            }
            out.clear();
            let capture = &mut self.capture;
            // Over when nothing came in time: then there is nothing to write.
            let patience = left.min(TICK / 4);
            handle.block_on(async {
                tokio::time::timeout(patience, capture.next(&mut out))
                    .await
                    .unwrap_or_default();
            });
            self.write(&out)?;
            if self.written.saturating_add(RESERVE) > self.octets {
                return Ok("size");
            }
        }
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)?;
        self.written = self.written.saturating_add(size(octets));
        Ok(())
    }

    fn tell(&self) {
        let counts = self.capture.counts();
        let line = Progress {
            file: self.path.display().to_string(),
            pdus: counts.pdus,
            left_out: counts.left_out,
            octets: self.written,
            ended: None,
            error: None,
        };
        // One who reads slowly misses a line, not the capture.
        self.lines.try_send(line).unwrap_or_default();
    }
}

fn size(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX)
}

/// The lines of an answer, as its body. Dropped with the connection: the capture notices.
#[derive(Debug)]
pub(crate) struct Lines(mpsc::Receiver<Progress>);

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.get_mut().0.poll_recv(cx).map(|line| {
            let mut text = serde_json::to_vec(&line?).expect("strings and numbers are valid JSON");
            text.push(b'\n');
            Some(Ok(Frame::data(Bytes::from(text))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_private_and_few() {
        let dir = tempfile::tempdir().unwrap();
        let traces = dir.path().join("data/traces");
        let link = LinkId::try_new("alpha-1").unwrap();
        fs::create_dir_all(&traces).unwrap();
        fs::write(traces.join("notes.txt"), "mine").unwrap();
        fs::remove_dir_all(&traces).unwrap();
        let (_, first) = make(&traces, &link, &SystemClock).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&traces), mode(&unfinished(&first))), (0o700, 0o600));
        fs::write(traces.join("notes.txt"), "mine").unwrap();
        for n in 0..20 {
            fs::write(traces.join(format!("alpha-1-{n}.pcapng")), "").unwrap();
        }
        let (_, last) = make(&traces, &link, &SystemClock).unwrap();
        let left: Vec<PathBuf> = fs::read_dir(&traces)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(left.len(), KEPT + 1, "{left:?}");
        assert!(
            left.contains(&fs::canonicalize(&traces).unwrap().join("notes.txt"))
                || traces.join("notes.txt").exists()
        );
        assert!(unfinished(&last).exists() && !unfinished(&first).exists());
    }
}
