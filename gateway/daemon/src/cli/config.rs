//! `smsgw plan`, `apply`, `rollback`, `reload`, `set`, `history`, and the accounts' `add`, `set`, `remove`: the
//! configuration of a running gateway.
//!
//! Talks to the administrator's listener; knows no state itself. `plan --offline` compares two files and asks nobody. Prints
//! no secret: diffs come masked from the gateway.

mod draw;

use super::operator::PATIENCE;
use super::progress::{Bar, Unit};
use crate::config_api::{Asked, Told};
use crate::exit::Exit;
use crate::operators::Ordered;
use crate::reach::{self, GatewayOptions, Listener};
use bytes::Bytes;
use clap::Args;
use draw::{audited, drawn, listed, whole};
use hyper::{Method, StatusCode};
use smsgw_config::ConfigDiff;
use smsgw_node_config::{
    AuditRow, Edit, EditAct, Plan, PlannedChange, Proposal, RenderStyle, VersionHead, load,
};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long a change may take: lists of millions of numbers are read with it.
const CHANGE: Duration = Duration::from_secs(120);
/// How often its result is asked for.
const LOOK: Duration = Duration::from_millis(200);

/// How a change is made.
#[derive(Debug, Clone, Args)]
pub(super) struct How {
    /// Show what it would do, and do nothing. Ends with 2 when there are changes.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Why; it stands in the history.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    /// In which file of the configuration, as `smsgw history` names it; absent: where the key or its section stands.
    #[arg(long, value_name = "NAME")]
    pub(super) file: Option<String>,
}

/// Show what a configuration file would change in a running gateway, and what each change costs: live, relink (the links of
/// that operator rebind) or restart. Ends with 0 when nothing changes and with 2 when something does.
#[derive(Debug, Args)]
pub(super) struct PlanOptions {
    /// The new file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Compare with this file instead of a running gateway.
    #[arg(value_name = "OLD", requires = "offline")]
    old: Option<PathBuf>,
    /// Ask no gateway: compare FILE with OLD.
    #[arg(long, requires = "old")]
    offline: bool,
    /// Which file of the configuration it replaces; absent: the main one.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: GatewayOptions,
}

/// Put a configuration file in force: checked, planned, written in place of the gateway's own, kept as a version.
#[derive(Debug, Args)]
pub(super) struct ApplyOptions {
    /// The new file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Why; it stands in the history.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which file of the configuration it replaces; absent: the main one.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    target: GatewayOptions,
}

/// Go back to a version of the configuration: its files are written and put in force as a new version.
#[derive(Debug, Args)]
pub(super) struct RollbackOptions {
    /// As `smsgw history` numbers it.
    #[arg(value_name = "VERSION")]
    version: u64,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    target: GatewayOptions,
}

/// Read the configuration files again.
#[derive(Debug, Args)]
pub(super) struct ReloadOptions {
    /// Why; it stands in the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: GatewayOptions,
}

/// Change one key of the configuration, in its file and in the running gateway.
#[derive(Debug, Args)]
pub(super) struct SetOptions {
    /// As in limits.max_parts, operator.alpha.window, route.mt[0].operators or route.mt[+].
    #[arg(value_name = "KEY")]
    key: String,
    /// TOML, or plain text for a key that takes text; `-` reads it from standard input, where nobody sees it.
    #[arg(
        value_name = "VALUE",
        required_unless_present = "remove",
        conflicts_with = "remove"
    )]
    value: Option<String>,
    /// Take the key out: its default holds.
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    target: GatewayOptions,
}

/// Show versions of the configuration: who changed what, when and why.
#[derive(Debug, Args)]
pub(super) struct HistoryOptions {
    /// Only this version, with every change.
    #[arg(value_name = "VERSION")]
    version: Option<u64>,
    /// Show every instruction that was given, and what came of it.
    #[arg(long, conflicts_with = "version")]
    audit: bool,
    /// How many, newest first.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print what the gateway answered, as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: GatewayOptions,
}

