//! The node on real files: what a right file, a wrong file and a watched file do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod changes;
mod faults;
mod lists;
mod orders;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smsgw_node_config::{ConfigNode, FileStamp, Instruction, Outcome, Quiet, RenderStyle, load, watch};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::Instant;

const SECRET: &str = "Tr0ub4dor";

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn gateway(window: u32, name: &str) -> String {
    format!(
        "[node]\nname = \"{name}\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\nsystem_id = \"a\"\n\
         password = \"{SECRET}\"\nwindow = {window}\n"
    )
}

fn window(node: &ConfigNode) -> u32 {
    node.config().config().operator[&"alpha".parse().unwrap()].window
}

#[tokio::test]
async fn a_right_file_is_taken_over_and_subscribers_learn_of_it() {
    let (_folder, path) = file(&gateway(10, "gw1"));
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    let mut epochs = node.config().subscribe();
    assert!(matches!(
        node.handle(Instruction::Reload).await,
        Outcome::Unchanged { epoch: 1, .. }
    ));
    assert!(!epochs.has_changed().unwrap());
    fs::write(&path, gateway(20, "gw1")).unwrap();
    let outcome = node.handle(Instruction::Reload).await;
    let Outcome::Applied {
        epoch: 2,
        diff,
        waiting,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(diff.to_string(), "operator.alpha.window: 10 -> 20 (relink)");
    assert!(waiting.is_empty());
    assert!(epochs.has_changed().unwrap());
    assert_eq!(
        (
            *epochs.borrow_and_update(),
            node.config().current().epoch,
            window(&node)
        ),
        (2, 2, 20)
    );
}

#[tokio::test]
async fn a_wrong_file_changes_nothing_and_names_every_problem() {
    let (_folder, path) = file(&gateway(10, "gw1"));
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    fs::write(&path, gateway(0, "g w")).unwrap();
    let Outcome::Refused { problems } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert_eq!(
        problems.iter().map(|problem| problem.line).collect::<Vec<_>>(),
        [2, 8]
    );
    assert_eq!((node.config().current().epoch, window(&node)), (1, 10));
    fs::remove_file(&path).unwrap();
    let Outcome::Refused { problems } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert!(
        problems[0].to_string().contains("SMSGW-C014: cannot be read"),
        "{}",
        problems[0]
    );
    assert_eq!(window(&node), 10);
}

#[tokio::test]
async fn what_needs_a_restart_waits_and_the_rest_is_taken_over() {
    let (_folder, path) = file(&gateway(10, "gw1"));
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    fs::write(&path, gateway(20, "gw2")).unwrap();
    let Outcome::Applied { waiting, .. } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert_eq!(waiting[0].to_string(), "node.name: \"gw1\" -> \"gw2\" (restart)");
    assert_eq!(
        (node.config().config().node.name.as_str(), window(&node)),
        ("gw1", 20)
    );
    let Outcome::Unchanged { waiting, .. } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert_eq!(waiting.len(), 1);
}

#[tokio::test]
async fn rollback_undoes_the_last_change_once() {
    let (_folder, path) = file(&gateway(10, "gw1"));
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    fs::write(&path, gateway(20, "gw1")).unwrap();
    node.handle(Instruction::Reload).await;
    assert!(matches!(
        node.handle(Instruction::Rollback).await,
        Outcome::Applied { epoch: 3, .. }
    ));
    assert_eq!(window(&node), 10);
    assert!(matches!(
        node.handle(Instruction::Rollback).await,
        Outcome::Unchanged { epoch: 3, .. }
    ));
}

#[tokio::test]
async fn a_new_password_in_its_own_file_is_a_change_of_the_password() {
    let text = gateway(10, "gw1").replace(
        &format!("password = \"{SECRET}\""),
        "password_file = \"alpha.secret\"",
    );
    let (folder, path) = file(&text);
    let problems = load(&path).unwrap_err();
    assert!(
        problems
            .render(RenderStyle::Plain)
            .contains("alpha.secret cannot be used: No such file"),
        "{problems:?}"
    );
    let secret = folder.path().join("alpha.secret");
    fs::write(&secret, "first\nrest").unwrap();
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    let alpha = "alpha".parse().unwrap();
    assert_eq!(
        node.config().config().operator[&alpha]
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "first"
    );
    fs::write(&secret, "second\n").unwrap();
    let Outcome::Applied { diff, .. } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert_eq!(
        diff.to_string(),
        "operator.alpha.password: (secret) -> (secret) (relink)"
    );
    assert_eq!(
        node.config().config().operator[&alpha]
            .password
            .as_ref()
            .unwrap()
            .expose(),
        "second"
    );
    fs::write(&secret, "\n").unwrap();
    assert!(matches!(
        node.handle(Instruction::Reload).await,
        Outcome::Refused { .. }
    ));
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = file(&gateway(10, "gw1"));
    for (mode, warnings) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&path).unwrap().warnings.len(), warnings, "{mode:o}");
    }
}

