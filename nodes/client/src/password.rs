//! Whether a password is an account's.
//!
//! Plain ones are compared in constant time by their digests. Argon2 hashes are verified on threads of their own, few at a
//! time, and one that fitted is remembered as a digest under a key of this process. Knows no protocol. Invariant: no
//! password and no hash is logged, kept or shown.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordVerifier};
use sha2::{Digest, Sha256};
use smsgw_config::Client;
use smsgw_message::ClientId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tracing::error;

/// Argon2 hashes verified at once: each takes a core and some 20 MiB for some 50 ms.
const AT_ONCE: usize = 2;

type Sum = [u8; 32];

/// Checks passwords.
pub(crate) struct Passwords {
    /// Makes what is remembered of no use outside this process.
    key: Sum,
    /// Of each client: its Argon2 hash, and the password that fits it, both as keyed digests. As many as there are clients.
    verified: Mutex<HashMap<ClientId, (Sum, Sum)>>,
    verifying: Semaphore,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            key: rand::random(),
            verified: Mutex::default(),
            verifying: Semaphore::new(AT_ONCE),
        }
    }
}

impl Passwords {
    /// Whether it fits. An account without a password lets nobody in.
    pub(crate) async fn fits(&self, id: &ClientId, account: &Client, password: &[u8]) -> bool {
        let given = self.digest(password);
        if let Some(known) = &account.password {
            return self.digest(known.expose().as_bytes()).ct_eq(&given).into();
        }
        let Some(hash) = &account.password_argon2 else {
            return false;
        };
        let hashed = self.digest(hash.expose().as_bytes());
        let remembered = self.remembered(id);
        if remembered.is_some_and(|(hash, sum)| bool::from(hash.ct_eq(&hashed) & sum.ct_eq(&given))) {
            return true;
        }
        // Closed never: the semaphore lives as long as this value.
        let Ok(_turn) = self.verifying.acquire().await else {
            return false;
        };
        let (hash, password) = (hash.clone(), password.to_vec());
        let verify = move || {
            let hash = PasswordHash::new(hash.expose());
            hash.is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        };
        let fits = tokio::task::spawn_blocking(verify).await.unwrap_or_else(|error| {
            error!(client = %id, %error, "verifying a password failed");
            false
        });
        if fits {
            self.verified
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(id.clone(), (hashed, given));
        }
        fits
    }

    fn remembered(&self, id: &ClientId) -> Option<(Sum, Sum)> {
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .copied()
    }

    fn digest(&self, octets: &[u8]) -> Sum {
        Sha256::new()
            .chain_update(self.key)
            .chain_update(octets)
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher, SaltString};
    use smsgw_config::Secret;

    fn hash(password: &str) -> Secret {
        let salt = SaltString::from_b64("c29tZXNhbHRzb21lc2FsdA").unwrap();
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        Secret::new(
            argon2
                .hash_password(password.as_bytes(), &salt)
                .unwrap()
                .to_string(),
        )
    }

    #[tokio::test]
    async fn a_hash_is_remembered_for_itself_only_and_no_password_lets_nobody_in() {
        let acme = ClientId::try_new("acme").unwrap();
        let passwords = Passwords::default();
        let mut account = Client {
            password_argon2: Some(hash("first")),
            ..Client::default()
        };
        for _ in 0..2 {
            assert!(passwords.fits(&acme, &account, b"first").await);
            assert!(!passwords.fits(&acme, &account, b"second").await);
        }
        account.password_argon2 = Some(hash("second"));
        assert!(
            !passwords.fits(&acme, &account, b"first").await,
            "the hash has changed"
        );
        assert!(passwords.fits(&acme, &account, b"second").await);
        account = Client::default();
        assert!(!passwords.fits(&acme, &account, b"").await);
        account.password = Some(Secret::new("plain"));
        assert!(passwords.fits(&acme, &account, b"plain").await);
        assert!(!passwords.fits(&acme, &account, b"plai").await);
        assert_eq!(format!("{passwords:?}"), "Passwords");
    }
}
