//! `cargo xtask dist`: the binary that is shipped, built and laid out with profiles of the gateway at work.
//!
//! ```text
//! instrumented build ─▶ smsgw bench ─▶ llvm-profdata ─▶ build: branches, inlining      ─┐
//!          ┌────────────────────────────────────────────────────────────────────────────┘
//!          └─▶ instrumented by llvm-bolt ─▶ smsgw bench ─▶ llvm-bolt: what runs together lies together, C and assembly too
//! ```
//! Rust and C (SQLite, jemalloc) are built by one LLVM, so one profile is of both. An instrumented binary is gateway and peers of the benchmark. Everything lies under `target/dist`. Invariant: a binary is only
//! put there when the load came from a gateway that lost nothing, since a case that fails ends the task, and once it has gone
//! through the same load itself.

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

/// How `llvm-bolt` lays out: blocks and functions by how often one follows the other, what never ran apart from the rest, equal
/// functions once.
const LAYOUT: [&str; 7] = [
    "-reorder-blocks=ext-tsp",
    "-reorder-functions=cdsort",
    "-split-functions",
    "-split-all-cold",
    "-split-eh",
    "-icf=1",
    "-use-gnu-stack",
];

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let rustc = Rustc::ask(root)?;
    let [profdata, bolt, merge_fdata] =
        ["llvm-profdata", "llvm-bolt", "merge-fdata"].map(|tool| tool_of(&rustc, tool));
    let (profdata, bolt, merge_fdata) = (profdata?, bolt?, merge_fdata?);
    let compilers = Compilers {
        clang: tool_of(&rustc, "clang")?,
        rustc,
    };
    let place = target_directory(root).join("dist");
    let (counted, walked, optimised) = (place.join("counted"), place.join("walked"), place.join("build"));
    // cargo does not see that the counts are others, and would keep what it built with the last ones.
    for old in [&counted, &walked, &optimised] {
        if old.exists() {
            std::fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
        }
    }

    println!("==> a binary that counts");
    let counting = compilers.build(root, &place.join("counting"), "profile-generate", &counted)?;
    work(&counting, &options.duration)?;
    let profile = place.join("smsgw.profdata");
    succeed(
        Command::new(&profdata)
            .args(["merge", "--output"])
            .args([&profile, &counted]),
    )?;

    println!("==> the binary, by what was counted");
    let built = compilers.build(root, &optimised, "profile-use", &profile)?;

    println!("==> a binary that tells its way");
    std::fs::create_dir_all(&walked).with_context(|| walked.display().to_string())?;
    let walking = walked.join("smsgw");
    let way = walked.join("way");
    succeed(
        Command::new(&bolt)
            .arg(&built)
            .args(["-instrument", "--instrumentation-file-append-pid"])
            .arg(format!("--instrumentation-file={}", way.display()))
            .arg("-o")
            .arg(&walking),
    )?;
    work(&walking, &options.duration)?;
    let ways = files_that_begin(&walked, "way.")?;
    ensure!(!ways.is_empty(), "no process has told its way");
    let merged = walked.join("merged.fdata");
    succeed(Command::new(&merge_fdata).arg("-o").arg(&merged).args(&ways))?;

    println!("==> the binary, laid out");
    let laid_out = walked.join("laid-out");
    let data = format!("-data={}", merged.display());
    succeed(
        Command::new(&bolt)
            .arg(&built)
            .arg(data)
            .args(LAYOUT)
            .arg("-update-debug-sections")
            .arg("-o")
            .arg(&laid_out),
    )?;
    work(&laid_out, &options.duration)?;
    let binary = place.join("smsgw");
    std::fs::copy(&laid_out, &binary).with_context(|| binary.display().to_string())?;
    println!("{}", binary.display());
    Ok(())
}

/// A binary goes through every case, as gateway and as its peers.
fn work(binary: &Path, duration: &str) -> anyhow::Result<()> {
    for case in CASES {
        println!("==> at work: {case}");
        succeed(Command::new(binary).args(["bench", "--case", case, "--duration", duration]))?;
    }
    Ok(())
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let what = format!("{command:?}");
    let status = command.status().with_context(|| what.clone())?;
    ensure!(status.success(), "{what} failed: {status}");
    Ok(())
}

fn files_that_begin(directory: &Path, with: &str) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| directory.display().to_string())?;
        if entry.file_name().to_string_lossy().starts_with(with) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// What builds Rust, and what builds the C of libraries. Profiles are of one version of LLVM.
struct Compilers {
    rustc: Rustc,
    clang: PathBuf,
}

impl Compilers {
    /// With a named target, the flags stay away from build scripts and macros, which only the compiler runs.
    fn build(&self, root: &Path, place: &Path, flag: &str, value: &Path) -> anyhow::Result<PathBuf> {
        let host = &self.rustc.host;
        let (of_host, value) = (host.replace('-', "_"), value.display());
        let built = cargo()
            .current_dir(root)
            .args([
                "rustc",
                "--release",
                "--locked",
                "--package",
                "smsgw-daemon",
                "--bin",
                "smsgw",
            ])
            .args(["--target", host, "--target-dir"])
            .arg(place)
            // Functions can only be moved where the linker has left what refers to them.
            .args(["--", "-Clink-arg=-Wl,--emit-relocs"])
            .env("CARGO_ENCODED_RUSTFLAGS", format!("-C{flag}={value}"))
            .env(format!("CC_{of_host}"), &self.clang)
            .env(format!("CFLAGS_{of_host}"), format!("-f{flag}={value}"))
            .status()
            .context("cargo cannot be started")?;
        ensure!(built.success(), "the build failed");
        Ok(place.join(host).join("release/smsgw"))
    }
}

/// A tool of the compiler's own LLVM, because what they read changes with it.
fn tool_of(rustc: &Rustc, name: &str) -> anyhow::Result<PathBuf> {
    let variable = name.to_uppercase().replace('-', "_");
    if let Some(named) = std::env::var_os(&variable) {
        return Ok(named.into());
    }
    let places = [
        rustc
            .sysroot
            .join("lib/rustlib")
            .join(&rustc.host)
            .join("bin")
            .join(name),
        PathBuf::from(format!("/usr/lib/llvm-{}/bin/{name}", rustc.llvm)),
    ];
    match places.iter().find(|place| place.is_file()) {
        Some(found) => Ok(found.clone()),
        None => bail!(
            "{name} of LLVM {llvm} is not installed: the packages llvm-{llvm}, bolt-{llvm}, clang-{llvm} and libclang-rt-{llvm}-dev have it; {variable} names it elsewhere",
            llvm = rustc.llvm
        ),
    }
}
