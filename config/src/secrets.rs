//! Passwords that have files of their own: which there are, and putting them in.
//!
//! Must not read files.

use std::path::PathBuf;

use crate::schema::Config;
use crate::types::{ClientId, OperatorId, Secret};
use crate::value::join;

/// The account a password belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// `operator.<id>.password`.
    Operator(OperatorId),
    /// `operator.<id>.outbind_password`.
    Outbind(OperatorId),
    /// `client.<id>.password`.
    Client(ClientId),
}

impl SecretPlace {
    /// The path of the key that names the file.
    pub fn key_path(&self) -> String {
        match self {
            Self::Operator(id) => join(&join("operator", id.as_str()), "password_file"),
            Self::Outbind(id) => join(&join("operator", id.as_str()), "outbind_password_file"),
            Self::Client(id) => join(&join("client", id.as_str()), "password_file"),
        }
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
        let outbinds = self.operator.iter().filter_map(|(id, operator)| {
            let path = operator.outbind_password_file.clone()?;
            Some(SecretFile {
                place: SecretPlace::Outbind(id.clone()),
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
        operators.chain(outbinds).chain(clients).collect()
    }

    /// Puts in a password that was read from its file; nothing happens when the account is gone.
    pub fn fill_secret(&mut self, place: &SecretPlace, secret: Secret) {
        match place {
            SecretPlace::Operator(id) => {
                if let Some(operator) = self.operator.get_mut(id) {
                    operator.password = Some(secret);
                }
            }
            SecretPlace::Outbind(id) => {
                if let Some(operator) = self.operator.get_mut(id) {
                    operator.outbind_password = Some(secret);
                }
            }
            SecretPlace::Client(id) => {
                if let Some(client) = self.client.get_mut(id) {
                    client.password = Some(secret);
                }
            }
        }
    }
}
