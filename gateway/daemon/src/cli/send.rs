//! `smsgw send`: one message through the HTTP API of a running gateway, as its client would send it.
//!
//! Knows no state itself. Invariant: the key is in no argument, no output and no error.
//!
//! # Limits
//! Plain HTTP: a listener with a certificate is not asked.

use super::balance::say;
use crate::check::load_or_explain;
use crate::exit::Exit;
use crate::reach::{Listener, exchange, here, secret_of};
use crate::status::draw::printable;
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value};
use smsgw_config::{Secret, duration_from_text};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// The environment's word for the key.
const KEY: &str = "SMSGW_API_KEY";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(35);
/// How often the message is asked after.
const LOOK: Duration = Duration::from_millis(250);

/// Send a message as a client, through the gateway's HTTP API; print its id.
///
/// The key is that of --key-file, else of SMSGW_API_KEY, else api_key of the client in --config.
#[derive(Debug, Args)]
pub(super) struct SendOptions {
    /// The gateway's configuration file: its [http] listen is used, and the client's api_key.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The HTTP API, as in 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Who sends: needed where the key comes from --config.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// File with the client's API key in its first line.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The phone.
    #[arg(long, value_name = "NUMBER")]
    to: String,
    /// The sender.
    #[arg(long, value_name = "SENDER")]
    from: Option<String>,
    /// The text.
    #[arg(long)]
    text: String,
    /// otp, transactional or bulk.
    #[arg(long)]
    class: Option<String>,
    /// Ours, for searches.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Show its life until its final state, so long at most (60s unless said).
    #[arg(long, value_name = "TIME", value_parser = time, num_args = 0..=1, default_missing_value = "60s")]
    wait: Option<Duration>,
    /// Print what the gateway answered as JSON; with --wait the last answer.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    duration_from_text(text).ok_or_else(|| "a time such as 30s or 5m".to_owned())
}

/// Sends, and says what became of it.
pub(super) async fn run(options: SendOptions) -> anyhow::Result<Exit> {
    let Some((at, key)) = reached(&options)? else {
        return Ok(Exit::Config);
    };
    let api = Api { at, key };
    let mut message = Map::new();
    for (name, value) in [
        ("to", Some(&options.to)),
        ("text", Some(&options.text)),
        ("from", options.from.as_ref()),
        ("class", options.class.as_ref()),
        ("reference", options.reference.as_ref()),
    ] {
        if let Some(value) = value {
            message.insert(name.to_owned(), Value::String(value.clone()));
        }
    }
    let body = Value::Object(message).to_string();
    let (code, answer) = match api.ask(Method::POST, "/v1/messages", body).await {
        Ok(answered) => answered,
        Err(exit) => return Ok(exit),
    };
    let id = match (code, text(&answer, "id")) {
        (StatusCode::ACCEPTED, Some(id)) => id.to_owned(),
        (code, _) => return Ok(refused(code, &answer)),
    };
    let Some(wait) = options.wait else {
        say(&match options.json {
            true => format!("{answer:#}\n"),
            false => format!("{id}\n"),
        });
        return Ok(Exit::Stopped);
    };
    if !options.json {
        say(&format!("{id}\n"));
    }
    follow(&api, &id, wait, options.json).await
}

