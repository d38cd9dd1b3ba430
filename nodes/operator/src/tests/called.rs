//! The carrier connects to us. Over TCP on loopback and in real time: nothing here waits long.

use super::*;
use crate::bind::Bind;
use crate::calls::{Calls, Rank};
use smsgw_config::{BindMode, CarrierCalls};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A free port; nobody else takes it between this and the listener's bind, or the test fails loudly.
pub(super) async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn called(address: SocketAddr, change: impl FnOnce(&mut Operator)) -> World {
    let mut operator = Operator {
        hosts: Vec::new(),
        calls: Some(CarrierCalls {
            listen: Some(address),
            login: Some("carrier".to_owned()),
            password: Some(Secret::new("knock")),
            ..CarrierCalls::default()
        }),
        ..operator()
    };
    change(&mut operator);
    World::start(operator).await
}

pub(super) fn pdu(command: u32, status: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut pdu = Vec::new();
    for word in [16 + u32::try_from(body.len()).unwrap(), command, status, sequence] {
        pdu.extend(word.to_be_bytes());
    }
    pdu.extend(body);
    pdu
}

pub(super) fn outbind(system_id: &str, password: &str) -> Vec<u8> {
    pdu(0x0B, 0, 1, format!("{system_id}\0{password}\0").as_bytes())
}

pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    for _ in 0..500 {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        tokio::time::sleep(ms(10)).await;
    }
    panic!("nobody listens at {address}");
}

pub(super) async fn read(stream: &mut TcpStream) -> (u32, u32, Vec<u8>) {
    let length = stream.read_u32().await.unwrap();
    let mut rest = vec![0; length as usize - 4];
    stream.read_exact(&mut rest).await.unwrap();
    let word = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
    (word(0), word(8), rest[12..].to_vec())
}

/// Calls, and takes the bind that comes.
async fn call(address: SocketAddr) -> (TcpStream, u32) {
    let mut stream = connect(address).await;
    // In two writes, with a wait: an outbind may come in pieces.
    let octets = outbind("carrier", "knock");
    stream.write_all(&octets[..9]).await.unwrap();
    tokio::time::sleep(ms(20)).await;
    stream.write_all(&octets[9..]).await.unwrap();
    let (command, sequence, body) = read(&mut stream).await;
    assert!(body.starts_with(b"test\0secret\0"), "our credentials: {body:?}");
    let taken = pdu(command | 0x8000_0000, 0, sequence, b"carrier\0");
    stream.write_all(&taken).await.unwrap();
    (stream, command)
}

pub(super) fn outcomes(operator: &str, outcome: &str) -> f64 {
    counter(
        "smsgw_operator_calls_total",
        &[("operator", operator), ("outcome", outcome)],
    )
}

#[tokio::test]
async fn a_message_and_its_receipt_go_over_a_connection_that_the_carrier_opened() {
    let address = free().await;
    let world = called(address, |_| {}).await;
    let shown = world.table.snapshot();
    assert_eq!(shown[0].state, LinkState::Down);
    assert_eq!(
        shown[0].reason.as_deref(),
        Some(format!("waits for the carrier's outbind at {address}").as_str())
    );
    world.send([1]).await;
    let (mut carrier, bind) = call(address).await;
    assert_eq!(bind, 9, "bind_transceiver");
    let (command, sequence, _) = read(&mut carrier).await;
    assert_eq!(command, 4, "submit_sm");
    carrier
        .write_all(&pdu(0x8000_0004, 0, sequence, b"A7\0"))
        .await
        .unwrap();
    assert_eq!(carrier_id(&world.result().await), "A7");
    let shown = world.table.snapshot();
    assert_eq!(
        (shown[0].state, shown[0].host.as_deref()),
        (LinkState::Bound, Some("outbind"))
    );
    assert_eq!(shown[0].version.as_deref(), Some("3.4"));
    let text =
        "id:A7 sub:001 dlvrd:001 submit date:2611210800 done date:2611210801 stat:DELIVRD err:000 text:";
    let mut receipt = b"\0\x01\x01491700000001\0\x01\x0112345\0\x04\0\0\0\0\0\0\0\0".to_vec();
    receipt.push(u8::try_from(text.len()).unwrap());
    receipt.extend(text.as_bytes());
    carrier.write_all(&pdu(5, 0, 77, &receipt)).await.unwrap();
    let (command, sequence, _) = read(&mut carrier).await;
    assert_eq!((command, sequence), (0x8000_0005, 77), "deliver_sm_resp");
    match world.up().await.0 {
        Up::Receipt(receipt) => assert_eq!(receipt.via.operator, alpha()),
        other => panic!("a receipt, not {other:?}"),
    }
    assert!(outcomes("alpha", "taken") >= 1.0);
    // Lost, and called again.
    drop(carrier);
    let (_carrier, _) = call(address).await;
    world.bound().await;
}

