//! What a UCP session takes and tells: configuration, commands, events.

use crate::error_code::ErrorCode;
use crate::frame::{FrameError, OperationType, Skipped, Trn};
use crate::operation::{Alert, Operation, Outcome, Session, SyntaxError, Tolerated};
use crate::text::Text;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// Credentials of operation 60. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// OAdC: the account.
    pub account: Text,
    /// The password, before it is written in hexadecimal; 8 characters of the default alphabet, by the standard.
    pub password: Vec<u8>,
    /// OTON: 6 abbreviated (the default of most), 1 international, 2 national.
    pub oton: Text,
    /// ONPI: 5 private, 1 E.164, 3 X.121.
    pub onpi: Text,
    /// OPID, or not given.
    pub opid: Text,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// An account under an abbreviated number of a private plan.
    #[must_use]
    pub fn new(account: Text, password: impl Into<Vec<u8>>) -> Self {
        Self {
            account,
            password: password.into(),
            oton: Text::number(6, 1),
            onpi: Text::number(5, 1),
            opid: Text::default(),
        }
    }

    /// Operation 60: opens a session.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.session(1, Text::default())
    }

    /// Operation 60: changes the password, on an open session.
    #[must_use]
    pub fn change_password(&self, new: &[u8]) -> Operation {
        self.session(3, Text::hex(new))
    }

    fn session(&self, styp: u64, npwd: Text) -> Operation {
        Operation::Session(Box::new(Session {
            oadc: self.account.clone(),
            oton: self.oton.clone(),
            onpi: self.onpi.clone(),
            styp: Text::number(styp, 1),
            pwd: Text::hex(&self.password),
            npwd,
            vers: Text::number(100, 4),
            opid: self.opid.clone(),
            ..Session::default()
        }))
    }
}

/// How a session behaves. [`UcpConfig::default`] gives the documented defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UcpConfig {
    /// We log in first, with these. Default no.
    pub login: Option<Login>,
    /// The peer has to log in first. Default no. With neither, the session is bound from the start.
    pub expect_login: bool,
    /// Unanswered operations at most, 1 (stop and wait) to 100. Default 10.
    pub window: usize,
    /// An operation unanswered for that long is reported as timed out. Default 30 s.
    pub response_timeout: Duration,
    /// From the start to the answer of the login, ours or the peer's. Default 30 s.
    pub login_timeout: Duration,
    /// Operation 31 after that much silence of the peer, `None` never. Default 30 s.
    pub keep_alive: Option<Duration>,
    /// Its AdC: our own number or account, mostly. PID is 0539.
    pub keep_alive_address: Text,
    /// How long the peer may send nothing at all, `None` for ever (as far as keep-alives let it). Default `None`.
    pub silence_limit: Option<Duration>,
    /// How long a TRN stays reserved for its late answer. Default 300 s: centres that throttle answer a minute late.
    pub tombstone_ttl: Duration,
    /// Operations of the peer that wait for the owner's answer at most; more are refused. Default 100: as many as it has TRNs.
    pub deliveries: usize,
}

impl Default for UcpConfig {
    fn default() -> Self {
        Self {
            login: None,
            expect_login: false,
            window: 10,
            response_timeout: Duration::from_secs(30),
            login_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(30)),
            keep_alive_address: Text::default(),
            silence_limit: None,
            tombstone_ttl: Duration::from_secs(300),
            deliveries: Trn::COUNT,
        }
    }
}

/// What the owner asks of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UcpCommand {
    /// Send an operation. Ends as exactly one of `Answered`, `TimedOut`, `NotSent` or an entry of `Closed::in_doubt`.
    Submit {
        /// The owner's own name for it, unique among what is unanswered.
        tag: u64,
        /// What is asked.
        operation: Operation,
    },
    /// Answer what the peer asked; to be given after the owner's durable commit.
    Answer {
        /// `request` of [`UcpEvent::Delivered`] or [`UcpEvent::LoginAsked`].
        request: u64,
        /// What it is told.
        outcome: Outcome,
    },
    /// Submit no more, wait until everything is answered in both directions, but not longer than `within`, then close. (UCP
    /// has no operation that ends a session.)
    Close {
        /// How long to wait for answers.
        within: Duration,
    },
    /// Close at once because the peer answers nothing.
    Leave,
}

