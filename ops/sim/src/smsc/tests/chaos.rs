//! Chaos on the machine: the same seed makes the same carrier.

use super::*;
use crate::smsc::chaos::{ChaosArg, Director, Order};

/// Everything a carrier under chaos sends in 20 s of one submit every 50 ms.
fn octets(seed: u64) -> Vec<u8> {
    let base = SmscOptions {
        seed,
        ..SmscOptions::default()
    };
    let mut rig = Rig::new(base.clone());
    let mut director = Director::open(base, &ChaosArg::Level(5), seed, rig.start).unwrap();
    let (mut all, mut session) = (Vec::new(), 0);
    for tick in 0..400_u32 {
        rig.now = u64::from(tick) * 50;
        let now = rig.moment();
        for order in director.handle_timeout(now.instant) {
            match order {
                Order::Options(options) => rig.machine.set_options(*options),
                Order::Act(_) => rig.machine.cut_all(now),
            }
        }
        rig.machine.handle_timeout(now);
        if session == 0 || rig.flow(session) == Flow::Closing {
            session += 1;
            rig.machine.handle_opened(now, SessionId(session));
            rig.machine
                .handle_bytes(now, SessionId(session), &bind_pdu(TRANSCEIVER, "a", "", 0x34));
        }
        let submit = request(id::SUBMIT_SM, tick + 2, |out| Submit::default().body(out));
        rig.machine.handle_bytes(now, SessionId(session), &submit);
        all.extend(rig.raw(session));
    }
    all
}

#[test]
fn the_same_seed_and_input_make_the_same_octets() {
    let first = octets(7);
    assert!(first.len() > 10_000);
    assert!(first == octets(7), "chaos of one seed differs from itself");
    assert!(first != octets(8));
}
