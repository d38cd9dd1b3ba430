//! Links: binds, reconnects, drain, reload.

use super::carrier::Reply;
use super::*;
use smsgw_config::{BindMode, Protocol};
use smsgw_smpp::{BindKind, CommandStatus, DeliverSm};

const OK: CommandStatus = CommandStatus::OK;

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_tried_once_a_minute() {
    for status in [
        CommandStatus::INVALID_PASSWORD,
        CommandStatus::INVALID_SYSTEM_ID,
        CommandStatus::BIND_FAILED,
    ] {
        let carrier = Carrier::accepting();
        carrier.refuse_binds(Some(status));
        let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
        world.send([1]).await;
        world
            .until("three tries", |world| world.carrier.binds().len() == 3)
            .await;
        let binds = world.carrier.binds();
        for pair in binds.windows(2) {
            let pause = pair[1].0 - pair[0].0;
            assert!((ms(60_000)..ms(72_100)).contains(&pause), "{status}: {pause:?}");
        }
        let shown = world.table.snapshot();
        assert_eq!(shown[0].state, LinkState::Down);
        assert!(
            shown[0]
                .reason
                .as_deref()
                .is_some_and(|reason| reason.contains(status.name().unwrap())),
            "{shown:?}"
        );
        world.carrier.refuse_binds(None);
        assert_eq!(
            carrier_id(&world.result_within_minutes().await),
            "C1",
            "the part had waited"
        );
    }
}

