//! The files of one table as they are now: which they are, which version of each, and what their directories say.

use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::config::{Format, TableConfig, TablePath};
use super::discover::is_hidden;
use crate::error::ConnectorError;

/// The directory name that writers use for a partition column that is NULL.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// All files of a table, sorted by path.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) files: Vec<ListedFile>,
    /// Columns whose values stand in directory names, in the order of the directories.
    pub(super) partitions: Vec<FieldRef>,
}

/// One version of one file. Its `e_tag` (inode, time of change, size) is what later reads insist on.
#[derive(Debug, Clone)]
pub(super) struct ListedFile {
    pub(super) meta: ObjectMeta,
    /// The path below the root, for messages.
    pub(super) shown: String,
    /// One value for each of [`Listing::partitions`].
    pub(super) partition_values: Vec<ScalarValue>,
}

/// Lists the files of `table` below `root`.
///
/// # Errors
/// A file that cannot be read or lies outside the root, a directory without files, a file that is not of the table's
/// format, directories that do not agree on the partition columns: each is named, none is skipped.
pub(super) async fn list(store: &dyn ObjectStore, root: &Path, table: &TableConfig) -> Result<Listing, ConnectorError> {
    let mut found = match &table.path {
        TablePath::File(path) => vec![find_file(store, root, path).await?],
        TablePath::Directory(path) => find_below(store, root, path).await?,
        TablePath::Glob { prefix, .. } => find_below(store, root, prefix).await?,
    };
    found.retain(|file| is_of_table(&file.shown, &table.path));
    found.sort_by(|left, right| left.shown.cmp(&right.shown));
    for file in &found {
        refuse_outside(root, file).await?;
        refuse_other_format(file, table)?;
    }
    if found.is_empty() {
        return Err(ConnectorError::invalid_data(
            shown_path(&table.path),
            "holds no files",
            "add the table's files, or correct its `path`",
        ));
    }
    with_partitions(found, table)
}

async fn find_file(store: &dyn ObjectStore, root: &Path, path: &str) -> Result<ListedFile, ConnectorError> {
    let location = object_path(&root.join(path), path)?;
    let meta = store.head(&location).await.map_err(|error| ConnectorError::unavailable(path, error))?;
    Ok(ListedFile { meta, shown: path.to_owned(), partition_values: Vec::new() })
}

async fn find_below(store: &dyn ObjectStore, root: &Path, prefix: &str) -> Result<Vec<ListedFile>, ConnectorError> {
    let directory = object_path(&root.join(prefix), prefix)?;
    let base = object_path(root, prefix)?;
    store
        .list(Some(&directory))
        .map_err(|error| ConnectorError::unavailable(prefix, error))
        .map(|meta| {
            let meta = meta?;
            let shown = match meta.location.prefix_match(&base) {
                Some(parts) => parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"),
                None => meta.location.to_string(),
            };
            Ok(ListedFile { meta, shown, partition_values: Vec::new() })
        })
        .try_collect()
        .await
}

fn object_path(path: &Path, shown: &str) -> Result<ObjectPath, ConnectorError> {
    ObjectPath::from_absolute_path(path).map_err(|error| ConnectorError::unavailable(shown, error))
}

fn is_of_table(shown: &str, path: &TablePath) -> bool {
    let below = |prefix: &str| shown.strip_prefix(prefix).unwrap_or(shown).split('/').any(is_hidden);
    match path {
        TablePath::File(_) => true,
        TablePath::Directory(prefix) => !below(prefix),
        TablePath::Glob { prefix, pattern } => {
            let options = glob::MatchOptions {
                case_sensitive: true,
                require_literal_separator: true,
                require_literal_leading_dot: true,
            };
            !below(prefix) && pattern.matches_with(shown, options)
        }
    }
}

/// The fence: links may point about within the root, never out of it.
async fn refuse_outside(root: &Path, file: &ListedFile) -> Result<(), ConnectorError> {
    let path = PathBuf::from(format!("/{}", file.meta.location));
    let real = tokio::fs::canonicalize(&path).await.map_err(|error| ConnectorError::unavailable(&file.shown, error))?;
    if real.starts_with(root) {
        return Ok(());
    }
    Err(ConnectorError::invalid_data(
        &file.shown,
        "leads out of the source's root",
        "remove the link, or make its target's directory the root",
    ))
}

