//! Long messages on the wire: order, and what is sent again.

use super::carrier::Reply;
use super::*;
use smsgw_config::LongMessages;
use smsgw_message::udh::Udh;
use smsgw_smpp::{CommandStatus, SubmitSm, tlv};
use std::collections::{BTreeMap, BTreeSet};

fn parts(n: u64, total: u8) -> Vec<Dispatch> {
    let part = |number: u8| {
        let mut part = Dispatch {
            part: u16::from(number),
            parts: u16::from(total),
            ..dispatch(n)
        };
        part.content.udh = vec![5, 0, 3, 0x77, total, number];
        part
    };
    (1..=total).map(part).collect()
}

/// Number of a part in its header.
fn number(message: &SubmitSm) -> u8 {
    Udh::parse(message.payload()).unwrap().0.concat.unwrap().sequence
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_message_go_in_order_over_a_link_and_only_a_failed_one_again() {
    let carrier = Carrier::scripted(|n, _| {
        Reply::Now(if n == 1 {
            CommandStatus::THROTTLED
        } else {
            CommandStatus::OK
        })
    });
    let world = World::start_with(config(&[("alpha", operator())]), carrier).await;
    world.publish(parts(1, 4)).await;
    let mut taken = BTreeSet::new();
    for _ in 0..4 {
        taken.insert(world.result().await.part);
    }
    assert_eq!(
        taken,
        BTreeSet::from([1, 2, 3, 4]),
        "each part has its own result"
    );
    let seen: Vec<u8> = world
        .carrier
        .seen()
        .iter()
        .map(|seen| number(&seen.message))
        .collect();
    assert_eq!(seen, [1, 2, 3, 4, 2]);
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_carrier_of_sar_gets_tlvs_and_the_sign_that_more_is_to_come() {
    let operator = Operator {
        long_messages: LongMessages::Sar,
        more_messages: true,
        ..operator()
    };
    let world = World::start(operator).await;
    world.publish(parts(1, 2)).await;
    for _ in 0..2 {
        world.result().await;
    }
    let told: Vec<_> = world
        .carrier
        .seen()
        .iter()
        .map(|seen| {
            let tlvs = &seen.message.tlvs;
            assert_eq!(tlvs.get(tlv::tag::SAR_MSG_REF_NUM), Some([0, 0x77].as_slice()));
            assert_eq!(&seen.message.short_message[..], b"Hello");
            (
                tlvs.get(tlv::tag::SAR_SEGMENT_SEQNUM).map(<[u8]>::to_vec),
                tlvs.get(tlv::tag::MORE_MESSAGES_TO_SEND).is_some(),
            )
        })
        .collect();
    assert_eq!(told, [(Some(vec![1]), true), (Some(vec![2]), false)]);
}

/// Three links of two slots each.
fn three_links() -> Operator {
    Operator {
        binds: 3,
        window: 2,
        adaptive: false,
        ..operator()
    }
}

/// What each session of the carrier got of each message, in its order.
fn ways(world: &World) -> BTreeMap<MessageId, Vec<(usize, u8)>> {
    let mut ways: BTreeMap<MessageId, Vec<(usize, u8)>> = BTreeMap::new();
    for seen in world.carrier.seen() {
        let message = Udh::parse(seen.message.payload()).unwrap().0.concat.unwrap();
        let id = id(u64::from(message.reference));
        ways.entry(id).or_default().push((seen.session, message.sequence));
    }
    ways
}

/// Parts whose reference is the number of their message.
fn referred(n: u8, total: u8) -> Vec<Dispatch> {
    let mut parts = parts(u64::from(n), total);
    for part in &mut parts {
        if let Some(reference) = part.content.udh.get_mut(3) {
            *reference = n;
        }
    }
    parts
}

fn in_order(total: u8) -> Vec<u8> {
    (1..=total).collect()
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_message_stay_on_one_of_several_links_in_their_order() {
    let carrier = Carrier::scripted(|n, _| {
        // Answers of all lengths, so that slots come free here and there.
        Reply::After(ms(u64::try_from(n * 37 % 91).unwrap() + 5), CommandStatus::OK)
    });
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    let messages: Vec<Dispatch> = (1..=40).flat_map(|n| referred(n, n % 5 + 2)).collect();
    let count = messages.len();
    world.publish(messages).await;
    world.results(count).await;
    let ways = ways(&world);
    let mut links = BTreeSet::new();
    for n in 1..=40_u8 {
        let way = &ways[&id(u64::from(n))];
        let sessions: BTreeSet<usize> = way.iter().map(|(session, _)| *session).collect();
        assert_eq!(sessions.len(), 1, "message {n} went {way:?}");
        links.extend(sessions);
        let order: Vec<u8> = way.iter().map(|(_, part)| *part).collect();
        assert_eq!(order, in_order(n % 5 + 2), "message {n}");
    }
    assert_eq!(links.len(), 3, "every link had some");
    assert!(
        world.carrier.seen().iter().all(|seen| seen.outstanding <= 2),
        "no window is exceeded by what is handed over"
    );
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn parts_that_a_client_cut_itself_stay_together_too() {
    let carrier = Carrier::scripted(|n, _| {
        Reply::After(ms(u64::try_from(n * 31 % 70).unwrap() + 5), CommandStatus::OK)
    });
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    let cut = (1..=20_u8).flat_map(|n| {
        referred(n, 3)
            .into_iter()
            .zip(0_u64..)
            .map(move |(part, at)| Dispatch {
                message: dispatch(1000 + u64::from(n) * 10 + at).message,
                part: 1,
                parts: 1,
                bundle: Some(u64::from(n)),
                ..part
            })
    });
    world.publish(cut.collect()).await;
    world.results(60).await;
    for (message, way) in ways(&world) {
        let sessions: BTreeSet<usize> = way.iter().map(|(session, _)| *session).collect();
        let order: Vec<u8> = way.iter().map(|(_, part)| *part).collect();
        assert_eq!((sessions.len(), order), (1, in_order(3)), "{message}: {way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_slot_waits_for_a_sibling() {
    let carrier = Carrier::scripted(|_, _| Reply::After(ms(100), CommandStatus::OK));
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    let messages: Vec<Dispatch> = (1..=60).flat_map(|n| referred(n, 3)).collect();
    world.publish(messages).await;
    let before = tokio::time::Instant::now();
    world.results(180).await;
    // 180 parts over 6 slots in rounds of 100 ms.
    let took = before.elapsed();
    assert!(took < ms(3_400), "{took:?} for 3 s of work");
}

#[tokio::test(start_paused = true)]
async fn a_blocked_link_holds_up_its_own_messages_only() {
    let carrier = Carrier::accepting();
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    world.carrier.mute(0);
    let messages: Vec<Dispatch> = (1..=30).flat_map(|n| referred(n, 4)).collect();
    world.publish(messages).await;
    let before = tokio::time::Instant::now();
    // Two slots are stuck; they and what waits behind them are at most three messages.
    world.results(27 * 4).await;
    assert!(before.elapsed() < ms(1_000), "{:?}", before.elapsed());
    // The rest comes once its link has been given up.
    world.results(3 * 4).await;
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn when_the_links_are_lost_in_the_middle_every_part_still_goes() {
    let carrier = Carrier::scripted(|n, _| match n {
        20 | 45 => Reply::Hang,
        _ => Reply::After(ms(40), CommandStatus::OK),
    });
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    let messages: Vec<Dispatch> = (1..=30).flat_map(|n| referred(n, 4)).collect();
    world.publish(messages).await;
    let mut taken = BTreeSet::new();
    for result in world.results(120).await {
        carrier_id(&result);
        assert!(taken.insert((result.message, result.part)), "one outcome each");
    }
    assert_eq!(taken.len(), 120);
    assert_eq!(world.depth(), Depth::default());
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_keeps_nothing_that_was_handed_over() {
    let carrier = Carrier::scripted(|_, _| Reply::After(ms(200), CommandStatus::OK));
    let world = World::start_with(config(&[("alpha", three_links())]), carrier).await;
    world.bound().await;
    let messages: Vec<Dispatch> = (1..=10).flat_map(|n| referred(n, 20)).collect();
    world.publish(messages).await;
    world
        .until("under way", |world| world.carrier.seen().len() > 12)
        .await;
    let (memory, _, carrier) = world.drain().await;
    let depth = memory.depth(&QueueName::from(names::mt_operator(&alpha())));
    let seen = u64::try_from(carrier.seen().len()).unwrap();
    assert_eq!((depth.ready, depth.in_flight), (200 - seen, 0), "{depth:?}");
}
