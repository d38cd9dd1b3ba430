//! One request to a listener on a connection of its own, in the clear or inside TLS.
//!
//! Knows no verb and no path. Invariant: what stands in the way is one kind of [`ReachError`], which says what to do about it and with
//! which code a verb ends.

use super::listener::{Listener, Tls, Trust};
use crate::exit::Exit;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use smsgw_transport::TlsTrouble;
use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Most octets of an answer: a hundred thousand queues are less.
const LARGEST: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    #[error("nothing listens there")]
    Connect(#[source] io::Error),
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("it takes TLS only: name it https://HOST:PORT, or bring --admin-ca FILE")]
    IsTls,
    #[error("it takes no TLS: name it by its address, without https:// and certificates")]
    NoTls(#[source] Box<dyn Error + Send + Sync>),
    /// Its certificate is not what it has to be.
    #[error("{0}")]
    Untrusted(String, #[source] Box<dyn Error + Send + Sync>),
    /// Our certificate is missing, or not what it has to be.
    #[error("{0}")]
    Certificate(&'static str),
    #[error("it cannot be asked for that")]
    Request(#[source] hyper::http::Error),
    /// It answers, and not to us.
    #[error("{0}: {1}")]
    Denied(StatusCode, String),
    #[error("no TLS could be agreed on with it")]
    Tls(#[source] io::Error),
    #[error("it does not speak HTTP as the gateway does")]
    Http(#[source] hyper::Error),
    #[error("the answer could not be read whole")]
    Body(#[source] Box<dyn Error + Send + Sync>),
}

impl ReachError {
    /// The code that a verb ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Certificate(_) | Self::Denied(..) => Exit::Denied,
            Self::Request(_) => Exit::Config,
            Self::Connect(_)
            | Self::Late(_)
            | Self::IsTls
            | Self::NoTls(_)
            | Self::Untrusted(..)
            | Self::Tls(_)
            | Self::Http(_)
            | Self::Body(_) => Exit::Unreachable,
        }
    }

    /// Says it on standard error.
    pub(crate) fn say(self, at: &Listener) -> Exit {
        let exit = self.exit();
        match &self {
            Self::Late(patience) => eprintln!("smsgw: no answer from {at} within {patience:?}"),
            Self::Denied(code, text) => eprintln!("smsgw: {code}: {text}"),
            Self::Certificate(_) | Self::IsTls | Self::NoTls(_) | Self::Untrusted(..) | Self::Request(_) => {
                eprintln!("smsgw: {at}: {:#}", anyhow::Error::from(self));
            }
            Self::Connect(_) | Self::Tls(_) | Self::Http(_) | Self::Body(_) => {
                eprintln!(
                    "smsgw: no gateway answers at {at}: {:#}",
                    anyhow::Error::from(self)
                );
            }
        }
        exit
    }

    /// What went wrong inside TLS, in the handshake or, with TLS 1.3, at the first read.
    fn inside(error: Box<dyn Error + Send + Sync>, tls: &Tls) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let untrusted = |text: String, error| Ok(Self::Untrusted(text, error));
        let Some(trouble) = TlsTrouble::of(error.as_ref()) else {
            return Err(error);
        };
        match trouble {
            TlsTrouble::UnknownIssuer => {
                let text = format!("its certificate is signed by nobody in {}", tls.trust);
                untrusted(format!("{text}: --admin-ca FILE names who signs it"), error)
            }
            TlsTrouble::OtherName => {
                let text = "its certificate is for another name: name the gateway as its certificate does";
                untrusted(text.to_owned(), error)
            }
            TlsTrouble::OutOfDate => untrusted(
                "its certificate has run out, or is not valid yet".to_owned(),
                error,
            ),
            TlsTrouble::OtherKey => {
                let text = match &tls.trust {
                    Trust::Own(file) => format!(
                        "it has not the certificate in {}: another program, or the file was exchanged less than 10 s ago",
                        file.display()
                    ),
                    Trust::System | Trust::Authorities(_) => "it has another key".to_owned(),
                };
                untrusted(text, error)
            }
            TlsTrouble::BadCertificate => untrusted("its certificate cannot be used".to_owned(), error),
            TlsTrouble::WantsCertificate => Ok(Self::Certificate(
                "it wants the certificate of an administrator: --admin-cert FILE and --admin-key FILE",
            )),
            TlsTrouble::RefusedCertificate => Ok(Self::Certificate(
                "it does not take our certificate: it is not signed by its client_ca_file, or has run out",
            )),
            TlsTrouble::NotTls => Ok(Self::NoTls(error)),
        }
    }
}

/// Sends one request; the answer begins within what the caller waits. It may be read for as long as it comes.
pub(crate) async fn send(
    to: &Listener,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ReachError> {
    let stream = TcpStream::connect((to.host.as_str(), to.port))
        .await
        .map_err(ReachError::Connect)?;
    let answer = match &to.tls {
        None => over(stream, request).await.map_err(ReachError::Http)?,
        Some(tls) => {
            let stream = tls.client.connect(&to.host, stream).await.map_err(|error| {
                let kind = error.kind();
                ReachError::inside(error.into(), tls)
                    .unwrap_or_else(|error| ReachError::Tls(io::Error::new(kind, error)))
            })?;
            over(stream, request).await.map_err(|error| {
                if TlsTrouble::of(&error).is_none() {
                    return ReachError::Http(error);
                }
                ReachError::inside(error.into(), tls).unwrap_or_else(ReachError::Body)
            })?
        }
    };
    match answer.status() {
        StatusCode::UPGRADE_REQUIRED if to.tls.is_none() => Err(ReachError::IsTls),
        _ => Ok(answer),
    }
}

async fn over<IO>(stream: IO, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = Box::pin(connection);
    let mut answer = pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = answer.as_mut() => {
            // Ends with the answer's body, whose reader sees what went wrong with it.
            tokio::spawn(connection);
            answer
        }
        // The connection may be over before the answer is read. Why is known to it, not always to who waits.
        ended = connection.as_mut() => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    }
}

/// The whole answer.
pub(crate) async fn exchange(
    to: &Listener,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), ReachError> {
    let answer = send(to, request).await?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST)
        .collect()
        .await
        .map_err(ReachError::Body)?;
    Ok((code, body.to_bytes()))
}
