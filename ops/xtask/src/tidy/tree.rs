//! Rules about which files there are: the top level, and the names of release notes.

use std::collections::BTreeSet;

use super::{Finding, SourceFile};

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "gateway",
    "nodes",
    "config",
    "rel",
    "ops",
];

const NOTES: &str = "rel/notes/unreleased/";
const NOTE_KINDS: &[&str] = &["breaking", "feature", "fix"];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = top_level(files);
    findings.extend(files.iter().filter_map(note));
    findings
}

fn top_level(files: &[SourceFile]) -> Vec<Finding> {
    let entries: BTreeSet<&str> = files.iter().filter_map(|f| f.path.split('/').next()).collect();
    entries
        .into_iter()
        .filter(|entry| !entry.starts_with('.') && !TOP_LEVEL.contains(entry))
        .map(|entry| {
            Finding::new(
                entry,
                "does not belong at the top level",
                "move it under gateway, nodes, config, rel or ops; settings of tools go into dot-files",
            )
        })
        .collect()
}

/// A release note is called `<slug>.<kind>.md`, and says something.
fn note(file: &SourceFile) -> Option<Finding> {
    let name = file.path.strip_prefix(NOTES)?;
    if name.starts_with('.') {
        return None;
    }
    let slug = NOTE_KINDS
        .iter()
        .find_map(|kind| name.strip_suffix(&format!(".{kind}.md")));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !slug.is_some_and(|slug| !slug.is_empty() && slug.chars().all(plain)) {
        return Some(Finding::new(
            &*file.path,
            "is not the name of a release note",
            "call it <slug>.breaking.md, <slug>.feature.md or <slug>.fix.md, the slug in lower case with dashes",
        ));
    }
    let empty = file.text.as_ref().is_none_or(|text| text.trim().is_empty());
    empty.then(|| {
        Finding::new(
            &*file.path,
            "is empty",
            "say what changed, who is affected, and what to do",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(paths: &[&str]) -> Vec<String> {
        let files: Vec<_> = paths
            .iter()
            .map(|path| SourceFile {
                path: (*path).into(),
                text: Some("Text.".into()),
            })
            .collect();
        check(&files).into_iter().map(|f| f.place).collect()
    }

    #[test]
    fn the_prescribed_top_level_is_in_order() {
        let sound = [
            "Cargo.toml",
            "Cargo.lock",
            "README.md",
            "LICENSE",
            ".gitignore",
            ".ci/run",
            "ops/docs/style.md",
        ];
        assert_eq!(places(&sound), [""; 0]);
    }

    #[test]
    fn an_entry_outside_the_prescribed_top_level_is_found_once() {
        assert_eq!(
            places(&["docs/a.md", "docs/b.md", "deny.toml", "gateway/x"]),
            ["deny.toml", "docs"]
        );
    }

    #[test]
    fn release_notes_have_a_slug_and_a_kind() {
        let unreleased = |name: &str| format!("{NOTES}{name}");
        for sound in [
            "http-api.feature.md",
            "smpp-34.fix.md",
            "x.breaking.md",
            ".gitkeep",
        ] {
            assert_eq!(places(&[&unreleased(sound)]), [""; 0], "{sound}");
        }
        for planted in [
            "http-api.md",
            "http api.feature.md",
            "HTTP.fix.md",
            "x.feature.txt",
            "x.change.md",
            "a/x.fix.md",
            "_.fix.md",
        ] {
            let found = places(&[&unreleased(planted)]);
            assert_eq!(found.len(), 1, "{planted}");
        }
    }

    #[test]
    fn an_empty_release_note_is_found() {
        let file = SourceFile {
            path: format!("{NOTES}x.fix.md"),
            text: Some(" \n".into()),
        };
        assert_eq!(check(&[file]).len(), 1);
    }
}
