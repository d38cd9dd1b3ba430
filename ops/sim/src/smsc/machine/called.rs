//! Connections that this carrier opens to UCP clients: it delivers over them, after a login of its own where it has a name.
//!
//! Knows no socket. Invariant: what goes over such a session is judged and counted as on one that a client opened.

use super::{Moment, SessionId, Smsc};
use crate::smsc::session::Kind;
use crate::smsc::wire::{Cut, cut, id, pdu, put_string};
use bytes::{BufMut, BytesMut};

/// The account of a carrier that asks nobody for a name.
const ANYBODY: &str = "0";
/// The number of the bind that nobody sent: above all that the edge of a session gives.
const SEQUENCE: u32 = 0x1FFF_FFFF;

impl Smsc {
    /// On a connection that was just opened: logs in with this name and password (operation 60), or delivers at once.
    pub fn call(&mut self, now: Moment, session: SessionId, login: Option<(&str, &str)>) {
        let name = self.options.system_id.as_deref().unwrap_or(ANYBODY);
        let password = self.options.password.as_deref().unwrap_or_default();
        let mut bind = BytesMut::new();
        pdu(&mut bind, id::BIND_TRANSCEIVER, 0, SEQUENCE, |out| {
            put_string(out, name.as_bytes());
            put_string(out, password.as_bytes());
            put_string(out, b"");
            out.put_slice(&[0x34, 0, 0, 0]);
        });
        let ucp = self
            .sessions
            .get_mut(&session)
            .and_then(|known| known.ucp.as_mut());
        match (login, ucp) {
            (Some((name, password)), Some(ucp)) => {
                ucp.once_logged_in(bind);
                self.request(session, id::OUTBIND, |out| {
                    put_string(out, name.as_bytes());
                    put_string(out, password.as_bytes());
                });
            }
            (None, Some(_)) => {
                if let Cut::Pdu(head, body, _) = cut(&bind) {
                    self.handle_bind(now, session, Kind::Transceiver, head, body);
                }
            }
            (_, None) => {}
        }
    }
}
