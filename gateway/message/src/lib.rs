//! What passes through smsgw: messages, receipts, reports and events, and the texts inside them.
//!
//! ```text
//! MtMessage --router--> Dispatch (one a part) --operator--> Up::SubmitResult --router--> MessageLife, Down
//!                                     carrier --operator--> Up::Receipt, Up::Mo --router--> Down
//! ```
//! Every type that stands in a queue, a log or state is a [`Record`]. This crate knows no protocol, no engine and no
//! runtime; it does not read the clock and opens no file.

mod address;
mod cancel;
mod correlation;
mod credit;
pub mod dcs;
pub mod document;
mod down;
mod event;
pub mod gsm7;
mod id;
mod instruction;
mod life;
mod mt;
pub mod names;
mod opt_out;
mod options;
mod quick;
mod record;
mod replace;
mod request;
mod routed;
pub mod segment;
pub mod smart;
pub mod text;
mod time;
pub mod udh;
mod up;
pub mod validity;
pub mod whole;

pub use address::*;
pub use cancel::{CancelGroup, CancelRequest, Cancels, GroupCancels, GroupWish};
pub use correlation::{Correlation, Early, Owner, fold};
pub use credit::*;
pub use down::*;
pub use event::{AddressView, Event, EventView, HistoryView};
pub use id::{ClientId, LinkGroup, LinkId, MAX_NAME, MessageId, NameError, OperatorId};
pub use instruction::{Instruction, InstructionResult, LinkOrder, OperatorOrders};
pub use life::*;
pub use mt::*;
pub use opt_out::OptOut;
pub use options::{CarrierOptions, RawTlv};
pub use record::{Record, RecordError};
pub use replace::{CounterSpend, ReplaceRequest, ReplaceVerdict, WaitingParts};
pub use request::{ClientRequest, ReplyBounds};
pub use routed::Routed;
pub use segment::Part;
pub use text::Encoding;
pub use time::{Clock, Timestamp};
pub use up::*;
