//! A PostgreSQL server of a test's own: a temporary directory, a unix socket in it, a port only for TLS.
//!
//! From the Debian package `postgresql`. The server refuses to run as root; then it runs as the user `postgres`. It does not
//! sync, so it survives its own crash and not the machine's: tests kill processes. It is ended with the test, also when that
//! is killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often, and how long in all, the socket is looked for.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 600;

/// The server, running or stopped.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    server: Option<Child>,
    /// On the loopback address, with TLS.
    port: Option<u16>,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start: the test command installs it.
    #[expect(clippy::expect_used, reason = "a test without its server fails, and says why")]
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!(
            "smsgw-pg-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        let mut server = Self {
            directory,
            server: None,
            port: None,
        };
        server
            .init()
            .expect("initdb makes a cluster; is the Debian package postgresql installed?");
        server.resume();
        server
    }

    /// The same, reached over TLS on a port of its own too; certificate and key in PEM.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    #[expect(clippy::expect_used, reason = "a test without its server fails, and says why")]
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        let mut server = Self::start();
        server.stop();
        // Below the range that the system gives to outgoing connections: none of them takes it before the server does.
        let free = (0..1_000)
            .map(|_| rand::random_range(20_000..32_000))
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
        server.port = Some(free.expect("there is a free port"));
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = server.directory.join("data").join(name);
            fs::write(&path, text).expect("the directory takes a file");
            run(Command::new("chmod").arg("600").arg(&path)).expect("chmod runs");
            if is_root().unwrap_or(false) {
                run(Command::new("chown").arg("postgres").arg(&path)).expect("chown runs");
            }
        }
        server.resume();
        server
    }

    /// How a client connects over TLS, by the server's name.
    pub fn tls_url(&self) -> String {
        let port = self.port.unwrap_or_default();
        format!("postgresql://postgres@localhost:{port}/postgres?sslmode=require")
    }

    fn socket_port(&self) -> String {
        self.port.unwrap_or(5432).to_string()
    }

    /// How a client connects.
    pub fn url(&self) -> String {
        format!(
            "host={} port={} user=postgres dbname=postgres",
            self.directory.display(),
            self.socket_port()
        )
    }

    /// The answer of `psql`, without headings, columns parted by `|`.
    ///
    /// # Panics
    /// When it fails.
    #[expect(clippy::expect_used, reason = "a test without its server fails, and says why")]
    pub fn psql(&self, sql: &str) -> String {
        let output = Command::new(program("psql"))
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.url())
            .arg("-c")
            .arg(sql)
            .output()
            .expect("psql runs");
        assert!(
            output.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Ends the server at once, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            let told = Command::new("kill").args(["-QUIT", &pid]).status();
            if !told.is_ok_and(|status| status.success()) {
                server.kill().unwrap_or_default();
            }
            server.wait().map(drop).unwrap_or_default();
        }
    }

    /// Starts the server again and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[expect(clippy::expect_used, reason = "a test without its server fails, and says why")]
    pub fn resume(&mut self) {
        let mut command = as_postgres(&program("postgres"));
        command
            .arg("-D")
            .arg(self.directory.join("data"))
            .arg("-k")
            .arg(&self.directory)
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=40",
                "-c",
                "shared_buffers=64MB",
                "-c",
                "max_wal_size=256MB",
            ]);
        command.args(["-p", &self.socket_port()]);
        if self.port.is_some() {
            command.args(["-c", "ssl=on", "-c", "listen_addresses=127.0.0.1"]);
        }
        let log = fs::File::create(self.directory.join("log")).expect("a log file can be made");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        self.server = Some(child);
        for _ in 0..LOOKS {
            let ready = Command::new(program("pg_isready"))
                .args(["-q", "-p", &self.socket_port()])
                .arg("-h")
                .arg(&self.directory)
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        panic!(
            "postgres does not answer: {}",
            fs::read_to_string(self.directory.join("log")).unwrap_or_default()
        );
    }

    fn init(&self) -> io::Result<()> {
        fs::create_dir(&self.directory)?;
        if is_root()? {
            run(Command::new("chown").arg("postgres").arg(&self.directory))?;
        }
        run(as_postgres(&program("initdb"))
            .args([
                "-N",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(self.directory.join("data")))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        fs::remove_dir_all(&self.directory).unwrap_or_default();
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
    }
}

fn is_root() -> io::Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// A command that root hands over to the user `postgres`, and that ends with this process.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root().unwrap_or(false) {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command.current_dir("/");
    command
}

/// A program of PostgreSQL: Debian keeps those of the server out of the path.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}
