//! The `authorization` header: `Basic` (user and password) or `Bearer` (a token of ours), on any call.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{Code, EngineError, Result};

/// RFC 4648, the padding as the client likes it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a caller says to be believed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `Basic base64(name:password)`, RFC 7617.
    Basic {
        /// The user.
        name: String,
        /// The password.
        password: String,
    },
    /// `Bearer token`, RFC 6750.
    Bearer(String),
}

impl Credentials {
    /// Reads the header's value.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for another scheme and for what is not well formed.
    pub fn parse(header: &str) -> Result<Self> {
        let (scheme, value) = header.trim().split_once(' ').unwrap_or((header, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => parse_basic(value.trim()).ok_or_else(|| unreadable("Basic must carry base64(user:password)")),
            "bearer" if !value.trim().is_empty() => Ok(Self::Bearer(value.trim().to_string())),
            "bearer" => Err(unreadable("Bearer must carry a token")),
            _ => Err(unreadable("write Basic (user and password) or Bearer (a token of this server)")),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { name, .. } => f.debug_struct("Basic").field("name", name).finish_non_exhaustive(),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

/// The name ends at the first colon; the password may hold more of them.
fn parse_basic(value: &str) -> Option<Credentials> {
    let text = String::from_utf8(BASE64.decode(value).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Credentials::Basic { name: name.to_string(), password: password.to_string() })
}

fn unreadable(hint: &str) -> EngineError {
    EngineError::new(Code::Unauthenticated, format!("the authorization header cannot be read: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_headers() {
        let basic = Credentials::Basic { name: "ana".into(), password: "a:b".into() };
        for header in ["Basic YW5hOmE6Yg==", "basic YW5hOmE6Yg", "BASIC  YW5hOmE6Yg== "] {
            assert_eq!(Credentials::parse(header).unwrap(), basic, "{header}");
        }
        assert_eq!(Credentials::parse("bearer t0k").unwrap(), Credentials::Bearer("t0k".into()));
    }

    #[test]
    fn anything_else_is_refused() {
        for header in ["", "Basic", "Basic !!!", "Basic YW5h", "Bearer", "Bearer  ", "Digest x", "YW5hOmE6Yg=="] {
            assert_eq!(Credentials::parse(header).unwrap_err().code(), Code::Unauthenticated, "{header}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!(
            "{:?} {:?}",
            Credentials::parse("Basic YW5hOnNlY3JldA==").unwrap(),
            Credentials::Bearer("tok".into())
        );
        assert!(!shown.contains("secret") && !shown.contains("tok"), "{shown}");
    }
}
