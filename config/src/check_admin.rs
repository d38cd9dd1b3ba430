//! What must agree in `[admin]`.
//!
//! Invariant: a listener that other machines reach has a token, or knows administrators by their certificates.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::schema::node::ClientCert;
use crate::secrets::is_token;

/// The token is one, and is there where it is needed; certificates of administrators are asked for only inside TLS.
pub(crate) fn admin(config: &Config, reader: &mut Reader) {
    let admin = &config.admin;
    only_one("admin", &["token", "token_file"], reader);
    if admin.token.as_ref().is_some_and(|token| !is_token(token)) {
        let message = "admin.token: 16 to 256 letters, digits and signs, without spaces".to_owned();
        reader.at_secret(Code::BadValue, "admin.token", message, None);
    }
    let has_token = admin.token.is_some() || admin.token_file.is_some();
    if admin.is_open() && !has_token && admin.client_ca_file.is_none() {
        let message =
            "admin.listen: other machines reach it, so it needs a token or client_ca_file".to_owned();
        let help = "add token, token_file or client_ca_file, or listen on 127.0.0.1".to_owned();
        reader.at_value(Code::MissingCredentials, "admin.listen", message, Some(help));
    }
    if admin.client_ca_file.is_some() && admin.cert_file.is_none() && admin.key_file.is_none() {
        let message = "admin.client_ca_file: certificates are shown inside TLS only".to_owned();
        let help = "add cert_file and key_file".to_owned();
        reader.at_value(Code::MissingKey, "admin.client_ca_file", message, Some(help));
    }
    if admin.client_ca_file.is_none() && admin.client_cert == ClientCert::Optional {
        let message = "admin.client_cert: has no effect without client_ca_file".to_owned();
        reader.at_value(Code::NoEffect, "admin.client_cert", message, None);
    }
}
