//! What must agree in `[admin]`.
//!
//! Invariant: a listener that other machines reach has a token.

use crate::check::only_one;
use crate::problem::Code;
use crate::reader::Reader;
use crate::schema::Config;
use crate::secrets::is_token;

/// The token is one, and is there where it is needed.
pub(crate) fn admin(config: &Config, reader: &mut Reader) {
    let admin = &config.admin;
    only_one("admin", &["token", "token_file"], reader);
    if admin.token.as_ref().is_some_and(|token| !is_token(token)) {
        let message = "admin.token: 16 to 256 letters, digits and signs, without spaces".to_owned();
        reader.at_secret(Code::BadValue, "admin.token", message, None);
    }
    let is_open = admin.listen.is_some_and(|listen| !listen.ip().is_loopback());
    if is_open && admin.token.is_none() && admin.token_file.is_none() {
        let message = "admin.listen: other machines reach it, so it needs a token".to_owned();
        let help = "add token or token_file, or listen on 127.0.0.1".to_owned();
        reader.at_value(Code::MissingCredentials, "admin.listen", message, Some(help));
    }
}
