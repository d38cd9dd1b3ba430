//! `cargo xtask tidy`: the rules of the project that no compiler and no lint knows.
//!
//! Each rule is a pure function from what the tree holds (a dependency graph, the text of files, a list of paths) to
//! findings, so that its tests plant violations without touching a disk. Only this file reads git and `cargo metadata`.
//! It builds nothing.

mod graph;
mod layers;
mod metrics;
mod purity;
mod text;
mod tokens;
mod tree;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// One broken rule: where, what is wrong, what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) place: String,
    pub(crate) wrong: String,
    pub(crate) remedy: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            wrong: wrong.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    {}", self.place, self.wrong, self.remedy)
    }
}

/// A file of the project: its path from the root with `/`, and its text (`None`: not UTF-8).
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: Option<String>,
}

/// Checks the whole tree. Prints every finding, and fails when there is one.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut files = tracked_files(root)?;
    if std::env::var_os("SMSGW_BLESS").is_some() {
        std::fs::write(root.join(metrics::PAGE), metrics::page(&files))
            .with_context(|| format!("failed to write {}", metrics::PAGE))?;
        files = tracked_files(root)?;
    }
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .context(
            "failed to read the dependency graph; if Cargo.lock is stale, run `cargo check` and commit it",
        )?;
    let graph = graph::Graph::from_metadata(&metadata, root)?;

    let mut findings = layers::check(&graph);
    findings.extend(purity::check(&graph, &files));
    findings.extend(text::check(&files, &home_directories()));
    findings.extend(tree::check(&files));
    findings.extend(metrics::check(&files));
    findings.sort();
    findings.dedup();

    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!(
                "tidy: {} files and {} crates are in order",
                files.len(),
                graph.members().count()
            );
            Ok(())
        }
        1 => bail!("tidy: 1 finding"),
        n => bail!("tidy: {n} findings"),
    }
}

/// The files git tracks, and those it would track with the next `git add`.
fn tracked_files(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("failed to start git; tidy checks what git tracks")?;
    if !output.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let mut files = Vec::new();
    for path in output.stdout.split(|&b| b == 0).filter(|p| !p.is_empty()) {
        let path = String::from_utf8(path.to_vec()).context("a tracked path is not UTF-8")?;
        let on_disk = root.join(&path);
        // A file removed but not yet committed is still listed; a link has no text of its own.
        let Ok(kind) = on_disk.symlink_metadata() else {
            continue;
        };
        let text = if kind.is_file() {
            let bytes = std::fs::read(&on_disk).with_context(|| format!("failed to read {path}"))?;
            String::from_utf8(bytes).ok()
        } else {
            None
        };
        files.push(SourceFile { path, text });
    }
    Ok(files)
}

/// The home directory of whoever runs this, when it is one that a text could give away.
fn home_directories() -> Vec<String> {
    std::env::var("HOME")
        .ok()
        .filter(|home| home.len() > 1 && home.starts_with('/'))
        .into_iter()
        .collect()
}
