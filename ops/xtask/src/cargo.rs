//! What several tasks ask cargo and rustc: how it is called, for which machine it builds, and where to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The cargo that started this task, or the one in the path.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo builds: tests find the peers beside it.
pub(crate) fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |directory| root.join(directory))
}

/// The compiler that cargo uses in `root`, and what it says of itself.
#[derive(Debug)]
pub(crate) struct Rustc {
    /// The machine it runs on, as `x86_64-unknown-linux-gnu`.
    pub(crate) host: String,
    /// Major version of the LLVM inside.
    pub(crate) llvm: u32,
    /// Where it is installed.
    pub(crate) sysroot: PathBuf,
}

impl Rustc {
    pub(crate) fn ask(root: &Path) -> anyhow::Result<Self> {
        let ask = |arguments: &[&str]| -> anyhow::Result<String> {
            let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
            let answer = Command::new(rustc)
                .current_dir(root)
                .args(arguments)
                .output()
                .context("rustc cannot be started")?;
            ensure!(answer.status.success(), "rustc {} failed", arguments.join(" "));
            Ok(String::from_utf8(answer.stdout)?)
        };
        let (host, llvm) = parse(&ask(&["--version", "--verbose"])?)?;
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim_end());
        Ok(Self { host, llvm, sysroot })
    }
}

fn parse(version: &str) -> anyhow::Result<(String, u32)> {
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
    let host = field("host: ").context("rustc does not name its host")?;
    let llvm = field("LLVM version: ").and_then(|version| version.split('.').next()?.parse().ok());
    Ok((
        host.to_owned(),
        llvm.context("rustc does not name the version of its LLVM")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_is_understood() {
        let version = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                       release: 1.95.0\nLLVM version: 22.1.2\n";
        assert_eq!(
            parse(version).unwrap(),
            ("x86_64-unknown-linux-gnu".to_owned(), 22)
        );
        assert!(parse("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n").is_err());
    }
}
