//! The layers of the workspace and the edges between them.
//!
//! The table here is the map in `README.md` as data: each crate has a layer, and an edge leads to a lower one. Beside it
//! stand the rules that a layer number does not say: no node reaches a node or an engine, only the daemon names engines
//! and the simulator, only `runtime` names the actor library, and the pure crates reach no runtime at all.
//! Rules marked transitive look through third crates, ours or not.

use super::Finding;
use super::graph::{Graph, Kind};

/// Lower layers know nothing of higher ones. The order of the variants is the order of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Models and sans-IO parts.
    L0,
    /// Protocols and contracts.
    L1,
    /// The outside world.
    L2,
    /// Nodes, and the simulator.
    L3,
    /// Builders and simulated peers: above the simulator it wraps, and named in tests only.
    Testkit,
    /// The daemon and the tools.
    L4,
}

const LAYERS: &[(&str, Layer)] = &[
    ("smsgw-message", Layer::L0),
    ("smsgw-session", Layer::L0),
    ("smsgw-telemetry", Layer::L0),
    ("smsgw-smpp", Layer::L1),
    ("smsgw-ucp", Layer::L1),
    ("smsgw-routing", Layer::L1),
    ("smsgw-queue", Layer::L1),
    ("smsgw-config", Layer::L1),
    ("smsgw-engine-embedded", Layer::L2),
    ("smsgw-engine-jetstream", Layer::L2),
    ("smsgw-history", Layer::L2),
    ("smsgw-transport", Layer::L2),
    ("smsgw-runtime", Layer::L2),
    ("smsgw-node-client", Layer::L3),
    ("smsgw-node-router", Layer::L3),
    ("smsgw-node-operator", Layer::L3),
    ("smsgw-node-callback", Layer::L3),
    ("smsgw-node-counter", Layer::L3),
    ("smsgw-node-config", Layer::L3),
    ("smsgw-sim", Layer::L3),
    ("smsgw-testkit", Layer::Testkit),
    ("smsgw-daemon", Layer::L4),
    ("xtask", Layer::L4),
    ("smsgw-fuzz", Layer::L4),
];

const DAEMON: &str = "smsgw-daemon";
const RUNTIME: &str = "smsgw-runtime";
const SIMULATOR: &str = "smsgw-sim";
const TESTKIT: &str = "smsgw-testkit";

/// Edges within a layer, each argued in a decision record.
const SIDEWAYS: &[(&str, &str)] = &[
    // ADR 0002: the configuration builds the table of its own routes.
    ("smsgw-config", "smsgw-routing"),
];

/// Runtimes of asynchronous code and the crates under them.
const ASYNC_RUNTIMES: &[&str] = &["tokio", "tokio-util", "mio", "async-std", "smol", "async-io"];
const ACTORS: &[&str] = &["ractor", "ractor_cluster"];

fn layer(name: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(member, _)| *member == name)
        .map(|(_, layer)| *layer)
}

fn is_node(name: &str) -> bool {
    name.starts_with("smsgw-node-")
}

fn is_engine(name: &str) -> bool {
    name.starts_with("smsgw-engine-")
}

/// The crates with no runtime, no clock and no files in them: L0 and the pure protocols and decisions of L1.
pub(crate) fn is_runtime_free(name: &str) -> bool {
    layer(name) == Some(Layer::L0) || ["smsgw-smpp", "smsgw-ucp", "smsgw-routing"].contains(&name)
}

/// The crates whose source neither reads a clock nor touches the outside world.
pub(crate) fn is_pure(name: &str) -> bool {
    is_runtime_free(name) || name == "smsgw-config"
}

pub(crate) fn check(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, directory) in graph.members() {
        let place = format!("{directory}/Cargo.toml");
        let Some(layer) = layer(name) else {
            findings.push(Finding::new(
                place,
                format!("crate {name} has no layer"),
                "add it to LAYERS in ops/xtask/src/tidy/layers.rs, and argue its edges in an ADR",
            ));
            continue;
        };
        for (kind, to) in graph.direct(name) {
            findings.extend(
                check_edge(graph, name, layer, kind, to)
                    .map(|(wrong, remedy)| Finding::new(&*place, wrong, remedy)),
            );
        }
        findings.extend(
            check_reach(graph, name)
                .into_iter()
                .map(|(wrong, remedy)| Finding::new(&*place, wrong, remedy)),
        );
    }
    findings
}

