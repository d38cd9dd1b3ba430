//! Lists of numbers in files of their own: read with the configuration, again when they change, and never half.

use std::fs;
use std::sync::Arc;

use smsgw_config::{Code, ListName};
use smsgw_node_config::{ConfigNode, Instruction, Outcome};
use smsgw_routing::NumberSet;

use crate::{file, gateway};

fn text() -> String {
    format!("{}[list.spam]\nfile = \"spam.txt\"\n", gateway(10, "gw1"))
}

fn spam(node: &ConfigNode) -> Arc<NumberSet> {
    let config = node.config().config();
    let list = &config.list[&ListName::from_text("spam").unwrap()];
    Arc::clone(list.file.as_ref().unwrap().numbers())
}

#[tokio::test]
async fn a_changed_list_is_a_change_of_the_configuration_and_a_rollback_undoes_it() {
    let (folder, path) = file(&text());
    let list = folder.path().join("spam.txt");
    fs::write(&list, "491701234567\n").unwrap();
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    assert!(spam(&node).contains("491701234567"));
    let before = spam(&node);
    assert!(matches!(
        node.handle(Instruction::Reload).await,
        Outcome::Unchanged { epoch: 1, .. }
    ));
    fs::write(&list, "# now two\n4990*\n491701234568\n").unwrap();
    let Outcome::Applied { epoch: 2, diff, .. } = node.handle(Instruction::Reload).await else {
        panic!()
    };
    assert_eq!(
        diff.to_string(),
        "list.spam.file: \"spam.txt\" (1 entries) -> \"spam.txt\" (2 entries) (live)"
    );
    assert!(spam(&node).contains("49901") && !spam(&node).contains("491701234567"));
    let Outcome::Applied { epoch: 3, .. } = node.handle(Instruction::Rollback).await else {
        panic!()
    };
    assert!(
        Arc::ptr_eq(&before, &spam(&node)),
        "the old numbers, not read again"
    );
}

#[tokio::test]
async fn a_wrong_list_changes_nothing_and_names_the_line() {
    let (folder, path) = file(&text());
    let list = folder.path().join("spam.txt");
    fs::write(&list, "491701234567\n").unwrap();
    let node = Arc::new(ConfigNode::start(&path).unwrap());
    let before = spam(&node);
    for (wrong, why) in [
        (Some("4917\n\n49170x\n"), "line 3: octet 5 is no digit"),
        (Some("1234567890123456"), "line 1: 16 digits"),
        (None, "No such file"),
    ] {
        match wrong {
            Some(wrong) => fs::write(&list, wrong).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        // What else changed in the file is not taken over either.
        fs::write(&path, text().replace("window = 10", "window = 20")).unwrap();
        let Outcome::Refused { problems } = node.handle(Instruction::Reload).await else {
            panic!("{why}")
        };
        let [problem] = &*problems else {
            panic!("{problems:?}")
        };
        assert_eq!((problem.code, problem.line), (Code::ListFile, 10), "{problem}");
        assert!(problem.message.contains(why), "{problem}");
        assert!(Arc::ptr_eq(&before, &spam(&node)));
        assert_eq!(crate::window(&node), 10);
    }
    assert!(ConfigNode::start(&path).is_err());
    fs::write(&list, "491701234567\n").unwrap();
    assert!(matches!(
        node.handle(Instruction::Reload).await,
        Outcome::Applied { epoch: 2, .. }
    ));
    assert!(
        Arc::ptr_eq(&before, &spam(&node)),
        "the same numbers are kept once"
    );
}
