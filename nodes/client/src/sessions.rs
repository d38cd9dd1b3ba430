//! Who is bound over SMPP, for those who look at the node from outside; and how to end a session.

use crate::smpp::binds::{Binds, kind_word};
use smsgw_message::{ClientId, Timestamp};
use smsgw_smpp::Version;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The bound sessions of this process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Binds>);

/// One bound session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its number, as it stands in logs in 16 hexadecimal digits.
    pub id: u64,
    /// Whose it is.
    pub client: ClientId,
    /// `transmitter`, `receiver` or `transceiver`.
    pub bind: &'static str,
    /// What it speaks: `3.3`, `3.4` or `5.0`.
    pub version: &'static str,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Whether the line is encrypted.
    pub tls: bool,
    /// When it was bound.
    pub since: Timestamp,
    /// Messages accepted from it.
    pub submitted: u64,
    /// Reports and MO that it took.
    pub delivered: u64,
}

impl Sessions {
    pub(crate) fn binds(&self) -> Arc<Binds> {
        Arc::clone(&self.0)
    }

    /// Every bound session, by client and age.
    pub fn list(&self) -> Vec<SessionStatus> {
        let of = |bind: Arc<crate::smpp::binds::Bind>| SessionStatus {
            id: bind.id,
            client: bind.client.clone(),
            bind: kind_word(bind.kind),
            version: match bind.version {
                Version::V3_3 => "3.3",
                Version::V3_4 => "3.4",
                Version::V5_0 => "5.0",
            },
            peer: bind.peer,
            tls: bind.tls,
            since: bind.since,
            submitted: bind.submitted.load(Ordering::Relaxed),
            delivered: bind.delivered.load(Ordering::Relaxed),
        };
        self.0.all().into_iter().map(of).collect()
    }

    /// Ends a session: it is unbound, and what it has not answered is delivered over another one. False when there is none.
    pub fn disconnect(&self, id: u64) -> bool {
        self.0.disconnect(id)
    }
}
