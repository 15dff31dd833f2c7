//! What a session is found and named by.

use std::fmt;

use rustls::pki_types::CertificateDer;

const SESSION_ID_DIGITS: usize = 32;

/// A session as it was opened once. A certificate, or an issuer's token, may open it again when it has ended: that is
/// another one, and what rests on the first has ended with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(super) key: SessionKey,
    pub(super) opening: u64,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.key, f)
    }
}

/// Finds a session without giving it away: the hash of its token, or of its user and their certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionKey(blake3::Hash);

impl SessionKey {
    pub(super) fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    /// A certificate may become another user's. No name of a user has a control character, and so no token is hashed
    /// like this.
    pub(super) fn of_certificate(certificate: &CertificateDer<'_>, user: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(user.as_bytes()).update(b"\0").update(certificate);
        Self(hasher.finalize())
    }
}

/// The first half of the hash, which names the session to people.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex().chars().take(SESSION_ID_DIGITS).collect::<String>())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.0.to_hex().chars().take(8).collect::<String>())
    }
}
