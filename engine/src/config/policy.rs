//! `[policy]` and `[pseudonyms]` of a site: whether policy is enforced, who writes it and where, and the secret behind
//! pseudonyms.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy::pseudonym::{PseudonymHash, PseudonymKeys};

use super::node::checked;
use super::raw::Section;

/// The least length of a secret: the keys made of it have 256 bits.
pub const SECRET_BYTES_MIN: usize = 32;
/// The permissions that "everyone else on this machine" has.
const OTHERS: u32 = 0o007;

/// `[policy]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// `enforce`: whether the site decides what leaves it. Only `enforce = false` says no.
    pub enforcement: Enforcement,
    /// `administrators`: who has one of these roles, at this node's own door, writes policy here; nobody by default.
    pub administrators: BTreeSet<String>,
    /// `directory`: policy is read from the `*.sql` files there, and from nowhere else.
    pub directory: Option<PathBuf>,
}

/// Whether a site decides what leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcement {
    /// What no policy permits does not leave.
    On,
    /// Everything leaves in the clear, to every user and coordinator.
    Off,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { enforcement: Enforcement::On, administrators: BTreeSet::new(), directory: None }
    }
}

impl PolicyConfig {
    /// Keys: `enforce`, `administrators`, `directory`. Without the section policy is enforced and nothing is granted.
    pub(super) fn read(section: Option<Section<'_>>) -> Option<Self> {
        let Some(mut section) = section else { return Some(Self::default()) };
        let enforcement = match section.optional_flag("enforce") {
            Some(false) => Enforcement::Off,
            Some(true) | None => Enforcement::On,
        };
        let administrators = section.texts("administrators").map(BTreeSet::from_iter);
        let directory = section.optional_text("directory").map(|path| section.file().resolve(&path));
        if let Some(path) = directory.as_deref().filter(|path| path.exists() && !path.is_dir()) {
            section.fault("directory", format!("{} is not a directory", path.display()));
        }
        let is_written = directory.is_some() || administrators.as_ref().is_some_and(|roles| !roles.is_empty());
        if enforcement == Enforcement::Off && is_written {
            section.fault("enforce", "is false, so `administrators` and `directory` do nothing; leave them out");
        }
        section.finish();
        Some(Self { enforcement, administrators: administrators?, directory })
    }
}

/// `[pseudonyms]`: the keys, which must be the same at every site whose pseudonyms are to meet. Its keys: `secret`, a
/// file; `epoch`, which counts up when the pseudonyms are to be new ones (1 by default); `hash`, `sha256` or `sm3`.
pub(super) fn read_pseudonyms(mut section: Section<'_>) -> Option<Arc<PseudonymKeys>> {
    let path = section.path("secret");
    let secret = path.and_then(|path| checked(&section, "secret", read_secret(&path)));
    let epoch = section.number("epoch", 1..=u64::from(u32::MAX)).unwrap_or(1);
    let hash = section.optional_text("hash");
    let hash = checked(&section, "hash", parse_hash(hash.as_deref().unwrap_or("sha256")));
    let keys = secret
        .zip(hash)
        .and_then(|(secret, hash)| checked(&section, "secret", PseudonymKeys::new(&secret, hash, epoch)));
    section.finish();
    keys.map(Arc::new)
}

fn parse_hash(text: &str) -> Result<PseudonymHash, String> {
    match text {
        "sha256" => Ok(PseudonymHash::Sha256),
        "sm3" => Ok(PseudonymHash::Sm3),
        _ => Err(format!("unknown hash `{text}`; known: sha256, sm3")),
    }
}

/// Reads a secret: at least 32 bytes, written in base64 on one line, in a file that not everyone may read.
///
/// # Errors
/// A sentence that says what is wrong with the file, and nothing of what it holds.
pub fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let cannot = |error| format!("{name} cannot be read: {error}");
    let mode = std::fs::metadata(path).map_err(cannot)?.mode();
    if mode & OTHERS != 0 {
        return Err(format!(
            "{name} is open to every user of this machine (mode {:o}), and who has the secret can undo every pseudonym: \
             chmod 600 {name}",
            mode & 0o777,
        ));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "{name} is no secret: it must hold at least {SECRET_BYTES_MIN} bytes in base64, as `chancery policy secret \
             --out FILE` makes them"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(text: &str, mode: u32) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("linked.key");
        write(&path, text).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        read_secret(&path)
    }

    #[test]
    fn a_secret_is_read() {
        assert_eq!(read(&format!("{}\n", STANDARD.encode([7; 32])), 0o600).unwrap(), [7; 32]);
        read(&STANDARD.encode([7; 64]), 0o440).unwrap();
    }

    #[test]
    fn a_secret_that_everyone_reads_is_refused() {
        for mode in [0o644, 0o604, 0o666, 0o602] {
            let refusal = read(&STANDARD.encode([7; 32]), mode).unwrap_err();
            assert!(refusal.contains("chmod 600") && refusal.contains(&format!("mode {mode:o}")), "{refusal}");
        }
    }

    #[test]
    fn a_short_or_broken_secret_is_refused_and_not_repeated() {
        for text in [&STANDARD.encode([7; 31]), "", "not base64 at all, and long enough to be one"] {
            let refusal = read(text, 0o600).unwrap_err();
            assert!(refusal.contains("at least 32 bytes"), "{refusal}");
            assert!(text.is_empty() || !refusal.contains(text));
        }
    }
}
