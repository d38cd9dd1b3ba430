//! The link's session against servers of this test.

use super::super::tests::{dispatch, operator};
use super::*;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use smsgw_config::TlsSection;
use smsgw_transport::{TlsIdentity, TlsOptions, TlsRoots};
use tokio::net::TcpListener;

#[tokio::test]
async fn requests_go_over_http_2_with_our_certificate_to_the_name_that_is_configured() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap(), key)
    };
    let ((theirs, their_key), (ours, our_key)) = (issue("carrier.test"), issue("gw1"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut store = rustls::RootCertStore::empty();
    store.add(authority.der().clone()).unwrap();
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![theirs.der().clone()],
            PrivateKeyDer::try_from(their_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(stream).await.unwrap();
        let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
            let version = format!("{:?}", request.version());
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(version))))
        });
        hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
    });
    let operator = Operator {
        tls: Some(TlsSection {
            server_name: Some("carrier.test".to_owned()),
            ..TlsSection::default()
        }),
        ..Operator::default()
    };
    let tls = TlsClient::try_new(&TlsOptions {
        roots: TlsRoots::Pem(authority.pem().into_bytes()),
        identity: Some(TlsIdentity {
            chain: ours.pem().into_bytes(),
            key: our_key.serialize_pem().into_bytes(),
        }),
        ..TlsOptions::default()
    })
    .unwrap();
    let client = client(&operator, Some(&tls)).unwrap();
    let request = Request::get(format!("https://127.0.0.1:{port}/"))
        .body(Full::default())
        .unwrap();
    let http = HttpCarrier {
        id: smsgw_config::Picker::from_text("regex:(.+)"),
        ..HttpCarrier::default()
    };
    let came = ask(&client, request, &http, Duration::from_secs(10), UNIX_EPOCH).await;
    let Came::Answer(Outcome::Answered { id, .. }, None) = came else {
        panic!("{came:?}");
    };
    assert_eq!(id.to_string_lossy(), "HTTP/2.0");
}

/// A carrier that answers everything in the same way, and how often it was asked.
async fn carrier(answer: &'static str) -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut octets = [0; 4096];
                // A request of these tests comes in one piece.
                while stream.read(&mut octets).await.is_ok_and(|read| read > 0) {
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, asked)
}

struct Running {
    commands: mpsc::Sender<EsmeCommand>,
    events: mpsc::Receiver<Vec<EsmeEvent>>,
    arrivals: Arc<Arrivals>,
    ready: VecDeque<EsmeEvent>,
    operator: Operator,
}

impl Running {
    fn start(port: u16, lines: &str) -> Self {
        let operator = operator(&format!(
            "url = \"http://127.0.0.1:{port}/?t={{text}}&to={{to}}\"\n{lines}"
        ));
        let http = operator.http.clone().unwrap();
        let session = Session {
            client: client(&operator, None).unwrap(),
            writer: Arc::new(Writer::new(&operator, &http).unwrap()),
            http: Arc::new(http),
            patience: Duration::from_secs(10),
            unauthorized: unauthorized(&operator),
            clock: Arc::new(smsgw_testkit::SimClock::new()),
            name: "x-1".to_owned(),
            requests: JoinSet::new(),
            running: HashSet::new(),
            held: VecDeque::new(),
            paused_until: None,
            waiting: HashMap::new(),
            next: 1,
            ending: None,
        };
        let ((commands, taken), (told, events)) = (mpsc::channel(16), mpsc::channel(16));
        let arrivals = Arc::new(Arrivals::default());
        tokio::spawn(session.run(taken, told, Arc::clone(&arrivals)));
        Self {
            commands,
            events,
            arrivals,
            ready: VecDeque::new(),
            operator,
        }
    }

    /// Hands over a part: a text, or octets that are none.
    async fn submit(&self, tag: u64, is_text: bool) {
        let mut part = dispatch("hello");
        if !is_text {
            part.encoding = smsgw_message::Encoding::Binary;
        }
        let at = smsgw_message::Timestamp::from_millis(1_795_248_000_000);
        let message = crate::submit::submit(&part, smsgw_message::Class::Otp, &self.operator, at)
            .unwrap()
            .message;
        self.commands
            .send(EsmeCommand::Submit { tag, message })
            .await
            .unwrap();
    }

    async fn event(&mut self) -> EsmeEvent {
        while self.ready.is_empty() {
            let patience = Duration::from_secs(10);
            let batch = tokio::time::timeout(patience, self.events.recv());
            self.ready.extend(batch.await.unwrap().unwrap());
        }
        self.ready.pop_front().unwrap()
    }
}

#[tokio::test]
async fn refused_credentials_end_the_link_and_no_part() {
    let (port, _) = carrier("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    let mut link = Running::start(port, "");
    assert!(matches!(link.event().await, EsmeEvent::Bound { .. }));
    link.submit(7, true).await;
    assert_eq!(link.event().await, not_sent(7, Refusal::NotBound));
    let closed = EsmeEvent::Closed {
        cause: CloseCause::BindRefused(CommandStatus::INVALID_PASSWORD),
        in_doubt: Vec::new(),
    };
    assert_eq!(link.event().await, closed);
}

#[test]
fn a_401_that_a_list_names_is_an_answer() {
    let named = Operator {
        rejected: vec![StatusRange::one(HTTP_BASE + 401).unwrap()],
        ..Operator::default()
    };
    assert_eq!(unauthorized(&named), None);
    assert_eq!(
        unauthorized(&Operator::default()),
        Some(CommandStatus(HTTP_BASE + 401))
    );
}

#[tokio::test]
async fn a_part_that_waited_for_retry_after_and_does_not_fit_is_told_so() {
    let (port, asked) = carrier("HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n").await;
    let mut link = Running::start(port, "");
    assert!(matches!(link.event().await, EsmeEvent::Bound { .. }));
    link.submit(1, true).await;
    let EsmeEvent::Answered { tag: 1, status, .. } = link.event().await else {
        panic!()
    };
    assert_eq!(status, CommandStatus(HTTP_BASE + 429));
    link.submit(2, false).await;
    assert_eq!(link.event().await, not_sent(2, Refusal::DoesNotFit));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_request_of_the_carrier_that_cannot_be_read_is_kept_and_then_answered() {
    let mut link = Running::start(1, "");
    assert!(matches!(link.event().await, EsmeEvent::Bound { .. }));
    let (answer, answered) = oneshot::channel();
    let brought = Brought::Unreadable(Bytes::from_static(b"{"));
    link.arrivals
        .sender
        .send(Arrival { brought, answer })
        .await
        .unwrap();
    assert_eq!(answered.await, Ok(true));
    let EsmeEvent::Undecodable(kept) = link.event().await else {
        panic!()
    };
    assert_eq!(
        (kept.command_id, kept.raw.as_ref()),
        (CommandId::DeliverSm.into(), &b"{"[..])
    );
}
