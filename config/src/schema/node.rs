//! Sections about the process itself: node, listeners, log, engine, limits.
//!
//! Must not know operators or clients.
//! Invariant: a listener exists only if its section has `listen`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::operator::InterfaceVersion;
use crate::section::{at_most_chars, between, not_empty};
use crate::types::{ByteSize, LogFilter, Secret};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

words! {
    /// A kind of node a process can run.
    Role {
        /// Listeners for clients, admission, downlink to their binds.
        Client = "client",
        /// Routing decisions and receipt correlation.
        Router = "router",
        /// Links to carriers.
        Operator = "operator",
        /// HTTP delivery of reports and MO.
        Callback = "callback",
        /// Counters folded from the events log.
        Counter = "counter",
        /// Validation and reload of the configuration.
        Config = "config",
    }
}

words! {
    /// How a log line looks.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// The least important lines that are written.
    LogLevel {
        /// Someone must act.
        Error = "error",
        /// Something went wrong and the gateway recovered.
        Warn = "warn",
        /// An action of the gateway succeeded.
        Info = "info",
        /// For looking into a problem.
        Debug = "debug",
        /// Everything, at a cost.
        Trace = "trace",
    }
}

words! {
    /// Where queues and state live.
    EngineKind {
        /// One database in the data directory; survives `kill -9`.
        Embedded = "embedded",
        /// In memory, lost at exit: for tests.
        Memory = "memory",
    }
}

section! {
    /// `[node]`: this process.
    NodeSection {
        /// Name of this process in logs, metrics and ids. Letters, digits, `-`, `_`, `.`. Since 0.1.
        name: String = String::new(), Restart [required] where at_most_chars(63);
        /// Directory of the data, created when absent; a relative path counts from the file. Since 0.1.
        data_dir: PathBuf = PathBuf::from("data"), Restart;
        /// Nodes that this process runs. Since 0.1.
        roles: Vec<Role> = Role::ALL.to_vec(), Restart where not_empty();
        /// Whether a changed file is read by itself, after 1 s of quiet; SIGHUP reads at once either way. Since 0.1.
        watch: bool = false, Live;
        /// How long links may wait for outstanding answers when the process is told to stop. Since 0.1.
        drain_timeout: Duration = 10 * SECOND, Live where between(Duration::ZERO, 10 * MINUTE);
        /// Versions of the configuration that are kept below `data_dir`, for `smsgw history` and `smsgw rollback`. Since 0.1.
        config_versions: u32 = 100, Live where between(1, 10_000);
    }
}

words! {
    /// Whether an administrator has to show a certificate.
    ClientCert {
        /// The handshake fails without one, for probes too.
        Required = "required",
        /// Without one the token is wanted; probes need neither.
        Optional = "optional",
    }
}

section! {
    /// `[admin]`: metrics, health and the admin API.
    AdminSection {
        /// Address and port of `/metrics`, `/healthz`, `/readyz` and the admin API; absent: no listener; port 0: any free port. Other
        /// than loopback it needs a token or `client_ca_file`, and should have a certificate. Since 0.1.
        listen: Option<SocketAddr> = None, Restart;
        /// What every request but those for `/healthz` and `/readyz` has to carry (`Authorization: Bearer ...`): 16 to 256 letters,
        /// digits and signs. Absent: none, and only this machine is answered, or who shows a certificate. Since 0.1.
        token: Option<Secret> = None, Live;
        /// File with the token in its first line. Since 0.1.
        token_file: Option<PathBuf> = None, Live;
        /// Our certificate with those that lead to its root (PEM): from then on the listener takes TLS only. Since 0.1.
        cert_file: Option<PathBuf> = None, Restart;
        /// Its private key (PEM). These files and `client_ca_file` are looked at every 10 s and read again when they change.
        /// Since 0.1.
        key_file: Option<PathBuf> = None, Restart;
        /// Certificates (PEM) of those who sign the certificates of administrators: who shows one is an administrator. Absent: no
        /// certificate is asked for. Since 0.1.
        client_ca_file: Option<PathBuf> = None, Restart;
        /// Whether a certificate has to be shown, beside the token where there is one; or one of the two will do. Since 0.1.
        client_cert: ClientCert = ClientCert::Required, Restart;
    }
}

impl AdminSection {
    /// Whether other machines reach the listener.
    pub fn is_open(&self) -> bool {
        self.listen
            .is_some_and(|listen| !listen.ip().to_canonical().is_loopback())
    }

    /// Whether it takes TLS only.
    pub fn is_tls(&self) -> bool {
        self.cert_file.is_some() && self.key_file.is_some()
    }
}

