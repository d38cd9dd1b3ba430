//! The administrator's listener inside TLS: whom it lets in by token and certificate, whom the command line believes, and certificates
//! that are exchanged or wrong.

use crate::harness::{Authority, Gateway, Http, PATIENCE, Process, eventually, free_port, peers, usual};
use rcgen::KeyPair;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

const TOKEN: &str = "a-token-of-the-tests";
const TOKEN_LINE: &str = "token = \"a-token-of-the-tests\"";

/// A gateway whose administrator's listener takes TLS: `ca.pem` signed its certificate, for 127.0.0.1 and gw.example; `admins.pem`
/// signed `alice` and `strangers.pem` signed `mallory`.
struct Secure {
    process: Process,
    port: u16,
    dir: TempDir,
    config: String,
}

impl Secure {
    async fn start(lines: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let hosts = ["127.0.0.1", "gw.example"];
        Authority::new(at, "ca.pem").signs(at, "admin", "gw.example", &hosts);
        Authority::new(at, "admins.pem").signs(at, "alice", "alice", &["alice.example"]);
        Authority::new(at, "strangers.pem").signs(at, "mallory", "alice", &["alice.example"]);
        std::fs::write(at.join("token"), format!("{TOKEN}\n")).unwrap();
        let port = free_port();
        let mut settings = usual(free_port(), "http://127.0.0.1:9/events")
            .line("admin", &format!("listen = \"127.0.0.1:{port}\""))
            .line("admin", "cert_file = \"admin.pem\"")
            .line("admin", "key_file = \"admin.key\"")
            .line("http", &format!("listen = \"127.0.0.1:{}\"", free_port()))
            .line("http", "cert_file = \"admin.pem\"")
            .line("http", "key_file = \"admin.key\"");
        for line in lines {
            settings = settings.line("admin", line);
        }
        let config = settings.write(at).display().to_string();
        let process = Gateway::spawn(at);
        process
            .out
            .wait("the gateway is ready", |lines| {
                lines
                    .iter()
                    .any(|line| line.contains("gateway is ready"))
                    .then_some(())
            })
            .await;
        Self {
            process,
            port,
            dir,
            config,
        }
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A verb that knows the listener by its authority, with more words; those that begin with `@` are files.
    async fn verb(&self, verb: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
        let url = self.url();
        let mut words = [verb, &["--admin", &url, "--admin-ca", "@ca.pem"], more].concat();
        let files: Vec<Option<String>> = words
            .iter()
            .map(|word| word.strip_prefix('@').map(|file| self.file(file)))
            .collect();
        for (word, file) in words.iter_mut().zip(&files) {
            *word = file.as_deref().unwrap_or(word);
        }
        tool(&words, &[]).await
    }

    /// What a client that is not ours is answered: `status` and text, or the name of the error.
    async fn python(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        identity: Option<&str>,
    ) -> (String, String) {
        const SCRIPT: &str = "
import http.client, json, ssl, sys
ca, port, method, path, headers, cert, key = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if cert: context.load_cert_chain(cert, key)
try:
    connection = http.client.HTTPSConnection('127.0.0.1', int(port), context=context, timeout=20)
    connection.request(method, path, headers=json.loads(headers))
    answer = connection.getresponse()
    print(answer.status, answer.read().decode(), sep='\\n')
except (ssl.SSLError, ConnectionError) as error:
    print(getattr(error, 'reason', type(error).__name__))
";
        let of = |end: &str| identity.map_or_else(String::new, |name| self.file(&format!("{name}.{end}")));
        let output = Command::new(peers().join("venv/bin/python"))
            .args(["-c", SCRIPT, &self.file("ca.pem"), &self.port.to_string()])
            .args([method, path, headers, &of("pem"), &of("key")])
            .output();
        let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (first, rest) = said.split_once('\n').unwrap();
        (first.to_owned(), rest.to_owned())
    }
}

/// Runs a verb to its end: its code, standard output and standard error.
async fn tool(words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(Gateway::binary());
    command
        .args(words)
        .env("NO_COLOR", "1")
        .envs(environment.iter().copied());
    let mut process = Process::spawn("smsgw", command);
    let status = process.ended().await;
    let text = |lines: &[String]| lines.join("\n");
    (status.code(), process.out.read(text), process.err.read(text))
}

/// Every verb that asks the listener and changes nothing, and its code on a gateway without traffic.
const VERBS: [(&[&str], i32); 14] = [
    (&["status"], 0),
    (&["status", "--tree", "--json"], 0),
    (&["queues"], 0),
    (&["links"], 0),
    (&["sessions"], 0),
    (&["top", "--once", "--every", "100ms"], 0),
    (&["operator", "list"], 0),
    (&["session", "list"], 0),
    (&["dead-letters", "list"], 0),
    (&["credit", "show"], 0),
    (&["counters"], 0),
    (&["balance", "--wait", "0"], 0),
    (&["history"], 0),
    (&["trace", "no-such-id"], 1),
];

#[tokio::test]
async fn every_verb_asks_inside_tls_and_believes_nobody_else() {
    let secure = Secure::start(&[TOKEN_LINE]).await;
    for (verb, code) in VERBS {
        let (got, _, said) = tool(&[verb, &["--config", &secure.config]].concat(), &[]).await;
        assert_eq!(got, Some(code), "{verb:?}: {said}");
        let (got, _, said) = secure.verb(verb, &["--token-file", "@token"]).await;
        assert_eq!(got, Some(code), "{verb:?}: {said}");
        let (got, out, said) = secure.verb(verb, &[]).await;
        assert_eq!((got, out.as_str()), (Some(77), ""), "{verb:?}: {said}");
        assert!(said.contains("401") && said.contains("token"), "{said}");
    }
    let (code, _, said) = secure
        .verb(&["plan", &secure.config], &["--token-file", "@token"])
        .await;
    assert_eq!(code, Some(0), "{said}");
    let explain = ["explain", "--client", "acme", "--to", "491700000001"];
    let (code, out, said) = secure.verb(&explain, &["--token-file", "@token"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("alpha"), "{out}");
    // What goes up whole, and what comes down as it happens.
    let text = std::fs::read_to_string(&secure.config).unwrap();
    let more = secure.file("more.toml");
    std::fs::write(&more, format!("{text}\n[limits]\nmax_parts = 7\n")).unwrap();
    let (code, out, said) = secure
        .verb(
            &["apply", &more, "--reason", "a trial"],
            &["--token-file", "@token"],
        )
        .await;
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("applied"), "{out}");
    let capture = ["trace", "link", "alpha-1", "--for", "1s"];
    let (code, out, said) = secure.verb(&capture, &["--token-file", "@token"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(Path::new(out.trim()).is_file(), "{out}");
    // The API of the same file has a certificate too.
    let send = ["send", "--client", "acme", "--to", "491700000001", "--text", "t"];
    let (code, _, said) = tool(&[&send[..], &["--config", &secure.config]].concat(), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    // An address without https:// is asked inside TLS when there is an authority; and by the environment's words.
    let address = format!("127.0.0.1:{}", secure.port);
    let (ca, token) = (secure.file("ca.pem"), secure.file("token"));
    let (code, _, said) = tool(
        &[
            "queues",
            "--admin",
            &address,
            "--admin-ca",
            &ca,
            "--token-file",
            &token,
        ],
        &[],
    )
    .await;
    assert_eq!(code, Some(0), "{said}");
    let environment = [
        ("SMSGW_ADMIN", secure.url()),
        ("SMSGW_ADMIN_CA", ca.clone()),
        ("SMSGW_ADMIN_TOKEN", TOKEN.to_owned()),
    ];
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let (code, _, said) = tool(&["links"], &environment).await;
    assert_eq!(code, Some(0), "{said}");

    let token = ["--token-file", "@token"];
    let (code, _, said) = secure
        .verb(
            &["status"],
            &[&token[..], &["--admin-ca", "@strangers.pem"]].concat(),
        )
        .await;
    assert_eq!(code, Some(2), "clap refuses an option twice: {said}");
    let strangers = secure.file("strangers.pem");
    for verb in [&["status"][..], &["queues"], &["operator", "hold", "alpha"]] {
        let (code, _, said) = tool(
            &[verb, &["--admin", &secure.url(), "--admin-ca", &strangers]].concat(),
            &environment,
        )
        .await;
        assert_eq!(code, Some(69), "{said}");
        assert!(
            said.contains("signed by nobody in") && said.contains("strangers.pem"),
            "{said}"
        );
    }
    // A file that names another certificate for the same port.
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::new(elsewhere.path(), "ca.pem").signs(elsewhere.path(), "admin", "gw.example", &["127.0.0.1"]);
    let copy = elsewhere.path().join("gateway.toml");
    std::fs::copy(&secure.config, &copy).unwrap();
    let copy = copy.display().to_string();
    let (code, _, said) = tool(&["queues", "--config", &copy], &[]).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("it has not the certificate in"), "{said}");
    let other = format!("https://localhost:{}", secure.port);
    let (code, _, said) = tool(&["queues", "--admin", &other], &environment).await;
    assert_eq!(code, Some(69), "{said}");
    assert!(
        said.contains("for another name") && said.contains("gw.example"),
        "{said}"
    );

    // In the clear.
    let plain = format!("http://{address}");
    let (code, _, said) = tool(&["queues", "--admin", &plain, "--admin-ca", &ca], &[]).await;
    assert_eq!(code, Some(2), "{said}");
    for admin in [address.clone(), plain] {
        let (code, _, said) = tool(&["queues", "--admin", &admin], &[]).await;
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("takes TLS only"), "{said}");
    }
    let answer = Http::new()
        .get(&format!("http://{address}/status"), Some(TOKEN))
        .await
        .unwrap();
    assert_eq!(answer.status, 426, "{}", answer.text());
    assert!(answer.text().contains("TLS only"), "{}", answer.text());
    // Who says nothing is not waited for.
    let mut silent = tokio::net::TcpStream::connect(&address).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 16]))
        .await
        .unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");

    for path in ["/healthz", "/readyz"] {
        assert_eq!(secure.python("GET", path, "{}", None).await.0, "200", "{path}");
    }
    assert_eq!(secure.python("GET", "/metrics", "{}", None).await.0, "401");
    let bearer = format!("{{\"Authorization\": \"Bearer {TOKEN}\"}}");
    let (status, metrics) = secure.python("GET", "/metrics", &bearer, None).await;
    assert_eq!(status, "200");
    let failed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("smsgw_admin_tls_handshakes_failed_total "))
        .unwrap();
    assert!(failed.parse::<u64>().unwrap() >= 4, "{failed}");
}

