//! `sim smsc`, `sim ucp` and `sim http`: the carrier as a command.
//!
//! Takes commands line by line and hands them to the server; decides nothing. Invariant: a command that fails says so in one
//! line and ends nothing.

use super::{CliError, Input, Listens, Refused, print, refuse};
use crate::ledger::LedgerOptions;
use crate::smsc::{ChaosArg, MoBatch, SmscOptions, SmscServer};
use smsgw_transport::{TlsClient, TlsIdentity, TlsOptions, TlsRoots};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// `sim smsc`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SmscArgs {
    /// Address and port; port 0: any free port.
    #[arg(long, default_value = "127.0.0.1:2775")]
    pub listen: SocketAddr,
    /// Ledger file, appended to before anything is answered.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Keep what is owed to the gateway (receipts, messages from phones) in this file, and go on with it when started again.
    #[arg(long, value_name = "FILE")]
    pub owed: Option<PathBuf>,
    /// Take commands on standard input (stats, mo {…}, cut, unbind, outbind ADDRESS, set {…}, options) and end with it.
    #[arg(long)]
    pub control: bool,
    /// Options from a file (TOML, or JSON when it ends so); those of the command line count before it.
    #[arg(long = "options", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Behaviour that changes with time: a level from 1 to 5 (made up from the seed), or a file of phases.
    #[arg(long, value_name = "LEVEL|FILE")]
    pub chaos: Option<ChaosArg>,
    /// Connect to this ESME and ask it to bind (outbind).
    #[arg(long)]
    pub outbind: Option<SocketAddr>,
    /// Connect to this UCP client and deliver to it (`sim ucp`).
    #[arg(long, value_name = "ADDRESS", conflicts_with = "outbind")]
    pub connect: Option<SocketAddr>,
    /// Log in there with this name (operation 60); absent: deliver at once.
    #[arg(long, value_name = "NAME")]
    pub connect_login: Option<String>,
    /// Log in there with this password.
    #[arg(long, value_name = "PASSWORD", requires = "connect_login")]
    pub connect_password: Option<String>,
    /// Open those connections (`--outbind`, `--connect`) inside TLS, to a certificate that one of these (PEM) has signed.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Show this certificate there (PEM).
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_key"])]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Behaviour.
    #[command(flatten)]
    pub options: SmscOptions,
    /// Messages from phones.
    #[command(flatten)]
    pub mo: MoBatch,
}

impl SmscArgs {
    /// The TLS of connections that it opens, if it is wanted.
    fn tls(&self) -> Result<Option<TlsClient>, CliError> {
        let Some(ca) = &self.tls_ca else {
            return Ok(None);
        };
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|kind| CliError::Pem {
                path: path.clone(),
                kind,
            })
        };
        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => Some(TlsIdentity {
                chain: read(chain)?,
                key: read(key)?,
            }),
            (None, _) | (_, None) => None,
        };
        let client = TlsClient::try_new(&TlsOptions {
            roots: TlsRoots::Pem(read(ca)?),
            identity,
            ..TlsOptions::default()
        })?;
        Ok(Some(client))
    }

    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tls = self.tls()?;
        let ledger = LedgerOptions {
            file: self.ledger,
            keep: 0,
        };
        let options = match &self.file {
            Some(file) => SmscOptions::read(file)?.with(&self.options.differences()?)?,
            None => self.options,
        };
        let (chaos, owed) = (self.chaos.as_ref(), self.owed.as_deref());
        let server = SmscServer::start_with(options, chaos, self.listen, &ledger, owed).await?;
        let server = match tls {
            Some(tls) => server.over_tls(tls),
            None => server,
        };
        print(&Listens {
            listen: server.local_addr(),
        })?;
        if self.mo.total > 0 {
            server.inject_mo(self.mo);
        }
        let password = server.options().password.unwrap_or_default();
        if let Some(to) = self.outbind {
            server.outbind(to, &password).await?;
        }
        let secret = self.connect_password.unwrap_or_default();
        let login = self.connect_login.as_deref().map(|name| (name, secret.as_str()));
        if let Some(to) = self.connect {
            server.connect(to, login).await?;
        }
        let mut input = Input::open(self.control)?;
        while let Some(line) = input.next().await {
            match line.split_once(' ').unwrap_or((&line, "")) {
                ("stats", "") => print(&server.stats())?,
                ("cut", "") => server.cut_all(),
                ("unbind", "") => server.unbind_all(),
                ("options", "") => print(&server.options())?,
                ("mo", batch) => match serde_json::from_str(batch) {
                    Ok(batch) => server.inject_mo(batch),
                    Err(error) => refuse(&error)?,
                },
                ("set", changes) => match serde_json::from_str(changes) {
                    Ok(changes) => {
                        if let Err(error) = server.change_options(&changes) {
                            refuse(&error.kind)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                ("outbind", to) => match to.parse() {
                    Ok(to) => {
                        if let Err(error) = server.outbind(to, &password).await {
                            refuse(&error)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                ("connect", to) => match to.parse() {
                    Ok(to) => {
                        if let Err(error) = server.connect(to, login).await {
                            refuse(&error)?;
                        }
                    }
                    Err(error) => refuse(&error)?,
                },
                _ => print(&Refused {
                    error: format!("unknown command `{line}`"),
                })?,
            }
        }
        print(&server.stop().await?.stats)?;
        Ok(ExitCode::SUCCESS)
    }
}
