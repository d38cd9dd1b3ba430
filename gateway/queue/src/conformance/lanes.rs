//! Laws of lanes: who is next.

use super::*;

pub async fn classes_share_by_weight<H: Harness>() {
    let engine = H::open().await.engine();
    for class in Class::ALL {
        let steps = (0..64).map(|_| step().publish("q", Lane::new(class, "acme"), octets(class.as_str())));
        assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    }
    let mut kept = Vec::new();
    for round in 0..3 {
        let served = take(&engine, "q", 21).await;
        for (class, share) in Class::ALL.into_iter().zip([16, 4, 1]) {
            let count = served
                .iter()
                .filter(|delivery| delivery.lane().class == class)
                .count();
            assert_eq!(count, share, "{class:?} in round {round}");
        }
        kept.push(served);
    }
}

pub async fn nobody_waits_for_an_empty_class<H: Harness>() {
    let engine = H::open().await.engine();
    let steps = (0..50).map(|n| step().publish("q", Lane::new(Class::Bulk, "acme"), octets(n.to_string())));
    assert!(engine.commit(steps.collect()).await.iter().all(Result::is_ok));
    assert_eq!(now(&engine, "q", 50).await.len(), 50);
}

async fn fill(engine: &Arc<dyn Engine>, flows: &[(&str, usize)]) {
    for (flow, count) in flows {
        for n in 0..*count {
            ok(
                engine,
                step().publish("q", Lane::new(Class::Otp, *flow), octets(format!("{flow}{n}"))),
            )
            .await;
        }
    }
}

pub async fn flows_take_turns<H: Harness>() {
    let mut harness = H::open().await;
    let engine = harness.engine();
    fill(&engine, &[("a", 6), ("b", 2), ("c", 1)]).await;
    let expected = ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4", "a5"];
    let served = now(&engine, "q", 10).await;
    assert_eq!(texts(&served), expected);
    drop((served, engine));
    // After a crash the turns begin anew, with everybody.
    harness.crash_and_reopen().await;
    let served = take(&harness.engine(), "q", 9).await;
    let mut first: Vec<_> = texts(&served[..3]);
    first.sort();
    assert_eq!(first, ["a0", "b0", "c0"]);
    let a: Vec<_> = texts(&served)
        .into_iter()
        .filter(|record| record.starts_with('a'))
        .collect();
    assert_eq!(
        a,
        ["a0", "a1", "a2", "a3", "a4", "a5"],
        "records of a flow stay in order"
    );
}

pub async fn only_and_except_choose_flows<H: Harness>() {
    let engine = H::open().await.engine();
    fill(&engine, &[("a", 3), ("b", 3), ("c", 3)]).await;
    let ask = async |flows| {
        let want = Want::new(10, Duration::ZERO).flows(flows);
        engine.checkout(&"q".into(), want).await.unwrap()
    };
    let nobody = ask(Flows::Only("nobody".into())).await;
    let b = ask(Flows::Only("b".into())).await;
    let not_a = ask(Flows::Except(["a".into(), "nobody".into()].into())).await;
    let rest = ask(Flows::All).await;
    assert_eq!(texts(&nobody), Vec::<String>::new());
    assert_eq!(texts(&b), ["b0", "b1", "b2"]);
    assert_eq!(texts(&not_a), ["c0", "c1", "c2"]);
    assert_eq!(texts(&rest), ["a0", "a1", "a2"]);
}