#[tokio::test]
async fn a_listener_in_the_clear_tells_who_speaks_tls_so() {
    let dir = tempfile::tempdir().unwrap();
    usual(free_port(), "http://127.0.0.1:9/events").write(dir.path());
    Authority::new(dir.path(), "ca.pem");
    let gateway = Gateway::start(dir.path()).await;
    let (url, ca) = (
        format!("https://{}", gateway.admin_address()),
        dir.path().join("ca.pem").display().to_string(),
    );
    for verb in ["status", "queues"] {
        let (code, _, said) = tool(&[verb, "--admin", &url, "--admin-ca", &ca], &[]).await;
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("it takes no TLS"), "{said}");
    }
    for (words, why) in [
        (vec!["--admin-ca", "/nowhere"], "/nowhere: "),
        (vec!["--admin-key", "/nowhere"], "needs its certificate"),
        (vec!["--admin-cert", &ca], "private key is not valid PEM"),
    ] {
        let (code, _, said) = tool(&[&["queues", "--admin", &url], &words[..]].concat(), &[]).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let (code, _, said) = tool(&["queues", "--admin", "gw.example:8081"], &[]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("https://gw.example:8081"), "{said}");
}

#[tokio::test]
async fn administrators_are_known_by_their_certificates_and_the_audit_names_them() {
    let secure = Secure::start(&["client_ca_file = \"admins.pem\""]).await;
    let alice = ["--admin-cert", "@alice.pem", "--admin-key", "@alice.key"];
    let mallory = ["--admin-cert", "@mallory.pem", "--admin-key", "@mallory.key"];
    for (verb, code) in VERBS {
        let (got, _, said) = secure.verb(verb, &alice).await;
        assert_eq!(got, Some(code), "{verb:?}: {said}");
        let (got, out, said) = secure.verb(verb, &[]).await;
        assert_eq!((got, out.as_str()), (Some(77), ""), "{verb:?}: {said}");
        assert!(
            said.contains("it wants the certificate of an administrator"),
            "{said}"
        );
    }
    let (code, _, said) = secure.verb(&["queues"], &mallory).await;
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("does not take our certificate"), "{said}");
    // The file knows whom to believe; who asks brings the rest.
    let (cert, key) = (secure.file("alice.pem"), secure.file("alice.key"));
    let (code, _, said) = tool(&["queues", "--config", &secure.config], &[]).await;
    assert_eq!(code, Some(77), "{said}");
    let environment = [("SMSGW_ADMIN_CERT", cert.as_str()), ("SMSGW_ADMIN_KEY", &key)];
    let (code, _, said) = tool(&["queues", "--config", &secure.config], &environment).await;
    assert_eq!(code, Some(0), "{said}");

    let (code, out, said) = secure.verb(&["operator", "hold", "alpha"], &alice).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(out.starts_with("applied"), "{out}");
    let (code, _, said) = secure
        .verb(&["set", "limits.max_parts", "7", "--reason", "a trial"], &alice)
        .await;
    assert_eq!(code, Some(0), "{said}");
    let (_, audit, _) = secure.verb(&["history", "--audit", "--json"], &alice).await;
    let audit: Vec<Value> = serde_json::from_str(&audit).unwrap();
    let by: Vec<&str> = audit.iter().map(|row| row["by"].as_str().unwrap()).collect();
    assert!(by.contains(&"certificate alice"), "{by:?}");
    let set = by.iter().find(|by| by.starts_with("certificate alice ("));
    assert!(set.is_some(), "the user stands behind it: {by:?}");
    let (_, versions, _) = secure.verb(&["history", "--json"], &alice).await;
    assert!(versions.contains("certificate alice ("), "{versions}");

    // Clients that are not ours; what a page of another site could make a browser do is refused.
    let identity = Some("alice");
    let (status, body) = secure.python("GET", "/status", "{}", identity).await;
    assert_eq!(status, "200");
    assert!(body.contains("\"ready\": true"), "{body}");
    let order = "{\"x-smsgw-order\": \"1\"}";
    for (path, unmarked, marked) in [
        ("/operators/alpha/release", "403", "200"),
        ("/trace/link?link=nowhere-1", "403", "404"),
    ] {
        assert_eq!(
            secure.python("POST", path, "{}", identity).await.0,
            unmarked,
            "{path}"
        );
        assert_eq!(
            secure.python("POST", path, order, identity).await.0,
            marked,
            "{path}"
        );
    }
    for other in [None, Some("mallory")] {
        let (error, _) = secure.python("GET", "/healthz", "{}", other).await;
        assert!(error.parse::<u16>().is_err(), "{other:?}: {error}");
    }
}

