//! Which administrator's listener is meant, and how it is known to be the right one.
//!
//! Reads the files that are named, and connects nowhere. Invariant: inside TLS the peer is always checked: by the authorities that are
//! named, else by the very key that the configuration file names, else by the system's authorities.

use super::{GIVEN, use_configured};
use crate::check::load_or_explain;
use crate::exit::Exit;
use hyper::Uri;
use smsgw_config::AdminSection;
use smsgw_transport::{TlsClient, TlsErrorKind, TlsIdentity, TlsOptions, TlsRoots};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The environment's word for the address.
const ADMIN: &str = "SMSGW_ADMIN";
/// Those for the files of TLS.
const CA: &str = "SMSGW_ADMIN_CA";
const CERT: &str = "SMSGW_ADMIN_CERT";
const KEY: &str = "SMSGW_ADMIN_KEY";
/// Port of `https://HOST`.
const HTTPS: u16 = 443;

/// What `--admin` or `SMSGW_ADMIN` says: `127.0.0.1:8081`, `http://127.0.0.1:8081` or `https://gw.example:8081`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminAddress {
    host: String,
    port: u16,
    /// Whether inside TLS; absent: not said.
    tls: Option<bool>,
}

/// It says none.
#[derive(Debug, thiserror::Error)]
#[error("no address such as 127.0.0.1:8081 or https://gw.example:8081")]
pub(crate) struct NoAddress;

impl FromStr for AdminAddress {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::at(address, None));
        }
        let uri: Uri = text.parse().map_err(|_| NoAddress)?;
        let authority = uri.authority().ok_or(NoAddress)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(NoAddress);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = match uri.scheme_str() {
            Some("https") => true,
            // A token would go in the clear to whatever a name leads to.
            Some("http") if host == "localhost" || host.parse::<IpAddr>().is_ok() => false,
            Some(_) | None => return Err(NoAddress),
        };
        let port = match (authority.port_u16(), tls) {
            (Some(port), _) => port,
            (None, true) => HTTPS,
            (None, false) => return Err(NoAddress),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls: Some(tls),
        })
    }
}

impl AdminAddress {
    fn at(address: SocketAddr, tls: Option<bool>) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            tls,
        }
    }
}

/// The files of `--admin-ca`, `--admin-cert` and `--admin-key`, or of the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsGiven {
    /// Who signs the listener's certificate.
    pub(crate) ca: Option<PathBuf>,
    /// Ours.
    pub(crate) cert: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
}

impl TlsGiven {
    /// As the command line says, else the environment.
    fn now() -> Self {
        let given = GIVEN.get().map(|given| given.tls.clone()).unwrap_or_default();
        let or = |file: Option<PathBuf>, word: &str| {
            file.or_else(|| {
                std::env::var_os(word)
                    .filter(|text| !text.is_empty())
                    .map(PathBuf::from)
            })
        };
        // A key belongs to its certificate: one of the environment to none of the command line.
        let key = match given.cert {
            Some(_) => given.key,
            None => or(given.key, KEY),
        };
        Self {
            ca: or(given.ca, CA),
            cert: or(given.cert, CERT),
            key,
        }
    }

    fn is_empty(&self) -> bool {
        self.ca.is_none() && self.cert.is_none() && self.key.is_none()
    }

    fn identity(&self) -> anyhow::Result<Option<TlsIdentity>> {
        let Some(cert) = &self.cert else {
            anyhow::ensure!(
                self.key.is_none(),
                "a key needs its certificate: --admin-cert FILE or {CERT}"
            );
            return Ok(None);
        };
        Ok(Some(TlsIdentity {
            chain: octets(cert)?,
            // One file may hold both.
            key: octets(self.key.as_ref().unwrap_or(cert))?,
        }))
    }

