//! A UCP centre connects to us. Over TCP on loopback and in real time: nothing here waits long.

use super::called::{connect, free, outcomes};
use super::*;
use smsgw_config::{CarrierCalls, Protocol};
use smsgw_ucp::{
    Alert, Body, ErrorCode, Frame, Framer, Login, Message, MessageKind, Operation, OperationType, Outcome,
    Pdu, Text, Trn,
};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An operator whose centre connects; it has no account of ours.
fn called(address: SocketAddr, change: impl FnOnce(&mut CarrierCalls)) -> Operator {
    let mut calls = CarrierCalls {
        listen: Some(address),
        ..CarrierCalls::default()
    };
    change(&mut calls);
    Operator {
        protocol: Protocol::Ucp,
        calls: Some(calls),
        ..Operator::default()
    }
}

/// The centre's end of a connection.
struct Centre {
    stream: TcpStream,
    framer: Framer,
}

impl Centre {
    async fn call(address: SocketAddr) -> Self {
        Self {
            stream: connect(address).await,
            framer: Framer::default(),
        }
    }

    async fn write(&mut self, trn: u8, body: Body) {
        let trn = Trn::new(trn).unwrap();
        let mut octets = Vec::new();
        Pdu { trn, body }.write(&mut octets);
        self.stream.write_all(&octets).await.unwrap();
    }

    async fn asks(&mut self, trn: u8, operation: Operation) {
        self.write(trn, Body::Operation(operation)).await;
    }

    /// The next frame; `None` when the connection ends.
    async fn read(&mut self) -> Option<(u8, Body)> {
        loop {
            if let Some(raw) = self.framer.next_frame() {
                let (pdu, tolerated) = Pdu::read(&Frame::read(raw).unwrap()).unwrap();
                assert!(tolerated.is_none());
                return Some((pdu.trn.number(), pdu.body));
            }
            let mut chunk = [0; 1024];
            let reading = tokio::time::timeout(Duration::from_secs(5), self.stream.read(&mut chunk));
            // A reset is an end too.
            let count = reading.await.expect("frame or end in time").unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.framer.push(&chunk[..count]);
        }
    }

    /// The result of what was asked under a TRN; our own keep-alives are answered on the way.
    async fn result(&mut self, wanted: u8) -> (OperationType, Outcome) {
        loop {
            match self.read().await.expect("a result") {
                (trn, Body::Result(ot, outcome)) => {
                    assert_eq!(trn, wanted);
                    return (ot, outcome);
                }
                (trn, Body::Operation(Operation::Alert(_))) => {
                    self.write(trn, Body::Result(OperationType(31), Outcome::ack()))
                        .await;
                }
                (_, other) => panic!("a result, not {other:?}"),
            }
        }
    }
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn from_phone() -> Operation {
    Operation::Message(
        MessageKind::Deliver,
        Box::new(Message {
            adc: text("12345"),
            oadc: text("491700000001"),
            scts: text("211126120000"),
            mt: text("3"),
            msg: Text::hex(b"hello"),
            ..Message::default()
        }),
    )
}

fn login(name: &str, password: &str) -> Operation {
    Login::new(text(name), password).operation()
}

fn is_ack(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Ack { .. })
}

fn code(outcome: &Outcome) -> Option<ErrorCode> {
    match outcome {
        Outcome::Nack { code, .. } => Some(*code),
        Outcome::Ack { .. } => None,
    }
}

#[tokio::test]
async fn a_centre_that_connects_delivers_and_is_answered_and_gets_no_messages() {
    let address = free().await;
    let operator = Operator {
        enquire_link: Duration::from_secs(1),
        ..called(address, |_| {})
    };
    let world = World::start(operator).await;
    assert_eq!(
        world.table.snapshot()[0].reason.as_deref(),
        Some(format!("waits for the carrier's call at {address}").as_str())
    );
    world.send([1]).await;
    let mut centre = Centre::call(address).await;
    world.bound().await;
    let shown = world.table.snapshot();
    assert_eq!(
        (shown[0].host.as_deref(), shown[0].bind),
        (Some("call"), "receiver")
    );
    centre.asks(1, from_phone()).await;
    let (ot, outcome) = centre.result(1).await;
    assert_eq!(ot, OperationType(52));
    assert!(is_ack(&outcome));
    match world.up().await.0 {
        Up::Mo(mo) => assert_eq!(mo.via.operator, alpha()),
        other => panic!("an MO, not {other:?}"),
    }
    // Keep-alives, theirs and ours; and it may log in where nobody asks it to.
    let alert = Alert {
        adc: text("0"),
        pid: text("0539"),
    };
    centre.asks(2, Operation::Alert(alert)).await;
    assert!(is_ack(&centre.result(2).await.1));
    centre.asks(3, login("anybody", "at all")).await;
    assert!(is_ack(&centre.result(3).await.1));
    match centre.read().await {
        Some((_, Body::Operation(Operation::Alert(alert)))) => assert_eq!(alert.adc, text("0")),
        other => panic!("our keep-alive, not {other:?}"),
    }
    assert_eq!(world.depth().ready, 1, "its part waits");
    assert!(outcomes("alpha", "taken") >= 1.0);
}

