//! Every request of a client, in every state and version, is taken or refused as the operation matrix says.

use super::*;
use crate::{
    encode::encode_as,
    matrix::Side,
    samples::{STATES, refusal, requests},
};

fn in_state(version: Version, kind: Option<BindKind>) -> Bench {
    let config = SmscConfig {
        interface_version: Some(0x50),
        ..config()
    };
    let mut bench = Bench::new(config);
    if let Some(kind) = kind {
        bench.receive(CommandStatus::OK, 1, &bind(kind, version.octet()));
        bench.command(SmscCommand::AcceptBind { window: None });
        assert_eq!(bench.session.bind_kind(), Some(kind));
    }
    let _ = (bench.sent(), bench.events());
    bench
}

#[test]
fn every_request_of_the_client_is_answered_as_the_matrix_says() {
    let mut refused = 0;
    for version in Version::ALL {
        for kind in STATES {
            for body in requests() {
                let id = body.command_id();
                let mut bench = in_state(version, kind);
                // Nobody's version is known before the bind.
                let speaks = kind.map_or(Version::V5_0, |_| bench.session.version());
                let mut bytes = BytesMut::new();
                let _ = encode_as(Version::V5_0, CommandStatus::OK, 7, &body, &mut bytes).expect("fits");
                bench.session.handle_bytes(bench.now, &bytes);
                let (sent, events) = (bench.sent(), bench.events());
                let context = format!("{version} {kind:?} {id:?}: {sent:?} {events:?}");
                match refusal(speaks, kind, Side::Esme, id) {
                    Some(answer) => {
                        assert_eq!(sent, answer.into_iter().collect::<Vec<_>>(), "{context}");
                        assert!(
                            matches!(
                                events[..],
                                [SmscEvent::RequestRefused { .. } | SmscEvent::Undecodable(_)]
                            ),
                            "{context}"
                        );
                        assert!(!bench.session.is_closed(), "{context}");
                        refused += 1;
                    }
                    None => match id {
                        CommandId::SubmitSm
                        | CommandId::DataSm
                        | CommandId::SubmitMulti
                        | CommandId::QuerySm
                        | CommandId::CancelSm
                        | CommandId::ReplaceSm
                        | CommandId::BindTransmitter
                        | CommandId::BindReceiver
                        | CommandId::BindTransceiver => {
                            assert!(sent.is_empty() && events.len() == 1, "{context}");
                            assert!(
                                !matches!(
                                    events[..],
                                    [SmscEvent::RequestRefused { .. } | SmscEvent::Undecodable(_)]
                                ),
                                "{context}"
                            );
                        }
                        // Known, and not served.
                        CommandId::BroadcastSm
                        | CommandId::QueryBroadcastSm
                        | CommandId::CancelBroadcastSm => {
                            let status = CommandStatus::PROHIBITED;
                            assert_eq!(sent, [Pdu::answer(7, status, error_answer(id))], "{context}");
                            assert!(
                                matches!(events[..], [SmscEvent::RequestRefused { .. }]),
                                "{context}"
                            );
                        }
                        CommandId::EnquireLink => {
                            assert_eq!(
                                sent,
                                [Pdu::new(7, Body::EnquireLinkResp(Tlvs::new()))],
                                "{context}"
                            );
                        }
                        CommandId::Unbind => {
                            assert_eq!(sent, [Pdu::new(7, Body::UnbindResp)], "{context}");
                            assert!(bench.session.is_closed(), "{context}");
                        }
                        other => panic!("{other:?} is nothing a client sends: {context}"),
                    },
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn every_delivery_is_sent_or_not_as_the_matrix_says() {
    use crate::pdu::AlertNotification;
    let ours = || {
        [
            (
                CommandId::DeliverSm,
                SmscCommand::Deliver {
                    tag: 5,
                    message: message(),
                },
            ),
            (
                CommandId::DataSm,
                SmscCommand::DeliverData {
                    tag: 5,
                    message: message(),
                },
            ),
            (
                CommandId::AlertNotification,
                SmscCommand::Alert {
                    tag: 5,
                    alert: AlertNotification::default(),
                },
            ),
        ]
    };
    for version in Version::ALL {
        for kind in STATES {
            for (id, command) in ours() {
                let mut bench = in_state(version, kind);
                let old = bench.session.version() == Version::V3_3 && id != CommandId::DeliverSm;
                bench.command(command);
                let why = match kind {
                    None => Some(Refusal::NotBound),
                    Some(_) if old => Some(Refusal::NotInVersion),
                    Some(BindKind::Transmitter) => Some(Refusal::WrongBind),
                    Some(BindKind::Receiver | BindKind::Transceiver) => None,
                };
                let sent: Vec<_> = bench.sent().iter().map(|pdu| pdu.body.command_id()).collect();
                match why {
                    Some(why) => {
                        assert_eq!(
                            bench.events(),
                            [SmscEvent::NotSent { tag: 5, why }],
                            "{version} {kind:?} {id:?}"
                        );
                        assert!(sent.is_empty());
                    }
                    None => assert_eq!(
                        (bench.events(), sent),
                        (vec![], vec![id]),
                        "{version} {kind:?} {id:?}"
                    ),
                }
            }
        }
    }
}
