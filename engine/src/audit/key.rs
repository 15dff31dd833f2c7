//! The key of the hashes that stand for literals: without it, guessing a literal and hashing it shows nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::NamedTempFile;

use super::record::hex;
use super::recover::cannot;
use crate::error::{Code, EngineError, Result};

const KEY_BYTES: usize = 32;
const DIGITS: usize = 16;

/// 32 random bytes that never leave the site.
#[derive(Clone)]
pub struct AuditKey([u8; KEY_BYTES]);

impl AuditKey {
    /// Reads the key from the file, or makes one when there is no file: random, readable by its owner only, written
    /// whole or not at all.
    ///
    /// # Errors
    /// `AUDIT` when the file is no key, or cannot be read or written.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|error| cannot(path, error))?;
                std::fs::read(path)
            }
            read => read,
        };
        let bytes = bytes.map_err(|error| cannot(path, error))?;
        let no_key = |_| EngineError::new(Code::Audit, format!("{} is no key of {KEY_BYTES} bytes", path.display()));
        bytes.try_into().map(Self).map_err(no_key)
    }

    /// The keyed hash of a text, in hexadecimal.
    pub(super) fn digest(&self, text: &str) -> String {
        // HMAC takes a key of any length; were it refused, the text must not appear all the same.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return "0".repeat(DIGITS) };
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()).chars().take(DIGITS).collect()
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(…)")
    }
}

/// Two that start at once agree: whoever comes second finds the first one's file.
fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        _ => {}
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("new/audit.key");
        let (made, read) = (AuditKey::load_or_create(&path).unwrap(), AuditKey::load_or_create(&path).unwrap());
        assert_eq!(made.digest("x"), read.digest("x"));
        assert_ne!(made.digest("x"), made.digest("y"));
        assert_ne!(made.digest("x"), AuditKey::load_or_create(&state.path().join("other")).unwrap().digest("x"));
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
        assert_eq!(format!("{made:?}"), "AuditKey(…)");
    }

    #[test]
    fn a_file_that_is_no_key_is_not_overwritten() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("audit.key");
        std::fs::write(&path, "short").unwrap();
        assert_eq!(AuditKey::load_or_create(&path).unwrap_err().code(), Code::Audit);
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }
}
