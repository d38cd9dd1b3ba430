//! TLS on connections that the carrier opens, over SMPP and UCP. Over TCP on loopback and in real time.

use super::called::{connect, free, outbind, outcomes, pdu};
use super::*;
use rustls::pki_types::ServerName;
use smsgw_config::{CarrierCalls, Protocol, SpkiPin};
use smsgw_transport::{TlsClient, TlsIdentity, TlsOptions, TlsVerify, spki_pin};
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

struct Made {
    identity: TlsIdentity,
    pin: [u8; 32],
}

fn made(name: &str) -> Made {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Made {
        pin: spki_pin(made.cert.der()).unwrap(),
        identity: TlsIdentity {
            chain: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
        },
    }
}

fn put(dir: &Path, made: &Made) {
    std::fs::write(dir.join("gw.pem"), &made.identity.chain).unwrap();
    std::fs::write(dir.join("gw.key"), &made.identity.key).unwrap();
}

fn calls(address: SocketAddr, dir: &Path) -> CarrierCalls {
    CarrierCalls {
        listen: Some(address),
        cert_file: Some(dir.join("gw.pem")),
        key_file: Some(dir.join("gw.key")),
        ..CarrierCalls::default()
    }
}

/// The carrier's end, with a certificate of its own or without; it expects ours.
async fn secure(
    address: SocketAddr,
    ours: &Made,
    own: Option<&Made>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let options = TlsOptions {
        pins: vec![ours.pin],
        verify: TlsVerify::PinOnly,
        identity: own.map(|own| own.identity.clone()),
        ..TlsOptions::default()
    };
    let client = TlsClient::try_new(&options).unwrap();
    let connector = TlsConnector::from(Arc::new(client.config().clone()));
    connector
        .connect(ServerName::try_from("localhost").unwrap(), connect(address).await)
        .await
}

/// Whether the other end closes without a word.
async fn is_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    end.is_ok() && rest.is_empty()
}

async fn until_more(operator: &str, outcome: &str, than: f64) {
    for _ in 0..500 {
        if outcomes(operator, outcome) > than {
            return;
        }
        tokio::time::sleep(ms(10)).await;
    }
    panic!("not counted as {outcome}");
}

#[tokio::test]
async fn an_outbind_over_tls_is_taken_and_a_renewed_certificate_is_the_next_ones() {
    let (dir, address) = (tempfile::tempdir().unwrap(), free().await);
    let (first, second) = (made("first.example"), made("second.example"));
    put(dir.path(), &first);
    let operator = Operator {
        hosts: Vec::new(),
        reconnect_min: ms(10),
        reconnect_max: ms(50),
        calls: Some(calls(address, dir.path())),
        ..operator()
    };
    let world = World::start(operator).await;
    let bound = async |ours: &Made| {
        let mut carrier = secure(address, ours, None).await.unwrap();
        carrier.write_all(&outbind("carrier", "any")).await.unwrap();
        let length = carrier.read_u32().await.unwrap();
        let mut bind = vec![0; length as usize - 4];
        carrier.read_exact(&mut bind).await.unwrap();
        let sequence = u32::from_be_bytes(bind[8..12].try_into().unwrap());
        carrier
            .write_all(&pdu(0x8000_0009, 0, sequence, b"carrier\0"))
            .await
            .unwrap();
        world.bound().await;
        assert!(world.table.snapshot()[0].tls);
        carrier
    };
    let one = bound(&first).await;
    put(dir.path(), &second);
    drop(one);
    let two = bound(&second).await;
    // Half of a renewal: what was before stays in use.
    std::fs::write(dir.path().join("gw.pem"), &first.identity.chain).unwrap();
    drop(two);
    drop(bound(&second).await);

    let before = outcomes("alpha", "no_tls");
    let mut plain = connect(address).await;
    plain.write_all(&outbind("carrier", "any")).await.unwrap();
    // An alert may come before the close.
    let mut rest = Vec::new();
    plain.read_to_end(&mut rest).await.ok();
    until_more("alpha", "no_tls", before).await;
}

#[tokio::test]
async fn a_ucp_centre_is_let_in_by_its_certificate_alone() {
    let (dir, address) = (tempfile::tempdir().unwrap(), free().await);
    let (ours, theirs, other) = (
        made("ours.example"),
        made("theirs.example"),
        made("other.example"),
    );
    put(dir.path(), &ours);
    std::fs::write(dir.path().join("ca.pem"), &theirs.identity.chain).unwrap();
    let hex: String = theirs.pin.iter().map(|octet| format!("{octet:02x}")).collect();
    let by_signer = CarrierCalls {
        ca_file: Some(dir.path().join("ca.pem")),
        ..calls(address, dir.path())
    };
    let by_key = CarrierCalls {
        pin_sha256: vec![SpkiPin::from_text(&hex).unwrap()],
        ..calls(address, dir.path())
    };
    for calls in [by_signer, by_key] {
        let operator = Operator {
            protocol: Protocol::Ucp,
            calls: Some(calls),
            ..Operator::default()
        };
        let world = World::start_with(config(&[("pinned", operator)]), Carrier::accepting()).await;
        for wrong in [None, Some(&other)] {
            let before = outcomes("pinned", "no_tls");
            // TLS 1.3 tells a client of it only behind the handshake.
            if let Ok(mut stream) = secure(address, &ours, wrong).await {
                let mut rest = Vec::new();
                assert!(stream.read_to_end(&mut rest).await.is_err() && rest.is_empty());
            }
            until_more("pinned", "no_tls", before).await;
        }
        let mut centre = secure(address, &ours, Some(&theirs)).await.unwrap();
        world.bound().await;
        let mut alert = Vec::new();
        let body = smsgw_ucp::Body::Operation(smsgw_ucp::Operation::Alert(smsgw_ucp::Alert::default()));
        let trn = smsgw_ucp::Trn::new(5).unwrap();
        smsgw_ucp::Pdu { trn, body }.write(&mut alert);
        centre.write_all(&alert).await.unwrap();
        let mut answer = [0; 8];
        centre.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[..4], b"\x0205/");
        drop(centre);
        world.drain().await;
    }
}

#[tokio::test]
async fn without_its_files_the_listener_lets_nobody_in_until_they_are_there() {
    let (dir, address) = (tempfile::tempdir().unwrap(), free().await);
    let operator = Operator {
        protocol: Protocol::Ucp,
        calls: Some(calls(address, dir.path())),
        ..Operator::default()
    };
    let world = World::start_with(config(&[("later", operator)]), Carrier::accepting()).await;
    let before = outcomes("later", "no_tls");
    assert!(is_closed(&mut connect(address).await).await);
    until_more("later", "no_tls", before).await;
    let ours = made("ours.example");
    put(dir.path(), &ours);
    let _centre = secure(address, &ours, None).await.unwrap();
    world.bound().await;
}
