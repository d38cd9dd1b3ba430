//! Checks that a peer has one of the keys it is known by.
//!
//! Invariant: a pin is looked at only after everything else that is to be checked has passed; the peer's signature over
//! the handshake is checked always, so that a copied certificate is of no use.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Octets of a pin.
pub const SPKI_PIN_BYTES: usize = 32;

/// The pin of a certificate (DER): SHA-256 of its SubjectPublicKeyInfo (RFC 7469 section 2.4). `None` when it cannot be
/// read.
pub fn spki_pin(certificate: &[u8]) -> Option<[u8; SPKI_PIN_BYTES]> {
    let der = CertificateDer::from(certificate);
    let parsed = ParsedCertificate::try_from(&der).ok()?;
    Some(Sha256::digest(parsed.subject_public_key_info()).into())
}

/// Another check first, if there is one, then the pins.
#[derive(Debug)]
pub(super) struct Pinned<V: ?Sized> {
    inner: Option<Arc<V>>,
    pins: Vec<[u8; SPKI_PIN_BYTES]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl<V: ?Sized> Pinned<V> {
    pub(super) fn new(
        inner: Option<Arc<V>>,
        pins: Vec<[u8; SPKI_PIN_BYTES]>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            inner,
            pins,
            algorithms,
        }
    }

    fn has_pin(&self, end_entity: &CertificateDer<'_>) -> Result<(), Error> {
        match spki_pin(end_entity) {
            Some(pin) if self.pins.contains(&pin) => Ok(()),
            Some(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }
}

/// How signatures over the handshake are checked: the same from either end.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Pinned<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        self.has_pin(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Pinned<dyn ClientCertVerifier> {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner
            .as_ref()
            .map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_client_cert(end_entity, intermediates, now)?;
        }
        self.has_pin(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}
