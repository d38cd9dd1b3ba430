//! What the session of a link is begun with, by protocol.
//!
//! Pure; time is an argument. Knows no connection. Invariant: without credentials there is no session. HTTP has none of these: its
//! links are `http`'s duty.

use crate::bind::{self, Bind};
use crate::ucp::{self, LinkSession, UcpLink, Writing};
use smsgw_config::{Operator, Protocol};
use smsgw_smpp::{EsmeConfig, EsmeSession};
use smsgw_ucp::UcpConfig;
use std::time::Instant;

/// What a session is begun with.
pub(crate) enum Prepared {
    Smpp(Box<EsmeConfig>),
    Ucp(Box<UcpConfig>),
}

impl Prepared {
    pub(crate) fn of(operator: &Operator, bind: Bind) -> Result<Self, String> {
        match operator.protocol {
            Protocol::Smpp | Protocol::Http => bind::session(operator, bind)
                .map(|config| Self::Smpp(Box::new(config)))
                .map_err(|error| error.to_string()),
            Protocol::Ucp => ucp::config(operator)
                .map(|config| Self::Ucp(Box::new(config)))
                .map_err(|error| error.to_string()),
        }
    }

    pub(crate) fn window(&self) -> usize {
        match self {
            Self::Smpp(config) => config.window,
            Self::Ucp(config) => config.window,
        }
    }

    /// The session, and what to bind with once the carrier's outbind asks for it.
    pub(crate) fn begin(self, operator: &Operator, now: Instant) -> (LinkSession, Option<Box<EsmeConfig>>) {
        match self {
            Self::Ucp(config) => {
                let session = UcpLink::new(*config, Writing::of(operator), now);
                (LinkSession::Ucp(Box::new(session)), None)
            }
            Self::Smpp(config) => match operator.outbind_listen {
                None => (LinkSession::Smpp(Box::new(EsmeSession::new(*config, now))), None),
                Some(_) => {
                    let session = EsmeSession::listen((*config).clone(), now);
                    (LinkSession::Smpp(Box::new(session)), Some(config))
                }
            },
        }
    }
}
