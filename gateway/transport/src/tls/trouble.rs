//! What a failed handshake means for who connected, in a few kinds.
//!
//! Looks through an error and what is behind it for what the TLS library said. Searches no text. Invariant: what is not one
//! of the kinds is none.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::error::Error as StdError;
use std::io;

/// Why a server and we do not come together, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsTrouble {
    /// Nobody whom we trust has signed its certificate.
    UnknownIssuer,
    /// Its certificate is for other names.
    OtherName,
    /// Its certificate has run out, or is not valid yet.
    OutOfDate,
    /// It has another key than the pinned one.
    OtherKey,
    /// Its certificate cannot be used for another reason.
    BadCertificate,
    /// It wants a certificate from us.
    WantsCertificate,
    /// It does not take the certificate that we showed.
    RefusedCertificate,
    /// What it sends is no TLS.
    NotTls,
}

impl TlsTrouble {
    /// The kind of an error, or of one that is behind it.
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            // An io::Error's source is what is behind the error that it carries, not that error.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let carried = carried.and_then(|carried| carried.downcast_ref::<Error>());
            if let Some(found) = carried.or_else(|| error.downcast_ref::<Error>()) {
                return of(found);
            }
            next = error.source();
        }
        None
    }
}

fn of(error: &Error) -> Option<TlsTrouble> {
    match error {
        Error::InvalidCertificate(wrong) => Some(match wrong {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsTrouble::UnknownIssuer,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsTrouble::OtherName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TlsTrouble::OutOfDate,
            CertificateError::ApplicationVerificationFailure => TlsTrouble::OtherKey,
            _ => TlsTrouble::BadCertificate,
        }),
        Error::AlertReceived(AlertDescription::CertificateRequired) => Some(TlsTrouble::WantsCertificate),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => Some(TlsTrouble::RefusedCertificate),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(TlsTrouble::NotTls),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_kind_is_found_however_deep_it_is() {
        let required = || Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(TlsTrouble::of(&required()), Some(TlsTrouble::WantsCertificate));
        let carried = io::Error::new(io::ErrorKind::InvalidData, required());
        assert_eq!(
            TlsTrouble::of(&Outer(carried)),
            Some(TlsTrouble::WantsCertificate)
        );
        let plain = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert_eq!(TlsTrouble::of(&plain), Some(TlsTrouble::NotTls));
        for (wrong, kind) in [
            (CertificateError::UnknownIssuer, TlsTrouble::UnknownIssuer),
            (CertificateError::NotValidForName, TlsTrouble::OtherName),
            (CertificateError::Expired, TlsTrouble::OutOfDate),
            (CertificateError::Revoked, TlsTrouble::BadCertificate),
            (
                CertificateError::ApplicationVerificationFailure,
                TlsTrouble::OtherKey,
            ),
        ] {
            let error = Error::InvalidCertificate(wrong);
            assert_eq!(TlsTrouble::of(&Outer(io::Error::other(error))), Some(kind));
        }
        assert_eq!(TlsTrouble::of(&Outer(io::Error::other("else"))), None);
        assert_eq!(TlsTrouble::of(&Error::HandshakeNotComplete), None);
    }
}
