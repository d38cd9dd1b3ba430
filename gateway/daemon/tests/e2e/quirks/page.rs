//! `ops/docs/carrier-quirks.md` names, for every habit, a switch that the simulator has and tests that are there.

use crate::harness::root;
use std::collections::BTreeSet;
use std::path::Path;

/// Habits of the list that the page is about: those of UCP are told beside it.
const LAST: u32 = 42;

fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                sources(&path, all);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Words in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_quirk_on_the_page_names_tests_that_are_there() {
    let page = std::fs::read_to_string(root().join("ops/docs/carrier-quirks.md")).unwrap();
    let switches = std::fs::read_to_string(root().join("ops/docs/simulator.md")).unwrap();
    let keys = std::fs::read_to_string(root().join("ops/docs/configuration.md")).unwrap();
    let mut code = String::new();
    for folder in ["gateway", "nodes", "config", "ops/sim"] {
        sources(&root().join(folder), &mut code);
    }
    let cases: BTreeSet<&str> = super::all().into_iter().map(|case| case.name).collect();
    let mut named = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut wrong = Vec::new();
    for line in page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
    {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _behaviour, _answer, key, switch, tests] = cells[..] else {
            panic!("{} cells: {line}", cells.len())
        };
        let Ok(number) = number.parse::<u32>() else {
            panic!("no number: {line}")
        };
        numbers.insert(number);
        for key in quoted(key) {
            if !keys.contains(&format!("| `{key}` |")) {
                wrong.push(format!("{number}: no key {key}"));
            }
        }
        for switch in quoted(switch).filter(|word| word.starts_with("--")) {
            if !switches.contains(switch) {
                wrong.push(format!("{number}: no switch {switch}"));
            }
        }
        let mut tested = false;
        for test in quoted(tests) {
            let is_case = cases.contains(test);
            tested = true;
            if is_case {
                named.insert(test);
            } else if !code.contains(&format!("fn {test}(")) {
                wrong.push(format!("{number}: no test {test}"));
            }
        }
        if !tested {
            wrong.push(format!("{number}: no test is named"));
        }
    }
    let missing: Vec<u32> = (1..=LAST).filter(|number| !numbers.contains(number)).collect();
    let unnamed: Vec<&&str> = cases.difference(&named).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(
        unnamed.is_empty(),
        "cases that the page does not name: {unnamed:#?}"
    );
}
