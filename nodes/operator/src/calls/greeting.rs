//! What a carrier says of itself before a link has its connection: outbind (SMPP 3.4 §4.1.7), operation 60 (EMI-UCP 4.0 section 6.2).
//!
//! Knows the two protocols as far as that, and no link. Invariant: a wrong secret and a right one take the same time; what was
//! read is given on whole, so that the session and every trace see it.

use super::Closed;
use crate::dial::Stream;
use bytes::{Bytes, BytesMut};
use smsgw_config::{CarrierCalls, Secret};
use smsgw_smpp::framer::Framer;
use smsgw_smpp::{Body, decode};
use smsgw_ucp::{self as ucp, ErrorCode, Operation, OperationType, Outcome, Session, Trn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Octets that may still be an outbind: header, 15 and 8 characters with their NULs, and what carriers exceed that by.
const LARGEST_OUTBIND: u32 = 512;
/// Octets before and of a login: keep-alives may come first.
const LARGEST_LOGIN: usize = 2048;
/// STYP of operation 60 that opens a session.
const OPEN: &str = "1";

/// What a carrier has to be called and to know.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    login: Option<String>,
    password: Asked,
}

#[derive(Debug, Clone)]
enum Asked {
    Nothing,
    This(Secret),
    /// Its file was not read: nobody knows it.
    Unknown,
}

impl Credentials {
    pub(crate) fn of(calls: &CarrierCalls) -> Self {
        Self {
            login: calls.login.clone(),
            password: match (&calls.password, &calls.password_file) {
                (Some(secret), _) => Asked::This(secret.clone()),
                (None, Some(_)) => Asked::Unknown,
                (None, None) => Asked::Nothing,
            },
        }
    }

    pub(crate) fn are(&self, login: &[u8], password: &[u8]) -> bool {
        let named = self
            .login
            .as_ref()
            .is_none_or(|name| same(name.as_bytes(), login));
        let known = match &self.password {
            Asked::Nothing => true,
            Asked::This(secret) => same(secret.expose().as_bytes(), password),
            Asked::Unknown => false,
        };
        named && known
    }

    /// What a login by operation 60 is answered with.
    pub(crate) fn judge(&self, session: &Session) -> Outcome {
        if session.styp.as_str() != OPEN {
            return Outcome::nack(ErrorCode::NOT_SUPPORTED);
        }
        let password = session.pwd.octets();
        let right = password.is_some_and(|password| self.are(session.oadc.as_str().as_bytes(), &password));
        if right {
            Outcome::ack()
        } else {
            Outcome::nack(ErrorCode::AUTHENTICATION)
        }
    }
}

/// Compares without telling by its time where the difference is.
pub(crate) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let differences = ours.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b));
    ours.len() == theirs.len() && differences == 0
}

/// Reads what came; an end counts as nothing said.
async fn more(stream: &mut Box<dyn Stream>, octets: &mut BytesMut, nothing: Closed) -> Result<usize, Closed> {
    let before = octets.len();
    let mut chunk = [0; 512];
    let count = stream.read(&mut chunk).await.map_err(|_| nothing)?;
    let fresh = chunk.get(..count).unwrap_or_default();
    if fresh.is_empty() {
        return Err(nothing);
    }
    octets.extend_from_slice(fresh);
    Ok(before)
}

/// Reads the outbind and checks its secret; gives all octets that came.
pub(super) async fn outbind(known: &Credentials, stream: &mut Box<dyn Stream>) -> Result<Bytes, Closed> {
    let mut framer = Framer::new(LARGEST_OUTBIND);
    let mut octets = BytesMut::new();
    loop {
        let before = more(stream, &mut octets, Closed::NoOutbind).await?;
        framer.push(octets.get(before..).unwrap_or_default());
        let Some(frame) = framer.next_frame().map_err(|_| Closed::NoOutbind)? else {
            continue;
        };
        let (pdu, _) = decode::decode(&frame).map_err(|_| Closed::NoOutbind)?;
        let Body::Outbind { system_id, password } = pdu.body else {
            return Err(Closed::NoOutbind);
        };
        return if known.are(system_id.as_bytes(), password.expose()) {
            Ok(octets.freeze())
        } else {
            Err(Closed::WrongSecret)
        };
    }
}

/// Reads operation 60 and checks it; gives all octets that came. The session answers it; what ends here is refused here.
pub(super) async fn login(known: &Credentials, stream: &mut Box<dyn Stream>) -> Result<Bytes, Closed> {
    let mut framer = ucp::Framer::default();
    let mut octets = BytesMut::new();
    while octets.len() <= LARGEST_LOGIN {
        let before = more(stream, &mut octets, Closed::NoLogin).await?;
        framer.push(octets.get(before..).unwrap_or_default());
        while let Some(raw) = framer.next_frame() {
            let (trn, operation) = operation(raw)?;
            let (outcome, why) = match &operation {
                // A sign of life; the session answers it.
                Operation::Alert(_) => continue,
                Operation::Session(session) => (known.judge(session), Closed::WrongSecret),
                Operation::CallInput(_)
                | Operation::Multiple { .. }
                | Operation::Services { .. }
                | Operation::Transfer(_)
                | Operation::Message(..)
                | Operation::List(_)
                | Operation::Unknown(..) => (Outcome::nack(ErrorCode::NOT_ALLOWED), Closed::NoLogin),
            };
            return match outcome {
                Outcome::Ack { .. } => Ok(octets.freeze()),
                Outcome::Nack { .. } => {
                    refuse(stream, trn, operation.ot(), outcome).await;
                    Err(why)
                }
            };
        }
    }
    Err(Closed::NoLogin)
}

fn operation(raw: &[u8]) -> Result<(Trn, Operation), Closed> {
    let frame = ucp::Frame::read(raw).map_err(|_| Closed::NoLogin)?;
    let (pdu, _) = ucp::Pdu::read(&frame).map_err(|_| Closed::NoLogin)?;
    match pdu.body {
        ucp::Body::Operation(operation) => Ok((pdu.trn, operation)),
        ucp::Body::Result(..) => Err(Closed::NoLogin),
    }
}

/// Says no before the connection is closed.
async fn refuse(stream: &mut Box<dyn Stream>, trn: Trn, ot: OperationType, outcome: Outcome) {
    let mut answer = Vec::new();
    let body = ucp::Body::Result(ot, outcome);
    ucp::Pdu { trn, body }.write(&mut answer);
    // Who does not read it learns it from the close.
    if stream.write_all(&answer).await.is_ok() {
        stream.shutdown().await.ok();
    }
}
