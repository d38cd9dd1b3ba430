//! The dependency graph that the layer rules read.
//!
//! A small copy of `cargo metadata`'s answer: package names, which are members, who depends on whom and how. It knows
//! no rule. Tests build it by hand.
//!
//! # Limits
//! Features are unified over the workspace and all platforms, as `cargo metadata` reports them: a dependency that only
//! another crate's feature or another platform brings in counts as there. Two versions of one package are one node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata};

/// How one package depends on another. A build dependency counts as normal: it decides what the crate becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Dev,
}

#[derive(Debug, Default)]
pub(crate) struct Graph {
    members: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<(Kind, String)>>,
}

impl Graph {
    pub(crate) fn from_metadata(metadata: &Metadata, root: &Path) -> anyhow::Result<Self> {
        let mut graph = Self::default();
        let root = root
            .canonicalize()
            .context("failed to resolve the workspace's root")?;
        for package in metadata.workspace_packages() {
            let directory = package
                .manifest_path
                .parent()
                .context("a manifest has no directory")?;
            let directory = directory
                .as_std_path()
                .canonicalize()
                .context("a member's directory is gone")?;
            let directory = directory
                .strip_prefix(&root)
                .context("a member lies outside the workspace")?;
            let directory = directory.to_str().context("a member's path is not UTF-8")?;
            graph.add_member(package.name.as_str(), directory);
        }
        let names: BTreeMap<_, _> = metadata
            .packages
            .iter()
            .map(|p| (&p.id, p.name.as_str()))
            .collect();
        let resolve = metadata
            .resolve
            .as_ref()
            .context("cargo metadata resolved nothing")?;
        for node in &resolve.nodes {
            let from = names.get(&node.id).context("a resolved package is unknown")?;
            for dep in &node.deps {
                let to = names.get(&dep.pkg).context("a resolved dependency is unknown")?;
                for kind in &dep.dep_kinds {
                    let kind = match kind.kind {
                        DependencyKind::Development => Kind::Dev,
                        _ => Kind::Normal,
                    };
                    graph.add_edge(from, kind, to);
                }
            }
        }
        Ok(graph)
    }

    /// Adds a package of the workspace and its directory from the root.
    pub(crate) fn add_member(&mut self, name: &str, directory: &str) {
        self.members.insert(name.to_owned(), directory.to_owned());
    }

    pub(crate) fn add_edge(&mut self, from: &str, kind: Kind, to: &str) {
        self.edges
            .entry(from.to_owned())
            .or_default()
            .insert((kind, to.to_owned()));
    }

    /// The workspace's packages, with their directories.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members
            .iter()
            .map(|(name, directory)| (name.as_str(), directory.as_str()))
    }

    pub(crate) fn is_member(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// What a package names in its own manifest.
    pub(crate) fn direct(&self, from: &str) -> impl Iterator<Item = (Kind, &str)> {
        self.edges
            .get(from)
            .into_iter()
            .flatten()
            .map(|(kind, to)| (*kind, to.as_str()))
    }

    /// Everything a package reaches, each with the shortest chain of names that leads there. The first step follows its
    /// development dependencies too when `with_dev`; later steps never do, as cargo does not.
    pub(crate) fn reach(&self, from: &str, with_dev: bool) -> BTreeMap<String, Vec<String>> {
        let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut open = VecDeque::from([vec![from.to_owned()]]);
        while let Some(chain) = open.pop_front() {
            let Some(last) = chain.last() else { continue };
            let first_step = chain.len() == 1;
            for (kind, to) in self.direct(last) {
                let followed = kind == Kind::Normal || (with_dev && first_step);
                if followed && to != from && !chains.contains_key(to) {
                    let mut longer = chain.clone();
                    longer.push(to.to_owned());
                    chains.insert(to.to_owned(), longer.clone());
                    open.push_back(longer);
                }
            }
        }
        chains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_follows_development_edges_of_the_first_package_only() {
        let mut graph = Graph::default();
        graph.add_edge("a", Kind::Dev, "b");
        graph.add_edge("b", Kind::Normal, "c");
        graph.add_edge("b", Kind::Dev, "d");
        assert!(graph.reach("a", false).is_empty());
        let reached = graph.reach("a", true);
        assert_eq!(
            reached.get("c"),
            Some(&vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
        );
        assert!(!reached.contains_key("d"));
    }

    #[test]
    fn reach_ends_on_a_cycle_of_development_edges() {
        let mut graph = Graph::default();
        graph.add_edge("a", Kind::Dev, "kit");
        graph.add_edge("kit", Kind::Normal, "a");
        assert_eq!(graph.reach("a", true).len(), 1);
    }
}
