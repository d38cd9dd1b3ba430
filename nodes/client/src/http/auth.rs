//! Who is asking: API keys by their SHA-256.
//!
//! Keys themselves are not kept, only digests; a key is looked up by digest, and the digest found is compared in
//! constant time, so that neither the table nor the timing tells anything about a key.

use sha2::{Digest, Sha256};
use smsgw_config::Config;
use smsgw_message::ClientId;
use std::collections::HashMap;
use subtle::ConstantTimeEq;

/// Digests of all keys of a configuration. `Debug` shows how many.
pub(crate) struct Keys(HashMap<[u8; 32], ClientId>);

impl Keys {
    pub(crate) fn of(config: &Config) -> Self {
        let mut keys = HashMap::new();
        for (id, client) in &config.client {
            if let Some(key) = &client.api_key {
                keys.insert(digest(key.expose().as_bytes()), id.clone());
            }
            for known in &client.api_key_sha256 {
                keys.insert(*known.as_bytes(), id.clone());
            }
        }
        Self(keys)
    }

    /// The client of an `Authorization` header: `Bearer <key>` (RFC 6750 section 2.1), the scheme in any case.
    pub(crate) fn client(&self, authorization: Option<&[u8]>) -> Option<ClientId> {
        let (scheme, key) = authorization?.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        let key = key.trim_ascii();
        if key.is_empty() {
            return None;
        }
        let asked = digest(key);
        let (known, client) = self.0.get_key_value(&asked)?;
        bool::from(known.ct_eq(&asked)).then(|| client.clone())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_key_behind_the_bearer_scheme_names_a_client() {
        let acme = ClientId::try_new("acme").unwrap();
        // The digest of nothing may stand in a file; it must not open the door to everybody.
        let nothing = (digest(b""), acme.clone());
        let keys = Keys(HashMap::from([(digest(b"acme-key"), acme.clone()), nothing]));
        assert_eq!(keys.client(Some(b"Bearer acme-key")), Some(acme.clone()));
        assert_eq!(keys.client(Some(b"bearer  acme-key ")), Some(acme));
        for wrong in [
            &b"Bearer acme-ke"[..],
            b"Bearer ",
            b"Bearer    ",
            b"Bearer\tacme-key",
            b"Bearer acme-key acme-key",
            b"acme-key",
            b"Basic acme-key",
            b"",
        ] {
            assert_eq!(keys.client(Some(wrong)), None, "{wrong:?}");
        }
        assert_eq!(keys.client(None), None);
    }
}
