//! What a bind is made of: which direction it serves, and the session's configuration from the operator's settings.
//!
//! Pure. No text of this module holds a credential.

use crate::traffic;
use smsgw_config::{InterfaceVersion, Operator, Secret, SecretSource};
use smsgw_smpp::octets::NulInside;
use smsgw_smpp::{Address, BindKind, COctets, CommandStatus, EsmeConfig, Password};
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

    /// Part of a link of two binds.
    pub(crate) fn is_of_pair(self) -> bool {
        match self {
            Self::Transceiver => false,
            Self::Transmitter | Self::Receiver => true,
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
        interface_version: match operator.interface_version {
            InterfaceVersion::V3_3 => 0x33,
            InterfaceVersion::V3_4 => 0x34,
            InterfaceVersion::V5_0 => 0x50,
        },
        address_range: Address::try_new(operator.address_ton, operator.address_npi, range)
            .map_err(|source| text("address_range", source))?,
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

/// Whether a refused bind_transceiver may mean that the carrier has none: an SMSC of SMPP 3.3 does not know the command
/// (ESME_RINVCMDID, by generic_nack), later ones without transceivers say ESME_RINVBNDSTS or ESME_RBINDFAIL. The last also
/// stands for wrong credentials, so the pair counts only once a transmitter is bound.
pub(crate) fn refuses_transceivers(status: CommandStatus) -> bool {
    matches!(
        status,
        CommandStatus::INVALID_COMMAND_ID | CommandStatus::INVALID_BIND_STATUS | CommandStatus::BIND_FAILED
    )
}

/// Unanswered parts of one link at most.
pub(crate) fn window(operator: &Operator) -> usize {
    usize::try_from(operator.window).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
    fn the_bind_tells_version_and_address_range() {
        for (version, octet) in [
            (InterfaceVersion::V3_3, 0x33),
            (InterfaceVersion::V3_4, 0x34),
            (InterfaceVersion::V5_0, 0x50),
        ] {
            let operator = Operator {
                interface_version: version,
                address_ton: 1,
                address_npi: 6,
                address_range: "4917".to_owned(),
                ..operator()
            };
            let config = session(&operator, Bind::Receiver).unwrap();
            assert_eq!(config.interface_version, octet);
            assert_eq!(config.address_range, Address::try_new(1, 6, "4917").unwrap());
        }
    }

    #[test]
    fn only_what_says_that_transceivers_are_unknown_leads_to_the_pair() {
        let yes = [
            CommandStatus::INVALID_COMMAND_ID,
            CommandStatus::INVALID_BIND_STATUS,
            CommandStatus::BIND_FAILED,
        ];
        assert!(yes.into_iter().all(refuses_transceivers));
        let no = [
            CommandStatus::INVALID_PASSWORD,
            CommandStatus::INVALID_SYSTEM_ID,
            CommandStatus::ALREADY_BOUND,
            CommandStatus::SYSTEM_ERROR,
            CommandStatus(0x400),
        ];
        assert!(!no.into_iter().any(refuses_transceivers));
    }
}
