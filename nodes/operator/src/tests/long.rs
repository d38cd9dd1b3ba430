//! Long messages on the wire: order, and what is sent again.

use super::carrier::Reply;
use super::*;
use smsgw_config::LongMessages;
use smsgw_message::udh::Udh;
use smsgw_smpp::{CommandStatus, SubmitSm, tlv};
use std::collections::BTreeSet;

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
