//! What must agree between keys and sections.
//!
//! Each check reports and goes on. Must not repeat what a section's own ranges say already.
//! Invariant: every name a route holds exists; no two clients answer to the same key or system_id.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::check_calls;
use crate::check_http;
use crate::problem::Code;
use crate::reader::{Reader, nearest};
use crate::schema::Config;
use crate::schema::client::Client;
use crate::schema::operator::{CertificateCheck, InDoubt, InterfaceVersion, Operator, Protocol};
use crate::types::{ClientId, OperatorId, Sha256Digest};
use crate::value::join;

/// Most parts that a UCP window can hold: a TRN has two digits.
const UCP_WINDOW: u32 = 100;

/// Keys of an operator that only SMPP has.
const SMPP_ONLY: [&str; 23] = [
    "system_id",
    "system_type",
    "address_range",
    "address_ton",
    "address_npi",
    "interface_version",
    "service_type",
    "bind",
    "source_ton",
    "source_npi",
    "dest_ton",
    "dest_npi",
    "validity",
    "alphabet",
    "receipts_unflagged",
    "addresses",
    "sender_alphabet",
    "data_coding",
    "message_class",
    "tlvs",
    "pass_options",
    "tlvs_allowed",
    "tlvs_required",
];

/// Keys of an operator that only UCP has.
const UCP_ONLY: [&str; 3] = ["login", "number_format", "notification_address"];

/// Keys that SMPP and HTTP have.
const UCP_LACKS: [&str; 2] = ["receipt_words", "long_messages"];

/// Everything that one section alone cannot know.
pub(crate) fn across(config: &Config, reader: &mut Reader) {
    node(config, reader);
    listeners(config, reader);
    identities(config, reader);
    order(config, reader);
    for (id, operator) in &config.operator {
        one_operator(config, id, operator, reader);
    }
    for (id, client) in &config.client {
        one_client(id, client, reader);
    }
    accounts(config, reader);
    routes(config, reader);
    crate::check_admission::admission(config, reader);
    crate::check_routes::routes(config, reader);
    crate::check_callback::callbacks(config, reader);
    crate::check_admin::admin(config, reader);
    crate::check_history::history(config, reader);
}

fn node(config: &Config, reader: &mut Reader) {
    if reader.has("node.name") && ClientId::try_new(&config.node.name).is_err() {
        let message = format!("node.name: {:?} cannot be a name", config.node.name);
        let help = "a name has letters, digits, '.', '_' or '-'".to_owned();
        reader.at_value(Code::BadValue, "node.name", message, Some(help));
    }
}

fn listeners(config: &Config, reader: &mut Reader) {
    let named = [
        ("admin.listen", config.admin.listen),
        ("http.listen", config.http.listen),
        ("smpp.listen", config.smpp.listen),
    ];
    let named = named.map(|(path, listen)| (path.to_owned(), listen));
    let calls = config.operator.iter().map(|(id, operator)| {
        let path = format!("{}.calls.listen", join("operator", id.as_str()));
        (path, operator.calls.as_ref().and_then(|calls| calls.listen))
    });
    let inbound = config.operator.iter().map(|(id, operator)| {
        let path = format!("{}.http.inbound.listen", join("operator", id.as_str()));
        let inbound = operator.http.as_ref().and_then(|http| http.inbound.as_ref());
        (path, inbound.and_then(|inbound| inbound.listen))
    });
    let mut taken: BTreeMap<SocketAddr, String> = BTreeMap::new();
    for (path, listen) in named.into_iter().chain(calls).chain(inbound) {
        let Some(listen) = listen.filter(|listen| listen.port() != 0) else {
            continue;
        };
        match taken.get(&listen) {
            Some(first) => {
                let message = format!("{path}: {listen} is already {first}");
                reader.at_value(Code::Conflict, &path, message, None);
            }
            None => {
                taken.insert(listen, path);
            }
        }
    }
}

/// A certificate is of no use without its key.
fn identities(config: &Config, reader: &mut Reader) {
    for (section, certificate, key) in [
        ("admin", &config.admin.cert_file, &config.admin.key_file),
        ("http", &config.http.cert_file, &config.http.key_file),
        ("smpp", &config.smpp.cert_file, &config.smpp.key_file),
    ] {
        if certificate.is_some() != key.is_some() {
            let message = format!("{section}: cert_file and key_file go together");
            reader.at_key(Code::MissingKey, section, message, None);
        }
    }
}