section! {
    /// `[http]`: the HTTP API for clients.
    HttpSection {
        /// Address and port; absent: no listener; port 0: any free port. Since 0.1.
        listen: Option<SocketAddr> = None, Restart;
        /// Largest request body; above it `413 body_too_large`. Since 0.1.
        body_limit: ByteSize = ByteSize::mib(1), Live where between(ByteSize::kib(1), ByteSize::mib(64));
        /// How long a connection may take to send the head of a request. Since 0.1.
        header_timeout: Duration = 10 * SECOND, Live where between(SECOND, 5 * MINUTE);
        /// How long a request may take to send its body and wait for its answer. Since 0.1.
        request_timeout: Duration = 30 * SECOND, Live where between(SECOND, 5 * MINUTE);
        /// How long the upload of a batch may take, whatever its size; between two pieces of it no more than `request_timeout`
        /// may pass. Since 0.1.
        upload_timeout: Duration = 10 * MINUTE, Live where between(SECOND, 24 * HOUR);
        /// Open connections over all clients; above it a new one is closed at once. Since 0.1.
        max_connections: u32 = 10_000, Live where between(1, 1_000_000);
        /// Requests that may wait for the engine at once; above it `503 overloaded`. Since 0.1.
        max_in_flight: u32 = 8_192, Live where between(1, 1_000_000);
        /// Our certificate with those that lead to its root (PEM): from then on the listener takes TLS only, and HTTP/2 beside
        /// HTTP/1.1. Since 0.1.
        cert_file: Option<PathBuf> = None, Restart;
        /// Its private key (PEM). Both files are looked at every 10 s and read again when they change. Since 0.1.
        key_file: Option<PathBuf> = None, Restart;
        /// Requests that one HTTP/2 connection may have open at once. Since 0.1.
        max_streams: u32 = 250, Live where between(1, 10_000);
        /// Delay of the answer to a failed login, on that connection only. Since 0.1.
        login_delay: Duration = SECOND, Live where between(Duration::ZERO, MINUTE);
        /// Failed logins from one address (IPv6: one /64) within `ban_time` after which its connections are closed at once; never for
        /// loopback. 0: no bans. Since 0.1.
        ban_after: u32 = 0, Live where between(0, 1_000_000);
        /// How long such an address is kept out. Since 0.1.
        ban_time: Duration = 10 * MINUTE, Live where between(SECOND, DAY);
    }
}

section! {
    /// `[smpp]`: the SMPP server for clients.
    SmppSection {
        /// Address and port; absent: no listener; port 0: any free port. Since 0.1.
        listen: Option<SocketAddr> = None, Restart;
        /// Unanswered requests per bind and direction; a full window stops reading. Since 0.1.
        window: u32 = 100, Live where between(1, 10_000);
        /// Silence after which the gateway sends enquire_link. Since 0.1.
        enquire_link: Duration = 30 * SECOND, Live where between(SECOND, HOUR);
        /// How long the client may take to answer a request. Since 0.1.
        response_timeout: Duration = 30 * SECOND, Live where between(SECOND, 10 * MINUTE);
        /// How long a new connection may stay unbound. Since 0.1.
        bind_timeout: Duration = 10 * SECOND, Live where between(SECOND, 5 * MINUTE);
        /// Delay of the answer to a failed bind, on that connection only. Since 0.1.
        login_delay: Duration = SECOND, Live where between(Duration::ZERO, MINUTE);
        /// Failed logins from one address (IPv6: one /64), those over HTTP included where `http.ban_after` counts them, each within
        /// `ban_time` of the one before, after which its connections are closed at once; never for loopback. 0: no bans. Since 0.1.
        ban_after: u32 = 0, Live where between(0, 1_000_000);
        /// How long such an address is kept out. Since 0.1.
        ban_time: Duration = 10 * MINUTE, Live where between(SECOND, DAY);
        /// Open connections over all clients; above it a new one is closed at once. Since 0.1.
        max_connections: u32 = 10_000, Live where between(1, 1_000_000);
        /// Our name in bind answers and outbinds. Since 0.1.
        system_id: String = "smsgw".to_owned(), Live where at_most_chars(15);
        /// What is spoken at most; a client that speaks less is served in its version. Since 0.1.
        version: InterfaceVersion = InterfaceVersion::V5_0, Live;
        /// Our certificate with those that lead to its root (PEM): from then on the listener takes TLS only. Since 0.1.
        cert_file: Option<PathBuf> = None, Restart;
        /// Its private key (PEM). Both files are read again when they change. Since 0.1.
        key_file: Option<PathBuf> = None, Restart;
        /// How long a submit over the account's rate is held back, and reading with it, before it is answered ESME_RTHROTTLED.
        /// Since 0.1.
        rate_wait: Duration = SECOND, Live where between(Duration::ZERO, 10 * SECOND);
        /// Submits that may wait for the engine at once over all clients; above it ESME_RTHROTTLED. Since 0.1.
        max_in_flight: u32 = 65_536, Live where between(1, 1_000_000);
    }
}

