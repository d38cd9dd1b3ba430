//! What the tests need from outside, installed once and found again fast.
//!
//! - Debian packages: programs, asked for by the name of one they bring.
//! - Peers from the npm registry and PyPI, with exact versions and hashes, under `target/peers`. A stamp beside each
//!   holds the text of the files it was installed from: a change there installs anew.
//! - Cargo tools, with pinned versions; one that is there already is used as it is.
//!
//! Without the right to install packages, or with `--no-install`, it says everything that is missing at once.

use std::path::Path;

use anyhow::{Context, bail};

use super::Place;
use super::command::{Tool, find};

/// Programs and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("make", "make"),
    ("git", "git"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("tshark", "tshark"),
    ("strace", "strace"),
    ("sqlite3", "sqlite3"),
    // The server's own programs are out of the path; this one comes with them.
    ("pg_ctlcluster", "postgresql"),
    ("bearerbox", "kannel"),
];

/// The crates whose programs are steps of the run.
const CARGO_TOOLS: &[(&str, &str, &[&str])] = &[
    (
        "cargo-nextest",
        "0.9.143",
        &["--no-default-features", "--features", "default-no-update"],
    ),
    ("cargo-deny", "0.20.2", &["--no-default-features"]),
];

/// A set of peers installed from files in `ops/peers` into one directory under the peers.
#[derive(Debug)]
struct Peers {
    directory: &'static str,
    sources: &'static [&'static str],
    install: fn(&Place, &Path) -> anyhow::Result<()>,
}

const PEERS: &[Peers] = &[
    Peers {
        directory: "npm",
        sources: &["package.json", "package-lock.json", ".npmrc"],
        install: install_npm,
    },
    Peers {
        directory: "venv",
        sources: &["requirements.txt", "requirements-source.txt"],
        install: install_python,
    },
    Peers {
        directory: "schemathesis",
        sources: &["requirements-schemathesis.txt"],
        install: install_schemathesis,
    },
];

const STAMP: &str = "installed-from";

pub(super) fn run(place: &Place, no_install: bool) -> anyhow::Result<()> {
    let programs = missing_programs();
    let peers: Vec<&Peers> = PEERS.iter().filter(|peers| !is_current(place, peers)).collect();
    let tools: Vec<_> = CARGO_TOOLS
        .iter()
        .filter(|(name, _, _)| find(name).is_none())
        .collect();

    if no_install {
        let mut missing: Vec<String> = programs
            .iter()
            .map(|(program, package)| format!("{program} (Debian package {package})"))
            .collect();
        missing.extend(
            peers
                .iter()
                .map(|p| format!("{} (from ops/peers)", place.peers.join(p.directory).display())),
        );
        missing.extend(
            tools
                .iter()
                .map(|(name, version, _)| format!("{name} (crate, version {version})")),
        );
        if missing.is_empty() {
            println!("everything is there");
            return Ok(());
        }
        bail!(
            "missing: {}; run `cargo xtask test` without --no-install",
            missing.join(", ")
        );
    }

    if !programs.is_empty() {
        install_packages(&programs)?;
    }
    for peers in peers {
        install_peers(place, peers)
            .with_context(|| format!("failed to install the {} peers", peers.directory))?;
    }
    for (name, version, options) in tools {
        install_tool(place, name, version, options).with_context(|| format!("failed to install {name}"))?;
    }
    Ok(())
}

fn missing_programs() -> Vec<(&'static str, &'static str)> {
    let mut missing: Vec<_> = PROGRAMS
        .iter()
        .copied()
        .filter(|(program, _)| find(program).is_none())
        .collect();
    // Debian ships Python without the module that makes environments.
    if find("python3").is_some()
        && !Tool::new("python3")
            .args(&["-c", "import ensurepip, venv"])
            .succeeds()
    {
        missing.push(("python3 -m venv", "python3-venv"));
    }
    missing
}

fn install_packages(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let packages: Vec<&str> = programs.iter().map(|(_, package)| *package).collect();
    let by_hand = format!("install these Debian packages by hand: {}", packages.join(" "));
    if find("apt-get").is_none() {
        bail!("this is not a Debian system; {by_hand}");
    }
    if !Tool::new("sh").args(&["-c", "test \"$(id -u)\" = 0"]).succeeds() {
        bail!("installing packages needs root; {by_hand}");
    }
    println!("installing Debian packages: {}", packages.join(" "));
    let apt = |args: &[&str]| {
        Tool::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stream()
    };
    apt(&["-q", "update"])?;
    let mut args = vec!["-q", "install", "-y", "--no-install-recommends"];
    args.extend(&packages);
    apt(&args).context(by_hand)?;
    let still: Vec<_> = missing_programs()
        .into_iter()
        .map(|(program, _)| program)
        .collect();
    if !still.is_empty() {
        bail!("installed, but still not found: {}", still.join(", "));
    }
    Ok(())
}