/// What one line of a manifest may not say. At most one finding per edge: the most telling.
fn check_edge(
    graph: &Graph,
    from: &str,
    layer_from: Layer,
    kind: Kind,
    to: &str,
) -> Option<(String, String)> {
    if ACTORS.contains(&to) && from != RUNTIME {
        return Some((
            format!("{from} names {to}"),
            format!("only {RUNTIME} names the actor library; use what it re-exports"),
        ));
    }
    if !graph.is_member(to) {
        return None;
    }
    if is_engine(to) && from != DAEMON {
        return Some((
            format!("{from} names the engine {to}"),
            "only the daemon names engines; take `Arc<dyn Engine>`, and the memory engine of smsgw-queue in tests".into(),
        ));
    }
    if is_node(to) && from != DAEMON && !is_node(from) {
        return Some((
            format!("{from} names the node {to}"),
            "only the daemon names nodes: it wires them together".into(),
        ));
    }
    if to == TESTKIT {
        return match (kind, layer_from >= Layer::L2) {
            (Kind::Normal, _) => Some((
                format!("{from} ships {TESTKIT}"),
                "the testkit is a development dependency: move the line to [dev-dependencies]".into(),
            )),
            (Kind::Dev, false) => Some((
                format!("{from} tests with {TESTKIT}"),
                "L0 and L1 test without the testkit: time as numbers, bytes as peers".into(),
            )),
            (Kind::Dev, true) => None,
        };
    }
    if to == SIMULATOR && from != DAEMON && from != TESTKIT {
        return Some((
            format!("{from} names the simulator {to}"),
            format!("only the daemon and {TESTKIT} name it; tests take its machines from {TESTKIT}"),
        ));
    }
    if SIDEWAYS.contains(&(from, to)) {
        return None;
    }
    match layer(to) {
        // Tests of a crate may use its neighbours: cargo itself keeps that from becoming a circle.
        Some(layer_to) if layer_to > layer_from || (layer_to == layer_from && kind == Kind::Normal) => {
            Some((
                format!("{from} ({layer_from:?}) depends on {to} ({layer_to:?})"),
                "edges lead downward only: move the shared part into a lower crate".into(),
            ))
        }
        // Without a layer, `to` has a finding of its own.
        Some(_) | None => None,
    }
}