section! {
    /// `[log]`: what is written to standard error.
    LogSection {
        /// `text` for people, `json` for machines. Since 0.1.
        format: LogFormat = LogFormat::Text, Restart;
        /// Level, or a list such as `info,smsgw_node_operator=debug`. Since 0.1.
        level: LogFilter = LogFilter::default(), Live;
        /// Whether accepted requests are logged at debug with text and numbers. Since 0.1.
        bodies: bool = false, Live;
    }
}

section! {
    /// `[engine]`: where queues and state live.
    EngineSection {
        /// The engine; `jetstream` is not in this version. Since 0.1.
        kind: EngineKind = EngineKind::Embedded, Restart;
        /// Free space on the disk of the data directory under which nothing new is accepted. Since 0.1.
        min_free_disk: ByteSize = ByteSize::mib(256), Restart;
        /// Memory for blocks read from the database. Since 0.1.
        cache: ByteSize = ByteSize::mib(64), Restart where between(ByteSize::mib(1), ByteSize::gib(64));
        /// Records that may wait in all queues together (a part of a message, a receipt, a report each); from then on clients
        /// get `503 overloaded` and carriers ESME_RMSGQFUL, while what is inside goes its way. 0: no bound. Since 0.1.
        max_records: u64 = 20_000_000, Live where between(0, 1_000_000_000);
        /// Octets of these records, likewise. 0: no bound. Since 0.1.
        max_octets: ByteSize = ByteSize::gib(16), Live;
        /// Records that may wait in one queue, likewise: one slow carrier does not fill the gateway for all. 0: no bound but
        /// the one for all queues. Since 0.1.
        queue_max_records: u64 = 0, Live where between(0, 1_000_000_000);
        /// Octets of the records of one queue, likewise. 0: no bound but the one for all queues. Since 0.1.
        queue_max_octets: ByteSize = ByteSize::bytes(0), Live;
        /// Octets of the dead letters that a queue keeps, and as much of records that cannot be decoded; the oldest are
        /// deleted above it, and all after 7 days. Since 0.1.
        max_dead_letters: ByteSize = ByteSize::mib(256), Live where between(ByteSize::mib(1), ByteSize::gib(64));
    }
}

section! {
    /// `[limits]`: bounds and lifetimes that hold for all.
    LimitsSection {
        /// Parts of one message at most; above it `422 text_too_long`. Since 0.1.
        max_parts: u8 = 10, Live where between(1, 255);
        /// Validity of a message that does not ask for one. Since 0.1.
        validity: Duration = 48 * HOUR, Live where between(SECOND, 30 * DAY);
        /// Longest validity a message may ask for. Since 0.1.
        max_validity: Duration = 7 * DAY, Live where between(SECOND, 30 * DAY);
        /// How far ahead `send_at` may lie; the validity counts from there. Since 0.1.
        max_schedule: Duration = 30 * DAY, Live where between(Duration::ZERO, 366 * DAY);
        /// How long after its validity a message waits for its final receipt before it expires as `no_receipt`. Since 0.1.
        receipt_grace: Duration = 24 * HOUR, Live where between(Duration::ZERO, 30 * DAY);
        /// How many operators a message, or a part that goes its own way, is given to after its first one (`operator.<id>.reroute`);
        /// 0 never tries another. Since 0.1.
        reroutes: u32 = 3, Live where between(0, 100);
        /// How long a receipt that came before its submit answer is parked; after a stop half of it begins anew. Since 0.1.
        parked_receipts: Duration = 300 * SECOND, Live where between(SECOND, 2 * DAY);
        /// How long the record of a message is kept after its final state. Since 0.1.
        message_retention: Duration = 7 * DAY, Live where between(MINUTE, 400 * DAY);
        /// How long an idempotency key is remembered. Since 0.1.
        idempotency: Duration = 24 * HOUR, Live where between(MINUTE, 30 * DAY);
        /// How long the parts of a long MO are waited for. Since 0.1.
        reassembly: Duration = 30 * MINUTE, Live where between(SECOND, 2 * DAY);
        /// Recipients or lines of one batch at most; above it `413 body_too_large`. Since 0.1.
        batch_max: u32 = 1_000_000, Live where between(1, 100_000_000);
        /// How long a batch may take to be sent, pauses included; what is left of it then is not sent, and it is `expired`. The
        /// record of a batch is kept for `message_retention` more. Since 0.1.
        batch_life: Duration = 7 * DAY, Live where between(MINUTE, 90 * DAY);
        /// Largest `window` an operator may have. Since 0.1.
        max_window: u32 = 1_000, Live where between(1, 100_000);
        /// Largest number of links (`binds`) an operator may have. Since 0.1.
        max_binds: u32 = 64, Live where between(1, 1_000);
    }
}
