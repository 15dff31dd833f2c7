//! A local directory: what it holds is looked at while the configuration is checked, and links lead about within it only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;

use super::local::LocalFiles;
use crate::error::ConnectorError;
use crate::files::config::Format;
use crate::files::discover::{Entry, is_hidden};
use crate::options::OptionReader;
use crate::waiting::this_thread_may_wait;

/// How deep a directory is searched for a file that tells its format.
const DEPTH_MAX: usize = 16;

/// A directory of this machine.
#[derive(Debug, Clone)]
pub(in crate::files) struct Directory {
    /// INVARIANT: canonical, an existing directory. No file outside it is ever read.
    path: PathBuf,
}

impl Directory {
    pub(super) fn parse(reader: &mut OptionReader<'_>, written: &str, base: &Path) -> Option<Self> {
        match base.join(written).canonicalize() {
            Ok(path) if path.is_dir() => Some(Self { path }),
            Ok(_) => {
                reader.fault("root", format!("`{written}` is not a directory"));
                None
            }
            Err(error) => {
                reader.fault("root", format!("`{written}` cannot be opened: {}", error.kind()));
                None
            }
        }
    }

    pub(super) fn open(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(LocalFiles::below(&self.path)?))
    }

    pub(in crate::files) fn has_file(&self, path: &str) -> bool {
        self.path.join(path).is_file()
    }

    pub(in crate::files) fn has_directory(&self, path: &str) -> bool {
        self.path.join(path).is_dir()
    }

    /// The format of the first data file below `path`.
    pub(in crate::files) fn format_below(&self, path: &str) -> Option<Format> {
        format_within(&self.path.join(path), DEPTH_MAX)
    }

    /// The data files directly below, and the directories that hold some; looks at names, opens nothing.
    pub(in crate::files) fn entries(&self) -> io::Result<Vec<Entry>> {
        Ok(visible_entries(&self.path)?.into_iter().filter_map(|name| self.entry(name)).collect())
    }

    fn entry(&self, name: String) -> Option<Entry> {
        if self.has_directory(&name) {
            let format = self.format_below(&name)?;
            return Some(Entry::Directory(name, format));
        }
        Entry::file(&name)
    }

    pub(super) async fn refuse_outside(&self, location: &ObjectPath) -> Result<(), ConnectorError> {
        let path = self.path.join(location.as_ref());
        let real = if this_thread_may_wait() { path.canonicalize() } else { tokio::fs::canonicalize(&path).await };
        if real.map_err(|error| ConnectorError::unavailable(location.as_ref(), error))?.starts_with(&self.path) {
            return Ok(());
        }
        Err(ConnectorError::invalid_data(
            location.as_ref(),
            "leads out of the source's root",
            "remove the link, or make its target's directory the root",
        ))
    }
}

fn format_within(directory: &Path, depth: usize) -> Option<Format> {
    let entries = visible_entries(directory).ok()?;
    entries.iter().find_map(|name| {
        let path = directory.join(name);
        if path.is_dir() {
            return if depth == 0 { None } else { format_within(&path, depth - 1) };
        }
        Format::of_extension(name)
    })
}

/// Sorted, so that the same directory is always read in the same way.
fn visible_entries(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Some(name) = entry?.file_name().to_str().filter(|name| !is_hidden(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