/// In a directory every file is data. A glob or a single file has been chosen by name, so any name will do.
fn refuse_other_format(file: &ListedFile, table: &TableConfig) -> Result<(), ConnectorError> {
    let is_directory = matches!(table.path, TablePath::Directory(_));
    let word = Format::of_extension(&file.shown).map(|format| format.word());
    if !is_directory || word == Some(table.format.word()) {
        return Ok(());
    }
    Err(ConnectorError::invalid_data(
        &file.shown,
        format!("is not a {} file by its name", table.format.word()),
        "move it away, or choose the table's files by a glob such as `path = \"directory/*.csv\"`",
    ))
}

fn with_partitions(mut files: Vec<ListedFile>, table: &TableConfig) -> Result<Listing, ConnectorError> {
    let columns = match (&table.partitions, files.first()) {
        (Some(declared), _) => declared.clone(),
        (None, Some(first)) => {
            partition_segments(&first.shown, &table.path).map(|(name, _)| (name.to_owned(), DataType::Utf8)).collect()
        }
        (None, None) => Vec::new(),
    };
    for file in &mut files {
        file.partition_values = partition_values(file, &columns, &table.path)?;
    }
    let partitions = columns
        .iter()
        .enumerate()
        .map(|(position, (name, data_type))| {
            let has_null =
                files.iter().any(|file| file.partition_values.get(position).is_some_and(ScalarValue::is_null));
            FieldRef::new(Field::new(name, data_type.clone(), has_null))
        })
        .collect();
    Ok(Listing { files, partitions })
}

/// `name=value` of every directory below the table's own.
fn partition_segments<'a>(shown: &'a str, path: &TablePath) -> impl Iterator<Item = (&'a str, &'a str)> {
    let prefix = match path {
        TablePath::File(path) => path,
        TablePath::Directory(prefix) | TablePath::Glob { prefix, .. } => prefix,
    };
    let below = shown.strip_prefix(prefix.as_str()).unwrap_or(shown);
    let directories = below.rsplit_once('/').map_or("", |(directories, _)| directories);
    directories.split('/').filter_map(|segment| segment.split_once('='))
}

fn partition_values(
    file: &ListedFile,
    columns: &[(String, DataType)],
    path: &TablePath,
) -> Result<Vec<ScalarValue>, ConnectorError> {
    let segments: Vec<_> = partition_segments(&file.shown, path).collect();
    let names_agree = segments.iter().map(|(name, _)| *name).eq(columns.iter().map(|(name, _)| name.as_str()));
    if !names_agree {
        let expected: Vec<_> = columns.iter().map(|(name, _)| format!("{name}=…")).collect();
        return Err(ConnectorError::invalid_data(
            &file.shown,
            format!("its directories should be `{}/`", expected.join("/")),
            "move the file, or correct the table's `partitions`",
        ));
    }
    segments
        .into_iter()
        .zip(columns)
        .map(|((_, written), (name, data_type))| {
            partition_value(written, data_type).ok_or_else(|| {
                ConnectorError::invalid_data(
                    &file.shown,
                    format!("`{written}` is not a {data_type} for column `{name}`"),
                    "rename the directory, or declare another type in `partitions`",
                )
            })
        })
        .collect()
}

fn partition_value(written: &str, data_type: &DataType) -> Option<ScalarValue> {
    if written == NULL_PARTITION {
        return ScalarValue::try_new_null(data_type).ok();
    }
    let decoded = percent_encoding::percent_decode_str(written).decode_utf8().ok()?;
    ScalarValue::try_from_string(decoded.into_owned(), data_type).ok().filter(|value| !value.is_null())
}

fn shown_path(path: &TablePath) -> &str {
    match path {
        TablePath::File(path) | TablePath::Directory(path) => path,
        TablePath::Glob { pattern, .. } => pattern.as_str(),
    }
}
