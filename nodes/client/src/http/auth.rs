//! Who is asking: API keys by their SHA-256, or name and password.
//!
//! `Authorization: Bearer <key>` (RFC 6750 section 2.1) or `Basic` (RFC 7617) with the account's system_id or name and its
//! password. Keys themselves are not kept, only digests; a key is looked up by digest, and the digest found is compared
//! in constant time, so that neither the table nor the timing tells anything about a key. A key that is known and may not
//! be used from where it came is told so only to who has it.

use crate::http::call::Scopes;
use crate::password::Passwords;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use smsgw_config::Config;
use smsgw_message::{ClientId, Timestamp};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Longest `Authorization` that is looked at, in octets.
const MAX_HEADER: usize = 4096;

/// What an account's credentials let their holder do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) client: ClientId,
    pub(crate) scopes: Scopes,
}

/// Why nothing is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody said who they are.
    Missing,
    /// A scheme that is not ours, a key or password that is not known, or no longer.
    Wrong,
    /// The account may not be used from this address, or not by this key.
    Network(ClientId),
}

/// Digests of all keys of a configuration, which alone says what stands in the tables: who asks puts nothing in. `Debug`
/// shows how many.
pub(crate) struct Keys {
    keys: FxHashMap<[u8; 32], Key>,
    /// Accounts by system_id and by name; a system_id goes before a name.
    names: FxHashMap<String, ClientId>,
}

struct Key {
    client: ClientId,
    scopes: Scopes,
    expires: Option<Timestamp>,
    allow: Vec<IpNet>,
}

impl Keys {
    pub(crate) fn of(config: &Config) -> Self {
        let mut keys = FxHashMap::default();
        let mut names = FxHashMap::default();
        for (id, client) in &config.client {
            let whole = |digest: [u8; 32]| {
                let key = Key {
                    client: id.clone(),
                    scopes: Scopes::ALL,
                    expires: None,
                    allow: Vec::new(),
                };
                (digest, key)
            };
            keys.extend(
                client
                    .api_key
                    .iter()
                    .map(|key| whole(digest(key.expose().as_bytes()))),
            );
            keys.extend(client.api_key_sha256.iter().map(|key| whole(*key.as_bytes())));
            keys.extend(client.keys.iter().map(|key| {
                let scoped = Key {
                    client: id.clone(),
                    scopes: Scopes::of(&key.scopes),
                    expires: key.expires,
                    allow: key.allow.clone(),
                };
                (*key.sha256.as_bytes(), scoped)
            }));
            names.insert(id.as_str().to_owned(), id.clone());
        }
        for (id, client) in &config.client {
            names.extend(
                client
                    .system_id
                    .iter()
                    .map(|system_id| (system_id.clone(), id.clone())),
            );
        }
        Self { keys, names }
    }

    /// What an `Authorization` header grants now, to who comes from there. Takes as long as a password takes to verify.
    pub(crate) async fn grant(
        &self,
        config: &Config,
        passwords: &Passwords,
        authorization: Option<&[u8]>,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Grant, Denied> {
        let authorization = authorization.ok_or(Denied::Missing)?;
        let (scheme, credentials) = split(authorization).ok_or(Denied::Wrong)?;
        let from = from.to_canonical();
        let within =
            |allow: &[IpNet]| allow.is_empty() || allow.iter().any(|network| network.contains(&from));
        let (grant, allowed) = if scheme.eq_ignore_ascii_case(b"bearer") {
            let key = self.key(credentials, now).ok_or(Denied::Wrong)?;
            let grant = Grant {
                client: key.client.clone(),
                scopes: key.scopes,
            };
            (grant, within(&key.allow))
        } else if scheme.eq_ignore_ascii_case(b"basic") {
            (self.password(config, passwords, credentials).await?, true)
        } else {
            return Err(Denied::Wrong);
        };
        let account = config.client.get(&grant.client).ok_or(Denied::Wrong)?;
        if allowed && within(&account.allow) {
            Ok(grant)
        } else {
            Err(Denied::Network(grant.client))
        }
    }

    fn key(&self, given: &[u8], now: Timestamp) -> Option<&Key> {
        if given.is_empty() {
            return None;
        }
        let asked = digest(given);
        let (known, key) = self.keys.get_key_value(&asked)?;
        let is_alive = key.expires.is_none_or(|end| now < end);
        (bool::from(known.ct_eq(&asked)) && is_alive).then_some(key)
    }

    async fn password(&self, config: &Config, passwords: &Passwords, given: &[u8]) -> Result<Grant, Denied> {
        let plain = STANDARD.decode(given).map_err(|_| Denied::Wrong)?;
        let mut halves = plain.splitn(2, |octet| *octet == b':');
        let (Some(name), Some(password)) = (halves.next(), halves.next()) else {
            return Err(Denied::Wrong);
        };
        let name = std::str::from_utf8(name).map_err(|_| Denied::Wrong)?;
        let client = self.names.get(name).ok_or(Denied::Wrong)?;
        let account = config.client.get(client).ok_or(Denied::Wrong)?;
        if password.is_empty() || !passwords.fits(client, account, password).await {
            return Err(Denied::Wrong);
        }
        Ok(Grant {
            client: client.clone(),
            scopes: Scopes::ALL,
        })
    }
}

/// Scheme and credentials, with any number of spaces between and behind them.
fn split(authorization: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = authorization.iter().position(|octet| *octet == b' ')?;
    let (scheme, rest) = authorization.split_at_checked(space)?;
    (authorization.len() <= MAX_HEADER).then(|| (scheme, rest.trim_ascii()))
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.keys.len())
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::Scope;

