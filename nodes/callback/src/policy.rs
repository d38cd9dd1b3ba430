//! What holds for each client: its policy over that of all, ready to be used, and an HTTP client for its trust and identity.
//!
//! Made once for each epoch of the configuration. Knows no queue. Invariant: a client whose TLS files cannot be used keeps the
//! HTTP client it had; without one its events fail and climb the ladder, and no other client notices.

use crate::attempt::Poster;
use smsgw_config::{
    CallbackPolicy, CallbackSection, CallbackTls, CertificateCheck, Config, ConfigHandle, Ladder, Snapshot,
};
use smsgw_message::ClientId;
use smsgw_session::Rate;
use smsgw_transport::{TlsClient, TlsIdentity, TlsOptions, TlsRoots, TlsVerify};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tracing::error;
use url::Url;

/// What holds for one client.
#[derive(Debug)]
pub(crate) struct Policy {
    /// As the file has it.
    pub(crate) own: CallbackPolicy,
    /// The octets of the signing keys.
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) timeout: Duration,
    pub(crate) retry: Ladder,
    pub(crate) give_up: Duration,
    pub(crate) jitter: f64,
    pub(crate) rate: Rate,
    pub(crate) per_flow: usize,
    pub(crate) per_target: usize,
    /// The client's default target.
    callback: Option<Url>,
    /// `None`: its TLS files cannot be used.
    pub(crate) poster: Option<Poster>,
}

impl Policy {
    fn of(
        own: &CallbackPolicy,
        callback: Option<&Url>,
        all: &CallbackSection,
        poster: Option<Poster>,
    ) -> Self {
        let most = size(all.max_in_flight);
        let bounded = |own: Option<u32>, all: usize| own.map_or(all, |own| size(own).min(most));
        Self {
            keys: own.signing_keys(),
            timeout: own.timeout(all),
            retry: own.retry(all).clone(),
            give_up: own.give_up(all),
            jitter: all.jitter,
            rate: Rate::try_per_second(own.rate).unwrap_or(Rate::UNLIMITED),
            per_flow: bounded(own.max_in_flight, most.div_ceil(2)),
            per_target: bounded(own.max_per_target, size(all.max_per_target)),
            callback: callback.cloned(),
            own: own.clone(),
            poster,
        }
    }

    /// Whether an event may go to this target.
    pub(crate) fn allows(&self, target: &Url) -> bool {
        self.callback.as_ref() == Some(target) || self.own.allows(target)
    }
}

/// The policies of an epoch.
#[derive(Debug)]
pub(crate) struct Policies {
    epoch: u64,
    clients: HashMap<ClientId, Arc<Policy>>,
    /// For clients that the configuration does not have (any more).
    other: Arc<Policy>,
}

impl Policies {
    /// Reads the TLS files of clients: blocks on the file system.
    pub(crate) fn of(snapshot: &Snapshot, config: &ConfigHandle, before: Option<&Self>) -> Self {
        let all = &snapshot.config.callback;
        let plain = match before.and_then(|before| before.other.poster.clone()) {
            Some(poster) => poster,
            None => Poster::new(config.clone(), None),
        };
        let client = |(id, client): (&ClientId, &smsgw_config::Client)| {
            let own = &client.callback_policy;
            let poster = match &own.tls {
                None => Some(plain.clone()),
                Some(tls) => match tls_client(tls) {
                    Ok(tls) => Some(Poster::new(config.clone(), Some(&tls))),
                    Err(error) => {
                        let cause: &dyn std::error::Error = &error;
                        error!(client = %id, error = cause, "TLS of callbacks cannot be set up; what it was before stays in use");
                        before
                            .and_then(|before| before.clients.get(id))
                            .filter(|before| before.own.tls.is_some())
                            .and_then(|before| before.poster.clone())
                    }
                },
            };
            let callback = client.callback.as_ref().map(smsgw_config::CallbackUrl::url);
            (id.clone(), Arc::new(Policy::of(own, callback, all, poster)))
        };
        let clients = snapshot.config.client.iter().map(client).collect();
        let other = Policy::of(&CallbackPolicy::default(), None, all, Some(plain.clone()));
        Self {
            epoch: snapshot.epoch,
            clients,
            other: Arc::new(other),
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn client(&self, id: &ClientId) -> &Arc<Policy> {
        self.clients.get(id).unwrap_or(&self.other)
    }

    /// What holds for clients that the configuration does not have.
    pub(crate) fn unknown(&self) -> &Arc<Policy> {
        &self.other
    }
}

/// The most requests under way.
pub(crate) fn most(config: &Config) -> usize {
    size(config.callback.max_in_flight)
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[derive(Debug, Error)]
enum TlsFileError {
    #[error("{0} cannot be read")]
    Read(String, #[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] smsgw_transport::TlsError),
}

fn tls_client(tls: &CallbackTls) -> Result<TlsClient, TlsFileError> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| TlsFileError::Read(path.display().to_string(), error));
    let roots = match &tls.ca_file {
        Some(path) => TlsRoots::Pem(read(path)?),
        None => TlsRoots::Native,
    };
    let identity = match (&tls.cert_file, &tls.key_file) {
        (Some(chain), Some(key)) => Some(TlsIdentity {
            chain: read(chain)?,
            key: read(key)?,
        }),
        (Some(_) | None, Some(_) | None) => None,
    };
    let options = TlsOptions {
        roots,
        server_name: None,
        identity,
        pins: tls.pin_sha256.iter().map(|pin| pin.octets()).collect(),
        verify: match tls.verify {
            CertificateCheck::Full => TlsVerify::Full,
            CertificateCheck::Pin => TlsVerify::PinOnly,
        },
    };
    Ok(TlsClient::try_new(&options)?)
}