/// Pairs of which one must not be larger than the other.
fn order(config: &Config, reader: &mut Reader) {
    let mut not_above = |holds: bool, small: &str, large: &str| {
        if !holds {
            let path = if reader.has(small) { small } else { large };
            let message = format!("{small} is larger than {large}");
            reader.at_value(Code::OutOfRange, path, message, None);
        }
    };
    not_above(
        config.limits.validity <= config.limits.max_validity,
        "limits.validity",
        "limits.max_validity",
    );
    let callback = &config.callback;
    not_above(
        callback.breaker_probe <= callback.breaker_probe_max,
        "callback.breaker_probe",
        "callback.breaker_probe_max",
    );
    not_above(
        callback.max_per_target <= callback.max_in_flight,
        "callback.max_per_target",
        "callback.max_in_flight",
    );
    for (id, operator) in &config.operator {
        let path = join("operator", id.as_str());
        let (min, max) = (join(&path, "reconnect_min"), join(&path, "reconnect_max"));
        not_above(operator.reconnect_min <= operator.reconnect_max, &min, &max);
    }
}

fn one_operator(config: &Config, id: &OperatorId, operator: &Operator, reader: &mut Reader) {
    let at = join("operator", id.as_str());
    let key = |name: &str| join(&at, name);
    let connects = operator.called_links() < operator.binds;
    let needs_hosts = operator.protocol != Protocol::Http && connects;
    if needs_hosts && !reader.has(&key("hosts")) {
        let message = format!("{} is missing", key("hosts"));
        let help = "expected: list of \"host:port\"".to_owned();
        reader.at_key(Code::MissingKey, &at, message, Some(help));
    } else if needs_hosts && operator.hosts.is_empty() {
        let message = format!("{}: no hosts", key("hosts"));
        reader.at_value(
            Code::MissingKey,
            &key("hosts"),
            message,
            Some("write at least one \"host:port\"".to_owned()),
        );
    }
    let (account, foreign) = match operator.protocol {
        Protocol::Smpp => ("system_id", [&UCP_ONLY[..], &["http"]].concat()),
        Protocol::Ucp => ("login", [&SMPP_ONLY[..], &UCP_LACKS, &["http"]].concat()),
        Protocol::Http => (
            "",
            [&SMPP_ONLY[..], &UCP_ONLY, &["calls"], &check_http::FOREIGN].concat(),
        ),
    };
    if reader.has(&key("protocol")) {
        for name in foreign
            .iter()
            .filter(|name| reader.has(&key(name)))
            .copied()
            .collect::<Vec<_>>()
        {
            let message = format!(
                "{} has no effect with protocol \"{}\"",
                key(name),
                operator.protocol
            );
            reader.at_key(Code::NoEffect, &key(name), message, None);
        }
        let credentials = [account, "password"];
        // A UCP carrier that connects to us is not logged in to.
        let logs_in = match operator.protocol {
            Protocol::Smpp => true,
            Protocol::Ucp => connects,
            Protocol::Http => false,
        };
        for name in credentials.into_iter().filter(|_| logs_in) {
            let there = reader.has(&key(name)) || (name == "password" && reader.has(&key("password_file")));
            if !there {
                let message = format!("{at}: {name} is missing");
                let help = format!(
                    "an operator with protocol \"{}\" logs in with {account} and password or password_file",
                    operator.protocol
                );
                reader.at_key(Code::MissingCredentials, &at, message, Some(help));
            }
        }
    }
    only_one(&at, &["password", "password_file"], reader);
    if operator.protocol == Protocol::Http {
        check_http::http(&at, operator, reader);
    }
    required_tlvs(&at, operator, reader);
    check_calls::calls(&at, operator, reader);
    in_doubt(&at, operator, reader);
    links(&at, operator, reader);
    let (most, limit) = match operator.protocol {
        Protocol::Ucp => (
            UCP_WINDOW.min(config.limits.max_window),
            "the most that UCP can number",
        ),
        Protocol::Smpp | Protocol::Http => (config.limits.max_window, "limits.max_window"),
    };
    if operator.window > most {
        let limit = if most == config.limits.max_window {
            "limits.max_window"
        } else {
            limit
        };
        let message = format!("{}: {} is above {most}, {limit}", key("window"), operator.window);
        reader.at_value(Code::OutOfRange, &key("window"), message, None);
    }
    if operator.binds > config.limits.max_binds {
        let most = config.limits.max_binds;
        let message = format!(
            "{}: {} is above {most}, limits.max_binds",
            key("binds"),
            operator.binds
        );
        reader.at_value(Code::OutOfRange, &key("binds"), message, None);
    }
    if let Some(tls) = &operator.tls
        && tls.cert_file.is_some() != tls.key_file.is_some()
    {
        let message = format!("{}: cert_file and key_file go together", key("tls"));
        reader.at_key(Code::MissingKey, &key("tls"), message, None);
    }
    if let Some(tls) = &operator.tls
        && tls.verify == CertificateCheck::Pin
        && tls.pin_sha256.is_empty()
    {
        let message = format!("{}: verify = \"pin\" needs pin_sha256", key("tls"));
        reader.at_key(Code::MissingKey, &key("tls"), message, None);
    }
}