#[test]
fn paths_count_from_the_file() {
    let (folder, path) = file(&gateway(10, "gw1"));
    assert_eq!(
        load(&path).unwrap().config.node.data_dir,
        folder.path().join("data")
    );
}

#[test]
fn problems_are_drawn_with_place_line_and_caret() {
    let (_folder, path) = file(&gateway(0, "gw1").replace("window = 0", "window = 0  # too small"));
    let error = load(&path).unwrap_err();
    let drawn = error
        .render(RenderStyle::Plain)
        .replace(&path.display().to_string(), "gateway.toml");
    let expected = "SMSGW-C006\n\n  x gateway.toml:8:10: operator.alpha.window: 0 is not in its range: 1 to 100000\n   \
                    ,-[gateway.toml:8:10]\n 8 | window = 0\n   :          |\n   :          `-- here\n   `----\n\n";
    assert_eq!(drawn, expected, "{drawn}");
    assert!(error.render(RenderStyle::Terminal).contains('\u{1b}'));
}

#[test]
fn a_drawing_never_shows_a_secret() {
    let head =
        "[node]\nname = \"n\"\n[operator.a]\nprotocol = \"smpp\"\nhosts = [\"h:1\"]\nsystem_id = \"s\"\n";
    for (tail, shown) in [
        (format!("pasword = \"{SECRET}\"\n"), "pasword = ***"),
        (format!("password = {SECRET}\n"), "password = ***"),
        (format!("password = \"{SECRET}\n"), "password = ***"),
        (format!("password = [\"{SECRET}\"]\n"), "password = ***"),
        (
            format!("password = \"{SECRET}\"\npassword_file = \"x\"\n"),
            "password_file = \"x\"",
        ),
        (format!("tls = {{ password = \"{SECRET}\" }}\n"), "tls = ***"),
        (
            format!("password = \"x\"\n[client.a]\ncallback = \"http://u:{SECRET}@/\"\n"),
            "callback = ***",
        ),
    ] {
        let (_folder, path) = file(&format!("{head}{tail}"));
        let error = load(&path).unwrap_err();
        for style in [RenderStyle::Plain, RenderStyle::Terminal] {
            let drawn = error.render(style);
            assert!(!drawn.contains(SECRET), "{drawn}");
            assert!(drawn.contains(shown), "{drawn}");
        }
        assert!(!format!("{error:?}{error}").contains(SECRET));
    }
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_a_problem() {
    let (_folder, path) = file("");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(
        load(&path).unwrap_err().problems[0]
            .message
            .contains("invalid utf-8")
    );
    fs::write(&path, vec![b'#'; (16 << 20) + 1]).unwrap();
    assert!(
        load(&path).unwrap_err().problems[0]
            .message
            .contains("larger than 16777216 bytes")
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_must_rest_before_it_is_read() {
    let start = Instant::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    let mut quiet = Quiet::new(1);
    let looks = [
        (0, 1, false),
        (500, 2, false),
        (1000, 3, false),
        (1500, 3, false),
        (2000, 3, true),
        (2500, 3, false),
        (3000, 4, false),
        (3500, 3, false),
        (9000, 3, false),
    ];
    for (millis, stamp, expected) in looks {
        assert_eq!(quiet.handle_look(at(millis), &stamp), expected, "{millis}");
    }
}

#[tokio::test]
async fn the_watch_asks_for_a_reload_only_when_it_is_on() {
    let (_folder, path) = file(&gateway(10, "gw1"));
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    let (sender, mut instructions) = mpsc::channel(1);
    let watched = path.clone();
    let config = node.config();
    let task = tokio::spawn(async move { watch(move || vec![watched.clone()], config, sender).await });
    let on = |window| gateway(window, "gw1").replace("[node]", "[node]\nwatch = true");
    fs::write(&path, on(10)).unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(2500), instructions.recv())
            .await
            .is_err()
    );
    node.handle(Instruction::Reload).await;
    let before = FileStamp::of(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    fs::write(&path, on(200)).unwrap();
    assert_ne!(FileStamp::of(&path).unwrap(), before);
    let instruction = tokio::time::timeout(Duration::from_secs(20), instructions.recv())
        .await
        .unwrap()
        .unwrap();
    node.handle(instruction).await;
    assert_eq!(window(&node), 200);
    drop(instructions);
    tokio::time::timeout(Duration::from_secs(5), task)
        .await
        .unwrap()
        .unwrap();
}
