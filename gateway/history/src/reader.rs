//! Asks history, whichever database it is in: a few queries at once, each with an end.
//!
//! Invariant: a slow or absent database costs whoever asks its patience, never a thread of the runtime, and never more than
//! a handful of queries at once.

use crate::error::{HistoryError, HistoryErrorKind};
use crate::metric;
use crate::postgres::read::PostgresReader;
use crate::query::{Clue, Life, Message, Page, Query};
use crate::settings::{Place, Settings};
use crate::sqlite::read::{SqliteReader, Stop};
use smsgw_message::MessageId;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Queries at once; others wait for their turn.
const AT_ONCE: usize = 4;

/// History for readers. Connects when it is asked; there is nothing to start or stop.
#[derive(Debug)]
pub struct History {
    base: Base,
    slots: Arc<Semaphore>,
    patience: Duration,
}

#[derive(Debug)]
enum Base {
    Sqlite(Arc<SqliteReader>),
    Postgres(Box<PostgresReader>),
}

impl History {
    /// Where the writer of the same settings writes.
    pub fn new(settings: &Settings) -> Self {
        let base = match &settings.place {
            Place::Sqlite(directory) => {
                Base::Sqlite(Arc::new(SqliteReader::new(directory.clone(), settings.mask)))
            }
            Place::Postgres(place) => {
                let reader = PostgresReader::new(place.clone(), settings.query_timeout, settings.mask);
                Base::Postgres(Box::new(reader))
            }
        };
        Self {
            base,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            patience: settings.query_timeout,
        }
    }

    /// Messages that fulfil all conditions, newest first.
    ///
    /// A page may hold fewer than were asked for, even none, while its `next` leads on: then time ran out between two days.
    pub async fn search(&self, query: Query) -> Result<Page, HistoryError> {
        let asked = match &self.base {
            Base::Sqlite(reader) => {
                let reader = Arc::clone(reader);
                self.blocking("search history", move |stop| reader.search(&query, stop))
                    .await
            }
            Base::Postgres(reader) => self.waiting("search history", reader.search(&query)).await,
        };
        counted(asked)
    }

    /// A message and what happened to it; whosever it is.
    pub async fn life(&self, id: MessageId) -> Result<Option<Life>, HistoryError> {
        let what = "look a message up in history";
        let asked = match &self.base {
            Base::Sqlite(reader) => {
                let reader = Arc::clone(reader);
                self.blocking(what, move |stop| reader.life(id, stop)).await
            }
            Base::Postgres(reader) => self.waiting(what, reader.life(id)).await,
        };
        counted(asked)
    }

    /// Messages that a clue leads to, newest first; whosever they are. What is not found in time is left out.
    pub async fn find(&self, clue: Clue, limit: usize) -> Result<Vec<Message>, HistoryError> {
        let what = "look for messages in history";
        let asked = match &self.base {
            Base::Sqlite(reader) => {
                let reader = Arc::clone(reader);
                self.blocking(what, move |stop| reader.find(&clue, limit, stop))
                    .await
            }
            Base::Postgres(reader) => self.waiting(what, reader.find(&clue, limit)).await,
        };
        counted(asked)
    }

    /// On a thread that may wait; told to stop when the time is over, and given a moment to say how far it got.
    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        ask: impl FnOnce(&Stop) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let slot = timeout(self.patience, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(HistoryError::new(what, HistoryErrorKind::Busy));
        };
        let stop = Arc::new(Stop::default());
        // Also when whoever asks goes away.
        let guard = StopAtDrop(Arc::clone(&stop));
        let mut task = tokio::task::spawn_blocking(move || {
            let answer = ask(&stop);
            drop(slot);
            answer
        });
        let answered = match timeout(self.patience, &mut task).await {
            Ok(answered) => answered,
            Err(_) => {
                guard.0.stop();
                match timeout(GRACE, task).await {
                    Ok(Ok(Ok(answer))) => Ok(Ok(answer)),
                    Ok(Ok(Err(_)) | Err(_)) | Err(_) => {
                        return Err(HistoryError::new(what, HistoryErrorKind::Late(self.patience)));
                    }
                }
            }
        };
        answered.map_err(|_| HistoryError::new(what, HistoryErrorKind::Ended))?
    }

    async fn waiting<T>(
        &self,
        what: &'static str,
        ask: impl Future<Output = Result<T, HistoryError>>,
    ) -> Result<T, HistoryError> {
        let slot = timeout(self.patience, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(HistoryError::new(what, HistoryErrorKind::Busy));
        };
        let late = |_| HistoryError::new(what, HistoryErrorKind::Late(self.patience));
        timeout(self.patience, ask).await.map_err(late)?
    }
}

/// How long a query that was told to stop may take to end.
const GRACE: Duration = Duration::from_millis(200);

struct StopAtDrop(Arc<Stop>);

impl Drop for StopAtDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn counted<T>(answer: Result<T, HistoryError>) -> Result<T, HistoryError> {
    let word = match &answer {
        Ok(_) => "answered",
        Err(error) => match error.kind {
            HistoryErrorKind::Busy => "busy",
            HistoryErrorKind::Late(_) => "late",
            HistoryErrorKind::Sqlite(_)
            | HistoryErrorKind::Postgres(_)
            | HistoryErrorKind::Io(_)
            | HistoryErrorKind::Tls(_)
            | HistoryErrorKind::Newer(..)
            | HistoryErrorKind::Ended => "failed",
        },
    };
    metric::QUERIES_TOTAL.with(&[word]).inc();
    answer
}
