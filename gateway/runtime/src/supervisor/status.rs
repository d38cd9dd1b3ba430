//! A snapshot of the tree for `/readyz` and people.

use super::channels::ChannelStatus;
use smsgw_message::Timestamp;

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChildState {
    /// Its turn to start has not come.
    Waiting,
    /// Started, not yet ready.
    Starting,
    /// Ready.
    Running,
    /// Failed; starts again after its pause.
    BackingOff,
    /// Told to finish what it has.
    Draining,
    /// Told to return now.
    Stopping,
    /// Ended in good order, or its supervisor did.
    Stopped,
    /// Ended for good by a failure.
    Failed,
}

impl ChildState {
    /// The word for people and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::BackingOff => "backing off",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The value of `smsgw_runtime_actor_state`.
    pub fn number(self) -> i64 {
        match self {
            Self::Waiting => 0,
            Self::Starting => 1,
            Self::Running => 2,
            Self::BackingOff => 3,
            Self::Draining => 4,
            Self::Stopping => 5,
            Self::Stopped => 6,
            Self::Failed => 7,
        }
    }

    /// There is something running under this state.
    pub(super) fn is_live(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Draining | Self::Stopping => true,
            Self::Waiting | Self::BackingOff | Self::Stopped | Self::Failed => false,
        }
    }

    /// What starts after it need not wait any longer.
    pub(super) fn is_past_start(self) -> bool {
        match self {
            Self::Waiting | Self::Starting | Self::BackingOff => false,
            Self::Running | Self::Draining | Self::Stopping | Self::Stopped | Self::Failed => true,
        }
    }
}

/// One part of the tree, as it was when asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeStatus {
    /// Name below its supervisor.
    pub name: String,
    /// The word of its spec under which restarts are counted.
    pub kind: &'static str,
    /// What it is doing.
    pub state: ChildState,
    /// Since when.
    pub since: Timestamp,
    /// When it starts again, while it backs off.
    pub restart_at: Option<Timestamp>,
    /// Restarts since it was added.
    pub restarts: u64,
    /// How it failed last, if it ever did.
    pub last_error: Option<String>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
    /// Messages that wait for a supervisor; a task has no mailbox, it has channels.
    pub mailbox: Option<u64>,
    /// The bounded channels that a task shows.
    pub channels: Vec<ChannelStatus>,
    /// Children of a supervisor, in starting order; none for a task.
    pub children: Vec<TreeStatus>,
}

impl TreeStatus {
    /// This part and everything below it is running.
    pub fn is_running(&self) -> bool {
        self.state == ChildState::Running && self.children.iter().all(Self::is_running)
    }

    /// The part at a path of names below this one.
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        match path {
            [] => Some(self),
            [name, rest @ ..] => self.children.iter().find(|child| child.name == *name)?.find(rest),
        }
    }
}