/// The keys of an account.
#[derive(Debug, Args)]
pub(super) struct Keys {
    /// As in [operator.NAME] or [client.NAME].
    #[arg(value_name = "NAME")]
    name: String,
    /// Its keys, as in window=20 or hosts='["192.0.2.1:2775"]'; a value of `-` is read from standard input.
    #[arg(value_name = "KEY=VALUE", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// An account that goes.
#[derive(Debug, Args)]
pub(super) struct Gone {
    /// As in [operator.NAME] or [client.NAME].
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    how: How,
}

/// Add, change or remove a client of a running gateway.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct ClientOptions {
    #[command(subcommand)]
    act: AccountAct,
    #[command(flatten)]
    target: GatewayOptions,
}

/// What is done with an account.
#[derive(Debug, clap::Subcommand)]
pub(super) enum AccountAct {
    /// Add one.
    Add(Keys),
    /// Change some of its keys.
    Set(Keys),
    /// Remove one.
    Remove(Gone),
}

pub(super) async fn plan(options: PlanOptions) -> anyhow::Result<Exit> {
    if let Some(old) = options.old.filter(|_| options.offline) {
        return Ok(offline(&options.file, &old, options.json));
    }
    let proposal = Proposal {
        files: [(options.name.unwrap_or_default(), read(&options.file)?)].into(),
        ..Proposal::default()
    };
    let Ok(at) = options.target.listener() else {
        // Not 2, which says that something changes.
        return Ok(Exit::Input);
    };
    shown(&at, proposal, options.json).await
}

pub(super) async fn apply(options: ApplyOptions) -> anyhow::Result<Exit> {
    let proposal = Proposal {
        files: [(options.name.unwrap_or_default(), read(&options.file)?)].into(),
        ..Proposal::default()
    };
    let how = How {
        dry_run: false,
        reason: Some(options.reason),
        file: None,
    };
    changed(&options.target, proposal, how).await
}

pub(super) async fn rollback(options: RollbackOptions) -> anyhow::Result<Exit> {
    let proposal = Proposal {
        restore: Some(options.version),
        ..Proposal::default()
    };
    changed(&options.target, proposal, options.how).await
}

pub(super) async fn reload(options: ReloadOptions) -> anyhow::Result<Exit> {
    let at = match options.target.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let asked = Asked {
        reason: options.reason,
        ..Asked::default()
    };
    ordered(&at, "/config/reload", asked).await
}

pub(super) async fn set(options: SetOptions) -> anyhow::Result<Exit> {
    let value = options.value.map(typed).transpose()?;
    let edit = Edit {
        act: if options.remove {
            EditAct::Remove
        } else {
            EditAct::Set
        },
        path: options.key,
        value: value.unwrap_or_default(),
        file: options.how.file.clone(),
    };
    let proposal = Proposal {
        edits: vec![edit],
        ..Proposal::default()
    };
    changed(&options.target, proposal, options.how).await
}

pub(super) async fn client(options: ClientOptions) -> anyhow::Result<Exit> {
    account("client", options.act, &options.target).await
}

/// Adds, changes or removes an account of this kind.
pub(super) async fn account(kind: &str, act: AccountAct, target: &GatewayOptions) -> anyhow::Result<Exit> {
    // A name may have a dot.
    let path = |name: &str| format!("{kind}.\"{}\"", name.replace('"', ""));
    let (edits, how) = match act {
        AccountAct::Add(keys) => {
            // The section first, then its keys like any other: text needs no quotes there.
            let section = Edit {
                act: EditAct::Add,
                path: path(&keys.name),
                value: String::new(),
                file: keys.how.file.clone(),
            };
            let mut edits = vec![section];
            edits.extend(sets(&path(&keys.name), &keys)?);
            (edits, keys.how)
        }
        AccountAct::Set(keys) => (sets(&path(&keys.name), &keys)?, keys.how),
        AccountAct::Remove(gone) => {
            let edit = Edit {
                act: EditAct::Remove,
                path: path(&gone.name),
                value: String::new(),
                file: gone.how.file.clone(),
            };
            (vec![edit], gone.how)
        }
    };
    let proposal = Proposal {
        edits,
        ..Proposal::default()
    };
    changed(target, proposal, how).await
}