/// `query` asks by the carrier's id, of a carrier that can be asked so.
fn in_doubt(at: &str, operator: &Operator, reader: &mut Reader) {
    let why = match (operator.in_doubt, operator.protocol) {
        (InDoubt::Query, Protocol::Ucp) => {
            "UCP asks by recipient and sender (operation 55), and a message that was delivered is as unknown as one that never came"
        }
        (InDoubt::Query, Protocol::Http) => "nothing describes how to ask an HTTP carrier",
        (InDoubt::Query, Protocol::Smpp) | (InDoubt::Resubmit | InDoubt::Wait(_) | InDoubt::Reject, _) => {
            return;
        }
    };
    let path = join(at, "in_doubt");
    let message = format!(
        "{path}: \"query\" cannot be had with protocol \"{}\": {why}",
        operator.protocol
    );
    let help =
        "choose \"resubmit\" (perhaps twice at the phone), \"reject\" (perhaps never), or \"wait:<time>\"";
    reader.at_value(Code::Conflict, &path, message, Some(help.to_owned()));
}

/// What is said of links is said of links that there are.
fn links(at: &str, operator: &Operator, reader: &mut Reader) {
    for (name, links) in [
        ("links_stopped", &operator.links_stopped),
        ("links_drained", &operator.links_drained),
        ("links_held", &operator.links_held),
    ] {
        for (n, link) in links.iter().enumerate() {
            if *link == 0 || *link > operator.binds {
                let path = format!("{}[{n}]", join(at, name));
                let message = format!("{path}: there are links 1 to {}, by binds", operator.binds);
                reader.at_value(Code::OutOfRange, &path, message, None);
            }
        }
    }
}

/// A TLV that nobody can set must not be required: every message would be refused.
fn required_tlvs(at: &str, operator: &Operator, reader: &mut Reader) {
    let is_33 = operator.interface_version == InterfaceVersion::V3_3;
    for (n, required) in operator.tlvs_required.iter().enumerate() {
        let allowed = operator
            .tlvs_allowed
            .iter()
            .any(|range| range.contains(required.tag()));
        let path = format!("{}[{n}]", join(at, "tlvs_required"));
        if is_33 {
            let message = format!("{path}: a session of SMPP 3.3 sends no optional parameters");
            reader.at_value(Code::Conflict, &path, message, None);
        } else if !allowed && !operator.tlvs.contains_key(required) {
            let message = format!(
                "{path}: {required} is neither in tlvs nor in tlvs_allowed: every message would be refused"
            );
            let help = format!("add {required} to one of them");
            reader.at_value(Code::Conflict, &path, message, Some(help));
        }
    }
}

fn one_client(id: &ClientId, client: &Client, reader: &mut Reader) {
    let at = join("client", id.as_str());
    let key = |name: &str| join(&at, name);
    let passwords = ["password", "password_file", "password_argon2"];
    only_one(&at, &passwords, reader);
    let has_password = passwords.iter().any(|name| reader.has(&key(name)));
    if reader.has(&key("system_id")) {
        if !has_password {
            let message = format!("{at}: system_id has no password");
            let help = "add password, password_file or password_argon2".to_owned();
            reader.at_value(Code::MissingCredentials, &key("system_id"), message, Some(help));
        }
    } else {
        for name in passwords
            .into_iter()
            .filter(|name| reader.has(&key(name)))
            .collect::<Vec<_>>()
        {
            let message = format!("{} has no effect without system_id", key(name));
            reader.at_secret(Code::NoEffect, &key(name), message, None);
        }
        let has_key = reader.has(&key("api_key")) || reader.has(&key("api_key_sha256"));
        if !has_key && !has_password && !reader.has(&key("callback")) {
            let message = format!("{at}: neither api_key nor system_id nor callback");
            let help =
                "nobody could use this client; add api_key_sha256, or system_id and a password".to_owned();
            reader.at_key(Code::MissingCredentials, &at, message, Some(help));
        }
    }
    if client
        .password_argon2
        .as_ref()
        .is_some_and(|hash| !hash.expose().starts_with("$argon2"))
    {
        let message = format!(
            "{}: the value is not an Argon2 hash in PHC form",
            key("password_argon2")
        );
        reader.at_secret(Code::BadValue, &key("password_argon2"), message, None);
    }
    if client.burst.is_some() && client.rate == 0.0 {
        let message = format!("{} has no effect without rate", key("burst"));
        reader.at_key(Code::NoEffect, &key("burst"), message, None);
    }
}

