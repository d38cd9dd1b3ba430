//! What a bind is made of: which direction it serves, and the session's configuration from the operator's settings.
//!
//! Pure but for [`tls`], which reads certificate files. No text of this module holds a credential.

use crate::traffic;
use smsgw_config::{BindMode, Operator, Secret, SecretSource, TlsSection};
use smsgw_smpp::octets::NulInside;
use smsgw_smpp::{Address, BindKind, COctets, EsmeConfig, Password};
use smsgw_transport::{TlsClient, TlsError, TlsRoots};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// How long the carrier may take to confirm an unbind.
pub(crate) const UNBIND_TIMEOUT: Duration = Duration::from_secs(2);

/// Which way a bind goes. A `transmitter+receiver` link has one of each of the last two, each with its own connection,
/// which come and go on their own: while one is down the other works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bind {
    Transceiver,
    Transmitter,
    Receiver,
}

impl Bind {
    /// The binds of one link.
    pub(crate) fn of(mode: BindMode) -> &'static [Self] {
        match mode {
            BindMode::Transceiver => &[Self::Transceiver],
            BindMode::TransmitterReceiver => &[Self::Transmitter, Self::Receiver],
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transceiver => "transceiver",
            Self::Transmitter => "transmitter",
            Self::Receiver => "receiver",
        }
    }

    /// What the name of its task ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Transceiver => "",
            Self::Transmitter => "-tx",
            Self::Receiver => "-rx",
        }
    }

    pub(crate) fn can_submit(self) -> bool {
        match self {
            Self::Transceiver | Self::Transmitter => true,
            Self::Receiver => false,
        }
    }

    fn kind(self) -> BindKind {
        match self {
            Self::Transceiver => BindKind::Transceiver,
            Self::Transmitter => BindKind::Transmitter,
            Self::Receiver => BindKind::Receiver,
        }
    }
}

/// Why there is nothing to bind with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum BindSetupError {
    #[error("the operator has no system_id")]
    NoSystemId,
    #[error("the operator has no password")]
    NoPassword,
    #[error("the password file was not read")]
    PasswordNotRead,
    #[error("{field} cannot be sent")]
    Text {
        field: &'static str,
        #[source]
        source: NulInside,
    },
}

/// The session's configuration.
pub(crate) fn session(operator: &Operator, bind: Bind) -> Result<EsmeConfig, BindSetupError> {
    let text = |field, source| BindSetupError::Text { field, source };
    let system_id = operator.system_id.as_deref().ok_or(BindSetupError::NoSystemId)?;
    let system_id = COctets::try_from(system_id).map_err(|source| text("system_id", source))?;
    let password: Secret = match operator.password_source() {
        Some(SecretSource::Known(secret)) => secret,
        Some(SecretSource::File(_)) => return Err(BindSetupError::PasswordNotRead),
        None => return Err(BindSetupError::NoPassword),
    };
    let password =
        Password::try_new(password.expose().as_bytes()).map_err(|source| text("password", source))?;
    let range = operator.address_range.as_str();
    Ok(EsmeConfig {
        system_type: COctets::try_from(operator.system_type.as_str())
            .map_err(|source| text("system_type", source))?,
        bind: bind.kind(),
        address_range: Address::try_new(0, 0, range).map_err(|source| text("address_range", source))?,
        window: window(operator),
        response_timeout: operator.response_timeout,
        bind_timeout: operator.response_timeout,
        enquire_link: Some(operator.enquire_link),
        enquire_link_timeout: operator.response_timeout,
        unbind_timeout: UNBIND_TIMEOUT,
        tombstone_ttl: operator.response_timeout.saturating_mul(10),
        deliveries: traffic::SESSION_DELIVERIES,
        ..EsmeConfig::new(system_id, password)
    })
}

/// Unanswered parts of one link at most.
pub(crate) fn window(operator: &Operator) -> usize {
    usize::try_from(operator.window).unwrap_or(usize::MAX).max(1)
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub(crate) enum TlsSetupError {
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cert_file and key_file are not in this version: the carrier would not know us")]
    ClientCertificate,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Reads certificates from disk: for a thread that may block.
pub(crate) fn tls(section: &TlsSection) -> Result<TlsClient, TlsSetupError> {
    if section.cert_file.is_some() || section.key_file.is_some() {
        return Err(TlsSetupError::ClientCertificate);
    }
    let roots = match &section.ca_file {
        None => TlsRoots::Native,
        Some(path) => TlsRoots::Pem(std::fs::read(path).map_err(|source| TlsSetupError::Read {
            path: path.clone(),
            source,
        })?),
    };
    Ok(TlsClient::try_new(&roots, section.server_name.as_deref())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> Operator {
        Operator {
            system_id: Some("test".to_owned()),
            password: Some(Secret::new("geheim")),
            window: 7,
            ..Operator::default()
        }
    }

    #[test]
    fn the_session_is_as_configured_and_shows_no_password() {
        let config = session(&operator(), Bind::Transmitter).unwrap();
        assert_eq!(
            (config.system_id.as_bytes(), config.window),
            (b"test".as_slice(), 7)
        );
        assert_eq!(
            (config.bind, config.password.expose()),
            (BindKind::Transmitter, b"geheim".as_slice())
        );
        assert!(!format!("{config:?}").contains("geheim"));
    }

    #[test]
    fn without_credentials_there_is_no_bind() {
        let refused = |operator: Operator| session(&operator, Bind::Transceiver).unwrap_err();
        assert_eq!(
            refused(Operator {
                system_id: None,
                ..operator()
            }),
            BindSetupError::NoSystemId
        );
        assert_eq!(
            refused(Operator {
                password: None,
                ..operator()
            }),
            BindSetupError::NoPassword
        );
        let file = Some(PathBuf::from("secret"));
        assert_eq!(
            refused(Operator {
                password: None,
                password_file: file,
                ..operator()
            }),
            BindSetupError::PasswordNotRead
        );
        let error = refused(Operator {
            password: Some(Secret::new("ge\0heim")),
            ..operator()
        });
        assert!(!format!("{error:?} {error}").contains("heim"));
    }

    #[test]
    fn client_certificates_and_unreadable_files_are_said() {
        let section = TlsSection {
            cert_file: Some(PathBuf::from("c.pem")),
            ..TlsSection::default()
        };
        assert!(matches!(tls(&section), Err(TlsSetupError::ClientCertificate)));
        let section = TlsSection {
            ca_file: Some(PathBuf::from("/nowhere/ca.pem")),
            ..TlsSection::default()
        };
        assert!(matches!(tls(&section), Err(TlsSetupError::Read { .. })));
    }
}
