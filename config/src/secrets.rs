//! Passwords that have files of their own: which there are, and putting them in.
//!
//! Must not read files.

use std::path::PathBuf;

use crate::schema::Config;
use crate::schema::client_callback::{CallbackPolicy, signing_key};
use crate::types::{ClientId, OperatorId, Secret};
use crate::value::join;

/// The account a password belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// `operator.<id>.password`.
    Operator(OperatorId),
    /// `operator.<id>.calls.password`.
    Calls(OperatorId),
    /// `operator.<id>.http.inbound.secret`.
    Inbound(OperatorId),
    /// `client.<id>.password`.
    Client(ClientId),
    /// `history.url`.
    History,
    /// `admin.token`.
    Admin,
    /// One of `client.<id>.callback_policy`.
    Callback(ClientId, CallbackSecret),
}

/// A secret of `[client.<id>.callback_policy]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackSecret {
    /// `password`.
    Password,
    /// `bearer`.
    Bearer,
    /// `signing_key`.
    SigningKey,
    /// `next_signing_key`.
    NextSigningKey,
}

impl CallbackSecret {
    const ALL: [Self; 4] = [
        Self::Password,
        Self::Bearer,
        Self::SigningKey,
        Self::NextSigningKey,
    ];

    fn file_key(self) -> &'static str {
        match self {
            Self::Password => "password_file",
            Self::Bearer => "bearer_file",
            Self::SigningKey => "signing_key_file",
            Self::NextSigningKey => "next_signing_key_file",
        }
    }

    fn file(self, policy: &CallbackPolicy) -> Option<&PathBuf> {
        match self {
            Self::Password => policy.password_file.as_ref(),
            Self::Bearer => policy.bearer_file.as_ref(),
            Self::SigningKey => policy.signing_key_file.as_ref(),
            Self::NextSigningKey => policy.next_signing_key_file.as_ref(),
        }
    }

    fn place(self, policy: &mut CallbackPolicy) -> &mut Option<Secret> {
        match self {
            Self::Password => &mut policy.password,
            Self::Bearer => &mut policy.bearer,
            Self::SigningKey => &mut policy.signing_key,
            Self::NextSigningKey => &mut policy.next_signing_key,
        }
    }
}

impl SecretPlace {
    /// The path of the key that names the file.
    pub fn key_path(&self) -> String {
        match self {
            Self::Operator(id) => join(&join("operator", id.as_str()), "password_file"),
            Self::Calls(id) => format!("{}.calls.password_file", join("operator", id.as_str())),
            Self::Inbound(id) => format!("{}.http.inbound.secret_file", join("operator", id.as_str())),
            Self::Client(id) => join(&join("client", id.as_str()), "password_file"),
            Self::History => join("history", "url_file"),
            Self::Admin => join("admin", "token_file"),
            Self::Callback(id, secret) => join(
                &join(&join("client", id.as_str()), "callback_policy"),
                secret.file_key(),
            ),
        }
    }

    /// What is wrong with a secret for this place, in a few words.
    pub(crate) fn judge(&self, secret: Secret) -> Result<Secret, String> {
        let wrong = match self {
            Self::Operator(_) | Self::Calls(_) | Self::Inbound(_) | Self::Client(_) | Self::History => false,
            Self::Callback(_, CallbackSecret::Password) => false,
            Self::Admin => !is_token(&secret),
            Self::Callback(_, CallbackSecret::Bearer) => {
                !secret.expose().bytes().all(|octet| octet.is_ascii_graphic())
            }
            Self::Callback(_, CallbackSecret::SigningKey | CallbackSecret::NextSigningKey) => {
                signing_key(&secret).is_none()
            }
        };
        if wrong {
            return Err("its first line is no such secret".to_owned());
        }
        Ok(secret)
    }
}

/// A password in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Whose it is.
    pub place: SecretPlace,
    /// The file; a relative path counts from the configuration file.
    pub path: PathBuf,
}

impl Config {
    /// Every password that has a file of its own.
    pub fn secret_files(&self) -> Vec<SecretFile> {
        let operators = self.operator.iter().filter_map(|(id, operator)| {
            let path = operator.password_file.clone()?;
            Some(SecretFile {
                place: SecretPlace::Operator(id.clone()),
                path,
            })
        });
        let calls = self.operator.iter().filter_map(|(id, operator)| {
            let path = operator.calls.as_ref()?.password_file.clone()?;
            Some(SecretFile {
                place: SecretPlace::Calls(id.clone()),
                path,
            })
        });
        let inbounds = self.operator.iter().filter_map(|(id, operator)| {
            let path = operator.http.as_ref()?.inbound.as_ref()?.secret_file.clone()?;
            Some(SecretFile {
                place: SecretPlace::Inbound(id.clone()),
                path,
            })
        });
        let clients = self.client.iter().filter_map(|(id, client)| {
            let path = client.password_file.clone()?;
            Some(SecretFile {
                place: SecretPlace::Client(id.clone()),
                path,
            })
        });
        let callbacks = self.client.iter().flat_map(|(id, client)| {
            let place = |secret: CallbackSecret| {
                let path = secret.file(&client.callback_policy).cloned()?;
                Some(SecretFile {
                    place: SecretPlace::Callback(id.clone(), secret),
                    path,
                })
            };
            CallbackSecret::ALL
                .into_iter()
                .filter_map(place)
                .collect::<Vec<_>>()
        });
        let history = self.history.url_file.clone().map(|path| SecretFile {
            place: SecretPlace::History,
            path,
        });
        let admin = self.admin.token_file.clone().map(|path| SecretFile {
            place: SecretPlace::Admin,
            path,
        });
        operators
            .chain(history)
            .chain(admin)
            .chain(calls)
            .chain(inbounds)
            .chain(clients)
            .chain(callbacks)
            .collect()
    }

    /// Puts in a password that was read from its file; nothing happens when the account is gone.
    pub fn fill_secret(&mut self, place: &SecretPlace, secret: Secret) {
        match place {
            SecretPlace::Operator(id) => {
                if let Some(operator) = self.operator.get_mut(id) {
                    operator.password = Some(secret);
                }
            }
            SecretPlace::Calls(id) => {
                let operator = self.operator.get_mut(id);
                if let Some(calls) = operator.and_then(|operator| operator.calls.as_mut()) {
                    calls.password = Some(secret);
                }
            }
            SecretPlace::Inbound(id) => {
                let operator = self.operator.get_mut(id);
                let http = operator.and_then(|operator| operator.http.as_mut());
                if let Some(inbound) = http.and_then(|http| http.inbound.as_mut()) {
                    inbound.secret = Some(secret);
                }
            }
            SecretPlace::Client(id) => {
                if let Some(client) = self.client.get_mut(id) {
                    client.password = Some(secret);
                }
            }
            SecretPlace::History => self.history.url = Some(secret),
            SecretPlace::Admin => self.admin.token = Some(secret),
            SecretPlace::Callback(id, which) => {
                if let Some(client) = self.client.get_mut(id) {
                    *which.place(&mut client.callback_policy) = Some(secret);
                }
            }
        }
    }
}

/// What can stand in `admin.token`: long enough not to be guessed, and fit for a header.
pub(crate) fn is_token(secret: &Secret) -> bool {
    let token = secret.expose();
    (16..=256).contains(&token.len()) && token.bytes().all(|octet| octet.is_ascii_graphic())
}
