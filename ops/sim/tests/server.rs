//! The carrier, the sink and the load generators on loopback, against each other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use smsgw_message::Clock;
use smsgw_runtime::SystemClock;
use smsgw_sim::compare::{Ledgers, compare};
use smsgw_sim::ledger::{CarrierRecord, Fate, LedgerOptions, read};
use smsgw_sim::load::{HttpLoad, LoadBind, LoadReport, Plan, SmppLoad, load_http, load_smpp};
use smsgw_sim::sink::{CallbackSink, SinkOptions};
use smsgw_sim::smsc::{HttpQuirks, MoBatch, Protocol, SmscOptions, SmscServer};
use smsgw_smpp::{
    COctets, CommandStatus, EsmeCommand, EsmeConfig, EsmeEvent, EsmeSession, Password, Receipt, SubmitSm,
};
use smsgw_transport::{DriveOptions, drive};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const WITHIN: Duration = Duration::from_secs(20);

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn start(options: SmscOptions) -> SmscServer {
    SmscServer::start(options, any_port(), &LedgerOptions::memory(100_000))
        .await
        .unwrap()
}

async fn run(load: SmppLoad) -> LoadReport {
    let none = LedgerOptions::default();
    load_smpp(load, &none, &none).await.unwrap().report
}

fn smpp(server: &SmscServer, plan: Plan) -> SmppLoad {
    SmppLoad {
        window: 20,
        ..SmppLoad::new(server.local_addr().to_string(), plan)
    }
}

#[tokio::test]
async fn what_an_esme_gets_accepted_is_what_the_carrier_has() {
    let server = start(SmscOptions::default()).await;
    let load = SmppLoad {
        binds: 2,
        registered_delivery: 1,
        ..smpp(&server, Plan::total(500))
    };
    let loaded = load_smpp(load, &LedgerOptions::memory(1000), &LedgerOptions::memory(1000))
        .await
        .unwrap();
    let (report, sent) = (loaded.report, loaded.sent);
    assert_eq!((report.sent, report.accepted, sent.len()), (500, 500, 500));
    assert_eq!(report.statuses.values().sum::<u64>(), 500);
    assert!(report.latency.p50_ms > 0.0 && report.latency.p50_ms <= report.latency.max_ms);
    let done = server.stop().await.unwrap();
    assert_eq!(
        (
            done.stats.accepted,
            done.stats.binds,
            done.stats.records_forgotten
        ),
        (500, 2, 0)
    );
    let found = compare(Ledgers {
        sent: &sent,
        carrier: &done.records,
        callbacks: None,
        reports_expected: false,
    });
    assert!(found.nothing_lost() && found.nothing_invented(), "{found:?}");
    assert_eq!(found.mt.carried, 500);
}

#[tokio::test]
async fn throttled_submits_are_answered_0x58_and_not_accepted() {
    let server = start(SmscOptions {
        throttle: 50,
        ..SmscOptions::default()
    })
    .await;
    let report = run(smpp(&server, Plan::total(200))).await;
    assert!(report.accepted >= 50 && report.accepted < 200, "{report:?}");
    let stats = server.stop().await.unwrap().stats;
    assert_eq!(
        (stats.accepted, stats.throttled),
        (report.accepted, 200 - report.accepted)
    );
}

#[tokio::test]
async fn a_slow_carrier_gives_window_divided_by_round_trip_and_overload_is_refused() {
    let delay = Duration::from_millis(50);
    let server = start(SmscOptions {
        answer_delay: delay,
        ..SmscOptions::default()
    })
    .await;
    let load = SmppLoad {
        window: 10,
        ..smpp(&server, Plan::total(40))
    };
    let report = run(load).await;
    // Four rounds of ten: no faster than that, whatever the machine.
    assert!(report.seconds >= 0.2 && report.accepted == 40, "{report:?}");
    server.stop().await.unwrap();

    let server = start(SmscOptions {
        answer_delay: delay,
        window: 5,
        ..SmscOptions::default()
    })
    .await;
    let load = SmppLoad {
        window: 10,
        ..smpp(&server, Plan::total(10))
    };
    let report = run(load).await;
    assert_eq!((report.sent, report.accepted), (10, 5));
    assert_eq!(server.stop().await.unwrap().stats.overloaded, 5);
}

/// An ESME held by hand.
struct Esme {
    commands: mpsc::Sender<EsmeCommand>,
    events: mpsc::Receiver<Vec<EsmeEvent>>,
    seen: Vec<EsmeEvent>,
}

