//! UCP/EMI (4.0): frames, operations, and a session for either end.
//!
//! ```text
//! octets ─▶ Framer ─▶ Frame (header, length, checksum) ─▶ Pdu (operation or result, field by field) ─▶ UcpSession
//!                                                            content, services, addresses: what fields mean
//! ```
//! Sans-IO: time is an argument. Knows no socket, clock or runtime, no queue and no operator.
//!
//! Invariant: whatever octets come, nothing panics, nothing grows beyond its bound, and what can be answered is answered.

mod address;
mod content;
mod error_code;
mod frame;
mod operation;
mod session;
mod text;

pub use address::{NumberFormat, read_number, read_sender, recipient, sender};
pub use content::{Content, ContentError, ServiceType, Services};
pub use error_code::{ErrorCode, Reason};
pub use frame::{Frame, FrameError, Framer, Head, MAX_FRAME, OperationType, Skipped, Trn};
pub use operation::{
    Alert, Body, CallInput, MAX_ADDRESSES, Message, MessageKind, MultipleRest, Operation, Outcome, Pdu,
    ServicesHead, ServicesRest, Session, SyntaxError, Tolerated, Transfer,
};
pub use session::{
    CloseCause, InDoubt, Login, NotSent, UcpCommand, UcpConfig, UcpEvent, UcpSession, Undecodable,
    UndecodableKind,
};
pub use text::Text;
