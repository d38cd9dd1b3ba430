//! SMPP 3.3, 3.4 and 5.0: PDUs, framing, tolerant decoding, encoding, both ends of a session, receipts.
//!
//! Everything is a value: no socket, no clock, no runtime. [`esme::EsmeSession`] is our end towards carriers,
//! [`smsc::SmscSession`] the other end, towards clients and in the simulator. Invariant: whatever a peer sends, nothing here
//! panics, grows without bound or loses step with the stream.
//!
//! | module | for |
//! |---|---|
//! | [`pdu`], [`address`], [`octets`], [`tlv`], [`status`], [`password`], [`esm_class`], [`version`], [`message_id`] | the one PDU model |
//! | [`framer`], [`decode`], [`tolerated`], [`encode`] | between bytes and PDUs |
//! | [`esme`], [`smsc`], [`matrix`], [`congestion`], [`outcome`] | the sessions |
//! | [`profile`] | what one carrier does differently, as data |
//! | [`receipt`], [`submit`], [`time`] | what stands inside the messages |

pub mod address;
mod answer;
pub mod congestion;
pub mod decode;
pub mod encode;
mod end;
pub mod esm_class;
pub mod esme;
pub mod framer;
pub mod matrix;
pub mod message_id;
pub mod octets;
pub mod outcome;
pub mod password;
pub mod pdu;
mod peer;
pub mod profile;
pub mod receipt;
#[cfg(test)]
mod samples;
mod sequence;
pub mod smsc;
pub mod status;
pub mod submit;
pub mod time;
pub mod tlv;
pub mod tolerated;
pub mod version;
mod wide;

pub use address::Address;
pub use congestion::Congestion;
pub use esme::{Answer, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Operation, Reply, Request};
pub use octets::COctets;
pub use outcome::{CloseCause, Held, Refusal, Undecodable, WindowCounts};
pub use password::Password;
pub use pdu::{BindKind, Body, DataSm, DeliverSm, Pdu, ShortMessage, SubmitSm};
pub use profile::Profile;
pub use receipt::{Receipt, ReceiptProfile, ReceiptState, StateMap};
pub use rusmpp_core::CommandId;
pub use smsc::{SmscCommand, SmscConfig, SmscEvent, SmscSession};
pub use status::CommandStatus;
pub use tlv::Tlvs;
pub use tolerated::{Tolerated, ToleratedSet};
pub use version::Version;
