//! The machine, switch by switch: events and time as numbers in, commands and records out.

mod deliveries;
mod sessions;
mod submits;

use super::*;
use crate::ledger::{CarrierRecord, Fate};
use crate::token::{Token, Way};
use bytes::Bytes;
use smsgw_message::{Clock, Timestamp};
use smsgw_runtime::SystemClock;
use smsgw_session::Session;
use smsgw_smpp::receipt::is_receipt;
use smsgw_smpp::{
    Address, BindKind, COctets, CloseCause, CommandStatus, DeliverSm, Operation, Password, Receipt,
    ReceiptState, SmscCommand, SmscEvent, SubmitSm, Tlvs,
};
use std::time::{Duration, Instant};

struct Rig {
    machine: Smsc,
    start: Instant,
    now: u64,
    records: Vec<CarrierRecord>,
}

/// What the machine made a session do, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Did {
    Accepted,
    Refused(u32),
    Answered { sequence: u32, status: u32, id: String },
    Delivered { tag: u64, message: Box<DeliverSm> },
    Raw,
    Cut,
}

impl Rig {
    fn new(options: SmscOptions) -> Self {
        let start = SystemClock.instant();
        let options = SmscOptions {
            first_id: Some(100),
            ..options
        };
        let machine = Smsc::new(
            options,
            Moment {
                instant: start,
                wall: Timestamp::from_millis(0),
            },
            true,
        );
        Self {
            machine,
            start,
            now: 0,
            records: Vec::new(),
        }
    }

    /// With a transceiver bound as session 1.
    fn bound(options: SmscOptions) -> Self {
        let mut rig = Self::new(options);
        assert_eq!(rig.bind(1, BindKind::Transceiver), [(1, Did::Accepted)]);
        rig
    }

    fn moment(&self) -> Moment {
        let wall = Timestamp::from_millis(1_795_248_000_000 + i64::try_from(self.now).unwrap());
        Moment {
            instant: self.start + Duration::from_millis(self.now),
            wall,
        }
    }

    fn at(&mut self, millis: u64) -> Vec<(u64, Did)> {
        self.now = millis;
        let now = self.moment();
        self.machine.handle_timeout(now);
        self.did()
    }

    fn event(&mut self, session: u64, event: SmscEvent) -> Vec<(u64, Did)> {
        let now = self.moment();
        self.machine.handle_event(now, SessionId(session), event);
        self.did()
    }

    fn bind(&mut self, session: u64, kind: BindKind) -> Vec<(u64, Did)> {
        self.bind_as(session, kind, "test", "secret")
    }

    fn bind_as(&mut self, session: u64, kind: BindKind, system_id: &str, password: &str) -> Vec<(u64, Did)> {
        self.machine.handle_opened(SessionId(session));
        self.event(
            session,
            SmscEvent::BindRequested {
                kind,
                system_id: COctets::try_from(system_id).unwrap(),
                password: Password::try_new(password.as_bytes()).unwrap(),
                system_type: COctets::new(),
                interface_version: 0x34,
                address_range: Address::default(),
            },
        )
    }

    fn submit(&mut self, sequence: u32, to: &str) -> Vec<(u64, Did)> {
        let token = Token {
            way: Way::Mt,
            run: 1,
            number: sequence,
        };
        let message = SubmitSm {
            source: Address::short_code("12345").unwrap(),
            destination: Address::international(to).unwrap(),
            registered_delivery: 1,
            short_message: Bytes::from(format!("{token} hello")),
            ..SubmitSm::default()
        };
        self.event(
            1,
            SmscEvent::Submit {
                sequence,
                operation: Operation::SubmitSm,
                message,
            },
        )
    }

    fn delivered(&mut self, session: u64, tag: u64, status: CommandStatus) -> Vec<(u64, Did)> {
        self.event(
            session,
            SmscEvent::DeliverAnswered {
                tag,
                status,
                tlvs: Tlvs::new(),
            },
        )
    }

    fn closed(&mut self, session: u64) -> Vec<(u64, Did)> {
        self.event(
            session,
            SmscEvent::Closed {
                cause: CloseCause::Lost,
                in_doubt: Vec::new(),
            },
        )
    }

    fn did(&mut self) -> Vec<(u64, Did)> {
        while let Some(record) = self.machine.poll_record() {
            self.records.push(record);
        }
        std::iter::from_fn(|| self.machine.poll_action())
            .map(|Action { session, command }| {
                let did = match command {
                    SimCommand::Smsc(SmscCommand::AcceptBind { .. }) => Did::Accepted,
                    SimCommand::Smsc(SmscCommand::RefuseBind { status }) => Did::Refused(status.0),
                    SimCommand::Smsc(SmscCommand::AnswerSubmit {
                        sequence,
                        status,
                        message_id,
                    }) => Did::Answered {
                        sequence,
                        status: status.0,
                        id: message_id.to_string_lossy(),
                    },
                    SimCommand::Smsc(SmscCommand::Deliver { tag, message }) => Did::Delivered {
                        tag,
                        message: Box::new(message),
                    },
                    SimCommand::Raw(_) => Did::Raw,
                    SimCommand::Cut => Did::Cut,
                    SimCommand::Smsc(other) => panic!("not expected: {other:?}"),
                };
                (session.0, did)
            })
            .collect()
    }

    fn fates(&self) -> Vec<(Fate, u32)> {
        self.records
            .iter()
            .filter_map(|record| match record {
                CarrierRecord::Submit(submit) => Some((submit.fate, submit.status)),
                CarrierRecord::MoTaken(_) | CarrierRecord::AnswerLost(_) => None,
            })
            .collect()
    }
}

fn ok(sequence: u32, id: &str) -> (u64, Did) {
    (
        1,
        Did::Answered {
            sequence,
            status: 0,
            id: id.into(),
        },
    )
}

fn refused(sequence: u32, status: u32) -> (u64, Did) {
    (
        1,
        Did::Answered {
            sequence,
            status,
            id: String::new(),
        },
    )
}

/// The tags and receipts among what was done; the rest must be none.
fn receipts(did: &[(u64, Did)]) -> Vec<(u64, u64, Receipt)> {
    did.iter()
        .map(|(session, did)| match did {
            Did::Delivered { tag, message } => {
                assert!(is_receipt(message.esm_class));
                (*session, *tag, Receipt::parse(message).unwrap())
            }
            other => panic!("no receipt: {other:?}"),
        })
        .collect()
}
