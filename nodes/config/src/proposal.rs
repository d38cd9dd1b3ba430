//! A change of the configuration that is asked for: what it would do, and doing it.
//!
//! A change is prepared whole before anything is written: new texts in memory, read and checked as a start would, compared
//! with what is in force. Then, in this order: the version (prepared), the files, what is in force, the version (in force).
//! Must not know how a change is asked for. Invariant CN-3: files are written only while they are as they were loaded, or
//! as they are to be; a person's change on the disk is never overwritten.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smsgw_config::{Change, ChangeKind, Config, ConfigDiff, Sources};
use smsgw_message::{MessageId, Timestamp};
use smsgw_runtime::{Clock as _, SystemClock};
use tracing::{error, info, warn};

use crate::disk::{self, Overlay};
use crate::edit::{Edit, EditError, edited};
use crate::file::{LoadError, Loaded};
use crate::journal;
use crate::metric::CHANGES_TOTAL;
use crate::node::{ConfigNode, Turn};
use crate::render::RenderStyle;
use crate::versions::{self, Version, VersionHead, Versions};

/// A change that is asked for: new texts of files, then changes of keys; or the way back to a version.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proposal {
    /// New texts of files by name; an empty name is the main file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Changes of keys and sections, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edit>,
    /// The files of this version instead of those that are loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<u64>,
    /// The version that the change was made for; refused when it is not the newest any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
}

/// Texts and values are left out: they may be secrets.
impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let edits: Vec<&str> = self.edits.iter().map(|edit| edit.path.as_str()).collect();
        f.debug_struct("Proposal")
            .field("files", &self.files.keys())
            .field("edits", &edits)
            .field("restore", &self.restore)
            .field("base", &self.base)
            .finish()
    }
}

/// What a change would do. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The newest version, for which this was made; 0 when none is kept.
    pub base: u64,
    /// Files that would be written or removed, by name.
    pub files: Vec<String>,
    /// What would change, in the order of the sections.
    pub changes: Vec<PlannedChange>,
    /// Why it cannot be done; absent: it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// One change of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// Dotted path of the key or account.
    pub path: String,
    /// `added`, `removed` or `changed`.
    pub kind: String,
    /// The value before; empty when it came.
    pub old: String,
    /// The value after; empty when it goes.
    pub new: String,
    /// `live`, `relink` or `restart`.
    pub impact: String,
}

impl PlannedChange {
    /// A change as a plan tells it.
    pub fn of(change: &Change) -> Self {
        let kind = match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        };
        Self {
            path: change.path.clone(),
            kind: kind.to_owned(),
            old: change.old.clone(),
            new: change.new.clone(),
            impact: change.impact.as_str().to_owned(),
        }
    }
}

/// Who asks for a change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The verb that asks.
    pub verb: &'static str,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// The instruction; done once, however often it is delivered.
    pub instruction: Option<MessageId>,
    /// When.
    pub at: Timestamp,
}

impl Author {
    /// The gateway itself.
    pub fn own(verb: &'static str) -> Self {
        Self {
            verb,
            by: "smsgw".to_owned(),
            reason: None,
            instruction: None,
            at: SystemClock.now(),
        }
    }

    pub(crate) fn head(&self, diff: Option<&ConfigDiff>, in_force: bool) -> VersionHead {
        VersionHead {
            version: 0,
            at: self.at.to_string(),
            by: self.by.clone(),
            verb: self.verb.to_owned(),
            reason: self.reason.clone(),
            instruction: self.instruction.map(|id| id.to_string()),
            changes: diff
                .into_iter()
                .flat_map(|diff| diff.changes().iter().map(ToString::to_string))
                .collect(),
            in_force,
            files: Vec::new(),
        }
    }
}

/// What became of a change, for a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// `applied`, `unchanged` or `refused`.
    pub outcome: &'static str,
    /// What a person should know.
    pub detail: String,
}

impl Done {
    fn refused(detail: String) -> Self {
        Self {
            outcome: "refused",
            detail,
        }
    }
}

/// Why a change cannot be made.
enum Refusal {
    Load(Box<LoadError>),
    Edit(EditError),
    Said(String),
}

