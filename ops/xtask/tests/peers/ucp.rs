//! Others read the gateway's UCP frames as it wrote them, and it reads theirs.
//!
//! Makes frames, the same in every run, and hands them to `ops/peers/ucp_check.py`, which holds the assertions about reading
//! them; what the package `ucp` writes for the same values comes back and is read here. A missing peer fails this test;
//! it is never skipped.

use std::io::Write as _;
use std::process::{Command, Stdio};

use smsgw_message::Address;
use smsgw_ucp::{
    Alert, Body, CallInput, Content, ErrorCode, Frame, Framer, Message, MessageKind, MultipleRest,
    NumberFormat, Operation, OperationType, Outcome, Pdu, Session, Text, Transfer, Trn, read_sender,
    recipient, sender,
};

use crate::text::Dice;

const FRAMES: usize = 6_000;
/// What both have, and neither wrongly.
const ALPHABET: &str =
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#%&'()*+,-.0123456789:;<=>?ABCXYZabcxyzÄÖÑÜäöñü^{}\\[~]|€";

fn digits(dice: &mut Dice, most: usize) -> Text {
    let all: Vec<char> = "0123456789".chars().collect();
    Text::new(&dice.text(&all, most)).unwrap()
}

/// The package writes a message that has others than ASCII as UTF-16, in the byte order of the machine.
fn words(dice: &mut Dice, ascii: bool) -> Text {
    let all: Vec<char> = ALPHABET
        .chars()
        .filter(|character| !ascii || character.is_ascii())
        .collect();
    let septets = smsgw_message::gsm7::DEFAULT.encode(&dice.text(&all, 80)).unwrap();
    Content::Alphanumeric(septets).fields().unwrap().2
}

fn from(dice: &mut Dice) -> Address {
    let letters: Vec<char> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefgh".chars().collect();
    // The package cannot read names of seven characters that are counted in semi-octets.
    let mut name = format!("A{}", dice.text(&letters, 10));
    if name.len() == 7 {
        name.push('X');
    }
    Address::sender(["12345", "491700000001", &name][dice.below(3)]).unwrap()
}

fn message(dice: &mut Dice) -> Operation {
    let kinds = [
        MessageKind::Submit,
        MessageKind::Deliver,
        MessageKind::Notification,
        MessageKind::Modify,
    ];
    let to = Address::msisdn(&format!("49170{:07}", dice.below(10_000_000))).unwrap();
    let formats = [NumberFormat::DoubleZero, NumberFormat::Plain];
    let (oadc, otoa) = sender(&from(dice)).unwrap();
    let kind = kinds[dice.below(4)];
    let time = |dice: &mut Dice, seconds: &str| {
        let (day, hour) = (1 + dice.below(28), dice.below(24));
        Text::new(&format!("{day:02}1126{hour:02}30{seconds}")).unwrap()
    };
    let mut message = Message {
        adc: recipient(&to, formats[dice.below(2)]).unwrap(),
        oadc,
        otoa,
        nrq: Text::number(1, 1),
        nt: Text::number(u64::try_from(dice.below(8)).unwrap(), 1),
        npid: Text::number(539, 4),
        mt: Text::number(3, 1),
        msg: words(dice, true),
        xser: Text::new(["", "0201F5", "01060500030A0201"][dice.below(3)]).unwrap(),
        ..Message::default()
    };
    if kind == MessageKind::Notification {
        message.scts = time(dice, "15");
        message.dst = Text::number(u64::try_from(dice.below(3)).unwrap(), 1);
        message.rsn = Text::number(107, 3);
        message.dscts = time(dice, "59");
    } else {
        message.vp = time(dice, "");
    }
    Operation::Message(kind, Box::new(message))
}

fn session(dice: &mut Dice) -> Session {
    Session {
        oadc: digits(dice, 16),
        oton: Text::number(6, 1),
        onpi: Text::number(5, 1),
        styp: Text::number(1, 1),
        pwd: words(dice, false),
        vers: Text::new("0100").unwrap(),
        ..Session::default()
    }
}

