//! Command line, files and values say the same.

use super::*;
use clap::{CommandFactory, Parser};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: SmscOptions,
}

fn line(text: &str) -> SmscOptions {
    Line::try_parse_from(std::iter::once("sim").chain(text.split_whitespace()))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .options
}

#[test]
fn the_command_line_has_the_same_defaults() {
    assert_eq!(line(""), SmscOptions::default());
    assert_eq!(
        serde_json::from_str::<SmscOptions>("{}").unwrap(),
        SmscOptions::default()
    );
}

#[test]
fn every_switch_has_a_help_line() {
    for argument in Line::command().get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.len() > 10, "{}: {help:?}", argument.get_id());
    }
}

#[test]
fn options_are_read_from_the_command_line_and_from_files() {
    let options = line(
        "--answer-delay 50ms --reject suffix:000=0x0b --reject share:0.5=8 --states undeliv=0.25,acked=0.25 \
         --ids hex-then-decimal --receipt-first --receipt-text bare --receipt-zone -300 --wrong-password-status 0x0d \
         --intermediate enroute,buffred --receipt-esm-class 0x44 --congestion 80",
    );
    assert_eq!(options.answer_delay, Duration::from_millis(50));
    assert_eq!((options.reject.len(), options.states.len()), (2, 2));
    assert_eq!(
        (options.receipt.zone, options.binds.wrong_password_status),
        (-300, 0x0d)
    );
    let text = serde_json::to_string(&options).unwrap();
    assert_eq!(serde_json::from_str::<SmscOptions>(&text).unwrap(), options);
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("options.json", text),
        ("options.toml", toml::to_string(&options).unwrap()),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(SmscOptions::read(&path).unwrap(), options, "{name}");
    }
}

#[test]
fn unknown_options_and_wrong_values_are_refused() {
    assert!(serde_json::from_str::<SmscOptions>(r#"{"answer_dely":"1s"}"#).is_err());
    assert!(serde_json::from_str::<SmscOptions>(r#"{"receipt":{"txt":"bare"}}"#).is_err());
    assert!(Line::try_parse_from(["sim", "--reject", "suffix:000=0"]).is_err());
    let path = std::path::Path::new("/absent.toml");
    assert!(
        SmscOptions::read(path)
            .unwrap_err()
            .to_string()
            .contains("/absent.toml")
    );
}

#[test]
fn a_change_leaves_the_rest_as_it_was() {
    let options = line("--throttle 5 --receipt-text bare --receipt-dates seconds");
    let changes = serde_json::json!({"throttle": 9, "receipt": {"text": "padded"}});
    let changed = options.with(&changes).unwrap();
    assert_eq!(
        changed,
        line("--throttle 9 --receipt-text padded --receipt-dates seconds")
    );
    assert!(options.with(&serde_json::json!({"trottle": 9})).is_err());
}

#[test]
fn the_command_line_counts_before_the_file() {
    let given = line("--throttle 9 --receipt-text padded");
    let expected = serde_json::json!({"throttle": 9, "receipt": {"text": "padded"}});
    assert_eq!(given.differences().unwrap(), expected);
    let file = line("--throttle 5 --receipt-dates seconds");
    assert_eq!(
        file.with(&expected).unwrap(),
        line("--throttle 9 --receipt-text padded --receipt-dates seconds")
    );
}

#[test]
fn the_page_of_the_simulator_names_every_switch() {
    #[derive(Parser)]
    struct Phones {
        #[command(flatten)]
        batch: super::super::mo::MoBatch,
    }
    let page = include_str!("../../../../docs/simulator.md");
    for command in [Line::command(), Phones::command()] {
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap_or("help");
            let at_end =
                |tail: &str| tail.starts_with(|next: char| !next.is_ascii_alphanumeric() && next != '-');
            let named = page
                .match_indices(&format!("--{name}"))
                .any(|(at, found)| at_end(page.get(at + found.len()..).unwrap_or_default()));
            assert!(
                named || name == "help",
                "--{name} is not in ops/docs/simulator.md"
            );
        }
    }
}
