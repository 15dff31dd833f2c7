//! Files that may change while the node runs: read again when they have, and the last good ones serve when they cannot be.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::Result;

/// Files and what was last read from them.
pub(super) struct Reread<T> {
    paths: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T> + Send + Sync>,
    loaded: Mutex<Loaded<T>>,
}

struct Loaded<T> {
    versions: Vec<Option<FileVersion>>,
    content: Arc<T>,
}

impl<T> fmt::Debug for Reread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl<T: 'static> Reread<T> {
    /// Reads the file for the first time.
    pub(super) fn open(path: PathBuf, read: fn(&Path) -> Result<T>) -> Result<Self> {
        Self::of(vec![path.clone()], move || read(&path))
    }

    /// Reads for the first time what stands in several files, which change one after another.
    pub(super) fn of(paths: Vec<PathBuf>, read: impl Fn() -> Result<T> + Send + Sync + 'static) -> Result<Self> {
        let versions = versions(&paths);
        let content = Arc::new(read()?);
        Ok(Self { paths, read: Box::new(read), loaded: Mutex::new(Loaded { versions, content }) })
    }

    /// The content as it is now. Files that became unreadable are warned about, and the last good content serves.
    pub(super) fn current(&self) -> Arc<T> {
        let mut loaded = self.loaded.lock();
        let versions = versions(&self.paths);
        if versions != loaded.versions {
            loaded.versions = versions;
            match (self.read)() {
                Ok(content) => loaded.content = Arc::new(content),
                Err(error) => tracing::warn!(%error, "a file has changed and cannot be used; the last good one serves"),
            }
        }
        Arc::clone(&loaded.content)
    }
}

fn versions(paths: &[PathBuf]) -> Vec<Option<FileVersion>> {
    paths.iter().map(|path| FileVersion::of(path)).collect()
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
