//! What must agree in `[operator.<id>.http]`.
//!
//! Must not repeat what ranges say. Invariant: a carrier that is let through can be sent every field that its messages need, and
//! nobody but the carrier can bring it receipts unless the file says so.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::content::LongMessages;
use crate::schema::http_carrier::{
    CarrierField, CarrierPiece, HttpAuth, HttpCarrier, HttpInbound, HttpMethod, InboundAuth,
};
use crate::schema::operator::Operator;
use crate::types::CallbackUrl;
use crate::value::join;

/// Keys of an operator that mean nothing to an HTTP carrier, besides those that only SMPP or UCP has.
pub(crate) const FOREIGN: [&str; 3] = ["hosts", "enquire_link", "more_messages"];

/// Checks the section at `at`, which is `operator.<id>`.
pub(crate) fn http(at: &str, operator: &Operator, reader: &mut Reader) {
    let section = join(at, "http");
    let Some(http) = &operator.http else {
        if !reader.has(&section) {
            let message = format!("{at}: http is missing");
            let help = format!("protocol \"http\" is described in [{section}]");
            reader.at_key(Code::MissingKey, at, message, Some(help));
        }
        return;
    };
    let mut wrong = |code: Code, key: &str, message: &str, help: &str| {
        let path = join(&section, key);
        let help = (!help.is_empty()).then(|| help.to_owned());
        reader.at_secret(code, &path, format!("{path}: {message}"), help);
    };
    request(http, &mut wrong);
    let has_password = operator.password.is_some() || operator.password_file.is_some();
    auth(http, has_password, &mut wrong);
    let long = match operator.long_messages {
        LongMessages::Payload => true,
        LongMessages::Udh8 | LongMessages::Udh16 => http.tells(CarrierField::UdhHex),
        LongMessages::Sar => http.tells(CarrierField::Reference) && http.tells(CarrierField::Part),
    };
    if !long {
        wrong(
            Code::Conflict,
            "url",
            "nothing tells the parts of a long message: phones would show them one by one",
            "use {udh_hex}, or long_messages = \"payload\" where the carrier cuts, or \"sar\" with {reference} and {part}",
        );
    }
    if !http.tells(CarrierField::To) && !http.tells(CarrierField::ToPlus) {
        wrong(Code::MissingKey, "url", "no template has {to} or {to_plus}", "");
    }
    if http.code.is_none() && !http.codes.is_empty() {
        wrong(Code::NoEffect, "codes", "has no effect without code", "");
    }
    if let Some(inbound) = &http.inbound {
        only_one(&join(&section, "inbound"), &["secret", "secret_file"], reader);
        self::inbound(&join(&section, "inbound"), http, inbound, reader);
    }
}

type Wrong<'a> = dyn FnMut(Code, &str, &str, &str) + 'a;

fn request(http: &HttpCarrier, wrong: &mut Wrong<'_>) {
    let url = http.url.fill(|_| "1".to_owned());
    let starts_with_host = match http.url.pieces().first() {
        Some(CarrierPiece::Text(text)) => {
            let host = text.split_once("://").map(|(_, rest)| rest);
            // The host must not depend on a message.
            host.is_some_and(|host| host.contains(['/', '?']) || http.url.pieces().len() == 1)
        }
        Some(CarrierPiece::Field(_)) | None => false,
    };
    if CallbackUrl::from_text(&url).is_none() || !starts_with_host {
        wrong(Code::BadValue, "url", "is no http or https URL with its host", "");
    }
    let bodies = [!http.form.is_empty(), http.json.is_some(), http.xml.is_some()];
    if bodies.iter().filter(|there| **there).count() > 1 {
        wrong(
            Code::Conflict,
            "form",
            "form, json and xml exclude each other",
            "keep one of them",
        );
    }
    if http.method == HttpMethod::Get && bodies.contains(&true) {
        wrong(
            Code::Conflict,
            "method",
            "GET has no body",
            "use POST, or put all into url",
        );
    }
    if let Some(json) = &http.json
        && serde_json::from_str::<serde_json::Value>(&json.fill(|_| "1".to_owned())).is_err()
    {
        wrong(
            Code::BadValue,
            "json",
            "is no JSON once its fields are filled in",
            "",
        );
    }
    if http
        .templates()
        .flat_map(|template| template.pieces())
        .any(|piece| matches!(piece, CarrierPiece::Field(field) if field.is_of_signature()))
    {
        wrong(
            Code::BadValue,
            "url",
            "timestamp, method, path and body are fields of sign only",
            "",
        );
    }
    let receipt_url = http
        .inbound
        .as_ref()
        .is_some_and(|inbound| inbound.public_url.is_some() && inbound.receipt_path.is_some());
    if http.tells(CarrierField::ReceiptUrl) && !receipt_url {
        wrong(
            Code::MissingKey,
            "inbound",
            "{receipt_url} needs inbound.public_url and inbound.receipt_path",
            "",
        );
    }
}

