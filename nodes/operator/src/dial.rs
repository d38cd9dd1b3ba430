//! Where connections come from: the transport, or a simulated carrier in a test.

use smsgw_queue::BoxFuture;
use smsgw_transport::{ConnectError, ConnectOptions, connect};
use std::fmt;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a carrier.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An open connection.
pub(crate) struct Dialled {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) peer: SocketAddr,
    pub(crate) host: String,
    pub(crate) tls: bool,
}

/// Connects to the first of several hosts that answers.
pub(crate) trait Dial: Send + Sync + fmt::Debug {
    fn dial<'a>(
        &'a self,
        hosts: &'a [String],
        options: &'a ConnectOptions,
    ) -> BoxFuture<'a, Result<Dialled, ConnectError>>;
}

/// TCP, with TLS where the options say so.
#[derive(Debug)]
pub(crate) struct Transport;

impl Dial for Transport {
    fn dial<'a>(
        &'a self,
        hosts: &'a [String],
        options: &'a ConnectOptions,
    ) -> BoxFuture<'a, Result<Dialled, ConnectError>> {
        Box::pin(async move {
            let connection = connect(hosts, options).await?;
            let (peer, host, tls) = (
                connection.peer(),
                connection.host().to_owned(),
                connection.is_tls(),
            );
            Ok(Dialled {
                stream: Box::new(connection),
                peer,
                host,
                tls,
            })
        })
    }
}
