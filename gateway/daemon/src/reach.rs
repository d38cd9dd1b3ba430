//! How a verb reaches the administrator's listener of a running gateway: its address, whether inside TLS, and the token that it
//! wants.
//!
//! A process asks one gateway, so there is one token: of `--token-file`, else of `SMSGW_ADMIN_TOKEN`, else of the
//! configuration file that names the listener. `listener` says where it is and by what it is known, `connect` asks. Every verb
//! goes through here. Invariant: the token is in no error and no log.

mod connect;
mod listener;

pub(crate) use connect::{ReachError, exchange};
pub(crate) use listener::{AdminAddress, Listener, TlsGiven, here, listener};

use crate::exit::Exit;
use crate::operators::ORDER_HEADER;
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smsgw_config::Secret;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// The environment's word for the token.
const TOKEN: &str = "SMSGW_ADMIN_TOKEN";
/// How long an answer may take that the listener gives from memory.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

static GIVEN: OnceLock<Given> = OnceLock::new();
static CONFIGURED: OnceLock<Secret> = OnceLock::new();

/// Over those options in the help of a verb.
const HEADING: &str = "A running gateway";

/// What the command line brings for every verb.
#[derive(Debug)]
struct Given {
    token: Option<Secret>,
    tls: TlsGiven,
}

/// Who the administrator is, and whom they trust.
#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// File with the token of [admin] in its first line; else SMSGW_ADMIN_TOKEN, else that of --config.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, display_order = 3)]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that sign the one of [admin]; else SMSGW_ADMIN_CA, else what --config names, else the system's.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, display_order = 4)]
    admin_ca: Option<PathBuf>,
    /// Our certificate (PEM), where [admin] wants one; else SMSGW_ADMIN_CERT.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, display_order = 5)]
    admin_cert: Option<PathBuf>,
    /// Its key (PEM); else SMSGW_ADMIN_KEY, else in the certificate's file.
    #[arg(long, value_name = "FILE", global = true, help_heading = HEADING, display_order = 6)]
    admin_key: Option<PathBuf>,
}

impl Credentials {
    /// For this process.
    pub(crate) fn put_in_use(self) -> anyhow::Result<()> {
        let token = self.token_file.as_deref().map(secret_of).transpose()?;
        let tls = TlsGiven {
            ca: self.admin_ca,
            cert: self.admin_cert,
            key: self.admin_key,
        };
        GIVEN.set(Given { token, tls }).unwrap_or_default();
        Ok(())
    }
}

/// The first line of a file with a secret.
pub(crate) fn secret_of(file: &Path) -> anyhow::Result<Secret> {
    let text =
        std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    anyhow::ensure!(!line.is_empty(), "{}: its first line is empty", file.display());
    Ok(Secret::new(line))
}

/// The token of the configuration that names the listener.
fn use_configured(token: Option<Secret>) {
    if let Some(token) = token {
        CONFIGURED.set(token).unwrap_or_default();
    }
}

/// The header with the token, where there is one.
fn authorization() -> Option<HeaderValue> {
    let given = GIVEN.get().and_then(|given| given.token.as_ref());
    let token = given
        .map(|token| token.expose().to_owned())
        .or_else(|| std::env::var(TOKEN).ok().filter(|token| !token.is_empty()))
        .or_else(|| CONFIGURED.get().map(|token| token.expose().to_owned()))?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Which gateway is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct GatewayOptions {
    /// The gateway's configuration file: its [admin] listen, token and certificate are used.
    #[arg(
        long,
        short,
        value_name = "FILE",
        global = true,
        help_heading = HEADING,
        display_order = 1
    )]
    pub(crate) config: Option<PathBuf>,
    /// The administrator's listener, as in 127.0.0.1:8081 or https://gw.example:8081; else SMSGW_ADMIN.
    #[arg(
        long,
        value_name = "ADDR",
        global = true,
        conflicts_with = "config",
        help_heading = HEADING,
        display_order = 2
    )]
    pub(crate) admin: Option<AdminAddress>,
}

impl GatewayOptions {
    /// Where it listens, or the exit code when nothing says so; the reason is on standard error.
    pub(crate) fn listener(&self) -> Result<Listener, Exit> {
        listener(self.admin.as_ref(), self.config.as_deref())
    }
}

fn request(
    at: &Listener,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, ReachError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, at.authority())
        .header(ORDER_HEADER, "1");
    if let Some(header) = authorization() {
        request = request.header(AUTHORIZATION, header);
    }
    request.body(Full::new(body)).map_err(ReachError::Request)
}

/// One request, and the whole answer if it comes in time; the gateway's refusal to answer us at all is an error.
pub(crate) async fn try_ask(
    at: &Listener,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> Result<(StatusCode, Bytes), ReachError> {
    let request = request(at, method, path, body)?;
    let (code, body) = tokio::time::timeout(patience, exchange(at, request))
        .await
        .map_err(|_| ReachError::Late(patience))??;
    if matches!(code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let text = String::from_utf8_lossy(&body).trim_end().to_owned();
        return Err(ReachError::Denied(code, text));
    }
    Ok((code, body))
}

/// The same; without an answer the exit code, and the reason on standard error.
pub(crate) async fn ask(
    at: &Listener,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> Result<(StatusCode, Bytes), Exit> {
    try_ask(at, method, path, body, patience)
        .await
        .map_err(|error| error.say(at))
}

/// An answer that is read as it comes; it begins in time.
pub(crate) async fn begin(at: &Listener, method: Method, path: &str) -> Result<Response<Incoming>, Exit> {
    let answer = async {
        let request = request(at, method, path, Bytes::new())?;
        tokio::time::timeout(PATIENCE, connect::send(at, request))
            .await
            .map_err(|_| ReachError::Late(PATIENCE))?
    };
    answer.await.map_err(|error: ReachError| error.say(at))
}

/// A GET, as it came and as this version reads it; or the exit code, and the reason on standard error.
pub(crate) async fn read<T: DeserializeOwned>(at: &Listener, path: &str) -> Result<(Value, T), Exit> {
    let body = get(at, path).await?;
    let read = serde_json::from_slice::<Value>(&body)
        .and_then(|raw| Ok((raw.clone(), serde_json::from_value(raw)?)));
    read.map_err(|error| {
        eprintln!("smsgw: what answers at {at} is no gateway of this version: {error}");
        Exit::Unreachable
    })
}

/// A GET that is answered 200; or the exit code, and the reason on standard error.
pub(crate) async fn get(at: &Listener, path: &str) -> Result<Bytes, Exit> {
    let (code, body) = ask(at, Method::GET, path, Bytes::new(), PATIENCE).await?;
    if code == StatusCode::OK {
        return Ok(body);
    }
    eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(&body).trim_end());
    Err(match code {
        StatusCode::NOT_FOUND => Exit::Found,
        _ => Exit::Unreachable,
    })
}
