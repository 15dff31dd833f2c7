//! One `[[source.table]]`, from what is written to a checked table: path, format, delimited text, columns, partitions.

use std::path::{Component, Path};

use arrow::datatypes::DataType;
use encoding_rs::Encoding;

use super::config::{CsvFormat, DeclaredColumns, Format, TableConfig, TablePath};
use super::root::Root;
use crate::error::OptionFault;
use crate::options::OptionReader;

/// Checks the table at `position`; a table without a fault, or its faults.
pub(super) fn parse_table(
    options: &toml::Table,
    position: usize,
    root: Option<&Root>,
) -> (Option<TableConfig>, Vec<OptionFault>) {
    let mut reader = OptionReader::new(options, format!("table[{position}]."));
    let name = reader.required_text("name", "the table's name");
    let path = parse_path(&mut reader, root);
    if name == Some("") {
        reader.fault("name", "must not be empty");
    }
    let format = parse_format(&mut reader, path.as_ref(), root);
    let comment = reader.text("comment").map(str::to_owned);
    let column_comments = reader.text_by_name("column_comments").unwrap_or_default();
    let column_comments = column_comments.into_iter().map(|(name, comment)| (name.to_owned(), comment.to_owned()));
    let primary_key = parse_primary_key(&mut reader);
    let declared = parse_declared(&mut reader, format.as_ref());
    let partitions = parse_partitions(&mut reader);
    let table = match (name, path, format) {
        (Some(name), Some(path), Some(format)) => Some(TableConfig {
            name: name.to_owned(),
            path,
            format,
            comment,
            column_comments: column_comments.collect(),
            primary_key,
            declared,
            partitions,
        }),
        _ => None,
    };
    (table, reader.finish())
}

fn parse_primary_key(reader: &mut OptionReader<'_>) -> Vec<String> {
    let mut key: Vec<String> = Vec::new();
    let Some(written) = reader.texts("primary_key") else { return key };
    if written.is_empty() {
        reader.fault("primary_key", "names no column");
    }
    for column in written {
        if key.iter().any(|known| known == column) {
            reader.fault("primary_key", format!("names `{column}` twice"));
        }
        key.push(column.to_owned());
    }
    key
}

fn parse_path(reader: &mut OptionReader<'_>, root: Option<&Root>) -> Option<TablePath> {
    if reader.is_list("path") {
        return parse_files(reader, root);
    }
    let written = reader.required_text("path", "a file, a directory, a glob, or a list of files below the root")?;
    let path = parse_below(reader, written)?;
    if path.contains(['*', '?', '[']) {
        return match glob::Pattern::new(&path) {
            Ok(pattern) => Some(TablePath::Glob { prefix: glob_prefix(&path), pattern }),
            Err(error) => {
                reader.fault("path", format!("`{written}` is not a glob: {}", error.msg));
                None
            }
        };
    }
    match root? {
        Root::Directory(directory) if directory.has_file(&path) => Some(TablePath::File(path)),
        Root::Directory(directory) if directory.has_directory(&path) => Some(TablePath::Directory(path)),
        Root::Directory(_) => {
            reader.fault("path", format!("there is no file or directory `{written}` below the root"));
            None
        }
        // A store is not asked while a configuration is checked, so what is written has to say it.
        Root::Bucket(_) | Root::Server(_) if path.is_empty() || written.ends_with('/') => {
            Some(TablePath::Directory(path))
        }
        Root::Bucket(_) | Root::Server(_) => Some(TablePath::File(path)),
    }
}

fn parse_files(reader: &mut OptionReader<'_>, root: Option<&Root>) -> Option<TablePath> {
    let mut files = Vec::new();
    for written in reader.texts("path")? {
        let path = parse_below(reader, written)?;
        let is_missing = matches!(root, Some(Root::Directory(directory)) if !directory.has_file(&path));
        if is_missing || path.is_empty() {
            reader.fault("path", format!("there is no file `{written}` below the root"));
        }
        if files.contains(&path) {
            reader.fault("path", format!("names `{written}` twice"));
        }
        files.push(path);
    }
    if files.is_empty() {
        reader.fault("path", "names no file");
    }
    Some(TablePath::Files(files))
}

/// A path from the root as it is kept: without `.`, `..` and needless slashes.
fn parse_below(reader: &mut OptionReader<'_>, written: &str) -> Option<String> {
    let parts: Option<Vec<_>> = Path::new(written)
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    match parts {
        Some(parts) if !written.is_empty() => Some(parts.join("/")),
        _ => {
            reader.fault("path", format!("`{written}` must be relative to the root and must not contain `..`"));
            None
        }
    }
}

/// The directories before the first that has a wildcard.
fn glob_prefix(pattern: &str) -> String {
    let fixed: Vec<_> = pattern.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
    fixed.join("/")
}

fn parse_format(reader: &mut OptionReader<'_>, path: Option<&TablePath>, root: Option<&Root>) -> Option<Format> {
    let format = match reader.text("format") {
        Some("parquet") => Some(Format::Parquet),
        Some("csv") => Some(Format::Csv(CsvFormat::default())),
        Some("ndjson") => Some(Format::Ndjson),
        Some(other) => {
            reader.fault("format", format!("`{other}` is not a format; the formats are `parquet`, `csv`, `ndjson`"));
            None
        }
        None if reader.has("format") => None,
        None => infer_format(reader, path?, root?),
    };
    let csv = parse_csv(reader, format.as_ref());
    match format? {
        Format::Csv(_) => Some(Format::Csv(csv)),
        other => Some(other),
    }
}

