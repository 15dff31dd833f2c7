//! Which tables a root holds when none are declared, and which format a directory is in: looks at names, opens nothing.

use std::fs;
use std::path::Path;

use super::config::{DeclaredColumns, Format, TableConfig, TablePath};

/// How deep a directory is searched for a file that tells its format.
const DEPTH_MAX: usize = 16;

/// Every data file and every directory of data files directly below `root`, a table each, named by its stem and sorted
/// by name. Files of other kinds are not tables; neither is what begins with `.` or `_`.
pub(super) fn discover(root: &Path) -> Result<Vec<TableConfig>, String> {
    let mut tables: Vec<_> = visible_entries(root)
        .map_err(|error| format!("cannot be listed: {}", error.kind()))?
        .into_iter()
        .filter_map(|name| table_of(root, &name))
        .collect();
    if tables.is_empty() {
        return Err("holds no parquet, csv or ndjson file; correct `root`, or declare `[[source.table]]`".to_owned());
    }
    tables.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(tables)
}

/// The format of the first data file below `directory`.
pub(super) fn format_below(directory: &Path) -> Option<Format> {
    format_within(directory, DEPTH_MAX)
}

/// Whether a file or directory is left alone: work in progress, marks of writers, hidden files.
pub(super) fn is_hidden(name: &str) -> bool {
    // A directory such as `_region=north` is a partition, not a mark.
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

fn table_of(root: &Path, entry: &str) -> Option<TableConfig> {
    let path = root.join(entry);
    let (name, path, format) = if path.is_dir() {
        (entry.to_owned(), TablePath::Directory(entry.to_owned()), format_below(&path)?)
    } else {
        let stem = path.file_stem()?.to_str()?.to_owned();
        (stem, TablePath::File(entry.to_owned()), Format::of_extension(entry)?)
    };
    Some(TableConfig { name, path, format, comment: None, declared: DeclaredColumns::default(), partitions: None })
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
fn visible_entries(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        if let Some(name) = entry?.file_name().to_str().filter(|name| !is_hidden(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
