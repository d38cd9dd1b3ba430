//! How a verb reaches the administrator's listener of a running gateway: its address, and the token that it wants.
//!
//! A process asks one gateway, so there is one token: of `--token-file`, else of `SMSGW_ADMIN_TOKEN`, else of the
//! configuration file that names the listener. Invariant: the token is in no error and no log.
//!
//! # Limits
//! Plain HTTP: between machines it belongs into a tunnel or behind something that speaks TLS.

use crate::exit::Exit;
use crate::operators::ORDER_HEADER;
use crate::status;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smsgw_config::Secret;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::net::TcpStream;

/// The environment's word for the address.
const ADMIN: &str = "SMSGW_ADMIN";
/// The environment's word for the token.
const TOKEN: &str = "SMSGW_ADMIN_TOKEN";
/// How long an answer may take. The listener answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most octets of an answer: a hundred thousand queues are less.
const LARGEST: usize = 64 * 1024 * 1024;

static GIVEN: OnceLock<Secret> = OnceLock::new();
static CONFIGURED: OnceLock<Secret> = OnceLock::new();

/// The first line of a file with a secret.
pub(crate) fn secret_of(file: &Path) -> anyhow::Result<Secret> {
    let text =
        std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    anyhow::ensure!(!line.is_empty(), "{}: its first line is empty", file.display());
    Ok(Secret::new(line))
}

/// The token of `--token-file`.
pub(crate) fn use_token_file(file: &Path) -> anyhow::Result<()> {
    GIVEN.set(secret_of(file)?).unwrap_or_default();
    Ok(())
}

/// The token of the configuration that names the listener.
pub(crate) fn use_configured(token: Option<Secret>) {
    if let Some(token) = token {
        CONFIGURED.set(token).unwrap_or_default();
    }
}

/// `SMSGW_ADMIN`, when it is an address; said when it is none.
pub(crate) fn address_of_environment() -> Option<SocketAddr> {
    let text = std::env::var(ADMIN).ok().filter(|text| !text.is_empty())?;
    let address = text.parse().ok();
    if address.is_none() {
        eprintln!("smsgw: {ADMIN} is no address such as 127.0.0.1:8081");
    }
    address
}

/// Whether nothing names a gateway.
pub(crate) fn is_unnamed(admin: Option<SocketAddr>, config: Option<&Path>) -> bool {
    admin.is_none() && config.is_none() && std::env::var_os(ADMIN).is_none_or(|text| text.is_empty())
}

/// Requests that carry the token, where there is one.
pub(crate) trait Bearing {
    /// With it.
    fn bearing(self) -> Self;
}

impl Bearing for Builder {
    fn bearing(self) -> Self {
        let given = GIVEN.get().map(|token| token.expose().to_owned());
        let token = given
            .or_else(|| std::env::var(TOKEN).ok().filter(|token| !token.is_empty()))
            .or_else(|| CONFIGURED.get().map(|token| token.expose().to_owned()));
        let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        match header {
            Some(mut header) => {
                header.set_sensitive(true);
                self.header(AUTHORIZATION, header)
            }
            None => self,
        }
    }
}

/// Which gateway is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayOptions {
    /// The gateway's configuration file: its [admin] listen and token are used.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The administrator's listener, as in 127.0.0.1:8081; else SMSGW_ADMIN.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
}

impl GatewayOptions {
    /// Where it listens, or the exit code when nothing says so; the reason is on standard error.
    pub(crate) fn address(&self) -> Result<SocketAddr, Exit> {
        status::listener(self.admin, self.config.as_deref())
    }
}

/// A GET, as it came and as this version reads it; or the exit code, and the reason on standard error.
pub(crate) async fn read<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Result<(Value, T), Exit> {
    let body = get(address, path).await?;
    let read = serde_json::from_slice::<Value>(&body)
        .and_then(|raw| Ok((raw.clone(), serde_json::from_value(raw)?)));
    read.map_err(|error| {
        eprintln!("smsgw: what answers at {address} is no gateway of this version: {error}");
        Exit::Unreachable
    })
}

/// A GET that is answered 200; or the exit code, and the reason on standard error.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Bytes, Exit> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(HOST, address.to_string())
        .header(ORDER_HEADER, "1")
        .bearing()
        .body(Full::new(Bytes::new()));
    let asked = async { anyhow::Ok(exchange(address, request?).await?) };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((StatusCode::OK, body))) => Ok(body),
        Ok(Ok((code, body))) => {
            eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(&body).trim_end());
            Err(match code {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
                StatusCode::NOT_FOUND => Exit::Found,
                _ => Exit::Unreachable,
            })
        }
        Ok(Err(error)) => {
            eprintln!("smsgw: no gateway answers at {address}: {error:#}");
            Err(Exit::Unreachable)
        }
        Err(_) => {
            eprintln!("smsgw: no answer from {address} within {PATIENCE:?}");
            Err(Exit::Unreachable)
        }
    }
}

/// One request on a connection of its own.
pub(crate) async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST)
        .collect()
        .await
        .map_err(anyhow::Error::from_boxed)?;
    Ok((code, body.to_bytes()))
}
