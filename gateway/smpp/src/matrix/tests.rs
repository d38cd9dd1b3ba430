//! The matrix against tables written out by hand and against the one of rusmpp, which is that of SMPP 5.0.

use super::*;

/// Every command id that any version names, and some that none does.
const COMMANDS: [CommandId; 37] = [
    CommandId::BindReceiver,
    CommandId::BindTransmitter,
    CommandId::QuerySm,
    CommandId::SubmitSm,
    CommandId::DeliverSm,
    CommandId::Unbind,
    CommandId::ReplaceSm,
    CommandId::CancelSm,
    CommandId::BindTransceiver,
    CommandId::Outbind,
    CommandId::EnquireLink,
    CommandId::SubmitMulti,
    CommandId::AlertNotification,
    CommandId::DataSm,
    CommandId::BroadcastSm,
    CommandId::QueryBroadcastSm,
    CommandId::CancelBroadcastSm,
    CommandId::GenericNack,
    CommandId::BindReceiverResp,
    CommandId::BindTransmitterResp,
    CommandId::QuerySmResp,
    CommandId::SubmitSmResp,
    CommandId::DeliverSmResp,
    CommandId::UnbindResp,
    CommandId::ReplaceSmResp,
    CommandId::CancelSmResp,
    CommandId::BindTransceiverResp,
    CommandId::EnquireLinkResp,
    CommandId::SubmitMultiResp,
    CommandId::DataSmResp,
    CommandId::BroadcastSmResp,
    CommandId::QueryBroadcastSmResp,
    CommandId::CancelBroadcastSmResp,
    CommandId::Other(0x22),
    CommandId::Other(0x8000_0022),
    CommandId::Other(0x0001_0000),
    CommandId::Other(0x8000_0102),
];

/// The requests as the pages have them: name, versions that lack it, and for each state of [`SessionState::ALL`] who may
/// send it: e the ESME, s the SMSC, b both, - nobody.
const PAGE: [(CommandId, &[Version], &str); 17] = {
    use Version::{V3_3, V3_4};
    const ALL: &[Version] = &[];
    const NOT_3_3: &[Version] = &[V3_3];
    const ONLY_5_0: &[Version] = &[V3_3, V3_4];
    [
        (CommandId::BindTransmitter, ALL, "ee-----"),
        (CommandId::BindReceiver, ALL, "ee-----"),
        (CommandId::BindTransceiver, NOT_3_3, "ee-----"),
        (CommandId::Outbind, NOT_3_3, "s------"),
        (CommandId::Unbind, ALL, "--bbb--"),
        (CommandId::EnquireLink, ALL, "bbbbbb-"),
        (CommandId::SubmitSm, ALL, "--e-e--"),
        (CommandId::SubmitMulti, ALL, "--e-e--"),
        (CommandId::DataSm, NOT_3_3, "--esb--"),
        (CommandId::DeliverSm, ALL, "---ss--"),
        (CommandId::QuerySm, ALL, "--e-e--"),
        (CommandId::CancelSm, ALL, "--e-e--"),
        (CommandId::ReplaceSm, ALL, "--e-e--"),
        (CommandId::AlertNotification, NOT_3_3, "---ss--"),
        (CommandId::BroadcastSm, ONLY_5_0, "--e-e--"),
        (CommandId::QueryBroadcastSm, ONLY_5_0, "--e-e--"),
        (CommandId::CancelBroadcastSm, ONLY_5_0, "--e-e--"),
    ]
};

#[test]
fn every_request_is_judged_as_the_pages_say_in_every_version_state_and_direction() {
    let mut judged = 0;
    for (command, lacking, states) in PAGE {
        for version in Version::ALL {
            for (state, who) in SessionState::ALL.into_iter().zip(states.chars()) {
                for (side, own) in [(Side::Esme, 'e'), (Side::Smsc, 's')] {
                    let sends = |mark: char| mark == 'b' || mark == own;
                    let expected = if lacking.contains(&version) {
                        Judgement::Unknown
                    } else if sends(who) {
                        Judgement::Allowed
                    } else if states.chars().any(sends) {
                        Judgement::WrongState
                    } else {
                        Judgement::WrongSide
                    };
                    let found = judge(version, state, side, command);
                    assert_eq!(found, expected, "{command:?} {version} {state:?} {side:?}");
                    judged += 1;
                }
            }
        }
    }
    assert_eq!(judged, 17 * 3 * 7 * 2);
    for command in COMMANDS.into_iter().filter(|command| command.is_operation()) {
        let listed = PAGE.iter().any(|(known, _, _)| *known == command);
        assert_eq!(listed, !matches!(command, CommandId::Other(_)), "{command:?}");
    }
}

#[test]
fn version_5_agrees_with_an_independent_table_for_every_command() {
    use rusmpp_core::session::SessionState as Theirs;
    let states = [
        (SessionState::Open, Theirs::Open),
        (SessionState::Outbound, Theirs::Outbound),
        (SessionState::BoundTx, Theirs::BoundTx),
        (SessionState::BoundRx, Theirs::BoundRx),
        (SessionState::BoundTrx, Theirs::BoundTrx),
        (SessionState::Unbound, Theirs::Unbound),
        (SessionState::Closed, Theirs::Closed),
    ];
    for (ours, theirs) in states {
        for command in COMMANDS {
            let esme = judge(Version::V5_0, ours, Side::Esme, command) == Judgement::Allowed;
            let smsc = judge(Version::V5_0, ours, Side::Smsc, command) == Judgement::Allowed;
            // That table leaves out what the SMSC receives as answers on a receiver and transceiver.
            assert_eq!(
                esme,
                theirs.can_send_as_esme(command),
                "ESME {ours:?} {command:?}"
            );
            assert_eq!(smsc, theirs.can_send_as_mc(command), "SMSC {ours:?} {command:?}");
        }
    }
}

#[test]
fn what_is_not_allowed_has_a_status_and_a_second_bind_its_own() {
    let status = |judgement: Judgement, command, bound| judgement.status(command, bound);
    assert_eq!(status(Judgement::Allowed, CommandId::SubmitSm, true), None);
    assert_eq!(
        status(Judgement::WrongState, CommandId::SubmitSm, true),
        Some(CommandStatus::INVALID_BIND_STATUS)
    );
    assert_eq!(
        status(Judgement::WrongState, CommandId::BindReceiver, true),
        Some(CommandStatus::ALREADY_BOUND)
    );
    assert_eq!(
        status(Judgement::WrongState, CommandId::BindReceiver, false),
        Some(CommandStatus::INVALID_BIND_STATUS)
    );
    assert_eq!(
        status(Judgement::WrongSide, CommandId::DeliverSm, true),
        Some(CommandStatus::INVALID_BIND_STATUS)
    );
    assert_eq!(
        status(Judgement::Unknown, CommandId::Other(0x22), true),
        Some(CommandStatus::INVALID_COMMAND_ID)
    );
}

#[test]
fn a_transceiver_is_3_4_at_least() {
    for octet in 0..=u8::MAX {
        let version = Version::from_octet(octet);
        assert_eq!(version_of_bind(BindKind::Transmitter, octet), version);
        assert_eq!(version_of_bind(BindKind::Receiver, octet), version);
        assert_eq!(
            version_of_bind(BindKind::Transceiver, octet),
            version.max(Version::V3_4)
        );
    }
}
