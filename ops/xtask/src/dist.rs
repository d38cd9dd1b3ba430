//! `cargo xtask dist`: the binary that is shipped, built with a profile of the gateway at work.
//!
//! An instrumented binary goes through the cases of `smsgw bench`, once as gateway and once as each of its peers; what it counted
//! tells the compiler which branches are taken, what to inline and what to keep out of the way. Everything lies under
//! `target/dist`. Invariant: the optimised binary is only put there when the load came from a gateway that lost nothing, since
//! a case that fails ends the task.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::cargo::{Rustc, cargo, target_directory};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each case of the benchmark runs on the instrumented binary.
    #[arg(long, default_value = "6s")]
    duration: String,
}

/// What a gateway is for; the two cases about windows mostly wait.
const CASES: [&str; 4] = ["mt", "report", "smpp", "mo"];

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let rustc = Rustc::ask(root)?;
    let llvm_profdata = llvm_profdata(&rustc)?;
    let place = target_directory(root).join("dist");
    let (counted, optimised) = (place.join("counted"), place.join("build"));
    // cargo does not see that the counts are others, and would keep what it built with the last ones.
    for old in [&counted, &optimised] {
        if old.exists() {
            std::fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
        }
    }

    println!("==> a binary that counts");
    let flag = format!("-Cprofile-generate={}", counted.display());
    let counting = build(root, &rustc, &place.join("counting"), &flag)?;
    for case in CASES {
        println!("==> what it does: {case}");
        let ran = Command::new(&counting)
            .args(["bench", "--case", case, "--duration", &options.duration])
            .status();
        let ran = ran.with_context(|| counting.display().to_string())?;
        ensure!(ran.success(), "the case {case} failed");
    }
    let profile = place.join("smsgw.profdata");
    let merged = Command::new(&llvm_profdata)
        .args(["merge", "--output"])
        .args([&profile, &counted])
        .status();
    ensure!(
        merged
            .with_context(|| llvm_profdata.display().to_string())?
            .success(),
        "{} cannot merge what was counted",
        llvm_profdata.display()
    );

    println!("==> the binary");
    let flag = format!("-Cprofile-use={}", profile.display());
    let built = build(root, &rustc, &optimised, &flag)?;
    let binary = place.join("smsgw");
    std::fs::copy(&built, &binary).with_context(|| binary.display().to_string())?;
    let version = Command::new(&binary).arg("--version").output();
    let version = version.with_context(|| binary.display().to_string())?;
    ensure!(version.status.success(), "the binary does not start");
    print!(
        "{}: {}",
        binary.display(),
        String::from_utf8_lossy(&version.stdout)
    );
    Ok(())
}

fn build(root: &Path, rustc: &Rustc, place: &Path, flag: &str) -> anyhow::Result<PathBuf> {
    // With a named target, the flags stay away from build scripts and macros, which only the compiler runs.
    let built = cargo()
        .current_dir(root)
        .args(["build", "--release", "--locked", "--package", "smsgw-daemon"])
        .args(["--target", &rustc.host, "--target-dir"])
        .arg(place)
        .env("CARGO_ENCODED_RUSTFLAGS", flag)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the build failed");
    Ok(place.join(&rustc.host).join("release/smsgw"))
}

/// The tool that merges counts: of the compiler's own LLVM, because its format changes with it.
fn llvm_profdata(rustc: &Rustc) -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("LLVM_PROFDATA") {
        return Ok(named.into());
    }
    let places = [
        rustc
            .sysroot
            .join("lib/rustlib")
            .join(&rustc.host)
            .join("bin/llvm-profdata"),
        PathBuf::from(format!("/usr/lib/llvm-{}/bin/llvm-profdata", rustc.llvm)),
    ];
    match places.iter().find(|place| place.is_file()) {
        Some(found) => Ok(found.clone()),
        None => bail!(
            "llvm-profdata of LLVM {llvm} is not installed: `rustup component add llvm-tools`, or the package llvm-{llvm}; \
             LLVM_PROFDATA names it elsewhere",
            llvm = rustc.llvm
        ),
    }
}
