//! Files that may change while the node runs: read again when they have, and the last good ones serve when they cannot be.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::error::Result;

/// Files that could not be read are read again after this, changed or not: a permission that is mended, or a certificate that is
/// valid from now on, changes no file.
const RETRY: Duration = Duration::from_secs(5);

/// Files and what was last read from them.
pub(super) struct Reread<T> {
    paths: Vec<PathBuf>,
    read: Box<dyn Fn() -> Result<T> + Send + Sync>,
    loaded: Mutex<Loaded<T>>,
}

struct Loaded<T> {
    versions: Vec<Option<FileVersion>>,
    /// When they last could not be read, unless they were since.
    failed: Option<Instant>,
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
        Ok(Self { paths, read: Box::new(read), loaded: Mutex::new(Loaded { versions, failed: None, content }) })
    }

    /// The content as it is now. Files that became unreadable are warned about, and the last good content serves.
    pub(super) fn current(&self) -> Arc<T> {
        let mut loaded = self.loaded.lock();
        let versions = versions(&self.paths);
        let is_to_be_retried = loaded.failed.is_some_and(|failed| failed.elapsed() >= RETRY);
        if versions != loaded.versions || is_to_be_retried {
            loaded.versions = versions;
            loaded.failed = match (self.read)() {
                Ok(content) => {
                    loaded.content = Arc::new(content);
                    None
                }
                Err(error) => {
                    tracing::warn!(%error, "a file has changed and cannot be used; the last good one serves");
                    Some(Instant::now())
                }
            };
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
    /// Seconds and nanoseconds at which anything about it changed, its owner and permissions among that.
    changed: (i64, i64),
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let (modified, bytes) = (metadata.modified().ok(), metadata.len());
        Some(Self { modified, bytes, inode: inode(&metadata), changed: changed(&metadata) })
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

#[cfg(unix)]
fn changed(metadata: &Metadata) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> (i64, i64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::error::{Code, EngineError};

    #[test]
    fn what_could_not_be_read_is_read_again_though_no_file_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "old").unwrap();
        let is_good = Arc::new(AtomicBool::new(true));
        let (read, can_be_read) = (path.clone(), Arc::clone(&is_good));
        let reread = Reread::of(vec![path.clone()], move || match can_be_read.load(Ordering::Relaxed) {
            true => std::fs::read_to_string(&read).map_err(EngineError::internal),
            false => Err(EngineError::new(Code::Config, "not valid yet")),
        })
        .unwrap();
        is_good.store(false, Ordering::Relaxed);
        std::fs::write(&path, "renewed").unwrap();
        assert_eq!(*reread.current(), "old");
        is_good.store(true, Ordering::Relaxed);
        reread.loaded.lock().failed = Instant::now().checked_sub(RETRY);
        assert_eq!(*reread.current(), "renewed");
        assert_eq!(reread.loaded.lock().failed, None);
    }

    #[cfg(unix)]
    #[test]
    fn a_changed_permission_is_another_version() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "same").unwrap();
        let before = FileVersion::of(&path);
        // The clock of a file system ticks slowly.
        std::thread::sleep(Duration::from_millis(50));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_ne!(FileVersion::of(&path), before);
    }
}