fn auth(http: &HttpCarrier, has_password: bool, wrong: &mut Wrong<'_>) {
    let (password, username, header) = match http.auth {
        HttpAuth::None => (false, false, false),
        HttpAuth::Basic => (true, true, false),
        HttpAuth::Bearer => (true, false, false),
        HttpAuth::Header | HttpAuth::Hmac => (true, false, true),
    };
    if password && !has_password {
        wrong(
            Code::MissingCredentials,
            "auth",
            "the operator has no password",
            "add password or password_file to the operator",
        );
    }
    if !password && has_password {
        wrong(
            Code::NoEffect,
            "auth",
            "the operator has a password, and auth = \"none\" does not tell it",
            "set auth, or take the password away",
        );
    }
    if username != http.username.is_some() {
        wrong(
            Code::MissingCredentials,
            "username",
            "goes with auth = \"basic\"",
            "",
        );
    }
    if header != http.auth_header.is_some() {
        wrong(
            Code::MissingCredentials,
            "auth_header",
            "goes with auth = \"header\" and \"hmac\"",
            "",
        );
    }
    let fields = |template: &[CarrierPiece]| {
        template
            .iter()
            .all(|piece| !matches!(piece, CarrierPiece::Field(field) if !field.is_of_signature()))
    };
    if !fields(http.sign.pieces()) {
        wrong(
            Code::BadValue,
            "sign",
            "has fields body, timestamp, method and path",
            "",
        );
    }
}

