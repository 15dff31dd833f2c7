//! `chancery policy secret`: a new secret in a new file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{SecretArgs, tell};
use crate::config::policy::SECRET_BYTES_MIN;
use crate::error::{Code, EngineError, Result};

/// Runs `chancery policy secret`.
pub(super) fn run(args: &SecretArgs) -> Result<ExitCode> {
    make(&args.out)?;
    tell([format!(
        "{}: a new secret. Give the same file to every site whose pseudonyms are to meet, and to nobody else.",
        args.out.display()
    )]);
    Ok(ExitCode::SUCCESS)
}

/// Makes a secret in a new file.
///
/// # Errors
/// `CONFIG` when there is such a file, or it cannot be written.
pub(crate) fn make(path: &Path) -> Result<()> {
    let mut secret = [0; SECRET_BYTES_MIN];
    getrandom::fill(&mut secret).map_err(EngineError::internal)?;
    write(path, &format!("{}\n", STANDARD.encode(secret))).map_err(|error| {
        let sentence = match error.kind() {
            ErrorKind::AlreadyExists => {
                "is there already, and pseudonyms made with another secret would not meet its own"
            }
            _ => "cannot be written",
        };
        EngineError::new(Code::Config, format!("{} {sentence}", path.display())).caused_by(error)
    })
}

/// A file that was not there, for its owner only.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::policy::read_secret;

    #[test]
    fn a_secret_is_made_once_and_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let args = SecretArgs { out: directory.path().join("linked.key") };
        run(&args).unwrap();
        let secret = read_secret(&args.out).unwrap();
        assert_eq!(secret.len(), 32);
        assert!(run(&args).unwrap_err().to_string().contains("is there already"));
        assert_eq!(read_secret(&args.out).unwrap(), secret);
    }
}
