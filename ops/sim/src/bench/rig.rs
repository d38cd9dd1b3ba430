//! One gateway between one carrier and one sink, in a directory that goes with it.
//!
//! Invariant: what is started here ends here, in the order gateway, carrier, sink.

use super::child::{Gateway, Peer};
use super::disk::{self, DiskAlone};
use super::{BenchError, BenchOptions};
use crate::load::LoadReport;
use crate::process::Usage;
use crate::progress::{Phase, Progress, Span};
use crate::sink::SinkStats;
use crate::smsc::SmscStats;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper::{Request, header::HOST};
use hyper_util::rt::TokioIo;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The API key of the generated configuration.
const KEY: &str = "bench-key";
/// How long everything may take to be connected.
const READY: Duration = Duration::from_secs(30);
/// How often counts are asked for.
const POLL: Duration = Duration::from_millis(50);

/// How a rig is set up.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) options: &'a BenchOptions,
    pub(super) progress: &'a Arc<Progress>,
    pub(super) bin: &'a Path,
    pub(super) window: usize,
    /// `receipts` of the operator.
    pub(super) receipts: &'static str,
    /// Further options of the carrier.
    pub(super) smsc: &'a [&'a str],
}

pub(super) struct Rig {
    pub(super) gateway: Gateway,
    pub(super) smsc: Peer,
    pub(super) sink: Peer,
    sink_url: String,
    options: BenchOptions,
    bin: PathBuf,
    progress: Arc<Progress>,
    directory: TempDir,
}

/// What the processes had used at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) gateway: Usage,
    pub(super) smsc: Usage,
    pub(super) sink: Usage,
    pub(super) syncs: Option<f64>,
}

impl Rig {
    pub(super) async fn start(setup: Setup<'_>) -> Result<Self, BenchError> {
        let Setup {
            options,
            progress,
            bin,
            window,
            receipts,
            smsc,
        } = setup;
        progress.begin(Phase::Starting, None, None);
        let directory = TempDir::new().map_err(BenchError::io("make a directory"))?;
        let smsc = carrier(bin, smsc).await?;
        let sink = Peer::listening(
            "the sink",
            bin,
            &["sim", "sink", "--listen", "127.0.0.1:0", "--control"],
        )
        .await?;
        let sink_url = format!("http://{}/events", sink.address()?);
        let text = format!(
            r#"[node]
name = "bench"
data_dir = "data"
[log]
format = "json"
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
bind = "transceiver"
binds = 1
window = {window}
receipts = "{receipts}"
[client.bench]
api_key = "{KEY}"
callback = "{sink_url}"
[client.esme]
system_id = "esme"
password = "bench-key"
window = {window}
[[route.mt]]
operators = ["alpha"]
[[route.mo]]
client = "bench"
{records}{extra}
"#,
            carrier = smsc.address()?,
            records = if has_section(&options.extra_config, "cdr") {
                ""
            } else {
                "[cdr]\nenabled = true\n"
            },
            extra = options.extra_config,
        );
        let config = directory.path().join("gateway.toml");
        write_private(&config, &text).map_err(BenchError::io("write the gateway's configuration"))?;
        let gateway = Gateway::start(bin, &config).await?;
        let mut rig = Self {
            gateway,
            smsc,
            sink,
            sink_url,
            options: options.clone(),
            bin: bin.to_path_buf(),
            progress: Arc::clone(progress),
            directory,
        };
        rig.wait_for_carrier("the gateway did not bind", READY, 1, |stats| stats.bound)
            .await?;
        Ok(rig)
    }

    /// Stops the gateway, then its peers.
    pub(super) async fn stop(self) -> Result<(), BenchError> {
        let Self {
            gateway,
            smsc,
            sink,
            progress,
            ..
        } = self;
        progress.begin(Phase::Stopping, None, None);
        gateway.stop().await?;
        smsc.end().await?;
        sink.end().await
    }

    /// Messages over HTTP, until the plan is done.
    pub(super) async fn load(
        &self,
        report: &str,
        plan: &[&str],
        within: Duration,
    ) -> Result<LoadReport, BenchError> {
        let url = format!("http://{}", self.gateway.http);
        let connections = self.options.connections.to_string();
        let mut arguments = vec![
            "load",
            "http",
            "--quiet",
            "--url",
            &url,
            "--api-key",
            KEY,
            "--report",
            report,
        ];
        arguments.extend(["--connections", &connections]);
        if report != "none" {
            arguments.extend(["--callback", &self.sink_url]);
        }
        arguments.extend(plan);
        Peer::start("the load generator", &self.bin, &arguments)?
            .result(within)
            .await
    }

    /// Messages over SMPP with a receipt each, until the plan is done and the last receipt is there.
    pub(super) async fn load_smpp(&self, plan: &[&str], within: Duration) -> Result<LoadReport, BenchError> {
        let host = self.gateway.smpp.to_string();
        let window = self.options.window.to_string();
        let linger = crate::span::show(within);
        let mut arguments = vec![
            "load",
            "smpp",
            "--quiet",
            "--host",
            &host,
            "--system-id",
            "esme",
            "--password",
            KEY,
        ];
        arguments.extend(["--window", &window, "--registered-delivery", "1"]);
        arguments.extend(["--until-receipts", "--linger", &linger]);
        arguments.extend(plan);
        Peer::start("the load generator", &self.bin, &arguments)?
            .result(within.saturating_mul(2))
            .await
    }

