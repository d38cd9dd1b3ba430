//! Every request of a carrier, in every state and version, is taken or refused as the operation matrix says.

use super::*;
use crate::{
    matrix::Side,
    samples::{STATES, refusal, requests},
    version::Version,
};

fn bench(version: Version, kind: Option<BindKind>) -> Bench {
    let config = EsmeConfig {
        bind: kind.unwrap_or(BindKind::Transceiver),
        interface_version: version.octet(),
        ..config()
    };
    let mut bench = match kind {
        Some(_) => Bench::bound(config),
        None => Bench::new(config),
    };
    let _ = bench.sent();
    bench
}

#[test]
fn every_request_of_the_carrier_is_answered_as_the_matrix_says() {
    let mut refused = 0;
    for version in Version::ALL {
        for kind in STATES {
            for body in requests() {
                let id = body.command_id();
                let mut bench = bench(version, kind);
                let speaks = bench.session.version();
                bench.receive_as(Version::V5_0, 7, &body);
                let (sent, events) = (bench.sent(), bench.events());
                let context = format!("{version} {kind:?} {id:?}: {sent:?} {events:?}");
                match refusal(speaks, kind, Side::Smsc, id) {
                    Some(answer) => {
                        assert_eq!(sent, answer.into_iter().collect::<Vec<_>>(), "{context}");
                        assert!(
                            matches!(
                                events[..],
                                [EsmeEvent::DeliveryRefused { .. } | EsmeEvent::Undecodable(_)]
                            ),
                            "{context}"
                        );
                        assert!(!bench.session.is_closed(), "{context}");
                        refused += 1;
                    }
                    None => match id {
                        CommandId::DeliverSm | CommandId::DataSm => {
                            assert!(
                                sent.is_empty() && matches!(events[..], [EsmeEvent::Delivered { .. }]),
                                "{context}"
                            );
                        }
                        CommandId::AlertNotification => {
                            assert!(
                                sent.is_empty() && matches!(events[..], [EsmeEvent::Alert(_)]),
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
                        // On a connection that we have opened there is nothing to ask us for.
                        CommandId::Outbind => {
                            assert!(
                                sent.is_empty() && matches!(events[..], [EsmeEvent::Undecodable(_)]),
                                "{context}"
                            );
                        }
                        other => panic!("{other:?} is nothing a carrier sends: {context}"),
                    },
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn every_request_of_ours_is_sent_or_not_as_the_matrix_says() {
    use crate::pdu::{CancelSm, QuerySm, ReplaceSm};
    let ours = || {
        [
            (CommandId::SubmitSm, Request::SubmitSm(message())),
            (
                CommandId::SubmitMulti,
                Request::SubmitMulti(crate::samples::multi()),
            ),
            (CommandId::DataSm, Request::DataSm(message())),
            (CommandId::QuerySm, Request::QuerySm(QuerySm::default())),
            (CommandId::CancelSm, Request::CancelSm(CancelSm::default())),
            (CommandId::ReplaceSm, Request::ReplaceSm(ReplaceSm::default())),
        ]
    };
    for version in Version::ALL {
        for kind in STATES {
            for (id, request) in ours() {
                let mut bench = bench(version, kind);
                bench.command(EsmeCommand::Request { tag: 5, request });
                let why = match kind {
                    None => Some(Refusal::NotBound),
                    // A transceiver speaks 3.4 at least.
                    Some(BindKind::Transmitter | BindKind::Receiver)
                        if version == Version::V3_3 && id == CommandId::DataSm =>
                    {
                        Some(Refusal::NotInVersion)
                    }
                    Some(BindKind::Receiver) => Some(Refusal::WrongBind),
                    Some(BindKind::Transmitter | BindKind::Transceiver) => None,
                };
                let sent: Vec<_> = bench.sent().iter().map(|pdu| pdu.body.command_id()).collect();
                match why {
                    Some(why) => {
                        assert_eq!(
                            bench.events(),
                            [EsmeEvent::NotSent { tag: 5, why }],
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
