//! Files that hold secrets: written whole or not at all, readable by their owner only.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces the file by `content` in one step. The new file has mode 0600 (`tempfile` makes it so).
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    write_beside(path, content)?.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes the file with mode 0600; fails when there is one already.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    write_beside(path, content)?.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// The directory that a file stands in, for a bare name the current one.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_beside(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(directory_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok(file)
}