impl Refusal {
    fn text(&self) -> String {
        match self {
            Self::Load(error) => error.render(RenderStyle::Plain),
            Self::Edit(error) => error.to_string(),
            Self::Said(text) => text.clone(),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Said(format!(
            "the versions of the configuration cannot be used: {error}"
        ))
    }
}

/// A change that can be made.
struct Prepared {
    loaded: Loaded,
    /// Files that are to be written or removed.
    writes: Overlay,
}

impl ConfigNode {
    /// What a change would do, now.
    pub async fn plan(self: &Arc<Self>, proposal: Proposal) -> Plan {
        let turn = self.turn().await;
        let base = self.newest_version();
        let prepared = self.prepared(&turn, proposal).await;
        match prepared {
            Err(refusal) => Plan {
                base,
                refused: Some(refusal.text()),
                ..Plan::default()
            },
            Ok(prepared) => {
                let diff = self.diff_to(prepared.loaded.config);
                let names = prepared.writes.keys();
                Plan {
                    base,
                    files: names.map(|file| versions::name_of(self.path(), file)).collect(),
                    changes: diff.changes().iter().map(PlannedChange::of).collect(),
                    refused: None,
                }
            }
        }
    }

    /// Keeps a change for the instruction that will name it; gives its name. Blocks on the file system.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn stage(&self, proposal: &Proposal) -> io::Result<String> {
        let id = MessageId::from_parts(SystemClock.now(), rand::random()).to_string();
        self.versions()?.stage(&id, proposal)?;
        Ok(id)
    }

    /// The newest versions, newest first. Blocks on the file system.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn history(&self, most: usize) -> io::Result<Vec<VersionHead>> {
        self.versions()?.heads(most)
    }

    /// The change of this name.
    pub(crate) fn staged(&self, id: &str) -> io::Result<Option<Proposal>> {
        self.versions()?.staged(id)
    }

    /// Forgets a change that is done.
    pub(crate) fn unstage(&self, id: &str) {
        if let Err(error) = self.versions().and_then(|versions| versions.unstage(id)) {
            warn!(%error, "a change that is done could not be forgotten; it goes at a start a day from now");
        }
    }

    fn newest_version(&self) -> u64 {
        let newest = self.versions().and_then(Versions::numbers);
        newest.unwrap_or_default().last().copied().unwrap_or(0)
    }

    /// Makes a change: files, what is in force, a version.
    pub(crate) async fn change(self: &Arc<Self>, proposal: Proposal, author: &Author) -> Done {
        let mut turn = self.turn().await;
        let done = match self.change_in_turn(&mut turn, proposal, author).await {
            Ok(done) => done,
            Err(refusal) => Done::refused(refusal.text()),
        };
        CHANGES_TOTAL.with(&[done.outcome]).inc();
        match done.outcome {
            "refused" => {
                error!(by = %author.by, instruction = author.verb, detail = %done.detail, "configuration refused")
            }
            outcome => {
                info!(by = %author.by, instruction = author.verb, outcome, detail = %done.detail, "configuration changed by order")
            }
        }
        done
    }

    async fn change_in_turn(
        self: &Arc<Self>,
        turn: &mut Turn,
        proposal: Proposal,
        author: &Author,
    ) -> Result<Done, Refusal> {
        // It was done before, and its result was lost with the process.
        let id = author.instruction.map(|id| id.to_string());
        if let Some(version) = self.versions()?.latest()?
            && version.head.instruction == id
            && id.is_some()
        {
            return Ok(Done {
                outcome: "applied",
                detail: format!("version {}", version.head.version),
            });
        }
        let prepared = self.prepared(turn, proposal).await?;
        let Prepared { loaded, writes } = prepared;
        let diff = self.diff_to(loaded.config.clone());
        if writes.is_empty() && diff.is_empty() && loaded.sources == turn.sources {
            return Ok(Done {
                outcome: "unchanged",
                detail: format!("version {}", self.newest_version()),
            });
        }
        let (node, head) = (Arc::clone(self), author.head(Some(&diff), false));
        let files = versions::named(self.path(), &loaded.sources);
        let keep = loaded.config.node.config_versions;
        let written = blocking(move || node.write(head, files, keep, writes)).await?;
        let number = written.head.version;
        let (epoch, waiting) = self.take(turn, loaded, diff);
        let node = Arc::clone(self);
        blocking(move || node.versions()?.put_in_force(written)).await?;
        Ok(Done {
            outcome: "applied",
            detail: format!("version {number}, epoch {epoch}, {waiting} wait for a restart"),
        })
    }

    /// The version first, then the files; when these cannot be written, the version is taken back.
    fn write(
        &self,
        head: VersionHead,
        files: Vec<(String, String)>,
        keep: u32,
        writes: Overlay,
    ) -> io::Result<Version> {
        let versions = self.versions()?;
        let version = versions.record(head, files, usize::try_from(keep).unwrap_or(usize::MAX))?;
        if let Err(error) = journal::write(self.path(), &writes) {
            versions.withdraw(version.head.version)?;
            return Err(error);
        }
        Ok(version)
    }

    /// Reads and checks what a change would leave.
    async fn prepared(self: &Arc<Self>, turn: &Turn, proposal: Proposal) -> Result<Prepared, Refusal> {
        if let Some(base) = proposal.base.filter(|base| *base != self.newest_version()) {
            return Err(Refusal::Said(format!(
                "the configuration is at version {} meanwhile, the change was made for version {base}: look again",
                self.newest_version()
            )));
        }
        let (node, sources) = (Arc::clone(self), turn.sources.clone());
        let prepare = move || {
            let overlay = node.overlay(&sources, &proposal)?;
            let loaded = node
                .load(&overlay)
                .map_err(|error| Refusal::Load(Box::new(error)))?;
            let writes = writes(&sources, &loaded.sources, overlay)?;
            Ok(Prepared { loaded, writes })
        };
        match tokio::task::spawn_blocking(prepare).await {
            Ok(prepared) => prepared,
            Err(error) => Err(Refusal::Said(format!("the reader ended: {error}"))),
        }
    }

    /// The texts that a change asks for.
    fn overlay(&self, sources: &Sources, proposal: &Proposal) -> Result<Overlay, Refusal> {
        let mut overlay = Overlay::new();
        let known = |file: &Path| {
            sources
                .files()
                .iter()
                .any(|known| Path::new(&known.identity) == file)
        };
        if let Some(number) = proposal.restore {
            let version = self.versions()?.get(number)?;
            let version = version.ok_or_else(|| Refusal::Said(format!("there is no version {number}")))?;
            for file in sources.files() {
                overlay.insert(PathBuf::from(&file.identity), None);
            }
            for (file, text) in version.head.files.iter().zip(version.texts) {
                overlay.insert(versions::path_of(self.path(), &file.name), Some(text));
            }
        }
        for (name, text) in &proposal.files {
            let file = match name.is_empty() {
                true => disk::identity(self.path()),
                false => versions::path_of(self.path(), name),
            };
            // Only below the directory of the main file, or where the configuration has a file already.
            let below = versions::name_of(self.path(), &file);
            if Path::new(&below).is_absolute() && !known(&file) {
                return Err(Refusal::Said(format!("{name} is no file of the configuration")));
            }
            overlay.insert(file, Some(text.clone()));
        }
        if !proposal.edits.is_empty() {
            let text_of = |file: &smsgw_config::Source| match overlay.get(Path::new(&file.identity)) {
                Some(text) => text.clone(),
                None => Some(file.text.clone()),
            };
            let files = sources.files().iter().filter_map(|file| {
                let path = PathBuf::from(&file.identity);
                Some((versions::name_of(self.path(), &path), path, text_of(file)?))
            });
            let files: Vec<(String, PathBuf, String)> = files.collect();
            let named: Vec<(String, &str)> = files
                .iter()
                .map(|(name, _, text)| (name.clone(), text.as_str()))
                .collect();
            let texts = edited(&named, &proposal.edits).map_err(Refusal::Edit)?;
            for ((_, path, old), new) in files.iter().zip(texts) {
                if *old != new {
                    overlay.insert(path.clone(), Some(new));
                }
            }
        }
        Ok(overlay)
    }

    /// What a configuration would change, orders of administrators counted in.
    pub(crate) fn diff_to(&self, config: Config) -> ConfigDiff {
        ConfigDiff::between(&self.config().config(), &self.orders().over(config))
    }
}

