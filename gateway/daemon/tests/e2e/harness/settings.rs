//! The configuration file of a scenario: sections that get lines, in the words of the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    sections: BTreeMap<String, Vec<String>>,
    routes: Vec<String>,
}

impl Settings {
    /// Listeners on free ports, JSON logs, callbacks to this machine allowed; no operator, client or route.
    pub(crate) fn new() -> Self {
        let level = std::env::var("SMSGW_E2E_LOG").unwrap_or_else(|_| "info".to_owned());
        Self {
            sections: BTreeMap::new(),
            routes: Vec::new(),
        }
        .line("node", "name = \"e2e\"")
        .line("node", "data_dir = \"data\"")
        .line("admin", "listen = \"127.0.0.1:0\"")
        .line("http", "listen = \"127.0.0.1:0\"")
        .line("callback", "allow = [\"127.0.0.0/8\"]")
        .line("log", "format = \"json\"")
        .line("log", &format!("level = \"{level}\""))
    }

    /// One more line in a section; a later line for the same key replaces the earlier one.
    pub(crate) fn line(mut self, section: &str, line: &str) -> Self {
        let key = |line: &str| line.split('=').next().unwrap().trim().to_owned();
        let lines = self.sections.entry(section.to_owned()).or_default();
        lines.retain(|there| key(there) != key(line));
        lines.push(line.to_owned());
        self
    }

    /// An SMPP operator on this machine that reconnects fast.
    pub(crate) fn operator(self, name: &str, port: u16) -> Self {
        let section = format!("operator.{name}");
        self.line(&section, "protocol = \"smpp\"")
            .line(&section, &format!("hosts = [\"127.0.0.1:{port}\"]"))
            .line(&section, "system_id = \"test\"")
            .line(&section, "password = \"test\"")
            .line(&section, "window = 100")
            .line(&section, "reconnect_min = \"50ms\"")
            .line(&section, "reconnect_max = \"500ms\"")
    }

    /// A UCP operator at a simulated centre on this machine.
    pub(crate) fn ucp_operator(self, name: &str, port: u16) -> Self {
        let section = format!("operator.{name}");
        self.line(&section, "protocol = \"ucp\"")
            .line(&section, &format!("hosts = [\"127.0.0.1:{port}\"]"))
            .line(&section, "login = \"12345\"")
            .line(&section, "password = \"secret\"")
            .line(&section, "window = 20")
            .line(&section, "reconnect_min = \"50ms\"")
            .line(&section, "reconnect_max = \"500ms\"")
    }

    /// An operator at `smsgw sim http` on this machine, which is to bring receipts and MO to the port `inbound` with the
    /// header `x-secret: s3cret`.
    pub(crate) fn http_operator(self, name: &str, port: u16, inbound: u16) -> Self {
        let section = format!("operator.{name}");
        let (api, brings) = (format!("{section}.http"), format!("{section}.http.inbound"));
        let (mo, receipt) = (format!("{brings}.mo"), format!("{brings}.receipt"));
        let json = r#"{"to":"{to}","from":"{from}","text":"{text}","udh":"{udh_hex}","receipt":{receipt}}"#;
        self.line(&section, "protocol = \"http\"")
            .line(&section, "password = \"test\"")
            .line(&section, "window = 20")
            .line(&section, "long_messages = \"udh8\"")
            .line(&section, "reconnect_min = \"50ms\"")
            .line(&section, "reconnect_max = \"500ms\"")
            .line(&section, "temporary_retry = [\"100ms\"]")
            .line(&section, "temporary_attempts = 1000")
            .line(&api, &format!("url = \"http://127.0.0.1:{port}/messages\""))
            .line(&api, "auth = \"basic\"")
            .line(&api, "username = \"test\"")
            .line(&api, &format!("json = '{json}'"))
            .line(&api, "id = \"json:/id\"")
            .line(&api, "code = \"json:/status\"")
            .line(&api, "success = [\"accepted\"]")
            .line(&brings, &format!("listen = \"127.0.0.1:{inbound}\""))
            .line(&brings, "mo_path = \"/mo\"")
            .line(&brings, "receipt_path = \"/receipt\"")
            .line(&brings, "auth = \"header\"")
            .line(&brings, "header = \"x-secret\"")
            .line(&brings, "secret = \"s3cret\"")
            .line(&mo, "from = \"json:/from\"")
            .line(&mo, "to = \"json:/to\"")
            .line(&mo, "text = \"json:/text\"")
            .line(&mo, "data = \"json:/data\"")
            .line(&mo, "udh = \"json:/udh\"")
            .line(&receipt, "id = \"json:/id\"")
            .line(&receipt, "state = \"json:/status\"")
    }

    /// A client whose key is its name and `-key`.
    pub(crate) fn client(self, name: &str, callback: &str) -> Self {
        let section = format!("client.{name}");
        self.line(&section, &format!("api_key = \"{name}-key\""))
            .line(&section, &format!("callback = \"{callback}\""))
    }

    /// A route from clients to phones; no prefixes: any destination.
    pub(crate) fn route_mt(mut self, prefixes: &[&str], operators: &[&str]) -> Self {
        let mut route = "[[route.mt]]\n".to_owned();
        if !prefixes.is_empty() {
            writeln!(route, "prefix = {prefixes:?}").unwrap();
        }
        writeln!(route, "operators = {operators:?}").unwrap();
        self.routes.push(route);
        self
    }

    /// A route as it stands in the file.
    pub(crate) fn route(mut self, text: &str) -> Self {
        self.routes.push(text.to_owned());
        self
    }

    /// A route from phones to a client.
    pub(crate) fn route_mo(mut self, to: &[&str], client: &str) -> Self {
        self.routes
            .push(format!("[[route.mo]]\nto = {to:?}\nclient = {client:?}\n"));
        self
    }

    /// Forgets a section.
    pub(crate) fn without(mut self, section: &str) -> Self {
        self.sections.remove(section);
        self
    }

    /// Forgets all routes so far.
    pub(crate) fn without_routes(mut self) -> Self {
        self.routes.clear();
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (section, lines) in &self.sections {
            writeln!(text, "[{section}]\n{}\n", lines.join("\n")).unwrap();
        }
        text + &self.routes.join("\n")
    }

    /// Writes the file into a directory, all at once.
    pub(crate) fn write(&self, dir: &Path) -> PathBuf {
        let (file, fresh) = (dir.join("gateway.toml"), dir.join("gateway.toml.new"));
        std::fs::write(&fresh, self.text()).unwrap();
        // It holds secrets: the gateway warns of a file that others can read.
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
        file
    }
}