fn inbound(at: &str, http: &HttpCarrier, inbound: &HttpInbound, reader: &mut Reader) {
    let mut wrong = |code: Code, key: &str, message: &str| {
        let path = join(at, key);
        reader.at_secret(code, &path, format!("{path}: {message}"), None);
    };
    let has_secret = inbound.secret.is_some() || inbound.secret_file.is_some();
    match inbound.auth {
        InboundAuth::None => {
            if inbound.allow.is_empty() {
                wrong(
                    Code::MissingCredentials,
                    "auth",
                    "anybody could bring receipts: set auth, or allow",
                );
            }
            if has_secret {
                wrong(Code::NoEffect, "secret", "has no effect with auth = \"none\"");
            }
        }
        InboundAuth::Path | InboundAuth::Header | InboundAuth::Hmac => {
            if !has_secret {
                wrong(
                    Code::MissingCredentials,
                    "auth",
                    "secret or secret_file is missing",
                );
            }
        }
    }
    let needs_header = matches!(inbound.auth, InboundAuth::Header | InboundAuth::Hmac);
    if needs_header != inbound.header.is_some() {
        wrong(
            Code::MissingCredentials,
            "header",
            "goes with auth = \"header\" and \"hmac\"",
        );
    }
    for (key, path) in [
        ("mo_path", &inbound.mo_path),
        ("receipt_path", &inbound.receipt_path),
    ] {
        if path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/') || path.contains(['?', '#', ' ']))
        {
            wrong(Code::BadValue, key, "a path begins with / and has no query");
        }
    }
    if inbound.mo_path == inbound.receipt_path {
        wrong(
            Code::Conflict,
            "mo_path",
            "mo_path and receipt_path must differ, and one of them be there",
        );
    }
    if inbound.mo_path.is_some()
        && (inbound.mo.from.is_none()
            || inbound.mo.to.is_none()
            || (inbound.mo.text.is_none() && inbound.mo.data.is_none()))
    {
        wrong(Code::MissingKey, "mo", "needs from, to, and text or data");
    }
    if inbound.receipt_path.is_some()
        && (inbound.receipt.id.is_none() || inbound.receipt.state.is_none() || http.id.is_none())
    {
        wrong(
            Code::MissingKey,
            "receipt",
            "needs id and state, and http.id to know the message by",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::Config;

    const GOOD: &str = "url = \"https://h/?to={to}&t={text}\"\n";

    /// Codes of what is wrong with an operator.
    fn wrong(operator: &str, http: &str) -> Vec<String> {
        let text = format!(
            "[node]\nname = \"t\"\n[operator.x]\nprotocol = \"http\"\n{operator}\n[operator.x.http]\n{http}\n"
        );
        match Config::parse("t", &text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn each_rule_is_told() {
        let whole = "long_messages = \"payload\"";
        let secret = "long_messages = \"payload\"\npassword = \"p\"";
        let inbound = |rest: &str| {
            format!("{GOOD}id = \"json:/id\"\n[operator.x.http.inbound]\nlisten = \"127.0.0.1:1\"\n{rest}")
        };
        let receipts = "receipt_path = \"/r\"\nreceipt = { id = \"param:i\", state = \"param:s\" }";
        assert_eq!(wrong(whole, GOOD), Vec::<String>::new());
        assert_eq!(
            wrong(whole, &inbound(&format!("allow = [\"10.0.0.0/8\"]\n{receipts}"))),
            Vec::<String>::new()
        );
        for (operator, http, said) in [
            ("", GOOD.to_owned(), "one by one"),
            (whole, "url = \"https://h/\"".to_owned(), "no template has {to}"),
            (
                whole,
                "url = \"https://{to}/\"".to_owned(),
                "is no http or https URL",
            ),
            (
                whole,
                "url = \"https://h{to}/\"".to_owned(),
                "is no http or https URL",
            ),
            (whole, "url = \"https://h/{txt}\"".to_owned(), "is not valid"),
            (whole, format!("{GOOD}json = '{{\"a\":{{to}}'"), "is no JSON"),
            (
                whole,
                format!("{GOOD}json = '{{}}'\nxml = '<a/>'"),
                "exclude each other",
            ),
            (
                whole,
                format!("{GOOD}method = \"GET\"\nxml = '<a/>'"),
                "GET has no body",
            ),
            (whole, format!("{GOOD}auth = \"bearer\""), "has no password"),
            (secret, GOOD.to_owned(), "does not tell it"),
            (secret, format!("{GOOD}auth = \"hmac\""), "auth_header"),
            (
                secret,
                format!("{GOOD}auth = \"bearer\"\nsign = \"{{to}}\""),
                "has fields body",
            ),
            (
                whole,
                format!("{GOOD}codes = {{ a = 1 }}"),
                "no effect without code",
            ),
            (whole, format!("{GOOD}id = \"json:a\""), "is not valid"),
            (
                whole,
                format!("{GOOD}xml = '{{receipt_url}}'"),
                "needs inbound.public_url",
            ),
            (whole, format!("{GOOD}xml = '{{body}}'"), "fields of sign only"),
            (
                "hosts = [\"h:1\"]\nlong_messages = \"payload\"",
                GOOD.to_owned(),
                "hosts has no effect",
            ),
            (whole, inbound(receipts), "anybody could bring receipts"),
            (
                whole,
                inbound(&format!("auth = \"path\"\n{receipts}")),
                "secret or secret_file is missing",
            ),
            (
                whole,
                inbound("auth = \"header\"\nsecret = \"s\"\nmo_path = \"/m\""),
                "goes with auth",
            ),
            (
                whole,
                inbound("auth = \"path\"\nsecret = \"s\"\nmo_path = \"/m\""),
                "needs from, to",
            ),
            (whole, inbound("auth = \"path\"\nsecret = \"s\""), "must differ"),
            (
                whole,
                inbound("auth = \"path\"\nsecret = \"s\"\nmo_path = \"m\""),
                "begins with /",
            ),
        ] {
            let found = wrong(operator, &http);
            assert!(
                found.iter().any(|problem| problem.contains(said)),
                "{said}: {http}\n{found:#?}"
            );
        }
    }
}
