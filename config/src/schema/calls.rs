//! `[operator.<id>.calls]`: connections that the carrier opens.
//!
//! Must not know how they are taken; the operator node reads these values. Invariant: a key that the operator's protocol does not
//! use is refused (`check_calls`).

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::operator::Operator;
use crate::section::{at_most_chars, between, if_set};
use crate::types::{Secret, SpkiPin};

section! {
    /// `[operator.<id>.calls]`: present means that the carrier connects to us.
    CarrierCalls {
        /// Where the carrier connects to. Over SMPP it asks for our bind by outbind (SMPP 3.4 §2.2.1). Over UCP it delivers at once, or
        /// after it has logged in (operation 60). Since 0.1.
        listen: Option<SocketAddr> = None, Relink [required];
        /// How many of the operator's links wait for the carrier instead of connecting: the last ones by number. Each takes one
        /// connection (two, receiver first, when its binds are a pair). Absent: all of them, and `hosts` may then be absent too.
        /// Since 0.1.
        links: Option<u32> = None, Relink where if_set(between(1, 1_000));
        /// Who may connect; empty: the addresses of `hosts`, or this machine when there are none. Others are closed at once and
        /// counted (`smsgw_operator_calls_total`). Since 0.1.
        allow: Vec<IpNet> = Vec::new(), Live;
        /// What the carrier calls itself: system_id of its outbind, OAdC of its operation 60. Absent: any. Since 0.1.
        login: Option<String> = None, Live where if_set(at_most_chars(16));
        /// The password that the carrier must have; or `password_file`. With this or `login` a UCP carrier has to log in before
        /// anything else; without them it may. Absent: any. Since 0.1.
        password: Option<Secret> = None, Live;
        /// File with that password (its first line); a relative path counts from the file. Since 0.1.
        password_file: Option<PathBuf> = None, Live;
        /// Whether parts are sent over these connections too (UCP); else they only bring MO and notifications. Since 0.1.
        submit: bool = false, Relink;
        /// Our certificate chain (PEM); with `key_file` these connections are TLS. The files are read again for each connection: a
        /// renewed certificate is used from the next one on; a file that is broken or half written is logged, and what was read
        /// before stays in use. Since 0.1.
        cert_file: Option<PathBuf> = None, Relink;
        /// Our private key (PEM), with `cert_file`. Since 0.1.
        key_file: Option<PathBuf> = None, Relink;
        /// Certificates (PEM) that sign the carrier's: it must then show one. Absent: it needs none, unless a key is pinned. Since 0.1.
        ca_file: Option<PathBuf> = None, Relink;
        /// Keys that the carrier's certificate may have, as in `tls.pin_sha256`. Empty: any. Since 0.1.
        pin_sha256: Vec<SpkiPin> = Vec::new(), Relink;
    }
}

impl CarrierCalls {
    /// Whether the carrier has to say who it is.
    pub fn asks_who(&self) -> bool {
        self.login.is_some() || self.password.is_some() || self.password_file.is_some()
    }
}

impl Operator {
    /// How many links wait for the carrier to connect.
    pub fn called_links(&self) -> u32 {
        let called = |calls: &CarrierCalls| calls.links.unwrap_or(self.binds).min(self.binds);
        self.calls.as_ref().map_or(0, called)
    }

    /// Whether the link with this number, from 1, waits for the carrier to connect.
    pub fn is_called(&self, link: u32) -> bool {
        link > self.binds.saturating_sub(self.called_links())
    }
}