/// What of an overlay is to be written, once nothing was changed on the disk by others.
fn writes(old: &Sources, new: &Sources, overlay: Overlay) -> Result<Overlay, Refusal> {
    let differs = |name: &str| {
        Refusal::Said(format!(
            "{name} is not as it was loaded: reload (or undo that change) first, so that it is not overwritten"
        ))
    };
    let loaded = |file: &str| old.files().iter().find(|known| known.identity == file);
    for file in new.files() {
        if overlay.contains_key(Path::new(&file.identity)) {
            continue;
        }
        // It was not part of the configuration, or has another text.
        if loaded(&file.identity).is_none_or(|known| known.text != file.text) {
            return Err(differs(&file.name));
        }
    }
    let mut writes = Overlay::new();
    for (path, text) in overlay {
        let there = match disk::read(&path, &Overlay::new()) {
            Ok(read) => Some(read.source.text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Refusal::Said(format!("{}: {error}", path.display()))),
        };
        if there == text {
            continue;
        }
        let known = loaded(&path.display().to_string()).map(|known| known.text.clone());
        if there != known {
            return Err(differs(&path.display().to_string()));
        }
        writes.insert(path, text);
    }
    Ok(writes)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Refusal::Said(format!(
            "nothing was changed: it cannot be written: {error}"
        ))),
        Err(error) => Err(Refusal::Said(format!("the writer ended: {error}"))),
    }
}