impl World {
    async fn result_within_minutes(&self) -> SubmitResult {
        match self
            .up_within(Duration::from_secs(600))
            .await
            .expect("a record came up")
            .0
        {
            Up::SubmitResult(result) => result,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_is_down_is_tried_again_with_growing_pauses() {
    let carrier = Carrier::accepting();
    carrier.close_port(true);
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.states(), [("alpha-1".to_owned(), LinkState::Down)]);
    world.carrier.close_port(false);
    let before = tokio::time::Instant::now();
    world.bound().await;
    assert!(
        before.elapsed() <= Duration::from_secs(37),
        "30 s and jitter at most"
    );
    // Once bound and of use, pauses begin at the start again.
    world.send([1]).await;
    world.result().await;
    let before = tokio::time::Instant::now();
    world.carrier.hang_up();
    world
        .until("bound again", |world| world.carrier.binds().len() == 2)
        .await;
    assert!(before.elapsed() < ms(700), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_ghost_session_at_the_carrier_is_waited_out() {
    let carrier = Carrier::accepting();
    carrier.refuse_binds(Some(CommandStatus::ALREADY_BOUND));
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world
        .until("two tries", |world| world.carrier.binds().len() == 2)
        .await;
    let binds = world.carrier.binds();
    let pause = binds[1].0 - binds[0].0;
    assert!((ms(30_000)..ms(36_100)).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn how_long_a_ghost_is_waited_for_is_configured() {
    let carrier = Carrier::accepting();
    carrier.refuse_binds(Some(CommandStatus::ALREADY_BOUND));
    let operator = Operator {
        already_bound_retry: Duration::from_secs(45),
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world
        .until("two tries", |world| world.carrier.binds().len() == 2)
        .await;
    let binds = world.carrier.binds();
    let pause = binds[1].0 - binds[0].0;
    assert!((ms(45_000)..ms(54_100)).contains(&pause), "{pause:?}");
    assert!(
        !world.table.snapshot()[0].credentials_refused,
        "nobody has to act"
    );
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_shown_until_a_bind_is_taken() {
    let carrier = Carrier::accepting();
    carrier.refuse_binds(Some(CommandStatus::INVALID_PASSWORD));
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world
        .until("shown", |world| world.table.snapshot()[0].credentials_refused)
        .await;
    world
        .until("shown while it tries again", |world| {
            let shown = &world.table.snapshot()[0];
            assert!(shown.credentials_refused);
            world.carrier.binds().len() == 2
        })
        .await;
    world.carrier.refuse_binds(None);
    world.bound().await;
    assert!(!world.table.snapshot()[0].credentials_refused);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_not_enabled_keeps_its_parts_and_opens_nothing() {
    let stopped = Operator {
        enabled: false,
        binds: 2,
        ..operator()
    };
    let world = World::start(stopped.clone()).await;
    world.send([1]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.carrier.binds().is_empty());
    let state = |link: &str| (link.to_owned(), LinkState::Stopped);
    assert_eq!(world.states(), [state("alpha-1"), state("alpha-2")]);
    assert_eq!(world.depth().ready, 1);

    let enabled = Operator {
        enabled: true,
        ..stopped.clone()
    };
    world.config.publish(config(&[("alpha", enabled)]));
    assert_eq!(carrier_id(&world.result().await), "C1");
    world.bound().await;

    world.config.publish(config(&[("alpha", stopped)]));
    world
        .until("stopped", |world| {
            world.states() == [state("alpha-1"), state("alpha-2")]
        })
        .await;
    assert_eq!(world.carrier.unbound(), 2, "by unbind, not by closing");
}

fn auto() -> Operator {
    Operator {
        bind: BindMode::Auto,
        ..operator()
    }
}

impl World {
    fn kinds(&self) -> Vec<BindKind> {
        self.carrier.binds().iter().map(|(_, kind)| *kind).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn auto_stays_with_the_transceiver_that_the_carrier_takes() {
    let world = World::start(auto()).await;
    world.bound().await;
    world.carrier.hang_up();
    world
        .until("bound again", |world| world.carrier.binds().len() == 2)
        .await;
    world.bound().await;
    assert_eq!(world.kinds(), [BindKind::Transceiver, BindKind::Transceiver]);
    assert_eq!(world.states().len(), 1, "no receiver is shown");
}

#[tokio::test(start_paused = true)]
async fn a_carrier_without_transceivers_gets_a_pair_until_the_relink() {
    for status in [
        CommandStatus::INVALID_COMMAND_ID,
        CommandStatus::INVALID_BIND_STATUS,
        CommandStatus::BIND_FAILED,
    ] {
        let carrier = Carrier::accepting();
        carrier.refuse_transceivers(status);
        let world = World::start_with(config(&[("alpha", auto())]), carrier).await;
        let before = tokio::time::Instant::now();
        world.until("a pair", |world| world.states().len() == 2).await;
        world.bound().await;
        assert!(before.elapsed() < ms(500), "{status}: at once");
        let (tx, rx) = (BindKind::Transmitter, BindKind::Receiver);
        assert_eq!(world.kinds(), [BindKind::Transceiver, tx, rx], "{status}");
        world.send([1]).await;
        assert_eq!(carrier_id(&world.result().await), "C1");
        world.carrier.deliver(
            1,
            DeliverSm {
                short_message: bytes::Bytes::from_static(b"Hi"),
                ..DeliverSm::default()
            },
        );
        assert!(matches!(world.up().await.0, Up::Mo(_)));

        // Remembered.
        world.carrier.hang_up();
        world
            .until("both again", |world| world.carrier.binds().len() == 5)
            .await;
        world.bound().await;
        let again = world.kinds().split_off(3);
        assert!(again.contains(&tx) && again.contains(&rx), "{again:?}");

        // Until the relink.
        let relinked = Operator { window: 3, ..auto() };
        world.config.publish(config(&[("alpha", relinked)]));
        world
            .until("a pair again", |world| world.carrier.binds().len() == 8)
            .await;
        assert_eq!(world.kinds()[5], BindKind::Transceiver);
        let (_, _, carrier) = world.drain().await;
        assert_eq!(carrier.unbound(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_told_as_bind_failed_do_not_make_a_pair_for_ever() {
    let carrier = Carrier::accepting();
    carrier.refuse_binds(Some(CommandStatus::BIND_FAILED));
    let world = World::start_with(config(&[("alpha", auto())]), carrier).await;
    world
        .until("four tries", |world| world.carrier.binds().len() == 4)
        .await;
    let (trx, tx) = (BindKind::Transceiver, BindKind::Transmitter);
    assert_eq!(world.kinds(), [trx, tx, trx, tx]);
    let binds = world.carrier.binds();
    let pause = binds[2].0 - binds[1].0;
    assert!((ms(60_000)..ms(72_100)).contains(&pause), "{pause:?}");
    // Somebody corrects them at the carrier: the transceiver is tried first.
    world
        .until("the pause", |world| {
            world
                .table
                .snapshot()
                .iter()
                .any(|shown| shown.credentials_refused)
        })
        .await;
    world.carrier.refuse_binds(None);
    world.bound().await;
    assert_eq!(world.kinds()[4..], [trx]);
    assert_eq!(world.states().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn smpp_3_3_has_no_transceivers_to_try() {
    let operator = Operator {
        interface_version: smsgw_config::InterfaceVersion::V3_3,
        ..auto()
    };
    let world = World::start(operator).await;
    world
        .until("two binds", |world| world.carrier.binds().len() == 2)
        .await;
    world.bound().await;
    assert!(!world.kinds().contains(&BindKind::Transceiver));
    world.send([1]).await;
    world.result().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_outstanding_answers_and_unbinds() {
    let carrier = Carrier::scripted(|_, _| Reply::After(Duration::from_secs(3), OK));
    let operator = Operator {
        window: 5,
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator)]), carrier).await;
    world.send(0..20).await;
    world
        .until("a full window", |world| world.carrier.seen().len() == 5)
        .await;
    let before = tokio::time::Instant::now();
    let (memory, _, carrier) = world.drain().await;
    assert!(
        (ms(2900)..ms(4000)).contains(&before.elapsed()),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(carrier.unbound(), 1);
    assert_eq!(carrier.seen().len(), 5, "nothing new");
    let parts = memory.depth(&QueueName::from(names::mt_operator(&alpha())));
    assert_eq!((parts.ready, parts.in_flight), (15, 0));
    let up = memory.depth(&QueueName::from(names::up(&smsgw_message::LinkGroup::of(
        &alpha(),
    ))));
    assert_eq!(up.ready, 5, "every answer is stored");
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_up_after_its_time_and_what_is_unanswered_stays_queued() {
    let carrier = Carrier::scripted(|_, _| Reply::Never);
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.send(0..3).await;
    world.until("sent", |world| world.carrier.seen().len() == 3).await;
    let before = tokio::time::Instant::now();
    let (memory, _, carrier) = world.drain().await;
    assert!(
        (ms(9900)..ms(13_500)).contains(&before.elapsed()),
        "{:?}",
        before.elapsed()
    );
    let parts = memory.depth(&QueueName::from(names::mt_operator(&alpha())));
    assert_eq!(
        (parts.ready, parts.in_flight),
        (3, 0),
        "in doubt, to be sent again"
    );
    assert_eq!(carrier.unbound(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_link_of_two_binds_sends_over_one_and_receives_over_the_other() {
    let operator = Operator {
        bind: BindMode::TransmitterReceiver,
        ..operator()
    };
    let world = World::start(operator).await;
    world
        .until("two binds", |world| world.carrier.binds().len() == 2)
        .await;
    world.bound().await;
    let mut kinds: Vec<_> = world
        .carrier
        .binds()
        .iter()
        .map(|(_, kind)| format!("{kind:?}"))
        .collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            format!("{:?}", BindKind::Receiver),
            format!("{:?}", BindKind::Transmitter)
        ]
    );
    world.send([1]).await;
    assert_eq!(
        world.result().await.link.map(|link| link.to_string()).as_deref(),
        Some("alpha-1")
    );
    world.carrier.deliver(
        1,
        DeliverSm {
            short_message: bytes::Bytes::from_static(b"Hi"),
            ..DeliverSm::default()
        },
    );
    let (Up::Mo(mo), _) = world.up().await else {
        panic!("an MO")
    };
    assert_eq!(mo.link.as_str(), "alpha-1", "one link");
}

#[tokio::test(start_paused = true)]
async fn a_reload_touches_only_the_links_of_changed_operators() {
    let carrier = Carrier::accepting();
    let other = Operator {
        system_id: Some("other".to_owned()),
        ..operator()
    };
    let world = World::start_with(config(&[("alpha", operator()), ("beta", other.clone())]), carrier).await;
    world.bound().await;
    assert_eq!(world.carrier.binds().len(), 2);

    // Live: rate and verdicts change without a new bind.
    let live = Operator {
        rate: 5.0,
        temporary: smsgw_config::StatusRange::one(0x0B).into_iter().collect(),
        ..operator()
    };
    world
        .config
        .publish(config(&[("alpha", live.clone()), ("beta", other.clone())]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((world.carrier.binds().len(), world.carrier.unbound()), (2, 0));
    world.send(0..11).await;
    let before = tokio::time::Instant::now();
    world.results(11).await;
    assert!(
        before.elapsed() >= Duration::from_secs(2),
        "the new rate holds: {:?}",
        before.elapsed()
    );

    // Relink: alpha unbinds and binds again, twice; beta does not notice.
    let relinked = Operator {
        window: 20,
        binds: 2,
        ..live
    };
    world
        .config
        .publish(config(&[("alpha", relinked.clone()), ("beta", other)]));
    world
        .until("alpha again", |world| world.carrier.binds().len() == 4)
        .await;
    world.bound().await;
    assert_eq!(world.carrier.unbound(), 1);
    let links: Vec<_> = world.states().into_iter().map(|(link, _)| link).collect();
    assert_eq!(links, ["alpha-1", "alpha-2", "beta-1"]);

    // Removed.
    world.config.publish(config(&[("alpha", relinked)]));
    world.until("beta gone", |world| world.states().len() == 2).await;
    assert_eq!((world.carrier.unbound(), world.carrier.binds().len()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn an_operator_added_while_running_gets_its_links() {
    let world = World::start_with(config(&[]), Carrier::accepting()).await;
    world.send([1]).await;
    world.config.publish(config(&[("alpha", operator())]));
    assert_eq!(carrier_id(&world.result().await), "C1");
}

#[tokio::test(start_paused = true)]
async fn an_operator_of_another_protocol_is_shown_and_breaks_nothing() {
    let ucp = Operator {
        protocol: Protocol::Http,
        ..operator()
    };
    let world = World::start_with(
        config(&[("alpha", operator()), ("beta", ucp.clone())]),
        Carrier::accepting(),
    )
    .await;
    world
        .until("alpha bound", |world| {
            world.states()
                == [
                    ("alpha-1".to_owned(), LinkState::Bound),
                    ("beta-1".to_owned(), LinkState::Unsupported),
                ]
        })
        .await;
    let state = [("operator", "beta"), ("link", "beta-1")];
    assert_eq!(counter("smsgw_operator_link_state", &state), 4.0);
    world.send([1]).await;
    world.result().await;
    world
        .config
        .publish(config(&[("alpha", operator()), ("beta", operator())]));
    world
        .until("beta speaks SMPP now", |world| {
            world.states().iter().all(|(_, state)| *state == LinkState::Bound)
        })
        .await;
}
