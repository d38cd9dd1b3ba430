//! What must agree in `[operator.<id>.calls]`.
//!
//! Must not repeat what ranges say. Invariant: what is said of connections has an effect on some.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::operator::{Operator, Protocol};
use crate::value::join;

/// system_id of an outbind at most (SMPP 3.4 section 4.1.7.1).
const SYSTEM_ID: usize = 15;

/// Checks the section at `at`, which is `operator.<id>`.
pub(crate) fn calls(at: &str, operator: &Operator, reader: &mut Reader) {
    let Some(calls) = &operator.calls else { return };
    let section = join(at, "calls");
    only_one(&section, &["password", "password_file"], reader);
    let key = |name: &str| join(&section, name);
    if let Some(links) = calls.links.filter(|links| *links > operator.binds) {
        let path = key("links");
        let message = format!("{path}: {links} is above {}, by binds", operator.binds);
        reader.at_value(Code::OutOfRange, &path, message, None);
    }
    let is_smpp = operator.protocol == Protocol::Smpp;
    if is_smpp && reader.has(&key("submit")) {
        let path = key("submit");
        let message = format!("{path} has no effect with protocol \"smpp\"");
        let help = "bind says which way parts go".to_owned();
        reader.at_key(Code::NoEffect, &path, message, Some(help));
    }
    if is_smpp && calls.login.as_ref().is_some_and(|login| login.len() > SYSTEM_ID) {
        let path = key("login");
        let message = format!("{path}: a system_id has at most {SYSTEM_ID} characters");
        reader.at_value(Code::OutOfRange, &path, message, None);
    }
    if calls.cert_file.is_some() != calls.key_file.is_some() {
        let message = format!("{section}: cert_file and key_file go together");
        reader.at_key(Code::MissingKey, &section, message, None);
    } else if calls.cert_file.is_none() {
        let peers = [
            ("ca_file", calls.ca_file.is_some()),
            ("pin_sha256", !calls.pin_sha256.is_empty()),
        ];
        for (name, _) in peers.into_iter().filter(|(_, there)| *there) {
            let path = key(name);
            let message = format!("{path} has no effect without cert_file and key_file");
            reader.at_key(Code::NoEffect, &path, message, None);
        }
    }
    if operator.tls.is_some() && operator.called_links() >= operator.binds {
        let path = join(at, "tls");
        let message = format!("{path} has no effect: every link waits for the carrier");
        let help = format!("the certificate of {section} is its cert_file and key_file");
        reader.at_key(Code::NoEffect, &path, message, Some(help));
    }
}
