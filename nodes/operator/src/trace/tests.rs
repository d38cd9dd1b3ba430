//! Captures: what a dissector reads, their bounds, masked secrets.

use super::*;
use smsgw_testkit::SimClock;
use smsgw_transport::Tap;

fn pdu(id: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut pdu = Vec::new();
    for word in [length, id, 0, sequence] {
        pdu.extend(word.to_be_bytes());
    }
    pdu.extend(body);
    pdu
}

struct Scene {
    watches: Watches,
    tap: LinkTap,
    clock: Arc<SimClock>,
}

fn scene() -> Scene {
    let operator = OperatorId::try_new("alpha").unwrap();
    let watches = Watches::default();
    let clock = Arc::new(SimClock::new());
    let tap = LinkTap {
        watch: watches.of(&LinkId::new(&operator, 1)),
        pdu_log: Arc::default(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        operator,
        bind: Bind::Transceiver,
    };
    Scene { watches, tap, clock }
}

impl Scene {
    fn capture(&self) -> Result<Capture, CaptureError> {
        let link = self.tap.watch.link.clone();
        self.watches.capture(&link, &*self.clock)
    }

    fn session(&self) -> SessionTap {
        self.tap
            .session(Protocol::Smpp, "198.51.100.7:2775".parse().unwrap())
    }
}

/// Flags, number, acknowledgement and payload of each packet.
fn packets(mut file: &[u8]) -> Vec<(u8, u32, u32, Vec<u8>)> {
    let mut packets = Vec::new();
    while !file.is_empty() {
        let word =
            |at: usize| usize::try_from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap())).unwrap();
        if word(0) == 6 {
            let frame = &file[28..28 + word(20)];
            let number = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
            packets.push((frame[47], number(38), number(42), frame[54..].to_vec()));
        }
        file = &file[word(4)..];
    }
    packets
}

