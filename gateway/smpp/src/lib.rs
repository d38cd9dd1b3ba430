//! SMPP 3.4: PDUs, framing, tolerant decoding, encoding, both ends of a session, receipts.
//!
//! Everything is a value: no socket, no clock, no runtime. [`esme::EsmeSession`] is our end towards carriers,
//! [`smsc::SmscSession`] the other end, towards clients and in the simulator. Invariant: whatever a peer sends, nothing here
//! panics, grows without bound or loses step with the stream.
//!
//! | module | for |
//! |---|---|
//! | [`pdu`], [`address`], [`octets`], [`tlv`], [`status`], [`password`], [`esm_class`] | the one PDU model |
//! | [`framer`], [`decode`], [`tolerated`], [`encode`] | between bytes and PDUs |
//! | [`esme`], [`smsc`], [`outcome`] | the sessions |
//! | [`receipt`], [`submit`], [`time`] | what stands inside the messages |

pub mod address;
pub mod decode;
pub mod encode;
pub mod esm_class;
pub mod esme;
pub mod framer;
pub mod octets;
pub mod outcome;
pub mod password;
pub mod pdu;
mod peer;
pub mod receipt;
mod sequence;
pub mod smsc;
pub mod status;
pub mod submit;
pub mod time;
pub mod tlv;
pub mod tolerated;
mod wide;

pub use address::Address;
pub use esme::{EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Operation};
pub use octets::COctets;
pub use outcome::{CloseCause, Refusal, Undecodable};
pub use password::Password;
pub use pdu::{BindKind, Body, DataSm, DeliverSm, Pdu, ShortMessage, SubmitSm};
pub use receipt::{Receipt, ReceiptState};
pub use rusmpp_core::CommandId;
pub use smsc::{SmscCommand, SmscConfig, SmscEvent, SmscSession};
pub use status::CommandStatus;
pub use tlv::Tlvs;
pub use tolerated::{Tolerated, ToleratedSet};