fn infer_format(reader: &mut OptionReader<'_>, path: &TablePath, root: &Root) -> Option<Format> {
    let below = |directory: &str| match root {
        Root::Directory(root) => root.format_below(directory),
        Root::Bucket(_) | Root::Server(_) => None,
    };
    let format = match path {
        TablePath::File(path) => Format::of_extension(path),
        TablePath::Files(paths) => paths.first().and_then(|path| Format::of_extension(path)),
        TablePath::Glob { pattern, prefix } => Format::of_extension(pattern.as_str()).or_else(|| below(prefix)),
        TablePath::Directory(path) => below(path),
    };
    if format.is_none() {
        reader.fault("format", "the file names do not tell the format; write `parquet`, `csv` or `ndjson`");
    }
    format
}

fn parse_csv(reader: &mut OptionReader<'_>, format: Option<&Format>) -> CsvFormat {
    const KEYS: [&str; 5] = ["header", "delimiter", "quote", "encoding", "null_text"];
    let mut csv = CsvFormat::default();
    let has_header = reader.flag("header");
    let delimiter = parse_byte(reader, "delimiter");
    let quote = parse_byte(reader, "quote");
    let encoding = parse_encoding(reader);
    let null_texts = reader.texts("null_text");
    if let Some(format) = format.filter(|format| !matches!(format, Format::Csv(_))) {
        for key in KEYS.into_iter().filter(|key| reader.has(key)).collect::<Vec<_>>() {
            reader.fault(key, format!("is for csv; this table is {}", format.word()));
        }
    }
    csv.has_header = has_header.unwrap_or(csv.has_header);
    csv.delimiter = delimiter.unwrap_or(csv.delimiter);
    csv.quote = quote.unwrap_or(csv.quote);
    csv.encoding = encoding.unwrap_or(csv.encoding);
    if let Some(texts) = null_texts {
        csv.null_texts = texts.into_iter().map(str::to_owned).collect();
    }
    csv
}

fn parse_byte(reader: &mut OptionReader<'_>, key: &'static str) -> Option<u8> {
    let written = reader.text(key)?;
    match written.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Some(*byte),
        _ => {
            reader.fault(key, "must be one ASCII character");
            None
        }
    }
}

fn parse_encoding(reader: &mut OptionReader<'_>) -> Option<&'static Encoding> {
    let label = reader.text("encoding")?;
    let encoding = Encoding::for_label_no_replacement(label.as_bytes());
    if encoding.is_none() {
        reader.fault("encoding", format!("`{label}` is not an encoding; examples are `utf-8`, `gb18030`, `big5`"));
    }
    encoding
}

fn parse_declared(reader: &mut OptionReader<'_>, format: Option<&Format>) -> DeclaredColumns {
    let is_ordered = reader.is_list("schema");
    let written: Vec<(&str, &str)> = match is_ordered {
        true => {
            let items = reader.texts("schema").unwrap_or_default();
            items.into_iter().map(|item| item.split_once(':').unwrap_or((item, "Utf8"))).collect()
        }
        false => reader.text_by_name("schema").unwrap_or_default(),
    };
    if !written.is_empty() && format == Some(&Format::Parquet) {
        reader.fault("schema", "is for csv and ndjson; a parquet file declares its own types");
    }
    let columns = written
        .into_iter()
        .filter_map(|(name, written)| {
            let data_type = parse_type(reader, "schema", name, written)?;
            Some((name.to_owned(), data_type))
        })
        .collect();
    DeclaredColumns { columns, is_ordered }
}

fn parse_partitions(reader: &mut OptionReader<'_>) -> Option<Vec<(String, DataType)>> {
    let written = reader.texts("partitions")?;
    let parsed = written
        .into_iter()
        .filter_map(|item| match item.split_once(':') {
            Some((name, data_type)) => Some((name.to_owned(), parse_type(reader, "partitions", name, data_type)?)),
            None => Some((item.to_owned(), DataType::Utf8)),
        })
        .collect();
    Some(parsed)
}

fn parse_type(reader: &mut OptionReader<'_>, key: &str, column: &str, written: &str) -> Option<DataType> {
    match written.trim().parse::<DataType>() {
        Ok(data_type) if is_declarable(&data_type) => Some(data_type),
        _ => {
            reader.fault(
                key,
                format!(
                    "`{written}` of column `{column}` is not a type that can be declared; examples are `Utf8`, \
                     `Boolean`, `Int64`, `Float64`, `Decimal128(18, 2)`, `Date32`, `Timestamp(µs)`"
                ),
            );
            None
        }
    }
}

/// Types that text can be read as and that every client understands.
fn is_declarable(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Boolean | DataType::Decimal128(_, _) | DataType::Timestamp(_, _))
        || matches!(data_type, DataType::Date32 | DataType::Float32 | DataType::Float64)
        || data_type.is_integer()
}