/// Why an operation was not sent. Nothing went to the peer. Each variant is a log word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// Not logged in yet.
    NotBound,
    /// As many as the window allows are unanswered, or all TRNs are taken or reserved.
    WindowFull,
    /// Closing.
    Draining,
    /// The session is over.
    Closed,
}

impl NotSent {
    /// The word for logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotBound => "not_bound",
            Self::WindowFull => "window_full",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }
}

/// Why a session ended. Each variant is a log word and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The login was refused, by either end.
    LoginRefused(ErrorCode),
    /// Nobody logged in, or nobody answered the login, in time.
    LoginTimeout,
    /// We closed, and all was answered.
    Drained,
    /// We closed, and the answers did not come in time.
    DrainTimeout,
    /// The peer did not answer operation 31.
    KeepAliveTimeout,
    /// Nothing at all came for longer than the peer may be silent.
    Silent,
    /// We left because the peer answers nothing.
    Unanswered,
    /// The peer closed, or the transport failed.
    Lost,
}

impl CloseCause {
    /// The word for logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginRefused(_) => "login_refused",
            Self::LoginTimeout => "login_timeout",
            Self::Drained => "drained",
            Self::DrainTimeout => "drain_timeout",
            Self::KeepAliveTimeout => "keep_alive_timeout",
            Self::Silent => "silent",
            Self::Unanswered => "unanswered",
            Self::Lost => "lost",
        }
    }
}

/// A frame that could not be understood. It was answered where it was an operation with a header that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// What was wrong.
    pub error: UndecodableKind,
    /// What it was answered with.
    pub answered: Option<ErrorCode>,
    /// What stood between STX and ETX.
    pub raw: Bytes,
}

/// What was wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndecodableKind {
    /// Header, length or checksum.
    Frame(FrameError),
    /// Its fields.
    Syntax(SyntaxError),
    /// An operation that is not known.
    Unknown(OperationType),
}

/// An operation that was sent and never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InDoubt {
    /// The owner's name for it.
    pub tag: u64,
}

/// What the session tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UcpEvent {
    /// Logged in, or no login is needed.
    Bound,
    /// Our login was refused; `Closed` follows.
    LoginRefused {
        /// Why.
        code: ErrorCode,
        /// In the peer's words.
        sm: Text,
    },
    /// The peer logs in: answer it. A positive answer binds the session, a negative one ends it.
    LoginAsked {
        /// To be quoted in the answer.
        request: u64,
        /// With what; the password stands in `pwd` in hexadecimal.
        session: Box<Session>,
    },
    /// An operation was answered.
    Answered {
        /// The owner's name for it.
        tag: u64,
        /// How.
        outcome: Outcome,
        /// Time from sending it.
        took: Duration,
    },
    /// One that had timed out was answered after all.
    LateAnswer {
        /// The owner's name for it.
        tag: u64,
        /// How.
        outcome: Outcome,
        /// Time from sending it.
        took: Duration,
    },
    /// An operation was not answered in time. Its TRN stays reserved.
    TimedOut {
        /// The owner's name for it.
        tag: u64,
    },
    /// An operation was not sent.
    NotSent {
        /// The owner's name for it.
        tag: u64,
        /// Why.
        why: NotSent,
    },
    /// The peer asks something: answer it.
    Delivered {
        /// To be quoted in the answer.
        request: u64,
        /// What.
        operation: Operation,
    },
    /// The peer says that messages wait, or that it lives. It was answered.
    Alerted(Alert),
    /// A result that belongs to nothing we asked.
    Unmatched {
        /// Its TRN.
        trn: Trn,
        /// Of which operation it says to be.
        ot: OperationType,
    },
    /// The owner answered what was not asked, or answered it before.
    NothingToAnswer {
        /// What it quoted.
        request: u64,
    },
    /// An operation of the peer was refused here: more wait than may, or it came before the login.
    Refused {
        /// Which.
        ot: OperationType,
        /// With what.
        code: ErrorCode,
    },
    /// The peer wrote something that the standard does not have, and it was understood.
    Tolerated(OperationType, Tolerated),
    /// Octets were left out between frames.
    Skipped(Skipped),
    /// A frame could not be understood.
    Undecodable(Undecodable),
    /// The session is over. Comes once; after it only `NotSent`.
    Closed {
        /// Why.
        cause: CloseCause,
        /// What was sent and never answered, oldest deadline first.
        in_doubt: Vec<InDoubt>,
    },
}
