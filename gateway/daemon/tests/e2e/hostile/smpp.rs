//! What hostile peers say to the SMPP listener, before a bind and after it.

use super::peer::{
    ANSWER, Answer, BIND_TRANSCEIVER, ENQUIRE_LINK, NACK, Peer, SOON, SUBMIT_SM, UNBIND, bind, good_submit,
    pdu, raw, submit, tlv,
};
use std::time::Duration;

/// What has to come back.
enum Expect {
    /// This answer to the request with number 77, with a status of these.
    Answer(u32, &'static [u32]),
    /// The connection is closed, whatever was said before.
    Closed,
    /// Nothing in particular: the session goes on, and answers an enquire_link.
    GoesOn,
    /// It goes on or is closed; the listener stands either way.
    Whatever,
}

/// One case: after a bind or before, the octets, what has to come back.
pub(super) struct Case {
    pub(super) name: String,
    bound: bool,
    octets: Vec<u8>,
    expect: Expect,
}

/// The number of the request that is judged.
const N: u32 = 77;

fn open(name: &str, octets: Vec<u8>, expect: Expect) -> Case {
    Case {
        name: name.to_owned(),
        bound: false,
        octets,
        expect,
    }
}

fn bound(name: &str, octets: Vec<u8>, expect: Expect) -> Case {
    Case {
        bound: true,
        ..open(name, octets, expect)
    }
}

impl Case {
    pub(super) async fn run(&self, port: u16) -> Result<(), String> {
        let mut peer = if self.bound {
            Peer::bound(port).await
        } else {
            Peer::connect(port).await
        };
        peer.say(&self.octets).await;
        match &self.expect {
            Expect::Closed => peer.closed(SOON).await.map(drop),
            Expect::Answer(id, statuses) => match peer.answer(N).await? {
                Some(Answer {
                    id: found, status, ..
                }) if found == *id && statuses.contains(&status) => Ok(()),
                other => Err(format!("{other:x?}, not {id:#x} with one of {statuses:x?}")),
            },
            Expect::GoesOn => {
                let last = 0x7FFF_0000;
                peer.say(&pdu(ENQUIRE_LINK, last, b"")).await;
                match peer.answer(last).await? {
                    Some(answer) if answer.status == 0 => Ok(()),
                    other => Err(format!("no answer to enquire_link afterwards: {other:x?}")),
                }
            }
            Expect::Whatever => Ok(()),
        }
    }
}

const SUBMIT_RESP: u32 = ANSWER | SUBMIT_SM;
const BIND_RESP: u32 = ANSWER | BIND_TRANSCEIVER;
/// ESME_RINVMSGLEN, ESME_RINVCMDLEN, ESME_RINVPARLEN, ESME_RINVTLVSTREAM, ESME_RINVTLVLEN, ESME_RSYSERR.
const BROKEN: &[u32] = &[0x01, 0x02, 0xC0, 0xC2, 0x08];

pub(super) fn cases() -> Vec<Case> {
    let text = |text: &[u8]| submit("491700000001", 0, u8::try_from(text.len()).unwrap(), text);
    let mut all = vec![
        // Lengths of the frame.
        open("a length of 0", raw(0, ENQUIRE_LINK, N, b""), Expect::Closed),
        open("a length of 15", raw(15, ENQUIRE_LINK, N, b""), Expect::Closed),
        open(
            "a length of 2^31",
            raw(1 << 31, SUBMIT_SM, N, b"x"),
            Expect::Closed,
        ),
        open(
            "a length of 2^32 - 1",
            raw(u32::MAX, SUBMIT_SM, N, b"x"),
            Expect::Closed,
        ),
        open(
            "a length of 10 MiB",
            raw(10 << 20, SUBMIT_SM, N, b"x"),
            Expect::Closed,
        ),
        bound(
            "a length of 0 after the bind",
            raw(0, SUBMIT_SM, N, b""),
            Expect::Closed,
        ),
        bound(
            "a length of 2^31 after the bind",
            raw(1 << 31, SUBMIT_SM, N, b"x"),
            Expect::Closed,
        ),
        // Before the bind.
        open(
            "a submit before the bind",
            pdu(SUBMIT_SM, N, &good_submit()),
            Expect::Answer(SUBMIT_RESP, &[0x04]),
        ),
        open(
            "a query before the bind",
            pdu(0x03, N, b"x\0\0\0\0"),
            Expect::Answer(ANSWER | 0x03, &[0x04]),
        ),
        open(
            "an enquire_link before the bind",
            pdu(ENQUIRE_LINK, N, b""),
            Expect::Answer(ANSWER | ENQUIRE_LINK, &[0]),
        ),
        open("an unbind before the bind", pdu(UNBIND, N, b""), Expect::Whatever),
        open(
            "an outbind from a client",
            pdu(0x0B, N, b"a\0b\0"),
            Expect::Whatever,
        ),
        open(
            "an answer before the bind",
            pdu(SUBMIT_RESP, N, b"x\0"),
            Expect::GoesOn,
        ),
        open(
            "a wrong password",
            pdu(BIND_TRANSCEIVER, N, &bind("hostile", "wrong")),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0D]),
        ),
        open(
            "an account nobody has",
            pdu(BIND_TRANSCEIVER, N, &bind("nobody", "hostile-pw")),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0F, 0x0D]),
        ),
        open(
            "a bind without an account",
            pdu(BIND_TRANSCEIVER, N, &bind("", "")),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0F, 0x0D]),
        ),
        open(
            "a bind with a name of 60,000 octets",
            pdu(BIND_TRANSCEIVER, N, &bind(&"n".repeat(60_000), "x")),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0F, 0x0D, 0x01, 0x02, 0xC0]),
        ),
        open(
            "a bind with a password of 60,000 octets",
            pdu(BIND_TRANSCEIVER, N, &bind("hostile", &"n".repeat(60_000))),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0D, 0x01, 0x02, 0xC0]),
        ),
        open(
            "a bind whose name never ends",
            pdu(BIND_TRANSCEIVER, N, b"hostile"),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0F, 0x0D, 0x01, 0x02, 0xC0, 0x08]),
        ),
        open(
            "a bind of nothing",
            pdu(BIND_TRANSCEIVER, N, b""),
            Expect::Answer(BIND_RESP, &[0x0E, 0x0F, 0x0D, 0x01, 0x02, 0xC0, 0x08]),
        ),
        open(
            "a request over HTTP",
            b"POST /v1/messages HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            Expect::Closed,
        ),
        open(
            "the beginning of TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(20),
            Expect::Closed,
        ),
        // After the bind.
        bound(
            "a second bind",
            pdu(BIND_TRANSCEIVER, N, &bind("hostile", "hostile-pw")),
            Expect::Answer(BIND_RESP, &[0x05]),
        ),
        bound(
            "a command nobody knows",
            pdu(0x0000_0FFF, N, b"x"),
            Expect::Answer(NACK, &[0x03]),
        ),
        bound("a command of 0", pdu(0, N, b""), Expect::Answer(NACK, &[0x03])),
        bound(
            "an answer to nothing",
            pdu(SUBMIT_RESP, N, b"x\0"),
            Expect::GoesOn,
        ),
        bound(
            "an answer nobody knows",
            pdu(0x8000_0FFF, N, b"x"),
            Expect::GoesOn,
        ),
        bound("a generic_nack of nothing", pdu(NACK, N, b""), Expect::GoesOn),
        bound(
            "a deliver_sm from a client",
            pdu(0x05, N, &good_submit()),
            Expect::Answer(ANSWER | 0x05, &[0x04, 0x03]),
        ),
        bound(
            "a submit of nothing",
            pdu(SUBMIT_SM, N, b""),
            Expect::Answer(SUBMIT_RESP, BROKEN),
        ),
        bound(
            "a text shorter than it says",
            pdu(SUBMIT_SM, N, &submit("491700000001", 0, 200, b"hello")),
            Expect::Answer(SUBMIT_RESP, BROKEN),
        ),
        bound(
            "a text longer than it says",
            pdu(SUBMIT_SM, N, &submit("491700000001", 0, 2, b"hello")),
            Expect::Answer(SUBMIT_RESP, &[0, 0x01, 0x02, 0xC0, 0xC2]),
        ),
        bound(
            "a text of 255",
            pdu(SUBMIT_SM, N, &text(&[b'x'; 255])),
            Expect::Answer(SUBMIT_RESP, &[0, 0x01]),
        ),
        bound(
            "a header that is longer than the text",
            pdu(SUBMIT_SM, N, &submit("491700000001", 0x40, 3, b"\xffab")),
            Expect::Answer(SUBMIT_RESP, &[0x01, 0x43, 0x08]),
        ),
        bound(
            "a header of nothing",
            pdu(SUBMIT_SM, N, &submit("491700000001", 0x40, 0, b"")),
            Expect::Answer(SUBMIT_RESP, &[0, 0x01, 0x43]),
        ),
        bound(
            "part 9 of 3",
            pdu(
                SUBMIT_SM,
                N,
                &submit("491700000001", 0x40, 7, b"\x05\x00\x03\x01\x03\x09a"),
            ),
            Expect::Answer(SUBMIT_RESP, &[0, 0x01, 0x43]),
        ),
        bound(
            "no destination",
            pdu(SUBMIT_SM, N, &submit("", 0, 5, b"hello")),
            Expect::Answer(SUBMIT_RESP, &[0x0B]),
        ),
        bound(
            "letters as destination",
            pdu(SUBMIT_SM, N, &submit("nobody", 0, 5, b"hello")),
            Expect::Answer(SUBMIT_RESP, &[0x0B]),
        ),
        bound(
            "a destination of 50,000 digits",
            pdu(SUBMIT_SM, N, &submit(&"4".repeat(50_000), 0, 5, b"hello")),
            Expect::Answer(SUBMIT_RESP, &[0x0B, 0x01, 0x02, 0xC0]),
        ),
        bound(
            "a parameter longer than the PDU",
            pdu(SUBMIT_SM, N, &[good_submit(), tlv(0x1401, 60_000, b"x")].concat()),
            Expect::Answer(SUBMIT_RESP, &[0, 0xC0, 0xC2]),
        ),
        bound(
            "half a parameter",
            pdu(SUBMIT_SM, N, &[good_submit(), vec![0x14]].concat()),
            Expect::Answer(SUBMIT_RESP, &[0, 0xC0, 0xC2]),
        ),
        bound(
            "10,000 empty parameters",
            pdu(
                SUBMIT_SM,
                N,
                &[good_submit(), tlv(0x1401, 0, b"").repeat(10_000)].concat(),
            ),
            Expect::Answer(SUBMIT_RESP, &[0, 0xC0, 0xC2, 0x01, 0x02]),
        ),
        bound(
            "a payload of 60,000 octets",
            pdu(
                SUBMIT_SM,
                N,
                &[
                    submit("491700000001", 0, 0, b""),
                    tlv(0x0424, 60_000, &[b'x'; 60_000]),
                ]
                .concat(),
            ),
            Expect::Answer(SUBMIT_RESP, &[0x01]),
        ),
        bound(
            "a text and a payload",
            pdu(SUBMIT_SM, N, &[good_submit(), tlv(0x0424, 5, b"other")].concat()),
            Expect::Answer(SUBMIT_RESP, &[0, 0x01, 0xC1]),
        ),
        bound(
            "submit_multi to nobody",
            pdu(0x21, N, &multi(0)),
            Expect::Answer(ANSWER | 0x21, &[0x33, 0x0B, 0x01, 0x02]),
        ),
        bound(
            "submit_multi that says 255 and has 1",
            pdu(0x21, N, &multi_saying(255, 1)),
            Expect::Answer(ANSWER | 0x21, &[0x33, 0x40, 0x01, 0x02, 0xC0, 0x08]),
        ),
        bound(
            "a query of a message that is not ours",
            pdu(0x03, N, b"00000000-0000-0000-0000-000000000000\0\0\0\0"),
            Expect::Answer(ANSWER | 0x03, &[0x0C, 0x67]),
        ),
        bound(
            "a query with an id of 50,000 octets",
            pdu(0x03, N, &[vec![b'x'; 50_000], vec![0, 0, 0, 0]].concat()),
            Expect::Answer(ANSWER | 0x03, &[0x0C, 0x67, 0x01, 0x02, 0xC0]),
        ),
        bound(
            "a cancel of a message that is not ours",
            pdu(0x08, N, b"\0x\0\0\0\x0012345\0\x01\x01491700000001\0"),
            Expect::Answer(ANSWER | 0x08, &[0x0C, 0x11]),
        ),
        bound(
            "a replace of a message that is not ours",
            pdu(0x07, N, b"x\0\0\0\x0012345\0\0\0\0\0\x01a"),
            Expect::Answer(ANSWER | 0x07, &[0x0C, 0x13]),
        ),
        bound(
            "a data_sm without a payload",
            pdu(0x0103, N, b"\0\x03\x0012345\0\x01\x01491700000001\0\0\0\0"),
            Expect::Answer(ANSWER | 0x0103, &[0, 0x01, 0xC3]),
        ),
        bound(
            "sequence number 0",
            pdu(SUBMIT_SM, 0, &good_submit()),
            Expect::GoesOn,
        ),
        bound(
            "sequence number 2^32 - 1",
            pdu(SUBMIT_SM, u32::MAX, &good_submit()),
            Expect::GoesOn,
        ),
        bound(
            "one number a hundred times",
            pdu(SUBMIT_SM, N, &good_submit()).repeat(100),
            Expect::GoesOn,
        ),
        bound(
            "5,000 enquire_link at once",
            pdu(ENQUIRE_LINK, N, b"").repeat(5000),
            Expect::GoesOn,
        ),
        bound(
            "5,000 answers to nothing at once",
            pdu(SUBMIT_RESP, N, b"x\0").repeat(5000),
            Expect::GoesOn,
        ),
        bound(
            "5,000 commands nobody knows at once",
            pdu(0x0FFF, N, b"").repeat(5000),
            Expect::GoesOn,
        ),
        bound(
            "an unbind and a submit behind it",
            [pdu(UNBIND, N, b""), pdu(SUBMIT_SM, 78, &good_submit())].concat(),
            Expect::Answer(ANSWER | UNBIND, &[0]),
        ),
    ];
    all.extend(truncated());
    all
}