#[tokio::test]
async fn a_required_certificate_comes_beside_the_token_and_an_optional_one_instead() {
    let alice = ["--admin-cert", "@alice.pem", "--admin-key", "@alice.key"];
    let token = ["--token-file", "@token"];
    let both = [&alice[..], &token].concat();
    let required = Secure::start(&["client_ca_file = \"admins.pem\"", TOKEN_LINE]).await;
    for (words, code) in [(&both[..], 0), (&alice, 77), (&token, 77), (&[], 77)] {
        let (got, _, said) = required.verb(&["queues"], words).await;
        assert_eq!(got, Some(code), "{words:?}: {said}");
    }
    let lines = [
        "client_ca_file = \"admins.pem\"",
        "client_cert = \"optional\"",
        TOKEN_LINE,
    ];
    let optional = Secure::start(&lines).await;
    for (words, code) in [(&both[..], 0), (&alice, 0), (&token, 0), (&[], 77)] {
        let (got, _, said) = optional.verb(&["queues"], words).await;
        assert_eq!(got, Some(code), "{words:?}: {said}");
    }
    let mallory = ["--admin-cert", "@mallory.pem", "--admin-key", "@mallory.key"];
    let (got, _, said) = optional.verb(&["queues"], &[&mallory[..], &token].concat()).await;
    assert_eq!(got, Some(77), "a wrong one is worse than none: {said}");
    assert_eq!(optional.python("GET", "/readyz", "{}", None).await.0, "200");
    // Without a token only certificates count, on this machine too.
    let alone = Secure::start(&lines[..2]).await;
    for (words, code) in [(&alice[..], 0), (&[], 77)] {
        let (got, _, said) = alone.verb(&["queues"], words).await;
        assert_eq!(got, Some(code), "{words:?}: {said}");
    }
    assert_eq!(alone.python("GET", "/readyz", "{}", None).await.0, "200");
    assert_eq!(alone.python("GET", "/status", "{}", None).await.0, "403");
}

