//! Rules about the text of single files: the header, the length, and what may not be written down.

use super::{Finding, SourceFile};

const LONGEST: usize = 600;

/// Files that may be longer than `LONGEST`, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Endings of the files that people write and read as code.
const CODE: &[&str] = &[".rs", ".js", ".py", ".sh"];

/// Hosts of package registries, in pieces so that this file does not hold them. The project names packages; where they
/// come from is the business of whoever builds it.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("debian", ".org"),
];

/// Directories that exist on one machine only, in pieces for the same reason.
const MACHINE_DIRECTORIES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Files whose text is not ours to word.
const NOT_OURS: &[&str] = &["Cargo.lock", "LICENSE"];

/// Checks every text file; `homes` are home directories of this machine, which no file may name.
pub(super) fn check(files: &[SourceFile], homes: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(text) = &file.text else {
            if file.path.ends_with(".rs") {
                findings.push(Finding::new(&*file.path, "not UTF-8", "save it as UTF-8"));
            }
            continue;
        };
        if file.path.ends_with(".rs") {
            findings.extend(header(&file.path, text));
        }
        if CODE.iter().any(|ending| file.path.ends_with(ending)) {
            findings.extend(length(&file.path, text, LONG_FILES));
        }
        if !NOT_OURS.contains(&file.path.as_str()) {
            findings.extend(places(&file.path, text, homes));
        }
    }
    findings
}

fn header(path: &str, text: &str) -> Option<Finding> {
    let first = text.lines().next().unwrap_or("").trim();
    let says_something = first
        .strip_prefix("//!")
        .is_some_and(|rest| !rest.trim().is_empty());
    (!says_something).then(|| {
        Finding::new(
            path,
            "does not open with `//!`",
            "say on the first line what the file is for, then what it must not know and the invariant it keeps",
        )
    })
}

fn length(path: &str, text: &str, exempt: &[(&str, &str)]) -> Option<Finding> {
    let lines = text.lines().count();
    if lines <= LONGEST || exempt.iter().any(|(listed, _)| *listed == path) {
        return None;
    }
    Some(Finding::new(
        path,
        format!("{lines} lines, more than {LONGEST}"),
        "split it by duty, or list it with a reason in LONG_FILES in ops/xtask/src/tidy/text.rs",
    ))
}

fn places(path: &str, text: &str, homes: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        let mut directories = MACHINE_DIRECTORIES
            .iter()
            .copied()
            .chain(homes.iter().map(String::as_str));
        if let Some(directory) = directories.find(|directory| names_directory(line, directory)) {
            findings.push(Finding::new(
                &*place,
                format!("names a directory of one machine ({directory})"),
                "write it relative to the root of the project, or take it from the environment",
            ));
        }
        if let Some(host) = REGISTRY_HOSTS
            .iter()
            .find(|host| line.to_ascii_lowercase().contains(**host))
        {
            findings.push(Finding::new(
                &*place,
                format!("names the host of a package registry ({host})"),
                "name the package and its version; registries are set where the project is built",
            ));
        }
    }
    findings
}

/// Whether a line has an absolute path that starts with `directory`; the end of a longer path or an address is none.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, found)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        let after = line.get(at + found.len()..).and_then(|s| s.chars().next());
        let whole = found.ends_with('/') || after.is_none_or(|c| !(c.is_alphanumeric() || "_-.".contains(c)));
        whole && before.is_none_or(|c| !(c.is_alphanumeric() || "_-./}~".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrongs(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile {
            path: path.into(),
            text: Some(text.into()),
        };
        check(&[file], &["/usr/people/ann".to_owned()])
            .into_iter()
            .map(|f| format!("{}: {}", f.place, f.wrong))
            .collect()
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(
            wrongs("a.rs", "// A comment.\n//! Late.\n"),
            ["a.rs: does not open with `//!`"]
        );
        assert_eq!(wrongs("a.rs", ""), ["a.rs: does not open with `//!`"]);
        assert_eq!(wrongs("a.rs", "//!\n"), ["a.rs: does not open with `//!`"]);
        assert_eq!(wrongs("a.rs", "//! What it is for.\n"), [""; 0]);
    }

    #[test]
    fn a_file_over_600_lines_is_found_unless_listed() {
        let long = format!("//! Long.\n{}", "\n".repeat(600));
        assert_eq!(wrongs("a.rs", &long), ["a.rs: 601 lines, more than 600"]);
        assert_eq!(wrongs("a.rs", &long[..long.len() - 1]), [""; 0]);
        assert_eq!(length("a.rs", &long, &[("a.rs", "a table")]), None);
        assert_eq!(wrongs("a.md", &long), [""; 0]);
    }

    #[test]
    fn directories_of_one_machine_are_found() {
        let planted = ["wo", "ro", "ho"].iter().zip(["rk", "ot", "me"]);
        for (first, second) in planted {
            let text = format!("fine\nsee /{first}{second}/x for it\n");
            assert_eq!(
                wrongs("a.md", &text),
                [format!(
                    "a.md:2: names a directory of one machine (/{first}{second}/)"
                )]
            );
        }
        assert_eq!(wrongs("a.md", "in /usr/people/ann/x").len(), 1);
        assert_eq!(wrongs("a.md", "in /usr/people/anna"), [""; 0]);
    }

    #[test]
    fn the_end_of_a_longer_path_is_no_machine_directory() {
        assert_eq!(
            wrongs("a.md", &format!("target/{}x and $DIR/{0}", concat!("wo", "rk/"))),
            [""; 0]
        );
    }

    #[test]
    fn registry_hosts_are_found_outside_the_lock_file() {
        for host in REGISTRY_HOSTS {
            assert_eq!(
                wrongs(
                    "a.toml",
                    &format!("url = \"https://index.{}/\"", host.to_uppercase())
                )
                .len(),
                1,
                "{host}"
            );
            assert_eq!(wrongs("Cargo.lock", host), [""; 0]);
        }
    }

    #[test]
    fn each_long_file_has_a_reason() {
        assert!(LONG_FILES.iter().all(|(_, reason)| !reason.is_empty()));
    }
}