/// What a crate may not reach, through however many others.
fn check_reach(graph: &Graph, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if is_node(name) {
        for (to, chain) in graph.reach(name, true) {
            if is_node(&to) {
                found.push((
                    format!("a node reaches a node: {}", chain.join(" -> ")),
                    "nodes share queues, state and configuration, never code of each other: move the shared part down".into(),
                ));
            } else if is_engine(&to) && graph.is_member(&to) {
                found.push((
                    format!("a node reaches an engine: {}", chain.join(" -> ")),
                    "nodes know the contract in smsgw-queue only".into(),
                ));
            }
        }
    }
    if is_runtime_free(name) {
        for (to, chain) in graph.reach(name, false) {
            if ASYNC_RUNTIMES.contains(&&*to) || ACTORS.contains(&&*to) {
                found.push((
                    format!("a pure crate reaches a runtime: {}", chain.join(" -> ")),
                    "no tokio below L2: switch the feature off that brings it, or move the code up".into(),
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Graph {
        let mut graph = Graph::default();
        for (name, _) in LAYERS {
            graph.add_member(name, name);
        }
        for (from, kind, to) in [
            ("smsgw-smpp", Kind::Normal, "smsgw-session"),
            ("smsgw-queue", Kind::Normal, "tokio"),
            ("smsgw-engine-embedded", Kind::Normal, "smsgw-queue"),
            ("smsgw-runtime", Kind::Normal, "ractor"),
            ("smsgw-node-router", Kind::Normal, "smsgw-runtime"),
            ("smsgw-node-router", Kind::Normal, "smsgw-queue"),
            ("smsgw-node-router", Kind::Dev, "smsgw-testkit"),
            ("smsgw-transport", Kind::Dev, "smsgw-testkit"),
            ("smsgw-testkit", Kind::Normal, "smsgw-sim"),
            ("smsgw-sim", Kind::Normal, "smsgw-transport"),
            ("smsgw-daemon", Kind::Normal, "smsgw-engine-embedded"),
            ("smsgw-daemon", Kind::Normal, "smsgw-sim"),
            ("smsgw-daemon", Kind::Normal, "smsgw-node-router"),
        ] {
            graph.add_edge(from, kind, to);
        }
        graph
    }

    /// The findings of the sound graph with one more edge.
    fn planted(from: &str, kind: Kind, to: &str) -> Vec<String> {
        let mut graph = sound();
        graph.add_edge(from, kind, to);
        check(&graph).into_iter().map(|f| f.wrong).collect()
    }

    fn assert_found(findings: &[String], part: &str) {
        assert!(
            findings.iter().any(|f| f.contains(part)),
            "no finding says {part:?}: {findings:?}"
        );
    }

    #[test]
    fn a_sound_workspace_has_no_findings() {
        assert_eq!(check(&sound()), vec![]);
    }

    #[test]
    fn an_upward_edge_is_found() {
        assert_found(
            &planted("smsgw-session", Kind::Normal, "smsgw-smpp"),
            "smsgw-session (L0) depends on smsgw-smpp (L1)",
        );
    }

    #[test]
    fn an_edge_within_a_layer_is_found() {
        assert_found(
            &planted("smsgw-transport", Kind::Normal, "smsgw-runtime"),
            "smsgw-transport (L2) depends on",
        );
    }

    #[test]
    fn a_development_edge_upward_is_found() {
        assert_found(
            &planted("smsgw-queue", Kind::Dev, "smsgw-runtime"),
            "smsgw-queue (L1) depends on",
        );
    }

    #[test]
    fn a_node_that_names_a_node_is_found() {
        assert_found(
            &planted("smsgw-node-client", Kind::Normal, "smsgw-node-router"),
            "a node reaches a node: smsgw-node-client -> smsgw-node-router",
        );
    }

    #[test]
    fn a_node_that_reaches_a_node_through_a_third_is_found() {
        let mut graph = sound();
        graph.add_edge("smsgw-node-client", Kind::Normal, "some-crate");
        graph.add_edge("some-crate", Kind::Normal, "smsgw-node-router");
        let wrongs: Vec<_> = check(&graph).into_iter().map(|f| f.wrong).collect();
        assert_found(&wrongs, "smsgw-node-client -> some-crate -> smsgw-node-router");
    }

    #[test]
    fn a_node_whose_tests_reach_a_node_is_found() {
        let findings = planted("smsgw-testkit", Kind::Normal, "smsgw-node-client");
        assert_found(
            &findings,
            "smsgw-node-router -> smsgw-testkit -> smsgw-node-client",
        );
    }

    #[test]
    fn a_node_named_outside_the_daemon_is_found() {
        assert_found(
            &planted("smsgw-testkit", Kind::Dev, "smsgw-node-client"),
            "smsgw-testkit names the node",
        );
        assert_found(
            &planted("xtask", Kind::Normal, "smsgw-node-client"),
            "xtask names the node",
        );
    }

    #[test]
    fn a_node_that_reaches_an_engine_through_a_third_is_found() {
        let findings = planted("smsgw-runtime", Kind::Normal, "smsgw-engine-embedded");
        assert_found(
            &findings,
            "smsgw-node-router -> smsgw-runtime -> smsgw-engine-embedded",
        );
        assert_found(&findings, "smsgw-runtime names the engine");
    }

    #[test]
    fn an_engine_named_in_a_test_is_found() {
        assert_found(
            &planted("smsgw-testkit", Kind::Dev, "smsgw-engine-embedded"),
            "smsgw-testkit names the engine",
        );
    }

    #[test]
    fn actors_outside_the_runtime_are_found() {
        assert_found(
            &planted("smsgw-node-client", Kind::Normal, "ractor"),
            "smsgw-node-client names ractor",
        );
        assert_found(
            &planted("smsgw-daemon", Kind::Normal, "ractor"),
            "smsgw-daemon names ractor",
        );
    }

    #[test]
    fn a_runtime_below_l2_is_found_through_a_third() {
        let mut graph = sound();
        graph.add_edge("smsgw-session", Kind::Normal, "some-codec");
        graph.add_edge("some-codec", Kind::Normal, "tokio");
        let wrongs: Vec<_> = check(&graph).into_iter().map(|f| f.wrong).collect();
        assert_found(
            &wrongs,
            "a pure crate reaches a runtime: smsgw-session -> some-codec -> tokio",
        );
        assert_found(
            &wrongs,
            "a pure crate reaches a runtime: smsgw-smpp -> smsgw-session -> some-codec -> tokio",
        );
    }

    #[test]
    fn the_testkit_shipped_or_used_below_l2_is_found() {
        assert_found(
            &planted("smsgw-node-client", Kind::Normal, "smsgw-testkit"),
            "smsgw-node-client ships",
        );
        assert_found(
            &planted("smsgw-smpp", Kind::Dev, "smsgw-testkit"),
            "smsgw-smpp tests with",
        );
    }

    #[test]
    fn the_simulator_named_by_a_node_is_found() {
        assert_found(
            &planted("smsgw-node-operator", Kind::Dev, "smsgw-sim"),
            "smsgw-node-operator names the simulator",
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let mut graph = sound();
        graph.add_member("smsgw-new", "gateway/new");
        assert_found(
            &check(&graph).into_iter().map(|f| f.wrong).collect::<Vec<_>>(),
            "crate smsgw-new has no layer",
        );
    }
}
