//! How the carrier binds and keeps sessions.

use crate::span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Binds and sessions: quirks 20, 23, 25, 26, 27 and 33.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindQuirks {
    /// sc_interface_version of bind answers: 0x33, 0x34, 0x50; 0: left out. Also decides the body of error answers.
    #[arg(long, default_value_t = 0x34, value_parser = span::octet)]
    pub interface_version: u8,
    /// Answer to a wrong password: 0x0e, or 0x0d at carriers that hide the cause (quirk 33).
    #[arg(long, default_value_t = 0x0e, value_parser = span::number)]
    pub wrong_password_status: u32,
    /// Answer to a wrong system_id.
    #[arg(long, default_value_t = 0x0f, value_parser = span::number)]
    pub wrong_system_id_status: u32,
    /// Sessions per account at most; 0: no limit (quirk 27).
    #[arg(long, default_value_t = 0)]
    pub max_sessions: usize,
    /// Answer to binds above `max-sessions`.
    #[arg(long, default_value_t = 0x0d, value_parser = span::number)]
    pub max_sessions_status: u32,
    /// Binds are answered ESME_RALYBND for so long after a connection of the account was lost without unbind: the ghost
    /// session (quirk 26).
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub ghost: Duration,
    /// How long the answer of a bind takes.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub bind_delay: Duration,
    /// Send enquire_link as soon as somebody connects, before any bind (quirk 23).
    #[arg(long)]
    pub enquire_before_bind: bool,
    /// Send enquire_link after so long without any PDU; 0: never.
    #[arg(long, value_parser = span::parse, default_value = "30s")]
    #[serde(with = "span::text")]
    pub enquire_link: Duration,
    /// Cut a session that sent no enquire_link for so long, whatever else it sends; 0: never (quirk 23).
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub enquire_link_demanded: Duration,
    /// Unbind a session without submits or deliveries for so long; 0: never.
    #[arg(long, value_parser = span::parse, default_value = "0ms")]
    #[serde(with = "span::text")]
    pub inactivity: Duration,
    /// Unbind after every so many-th submit of a session; 0: never.
    #[arg(long, default_value_t = 0)]
    pub unbind_every: u64,
    /// After so many submits of a session take everything and answer nothing any more: a half-dead connection; 0: never
    /// (quirk 25).
    #[arg(long, default_value_t = 0)]
    pub half_dead_after: u64,
    /// After so many submits of a session stop reading from the socket; 0: never (quirk 25).
    #[arg(long, default_value_t = 0)]
    pub deaf_after: u64,
    /// Close the port: connections are refused.
    #[arg(long)]
    pub refuse_connections: bool,
}

impl Default for BindQuirks {
    fn default() -> Self {
        Self {
            interface_version: 0x34,
            wrong_password_status: 0x0e,
            wrong_system_id_status: 0x0f,
            max_sessions: 0,
            max_sessions_status: 0x0d,
            ghost: Duration::ZERO,
            bind_delay: Duration::ZERO,
            enquire_before_bind: false,
            enquire_link: Duration::from_secs(30),
            enquire_link_demanded: Duration::ZERO,
            inactivity: Duration::ZERO,
            unbind_every: 0,
            half_dead_after: 0,
            deaf_after: 0,
            refuse_connections: false,
        }
    }
}
