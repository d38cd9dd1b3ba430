//! That each mood and prank does what its name says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::SimClock;
use smsgw_queue::{Expiry, MemoryEngine, StepId};

fn step(n: u8) -> Step {
    let value = vec![n].into();
    Step::new(StepId::from_bytes([n; 16])).put(format!("k/{n}"), value, Expiry::Owner)
}

fn engines() -> (Arc<MemoryEngine>, Arc<MoodyEngine>) {
    let memory = MemoryEngine::new(Arc::new(SimClock::new()));
    let moody = MoodyEngine::over(memory.clone());
    (memory, moody)
}

async fn there(memory: &MemoryEngine, n: u8) -> bool {
    memory.get(vec![format!("k/{n}").into()]).await.unwrap()[0].is_some()
}

#[tokio::test(start_paused = true)]
async fn each_prank_does_what_its_name_says() {
    for (prank, done, answered) in [
        (Prank::Refuse, false, Some(false)),
        (Prank::Delay, true, Some(true)),
        (Prank::LoseAnswer, true, Some(false)),
        (Prank::Swallow, true, None),
        (Prank::PanicBefore, false, None),
        (Prank::PanicAfter, true, None),
    ] {
        let (memory, moody) = engines();
        moody.play(Pranks::by(1).with(prank, 1000).at_most(1));
        let (called, own) = (Arc::clone(&moody), step(1));
        let call = tokio::spawn(async move { called.commit(vec![own]).await[0].is_ok() });
        let ended = tokio::time::timeout(Duration::from_secs(5), call).await;
        assert_eq!(there(&memory, 1).await, done, "{prank:?}");
        let got = ended
            .as_ref()
            .ok()
            .and_then(|joined| joined.as_ref().ok())
            .copied();
        assert_eq!(got, answered, "{prank:?}");
        assert_eq!(
            ended.is_err(),
            prank == Prank::Swallow,
            "only a swallowed answer hangs"
        );
        assert_eq!(moody.played(prank), 1);
        assert!(
            moody.commit(vec![step(2)]).await[0].is_ok(),
            "the budget is spent"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_tells_the_pranks_and_a_filter_spares_calls() {
    let run = |seed| async move {
        let (_, moody) = engines();
        let commits = |call: &Call<'_>| matches!(call, Call::Commit(_));
        moody.play(Pranks::by(seed).with(Prank::Refuse, 300).only(commits));
        let mut refusals = Vec::new();
        for n in 0..50 {
            refusals.push(moody.commit(vec![step(n)]).await[0].is_err());
            moody.get(vec!["k/1".into()]).await.unwrap();
        }
        refusals
    };
    assert_eq!(run(7).await, run(7).await);
    assert_ne!(run(7).await, run(8).await);
    let refused = run(7).await.into_iter().filter(|refused| *refused).count();
    assert!((5..=25).contains(&refused), "{refused} of 50 at 30 %");
}

#[tokio::test(start_paused = true)]
async fn a_mood_meets_every_call_until_it_changes() {
    let (memory, moody) = engines();
    moody.set(Mood::Refusing(EngineError::NoSpace));
    assert!(moody.commit(vec![step(1)]).await[0].is_err());
    assert_eq!(moody.get(vec!["k/1".into()]).await, Err(EngineError::NoSpace));
    moody.set(Mood::Held);
    let held = tokio::spawn({
        let moody = Arc::clone(&moody);
        async move { moody.commit(vec![step(2), step(3)]).await.len() }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!there(&memory, 2).await && !held.is_finished());
    moody.calm();
    assert_eq!(held.await.unwrap(), 2);
    assert!(there(&memory, 2).await);
    assert_eq!(moody.batch_sizes(), [1, 2]);
    assert_eq!(moody.steps().len(), 3);
    moody.set(Mood::Stuck);
    let stuck = tokio::time::timeout(Duration::from_secs(60), moody.commit(vec![step(4)])).await;
    assert!(stuck.is_err() && !there(&memory, 4).await);
}