    /// How TLS is spoken where nothing else says whom to trust.
    fn client(&self, otherwise: Trust) -> anyhow::Result<Tls> {
        let trust = self.ca.clone().map_or(otherwise, Trust::Authorities);
        let options = match &trust {
            Trust::System => TlsOptions::default(),
            Trust::Authorities(file) => TlsOptions {
                roots: TlsRoots::Pem(octets(file)?),
                ..TlsOptions::default()
            },
            Trust::Own(file) => TlsOptions::only(&octets(file)?).map_err(|error| of(file, &error.kind))?,
        };
        let options = TlsOptions {
            identity: self.identity()?,
            ..options
        };
        let client = TlsClient::try_new(&options).map_err(|error| {
            let is_ours = matches!(
                error.kind,
                TlsErrorKind::Certificate(_) | TlsErrorKind::Key(_) | TlsErrorKind::Identity(_)
            );
            let file = match &self.cert {
                Some(cert) if is_ours => cert.display().to_string(),
                Some(_) | None => trust.to_string(),
            };
            anyhow::anyhow!("{file}: {}", chain(&error.kind))
        })?;
        Ok(Tls { client, trust })
    }
}

fn octets(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

fn of(file: &Path, kind: &TlsErrorKind) -> anyhow::Error {
    anyhow::anyhow!("{}: {}", file.display(), chain(kind))
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// By what the listener is known.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// The system's authorities.
    System,
    /// Those in a file.
    Authorities(PathBuf),
    /// It has the certificate in this file, which its configuration names.
    Own(PathBuf),
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system's authorities"),
            Self::Authorities(file) => write!(f, "{}", file.display()),
            Self::Own(file) => write!(f, "the certificate in {}", file.display()),
        }
    }
}

/// How TLS is spoken with a listener.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(super) client: TlsClient,
    pub(super) trust: Trust,
}

/// Which listener is asked, and how; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https://" } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

impl Listener {
    /// In the clear.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let AdminAddress { host, port, tls: _ } = AdminAddress::at(address, None);
        Self {
            host,
            port,
            tls: None,
        }
    }

    /// Host and port as they stand in a URL and in the header `Host`.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// One of ours: inside TLS when it has a certificate, which it is known by; we show none.
    pub(crate) fn own(address: SocketAddr, cert: Option<&Path>) -> anyhow::Result<Self> {
        let tls = match cert {
            Some(cert) => Some(TlsGiven::default().client(Trust::Own(cert.to_owned()))?),
            None => None,
        };
        Ok(Self {
            tls,
            ..Self::plain(address)
        })
    }

    fn named(address: &AdminAddress) -> anyhow::Result<Self> {
        let given = TlsGiven::now();
        let on_the_line = GIVEN.get().is_some_and(|given| !given.tls.is_empty());
        anyhow::ensure!(
            !(on_the_line && address.tls == Some(false)),
            "http:// is in the clear: --admin-ca, --admin-cert and --admin-key need https://"
        );
        let tls = match address.tls {
            Some(false) => None,
            None if given.is_empty() => None,
            Some(true) | None => Some(given.client(Trust::System)?),
        };
        Ok(Self {
            host: address.host.clone(),
            port: address.port,
            tls,
        })
    }

    fn configured(listen: SocketAddr, admin: &AdminSection) -> anyhow::Result<Self> {
        let tls = match &admin.cert_file {
            Some(cert) if admin.is_tls() => Some(TlsGiven::now().client(Trust::Own(cert.clone()))?),
            Some(_) | None => None,
        };
        Ok(Self {
            tls,
            ..Self::plain(listen)
        })
    }
}

/// Whether nothing names a gateway.
fn is_unnamed(admin: Option<&AdminAddress>, config: Option<&Path>) -> bool {
    admin.is_none() && config.is_none() && std::env::var_os(ADMIN).is_none_or(|text| text.is_empty())
}

/// The administrator's listener, as named, as a configuration file says, or as the environment does; or the exit code, and the
/// reason on standard error.
pub(crate) fn listener(admin: Option<&AdminAddress>, config: Option<&Path>) -> Result<Listener, Exit> {
    let said = |error: anyhow::Error| {
        eprintln!("smsgw: {error:#}");
        Exit::Config
    };
    match (admin, config) {
        (Some(address), _) => Listener::named(address).map_err(said),
        (None, Some(file)) => of_file(file),
        (None, None) if is_unnamed(None, None) => {
            eprintln!("smsgw: name the gateway with --config FILE, --admin ADDR or {ADMIN}");
            Err(Exit::Config)
        }
        (None, None) => {
            let text = std::env::var(ADMIN).unwrap_or_default();
            match text.parse() {
                Ok(address) => Listener::named(&address).map_err(said),
                Err(error) => {
                    eprintln!("smsgw: {ADMIN} is {error}");
                    Err(Exit::Config)
                }
            }
        }
    }
}

