//! Who binds: system_id, address, password; and who failed at it too often, counted together with HTTP ([`crate::guard`]).
//! Invariant LG-1: no password is logged or kept.

use crate::shared::Shared;
use smsgw_config::{Client, Config};
use smsgw_message::ClientId;
use smsgw_smpp::{COctets, CommandStatus, Password};
use std::net::IpAddr;

/// Why a bind is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) status: CommandStatus,
    /// The word in logs and metrics.
    pub(super) why: &'static str,
    /// Whose account it is, where that is known.
    pub(super) client: Option<ClientId>,
}

/// The account of a bind from that address.
pub(super) async fn check(
    shared: &Shared,
    config: &Config,
    from: IpAddr,
    system_id: &COctets,
    password: &Password,
) -> Result<ClientId, Denied> {
    // Who opened many connections before the first failure gets no more guesses than who opens them one by one.
    if is_kept_out(shared, config, from) {
        return Err(Denied {
            status: CommandStatus::BIND_FAILED,
            why: "banned",
            client: None,
        });
    }
    let outcome = judge(shared, config, from, system_id, password).await;
    if outcome.is_err() {
        let smpp = &config.smpp;
        let now = shared.clock.instant();
        shared.guard.failed(from, now, smpp.ban_after, smpp.ban_time);
    }
    outcome
}

/// Whether the address failed to log in too often, over whichever face.
pub(super) fn is_kept_out(shared: &Shared, config: &Config, from: IpAddr) -> bool {
    let smpp = &config.smpp;
    smpp.ban_after > 0
        && shared
            .guard
            .keeps_out(from, shared.clock.instant(), smpp.ban_after, smpp.ban_time)
}

async fn judge(
    shared: &Shared,
    config: &Config,
    from: IpAddr,
    system_id: &COctets,
    password: &Password,
) -> Result<ClientId, Denied> {
    let known = config
        .client
        .iter()
        .find(|(_, client)| client.system_id.as_deref().map(str::as_bytes) == Some(system_id.as_bytes()));
    let Some((id, account)) = known else {
        return Err(Denied {
            status: CommandStatus::INVALID_SYSTEM_ID,
            why: "system_id",
            client: None,
        });
    };
    let denied = |status, why| Denied {
        status,
        why,
        client: Some(id.clone()),
    };
    if !may_come_from(account, from) {
        return Err(denied(CommandStatus::BIND_FAILED, "address"));
    }
    if shared.passwords.fits(id, account, password.expose()).await {
        Ok(id.clone())
    } else {
        Err(denied(CommandStatus::INVALID_PASSWORD, "password"))
    }
}

fn may_come_from(account: &Client, from: IpAddr) -> bool {
    let from = from.to_canonical();
    account.allow.is_empty() || account.allow.iter().any(|network| network.contains(&from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smsgw_config::ConfigHandle;
    use smsgw_queue::MemoryEngine;
    use smsgw_runtime::{Clock, SystemClock};
    use std::sync::Arc;
    use std::time::Duration;

    fn shared(config: &Config) -> Shared {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = MemoryEngine::new(Arc::clone(&clock));
        Shared::new(engine, ConfigHandle::new(config.clone()), clock)
    }

    #[tokio::test]
    async fn guessing_keeps_an_address_out_even_with_the_right_password_and_over_http_too() {
        let config = Config::parse(
            "t.toml",
            "[node]\nname = \"t\"\n[smpp]\nban_after = 3\nban_time = \"1m\"\n\
             [operator.alpha]\nprotocol = \"smpp\"\nhosts = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword = \"x\"\n\
             [client.acme]\nsystem_id = \"acme\"\npassword = \"secret\"\n[[route.mt]]\noperators = [\"alpha\"]\n",
        )
        .unwrap();
        let shared = shared(&config);
        let ask = async |from: &str, name: &str, password: &str| {
            let name = COctets::try_from(name).unwrap();
            let password = Password::try_new(password.as_bytes()).unwrap();
            check(&shared, &config, from.parse().unwrap(), &name, &password)
                .await
                .map_err(|denied| denied.why)
        };
        for (name, why) in [
            ("acme", "password"),
            ("nobody", "system_id"),
            ("acme", "password"),
        ] {
            assert!(ask("192.0.2.1", "acme", "secret").await.is_ok(), "not yet");
            assert_eq!(ask("192.0.2.1", name, "wrong").await, Err(why));
            assert_eq!(ask("127.0.0.1", name, "wrong").await, Err(why));
        }
        assert_eq!(ask("192.0.2.1", "acme", "secret").await, Err("banned"));
        assert!(is_kept_out(&shared, &config, "192.0.2.1".parse().unwrap()));
        let now = shared.clock.instant();
        let span = Duration::from_secs(60);
        assert!(
            shared.guard.keeps_out("192.0.2.1".parse().unwrap(), now, 3, span),
            "one table for both faces"
        );
        for from in ["192.0.2.2", "127.0.0.1"] {
            assert!(ask(from, "acme", "secret").await.is_ok(), "{from}");
        }
    }

    #[test]
    fn an_account_with_an_allow_list_is_refused_from_elsewhere() {
        let networks = ["192.0.2.0/24", "2001:db8::/32"];
        let account = Client {
            allow: networks.map(|network| network.parse().unwrap()).to_vec(),
            ..Client::default()
        };
        for (from, allowed) in [
            ("192.0.2.200", true),
            ("::ffff:192.0.2.200", true),
            ("2001:db8::1", true),
            ("192.0.3.1", false),
            ("::1", false),
        ] {
            assert_eq!(may_come_from(&account, from.parse().unwrap()), allowed, "{from}");
        }
        assert!(may_come_from(&Client::default(), "::1".parse().unwrap()));
    }
}