impl Esme {
    async fn bind(server: &SmscServer) -> Self {
        let stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let name = COctets::try_from("test").unwrap();
        let config = EsmeConfig::new(name, Password::try_new(b"secret").unwrap());
        let (commands, taken) = mpsc::channel(100);
        let (told, events) = mpsc::channel(100);
        let session = EsmeSession::new(config, SystemClock.instant());
        tokio::spawn(drive(session, stream, taken, told, DriveOptions::new("test")));
        let mut esme = Self {
            commands,
            events,
            seen: Vec::new(),
        };
        esme.wait(|event| matches!(event, EsmeEvent::Bound { .. })).await;
        esme
    }

    /// The first event for which `wanted` holds; it is taken out.
    async fn wait(&mut self, wanted: impl Fn(&EsmeEvent) -> bool) -> EsmeEvent {
        loop {
            if let Some(at) = self.seen.iter().position(&wanted) {
                return self.seen.remove(at);
            }
            let batch = tokio::time::timeout(WITHIN, self.events.recv()).await;
            let batch = batch.unwrap_or_else(|_| panic!("not in time; seen: {:?}", self.seen));
            self.seen
                .extend(batch.unwrap_or_else(|| panic!("over; seen: {:?}", self.seen)));
        }
    }

    async fn submit(&mut self, tag: u64) {
        let message = SubmitSm {
            registered_delivery: 1,
            short_message: "hello".into(),
            ..SubmitSm::default()
        };
        self.commands
            .send(EsmeCommand::Submit { tag, message })
            .await
            .unwrap();
    }

