//! Changes by instruction: planned, written into the right file with everything else kept, versions, and the way back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use smsgw_message::{InstructionResult, MessageId, Record, names};
use smsgw_node_config::{
    AuditRow, ConfigNode, Edit, EditAct, Instruction, Outcome, Plan, Proposal, Verb, Wanted, audit, finish,
    give, instruct, load, supervise,
};
use smsgw_queue::{Engine, MemoryEngine, StateKey};
use smsgw_runtime::{Clock, Strategy, Supervisor, SystemClock, Tree};
use tempfile::TempDir;

use crate::SECRET;

const MAIN: &str = "# the gateway\ninclude = [\"operators/*.toml\"]\n\n[node]\nname = \"gw1\" # its name\n\n[limits]\n\
    max_parts = 5     # at most\n\n[client.acme]\napi_key = \"acme-key\"\n\n[[route.mt]]\nprefix = [\"49\"]\noperators = [\"alpha\"]\n";

fn operator(id: &str) -> String {
    format!(
        "# {id} of the carrier\n[operator.{id}]\nprotocol = \"smpp\"\nhosts = [\"h:1\"] # first\nsystem_id = \"a\"\n\
         password = \"{SECRET}\"\nwindow = 10 # as agreed\n\n[[route.mt]]\nprefix = [\"43\"]\noperators = [\"{id}\"]\n"
    )
}

struct World {
    folder: TempDir,
    node: Arc<ConfigNode>,
    engine: Arc<dyn Engine>,
    tree: Option<Tree>,
}

