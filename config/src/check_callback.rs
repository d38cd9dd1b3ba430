//! What must agree inside `[client.<id>.callback_policy]`.
//!
//! Each check reports and goes on. Must not repeat what a key's own range says already.
//! Invariant: what has no effect with the rest is said, not ignored.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::client_callback::{CallbackFormat, CallbackPolicy, signing_key};
use crate::schema::operator::CertificateCheck;
use crate::value::join;

/// Keys of format `json` alone.
const BATCH: [&str; 2] = ["batch_octets", "batch_linger"];

/// Every client's policy.
pub(crate) fn callbacks(config: &Config, reader: &mut Reader) {
    for (id, client) in &config.client {
        let at = join(&join("client", id.as_str()), "callback_policy");
        if reader.has(&at) {
            one(&at, &client.callback_policy, reader);
        }
    }
}

fn one(at: &str, policy: &CallbackPolicy, reader: &mut Reader) {
    let key = |name: &str| join(at, name);
    for pair in [
        ["password", "password_file"],
        ["bearer", "bearer_file"],
        ["signing_key", "signing_key_file"],
        ["next_signing_key", "next_signing_key_file"],
        ["username", "bearer"],
        ["username", "bearer_file"],
    ] {
        only_one(at, &pair, reader);
    }
    let has_password = reader.has(&key("password")) || reader.has(&key("password_file"));
    if reader.has(&key("username")) != has_password {
        let message = format!("{at}: username and password (or password_file) go together");
        reader.at_key(Code::MissingKey, at, message, None);
    }
    if policy
        .username
        .as_deref()
        .is_some_and(|name| name.contains([':', '\r', '\n']))
    {
        let message = format!(
            "{}: a user of HTTP Basic has no ':' and no line end",
            key("username")
        );
        reader.at_value(Code::BadValue, &key("username"), message, None);
    }
    let second = reader.has(&key("next_signing_key")) || reader.has(&key("next_signing_key_file"));
    if second && !reader.has(&key("signing_key")) && !reader.has(&key("signing_key_file")) {
        let message = format!("{at}: there is a next_signing_key and no signing_key");
        reader.at_key(Code::MissingKey, at, message, None);
    }
    for (name, secret) in [
        ("signing_key", &policy.signing_key),
        ("next_signing_key", &policy.next_signing_key),
    ] {
        if secret
            .as_ref()
            .is_some_and(|secret| signing_key(secret).is_none())
        {
            let message = format!(
                "{}: the value is not \"whsec_\" and 24 to 64 octets in Base64",
                key(name)
            );
            reader.at_secret(Code::BadValue, &key(name), message, None);
        }
    }
    if policy
        .bearer
        .as_ref()
        .is_some_and(|token| !token.expose().bytes().all(|octet| octet.is_ascii_graphic()))
    {
        let message = format!("{}: a token has printable ASCII characters only", key("bearer"));
        reader.at_secret(Code::BadValue, &key("bearer"), message, None);
    }
    for (name, value) in &policy.headers {
        if !value
            .expose()
            .bytes()
            .all(|octet| matches!(octet, b' '..=b'~' | b'\t'))
        {
            let path = join(&key("headers"), name.as_str());
            let message = format!("{path}: the value of a header has printable ASCII characters only");
            reader.at_secret(Code::BadValue, &path, message, None);
        }
    }
    match policy.format {
        CallbackFormat::Json => without_effect(reader, &key("parameters"), "with format \"json\""),
        CallbackFormat::Form | CallbackFormat::Get => {
            for name in BATCH.into_iter().chain(["batch"]) {
                without_effect(reader, &key(name), "without format \"json\"");
            }
        }
    }
    if policy.batch == 1 && policy.format == CallbackFormat::Json {
        for name in BATCH {
            without_effect(reader, &key(name), "without batch");
        }
    }
    if !policy.replies {
        for name in ["replies_max", "replies_period"] {
            without_effect(reader, &key(name), "without replies = true");
        }
    } else if policy.batch > 1 {
        let message = format!(
            "{}: an answer to several events cannot reply to one of them",
            key("replies")
        );
        let help = "keep one of replies and batch".to_owned();
        reader.at_value(Code::Conflict, &key("replies"), message, Some(help));
    }
    let Some(tls) = &policy.tls else { return };
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        let message = format!("{}: cert_file and key_file go together", key("tls"));
        reader.at_key(Code::MissingKey, &key("tls"), message, None);
    }
    if tls.verify == CertificateCheck::Pin && tls.pin_sha256.is_empty() {
        let message = format!("{}: verify = \"pin\" needs pin_sha256", key("tls"));
        reader.at_key(Code::MissingKey, &key("tls"), message, None);
    }
}

fn without_effect(reader: &mut Reader, path: &str, why: &str) {
    if reader.has(path) {
        let message = format!("{path} has no effect {why}");
        reader.at_key(Code::NoEffect, path, message, None);
    }
}
