//! A message from a phone to several clients with an answer: each of them once, whatever fails.

use super::*;
use smsgw_message::{ClientRequest, Mo, Npi, Ton};
use smsgw_runtime::Intensity;
use smsgw_testkit::{MoodyEngine, Prank, Pranks};
use std::collections::BTreeSet;

const ROUTES: &str = r#"
[client.other]
api_key = "other-key"
callback = "http://127.0.0.1:9000/other"
[keywords]
defaults = ["en"]
[[route.mo]]
clients = ["acme", "other"]
mode = "all"
reply = "Thank you!"
"#;

fn mo(n: u8, clock: &SimClock) -> Mo {
    Mo {
        id: MessageId::from_parts(SimClock::ORIGIN, [n; 10]),
        via: via("alpha"),
        link: LinkId::new(&operator("alpha"), 1),
        from: Address::msisdn("491700000002").unwrap(),
        to: Address::from_wire(Ton::UNKNOWN, Npi::UNKNOWN, "12345"),
        data_coding: 0,
        encoding: Encoding::Gsm7,
        udh: Vec::new().into(),
        data: if n == 0 {
            b"stop".to_vec()
        } else {
            b"hello".to_vec()
        }
        .into(),
        at: clock.now(),
        sar: None,
        charset: None,
        raw: None,
    }
}

/// All records of a queue, settled.
async fn take(engine: &MemoryEngine, queue: &str) -> Vec<bytes::Bytes> {
    let taken = engine
        .checkout(
            &QueueName::from(queue),
            Want::new(1_000, Duration::from_millis(50)),
        )
        .await
        .unwrap();
    for delivery in &taken {
        Step::from(delivery)
            .settle(delivery)
            .commit(engine)
            .await
            .unwrap();
    }
    taken
        .iter()
        .map(|delivery| delivery.record().to_vec().into())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn in_spite_of_panics_each_client_is_told_once_and_the_phone_answered_once() {
    let mut panics = 0;
    for seed in 0..8 {
        let (clock, _, memory) = world();
        let config = ConfigHandle::new(config(&format!("{CONFIG}{ROUTES}")));
        let engine = MoodyEngine::over(memory.clone());
        let node = smsgw_node_router::supervise(engine.clone(), config, clock.clone()).unwrap();
        let tree = Supervisor::new("test", Strategy::OneForOne)
            .intensity(Intensity::UNLIMITED)
            .child(node)
            .spawn()
            .await;
        assert!(tree.started().await);
        engine.play(
            Pranks::by(seed)
                .with(Prank::PanicBefore, 100)
                .with(Prank::PanicAfter, 150)
                .with(Prank::LoseAnswer, 150)
                .with(Prank::Refuse, 30)
                .at_most(60),
        );
        let group = via("alpha").group;
        let (mut told, mut asked) = (Vec::new(), Vec::new());
        for turn in 0..400 {
            if let Ok(n) = u8::try_from(turn)
                && n < 60
            {
                send_up(&*memory, &group, &Up::Mo(mo(n, &clock)), [n + 1; 16]).await;
            } else if told.len() == 120 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            for record in take(&memory, names::DOWN_CALLBACK).await {
                let down = Down::from_record(&record).unwrap();
                told.push((down.event, down.client.to_string(), down.message()));
            }
            for record in take(&memory, names::CLIENT_REQUESTS).await {
                asked.push(ClientRequest::from_record(&record).unwrap().event);
            }
        }
        panics += engine.panics();
        engine.calm();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(take(&memory, names::DOWN_CALLBACK).await.is_empty());
        let once: BTreeSet<_> = told.iter().map(|(event, _, _)| event).collect();
        let each: BTreeSet<_> = told.iter().map(|(_, client, id)| (client, id)).collect();
        assert_eq!(
            (told.len(), once.len(), each.len()),
            (120, 120, 120),
            "seed {seed}"
        );
        // Who says stop is not answered by the route.
        let replies: BTreeSet<_> = asked.iter().collect();
        assert_eq!((asked.len(), replies.len()), (59, 59), "seed {seed}");
        let phone = Address::msisdn("491700000002").unwrap();
        for client in ["acme", "other"] {
            let key = names::opted_out_of_client(&ClientId::try_new(client).unwrap(), &phone);
            let kept = memory.get(vec![key.into()]).await.unwrap();
            assert!(kept[0].is_some(), "{client}");
        }
        assert_eq!(events(&*memory).await.len(), 120);
        tree.stop().await;
    }
    assert!(panics >= 20, "{panics} panics");
}