fn body(dice: &mut Dice) -> Body {
    let ots = [1, 2, 3, 30, 31, 51, 52, 53, 60, 61].map(OperationType);
    Body::Operation(match dice.below(12) {
        0 => Operation::CallInput(CallInput {
            adc: digits(dice, 16),
            oadc: digits(dice, 16),
            mt: Text::number(3, 1),
            msg: words(dice, false),
            ..CallInput::default()
        }),
        1 => {
            let count = 1 + dice.below(5);
            Operation::Multiple {
                recipients: (0..count).map(|_| digits(dice, 16)).collect(),
                rest: MultipleRest {
                    oadc: digits(dice, 16),
                    mt: Text::number(3, 1),
                    msg: words(dice, false),
                    ..MultipleRest::default()
                },
            }
        }
        2 => Operation::Transfer(Box::new(Transfer {
            adc: digits(dice, 16),
            oadc: digits(dice, 16),
            amsg: words(dice, false),
            ..Transfer::default()
        })),
        3 => Operation::Alert(Alert {
            adc: digits(dice, 16),
            pid: Text::number(539, 4),
        }),
        4 => Operation::Session(Box::new(session(dice))),
        5 => Operation::List(Box::new(session(dice))),
        6 => {
            let (ot, sm) = (ots[dice.below(10)], "00491700000001:211126120000");
            return Body::Result(
                ot,
                Outcome::Ack {
                    mvp: Text::default(),
                    sm: Text::new(sm).unwrap(),
                },
            );
        }
        7 => {
            let code = ErrorCode(u8::try_from(1 + dice.below(38)).unwrap());
            return Body::Result(ots[dice.below(10)], Outcome::nack(code));
        }
        _ => message(dice),
    })
}

fn read(frame: &[u8]) -> Pdu {
    let mut framer = Framer::default();
    framer.push(frame);
    let (pdu, tolerated) = Pdu::read(&Frame::read(framer.next_frame().unwrap()).unwrap()).unwrap();
    assert!(tolerated.is_none(), "{tolerated:?} in {pdu:?}");
    pdu
}

/// The package writes no OTOA beside a name, and counts its semi-octets by whole octets.
fn as_the_package_writes(pdu: Pdu) -> Pdu {
    let Pdu {
        trn,
        body: Body::Operation(Operation::Message(kind, mut message)),
    } = pdu
    else {
        return pdu;
    };
    if message.otoa.as_str() == "5039" {
        message.otoa = Text::default();
        message.oadc = Text::new("name").unwrap();
    }
    Pdu {
        trn,
        body: Body::Operation(Operation::Message(kind, message)),
    }
}

fn name(pdu: &Pdu) -> Option<Address> {
    let Body::Operation(Operation::Message(_, message)) = &pdu.body else {
        return None;
    };
    Some(read_sender(&message.oadc, &Text::new("5039").unwrap()))
}

#[test]
fn others_read_our_ucp_and_we_read_theirs() {
    let (root, peers, python) = crate::peers();
    let mut dice = Dice(7);
    let pdus: Vec<Pdu> = (0..FRAMES)
        .map(|number| Pdu {
            trn: Trn::new(u8::try_from(number % 100).unwrap()).unwrap(),
            body: body(&mut dice),
        })
        .collect();
    let mut cases = String::new();
    for pdu in &pdus {
        let mut frame = Vec::new();
        pdu.write(&mut frame);
        cases.push_str(&crate::text::hex(&frame));
        cases.push('\n');
    }
    let mut child = Command::new(python)
        .arg(root.join("ops/peers/ucp_check.py"))
        .env("SMSGW_PEERS", &peers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(cases.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    feeder.join().unwrap().unwrap();
    println!("{}", said.trim());
    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), pdus.len());
    for (ours, line) in pdus.into_iter().zip(theirs.lines()) {
        let octets: Vec<u8> = (0..line.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
            .collect();
        let mut theirs = read(&octets);
        let ours_reduced = as_the_package_writes(ours.clone());
        if ours_reduced != ours {
            assert_eq!(name(&theirs), name(&ours), "{line}");
            if let Body::Operation(Operation::Message(_, message)) = &mut theirs.body {
                message.oadc = Text::new("name").unwrap();
            }
        }
        assert_eq!(theirs, ours_reduced, "{line}");
    }
}