    async fn receipt(&mut self) -> (u32, String) {
        match self
            .wait(|event| matches!(event, EsmeEvent::Delivered { .. }))
            .await
        {
            EsmeEvent::Delivered {
                sequence, message, ..
            } => (sequence, Receipt::parse(&message).unwrap().id),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn receipts_unanswered_at_a_drop_come_again_on_the_next_bind() {
    let server = start(SmscOptions {
        first_id: Some(0),
        ..SmscOptions::default()
    })
    .await;
    let mut esme = Esme::bind(&server).await;
    esme.submit(1).await;
    esme.submit(2).await;
    let ((first, one), (_, two)) = (esme.receipt().await, esme.receipt().await);
    assert_eq!((one.as_str(), two.as_str()), ("1", "2"));
    esme.commands
        .send(EsmeCommand::Answer {
            sequence: first,
            status: CommandStatus::OK,
        })
        .await
        .unwrap();
    server
        .wait_until(WITHIN, |stats| stats.receipts_taken == 1)
        .await
        .unwrap();
    server.cut_all();
    esme.wait(|event| matches!(event, EsmeEvent::Closed { .. })).await;
    server
        .wait_until(WITHIN, |stats| stats.sessions == 0 && stats.waiting == 1)
        .await
        .unwrap();

    let mut esme = Esme::bind(&server).await;
    let (sequence, again) = esme.receipt().await;
    assert_eq!(again, "2");
    esme.commands
        .send(EsmeCommand::Answer {
            sequence,
            status: CommandStatus::OK,
        })
        .await
        .unwrap();
    let stats = server
        .wait_until(WITHIN, |stats| stats.receipts_taken == 2)
        .await
        .unwrap();
    assert_eq!((stats.redelivered, stats.waiting, stats.outstanding), (1, 0, 0));
}

#[tokio::test]
async fn a_dropped_connection_leaves_the_submit_in_doubt_and_in_the_ledger_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("carrier.jsonl");
    let options = SmscOptions {
        drop_every: 3,
        ..SmscOptions::default()
    };
    let server = SmscServer::start(options, any_port(), &LedgerOptions::file(&path))
        .await
        .unwrap();
    let mut esme = Esme::bind(&server).await;
    for tag in 1..=3 {
        esme.submit(tag).await;
    }
    let closed = esme.wait(|event| matches!(event, EsmeEvent::Closed { .. })).await;
    assert!(
        matches!(&closed, EsmeEvent::Closed { in_doubt, .. } if *in_doubt == [3]),
        "{closed:?}"
    );
    assert_eq!(
        esme.seen
            .iter()
            .filter(|event| matches!(event, EsmeEvent::Answered { .. }))
            .count(),
        2
    );
    // Written before the connection was cut: no waiting, no stopping.
    let fates: Vec<Fate> = read(&path)
        .unwrap()
        .into_iter()
        .filter_map(|record| {
            if let CarrierRecord::Submit(submit) = record {
                Some(submit.fate)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(fates, [Fate::Accepted, Fate::Accepted, Fate::Cut]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn malformed_pdus_do_not_end_a_session_and_options_change_while_it_runs() {
    let server = start(SmscOptions {
        malformed_every: 1,
        ..SmscOptions::default()
    })
    .await;
    let mut esme = Esme::bind(&server).await;
    esme.submit(1).await;
    esme.wait(|event| matches!(event, EsmeEvent::Undecodable(_)))
        .await;
    let reject = vec!["share:1=0x45".parse().unwrap()];
    server.set_options(SmscOptions {
        reject,
        ..SmscOptions::default()
    });
    server.inject_mo(MoBatch {
        total: 1,
        ..MoBatch::default()
    });
    // The channel is in order: once the MO is here, the options are in force.
    esme.wait(|event| matches!(event, EsmeEvent::Delivered { message, .. } if message.esm_class == 0))
        .await;
    esme.submit(2).await;
    let answered = esme
        .wait(|event| matches!(event, EsmeEvent::Answered { tag: 2, .. }))
        .await;
    assert!(matches!(
        answered,
        EsmeEvent::Answered {
            status: CommandStatus::SUBMIT_FAILED,
            ..
        }
    ));
}

#[tokio::test]
async fn a_bind_with_wrong_credentials_is_refused() {
    let server = start(SmscOptions {
        password: Some("right".into()),
        ..SmscOptions::default()
    })
    .await;
    let refused = load_smpp(
        smpp(&server, Plan::total(1)),
        &LedgerOptions::default(),
        &LedgerOptions::default(),
    )
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    let stats = server
        .wait_until(WITHIN, |stats| stats.sessions == 0)
        .await
        .unwrap();
    assert_eq!((stats.binds, stats.binds_refused), (0, 1));
}

#[tokio::test]
async fn the_sink_takes_events_and_fails_as_told() {
    let options = SinkOptions {
        fail_first: 2,
        ..SinkOptions::default()
    };
    let sink = CallbackSink::start(options, any_port(), &LedgerOptions::memory(10))
        .await
        .unwrap();
    // The load generator's body is no event: it must be refused, counted, and kept out of the ledger.
    let load = HttpLoad {
        connections: 2,
        ..HttpLoad::new(format!("http://{}", sink.local_addr()), "key", Plan::total(6))
    };
    let (report, sent) = load_http(load, &LedgerOptions::memory(10)).await.unwrap();
    assert_eq!(
        (report.sent, report.accepted, report.statuses["400"], sent.len()),
        (6, 0, 6, 6)
    );
    assert!(sent.iter().all(|sent| sent.status == 400 && !sent.is_accepted()));
    for (event, status) in [("e1", 503), ("e1", 503), ("e1", 200), ("e2", 200)] {
        let body = format!(
            r#"{{"type":"report","id":"{event}","at":"x","message":{{"id":"m1","state":"delivered","error":null}}}}"#
        );
        assert_eq!(post(sink.local_addr(), &body).await, status);
    }
    let mo =
        r#"{"type":"mo","id":"e3","at":"x","message":{"id":"m2","text":"m0000000100000002 h\u00e9llo"}}"#;
    assert_eq!(post(sink.local_addr(), mo).await, 200);
    let done = sink.stop().await.unwrap();
    assert_eq!(
        (
            done.stats.reports,
            done.stats.mo,
            done.stats.failed,
            done.stats.malformed
        ),
        (2, 1, 2, 6)
    );
    assert_eq!(done.stats.states["delivered"], 2);
    assert_eq!(
        done.records
            .iter()
            .map(|record| record.answered)
            .collect::<Vec<_>>(),
        [503, 503, 200, 200, 200]
    );
    assert_eq!(done.records[4].token.unwrap().number, 2);
}

async fn post(address: SocketAddr, body: &str) -> u16 {
    post_to(address, "/events", body).await
}

async fn post_to(address: SocketAddr, path: &str, body: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn requests_without_an_answer_are_in_doubt_in_the_ledger() {
    // A listener that closes whatever it accepts: every request is lost on its way.
    let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let closer = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0_u8; 1];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)
                .await
                .unwrap();
        }
    });
    let load = HttpLoad {
        connections: 1,
        ..HttpLoad::new(format!("http://{address}"), "key", Plan::total(3))
    };
    let (report, sent) = load_http(load, &LedgerOptions::memory(10)).await.unwrap();
    assert_eq!(
        (report.accepted, report.statuses["no_answer"], sent.len()),
        (0, 3, 3)
    );
    closer.abort();
}

#[tokio::test]
async fn mixed_texts_parts_receipts_and_phones_are_the_same_at_both_ends() {
    let server = start(SmscOptions::default()).await;
    server.inject_mo(MoBatch {
        total: 50,
        ..MoBatch::default()
    });
    let load = SmppLoad {
        clients: 2,
        system_id: "client*".into(),
        binds: 2,
        bind: LoadBind::Pair,
        mix: [
            "gsm:100=4",
            "ucs2:50=2",
            "gsm:400=2",
            "latin1:30",
            "binary:200",
            "flash:20",
        ]
        .map(|item| item.parse().unwrap())
        .to_vec(),
        registered_delivery: 1,
        linger: Duration::from_millis(300),
        ..smpp(&server, Plan::total(400))
    };
    let memory = LedgerOptions::memory(10_000);
    let loaded = load_smpp(load, &memory, &memory).await.unwrap();
    assert_eq!((loaded.report.accepted, loaded.report.mo), (400, 50));
    let done = server.stop().await.unwrap();
    let found = compare(Ledgers {
        sent: &loaded.sent,
        carrier: &done.records,
        callbacks: Some(&loaded.received),
        reports_expected: true,
    });
    assert!(found.nothing_lost() && found.nothing_invented(), "{found:?}");
    assert_eq!(
        (found.mt.carried, found.mt.unchecked, found.mt.without_token),
        (400, 0, 0)
    );
    assert_eq!(
        (found.mo.unwrap().called_back, found.reports.unwrap().reported),
        (50, 400)
    );
}

#[tokio::test]
async fn a_load_that_is_cut_connects_again_and_says_what_is_in_doubt() {
    let server = start(SmscOptions {
        drop_every: 100,
        ..SmscOptions::default()
    })
    .await;
    let load = SmppLoad {
        reconnects: 10,
        reconnect_after: Duration::from_millis(10),
        ..smpp(&server, Plan::total(450))
    };
    let memory = LedgerOptions::memory(10_000);
    let loaded = load_smpp(load, &memory, &memory).await.unwrap();
    let in_doubt = loaded.report.statuses.get("no_answer").copied().unwrap_or(0);
    assert_eq!(
        (loaded.report.sent, loaded.report.accepted + in_doubt),
        (450, 450)
    );
    assert!(
        loaded.report.reconnects >= 3 && in_doubt >= 3,
        "{:?}",
        loaded.report
    );
    let records = server.stop().await.unwrap().records;
    let found = compare(Ledgers {
        sent: &loaded.sent,
        carrier: &records,
        callbacks: None,
        reports_expected: false,
    });
    assert!(found.nothing_lost() && found.nothing_invented(), "{found:?}");
}

#[tokio::test]
async fn over_http_receipts_and_phones_are_brought_until_they_are_taken() {
    // A sink takes any path; what is no event of its own it answers 400, which is for good.
    let sink = CallbackSink::start(SinkOptions::default(), any_port(), &LedgerOptions::memory(10))
        .await
        .unwrap();
    let options = |inbound: SocketAddr| SmscOptions {
        protocol: Protocol::Http,
        redeliver_after: Duration::from_millis(10),
        http: HttpQuirks {
            inbound: Some(inbound.to_string()),
            ..HttpQuirks::default()
        },
        ..SmscOptions::default()
    };
    // Nobody is there yet.
    let server = start(options("127.0.0.1:1".parse().unwrap())).await;
    let message = r#"{"to":"491700000001","from":"12345","text":"hello"}"#;
    assert_eq!(post_to(server.local_addr(), "/messages", message).await, 202);
    server.inject_mo(MoBatch {
        total: 3,
        ..MoBatch::default()
    });
    assert_eq!(server.stats().receipts, 1);
    server.set_options(options(sink.local_addr()));
    let stats = server
        .wait_until(WITHIN, |stats| stats.deliveries_refused == 4)
        .await
        .unwrap();
    assert_eq!((stats.waiting, sink.stats().malformed), (0, 4));
}

#[tokio::test]
async fn a_closed_port_refuses_connections_and_opens_again() {
    let server = start(SmscOptions::default()).await;
    let address = server.local_addr();
    for _ in 0..3 {
        TcpStream::connect(address).await.unwrap();
        server
            .change_options(&serde_json::json!({"binds": {"refuse_connections": true}}))
            .unwrap();
        let refused = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, refused).await.unwrap();
        server
            .change_options(&serde_json::json!({"binds": {"refuse_connections": false}}))
            .unwrap();
        let open = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WITHIN, open).await.unwrap();
    }
}