impl World {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("operators")).unwrap();
        fs::write(folder.path().join("operators/alpha.toml"), operator("alpha")).unwrap();
        fs::write(folder.path().join("gateway.toml"), MAIN).unwrap();
        Self::over(folder).await
    }

    async fn over(folder: TempDir) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine: Arc<dyn Engine> = MemoryEngine::new(Arc::clone(&clock));
        let node = Arc::new(ConfigNode::start(&folder.path().join("gateway.toml")).unwrap());
        let mut world = Self {
            folder,
            node,
            engine,
            tree: None,
        };
        world.run().await;
        world
    }

    async fn run(&mut self) {
        let child = supervise(
            Arc::clone(&self.node),
            Arc::clone(&self.engine),
            Arc::new(SystemClock),
        );
        let tree = Supervisor::new("test", Strategy::OneForOne)
            .child(child)
            .spawn()
            .await;
        assert!(tree.started().await);
        self.tree = Some(tree);
    }

    /// The same files, another process.
    async fn restarted(mut self) -> Self {
        self.tree.take().unwrap().stop().await;
        let main = self.main();
        finish(&main).unwrap();
        self.node = Arc::new(ConfigNode::start(&main).unwrap());
        self.run().await;
        self
    }

    fn main(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn result(&self, id: MessageId) -> (String, String) {
        for _ in 0..1000 {
            let key = StateKey::from(names::instruction(id));
            if let Some(found) = self.engine.get(vec![key]).await.unwrap().remove(0) {
                let result = InstructionResult::from_record(&found.value).unwrap();
                assert!(!result.detail.contains(SECRET), "{}", result.detail);
                return (result.outcome, result.detail);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("no result");
    }

    async fn apply(&self, proposal: Proposal) -> (String, String) {
        let staged = self.node.stage(&proposal).unwrap();
        self.order(Verb::Apply, staged).await
    }

    async fn order(&self, verb: Verb, target: String) -> (String, String) {
        let wanted = Wanted {
            target: Some(target),
            reason: Some("because".to_owned()),
            ..Wanted::default()
        };
        let id = give(&*self.engine, &SystemClock, verb, wanted, "alice")
            .await
            .unwrap();
        self.result(id).await
    }

    async fn restore(&self, version: u64) -> (String, String) {
        self.order(Verb::Restore, version.to_string()).await
    }

    fn fresh(&self) -> smsgw_config::Config {
        load(&self.main()).unwrap().config
    }

    fn in_force(&self) -> smsgw_config::Config {
        smsgw_config::Config::clone(&self.node.config().config())
    }

    async fn audit(&self) -> Vec<AuditRow> {
        audit(&*self.engine, 100).await.unwrap()
    }
}

fn edit(act: EditAct, path: &str, value: &str) -> Edit {
    Edit {
        act,
        path: path.to_owned(),
        value: value.to_owned(),
        file: None,
    }
}

fn edits(edits: Vec<Edit>) -> Proposal {
    Proposal {
        edits,
        ..Proposal::default()
    }
}

fn set(path: &str, value: &str) -> Proposal {
    edits(vec![edit(EditAct::Set, path, value)])
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|change| {
            format!(
                "{} {} {} -> {}",
                change.impact, change.path, change.old, change.new
            )
        })
        .collect()
}

#[tokio::test]
async fn a_key_is_changed_in_its_file_and_everything_else_stays() {
    let world = World::start().await;
    let plan = world.node.plan(set("operator.alpha.window", "20")).await;
    assert_eq!(lines(&plan), ["relink operator.alpha.window 10 -> 20"]);
    assert_eq!(
        (plan.base, plan.files),
        (1, vec!["operators/alpha.toml".to_owned()])
    );
    assert_eq!(
        world.text("operators/alpha.toml"),
        operator("alpha"),
        "a plan writes nothing"
    );

    let (outcome, detail) = world.apply(set("operator.alpha.window", "20")).await;
    assert_eq!(
        (outcome.as_str(), detail.as_str()),
        ("applied", "version 2, epoch 2, 0 wait for a restart")
    );
    let wanted = operator("alpha").replace("window = 10 # as agreed", "window = 20 # as agreed");
    assert_eq!(world.text("operators/alpha.toml"), wanted);
    assert_eq!(world.text("gateway.toml"), MAIN);
    assert_eq!(world.in_force(), world.fresh());

    // The same again is no change, and text needs no quotes where text belongs.
    assert_eq!(
        world.apply(set("operator.alpha.window", "20")).await.0,
        "unchanged"
    );
    assert_eq!(
        world.apply(set("operator.alpha.system_id", "b")).await.0,
        "applied"
    );
    assert_eq!(world.apply(set("limits.max_parts", "7")).await.0, "applied");
    assert_eq!(
        world.text("gateway.toml"),
        MAIN.replace("max_parts = 5 ", "max_parts = 7 ")
    );
    assert_eq!(world.in_force(), world.fresh());
}

#[tokio::test]
async fn accounts_and_routes_come_and_go() {
    let world = World::start().await;
    let add = edits(vec![
        edit(EditAct::Add, "client.\"b.c\"", ""),
        edit(EditAct::Set, "client.\"b.c\".api_key", "12345"),
        edit(EditAct::Set, "client.\"b.c\".rate", "5"),
        edit(EditAct::Set, "route.mo[+]", "{ to = [\"1\"], client = \"b.c\" }"),
        edit(EditAct::Set, "route.mt[1].prefix", "[\"44\"]"),
    ]);
    assert_eq!(world.apply(add.clone()).await.0, "applied");
    let config = world.in_force();
    assert_eq!(config, world.fresh());
    let client = &config.client[&"b.c".parse().unwrap()];
    assert_eq!(
        (client.rate, client.api_key.as_ref().unwrap().expose()),
        (5.0, "12345")
    );
    assert_eq!(config.route.mo.len(), 1);
    // The second route of all is the first of the included file.
    assert!(world.text("operators/alpha.toml").contains("prefix = [\"44\"]"));
    let added = "\n[client.\"b.c\"]\napi_key = \"12345\"\nrate = 5\n";
    let wanted = MAIN.replace("\n\n[[route.mt]]", &format!("\n{added}\n[[route.mt]]"));
    assert_eq!(
        world.text("gateway.toml"),
        format!("{wanted}\n[[route.mo]]\nto = [\"1\"]\nclient = \"b.c\"\n")
    );

    let (outcome, detail) = world.apply(add).await;
    assert_eq!(outcome, "refused");
    assert!(detail.contains("it is there already"), "{detail}");
    let (outcome, detail) = world
        .apply(edits(vec![edit(EditAct::Remove, "client.\"b.c\"", "")]))
        .await;
    assert_eq!(outcome, "refused", "a route needs it");
    assert!(detail.contains("SMSGW-C007"), "{detail}");
    let remove = edits(vec![
        edit(EditAct::Remove, "route.mo[0]", ""),
        edit(EditAct::Remove, "client.\"b.c\"", ""),
    ]);
    assert_eq!(world.apply(remove.clone()).await.0, "applied");
    assert_eq!(world.apply(remove).await.0, "refused");
    assert_eq!(world.in_force(), world.fresh());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let world = World::start().await;
    let before = (
        world.text("gateway.toml"),
        world.text("operators/alpha.toml"),
        world.in_force(),
    );
    for (path, value, why) in [
        ("limits.max_parts", "0", "SMSGW-C006"),
        ("limits.max_prts", "1", "did you mean `max_parts`?"),
        ("limits.max_parts", "\"x", "not TOML"),
        ("operator.alpha.tls.ca_file", "[1]", "SMSGW-C004"),
        ("operator.alpha", "{}", "it is a section"),
        ("route.mt[7].prefix", "[]", "there are only 1"),
        ("route.mt", "[]", "it is a section"),
        ("[0]", "1", "begins with the name"),
        ("limits[", "1", "not closed"),
    ] {
        let plan = world.node.plan(set(path, value)).await;
        let (outcome, detail) = world.apply(set(path, value)).await;
        assert_eq!(outcome, "refused", "{path}");
        assert!(detail.contains(why), "{path}: {detail}");
        assert_eq!(
            plan.refused.as_deref().map(str::trim_end),
            Some(detail.trim_end()),
            "{path}"
        );
    }
    let far = Proposal {
        files: [("../../etc/passwd".to_owned(), String::new())].into(),
        ..Proposal::default()
    };
    assert_eq!(world.apply(far).await.0, "refused");
    assert_eq!(world.order(Verb::Apply, "../x".to_owned()).await.0, "refused");
    assert_eq!(world.restore(9).await.0, "refused");
    let after = (
        world.text("gateway.toml"),
        world.text("operators/alpha.toml"),
        world.in_force(),
    );
    assert_eq!(before, after);
    assert_eq!(world.node.history(10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_somebody_changed_is_never_overwritten() {
    let world = World::start().await;
    let changed = operator("alpha").replace("first", "second");
    world.write("operators/alpha.toml", &changed);
    for proposal in [set("operator.alpha.window", "20"), set("limits.max_parts", "6")] {
        let (outcome, detail) = world.apply(proposal).await;
        assert_eq!(outcome, "refused");
        assert!(detail.contains("is not as it was loaded"), "{detail}");
    }
    assert_eq!(world.restore(1).await.0, "refused");
    assert_eq!(
        (world.text("operators/alpha.toml"), world.text("gateway.toml")),
        (changed, MAIN.to_owned())
    );
    // A file that came and was not loaded stands in the way as well.
    world.write("operators/alpha.toml", &operator("alpha"));
    world.write("operators/beta.toml", &operator("beta"));
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "refused");
    assert!(matches!(
        world.node.handle(Instruction::Reload).await,
        Outcome::Applied { .. }
    ));
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "applied");
    // What was planned for another version is not done.
    let late = Proposal {
        base: Some(1),
        ..set("limits.max_parts", "7")
    };
    let (outcome, detail) = world.apply(late).await;
    assert_eq!(outcome, "refused");
    assert!(detail.contains("meanwhile"), "{detail}");
}

#[tokio::test]
async fn a_rollback_brings_every_file_back_and_takes_new_ones_away() {
    let world = World::start().await;
    let first = world.in_force();
    let whole = Proposal {
        files: [
            (String::new(), MAIN.replace("max_parts = 5 ", "max_parts = 3 ")),
            (
                "operators/beta.toml".to_owned(),
                operator("beta").replace("\"43\"", "\"44\""),
            ),
        ]
        .into(),
        ..Proposal::default()
    };
    assert_eq!(world.apply(whole).await.0, "applied");
    assert_eq!(world.in_force().operator.len(), 2);
    assert_eq!(world.in_force(), world.fresh());
    assert!(!world.folder.path().join(".gateway.toml.smsgw-journal").exists());
    let mode = fs::metadata(world.folder.path().join("operators/beta.toml"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a password");

    let planned = world
        .node
        .plan(Proposal {
            restore: Some(1),
            ..Proposal::default()
        })
        .await;
    assert_eq!(
        lines(&planned),
        [
            "live limits.max_parts 3 -> 5",
            "relink operator.beta table -> ",
            "live route.mt [table, table, table] -> [table, table]"
        ]
    );
    assert_eq!(
        world.restore(1).await,
        (
            "applied".to_owned(),
            "version 3, epoch 3, 0 wait for a restart".to_owned()
        )
    );
    assert_eq!(
        (world.text("gateway.toml"), world.in_force(), world.fresh()),
        (MAIN.to_owned(), first.clone(), first)
    );
    assert!(!world.folder.path().join("operators/beta.toml").exists());
    assert_eq!(world.restore(2).await.0, "applied");
    assert_eq!(world.in_force().operator.len(), 2);

    let heads = world.node.history(10).unwrap();
    let told: Vec<(u64, &str, &str)> = heads
        .iter()
        .map(|head| (head.version, head.verb.as_str(), head.by.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (4, "restore", "alice"),
            (3, "restore", "alice"),
            (2, "apply", "alice"),
            (1, "start", "smsgw")
        ]
    );
    assert!(heads.iter().all(|head| head.in_force));
    assert_eq!(heads[0].reason.as_deref(), Some("because"));
    assert!(!format!("{heads:?}").contains(SECRET));
    let audit = world.audit().await;
    let told: Vec<(&str, &str)> = audit
        .iter()
        .map(|row| (row.verb.as_str(), row.outcome.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("restore", "applied"),
            ("restore", "applied"),
            ("apply", "applied")
        ]
    );
    assert!(!format!("{audit:?}").contains(SECRET));
}

#[tokio::test]
async fn versions_survive_a_restart_and_know_what_changed_meanwhile() {
    let world = World::start().await;
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "applied");
    let world = world.restarted().await;
    assert_eq!(
        world.node.history(10).unwrap().len(),
        2,
        "a start that finds what it left makes no version"
    );
    world.write("gateway.toml", &MAIN.replace("max_parts = 5", "max_parts = 8"));
    let world = world.restarted().await;
    let heads = world.node.history(10).unwrap();
    assert_eq!(
        (heads.len(), heads[0].verb.as_str(), heads[0].version),
        (3, "start", 3)
    );
    assert_eq!(world.restore(2).await.0, "applied");
    assert_eq!(world.in_force().limits.max_parts, 6);
    // A reload makes a version of what it finds, once, also when only a comment is new.
    world.write("gateway.toml", &format!("{}# new\n", world.text("gateway.toml")));
    for _ in 0..2 {
        let id = instruct(&*world.engine, &SystemClock, Instruction::Reload, "SIGHUP")
            .await
            .unwrap();
        assert_eq!(world.result(id).await.0, "unchanged");
    }
    let heads = world.node.history(10).unwrap();
    assert_eq!(
        (heads.len(), heads[0].verb.as_str(), heads[0].by.as_str()),
        (5, "reload", "SIGHUP")
    );
}

#[tokio::test]
async fn a_version_whose_files_were_never_written_is_taken_back_at_the_start() {
    let world = World::start().await;
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "applied");
    // As a kill between the version and its files leaves it.
    let directory = world.folder.path().join("data/config-versions");
    let text = fs::read_to_string(directory.join("00000002.json")).unwrap();
    fs::write(
        directory.join("00000002.json"),
        text.replace("\"in_force\":true", "\"in_force\":false"),
    )
    .unwrap();
    world.write("gateway.toml", MAIN);
    let world = world.restarted().await;
    assert_eq!(world.node.history(10).unwrap().len(), 1);
    // And between its files and its mark.
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "applied");
    fs::write(
        directory.join("00000002.json"),
        text.replace("\"in_force\":true", "\"in_force\":false"),
    )
    .unwrap();
    let world = world.restarted().await;
    let heads = world.node.history(10).unwrap();
    assert_eq!((heads.len(), heads[0].in_force), (2, true));
}

#[tokio::test]
async fn a_disk_that_takes_nothing_refuses_the_change_and_nothing_changes() {
    let world = World::start().await;
    // A directory in the way of the file beside it: what a full or read-only disk answers, also for root.
    fs::create_dir(world.folder.path().join(".gateway.toml.smsgw-new")).unwrap();
    let before = world.in_force();
    let (outcome, detail) = world.apply(set("limits.max_parts", "6")).await;
    assert_eq!(outcome, "refused");
    assert!(detail.contains("nothing was changed"), "{detail}");
    let two = edits(vec![
        edit(EditAct::Set, "operator.alpha.window", "20"),
        edit(EditAct::Set, "limits.max_parts", "6"),
    ]);
    // The file that could be written is put back.
    fs::create_dir(world.folder.path().join("operators/.alpha.toml.smsgw-new")).unwrap();
    fs::remove_dir(world.folder.path().join(".gateway.toml.smsgw-new")).unwrap();
    assert_eq!(world.apply(two).await.0, "refused");
    assert_eq!(
        (world.text("gateway.toml"), world.text("operators/alpha.toml")),
        (MAIN.to_owned(), operator("alpha"))
    );
    assert_eq!(
        (world.in_force(), world.node.history(10).unwrap().len()),
        (before, 1)
    );
    fs::remove_dir(world.folder.path().join("operators/.alpha.toml.smsgw-new")).unwrap();
    assert_eq!(world.apply(set("limits.max_parts", "6")).await.0, "applied");
    // What was done or refused is forgotten, soon after its result is there.
    for _ in 0..1000 {
        let entries = fs::read_dir(world.folder.path().join("data/config-versions")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        if names.filter(|name| name.starts_with("staged")).count() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("staged changes are left");
}

/// One change in a random walk.
fn step() -> impl proptest::strategy::Strategy<Value = (u8, u32)> {
    (0..6u8, 1..40u32)
}

async fn walk(steps: Vec<(u8, u32)>) {
    let world = World::start().await;
    let mut states = vec![(world.in_force(), texts(world.folder.path()))];
    for (kind, n) in steps {
        let proposal = match kind {
            0 => set("limits.max_parts", &n.to_string()),
            1 => set("operator.alpha.window", &n.to_string()),
            2 => set("client.acme.default_from", &format!("a{n}")),
            3 => Proposal {
                files: [(
                    format!("operators/x{}.toml", n % 3),
                    operator(&format!("x{}", n % 3)).replace("10", &n.to_string()),
                )]
                .into(),
                ..Proposal::default()
            },
            4 => set("route.mt[0].prefix", &format!("[\"{n}\"]")),
            _ => set("http.listen", &format!("127.0.0.1:{n}")),
        };
        if world.apply(proposal).await.0 == "applied" {
            states.push((world.fresh(), texts(world.folder.path())));
        }
        // Diff then apply equals a fresh start, but for what waits for one.
        let mut fresh = world.fresh();
        fresh.http = world.in_force().http;
        assert_eq!(world.in_force(), fresh);
    }
    for (n, (config, files)) in states.iter().enumerate().rev() {
        let (outcome, detail) = world.restore(u64::try_from(n).unwrap() + 1).await;
        assert!(outcome != "refused", "{detail}");
        assert_eq!((&world.fresh(), &texts(world.folder.path())), (config, files));
    }
}

fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut texts = vec![(
        "main".to_owned(),
        fs::read_to_string(folder.join("gateway.toml")).unwrap(),
    )];
    for entry in fs::read_dir(folder.join("operators")).unwrap() {
        let path = entry.unwrap().path();
        texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    texts.sort();
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rollback_equals_the_old_version_and_a_change_equals_a_fresh_start(steps in proptest::collection::vec(step(), 1..7)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walk(steps));
    }
}