    fn hex(key: &str) -> String {
        digest(key.as_bytes())
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    fn config() -> Config {
        let (old, sender, nothing) = (hex("old-key"), hex("send-key"), hex(""));
        let text = format!(
            "[node]\nname = \"t\"\n[operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n\
             [client.acme]\napi_key = \"acme-key\"\napi_key_sha256 = [\"{nothing}\"]\nsystem_id = \"sys\"\npassword = \"pa:ss\"\n\
             [[client.acme.keys]]\nsha256 = \"{old}\"\nexpires = \"2027-01-01T00:00:00Z\"\n\
             [[client.acme.keys]]\nsha256 = \"{sender}\"\nscopes = [\"send\"]\nallow = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n\
             [client.inside]\napi_key = \"inside-key\"\nallow = [\"10.0.0.0/8\"]\n[client.sys]\napi_key = \"sys-key\"\n\
             [[route.mt]]\noperators = [\"alpha\"]\n"
        );
        Config::parse("t.toml", &text).unwrap()
    }

    async fn asked(header: &str, from: &str, now: &str) -> Result<Grant, Denied> {
        let (config, passwords) = (config(), Passwords::default());
        let now = Timestamp::from_rfc3339(now).unwrap();
        let from = from.parse().unwrap();
        Keys::of(&config)
            .grant(&config, &passwords, Some(header.as_bytes()), from, now)
            .await
    }

    const NOW: &str = "2026-12-31T23:59:59Z";

    #[tokio::test]
    async fn only_a_whole_key_behind_the_bearer_scheme_names_a_client() {
        for right in ["Bearer acme-key", "bearer  acme-key "] {
            let grant = asked(right, "192.0.2.1", NOW).await.unwrap();
            assert_eq!((grant.client.as_str(), grant.scopes), ("acme", Scopes::ALL));
        }
        // The digest of nothing may stand in a file; it must not open the door to everybody.
        for wrong in [
            "Bearer acme-ke",
            "Bearer ",
            "Bearer    ",
            "Bearer\tacme-key",
            "Bearer acme-key acme-key",
            "acme-key",
            "Basic acme-key",
            "",
        ] {
            assert_eq!(
                asked(wrong, "192.0.2.1", NOW).await,
                Err(Denied::Wrong),
                "{wrong:?}"
            );
        }
        let config = config();
        let nobody = Keys::of(&config)
            .grant(
                &config,
                &Passwords::default(),
                None,
                [192, 0, 2, 1].into(),
                Timestamp::default(),
            )
            .await;
        assert_eq!(nobody, Err(Denied::Missing));
    }

    #[tokio::test]
    async fn a_key_ends_at_its_instant_and_has_its_scopes_and_networks() {
        assert!(asked("Bearer old-key", "192.0.2.1", NOW).await.is_ok());
        assert_eq!(
            asked("Bearer old-key", "192.0.2.1", "2027-01-01T00:00:00Z").await,
            Err(Denied::Wrong)
        );
        let grant = asked("Bearer send-key", "::ffff:192.0.2.9", NOW).await.unwrap();
        assert!(
            grant.scopes.has(Scope::Send)
                && !grant.scopes.has(Scope::Read)
                && !grant.scopes.has(Scope::Inbox)
        );
        assert!(asked("Bearer send-key", "2001:db8::9", NOW).await.is_ok());
        let acme = ClientId::try_new("acme").unwrap();
        assert_eq!(
            asked("Bearer send-key", "192.0.3.1", NOW).await,
            Err(Denied::Network(acme))
        );
        assert!(asked("Bearer inside-key", "10.1.2.3", NOW).await.is_ok());
        let inside = ClientId::try_new("inside").unwrap();
        assert_eq!(
            asked("Bearer inside-key", "192.0.2.1", NOW).await,
            Err(Denied::Network(inside))
        );
    }

    #[tokio::test]
    async fn basic_takes_system_id_or_name_with_a_password_that_may_have_colons() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for right in ["acme:pa:ss", "sys:pa:ss"] {
            let grant = asked(&basic(right), "192.0.2.1", NOW).await.unwrap();
            assert_eq!(grant.client.as_str(), "acme", "a system_id goes before a name");
        }
        for wrong in [
            "acme:pa",
            "acme:",
            "acme",
            ":pa:ss",
            "nobody:pa:ss",
            "inside:",
            "\u{1}:x",
        ] {
            assert_eq!(
                asked(&basic(wrong), "192.0.2.1", NOW).await,
                Err(Denied::Wrong),
                "{wrong}"
            );
        }
        assert_eq!(asked("Basic !!!", "192.0.2.1", NOW).await, Err(Denied::Wrong));
    }
}
