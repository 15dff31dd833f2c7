//! The files of one table as they are now: which they are, which version of each, and what their directories say.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::ScalarValue;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;

use super::config::{Format, TableConfig, TablePath};
use super::discover::is_hidden;
use super::root::OpenRoot;
use crate::error::ConnectorError;

/// The directory name that writers use for a partition column that is NULL.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The most files that one table has.
const FILES_MAX: usize = 100_000;
/// Files that are asked for their version at the same time.
const FILES_AT_ONCE: usize = 8;

/// All files of a table, sorted by path.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) files: Vec<ListedFile>,
    /// Columns whose values stand in directory names, in the order of the directories.
    pub(super) partitions: Vec<FieldRef>,
}

/// One version of one file, which later reads insist on.
#[derive(Debug, Clone)]
pub(super) struct ListedFile {
    pub(super) meta: ObjectMeta,
    /// One value for each of [`Listing::partitions`].
    pub(super) partition_values: Vec<ScalarValue>,
}

impl ListedFile {
    /// The path from the root, for messages.
    pub(super) fn shown(&self) -> &str {
        self.meta.location.as_ref()
    }
}

/// Lists the files of `table`.
///
/// # Errors
/// A file that cannot be read or lies outside the root, a directory without files, a file that is not of the table's
/// format, directories that do not agree on the partition columns: each is named, none is skipped.
pub(super) async fn list(root: &OpenRoot, table: &TableConfig) -> Result<Listing, ConnectorError> {
    let mut found = match &table.path {
        TablePath::File(path) => vec![root.file(path).await?],
        TablePath::Files(paths) => in_turn(paths.iter().map(|path| root.file(path)).collect()).await?,
        TablePath::Directory(path) => below(root, path, table).await?,
        TablePath::Glob { prefix, .. } => below(root, prefix, table).await?,
    };
    found.sort_by(|left, right| left.location.cmp(&right.location));
    for file in &found {
        root.refuse_outside(file).await?;
        // There may be very many.
        tokio::task::coop::consume_budget().await;
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

/// The files of `table` below a directory.
async fn below(root: &OpenRoot, directory: &str, table: &TableConfig) -> Result<Vec<ObjectMeta>, ConnectorError> {
    let of_table = root.below(directory).try_filter(|file| {
        let is_of_table = is_of_table(file.location.as_ref(), &table.path);
        std::future::ready(is_of_table)
    });
    let found: Vec<_> = of_table.take(FILES_MAX + 1).try_collect().await?;
    if found.len() > FILES_MAX {
        return Err(ConnectorError::invalid_data(
            shown_path(&table.path),
            format!("holds more than {FILES_MAX} files"),
            "write fewer, larger files, or make several tables of them by globs",
        ));
    }
    // Some listings do not tell the version of what they list.
    in_turn(found.into_iter().map(|file| told(root, file)).collect()).await
}

/// `file` with what tells its version, which is asked for where the listing does not say it.
async fn told(root: &OpenRoot, file: ObjectMeta) -> Result<ObjectMeta, ConnectorError> {
    if file.e_tag.is_some() {
        return Ok(file);
    }
    root.file(file.location.as_ref()).await
}

async fn in_turn(
    files: Vec<impl Future<Output = Result<ObjectMeta, ConnectorError>>>,
) -> Result<Vec<ObjectMeta>, ConnectorError> {
    stream::iter(files).buffered(FILES_AT_ONCE).try_collect().await
}

fn is_of_table(shown: &str, path: &TablePath) -> bool {
    let below = |prefix: &str| shown.strip_prefix(prefix).unwrap_or(shown).split('/').any(is_hidden);
    match path {
        TablePath::File(_) | TablePath::Files(_) => true,
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

/// In a directory every file is data. A glob or a single file has been chosen by name, so any name will do.
fn refuse_other_format(file: &ObjectMeta, table: &TableConfig) -> Result<(), ConnectorError> {
    let is_directory = matches!(table.path, TablePath::Directory(_));
    let word = Format::of_extension(file.location.as_ref()).map(|format| format.word());
    if !is_directory || word == Some(table.format.word()) {
        return Ok(());
    }
    Err(ConnectorError::invalid_data(
        file.location.as_ref(),
        format!("is not a {} file by its name", table.format.word()),
        "move it away, or choose the table's files by a glob such as `path = \"directory/*.csv\"`",
    ))
}

fn with_partitions(found: Vec<ObjectMeta>, table: &TableConfig) -> Result<Listing, ConnectorError> {
    let columns = match (&table.partitions, found.first()) {
        (Some(declared), _) => declared.clone(),
        (None, Some(first)) => partition_segments(first.location.as_ref(), &table.path)
            .map(|(name, _)| (name.to_owned(), DataType::Utf8))
            .collect(),
        (None, None) => Vec::new(),
    };
    let with_values = |meta: ObjectMeta| {
        let partition_values = partition_values(meta.location.as_ref(), &columns, &table.path)?;
        Ok(ListedFile { meta, partition_values })
    };
    let files: Vec<_> = found.into_iter().map(with_values).collect::<Result<_, ConnectorError>>()?;
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
        TablePath::File(path) => path.as_str(),
        TablePath::Files(_) => "",
        TablePath::Directory(prefix) | TablePath::Glob { prefix, .. } => prefix,
    };
    let below = shown.strip_prefix(prefix).unwrap_or(shown);
    let directories = below.rsplit_once('/').map_or("", |(directories, _)| directories);
    directories.split('/').filter_map(|segment| segment.split_once('='))
}

fn partition_values(
    shown: &str,
    columns: &[(String, DataType)],
    path: &TablePath,
) -> Result<Vec<ScalarValue>, ConnectorError> {
    let segments: Vec<_> = partition_segments(shown, path).collect();
    let names_agree = segments.iter().map(|(name, _)| *name).eq(columns.iter().map(|(name, _)| name.as_str()));
    if !names_agree {
        let expected: Vec<_> = columns.iter().map(|(name, _)| format!("{name}=…")).collect();
        return Err(ConnectorError::invalid_data(
            shown,
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
                    shown,
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
        TablePath::Files(paths) => paths.first().map_or("", String::as_str),
        TablePath::Glob { pattern, .. } => pattern.as_str(),
    }
}
