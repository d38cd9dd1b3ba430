//! An engine whose commits can be held back or refused.

use smsgw_queue::{
    BoxFuture, Browsed, CommitError, CommitErrorKind, Committed, Delivery, Depth, Engine, EngineError, Entry,
    Health, LogName, Place, Position, QueueName, RecordId, StateKey, Step, Versioned, Want,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Open,
    /// Commits wait.
    Held,
    /// Commits are refused.
    Refusing(EngineError),
}

#[derive(Debug)]
pub(super) struct Gate {
    inner: Arc<dyn Engine>,
    mode: watch::Sender<Mode>,
    /// Steps of each commit, in order.
    batches: std::sync::Mutex<Vec<usize>>,
}

impl Gate {
    pub(super) fn over(inner: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            mode: watch::Sender::new(Mode::Open),
            batches: std::sync::Mutex::default(),
        })
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(super) fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

impl Engine for Gate {
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<'_, Vec<Result<Committed, CommitError>>> {
        Box::pin(async move {
            let mut mode = self.mode.subscribe();
            let mode = mode.wait_for(|mode| *mode != Mode::Held).await.unwrap().clone();
            self.batches.lock().unwrap().push(steps.len());
            match mode {
                Mode::Open | Mode::Held => self.inner.commit(steps).await,
                Mode::Refusing(error) => {
                    let refused = |step: &Step| CommitError {
                        step: step.id(),
                        kind: CommitErrorKind::Engine(error.clone()),
                    };
                    steps.iter().map(|step| Err(refused(step))).collect()
                }
            }
        })
    }

    fn checkout(&self, queue: &QueueName, want: Want) -> BoxFuture<'_, Result<Vec<Delivery>, EngineError>> {
        self.inner.checkout(queue, want)
    }

    fn read(
        &self,
        log: &LogName,
        from: Position,
        max: usize,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Entry>, EngineError>> {
        self.inner.read(log, from, max, wait)
    }

    fn position(&self, log: &LogName, reader: &'static str) -> BoxFuture<'_, Result<Position, EngineError>> {
        self.inner.position(log, reader)
    }

    fn get(&self, keys: Vec<StateKey>) -> BoxFuture<'_, Result<Vec<Option<Versioned>>, EngineError>> {
        self.inner.get(keys)
    }

    fn depth(&self, queue: &QueueName) -> Depth {
        self.inner.depth(queue)
    }

    fn queues(&self) -> Vec<(QueueName, Depth)> {
        self.inner.queues()
    }

    fn browse(
        &self,
        queue: &QueueName,
        place: Place,
        after: Option<RecordId>,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Browsed>, EngineError>> {
        self.inner.browse(queue, place, after, max)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.close()
    }
}
