//! The ractor shell: one actor a supervisor, one actor a child task.
//!
//! Receives, calls the ward, does what it says. Mailboxes carry control only.
//!
//! Invariant: every child is linked to its supervisor's actor, so a supervisor that dies takes its children with it.

use super::context::{ChildContext, Phase};
use super::handle::Exit;
use super::live::{Control, End, Finish};
use super::mailbox::{Envelope, Mailbox};
use super::spec::{ChildFuture, Escalation, Start};
use super::table::Shared;
use super::ward::Ward;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What a supervisor's actor is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A child is up.
    Ready { key: u64, generation: u64 },
    /// The table was changed through a handle.
    Changed,
    /// End in order.
    ShutDown { drain: bool },
    /// A deadline has come.
    Wake,
}

/// Whom the supervisor answers to.
pub(super) enum Role {
    Root {
        started: watch::Sender<bool>,
        exit: watch::Sender<Option<Exit>>,
    },
    Nested {
        parent: Mailbox<Message>,
        key: u64,
        generation: u64,
    },
}

pub(super) struct SupervisorActor;

pub(super) struct Arguments {
    shared: Arc<Shared>,
    path: String,
    role: Role,
}

pub(super) struct State {
    ward: Ward,
    mailbox: Mailbox<Message>,
    role: Role,
    announced: bool,
    exit: Exit,
    wake: Option<(Instant, JoinHandle<()>)>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("ward", &self.ward)
            .finish_non_exhaustive()
    }
}

pub(super) async fn spawn_root(
    shared: Arc<Shared>,
    started: watch::Sender<bool>,
    exit: watch::Sender<Option<Exit>>,
) {
    let path = shared.name.clone();
    let arguments = Arguments {
        shared,
        path,
        role: Role::Root { started, exit },
    };
    Actor::spawn(None, SupervisorActor, arguments)
        .await
        .expect("the actor has no registered name to clash with and its pre_start cannot fail");
}

impl Actor for SupervisorActor {
    type Msg = Envelope<Message>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Envelope<Message>>,
        Arguments { shared, path, role }: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let mailbox = Mailbox::of(myself);
        let ward = Ward::new(shared, path, mailbox.clone());
        mailbox.post(Message::Changed);
        Ok(State {
            ward,
            mailbox,
            role,
            announced: false,
            exit: Exit::Crashed,
            wake: None,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Envelope<Message>>,
        message: Envelope<Message>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        match message.open() {
            Message::Ready { key, generation } => state.ward.handle_ready(now, key, generation),
            Message::ShutDown { drain } => state.ward.handle_shut_down(drain),
            Message::Changed => {}
            Message::Wake => state.wake = None,
        }
        state.act().await
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Envelope<Message>>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, end) = match event {
            SupervisionEvent::ActorTerminated(cell, left, reason) => {
                // A nested supervisor's state detaches from its table before that is started again.
                drop(left);
                let killed = cell_was_killed(reason.as_deref());
                (cell, if killed { End::Killed } else { End::Returned })
            }
            SupervisionEvent::ActorFailed(cell, error) => (cell, End::from_error(error)),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        };
        state.ward.handle_end(Instant::now(), cell.get_id(), end);
        state.act().await
    }
}

/// ractor tells a kill from an orderly end only by its words; both are fixed texts of the pinned version.
fn cell_was_killed(reason: Option<&str>) -> bool {
    matches!(reason, Some("killed" | "actor_task_cancelled"))
}