/// Where to, and with which key; `None` when that cannot be known, and the reason is on standard error.
fn reached(options: &SendOptions) -> anyhow::Result<Option<(Listener, Secret)>> {
    let mut at = options.http.map(Listener::plain);
    let mut key = match &options.key_file {
        Some(file) => Some(secret_of(file)?),
        None => std::env::var(KEY)
            .ok()
            .filter(|key| !key.is_empty())
            .map(Secret::new),
    };
    if let Some(file) = &options.config {
        let Some(loaded) = load_or_explain(file) else {
            return Ok(None);
        };
        let http = &loaded.config.http;
        if at.is_none()
            && let Some(listen) = http.listen.filter(|listen| listen.port() != 0)
        {
            at = Some(Listener::own(here(listen), http.cert_file.as_deref())?);
        }
        let named = loaded
            .config
            .client
            .iter()
            .find(|(id, _)| Some(id.as_str()) == options.client.as_deref());
        key = key.or_else(|| named.and_then(|(_, client)| client.api_key.clone()));
    }
    let Some(at) = at else {
        eprintln!(
            "smsgw: name the HTTP API with --http ADDR, or with --config FILE whose [http] listen has a port"
        );
        return Ok(None);
    };
    let Some(key) = key else {
        eprintln!(
            "smsgw: the key is not known: --key-file FILE, {KEY}, or --client NAME with an api_key in --config FILE"
        );
        return Ok(None);
    };
    Ok(Some((at, key)))
}

fn text<'a>(answer: &'a Value, field: &str) -> Option<&'a str> {
    answer.get(field).and_then(Value::as_str)
}

fn refused(code: StatusCode, answer: &Value) -> Exit {
    let why = text(answer, "detail")
        .or(text(answer, "title"))
        .unwrap_or_default();
    let word = text(answer, "code").unwrap_or_default();
    eprintln!("smsgw: {code}: {}: {}", printable(word), printable(why));
    match code {
        StatusCode::UNAUTHORIZED => Exit::Denied,
        _ => Exit::Found,
    }
}

struct Api {
    at: Listener,
    key: Secret,
}

impl Api {
    async fn ask(&self, method: Method, path: &str, body: String) -> Result<(StatusCode, Value), Exit> {
        let asked = async {
            let mut key = HeaderValue::try_from(format!("Bearer {}", self.key.expose()))
                .map_err(|_| anyhow::anyhow!("the key does not fit into a header"))?;
            key.set_sensitive(true);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, self.at.authority())
                .header(CONTENT_TYPE, "application/json")
                .header(AUTHORIZATION, key)
                .body(Full::new(Bytes::from(body)))?;
            let (code, body) = exchange(&self.at, request).await?;
            anyhow::Ok((code, serde_json::from_slice(&body)?))
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                eprintln!("smsgw: no gateway answers at {}: {error:#}", self.at);
                Err(Exit::Unreachable)
            }
            Err(_) => {
                eprintln!("smsgw: no answer from {} within {PATIENCE:?}", self.at);
                Err(Exit::Unreachable)
            }
        }
    }
}

/// Prints events as they come, until the state is final.
async fn follow(api: &Api, id: &str, wait: Duration, json: bool) -> anyhow::Result<Exit> {
    let until = Instant::now() + wait;
    let path = format!("/v1/messages/{id}");
    let mut shown = 0;
    loop {
        let (code, life) = match api.ask(Method::GET, &path, String::new()).await {
            Ok(answered) => answered,
            Err(exit) => return Ok(exit),
        };
        if code != StatusCode::OK {
            return Ok(refused(code, &life));
        }
        let events = life
            .get("events")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        for event in events.iter().skip(shown).filter(|_| !json) {
            let (at, word) = (text(event, "at"), text(event, "event"));
            say(&format!(
                "{}  {}\n",
                at.unwrap_or_default(),
                word.unwrap_or_default()
            ));
        }
        shown = events.len();
        let state = text(&life, "state").unwrap_or_default();
        let is_final = matches!(
            state,
            "delivered" | "failed" | "expired" | "rejected" | "cancelled"
        );
        let is_late = Instant::now() >= until;
        if is_final || is_late {
            say(&match json {
                true => format!("{life:#}\n"),
                false => format!("{state}\n"),
            });
            if is_late && !is_final {
                eprintln!("smsgw: not final within {wait:?}; `smsgw trace {id}` shows what becomes of it");
            }
            return Ok(match state {
                "delivered" => Exit::Stopped,
                _ => Exit::Found,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}
