//! `smsgw trace`: all of one message, or what goes over one link, asked of a running gateway.
//!
//! Talks to the administrator's listener and draws; knows no state itself.

use crate::exit::Exit;
use crate::reach::{self, GatewayOptions};
use crate::trace::query::encode;
use crate::trace::schema::{Found, Progress};
use crate::trace::{capture, draw};
use clap::{Args, Subcommand};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use smsgw_config::{ByteSize, duration_from_text};
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most octets of an answer about a message.
const LARGEST: usize = 8 * 1024 * 1024;

/// Show all of a message found by any of its ids or numbers, or record what goes over a link.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(super) struct TraceOptions {
    #[command(subcommand)]
    what: Option<What>,
    /// Our id of the message, one that a carrier gave to one of its parts as answers or receipts write it, the client's reference,
    /// or a phone number.
    #[arg(required = true)]
    id: Option<String>,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// Print what the gateway answered, as JSON (ops/docs/api/admin.md).
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Record what goes over a link as a pcapng file for Wireshark. It has the messages' texts in it.
    Link(LinkOptions),
}

#[derive(Debug, Args)]
struct LinkOptions {
    /// The link, as `smsgw status` names it: alpha-1.
    link: String,
    /// For how long, at most an hour.
    #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = time)]
    time: Duration,
    /// Stop when the file is this large, at most 1GiB.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    size: u64,
    /// Copy the capture to this file; it also stays in the gateway's data_dir/traces.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayOptions,
}

fn time(text: &str) -> Result<Duration, String> {
    duration_from_text(text)
        .filter(|time| *time >= Duration::from_secs(1) && *time <= capture::LONGEST)
        .ok_or_else(|| "a time from 1s to 1h, such as 30s or 5m".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    ByteSize::from_text(text)
        .map(ByteSize::as_u64)
        .filter(|size| (capture::SMALLEST..=capture::LARGEST).contains(size))
        .ok_or_else(|| "a size from 1MiB to 1GiB, such as 64MiB".to_owned())
}

/// Does what was asked.
pub(super) async fn run(options: TraceOptions) -> anyhow::Result<Exit> {
    match (options.what, options.id) {
        (Some(What::Link(options)), _) => link(&options).await,
        (None, Some(id)) => message(&id, &options.gateway, options.json).await,
        // clap asks for one of them.
        (None, None) => Ok(Exit::Config),
    }
}

async fn message(id: &str, gateway: &GatewayOptions, json: bool) -> anyhow::Result<Exit> {
    let path = format!("/trace/message?id={}", encode(id));
    let answer = match ask(gateway, Method::GET, &path).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let status = answer.status();
    let body = http_body_util::Limited::new(answer.into_body(), LARGEST)
        .collect()
        .await
        .map_err(anyhow::Error::from_boxed)?
        .to_bytes();
    let Ok(found) = serde_json::from_slice::<Found>(&body) else {
        return Ok(refused(status, &body));
    };
    if json {
        say(&format!(
            "{:#}\n",
            serde_json::from_slice::<serde_json::Value>(&body)?
        ));
        return Ok(if status == StatusCode::OK {
            Exit::Stopped
        } else {
            Exit::Found
        });
    }
    let Some(drawn) = draw::found(&found) else {
        eprintln!(
            "smsgw: nothing is known of {id:?}: no message of this gateway has that id, and no carrier gave it to a part, \
             however it is written. A record is kept for limits.message_retention after the end of its message. By \
             reference or phone number, and afterwards, the message history finds it for history.keep_days; it is about a second behind."
        );
        return Ok(Exit::Found);
    };
    say(&drawn);
    Ok(Exit::Stopped)
}

async fn link(options: &LinkOptions) -> anyhow::Result<Exit> {
    let path = format!(
        "/trace/link?link={}&seconds={}&octets={}",
        encode(&options.link),
        options.time.as_secs(),
        options.size
    );
    let answer = match ask(&options.gateway, Method::POST, &path).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    let status = answer.status();
    let mut body = answer.into_body();
    if status != StatusCode::OK {
        let said = body.collect().await?.to_bytes();
        return Ok(refused(status, &said));
    }
    let mut lines = Vec::new();
    let mut last: Option<Progress> = None;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            signal = &mut interrupted => {
                signal?;
                break;
            }
        };
        let Some(frame) = frame else { break };
        lines.extend_from_slice(&frame?.into_data().unwrap_or_default());
        while let Some(end) = lines.iter().position(|octet| *octet == b'\n') {
            let rest = lines.split_off(end + 1);
            let progress: Progress = serde_json::from_slice(&lines)?;
            lines = rest;
            show(&progress, last.is_none());
            last = Some(progress);
        }
    }
    // The gateway notices that nobody listens any more, and ends the file.
    drop(body);
    let Some(last) = last else {
        anyhow::bail!("the gateway ended the answer before it began");
    };
    finish(last, options.out.as_deref()).await
}

async fn finish(last: Progress, out: Option<&Path>) -> anyhow::Result<Exit> {
    if io::stderr().is_terminal() {
        eprintln!();
    }
    if let Some(error) = &last.error {
        eprintln!("smsgw: the capture could not be written: {error}");
        return Ok(Exit::Failed);
    }
    let file = PathBuf::from(&last.file);
    let whole = last.ended.is_some() || appears(&file).await;
    let word = last.ended.as_deref().unwrap_or("stopped");
    eprintln!(
        "{} PDUs, {} left out, {} octets; ended by {word}",
        last.pdus, last.left_out, last.octets
    );
    let Some(out) = out else {
        say(&format!("{}\n", last.file));
        return Ok(Exit::Stopped);
    };
    if !whole {
        eprintln!(
            "smsgw: the gateway has not ended {} yet; copy it later",
            last.file
        );
        return Ok(Exit::Failed);
    }
    match copy(&file, out) {
        Ok(()) => {
            say(&format!("{}\n", out.display()));
            Ok(Exit::Stopped)
        }
        Err(error) => {
            eprintln!(
                "smsgw: the capture is {} on the gateway's machine; it could not be copied to {}: {error}",
                last.file,
                out.display()
            );
            Ok(Exit::Failed)
        }
    }
}

/// Waits until the gateway has ended the file.
async fn appears(file: &Path) -> bool {
    for _ in 0..50 {
        if file.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

fn show(progress: &Progress, first: bool) {
    if first {
        eprintln!("capturing to {}; Ctrl-C ends it", progress.file);
    } else if io::stderr().is_terminal() {
        eprint!("\r{} PDUs, {} octets", progress.pdus, progress.octets);
    }
}

/// Readable by nobody else: it holds texts of messages.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(to)?;
    target.set_permissions(fs::Permissions::from_mode(0o600))?;
    io::copy(&mut source, &mut target)?;
    Ok(())
}

/// A reader that has seen enough (`| head`) is no failure.
fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).unwrap_or_default();
}

fn refused(status: StatusCode, body: &[u8]) -> Exit {
    let said = String::from_utf8_lossy(body);
    eprintln!(
        "smsgw: the gateway answers {}: {}",
        status.as_u16(),
        said.trim_end()
    );
    match status {
        StatusCode::NOT_FOUND => Exit::Found,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        _ => Exit::Failed,
    }
}

async fn ask(gateway: &GatewayOptions, method: Method, path: &str) -> Result<Response<Incoming>, Exit> {
    let at = gateway.listener()?;
    reach::begin(&at, method, path).await
}
