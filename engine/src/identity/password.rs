//! One password and its hash: Argon2id in PHC form, checked in the same time whether or not the user exists.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::error::{Code, EngineError, Result};

/// Longer passwords are refused before any work is done for them.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// A parsed hash; what it was made from cannot be found from it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword(PasswordHash);

impl StoredPassword {
    /// Hashes a new password with a random salt and the defaults of the argon2 crate (19 MiB, two passes).
    ///
    /// # Errors
    /// `CONFIG` for a password that is empty or too long.
    pub fn hash(password: &str) -> Result<Self> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            let sentence = format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes");
            return Err(EngineError::new(Code::Config, sentence));
        }
        Argon2::default().hash_password(password.as_bytes()).map(Self).map_err(EngineError::internal)
    }

    /// Reads a hash in PHC form (`$argon2id$v=19$…`); the error says what is wrong without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = "is not an Argon2 hash in PHC form ($argon2id$…); set it with `chancery user passwd`";
        let hash = PasswordHash::new(text).map_err(|_| wrong.to_string())?;
        let is_argon2 = hash.algorithm.as_str().starts_with("argon2");
        let complete = hash.salt.is_some() && hash.hash.is_some();
        let usable = argon2::Params::try_from(&hash).is_ok();
        if is_argon2 && complete && usable { Ok(Self(hash)) } else { Err(wrong.to_string()) }
    }

    /// Whether this is the password. Takes a core and the memory the hash asks for, for some 50 ms.
    pub fn matches(&self, password: &str) -> bool {
        password.len() <= PASSWORD_BYTES_MAX && Argon2::default().verify_password(password.as_bytes(), &self.0).is_ok()
    }

    /// The PHC form.
    pub fn to_text(&self) -> String {
        self.0.to_string()
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_matches_its_password_only() {
        let stored = StoredPassword::parse(&StoredPassword::hash("correct horse").unwrap().to_text()).unwrap();
        assert!(stored.matches("correct horse"));
        assert!(!stored.matches("correct horsf"));
        assert!(!stored.matches(""));
    }

    #[test]
    fn the_salt_is_random() {
        assert_ne!(StoredPassword::hash("x").unwrap().to_text(), StoredPassword::hash("x").unwrap().to_text());
    }

    #[test]
    fn other_hashes_are_refused_without_repeating_them() {
        for text in ["plain-text-password", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1", ""] {
            let message = StoredPassword::parse(text).unwrap_err();
            assert!(text.is_empty() || !message.contains(text), "{message}");
        }
    }

    #[test]
    fn what_no_client_could_send_is_no_password() {
        StoredPassword::hash("").unwrap_err();
        StoredPassword::hash(&"x".repeat(PASSWORD_BYTES_MAX + 1)).unwrap_err();
    }
}