#[tokio::test]
async fn certificates_are_exchanged_while_it_runs_and_wrong_ones_are_not_taken() {
    let mut secure = Secure::start(&["client_ca_file = \"admins.pem\"", TOKEN_LINE]).await;
    let dir = secure.dir.path().to_owned();
    let both = [
        "--admin-cert",
        "@alice.pem",
        "--admin-key",
        "@alice.key",
        "--token-file",
        "@token",
    ];
    let (code, _, said) = secure.verb(&["queues"], &both).await;
    assert_eq!(code, Some(0), "{said}");
    // Other authorities on both sides; `alice` is now who `admins.pem` knows, with another key.
    std::fs::rename(dir.join("ca.pem"), dir.join("old.pem")).unwrap();
    std::fs::copy(dir.join("alice.pem"), dir.join("before.pem")).unwrap();
    std::fs::copy(dir.join("alice.key"), dir.join("before.key")).unwrap();
    Authority::new(&dir, "ca.pem").signs(&dir, "admin", "gw.example", &["127.0.0.1"]);
    Authority::new(&dir, "admins.pem").signs(&dir, "alice", "alice", &["alice.example"]);
    eventually("the new certificate is in use", || async {
        let (code, _, _) = secure.verb(&["queues"], &both).await;
        (code == Some(0)).then_some(())
    })
    .await;
    let (code, _, said) = secure
        .verb(
            &["queues"],
            &[
                "--admin-cert",
                "@before.pem",
                "--admin-key",
                "@before.key",
                "--token-file",
                "@token",
            ],
        )
        .await;
    assert_eq!(code, Some(77), "who the authority before signed: {said}");
    let old = secure.file("old.pem");
    let (code, _, said) = tool(&["queues", "--admin", &secure.url(), "--admin-ca", &old], &[]).await;
    assert_eq!(code, Some(69), "{said}");

    // A key that belongs to nothing: the listener goes on, a reload says why it is refused.
    std::fs::write(
        dir.join("admin.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    eventually("the wrong key is refused", || async {
        let (code, _, said) = secure.verb(&["reload"], &both).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("SMSGW-C019") && said.contains("admin.key_file"),
            "{said}"
        );
        let counted = |lines: &[String]| {
            lines
                .iter()
                .any(|line| line.contains("new certificate and key cannot be used"))
        };
        secure.process.out.read(counted).then_some(())
    })
    .await;
    let (code, _, said) = secure.verb(&["status"], &both).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(secure.process.has_ended().is_none());
}