fn sets(path: &str, keys: &Keys) -> anyhow::Result<Vec<Edit>> {
    keys.keys
        .iter()
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| anyhow::anyhow!("{pair}: write KEY=VALUE"))?;
            Ok(Edit {
                act: EditAct::Set,
                path: format!("{path}.{key}"),
                value: typed(value.to_owned())?,
                file: keys.how.file.clone(),
            })
        })
        .collect()
}

/// A value as it was typed, or the first line of standard input.
fn typed(value: String) -> anyhow::Result<String> {
    if value != "-" {
        return Ok(value);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

pub(super) async fn history(options: HistoryOptions) -> anyhow::Result<Exit> {
    let at = match options.target.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    let path = match (options.version, options.audit) {
        (Some(version), _) => format!("/config/versions/{version}"),
        (None, true) => format!("/config/audit?limit={}", options.limit),
        (None, false) => format!("/config/versions?limit={}", options.limit),
    };
    let body = match asked(&at, Method::GET, &path, Bytes::new()).await? {
        Ok((StatusCode::OK, body)) => body,
        Ok((code, body)) => return Ok(refused(code, &body)),
        Err(exit) => return Ok(exit),
    };
    let text = match (options.json, options.version, options.audit) {
        (true, _, _) => String::from_utf8(body.to_vec())?,
        (false, Some(_), _) => whole(&serde_json::from_slice(&body)?),
        (false, None, true) => audited(&serde_json::from_slice::<Vec<AuditRow>>(&body)?),
        (false, None, false) => listed(&serde_json::from_slice::<Vec<VersionHead>>(&body)?),
    };
    print(&text);
    Ok(Exit::Stopped)
}

/// Two files, nobody asked.
fn offline(new: &Path, old: &Path, json: bool) -> Exit {
    let mut configs = Vec::new();
    for file in [old, new] {
        match load(file) {
            Ok(loaded) => configs.push(loaded.config),
            Err(error) => {
                eprint!("{}", error.render(RenderStyle::for_stderr()));
                return Exit::Found;
            }
        }
    }
    let (Some(new), Some(old)) = (configs.pop(), configs.pop()) else {
        return Exit::Failed;
    };
    let diff = ConfigDiff::between(&old, &new);
    let plan = Plan {
        changes: diff.changes().iter().map(PlannedChange::of).collect(),
        ..Plan::default()
    };
    told(&plan, json)
}

/// Asks for a plan and prints it.
async fn shown(at: &Listener, proposal: Proposal, json: bool) -> anyhow::Result<Exit> {
    match planned(at, proposal).await? {
        Ok(plan) => Ok(told(&plan, json)),
        Err(exit) => Ok(exit),
    }
}

async fn planned(at: &Listener, proposal: Proposal) -> anyhow::Result<Result<Plan, Exit>> {
    let asking = Asked {
        proposal,
        ..Asked::default()
    };
    let body = Bytes::from(serde_json::to_vec(&asking)?);
    Ok(match asked(at, Method::POST, "/config/plan", body).await? {
        Ok((StatusCode::OK, body)) => Ok(serde_json::from_slice(&body)?),
        Ok((code, body)) => Err(refused(code, &body)),
        Err(exit) => Err(exit),
    })
}

fn told(plan: &Plan, json: bool) -> Exit {
    if json {
        print(&format!(
            "{}\n",
            serde_json::to_string_pretty(plan).unwrap_or_default()
        ));
    }
    if let Some(why) = &plan.refused {
        eprintln!("{}", why.trim_end());
        return Exit::Found;
    }
    if !json {
        print(&drawn(plan));
    }
    match plan.changes.is_empty() && plan.files.is_empty() {
        true => Exit::Stopped,
        false => Exit::Changes,
    }
}

/// Plans, shows the plan, and makes the change unless it is a dry run.
async fn changed(target: &GatewayOptions, mut proposal: Proposal, how: How) -> anyhow::Result<Exit> {
    let at = match target.listener() {
        Ok(at) => at,
        Err(exit) => return Ok(exit),
    };
    if how.dry_run {
        return shown(&at, proposal, false).await;
    }
    let plan = match planned(&at, proposal.clone()).await? {
        Ok(plan) => plan,
        Err(exit) => return Ok(exit),
    };
    if let Some(why) = &plan.refused {
        eprintln!("{}", why.trim_end());
        return Ok(Exit::Found);
    }
    print(&drawn(&plan));
    // What was shown is what is done: a change that came in between refuses this one.
    proposal.base = Some(plan.base);
    let path = match proposal.restore {
        Some(version) if proposal.edits.is_empty() => format!("/config/restore/{version}"),
        Some(_) | None => "/config/apply".to_owned(),
    };
    let asked = Asked {
        proposal,
        reason: how.reason,
        by: None,
    };
    ordered(&at, &path, asked).await
}

/// Gives an order and waits until it is done.
async fn ordered(at: &Listener, path: &str, order: Asked) -> anyhow::Result<Exit> {
    let order = Asked {
        by: Some(user()),
        ..order
    };
    let body = Bytes::from(serde_json::to_vec(&order)?);
    let (code, body) = match asked(at, Method::POST, path, body).await? {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    match code {
        StatusCode::OK | StatusCode::CONFLICT => {
            let ordered: Ordered = serde_json::from_slice(&body)?;
            Ok(ended(&ordered.outcome, &ordered.detail))
        }
        StatusCode::ACCEPTED => {
            let ordered: Ordered = serde_json::from_slice(&body)?;
            let until = Instant::now() + CHANGE;
            let path = format!("/config/results/{}", ordered.instruction);
            let mut bar = Bar::new(Unit::Seconds, false);
            bar.begin("applying");
            bar.show(0, Some(CHANGE.as_secs()));
            while Instant::now() < until {
                if let Ok((StatusCode::OK, body)) = asked(at, Method::GET, &path, Bytes::new()).await? {
                    drop(bar);
                    let told: Told = serde_json::from_slice(&body)?;
                    return Ok(ended(&told.outcome, &told.detail));
                }
                tokio::time::sleep(LOOK).await;
            }
            drop(bar);
            eprintln!("smsgw: not done within {CHANGE:?}; it will be: see `smsgw history --audit`");
            Ok(Exit::Found)
        }
        code => Ok(refused(code, &body)),
    }
}

fn ended(outcome: &str, detail: &str) -> Exit {
    if outcome == "refused" {
        eprintln!("refused: {}", detail.trim_end());
        return Exit::Found;
    }
    print(&format!("{outcome}: {detail}\n"));
    Exit::Stopped
}

fn refused(code: StatusCode, body: &Bytes) -> Exit {
    eprintln!("smsgw: {code}: {}", String::from_utf8_lossy(body).trim_end());
    Exit::Found
}

async fn asked(
    at: &Listener,
    method: Method,
    path: &str,
    body: Bytes,
) -> anyhow::Result<Result<(StatusCode, Bytes), Exit>> {
    // A plan reads lists of millions of numbers.
    let patience = if path == "/config/plan" { CHANGE } else { PATIENCE };
    Ok(reach::ask(at, method, path, body, patience).await)
}

/// Who asks: the user that became root, or the user.
fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let named = named.unwrap_or_else(|| "admin".to_owned());
    named.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

fn print(text: &str) {
    // A reader that has seen enough (`| head`) is no failure.
    std::io::stdout().write_all(text.as_bytes()).unwrap_or_default();
}
