//! What a backup says of itself: of which node it is, what is in it, and the digest of each file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FORMAT, cannot, known};
use crate::error::{Code, EngineError, Result};
use crate::identity::files::create;

/// Its name in the backup.
const FILE: &str = "manifest.json";

/// The list of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the state in it.
    pub format: u32,
    /// The node.
    pub node: String,
    /// The release that made it.
    pub release: String,
    /// When, RFC 3339 in UTC.
    pub taken_at: String,
    /// The last record of the log in it, number and hash; `None` where the node keeps no log.
    pub audit_head: Option<String>,
    /// SHA-256 of each file, by its path in the backup.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// Of the files that are in a directory now.
    pub(super) fn of(directory: &Path, node: &str, audit_head: Option<String>) -> Result<Self> {
        let mut files = BTreeMap::new();
        for name in names(directory, "").map_err(|error| cannot(directory, &error))? {
            let path = directory.join(&name);
            let digest = digest(&path).map_err(|error| cannot(&path, &error))?;
            files.insert(name, digest);
        }
        Ok(Self {
            format: FORMAT,
            node: node.to_string(),
            release: env!("CARGO_PKG_VERSION").to_string(),
            taken_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            audit_head,
            files,
        })
    }

    /// When it was taken.
    pub(super) fn taken(&self) -> Result<SystemTime> {
        let taken = DateTime::parse_from_rfc3339(&self.taken_at).map_err(|_| {
            let sentence = format!("{FILE} does not say when the backup was taken: `{}` is no time", self.taken_at);
            EngineError::new(Code::Config, sentence)
        })?;
        let since = Duration::from_millis(u64::try_from(taken.timestamp_millis()).unwrap_or_default());
        Ok(UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH))
    }

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(EngineError::internal)?;
        create(&path, &text).map_err(|error| cannot(&path, &error))
    }

    /// Reads the list of a backup, and every file on it.
    ///
    /// # Errors
    /// `CONFIG` when it is of a later release, or a file is not as it was written.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read(&path).map_err(|error| cannot(&path, &error))?;
        let wrong = |what: String| EngineError::new(Code::Config, format!("{}: {what}", directory.display()));
        // The format first: what a later release writes beside it is not known here.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let unreadable = |_| wrong(format!("{FILE} is not that of a backup"));
        let Format { format } = serde_json::from_slice(&text).map_err(unreadable)?;
        known(format, &directory.display().to_string())?;
        let manifest: Self = serde_json::from_slice(&text).map_err(unreadable)?;
        for (name, expected) in &manifest.files {
            let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            if !is_below || name.is_empty() {
                return Err(wrong(format!("`{name}` is no file of a backup")));
            }
            let found = digest(&directory.join(name)).map_err(|error| cannot(&directory.join(name), &error))?;
            if found != *expected {
                return Err(wrong(format!("`{name}` is not as it was written")));
            }
        }
        Ok(manifest)
    }
}

/// The files below a directory, by their paths from it.
fn names(directory: &Path, below: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory.join(below))? {
        let entry = entry?;
        let own = entry.file_name().into_string().map_err(|_| io::Error::other("a file's name is not UTF-8"))?;
        let name = if below.is_empty() { own } else { format!("{below}/{own}") };
        if entry.file_type()?.is_dir() {
            found.extend(names(directory, &name)?);
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}
