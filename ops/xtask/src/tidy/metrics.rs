//! The page of all metrics, written from the definitions in the sources and compared with what is committed.
//!
//! A definition is a `static NAME: Counter = Counter::new("name", "help", &["label"])` with its doc comment above it;
//! what the comment says is what the page says. Pure: text in, text out.

use super::{Finding, SourceFile};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the page stands.
pub(crate) const PAGE: &str = "ops/docs/metrics.md";
const KINDS: [(&str, &str); 3] = [
    ("Counter::new(", "counter"),
    ("Gauge::new(", "gauge"),
    ("Histogram::new(", "histogram"),
];

struct Metric {
    kind: &'static str,
    labels: String,
    meaning: String,
}

/// The page as the sources would have it.
pub(crate) fn page(files: &[SourceFile]) -> String {
    let mut metrics = BTreeMap::new();
    for file in files {
        let Some(text) = file.text.as_deref().filter(|_| defines(&file.path)) else {
            continue;
        };
        for (position, kind) in definitions(text) {
            if let Some((name, metric)) = read(text, position, kind) {
                metrics.insert(name, metric);
            }
        }
    }
    let mut page = String::from(
        "# Metrics\n\nServed on `/metrics` of `[admin] listen`. This page is written by `SMSGW_BLESS=1 cargo xtask tidy` from the\n\
         definitions in the sources. Labels are bounded words: never a phone number, never a message id.\n\n\
         | metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for (name, metric) in metrics {
        let Metric {
            kind,
            labels,
            meaning,
        } = metric;
        writeln!(page, "| `{name}` | {kind} | {labels} | {meaning} |")
            .expect("writing to a String cannot fail");
    }
    page
}

/// Compares, and finds names that two places define: the second one would end the process when it is registered.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut seen = BTreeMap::new();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| defines(&file.path)) {
        let text = file.text.as_deref().unwrap_or_default();
        for (name, _) in definitions(text)
            .into_iter()
            .filter_map(|(position, kind)| read(text, position, kind))
        {
            if let Some(first) = seen.insert(name.clone(), &file.path) {
                let wrong = format!("defines {name}, and so does {first}");
                findings.push(Finding::new(
                    &*file.path,
                    wrong,
                    "one metric has one definition: use the other one",
                ));
            }
        }
    }
    findings.extend(compare(files));
    findings
}

fn compare(files: &[SourceFile]) -> Option<Finding> {
    let there = files
        .iter()
        .find(|file| file.path == PAGE)
        .and_then(|file| file.text.as_deref());
    (there != Some(page(files).as_str())).then(|| {
        Finding::new(
            PAGE,
            "is not what the sources define",
            "run SMSGW_BLESS=1 cargo xtask tidy and commit it",
        )
    })
}

fn defines(path: &str) -> bool {
    path.ends_with(".rs")
        && path.contains("/src/")
        && !path.contains("/telemetry/src/")
        && !path.starts_with("ops/")
        && !path.contains("/tests")
}

fn definitions(text: &str) -> Vec<(usize, &'static str)> {
    KINDS
        .iter()
        .flat_map(|(call, kind)| {
            text.match_indices(call)
                .map(|(at, call)| (at + call.len(), *kind))
        })
        .collect()
}

fn read(text: &str, position: usize, kind: &'static str) -> Option<(String, Metric)> {
    let arguments = text.get(position..)?;
    let end = arguments.find(';')?;
    let strings = strings(arguments.get(..end)?);
    let (name, rest) = strings.split_first()?;
    let (help, labels) = rest.split_first()?;
    if !name.starts_with("smsgw_") {
        return None;
    }
    let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
    let meaning = comment_above(text, position).unwrap_or_else(|| help.clone());
    Some((
        name.clone(),
        Metric {
            kind,
            labels: labels.join(", "),
            meaning: meaning.replace('|', "\\|"),
        },
    ))
}

fn strings(text: &str) -> Vec<String> {
    text.split('"')
        .skip(1)
        .step_by(2)
        .map(|string| {
            string
                .replace("\\\n", "")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

/// The doc comment of the item that holds this position.
fn comment_above(text: &str, position: usize) -> Option<String> {
    let before: Vec<&str> = text.get(..position)?.lines().collect();
    let item = before.iter().rposition(|line| line.contains("static "))?;
    let comment: Vec<&str> = before
        .get(..item)?
        .iter()
        .rev()
        .map_while(|line| line.trim_start().strip_prefix("///"))
        .map(str::trim)
        .collect();
    (!comment.is_empty()).then(|| comment.into_iter().rev().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile {
            path: path.to_owned(),
            text: Some(text.to_owned()),
        }
    }

    const SOURCE: &str = "/// Things that happened.\n/// A rise means trouble.\npub static A: Counter =\n    Counter::new(\"smsgw_a_total\", \"Things.\", &[\"x\", \"y\"]);\nstatic B: Gauge = Gauge::new(\n    \"smsgw_b\",\n    \"Bare.\",\n    &[],\n);\n";

    #[test]
    fn the_page_says_what_the_definitions_say() {
        let files = [file("nodes/x/src/metric.rs", SOURCE)];
        let page = page(&files);
        assert!(
            page.contains(
                "| `smsgw_a_total` | counter | `x`, `y` | Things that happened. A rise means trouble. |"
            ),
            "{page}"
        );
        assert!(page.contains("| `smsgw_b` | gauge |  | Bare. |"), "{page}");
    }

    #[test]
    fn a_page_that_is_old_or_absent_is_a_finding() {
        let source = file("nodes/x/src/metric.rs", SOURCE);
        assert_eq!(check(std::slice::from_ref(&source)).len(), 1);
        let fresh = file(PAGE, &page(std::slice::from_ref(&source)));
        assert_eq!(check(&[source.clone(), fresh.clone()]), []);
        let more = file(
            "nodes/y/src/metric.rs",
            "static C: Counter = Counter::new(\"smsgw_c_total\", \"C.\", &[]);",
        );
        assert_eq!(check(&[source, fresh, more]).len(), 1);
    }

    #[test]
    fn a_name_that_two_places_define_is_a_finding() {
        let files = [
            file("nodes/x/src/metric.rs", SOURCE),
            file("nodes/y/src/metric.rs", SOURCE),
        ];
        let page = file(PAGE, &page(&files));
        let [x, y] = files;
        let findings = check(&[x, y, page]);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
}
