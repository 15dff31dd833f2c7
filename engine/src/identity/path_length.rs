//! How many authorities may stand between a node's authority and a node: as many as it says of itself. TLS takes an authority that
//! is trusted as one without limits.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::is_signed_by;

/// A verifier that also counts the authorities of a chain.
#[derive(Debug)]
pub(super) struct WithinPath<V: ?Sized> {
    authorities: Vec<CertificateDer<'static>>,
    verifier: Arc<V>,
}

impl<V: ?Sized> WithinPath<V> {
    /// Believes whom `verifier` believes, if the authority by which it does allows for the authorities between.
    pub(super) fn new(authorities: Vec<CertificateDer<'static>>, verifier: Arc<V>) -> Self {
        Self { authorities, verifier }
    }

    fn check(&self, node: &CertificateDer<'_>, between: &[CertificateDer<'_>]) -> Result<(), Error> {
        let is_allowed = self.authorities.iter().any(|authority| {
            let path = std::iter::once(node).chain(between);
            let mut signed = path.enumerate().filter(|(_, certificate)| is_signed_by(certificate, authority));
            signed.any(|(authorities, _)| path_length(authority).is_none_or(|most| authorities <= most))
        });
        // An authority may itself be what a node shows.
        if is_allowed || self.authorities.iter().any(|authority| authority == node) {
            Ok(())
        } else {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
        }
    }
}

/// How many authorities may stand below this one.
fn path_length(authority: &CertificateDer<'_>) -> Option<usize> {
    let (_, authority) = X509Certificate::from_der(authority).ok()?;
    let most = authority.basic_constraints().ok()??.value.path_len_constraint?;
    usize::try_from(most).ok()
}

impl ClientCertVerifier for WithinPath<dyn ClientCertVerifier> {
    fn verify_client_cert(
        &self,
        node: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(node, between)?;
        self.verifier.verify_client_cert(node, between, now)
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        node: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, node, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        node: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, node, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

impl ServerCertVerifier for WithinPath<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        node: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(node, between)?;
        self.verifier.verify_server_cert(node, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        node: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, node, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        node: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, node, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
