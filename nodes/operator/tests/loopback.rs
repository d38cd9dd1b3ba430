//! The node as the daemon starts it, over real TCP, against our own SMSC session.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use smsgw_config::{Config, ConfigHandle, HostPort, Operator, Secret};
use smsgw_message::{
    Address, Class, ClientId, Dispatch, Encoding, LinkGroup, MessageId, OperatorId, Part, Record,
    ReportLevel, SubmitOutcome, Timestamp, Up, names,
};
use smsgw_node_operator::{LinkState, supervise_watched};
use smsgw_queue::{Engine, Lane, MemoryEngine, QueueName, Step, StepId, Want};
use smsgw_runtime::{Clock, Exit, Strategy, Supervisor, SystemClock};
use smsgw_smpp::{COctets, CommandStatus, SmscCommand, SmscConfig, SmscEvent, SmscSession};
use smsgw_transport::{DriveOptions, Listener, drive};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const PARTS: u64 = 3000;

/// Takes every bind and every submit.
async fn carrier(listener: Listener, clock: Arc<SystemClock>) {
    let mut next_id = 0_u64;
    loop {
        let (stream, _) = listener.accept().await;
        let (commands, session_commands) = mpsc::channel(10_000);
        let (session_events, mut events) = mpsc::channel(16);
        let session = SmscSession::new(
            SmscConfig::new(COctets::try_from("carrier").unwrap()),
            clock.instant(),
        );
        tokio::spawn(drive(
            session,
            stream,
            session_commands,
            session_events,
            DriveOptions::new("carrier"),
        ));
        while let Some(batch) = events.recv().await {
            for event in batch {
                match event {
                    SmscEvent::BindRequested { .. } => {
                        commands
                            .send(SmscCommand::AcceptBind { window: None })
                            .await
                            .unwrap();
                    }
                    SmscEvent::Submit { sequence, .. } => {
                        next_id += 1;
                        let message_id = COctets::try_from(format!("id-{next_id}")).unwrap();
                        let answer = SmscCommand::AnswerSubmit {
                            sequence,
                            status: CommandStatus::OK,
                            message_id,
                        };
                        commands.send(answer).await.unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
}

fn part(n: u64, operator: &OperatorId, now: Timestamp) -> Dispatch {
    Dispatch {
        message: MessageId::from_parts(now, [0; 10]).derive(n),
        part: 1,
        parts: 1,
        client: ClientId::try_new("acme").unwrap(),
        operator: operator.clone(),
        from: Some(Address::sender("12345").unwrap()),
        to: Address::msisdn("491700000001").unwrap(),
        encoding: Encoding::Gsm7,
        content: Part {
            udh: Vec::new(),
            data: b"Hello".to_vec(),
        },
        valid_until: now.after(Duration::from_secs(3600)),
        report: ReportLevel::Final,
        message_class: None,
        options: None,
        bundle: None,
        reference: None,
        class: None,
        route: None,
        own: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_parts_go_over_tcp_and_the_link_unbinds() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr();
    let clock = Arc::new(SystemClock);
    tokio::spawn(carrier(listener, Arc::clone(&clock)));
    let alpha = OperatorId::try_new("alpha").unwrap();
    let operator = Operator {
        hosts: vec![HostPort::from_text(&address.to_string()).unwrap()],
        system_id: Some("test".to_owned()),
        password: Some(Secret::new("secret")),
        window: 100,
        ..Operator::default()
    };
    let config = Config {
        operator: [(alpha.clone(), operator)].into(),
        ..Config::default()
    };
    let engine = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let queue = names::mt_operator(&alpha);
    let steps = (0..PARTS)
        .map(|n| part(n, &alpha, clock.now()))
        .map(|part| {
            let lane = Lane::new(Class::Transactional, "acme");
            Step::new(StepId::accept(part.message)).publish(queue.as_str(), lane, part.to_record())
        })
        .collect();
    assert!(engine.commit(steps).await.iter().all(Result::is_ok));

    let (node, table) = supervise_watched(
        Arc::clone(&engine) as Arc<dyn Engine>,
        ConfigHandle::new(config),
        Arc::clone(&clock) as Arc<dyn Clock>,
    );
    let begin = clock.instant();
    let tree = Supervisor::new("smsgw", Strategy::RestForOne)
        .child(node)
        .spawn()
        .await;
    let up = QueueName::from(names::up(&LinkGroup::of(&alpha)));
    let mut ids = BTreeSet::new();
    while ids.len() < usize::try_from(PARTS).unwrap() {
        let deliveries = engine
            .checkout(&up, Want::new(1000, Duration::from_secs(30)))
            .await
            .unwrap();
        assert!(!deliveries.is_empty(), "{} of {PARTS} results", ids.len());
        for delivery in &deliveries {
            let Up::SubmitResult(result) = Up::from_record(delivery.record()).unwrap() else {
                panic!("a result")
            };
            let SubmitOutcome::Sent { carrier_id } = result.outcome else {
                panic!("{result:?}")
            };
            assert!(ids.insert(carrier_id), "each id once");
        }
        let settled = deliveries
            .iter()
            .map(|delivery| Step::from(delivery).settle(delivery))
            .collect();
        assert!(engine.commit(settled).await.iter().all(Result::is_ok));
    }
    println!("{PARTS} parts in {:?}", clock.instant() - begin);
    let shown = table.snapshot();
    assert_eq!(
        (shown.len(), shown[0].state, shown[0].peer),
        (1, LinkState::Bound, Some(address))
    );
    assert_eq!(tree.drain().await, Exit::Stopped);
    assert!(table.snapshot().is_empty());
    assert_eq!(engine.depth(&QueueName::from(queue)).ready, 0);
}
