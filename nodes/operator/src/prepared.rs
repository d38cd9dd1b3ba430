//! What the session of a link is begun with, by protocol.
//!
//! Pure; time is an argument. Knows no connection. Invariant: without credentials there is no session, unless the carrier is the one
//! to show them. HTTP has none of these: its links are `http`'s duty.

use crate::bind::{self, Bind};
use crate::ucp::{LinkSession, UcpLink, UcpStart};
use smsgw_config::{CarrierCalls, Operator, Protocol};
use smsgw_smpp::{EsmeConfig, EsmeSession};
use std::time::Instant;

/// What a session is begun with.
pub(crate) enum Prepared {
    Smpp(Box<EsmeConfig>),
    /// The same, on a connection that the carrier opens.
    Called(Box<EsmeConfig>),
    Ucp(Box<UcpStart>),
}

impl Prepared {
    /// `called`: how the carrier connects, when it is the one to do so.
    pub(crate) fn of(operator: &Operator, called: Option<&CarrierCalls>, bind: Bind) -> Result<Self, String> {
        match operator.protocol {
            Protocol::Smpp | Protocol::Http => {
                let config = bind::session(operator, bind).map_err(|error| error.to_string())?;
                Ok(match called {
                    None => Self::Smpp(Box::new(config)),
                    Some(_) => Self::Called(Box::new(config)),
                })
            }
            Protocol::Ucp => {
                let start = UcpStart::of(operator, called).map_err(|error| error.to_string())?;
                Ok(Self::Ucp(Box::new(start)))
            }
        }
    }

    pub(crate) fn window(&self) -> usize {
        match self {
            Self::Smpp(config) | Self::Called(config) => config.window,
            Self::Ucp(start) => start.window(),
        }
    }

    /// The session, and what to bind with once the carrier's outbind asks for it.
    pub(crate) fn begin(self, now: Instant) -> (LinkSession, Option<Box<EsmeConfig>>) {
        match self {
            Self::Smpp(config) => (LinkSession::Smpp(Box::new(EsmeSession::new(*config, now))), None),
            Self::Called(config) => {
                let session = EsmeSession::listen((*config).clone(), now);
                (LinkSession::Smpp(Box::new(session)), Some(config))
            }
            Self::Ucp(start) => (LinkSession::Ucp(Box::new(UcpLink::new(*start, now))), None),
        }
    }
}