/// A submit_multi with so many destinations (SMPP 3.4 section 4.5.1).
fn multi(destinations: u8) -> Vec<u8> {
    multi_saying(destinations, destinations)
}

fn multi_saying(says: u8, has: u8) -> Vec<u8> {
    let mut body = b"\0\x03\x0012345\0".to_vec();
    body.push(says);
    for _ in 0..has {
        body.extend(b"\x01\x01\x01491700000001\0");
    }
    body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    body.extend(b"hello");
    body
}

/// A submit cut short at each octet of its body, its command_length telling the truth about what is there. A text that is
/// one octet short of sm_length is taken: some count a NUL that they do not send.
fn truncated() -> Vec<Case> {
    let whole = good_submit();
    let last = whole.len() - 1;
    (1..whole.len())
        .map(|at| {
            let name = format!("a submit cut after {at} of {} octets", whole.len());
            let statuses: &[u32] = if at == last {
                &[0]
            } else {
                &[0x01, 0x02, 0xC0, 0xC2, 0x08, 0x0B, 0x43]
            };
            bound(
                &name,
                pdu(SUBMIT_SM, N, &whole[..at]),
                Expect::Answer(SUBMIT_RESP, statuses),
            )
        })
        .collect()
}

/// Binds cut off at each octet, the connection closed in the middle.
pub(super) async fn cut_connections(port: u16) -> Result<(), String> {
    let whole = [
        pdu(BIND_TRANSCEIVER, 1, &bind("hostile", "hostile-pw")),
        pdu(SUBMIT_SM, 2, &good_submit()),
    ]
    .concat();
    for at in 0..whole.len() {
        let mut peer = Peer::connect(port).await;
        peer.say(&whole[..at]).await;
    }
    Ok(())
}

/// Peers that ask a lot and read nothing: the gateway neither keeps their answers for ever nor the connection.
pub(super) async fn never_reading(port: u16) -> Result<(), String> {
    let mut peers = Vec::new();
    let ask = pdu(ENQUIRE_LINK, 1, b"").repeat(20_000);
    for _ in 0..20 {
        let mut peer = Peer::bound(port).await;
        tokio::time::timeout(Duration::from_millis(200), peer.say(&ask))
            .await
            .ok();
        peers.push(peer);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// An octet at a time, over many connections; closed by the timeout of the bind.
pub(super) async fn slow(port: u16, patience: Duration) -> Result<(), String> {
    let octets = pdu(BIND_TRANSCEIVER, 1, &bind("hostile", "hostile-pw"));
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut peer = Peer::connect(port).await;
        peer.say(&octets[..7]).await;
        peers.push(peer);
    }
    for mut peer in peers {
        peer.closed(patience).await?;
    }
    Ok(())
}
