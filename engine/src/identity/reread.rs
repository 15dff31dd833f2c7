//! A file that may change while the node runs: read again when it has, and the last good one serves when it cannot be.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::Result;

/// A file and what was last read from it.
#[derive(Debug)]
pub(super) struct Reread<T> {
    path: PathBuf,
    read: fn(&Path) -> Result<T>,
    loaded: Mutex<Loaded<T>>,
}

#[derive(Debug)]
struct Loaded<T> {
    version: Option<FileVersion>,
    content: Arc<T>,
}

impl<T> Reread<T> {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf, read: fn(&Path) -> Result<T>) -> Result<Self> {
        let version = FileVersion::of(&path);
        let content = Arc::new(read(&path)?);
        Ok(Self { path, read, loaded: Mutex::new(Loaded { version, content }) })
    }

    /// The content as it is now. A file that became unreadable is warned about, and the last good content serves.
    pub(super) fn current(&self) -> Arc<T> {
        let mut loaded = self.loaded.lock();
        let version = FileVersion::of(&self.path);
        if version != loaded.version {
            loaded.version = version;
            match (self.read)(&self.path) {
                Ok(content) => loaded.content = Arc::new(content),
                Err(error) => tracing::warn!(%error, "a file has changed and cannot be used; the last good one serves"),
            }
        }
        Arc::clone(&loaded.content)
    }
}

/// What tells one content of a file from the next; the inode, because files are replaced and not written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode: inode(&metadata) })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