#[tokio::test]
async fn messages_go_over_the_centres_connection_where_it_takes_them() {
    let address = free().await;
    let world = World::start(called(address, |calls| calls.submit = true)).await;
    world.send([1]).await;
    let mut centre = Centre::call(address).await;
    let (trn, asked) = centre.read().await.unwrap();
    let Body::Operation(Operation::Message(MessageKind::Submit, _)) = asked else {
        panic!("operation 51, not {asked:?}");
    };
    let taken = Outcome::Ack {
        mvp: Text::default(),
        sm: text("00491700000001:211126120000"),
    };
    centre.write(trn, Body::Result(OperationType(51), taken)).await;
    assert_eq!(carrier_id(&world.result().await), "491700000001:211126120000");
}

#[tokio::test]
async fn a_centre_that_has_to_log_in_does_nothing_before_and_nothing_with_a_wrong_password() {
    let address = free().await;
    let mut config = config(&[]);
    let id = OperatorId::try_new("asks").unwrap();
    let operator = called(address, |calls| {
        calls.login = Some("centre".to_owned());
        calls.password = Some(Secret::new("knock"));
    });
    config.operator.insert(id, operator);
    let world = World::start_with(config, Carrier::accepting()).await;
    for (name, password) in [
        ("centre", "wrong"),
        ("other", "knock"),
        ("centre", ""),
        ("centre", "knock1"),
    ] {
        let before = outcomes("asks", "wrong_secret");
        let mut centre = Centre::call(address).await;
        centre.asks(7, login(name, password)).await;
        let (ot, outcome) = centre.result(7).await;
        assert_eq!(
            (ot, code(&outcome)),
            (OperationType(60), Some(ErrorCode::AUTHENTICATION))
        );
        assert_eq!(centre.read().await, None, "closed");
        assert!(outcomes("asks", "wrong_secret") > before);
    }
    let mut centre = Centre::call(address).await;
    centre.asks(1, from_phone()).await;
    assert_eq!(code(&centre.result(1).await.1), Some(ErrorCode::NOT_ALLOWED));
    assert_eq!(centre.read().await, None, "closed");
    let mut garbage = connect(address).await;
    garbage.write_all(b"\x02GET / HTTP/1.1\x03").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), garbage.read_to_end(&mut rest)).await;
    assert!(end.is_ok() && rest.is_empty());
    assert!(outcomes("asks", "no_login") >= 2.0);
    assert_eq!(world.states()[0].1, LinkState::Down, "no link was disturbed");

    // A sign of life first, then the login, both in one piece; then it delivers.
    let mut centre = Centre::call(address).await;
    let alert = Alert {
        adc: text("0"),
        pid: text("0539"),
    };
    centre.asks(0, Operation::Alert(alert)).await;
    centre.asks(1, login("centre", "knock")).await;
    assert!(is_ack(&centre.result(0).await.1));
    assert!(is_ack(&centre.result(1).await.1));
    world.bound().await;
    centre.asks(2, from_phone()).await;
    assert!(is_ack(&centre.result(2).await.1));
    // Logging in once more with another password changes nothing.
    centre.asks(3, login("centre", "wrong")).await;
    assert_eq!(code(&centre.result(3).await.1), Some(ErrorCode::AUTHENTICATION));
    centre.asks(4, from_phone()).await;
    assert!(is_ack(&centre.result(4).await.1));
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_are_closed() {
    let address = free().await;
    let mut config = config(&[]);
    let id = OperatorId::try_new("narrow").unwrap();
    config.operator.insert(id, called(address, |_| {}));
    let world = World::start_with(config, Carrier::accepting()).await;
    let mut first = Centre::call(address).await;
    world.bound().await;
    let mut waiting = Vec::new();
    for _ in 0..12 {
        waiting.push(connect(address).await);
    }
    tokio::time::sleep(ms(100)).await;
    let mut surplus = Centre::call(address).await;
    assert_eq!(surplus.read().await, None, "closed");
    assert!(outcomes("narrow", "too_many") >= 1.0);
    first.asks(1, from_phone()).await;
    assert!(is_ack(&first.result(1).await.1), "the others do not disturb it");
    drop(waiting);
}

#[tokio::test]
async fn a_stranger_is_closed_as_soon_as_the_list_says_so() {
    let address = free().await;
    let mut config = config(&[]);
    let id = OperatorId::try_new("strict").unwrap();
    config.operator.insert(id.clone(), called(address, |_| {}));
    let world = World::start_with(config.clone(), Carrier::accepting()).await;
    let mut known = Centre::call(address).await;
    world.bound().await;
    let strict = called(address, |calls| {
        calls.allow = vec!["192.0.2.0/24".parse().unwrap()]
    });
    config.operator.insert(id, strict);
    world.config.publish(config);
    tokio::time::sleep(ms(200)).await;
    let before = outcomes("strict", "unknown_peer");
    let mut stranger = Centre::call(address).await;
    assert_eq!(stranger.read().await, None, "closed");
    assert!(outcomes("strict", "unknown_peer") > before);
    known.asks(1, from_phone()).await;
    assert!(is_ack(&known.result(1).await.1), "who is in stays in");
}
