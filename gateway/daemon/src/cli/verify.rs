//! `smsgw verify`: what is wrong with a data directory, in words, and putting it right.

use super::judge::Decoder;
use super::offline::{bar, directory, explain, show, words};
use super::progress::Unit;
use crate::boot;
use crate::exit::Exit;
use clap::Args;
use serde_json::{Value, json};
use smsgw_engine_embedded::offline::{Repaired, Report, Weight, repair, verify};
use smsgw_queue::transfer::Totals;
use std::path::{Path, PathBuf};

/// Check the data directory of a gateway that is stopped, and repair it.
///
/// Reads everything: journals, tables, every record and value, what says where each record is and when each value ends,
/// logs and their readers. Without --repair it changes nothing but what every start does first: what was written in the
/// last seconds before a kill goes to its place. The exit code is 0 when nothing is wrong, 1 when something is, 73 when
/// something cannot be read back, 75 while a gateway runs in the directory.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The data directory.
    #[arg(
        value_name = "DIR",
        required_unless_present = "config",
        conflicts_with = "config"
    )]
    dir: Option<PathBuf>,
    /// The configuration file that names the data directory.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Put right what can be put right. The old store is kept in a directory `damaged-<time>` beside it, and room for a
    /// second copy is needed. The exit code is 0 when nothing was lost, and 1 when something was, which is named.
    #[arg(long)]
    repair: bool,
    /// Print one JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: VerifyOptions) -> Exit {
    let dir = match directory(options.dir, options.config) {
        Ok(dir) => dir,
        Err(exit) => return exit,
    };
    let now = boot::clock().now();
    let mut bar = bar(Unit::Things, options.json);
    let mut progress = |done| show(&mut bar, done, None);
    if options.repair {
        let repaired = repair(&dir, &Decoder, now, &mut progress);
        drop(bar);
        return match repaired {
            Ok(repaired) => tell_repaired(&dir, &repaired, options.json),
            Err(error) => explain(error),
        };
    }
    let verified = verify(&dir, &Decoder, now, &mut progress);
    drop(bar);
    match verified {
        Ok(report) => {
            if options.json {
                println!("{}", as_json(&dir, &report));
            } else {
                tell(&dir, &report, true);
            }
            match report.worst() {
                None | Some(Weight::Note) => Exit::Stopped,
                Some(Weight::Wrong) => Exit::Found,
                Some(Weight::Loss) => Exit::Data,
            }
        }
        Err(error) => explain(error),
    }
}

fn totals(report: &Report) -> Totals {
    Totals {
        holds: 0,
        records: report.records,
        values: report.values,
        logs: report.logs,
        entries: report.entries,
        octets: report.octets,
    }
}

fn tell(dir: &Path, report: &Report, advise: bool) {
    println!("{}: {}", dir.display(), words(&totals(report)));
    for finding in report.findings() {
        let times = match finding.count {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        println!("\n{} {}, {times}", finding.weight.as_str(), finding.code);
        println!("  {}", finding.meaning);
        for example in &finding.examples {
            println!("  - {example}");
        }
        let more = finding
            .count
            .saturating_sub(u64::try_from(finding.examples.len()).unwrap_or(u64::MAX));
        if more > 0 {
            println!("  - and {more} more");
        }
    }
    if report.is_clean() {
        println!("nothing is wrong");
    } else if advise {
        println!(
            "\nsomething is wrong. Copy the directory, then: smsgw verify --repair {}",
            dir.display()
        );
    }
}

fn tell_repaired(dir: &Path, repaired: &Repaired, as_one_object: bool) -> Exit {
    let Repaired {
        report,
        aside,
        kept,
        lost,
    } = repaired;
    let undone = aside.is_none() && !report.is_clean();
    if as_one_object {
        let mut object = as_json(dir, report);
        if let Value::Object(fields) = &mut object {
            fields.insert("repaired".to_owned(), json!(aside.is_some()));
            fields.insert(
                "aside".to_owned(),
                json!(aside.as_ref().map(|aside| aside.display().to_string())),
            );
            fields.insert("lost".to_owned(), json!(lost));
        }
        println!("{object}");
    } else {
        tell(dir, report, false);
        match aside {
            Some(aside) => {
                println!("\nrepaired. The directory holds {}", words(kept));
                println!("what was there before is kept in {}", aside.display());
            }
            None if undone => println!("\nnothing was repaired: this needs a person"),
            None => {}
        }
        for what in lost {
            println!("lost: {what}");
        }
    }
    if undone {
        Exit::Data
    } else if lost.is_empty() {
        Exit::Stopped
    } else {
        Exit::Found
    }
}

fn as_json(dir: &Path, report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings()
        .into_iter()
        .map(|finding| {
            json!({
                "code": finding.code,
                "weight": finding.weight.as_str(),
                "count": finding.count,
                "meaning": finding.meaning,
                "examples": finding.examples,
            })
        })
        .collect();
    json!({
        "dir": dir.display().to_string(),
        "clean": report.is_clean(),
        "records": report.records,
        "values": report.values,
        "logs": report.logs,
        "entries": report.entries,
        "octets": report.octets,
        "findings": findings,
    })
}
