//! What changes from one configuration to another, and what each change costs while the gateway runs.
//!
//! A change is one key, or one whole account that came or went. Must not know how a change is applied.
//! Invariant CF-3: the diff of a configuration and itself is empty; a diff applied and then its flip give the start.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::schema::Config;
use crate::types::{ClientId, OperatorId};
use crate::value::{Value, join};

/// What a change costs, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// Applied without touching a link.
    Live,
    /// The links of that operator are drained and opened again.
    Relink,
    /// Needs a restart of the process; until then the old value holds.
    Restart,
}

impl Impact {
    /// The word in logs and in the manual.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Relink => "relink",
            Self::Restart => "restart",
        }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The part of the file a change belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// `[node]`
    Node,
    /// `[admin]`
    Admin,
    /// `[http]`
    Http,
    /// `[smpp]`
    Smpp,
    /// `[callback]`
    Callback,
    /// `[inbox]`
    Inbox,
    /// `[cdr]`
    Cdr,
    /// `[history]`
    History,
    /// `[log]`
    Log,
    /// `[engine]`
    Engine,
    /// `[limits]`
    Limits,
    /// `[operator.<id>]`
    Operator(OperatorId),
    /// `[client.<id>]`
    Client(ClientId),
    /// `[[route.mt]]`, `[[route.mo]]` and `[keywords]`
    Routes,
    /// `[admission]`, `[list.<name>]`, `[[sender]]` and `[[price]]`
    Admission,
}

/// What became of a key or an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// It has another value.
    Changed,
}

/// One change. Its texts hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it belongs.
    pub area: Area,
    /// Dotted path of the key or account.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// The value before, for people; empty when it came.
    pub old: String,
    /// The value after, for people; empty when it went.
    pub new: String,
    /// What it costs.
    pub impact: Impact,
}

impl Change {
    pub(crate) fn changed(path: &str, old: String, new: String, impact: Impact) -> Self {
        Self {
            area: Area::Node,
            path: path.to_owned(),
            kind: ChangeKind::Changed,
            old,
            new,
            impact,
        }
    }

    pub(crate) fn added(path: &str, new: String, impact: Impact) -> Self {
        Self {
            area: Area::Node,
            path: path.to_owned(),
            kind: ChangeKind::Added,
            old: String::new(),
            new,
            impact,
        }
    }

    pub(crate) fn removed(path: &str, old: String, impact: Impact) -> Self {
        Self {
            area: Area::Node,
            path: path.to_owned(),
            kind: ChangeKind::Removed,
            old,
            new: String::new(),
            impact,
        }
    }

    fn flipped(&self) -> Self {
        let kind = match self.kind {
            ChangeKind::Added => ChangeKind::Removed,
            ChangeKind::Removed => ChangeKind::Added,
            ChangeKind::Changed => ChangeKind::Changed,
        };
        Self {
            kind,
            old: self.new.clone(),
            new: self.old.clone(),
            ..self.clone()
        }
    }
}

/// `operator.alpha.window: 10 -> 20 (relink)`
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ChangeKind::Added => write!(f, "{} added", self.path)?,
            ChangeKind::Removed => write!(f, "{} removed", self.path)?,
            ChangeKind::Changed => write!(f, "{}: {} -> {}", self.path, self.old, self.new)?,
        }
        write!(f, " ({})", self.impact)
    }
}

/// Everything that differs between two configurations.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigDiff {
    old: Arc<Config>,
    new: Arc<Config>,
    changes: Vec<Change>,
}