fn of_file(file: &Path) -> Result<Listener, Exit> {
    let loaded = load_or_explain(file).ok_or(Exit::Config)?;
    let admin = &loaded.config.admin;
    use_configured(admin.token.clone());
    let listen = match admin.listen {
        None => {
            eprintln!(
                "smsgw: {} has no [admin] listen, so the gateway cannot be asked",
                file.display()
            );
            return Err(Exit::Config);
        }
        Some(listen) if listen.port() == 0 => {
            eprintln!(
                "smsgw: [admin] listen of {} leaves the port to the system; name it with --admin ADDR (the log \
                 says it at \"admin listens\")",
                file.display()
            );
            return Err(Exit::Config);
        }
        Some(listen) => here(listen),
    };
    Listener::configured(listen, admin).map_err(|error| {
        eprintln!("smsgw: {error:#}");
        Exit::Config
    })
}

/// It listens everywhere, so here too.
pub(crate) fn here(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_with_a_port_or_a_url_and_names_need_tls() {
        let read = |text: &str| text.parse::<AdminAddress>().ok().map(|a| (a.host, a.port, a.tls));
        let to = |host: &str, port, tls| Some((host.to_owned(), port, tls));
        for (text, meant) in [
            ("127.0.0.1:8081", to("127.0.0.1", 8081, None)),
            ("[::1]:8081", to("::1", 8081, None)),
            ("http://127.0.0.1:8081", to("127.0.0.1", 8081, Some(false))),
            ("http://localhost:8081/", to("localhost", 8081, Some(false))),
            ("https://gw.example:8081", to("gw.example", 8081, Some(true))),
            ("https://gw.example", to("gw.example", 443, Some(true))),
            ("https://[::1]:8081/", to("::1", 8081, Some(true))),
            ("http://gw.example:8081", None),
            ("http://127.0.0.1", None),
            ("gw.example:8081", None),
            ("https://user@gw.example:8081", None),
            ("https://gw.example:8081/status", None),
            ("https://gw.example:8081?x", None),
            ("ftp://127.0.0.1:21", None),
            ("https://", None),
            ("8081", None),
            ("", None),
        ] {
            assert_eq!(read(text), meant, "{text:?}");
        }
    }

    #[test]
    fn a_listener_is_shown_as_it_can_be_named_again() {
        let plain = Listener::plain("[::1]:8081".parse().unwrap());
        assert_eq!(plain.to_string(), "[::1]:8081");
        let given = TlsGiven::default();
        let tls = given.client(Trust::System);
        // A machine without certificates of its own knows nobody.
        if let Ok(tls) = tls {
            let secure = Listener {
                tls: Some(tls),
                ..Listener::plain("127.0.0.1:1".parse().unwrap())
            };
            assert_eq!(secure.to_string(), "https://127.0.0.1:1");
        }
    }

    #[test]
    fn files_that_are_no_certificates_are_named() {
        let nowhere = TlsGiven {
            ca: Some("/nowhere/ca.pem".into()),
            ..TlsGiven::default()
        };
        let error = nowhere.client(Trust::System).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");
        let text = TlsGiven {
            ca: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()),
            ..TlsGiven::default()
        };
        let error = text.client(Trust::System).unwrap_err().to_string();
        assert!(error.contains("Cargo.toml: no root certificate"), "{error}");
        let alone = TlsGiven {
            key: Some("k".into()),
            ..TlsGiven::default()
        };
        assert!(
            alone
                .client(Trust::System)
                .unwrap_err()
                .to_string()
                .contains("needs its certificate")
        );
    }
}
