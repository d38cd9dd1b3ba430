//! What the process tells its parent when it ends (page `ops/docs/exit-codes.md`). Numbers follow sysexits(3) where one
//! fits; 0 and 2 are what everybody expects.

use std::process::ExitCode;

/// Why the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Asked to stop, and drained.
    Stopped,
    /// The configuration or the command line is wrong; a restart does not help.
    Config,
    /// Something was looked for and found: a check is not passed.
    Found,
    /// `plan`: there are changes.
    Changes,
    /// What was given to be read is not what it has to be, or damaged.
    Input,
    /// The gateway wants another token, or asks from here are not answered.
    Denied,
    /// Nothing answers where a running gateway was to be asked.
    Unreachable,
    /// A part could not be kept alive, or the tree ended by itself; a restart is right.
    Failed,
    /// The data directory cannot be opened: damaged, of a newer version, not writable.
    Data,
    /// The data directory is in use by another process.
    Locked,
    /// A write or sync failed: the engine takes nothing any more, and recovers at the next start.
    Poisoned,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Config => 2,
            Self::Changes => 2,
            Self::Found => 1,
            Self::Input => 65,
            Self::Unreachable => 69,
            Self::Failed => 70,
            Self::Data => 73,
            Self::Poisoned => 74,
            Self::Locked => 75,
            Self::Denied => 77,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
