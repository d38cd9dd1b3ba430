//! The thread that writes the files, behind those that carry traffic: a transaction is some tens of milliseconds of processor time.
//!
//! Invariant: one job at a time, in the order given; a job that was begun is done whoever waits for it.

use super::write::SqliteWriter;
use crate::error::{HistoryError, HistoryErrorKind};
use crate::writer::SourceId;
use smsgw_message::Timestamp;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use tracing::warn;

/// What is added to the nice value of the thread, nice(1)'s default.
const BEHIND_TRAFFIC: i32 = 10;

type Job = Box<dyn FnOnce(&mut SqliteWriter) + Send>;

/// The thread, as its owner has it. It ends with it, after the job that it is at: who drops it waits for that, so that nobody
/// else finds the files open.
#[derive(Debug)]
pub(crate) struct Desk {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    /// Begins the thread and opens the directory on it; tells the highest position of the source.
    pub(crate) async fn open(
        directory: PathBuf,
        source: SourceId,
        now: Timestamp,
    ) -> Result<(Self, Option<u64>), HistoryError> {
        let what = "open history";
        let (jobs, inbox) = sync_channel::<Job>(1);
        let (tell, told) = sync_channel(1);
        let work = move || {
            if let Err(error) = rustix::process::nice(BEHIND_TRAFFIC) {
                warn!(%error, "history is written as urgently as traffic is carried");
            }
            let mut writer = match SqliteWriter::open(directory, source, now) {
                Ok((writer, position)) => {
                    tell.send(Ok(position)).ok();
                    writer
                }
                Err(error) => {
                    tell.send(Err(error)).ok();
                    return;
                }
            };
            while let Ok(job) = inbox.recv() {
                job(&mut writer);
            }
        };
        let thread = thread::Builder::new()
            .name("smsgw-history".to_owned())
            .spawn(work)
            .map_err(|error| HistoryError::new(what, error))?;
        let desk = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        let position = wait(what, told).await?;
        Ok((desk, position))
    }

    /// Has something done with the files. [`HistoryErrorKind::Ended`]: the thread is gone, and the desk of no more use.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteWriter) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let (tell, told) = sync_channel(1);
        let job: Job = Box::new(move |writer| {
            // Who asked may be gone.
            tell.send(work(writer)).ok();
        });
        // A job that is not taken is dropped, and with it what would have told.
        if let Some(jobs) = &self.jobs {
            jobs.send(job).ok();
        }
        wait(what, told).await
    }
}

/// Waits for the thread on one that may wait: a paused clock of a test stands still for no others.
async fn wait<T: Send + 'static>(
    what: &'static str,
    told: Receiver<Result<T, HistoryError>>,
) -> Result<T, HistoryError> {
    let told = tokio::task::spawn_blocking(move || told.recv()).await;
    let ended = || HistoryError::new(what, HistoryErrorKind::Ended);
    told.map_err(|_| ended())?.map_err(|_| ended())?
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Who waited for the job that it panicked in was told.
            thread.join().ok();
        }
    }
}