/// The text of the files a set of peers is installed from.
fn sources(place: &Place, peers: &Peers) -> anyhow::Result<String> {
    let mut all = String::new();
    for name in peers.sources {
        let file = place.root.join("ops/peers").join(name);
        all.push_str(
            &std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?,
        );
    }
    Ok(all)
}

fn is_current(place: &Place, peers: &Peers) -> bool {
    let stamp = std::fs::read_to_string(place.peers.join(peers.directory).join(STAMP));
    matches!((stamp, sources(place, peers)), (Ok(stamp), Ok(sources)) if stamp == sources)
}

fn install_peers(place: &Place, peers: &Peers) -> anyhow::Result<()> {
    let directory = place.peers.join(peers.directory);
    println!("installing peers into {}", directory.display());
    if directory.exists() {
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("failed to empty {}", directory.display()))?;
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("failed to make {}", directory.display()))?;
    for name in peers.sources {
        std::fs::copy(place.root.join("ops/peers").join(name), directory.join(name))
            .with_context(|| format!("failed to copy {name}"))?;
    }
    (peers.install)(place, &directory)?;
    // Last: half an installation has no stamp.
    std::fs::write(directory.join(STAMP), sources(place, peers)?).context("failed to write the stamp")
}

/// Exactly what the lock file says, and no script of a package runs.
fn install_npm(_: &Place, directory: &Path) -> anyhow::Result<()> {
    Tool::new("npm")
        .args(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .directory(directory)
        .stream()
}

/// Built packages first, then the few that are published as source only, built by the setuptools among the former: pip
/// would otherwise fetch whatever is newest to build with. Each has its hash, and nothing comes that is not listed.
fn install_python(_: &Place, directory: &Path) -> anyhow::Result<()> {
    Tool::new("python3")
        .args(&["-m", "venv", "."])
        .directory(directory)
        .stream()?;
    let pip = |args: &[&str]| {
        Tool::new(directory.join("bin/python"))
            .args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(&["--require-hashes"])
            .args(args)
            .directory(directory)
            .stream()
    };
    pip(&["--only-binary", ":all:", "--requirement", "requirements.txt"])?;
    pip(&[
        "--no-binary",
        ":all:",
        "--no-build-isolation",
        "--no-deps",
        "--requirement",
        "requirements-source.txt",
    ])
}

/// An environment of its own: what it stands on is none of the peers' business.
fn install_schemathesis(_: &Place, directory: &Path) -> anyhow::Result<()> {
    Tool::new("python3")
        .args(&["-m", "venv", "."])
        .directory(directory)
        .stream()?;
    Tool::new(directory.join("bin/python"))
        .args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(&["--require-hashes", "--only-binary", ":all:"])
        .args(&["--requirement", "requirements-schemathesis.txt"])
        .directory(directory)
        .stream()
}

/// Compiles a cargo tool for use, not for speed: what it does takes a second, its optimised build takes minutes.
fn install_tool(place: &Place, name: &str, version: &str, options: &[&str]) -> anyhow::Result<()> {
    println!("compiling {name} {version}, once: this takes minutes");
    place
        .cargo(&["install", "--locked", "--debug", "--version", version, name])
        .args(options)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_INCREMENTAL", "0")
        .stream()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_current_until_their_sources_change() {
        fn nothing(_: &Place, _: &Path) -> anyhow::Result<()> {
            Ok(())
        }
        let root = std::env::temp_dir().join(format!("xtask-install-{}", std::process::id()));
        let place = Place {
            root: root.clone(),
            peers: root.join("peers"),
        };
        let peers = Peers {
            directory: "some",
            sources: &["list.txt"],
            install: nothing,
        };
        std::fs::create_dir_all(root.join("ops/peers")).unwrap();
        std::fs::write(root.join("ops/peers/list.txt"), "a 1").unwrap();

        assert!(!is_current(&place, &peers));
        install_peers(&place, &peers).unwrap();
        assert!(is_current(&place, &peers));
        std::fs::write(root.join("ops/peers/list.txt"), "a 2").unwrap();
        assert!(!is_current(&place, &peers));

        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn half_an_installation_is_not_current() {
        fn fails(_: &Place, _: &Path) -> anyhow::Result<()> {
            bail!("no")
        }
        let root = std::env::temp_dir().join(format!("xtask-half-{}", std::process::id()));
        let place = Place {
            root: root.clone(),
            peers: root.join("peers"),
        };
        let peers = Peers {
            directory: "some",
            sources: &["list.txt"],
            install: fails,
        };
        std::fs::create_dir_all(root.join("ops/peers")).unwrap();
        std::fs::write(root.join("ops/peers/list.txt"), "a 1").unwrap();

        assert!(install_peers(&place, &peers).is_err());
        assert!(!is_current(&place, &peers));

        std::fs::remove_dir_all(&root).unwrap();
    }
}
