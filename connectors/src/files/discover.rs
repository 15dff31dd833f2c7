//! Which tables a root holds when none are declared: every data file and every directory of data files directly below it.

use std::collections::BTreeMap;

use super::config::{DeclaredColumns, Format, TableConfig, TablePath};

/// One thing directly below a root that is a table.
#[derive(Debug)]
pub(super) enum Entry {
    /// A file whose name tells its format.
    File { name: String, stem: String, format: Format },
    /// A directory, and the format of the first data file in it.
    Directory(String, Format),
}

impl Entry {
    /// The file `name`, unless it is hidden or no data file by its name.
    pub(super) fn file(name: &str) -> Option<Self> {
        let format = Format::of_extension(name).filter(|_| !is_hidden(name))?;
        let (stem, _) = name.rsplit_once('.')?;
        Some(Self::File { name: name.to_owned(), stem: stem.to_owned(), format })
    }

    /// What the table is called.
    pub(super) fn table_name(&self) -> &str {
        match self {
            Self::File { stem, .. } => stem,
            Self::Directory(name, _) => name,
        }
    }
}

/// A table for each entry, sorted by name.
pub(super) fn tables_of(entries: Vec<Entry>) -> Vec<TableConfig> {
    let mut tables: Vec<_> = entries.into_iter().map(table_of).collect();
    tables.sort_by(|left, right| left.name.cmp(&right.name));
    tables
}

/// What is wrong with a root that holds no table.
pub(super) const NO_TABLES: &str =
    "holds no parquet, csv or ndjson file; correct `root`, or declare `[[source.table]]`";

/// Whether a file or directory is left alone: work in progress, marks of writers, hidden files.
pub(super) fn is_hidden(name: &str) -> bool {
    // A directory such as `_region=north` is a partition, not a mark.
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

fn table_of(entry: Entry) -> TableConfig {
    let name = entry.table_name().to_owned();
    let (path, format) = match entry {
        Entry::File { name, format, .. } => (TablePath::File(name), format),
        Entry::Directory(name, format) => (TablePath::Directory(name), format),
    };
    TableConfig {
        name,
        path,
        format,
        comment: None,
        column_comments: BTreeMap::new(),
        primary_key: Vec::new(),
        declared: DeclaredColumns::default(),
        partitions: None,
    }
}
