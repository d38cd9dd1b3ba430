//! Which addresses a callback may be sent to: public ones, and those of `callback.allow`.
//!
//! A client chooses the URL, so a name could lead into our own network. The name is resolved, each address is checked,
//! and the connection goes to a checked address, not to the name again: an answer that changes between check and
//! connect cannot slip through. Proxies of the environment are not used.
//!
//! # Limits
//! Names are resolved by the system's resolver, which cannot be cancelled: a lookup that hangs keeps its thread until the
//! resolver gives up. Addresses are tried one after the other, [`EACH`] for each but the last.

use hyper::Uri;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use smsgw_config::ConfigHandle;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one of several addresses may take to take the connection.
const EACH: Duration = Duration::from_secs(2);

/// Why no connection was made.
#[derive(Debug, Error)]
pub(crate) enum GuardError {
    /// The URL has no host.
    #[error("the URL has no host")]
    NoHost,
    /// The name leads to addresses that are not to be called, and to no other.
    #[error("every address of the target is private and not in callback.allow")]
    Blocked,
    /// The name does not resolve, or no address answers.
    #[error("the target cannot be reached")]
    Unreachable(#[source] io::Error),
}

/// Whether this address may be called.
pub(crate) fn is_allowed(address: IpAddr, allow: &[IpNet]) -> bool {
    let address = address.to_canonical();
    is_public(address) || allow.iter().any(|network| network.contains(&address))
}

/// Global unicast by the registries of RFC 6890: nothing private, local, shared, documented, multicast or reserved.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; of it, tunnels (2001::/23, 2002::/16) carry other addresses inside and
    // 2001:db8::/32 and 3fff::/20 are documentation. NAT64 (64:ff9b::/96) lies outside 2000::/3 and is refused with the rest.
    (0x2000..0x4000).contains(&first)
        && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        && first != 0x2002
        && !(first == 0x3fff && second < 0x1000)
}

/// Connects to checked addresses only.
#[derive(Debug, Clone)]
pub(crate) struct GuardedConnector {
    config: ConfigHandle,
}

impl GuardedConnector {
    pub(crate) fn new(config: ConfigHandle) -> Self {
        Self { config }
    }
}

impl tower_service::Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = GuardError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, GuardError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GuardError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let config = self.config.config();
        Box::pin(async move {
            let host = target
                .host()
                .ok_or(GuardError::NoHost)?
                .trim_start_matches('[')
                .trim_end_matches(']');
            let port = target
                .port_u16()
                .unwrap_or(if target.scheme_str() == Some("https") {
                    443
                } else {
                    80
                });
            let found = tokio::net::lookup_host((host, port))
                .await
                .map_err(GuardError::Unreachable)?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| is_allowed(address.ip(), &config.callback.allow))
                .collect();
            let mut failed = None;
            let last = allowed.len();
            for (n, address) in (1..).zip(allowed) {
                let connecting = TcpStream::connect(address);
                let connected = if n < last {
                    let late = || io::Error::from(io::ErrorKind::TimedOut);
                    timeout(EACH, connecting).await.unwrap_or_else(|_| Err(late()))
                } else {
                    connecting.await
                };
                match connected {
                    Ok(stream) => {
                        stream.set_nodelay(true).map_err(GuardError::Unreachable)?;
                        return Ok(TokioIo::new(stream));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            Err(failed.map_or(GuardError::Blocked, GuardError::Unreachable))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_unless_allowed() {
        let refused = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "203.0.113.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff:fff::1",
            "0.1.2.3",
            "192.88.99.1",
            "169.254.0.1",
            "239.255.255.250",
            "::127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::7f00:1",
            "2002:a00:1::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "fe80::1%1",
            "fec0::1",
            "ff05::1",
            "100::1",
            "5f00::1",
            "::ffff:169.254.169.254",
        ];
        for text in refused {
            let text = text.split('%').next().unwrap();
            assert!(!is_allowed(text.parse().unwrap(), &[]), "{text}");
        }
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_allowed(text.parse().unwrap(), &[]), "{text}");
        }
        let allow = ["127.0.0.0/8".parse().unwrap()];
        assert!(is_allowed("127.0.0.1".parse().unwrap(), &allow));
        assert!(is_allowed("::ffff:127.0.0.1".parse().unwrap(), &allow));
        assert!(!is_allowed("10.0.0.1".parse().unwrap(), &allow));
        // What carries an allowed address inside is not that address.
        for tunnel in ["64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"] {
            assert!(!is_allowed(tunnel.parse().unwrap(), &allow), "{tunnel}");
        }
    }
}