impl ConfigDiff {
    /// The way from one to the other.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Vec::new();
        section(Area::Node, "include", &old.include, &new.include, &mut changes);
        section(Area::Node, "node", &old.node, &new.node, &mut changes);
        section(Area::Admin, "admin", &old.admin, &new.admin, &mut changes);
        section(Area::Http, "http", &old.http, &new.http, &mut changes);
        section(Area::Smpp, "smpp", &old.smpp, &new.smpp, &mut changes);
        section(
            Area::Callback,
            "callback",
            &old.callback,
            &new.callback,
            &mut changes,
        );
        section(Area::Inbox, "inbox", &old.inbox, &new.inbox, &mut changes);
        section(Area::Cdr, "cdr", &old.cdr, &new.cdr, &mut changes);
        section(Area::History, "history", &old.history, &new.history, &mut changes);
        section(Area::Log, "log", &old.log, &new.log, &mut changes);
        section(Area::Engine, "engine", &old.engine, &new.engine, &mut changes);
        section(Area::Limits, "limits", &old.limits, &new.limits, &mut changes);
        section(
            Area::Admission,
            "admission",
            &old.admission,
            &new.admission,
            &mut changes,
        );
        section(Area::Admission, "list", &old.list, &new.list, &mut changes);
        let operators: BTreeSet<&OperatorId> = old.operator.keys().chain(new.operator.keys()).collect();
        for id in operators {
            let path = join("operator", id.as_str());
            let (old, new) = (old.operator.get(id).cloned(), new.operator.get(id).cloned());
            account(
                Area::Operator(id.clone()),
                &path,
                &old,
                &new,
                Impact::Relink,
                &mut changes,
            );
        }
        let clients: BTreeSet<&ClientId> = old.client.keys().chain(new.client.keys()).collect();
        for id in clients {
            let path = join("client", id.as_str());
            let (old, new) = (old.client.get(id).cloned(), new.client.get(id).cloned());
            account(
                Area::Client(id.clone()),
                &path,
                &old,
                &new,
                Impact::Live,
                &mut changes,
            );
        }
        section(Area::Routes, "route", &old.route, &new.route, &mut changes);
        section(
            Area::Routes,
            "keywords",
            &old.keywords,
            &new.keywords,
            &mut changes,
        );
        section(Area::Routes, "mnp", &old.mnp, &new.mnp, &mut changes);
        section(Area::Routes, "cost", &old.cost, &new.cost, &mut changes);
        section(Area::Admission, "sender", &old.sender, &new.sender, &mut changes);
        section(Area::Admission, "price", &old.price, &new.price, &mut changes);
        Self {
            old: Arc::new(old.clone()),
            new: Arc::new(new.clone()),
            changes,
        }
    }

    /// Every change, in the order of the sections.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The dearest change; `None` when nothing differs.
    pub fn impact(&self) -> Option<Impact> {
        self.changes.iter().map(|change| change.impact).max()
    }

    /// Changes that need a restart.
    pub fn needs_restart(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.impact == Impact::Restart)
    }

    /// Operators whose links must be opened again; those that came or went are not among them.
    pub fn relinked(&self) -> BTreeSet<&OperatorId> {
        let both =
            |id: &&OperatorId| self.old.operator.contains_key(*id) && self.new.operator.contains_key(*id);
        self.operators(|change| change.impact == Impact::Relink)
            .filter(both)
            .collect()
    }

    /// Operators that came.
    pub fn operators_added(&self) -> BTreeSet<&OperatorId> {
        self.operators(|_| true)
            .filter(|id| !self.old.operator.contains_key(*id))
            .collect()
    }

    /// Operators that went.
    pub fn operators_removed(&self) -> BTreeSet<&OperatorId> {
        self.operators(|_| true)
            .filter(|id| !self.new.operator.contains_key(*id))
            .collect()
    }

    fn operators(&self, wanted: impl Fn(&Change) -> bool) -> impl Iterator<Item = &OperatorId> {
        self.changes
            .iter()
            .filter(move |change| wanted(change))
            .filter_map(|change| match &change.area {
                Area::Operator(id) => Some(id),
                Area::Node
                | Area::Admin
                | Area::Http
                | Area::Smpp
                | Area::Callback
                | Area::Inbox
                | Area::Cdr
                | Area::Log
                | Area::Engine
                | Area::Limits
                | Area::Client(_)
                | Area::Routes
                | Area::Admission
                | Area::History => None,
            })
    }

    /// The way back.
    pub fn flipped(&self) -> Self {
        Self {
            old: Arc::clone(&self.new),
            new: Arc::clone(&self.old),
            changes: self.changes.iter().map(Change::flipped).collect(),
        }
    }

    /// The diff without the changes that need a restart: what a running process can take over.
    pub fn without_restart(&self) -> Self {
        let changes: Vec<Change> = self
            .changes
            .iter()
            .filter(|change| change.impact != Impact::Restart)
            .cloned()
            .collect();
        let mut reached = Self {
            changes,
            ..self.clone()
        };
        reached.new = Arc::new(reached.apply(&self.old));
        reached
    }

    /// Takes the changes over into a configuration and leaves the rest of it alone.
    #[must_use]
    pub fn apply(&self, base: &Config) -> Config {
        let paths: Vec<String> = self.changes.iter().map(|change| change.path.clone()).collect();
        let mut config = base.clone();
        config.take(&self.new, "", &paths);
        config
    }
}

impl fmt::Display for ConfigDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, change) in self.changes.iter().enumerate() {
            write!(f, "{}{change}", if n > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// Changes of a section that is always there.
fn section<T: Value>(area: Area, path: &str, old: &T, new: &T, out: &mut Vec<Change>) {
    let before = out.len();
    T::differ(old, new, path, Impact::Live, out);
    for change in out.iter_mut().skip(before) {
        change.area = area.clone();
    }
}

/// Changes of a section that can come and go.
fn account<T: Value>(
    area: Area,
    path: &str,
    old: &Option<T>,
    new: &Option<T>,
    impact: Impact,
    out: &mut Vec<Change>,
) {
    let before = out.len();
    Option::differ(old, new, path, impact, out);
    for change in out.iter_mut().skip(before) {
        change.area = area.clone();
    }
}