/// Of keys that say the same thing, one may be there.
pub(crate) fn only_one(at: &str, names: &[&str], reader: &mut Reader) {
    let there: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| reader.has(&join(at, name)))
        .collect();
    for name in there.iter().skip(1) {
        let message = format!(
            "{at}: {} and {name} exclude each other",
            there.first().copied().unwrap_or_default()
        );
        reader.at_secret(
            Code::Conflict,
            &join(at, name),
            message,
            Some("keep one of them".to_owned()),
        );
    }
}

/// Two clients must not be the same to a listener.
fn accounts(config: &Config, reader: &mut Reader) {
    let mut system_ids: BTreeMap<&str, &ClientId> = BTreeMap::new();
    let mut keys: BTreeMap<Sha256Digest, &ClientId> = BTreeMap::new();
    for (id, client) in &config.client {
        let at = join("client", id.as_str());
        if let Some(system_id) = client.system_id.as_deref()
            && let Some(first) = system_ids.insert(system_id, id)
        {
            let path = join(&at, "system_id");
            let message = format!("{path}: {system_id:?} is also the system_id of client {first}");
            reader.at_value(Code::DuplicateAccount, &path, message, None);
        }
        let plain = client
            .api_key
            .iter()
            .map(|key| (join(&at, "api_key"), Sha256Digest::of(key.expose())));
        let path = join(&at, "api_key_sha256");
        let digests = client
            .api_key_sha256
            .iter()
            .enumerate()
            .map(|(n, digest)| (format!("{path}[{n}]"), *digest));
        // A key with scopes must stand in one place: which of two scopes or ends would be meant cannot be known.
        let scoped = client
            .keys
            .iter()
            .enumerate()
            .map(|(n, key)| (join(&format!("{}[{n}]", join(&at, "keys")), "sha256"), key.sha256));
        let all = plain.chain(digests).map(|(path, digest)| (path, digest, false));
        for (path, digest, is_scoped) in all.chain(scoped.map(|(path, digest)| (path, digest, true))) {
            if let Some(first) = keys.insert(digest, id).filter(|first| is_scoped || *first != id) {
                let message = format!("{path}: also a key of client {first}");
                reader.at_secret(Code::DuplicateAccount, &path, message, None);
            }
        }
    }
}

fn routes(config: &Config, reader: &mut Reader) {
    for (n, route) in config.route.mt.iter().enumerate() {
        let at = format!("route.mt[{n}]");
        for (m, operator) in route.operators.iter().enumerate() {
            let path = format!("{at}.operators[{m}]");
            known_operator(config, operator, &path, reader);
            if route.operators.iter().take(m).any(|earlier| earlier == operator) {
                reader.at_value(
                    Code::Conflict,
                    &path,
                    format!("{path}: {operator} is named twice"),
                    None,
                );
            }
        }
        for (m, client) in route.client.iter().enumerate() {
            known_client(config, client, &format!("{at}.client[{m}]"), reader);
        }
    }
    crate::check_mo::routes(config, reader);
    crate::check_mo::keywords(config, reader);
}

pub(crate) fn known_operator(config: &Config, id: &OperatorId, path: &str, reader: &mut Reader) {
    // A section that could not be read is there all the same.
    if !config.operator.contains_key(id) && !reader.has(&join("operator", id.as_str())) {
        let names: Vec<&str> = config.operator.keys().map(OperatorId::as_str).collect();
        unknown("operator", id.as_str(), &names, path, reader);
    }
}

pub(crate) fn known_client(config: &Config, id: &ClientId, path: &str, reader: &mut Reader) {
    if !config.client.contains_key(id) && !reader.has(&join("client", id.as_str())) {
        let names: Vec<&str> = config.client.keys().map(ClientId::as_str).collect();
        unknown("client", id.as_str(), &names, path, reader);
    }
}

pub(crate) fn unknown(what: &str, name: &str, names: &[&str], path: &str, reader: &mut Reader) {
    let help = match nearest(name, names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there is no [{}]", join(what, name)),
    };
    let message = format!("{path}: no {what} {name:?}");
    reader.at_value(Code::UnknownName, path, message, Some(help));
}
