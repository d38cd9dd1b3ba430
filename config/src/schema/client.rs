//! `[client.<id>]`: a client account.
//!
//! Must not know how a client is authenticated; the client node reads these values.
//! Invariant: no two clients share an API key or a system_id (checked across sections).

use std::path::PathBuf;

use crate::section::{at_most_chars, between, if_set};
use crate::types::{CallbackUrl, Class, Report, Secret, SecretSource, Sha256Digest};

section! {
    /// `[client.<id>]`: a client account.
    Client {
        /// Key of the HTTP API; better `api_key_sha256`. Since 0.1.
        api_key: Option<Secret> = None, Live;
        /// SHA-256 (64 hex digits) of each key of the HTTP API; several while keys are changed. Since 0.1.
        api_key_sha256: Vec<Sha256Digest> = Vec::new(), Live;
        /// SMPP account; also the sign that the client may bind. Since 0.1.
        system_id: Option<String> = None, Live where if_set(at_most_chars(15));
        /// Password of the SMPP account; or `password_file` or `password_argon2`. Since 0.1.
        password: Option<Secret> = None, Live;
        /// File with the password (its first line); a relative path counts from the file. Since 0.1.
        password_file: Option<PathBuf> = None, Live;
        /// Argon2 hash of the password in PHC form (`$argon2id$…`). Since 0.1.
        password_argon2: Option<Secret> = None, Live;
        /// Default target (http or https) of reports and MO; absent: SMPP binds or inbox. Since 0.1.
        callback: Option<CallbackUrl> = None, Live;
        /// Sender of messages that have none. Since 0.1.
        default_from: Option<String> = None, Live where if_set(at_most_chars(20));
        /// Class of messages that name none. Since 0.1.
        class: Class = Class::Transactional, Live;
        /// Reports for messages that do not say; absent: `final` over HTTP, as registered_delivery asks over SMPP. Since 0.1.
        report: Option<Report> = None, Live;
        /// Parts of one message at most; absent: `limits.max_parts`. Since 0.1.
        max_parts: Option<u8> = None, Live where if_set(between(1, 255));
        /// Messages per second that are admitted, above it `429 rate_limited`; 0 = unlimited. Since 0.1.
        rate: f64 = 0.0, Live where between(0.0, 1_000_000.0);
        /// Messages that are admitted at once after a pause; absent: one second's worth. Since 0.1.
        burst: Option<u32> = None, Live where if_set(between(1, 1_000_000));
        /// SMPP binds at once; 0 = unlimited. Since 0.1.
        max_binds: u32 = 0, Live where between(0, 100_000);
        /// Unanswered requests per bind; absent: `smpp.window`. Since 0.1.
        window: Option<u32> = None, Live where if_set(between(1, 10_000));
    }
}

impl Client {
    /// Where the password comes from; `None` when the account has none or only a hash.
    pub fn password_source(&self) -> Option<SecretSource> {
        SecretSource::of(self.password.as_ref(), self.password_file.as_ref())
    }
}
