//! The faults below messages.

use super::*;

fn header(command_id: u32, sequence: u32) -> Vec<u8> {
    [16_u32, command_id, 0, sequence]
        .iter()
        .flat_map(|field| field.to_be_bytes())
        .collect()
}

#[test]
fn a_session_ignores_enquire_link_when_told_and_still_answers_the_rest() {
    for (ignore, expected) in [
        (false, vec![0x8000_0015_u32, 0x8000_0006]),
        (true, vec![0x8000_0006]),
    ] {
        let now = SystemClock.instant();
        let config = Rig::new(SmscOptions::default()).machine.session_config();
        let mut session = SimSession::new(SessionId(1), config, ignore, now);
        session.handle_bytes(now, &header(0x15, 1));
        session.handle_bytes(now, &header(0x06, 2));
        let mut out = bytes::BytesMut::new();
        while session.poll_transmit(&mut out) {}
        let (pdus, rest) = out.as_chunks::<16>();
        assert!(rest.is_empty());
        let ids: Vec<u32> = pdus
            .iter()
            .map(|pdu| u32::from_be_bytes(pdu[4..8].try_into().unwrap()))
            .collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn raw_bytes_keep_their_place_and_a_cut_session_tells_that_it_is_closed() {
    let now = SystemClock.instant();
    let config = Rig::new(SmscOptions::default()).machine.session_config();
    let mut session = SimSession::new(SessionId(1), config, false, now);
    session.handle_bytes(now, &header(0x15, 1));
    session.handle_command(now, SimCommand::Raw(Bytes::from_static(b"raw")));
    session.handle_bytes(now, &header(0x15, 2));
    session.handle_command(now, SimCommand::Cut);
    let mut out = bytes::BytesMut::new();
    while session.poll_transmit(&mut out) {}
    assert_eq!((out.get(16..19), out.len()), (Some(&b"raw"[..]), 35));
    let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
    assert!(
        matches!(
            events[..],
            [SimEvent {
                session: SessionId(1),
                event: SmscEvent::Closed { .. }
            }]
        ),
        "{events:?}"
    );
    assert!(session.is_closed());
}