impl State {
    async fn act(&mut self) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        for key in self.ward.advance(now) {
            self.start(now, key).await;
        }
        if self.ward.is_started() && !self.announced {
            self.announced = true;
            match &self.role {
                Role::Root { started, .. } => {
                    started.send_replace(true);
                }
                Role::Nested {
                    parent,
                    key,
                    generation,
                } => {
                    // A parent that is gone takes this actor with it.
                    parent.post(Message::Ready {
                        key: *key,
                        generation: *generation,
                    });
                }
            }
        }
        if let Some(finish) = self.ward.finish() {
            return self.finish(finish);
        }
        self.rearm();
        Ok(())
    }

    async fn start(&mut self, now: Instant, key: u64) {
        let Some(order) = self.ward.begin_start(key) else {
            return;
        };
        let cell = self.mailbox.actor().get_cell();
        let (control, spawned) = match order.start {
            Start::Task(task) => {
                let (phase, receiver) = watch::channel(Phase::Run);
                let ctx = ChildContext::new(
                    &order.path,
                    receiver,
                    self.mailbox.clone(),
                    key,
                    order.generation,
                    order.channels,
                );
                // The factory runs inside the child, so that its panic is the child's.
                let run: ChildFuture = Box::pin(async move { task(ctx).await });
                let spawned = Actor::spawn_linked(None, TaskActor, run, cell).await;
                (
                    Control::Task(phase),
                    spawned.map(|(actor, _join)| actor.get_cell()),
                )
            }
            Start::Supervisor(shared) => {
                let role = Role::Nested {
                    parent: self.mailbox.clone(),
                    key,
                    generation: order.generation,
                };
                let arguments = Arguments {
                    shared: Arc::clone(&shared),
                    path: order.path,
                    role,
                };
                // Boxed: the type of this future contains itself through the nested actor.
                let spawned: SpawnNested = Box::pin(spawn_nested(arguments, cell));
                match spawned.await {
                    Ok(actor) => (Control::Supervisor(shared), Ok(actor.get_cell())),
                    Err(error) => return self.ward.handle_start_failure(now, key, &error),
                }
            }
        };
        match spawned {
            Ok(cell) => self.ward.handle_started(now, key, cell, control),
            Err(error) => self.ward.handle_start_failure(now, key, &error),
        }
    }

    fn rearm(&mut self) {
        let due = self.ward.next_wake();
        if self.wake.as_ref().map(|(at, _)| *at) == due {
            return;
        }
        if let Some((_, timer)) = self.wake.take() {
            timer.abort();
        }
        self.wake = due.map(|at| {
            let mailbox = self.mailbox.clone();
            // Owned: aborted with this state, and it cannot fail.
            let timer = tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                // An actor that is gone needs no wake.
                mailbox.post(Message::Wake);
            });
            (at, timer)
        });
    }

    fn finish(&mut self, finish: Finish) -> Result<(), ActorProcessingErr> {
        // Told to the owner when this state is dropped: by then the table is up to date.
        self.exit = match &finish {
            Finish::Stopped => Exit::Stopped,
            Finish::Escalated(escalation) => Exit::Escalated(escalation.clone()),
        };
        match finish {
            Finish::Stopped => {
                self.mailbox.actor().stop(None);
                Ok(())
            }
            Finish::Escalated(escalation) => Err(Box::new(escalation)),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.wake.take() {
            timer.abort();
        }
        self.ward.release();
        if let Role::Root { exit, .. } = &self.role {
            exit.send_replace(Some(self.exit.clone()));
        }
    }
}

type SpawnNested =
    std::pin::Pin<Box<dyn Future<Output = Result<ActorRef<Envelope<Message>>, ractor::SpawnErr>> + Send>>;

async fn spawn_nested(
    arguments: Arguments,
    parent: ActorCell,
) -> Result<ActorRef<Envelope<Message>>, ractor::SpawnErr> {
    let (actor, _join) = Actor::spawn_linked(None, SupervisorActor, arguments, parent).await?;
    Ok(actor)
}

/// Runs one child's future; its end, error or panic becomes the supervision event.
struct TaskActor;

/// The only message of a task's actor, sent by itself.
struct Run;

/// A child's own error on its way to the supervisor, to be told from a panic.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct TaskFailure {
    pub(super) text: String,
    pub(super) fatal: bool,
}

impl Actor for TaskActor {
    type Msg = Run;
    type State = Option<ChildFuture>;
    type Arguments = ChildFuture;

    async fn pre_start(
        &self,
        myself: ActorRef<Run>,
        run: ChildFuture,
    ) -> Result<Option<ChildFuture>, ActorProcessingErr> {
        myself.cast(Run)?;
        Ok(Some(run))
    }

    async fn handle(
        &self,
        myself: ActorRef<Run>,
        _run: Run,
        state: &mut Option<ChildFuture>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(run) = state.take() {
            run.await.map_err(|error| TaskFailure {
                text: error.to_string(),
                fatal: error.fatal,
            })?;
        }
        myself.stop(None);
        Ok(())
    }
}

impl End {
    fn from_error(error: ActorProcessingErr) -> Self {
        let error = match error.downcast::<TaskFailure>() {
            Ok(failure) => {
                return Self::Failed {
                    reason: failure.text,
                    fatal: failure.fatal,
                };
            }
            Err(error) => error,
        };
        match error.downcast::<Escalation>() {
            Ok(escalation) => Self::Failed {
                reason: escalation.to_string(),
                fatal: escalation.fatal,
            },
            Err(panic) => Self::Panicked {
                message: panic.to_string(),
            },
        }
    }
}
