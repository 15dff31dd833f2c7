//! What a session rests on, and when that ends: a password, an issuer's token, a certificate.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

/// By what the user of a session of ours was believed.
#[derive(Clone, PartialEq, Eq)]
pub enum SessionProof {
    /// The digest of the stored password.
    Password(blake3::Hash),
    /// An issuer's token, which is verified anew with each call.
    Token(Arc<str>),
    /// A certificate, which the connection of each call must show.
    Certificate(CertificateDer<'static>),
}

impl fmt::Debug for SessionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(..)",
            Self::Token(_) => "Token(..)",
            Self::Certificate(_) => "Certificate(..)",
        })
    }
}

/// By what the calls of a session are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// A token of ours, for a password.
    Password,
    /// An issuer's token.
    Token,
    /// A certificate.
    Certificate,
}

/// What a session rests on, and when that ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Basis {
    Password,
    Token(Issued),
    Certificate { ends: SystemTime },
}

impl Basis {
    pub(super) fn kind(self) -> SessionKind {
        match self {
            Self::Password => SessionKind::Password,
            Self::Token(_) => SessionKind::Token,
            Self::Certificate { .. } => SessionKind::Certificate,
        }
    }

    pub(super) fn issued(self) -> Option<Issued> {
        match self {
            Self::Token(issued) => Some(issued),
            Self::Password | Self::Certificate { .. } => None,
        }
    }

    pub(super) fn ends(self) -> Option<SystemTime> {
        match self {
            Self::Password => None,
            Self::Token(issued) => issued.ends,
            Self::Certificate { ends } => Some(ends),
        }
    }
}

/// An issuer's token by what of it is signed: of some signatures there are two, and both make the same token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IssuedId(blake3::Hash);

impl IssuedId {
    pub(super) fn of(token: &str) -> Self {
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        Self(blake3::hash(signed.as_bytes()))
    }
}

/// An issuer's token and when it expires.
#[derive(Debug, Clone, Copy)]
pub(super) struct Issued {
    pub(super) id: IssuedId,
    pub(super) ends: Option<SystemTime>,
}

impl Issued {
    pub(super) fn of(token: &str, ends: Option<SystemTime>) -> Self {
        Self { id: IssuedId::of(token), ends }
    }
}