#[tokio::test]
async fn a_wrong_certificate_is_told_with_its_place_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    Authority::new(at, "ca.pem").signs(at, "admin", "gw.example", &["127.0.0.1"]);
    Authority::new(at, "other.pem").signs(at, "other", "gw.example", &["127.0.0.1"]);
    let settings = usual(9, "http://127.0.0.1:9/events").line("admin", "cert_file = \"admin.pem\"");
    for (key, ca, wrong) in [
        (
            "nowhere.key",
            "ca.pem",
            "admin.key_file: nowhere.key cannot be used",
        ),
        ("other.key", "ca.pem", "admin.key_file: other.key cannot be used"),
        (
            "admin.key",
            "admin.key",
            "admin.client_ca_file: admin.key cannot be used",
        ),
    ] {
        let file = settings
            .clone()
            .line("admin", &format!("key_file = \"{key}\""))
            .line("admin", &format!("client_ca_file = \"{ca}\""))
            .write(at)
            .display()
            .to_string();
        for words in [
            ["check", &file],
            ["run", &format!("--config={file}")],
            ["queues", &format!("--config={file}")],
        ] {
            let (code, _, said) = tool(&words, &[]).await;
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains("SMSGW-C019") && said.contains(wrong), "{said}");
            assert!(said.contains("gateway.toml:"), "the place: {said}");
        }
    }
    // Nothing is wrong with this, and it should be put right.
    let open = settings
        .clone()
        .without("admin")
        .line("admin", "listen = \"0.0.0.0:0\"")
        .line("admin", TOKEN_LINE);
    let file = open.write(at).display().to_string();
    let (code, _, said) = tool(&["check", &file], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: [admin] listen 0.0.0.0:0"), "{said}");
    let closed = open
        .line("admin", "cert_file = \"admin.pem\"")
        .line("admin", "key_file = \"admin.key\"");
    let file = closed.write(at).display().to_string();
    let (code, _, said) = tool(&["check", &file], &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("in the clear"), "{said}");
}