fn holds(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn a_capture_has_the_whole_session_without_its_password() {
    let scene = scene();
    let mut capture = scene.capture().unwrap();
    let mut session = scene.session();
    let bind = pdu(9, 1, b"test\0geheim\0\0\x34\0\0\0");
    let answer = pdu(0x8000_0009, 1, b"smsc\0");
    session.sent(&bind);
    session.received(&answer[..10]);
    session.received(&answer[10..]);
    drop(session);
    let mut file = Vec::new();
    capture.next(&mut file).await;
    let counts = capture.finish(usize::MAX, &mut file);
    assert_eq!(counts, CaptureCounts { pdus: 2, left_out: 0 });
    assert!(!holds(&file, b"geheim") && holds(&file, b"test\0******\0"));
    let sent = u32::try_from(bind.len()).unwrap();
    let got = u32::try_from(answer.len()).unwrap();
    let seen: Vec<(u8, u32, u32)> = packets(&file).iter().map(|(f, n, a, _)| (*f, *n, *a)).collect();
    assert_eq!(
        seen,
        [
            (0x02, 0, 0),
            (0x12, 0, 1),
            (0x10, 1, 1),
            (0x18, 1, 1),
            (0x18, 1, 1 + sent),
            (0x11, 1 + sent, 1 + got),
            (0x11, 1 + got, 2 + sent),
            (0x10, 2 + sent, 2 + got),
        ]
    );
}

#[tokio::test]
async fn a_capture_that_begins_in_a_session_begins_with_a_whole_pdu() {
    let scene = scene();
    let mut session = scene.session();
    let submit = pdu(4, 2, &[7; 40]);
    session.sent(&[submit.clone(), submit[..20].to_vec()].concat());
    session.received(&pdu(0x8000_0004, 2, b"1\0"));
    let mut capture = scene.capture().unwrap();
    session.sent(&submit[20..]);
    session.sent(&submit);
    let mut file = Vec::new();
    capture.next(&mut file).await;
    assert_eq!(packets(&file), [(0x18, 1 + 2 * 56, 1 + 18, submit)]);
}

#[tokio::test]
async fn what_is_too_fast_for_a_capture_is_a_counted_gap_and_holds_nobody_up() {
    let scene = scene();
    let capture = scene.capture().unwrap();
    let mut session = scene.session();
    let large = pdu(4, 1, &vec![7; 60_000]);
    for _ in 0..100 {
        session.sent(&large);
    }
    let fits = WAITING_OCTETS / large.len();
    let mut file = Vec::new();
    let counts = capture.finish(usize::MAX, &mut file);
    assert_eq!(counts.pdus, u64::try_from(fits).unwrap());
    assert_eq!(counts.left_out, 100 - counts.pdus);

    let mut capture = scene.capture().unwrap();
    for sequence in 0..20_000 {
        session.sent(&pdu(0x15, sequence, b""));
    }
    let mut file = Vec::new();
    while capture.sink.sender.capacity() < WAITING {
        capture.next(&mut file).await;
    }
    assert_eq!(packets(&file).len(), WAITING);
    session.sent(&pdu(0x15, 1, b""));
    let mut after = Vec::new();
    capture.next(&mut after).await;
    let number = u32::try_from(1 + 100 * large.len() + 20_000 * 16).unwrap();
    assert_eq!(packets(&after)[0].1, number, "numbers go on behind the gap");
    assert_eq!(
        capture.counts().left_out,
        20_000 - u64::try_from(WAITING).unwrap()
    );
}

#[tokio::test]
async fn a_capture_that_ends_takes_no_more_room_than_there_is() {
    let scene = scene();
    let capture = scene.capture().unwrap();
    let mut session = scene.session();
    for sequence in 0..1000 {
        session.sent(&pdu(4, sequence, &[7; 84]));
    }
    let mut file = Vec::new();
    let counts = capture.finish(20_000, &mut file);
    assert!((20_000..20_400).contains(&file.len()), "{}", file.len());
    assert_eq!(counts.pdus + 3, u64::try_from(packets(&file).len()).unwrap());
    assert_eq!(counts.pdus + counts.left_out, 1000);
}

#[tokio::test]
async fn captures_are_few_end_when_dropped_and_outlive_a_relink() {
    let scene = scene();
    let first = scene.capture().unwrap();
    let second = scene.capture().unwrap();
    assert_eq!(scene.capture().err(), Some(CaptureError::Busy));
    drop(first);
    let mut third = scene.capture().unwrap();
    drop(second);
    let link = scene.tap.watch.link.clone();
    let other = LinkId::try_new("beta-1").unwrap();
    assert_eq!(
        scene.watches.capture(&other, &*scene.clock).err(),
        Some(CaptureError::NoSuchLink)
    );

    // The link goes and comes again: the capture sees the new sessions.
    let Scene { watches, tap, clock } = scene;
    drop(tap.clone());
    let again = LinkTap {
        watch: watches.of(&link),
        ..tap
    };
    drop(tap.watch);
    drop(again.session(Protocol::Smpp, "198.51.100.7:2775".parse().unwrap()));
    let mut file = Vec::new();
    third.next(&mut file).await;
    assert_eq!(packets(&file).len(), 6, "handshake and end");
    drop((third, again));
    assert_eq!(
        watches.capture(&link, &*clock).err(),
        Some(CaptureError::NoSuchLink),
        "a link that is gone keeps nothing"
    );
}

/// `cargo nextest run -p smsgw-node-operator --release --run-ignored only what_looking_costs --no-capture`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn what_looking_costs() {
    let scene = scene();
    let mut session = scene.session();
    let batch = pdu(4, 2, &[7; 84]).repeat(100);
    let mut measure = |name: &str, rounds: u32| {
        let start = Instant::now();
        for _ in 0..rounds {
            session.sent(&batch);
        }
        println!("{name}: {:?} a PDU", start.elapsed() / (rounds * 100));
    };
    measure("nobody looks", 2000);
    let capture = scene.capture().unwrap();
    measure("captured, most of them left out", 500);
    drop(capture);
    scene.tap.pdu_log.set(true, false);
    // Without a subscriber: reading the PDU alone, as far as the bound on lines allows.
    measure("read for its line", 40);
}
