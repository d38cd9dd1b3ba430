//! The listener: takes connections, bounds them, gives each a session of its own.
//!
//! Invariant: a connection over `smpp.max_connections`, or from an address that is kept out, is closed at once and disturbs nobody; handshakes of TLS are made in
//! the session's own task, so that a peer that is slow at it holds up nobody.

use super::{Origin, Server, login, metric};
use crate::tls;
use smsgw_runtime::{ChildContext, ChildError};
use smsgw_transport::{Listener, TlsFiles};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{error, info};

/// The task.
pub(super) async fn serve(
    ctx: ChildContext,
    listen: SocketAddr,
    server: Arc<Server>,
    bound: watch::Sender<Option<SocketAddr>>,
    files: Option<TlsFiles>,
) -> Result<(), ChildError> {
    let opened = tls::for_listener(files.as_ref(), &[]).await?;
    let (tls, identity) = opened.unzip();
    let tls = server.tls.get_or_init(|| tls).clone();
    // After a restart the same port again, even if it was chosen for us.
    let before = *bound.borrow();
    let listener = Listener::bind(before.unwrap_or(listen)).await.map_err(|error| {
        let why = format!("{error} ([smpp] listen): {}", error.kind);
        // A port that was never ours is not worth waiting for; one that was is freed by whoever took it meanwhile.
        match before {
            None => ChildError::fatal(why),
            Some(_) => ChildError::new(why),
        }
    })?;
    let address = listener.local_addr();
    bound.send_replace(Some(address));
    info!(listen = %address, tls = tls.is_some(), "SMPP server listens");
    ctx.ready();
    let following = async {
        match (&files, &tls, identity) {
            (Some(files), Some(tls), Some(identity)) => files.follow("smpp", tls, identity).await,
            (_, _, _) => std::future::pending().await,
        }
    };
    let accepting = async {
        loop {
            let (stream, peer) = listener.accept().await;
            if login::is_kept_out(&server.shared, &server.config.config(), peer.ip()) {
                metric::BANNED_TOTAL.with(&[]).inc();
                continue;
            }
            let most = server.config.config().smpp.max_connections;
            let Some(connected) = server.connect(most) else {
                metric::CONNECTIONS_REFUSED_TOTAL.with(&[]).inc();
                continue;
            };
            if let Err(error) = server.add_session(Origin::Accepted(stream, peer, connected)) {
                error!(%peer, %error, "a session could not be started");
            }
        }
    };
    tokio::select! {
        () = ctx.draining() => {}
        () = following => {}
        () = accepting => {}
    }
    Ok(())
}
