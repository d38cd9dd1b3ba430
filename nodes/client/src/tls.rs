//! The certificate of a listener of this node, when it has one.
//!
//! Knows no protocol inside TLS. Invariant: a listener that cannot have its certificate does not start without.

use smsgw_runtime::ChildError;
use smsgw_transport::{TlsFiles, TlsMaterial, TlsServer};

/// Opens a listener's TLS, when it has a certificate; with what its files say, to follow them from there.
pub(crate) async fn for_listener(
    files: Option<&TlsFiles>,
    alpn: &'static [&'static [u8]],
) -> Result<Option<(TlsServer, TlsMaterial)>, ChildError> {
    let Some(files) = files.cloned() else {
        return Ok(None);
    };
    match tokio::task::spawn_blocking(move || files.open(alpn)).await {
        Ok(Ok(opened)) => Ok(Some(opened)),
        Ok(Err(error)) => Err(ChildError::new(format!("{error}: {}", error.reason()))),
        Err(ended) => Err(ChildError::new(ended.to_string())),
    }
}