    pub(super) async fn used(&self) -> Result<Used, BenchError> {
        let metrics = get(self.gateway.admin, "/metrics").await?;
        Ok(Used {
            gateway: self.gateway.usage()?,
            smsc: self.smsc.usage()?,
            sink: self.sink.usage()?,
            syncs: sum(&metrics, &self.options.syncs_metric),
        })
    }

    /// The disk on which the gateway's data lie, once that has nothing to write.
    pub(super) async fn disk_alone(&self) -> DiskAlone {
        self.progress
            .begin(Phase::Alone, None, Some(Span::AtMost(disk::AT_MOST)));
        disk::measure(self.directory.path(), || self.gateway.written()).await
    }

    pub(super) async fn wait_for_carrier(
        &mut self,
        what: &'static str,
        within: Duration,
        wanted: u64,
        count: impl Fn(&SmscStats) -> u64,
    ) -> Result<SmscStats, BenchError> {
        let start = Instant::now();
        loop {
            let stats: SmscStats = self.smsc.stats().await?;
            let found = count(&stats);
            self.progress.set_done(found);
            if found >= wanted {
                return Ok(stats);
            }
            if start.elapsed() > within {
                return Err(BenchError::NotDone {
                    what,
                    within,
                    state: format!("{stats:?}"),
                });
            }
            sleep(POLL).await;
        }
    }

    pub(super) async fn wait_for_sink(
        &mut self,
        what: &'static str,
        within: Duration,
        wanted: u64,
        count: impl Fn(&SinkStats) -> u64,
    ) -> Result<SinkStats, BenchError> {
        let start = Instant::now();
        loop {
            let stats: SinkStats = self.sink.stats().await?;
            let found = count(&stats);
            self.progress.set_done(found);
            if found >= wanted {
                return Ok(stats);
            }
            if start.elapsed() > within {
                return Err(BenchError::NotDone {
                    what,
                    within,
                    state: format!("{stats:?}"),
                });
            }
            sleep(POLL).await;
        }
    }
}

/// Whether lines of a configuration say something of a section.
fn has_section(lines: &str, name: &str) -> bool {
    let head = format!("[{name}]");
    lines.lines().any(|line| {
        let said = line.split('#').next().unwrap_or_default();
        said.split_whitespace().collect::<String>() == head
    })
}

/// It holds passwords: for its owner alone.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

/// A carrier process.
pub(super) async fn carrier(bin: &Path, further: &[&str]) -> Result<Peer, BenchError> {
    let mut arguments = vec!["sim", "smsc", "--listen", "127.0.0.1:0", "--control"];
    arguments.extend(further);
    Peer::listening("the carrier", bin, &arguments).await
}

async fn get(address: SocketAddr, path: &str) -> Result<String, BenchError> {
    let failed = || BenchError::io(format!("get {path} of the gateway"));
    let other = |error: hyper::Error| failed()(io::Error::other(error));
    let asked = async {
        let stream = TcpStream::connect(address).await.map_err(failed())?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(other)?;
        let request = Request::get(path)
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new());
        let request = request.map_err(|error| failed()(io::Error::other(error)))?;
        let ask = async {
            let body = sender.send_request(request).await?.into_body().collect().await?;
            drop(sender);
            Ok(body.to_bytes())
        };
        let (body, _closed) = tokio::join!(ask, connection);
        let body = body.map_err(other)?;
        String::from_utf8(body.to_vec()).map_err(|error| failed()(io::Error::other(error)))
    };
    let within = Duration::from_secs(10);
    timeout(within, asked).await.unwrap_or_else(|_| {
        Err(BenchError::NotDone {
            what: "the gateway's admin listener did not answer",
            within,
            state: path.into(),
        })
    })
}

/// The sum of a family over its labels; `None` when it is not there.
fn sum(metrics: &str, family: &str) -> Option<f64> {
    let mut found = None;
    for line in metrics.lines() {
        let Some(rest) = line
            .strip_prefix(family)
            .filter(|rest| rest.starts_with(['{', ' ']))
        else {
            continue;
        };
        let value: f64 = rest.rsplit(' ').next()?.parse().ok()?;
        found = Some(found.unwrap_or(0.0) + value);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_may_have_a_section_of_its_own() {
        assert!(has_section(
            "[history]\nkind = \"off\"\n [ cdr ] # none\nenabled = false",
            "cdr"
        ));
        assert!(!has_section("[history]\n# [cdr]\n[cdrs]\ncdr = 1", "cdr"));
    }

    #[test]
    fn a_family_is_summed_over_its_labels() {
        let metrics = "# HELP a_total x\na_total{k=\"1\"} 2\na_total{k=\"2\"} 3\na_total_more 9\nb_total 4\n";
        assert_eq!(
            (
                sum(metrics, "a_total"),
                sum(metrics, "b_total"),
                sum(metrics, "c")
            ),
            (Some(5.0), Some(4.0), None)
        );
    }
}