#[tokio::test]
async fn strangers_wrong_secrets_and_other_words_are_closed_and_counted() {
    let address = free().await;
    let mut config = config(&[]);
    let operator = Operator {
        hosts: Vec::new(),
        calls: Some(CarrierCalls {
            listen: Some(address),
            password: Some(Secret::new("knock")),
            ..CarrierCalls::default()
        }),
        ..operator()
    };
    let id = OperatorId::try_new("strict").unwrap();
    config.operator.insert(id.clone(), operator.clone());
    let world = World::start_with(config.clone(), Carrier::accepting()).await;
    let closed = async |octets: &[u8], outcome: &str| {
        let before = outcomes("strict", outcome);
        let mut stream = connect(address).await;
        stream.write_all(octets).await.unwrap();
        let mut rest = Vec::new();
        // A reset is a close too: what we sent was not all read.
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(end.is_ok() && rest.is_empty(), "{outcome}: {rest:?}");
        for _ in 0..100 {
            if outcomes("strict", outcome) > before {
                return;
            }
            tokio::time::sleep(ms(10)).await;
        }
        panic!("not counted as {outcome}");
    };
    closed(&outbind("carrier", "wrong"), "wrong_secret").await;
    closed(&pdu(0x15, 0, 1, b""), "no_outbind").await;
    closed(b"GET / HTTP/1.1\r\n\r\n", "no_outbind").await;
    // The list is live: without this machine in it, nobody of it is let in.
    let mut strict = operator;
    strict.calls.as_mut().unwrap().allow = vec!["192.0.2.0/24".parse().unwrap()];
    config.operator.insert(id, strict);
    world.config.publish(config);
    tokio::time::sleep(ms(200)).await;
    closed(&outbind("carrier", "knock"), "unknown_peer").await;
    assert_eq!(world.states()[0].1, LinkState::Down, "no link was disturbed");
}

#[tokio::test]
async fn more_calls_than_links_wait_for_one_and_a_pair_takes_two_receiver_first() {
    let address = free().await;
    let world = called(address, |operator| operator.bind = BindMode::TransmitterReceiver).await;
    let (first, receiver) = call(address).await;
    let (_second, transmitter) = call(address).await;
    assert_eq!((receiver, transmitter), (1, 2));
    world.bound().await;
    // A third call waits; it is taken when a bind is lost.
    let third = tokio::spawn(call(address));
    tokio::time::sleep(ms(200)).await;
    assert!(!third.is_finished());
    drop(first);
    let (_third, kind) = tokio::time::timeout(Duration::from_secs(8), third)
        .await
        .expect("taken")
        .unwrap();
    assert_eq!(kind, 1, "the receiver's place");
}

#[tokio::test]
async fn a_stopped_operator_does_not_listen_and_a_started_one_does() {
    let address = free().await;
    let world = called(address, |_| {}).await;
    let (carrier, _) = call(address).await;
    world.bound().await;
    let mut config = Config::clone(&world.config.config());
    config.operator.get_mut(&alpha()).unwrap().enabled = false;
    world.config.publish(config.clone());
    // The carrier's end is a socket that answers nothing: the unbind times out.
    drop(carrier);
    world
        .until("stopped", |world| world.states()[0].1 == LinkState::Stopped)
        .await;
    for _ in 0..500 {
        if TcpStream::connect(address).await.is_err() {
            break;
        }
        tokio::time::sleep(ms(10)).await;
    }
    assert!(TcpStream::connect(address).await.is_err());
    config.operator.get_mut(&alpha()).unwrap().enabled = true;
    world.config.publish(config);
    let _carrier = call(address).await;
    world.bound().await;
}

#[tokio::test]
async fn a_link_that_no_longer_waits_gets_no_call() {
    let calls = Calls::default();
    {
        let gone = calls.next(Rank::of(0, Bind::Transceiver));
        tokio::select! {
            biased;
            _ = gone => panic!("nobody called"),
            () = std::future::ready(()) => {}
        }
    }
    let (next, ()) = tokio::join!(calls.next(Rank::of(1, Bind::Transceiver)), async {
        let (stream, _other) = tokio::io::duplex(64);
        calls
            .hand_over(crate::dial::Dialled {
                stream: Box::new(stream),
                peer: "192.0.2.1:5".parse().unwrap(),
                host: "outbind".to_owned(),
                tls: false,
            })
            .await;
    });
    assert_eq!(next.peer.port(), 5);
}

#[tokio::test]
async fn a_panic_of_the_listener_opens_the_same_port_again_and_ends_no_link() {
    let address = free().await;
    let world = called(address, |_| {}).await;
    let (mut carrier, _) = call(address).await;
    world.bound().await;
    let listener = || {
        let status = world.tree.status();
        let mut parts = vec![&status];
        while let Some(part) = parts.pop() {
            if part.name == "calls-alpha" {
                return part.clone();
            }
            parts.extend(&part.children);
        }
        panic!("no listener: {status:#?}");
    };
    // Who is one too many is refused by the listener itself, which asks the clock for it.
    let mut idle = Vec::new();
    for _ in 0..12 {
        idle.push(connect(address).await);
    }
    tokio::time::sleep(ms(100)).await;
    world.luck.panic_by(1, 1000, 1);
    let _too_many = TcpStream::connect(address).await.unwrap();
    for _ in 0..200 {
        if listener().state != smsgw_runtime::ChildState::Running {
            break;
        }
        tokio::time::sleep(ms(5)).await;
    }
    assert_eq!(world.luck.panics(), 1);
    assert_eq!(
        listener().last_error.as_deref(),
        Some("panicked: the clock panicked")
    );
    // The link has its connection still, while nobody listens.
    world.send([1]).await;
    let (command, sequence, _) = read(&mut carrier).await;
    assert_eq!(command, 4, "submit_sm");
    carrier
        .write_all(&pdu(0x8000_0004, 0, sequence, b"A7\0"))
        .await
        .unwrap();
    assert_eq!(carrier_id(&world.result().await), "A7");
    // And the carrier can call again: those that had not said who they are made room.
    drop((carrier, idle));
    let (_carrier, bind) = call(address).await;
    assert_eq!(bind, 9);
    world.bound().await;
    assert_eq!(listener().restarts, 1);
    assert_eq!(smsgw_testkit::restarts_below(&world.tree.status()), 1);
    let restarts = counter("smsgw_runtime_child_restarts_total", &[("kind", "calls")]);
    assert!((restarts - 1.0).abs() < f64::EPSILON, "{restarts}");
}
