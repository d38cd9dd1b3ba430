//! `smsgw demo`: a gateway, a simulated carrier and a callback receiver in one process; one message makes the whole trip
//! and its life is printed; then all stay up with a `curl` line to try.
//!
//! Nothing here is special to the demonstration: the gateway is started from a file as `smsgw run` starts it, and asked
//! over HTTP as a client would. Ports are chosen by the system, the data directory is temporary.

use crate::boot::{self, Gateway};
use crate::exit::Exit;
use crate::logging;
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use smsgw_node_config::{ConfigNode, RenderStyle, load};
use smsgw_sim::ledger::LedgerOptions;
use smsgw_sim::sink::{CallbackSink, SinkOptions};
use smsgw_sim::smsc::{SmscOptions, SmscServer};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long the carrier takes to tell of the delivery: long enough to see it happen.
const RECEIPT_AFTER: Duration = Duration::from_millis(300);
/// The whole trip takes less than a second; a machine that needs longer than this has a problem worth telling.
const TRIP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Starts everything, sends one message, prints its life; stays up unless told to end.
pub(crate) async fn demo(once: bool) -> anyhow::Result<Exit> {
    let carrier_options = SmscOptions {
        receipt_delay: RECEIPT_AFTER,
        ..SmscOptions::default()
    };
    let no_ledger = LedgerOptions::default();
    let carrier = SmscServer::start(carrier_options, ANY_PORT, &no_ledger)
        .await
        .context("simulated carrier")?;
    let sink = CallbackSink::start(SinkOptions::default(), ANY_PORT, &no_ledger)
        .await
        .context("callback receiver")?;
    let dir = tempfile::Builder::new()
        .prefix("smsgw-demo-")
        .tempdir()
        .context("temporary directory")?;
    let file = dir.path().join("gateway.toml");
    write_config(&file, carrier.local_addr(), &sink.url())?;

    let loaded = load(&file).map_err(|error| anyhow::anyhow!(error.render(RenderStyle::Plain)))?;
    logging::init(&loaded.config.log);
    let clock = boot::clock();
    let engine = boot::open_engine(&loaded.config, clock.clone())
        .await
        .context("engine")?;
    let gateway = Gateway::start(ConfigNode::with(&file, loaded), engine, clock, None).await?;
    if !gateway.started().await {
        bail!("the gateway did not start: {:?}", gateway.ended().await);
    }
    let http = gateway
        .http_address()
        .context("the gateway has no HTTP listener")?;
    let admin = gateway
        .admin_address()
        .context("the gateway has no admin listener")?;
    println!("gateway            http://{http}   (metrics, status: http://{admin}/metrics, /status)");
    if let Some(smpp) = gateway.smpp_address() {
        println!("SMPP server        {smpp}   (system_id acme, password secret)");
    }
    println!("simulated carrier  {}   (SMPP)", carrier.local_addr());
    println!("callback receiver  {}", sink.url());
    println!("configuration      {}\n", file.display());

    let id = send(http).await?;
    let life = follow(http, &id).await?;
    print_life(&life);
    sink.wait_until(TRIP, |stats| stats.reports > 0)
        .await
        .context("the report never reached the callback receiver")?;

    if !once {
        println!("\nThe gateway stays up until Ctrl-C. Try:\n");
        println!(
            "  curl -s -H 'Authorization: Bearer acme-key' -d '{{\"to\":\"+491700000001\",\"text\":\"Hello\"}}' http://{http}/v1/messages"
        );
        println!("  curl -s -H 'Authorization: Bearer acme-key' http://{http}/v1/messages/{id}");
        println!("  smsgw top --admin {admin}");
        println!("  smsgw load http --url http://{http} --api-key acme-key --rate 100 --duration 30s");
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal.context("Ctrl-C cannot be received")?,
            exit = gateway.ended() => bail!("the gateway ended by itself: {exit:?}"),
        }
    }
    gateway.drain().await.context("engine")?;
    Ok(Exit::Stopped)
}

fn write_config(file: &Path, carrier: SocketAddr, callback: &str) -> anyhow::Result<()> {
    let text = format!(
        r#"[node]
name = "demo"
data_dir = "data"
[log]
level = "warn"
[admin]
listen = "127.0.0.1:0"
[http]
listen = "127.0.0.1:0"
[smpp]
listen = "127.0.0.1:0"
[callback]
allow = ["127.0.0.0/8"]
[operator.alpha]
protocol = "smpp"
hosts = ["{carrier}"]
system_id = "test"
password = "test"
window = 100
[client.acme]
api_key = "acme-key"
system_id = "acme"
password = "secret"
callback = "{callback}"
[[route.mt]]
operators = ["alpha"]
[[route.mo]]
client = "acme"
"#
    );
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    // It holds a password: for its owner alone.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(file)?, text.as_bytes()).context("configuration")
}

async fn send(http: SocketAddr) -> anyhow::Result<String> {
    let message = json!({
        "from": "12345", "to": "+491700000001", "text": "Hello from smsgw", "reference": "demo-1",
    });
    println!("POST /v1/messages  {message}");
    let (status, answer) = exchange(http, Method::POST, "/v1/messages", message.to_string()).await?;
    println!("{status}       {answer}\n");
    match answer.get("id").and_then(Value::as_str) {
        Some(id) if status == StatusCode::ACCEPTED => Ok(id.to_owned()),
        Some(_) | None => bail!("the message was refused"),
    }
}

/// Asks until the client was told, as somebody who watches would.
async fn follow(http: SocketAddr, id: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/messages/{id}");
    let told = async {
        loop {
            let (_, life) = exchange(http, Method::GET, &path, String::new()).await?;
            let is_told =
                |event: &Value| event.get("event").and_then(Value::as_str) == Some("delivered_to_client");
            if life
                .get("events")
                .and_then(Value::as_array)
                .is_some_and(|events| events.iter().any(is_told))
            {
                return anyhow::Ok(life);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(TRIP, told)
        .await
        .context("the message did not make its trip in time")?
}

fn print_life(life: &Value) {
    let meaning = |event: &str| match event {
        "mt_accepted" => "accepted: on disk, and only then answered",
        "mt_routed" => "routed to an operator",
        "mt_sent" => "sent: the carrier has it",
        "dr_received" => "receipt: the carrier tells of the delivery",
        "mt_final" => "delivered: final state",
        "delivered_to_client" => "callback answered: the client knows",
        _ => "",
    };
    let events = life
        .get("events")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for event in events {
        let text = |field| event.get(field).and_then(Value::as_str).unwrap_or_default();
        println!("{}  {:<20} {}", text("at"), text("event"), meaning(text("event")));
    }
}

async fn exchange(
    http: SocketAddr,
    method: Method,
    path: &str,
    body: String,
) -> anyhow::Result<(StatusCode, Value)> {
    let stream = TcpStream::connect(http)
        .await
        .context("the gateway's HTTP listener")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, http.to_string())
        .header(AUTHORIZATION, "Bearer acme-key")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.await??;
    Ok((status, serde_json::from_slice(&body)?))
}
