//! TCP and TLS, the session driver.
//!
//! [`drive`] runs any [`smsgw_session::Session`] on any byte stream; [`connect`] and [`Listener`] bring the streams.
//! Knows no protocol and no node. Reads the clock only in the driver, and only tokio's, so that tests can pause it.

mod connect;
mod driver;
mod listen;
mod metric;
mod tap;
mod tls;

pub use connect::{Attempt, AttemptError, ConnectError, ConnectOptions, Connection, connect};
pub use driver::{DriveEnd, DriveOptions, Driven, drive};
pub use listen::{ListenError, Listener};
pub use metric::{BYTES_TOTAL, CERTIFICATES_TOTAL, EVENTS_STALLED_TOTAL, WRITE_STALLS_TOTAL};
pub use tap::{Tap, Tapped};
pub use tls::{
    SPKI_PIN_BYTES, TlsClient, TlsClientFiles, TlsClients, TlsError, TlsErrorKind, TlsFile, TlsFiles,
    TlsFilesError, TlsIdentity, TlsMaterial, TlsOptions, TlsPeers, TlsRoots, TlsServer, TlsTrouble,
    TlsVerify, certificate_name, spki_pin,
};
