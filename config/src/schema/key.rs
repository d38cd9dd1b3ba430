//! `[[client.<id>.keys]]`: an API key with what it may do, from where and until when.
//!
//! Must not know how a key is compared; the client node reads these values.
//! Invariant: no two keys of a file are the same (checked across sections).

use crate::section::{at_most_chars, not_empty};
use crate::types::Sha256Digest;
use ipnet::IpNet;
use smsgw_message::Timestamp;

words! {
    /// What an API key may be used for.
    Scope {
        /// Send, preview and cancel messages and batches.
        Send = "send",
        /// Read messages, batches, limits and balance.
        Read = "read",
        /// Read and acknowledge the inbox.
        Inbox = "inbox",
    }
}

section! {
    /// `[[client.<id>.keys]]`: an API key.
    ApiKey {
        /// SHA-256 of the key (64 hex digits), as `printf %s "$KEY" | sha256sum` prints it. Since 0.1.
        sha256: Sha256Digest = Sha256Digest::of(""), Live [required];
        /// A name for people: it stands in the log where the key itself must not. Since 0.1.
        name: String = String::new(), Live where at_most_chars(63);
        /// What the key may be used for; anything else is `403 forbidden`. Since 0.1.
        scopes: Vec<Scope> = Scope::ALL.to_vec(), Live where not_empty();
        /// From this instant on the key is unknown (RFC 3339, `2027-01-31T00:00:00Z`); absent: never. To change keys, add the new
        /// one and let the old one expire. Since 0.1.
        expires: Option<Timestamp> = None, Live;
        /// Networks the key may be used from (`192.0.2.0/24`, `2001:db8::/32`), beside those of the client; empty: any. Since 0.1.
        allow: Vec<IpNet> = Vec::new(), Live;
    }
}
