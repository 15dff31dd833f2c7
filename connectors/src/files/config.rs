//! Options of a `files` source, from what is written to checked types. Every fault is found here, before a table is read.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use arrow::datatypes::DataType;
use encoding_rs::Encoding;

use super::discover::{NO_TABLES, tables_of};
use super::root::{Directory, Root};
use super::table_options::parse_table;
use crate::error::OptionFault;
use crate::options::OptionReader;

/// A checked source.
#[derive(Debug, Clone)]
pub(super) struct FilesConfig {
    /// No file outside it is ever read.
    pub(super) root: Root,
    /// The declared tables; `None` if every file and directory directly below the root is a table.
    pub(super) declared: Option<Vec<TableConfig>>,
}

/// A checked table.
#[derive(Debug, Clone)]
pub(super) struct TableConfig {
    pub(super) name: String,
    /// INVARIANT: relative to the root, without `..`.
    pub(super) path: TablePath,
    pub(super) format: Format,
    pub(super) comment: Option<String>,
    /// What is said about columns, by their names.
    pub(super) column_comments: BTreeMap<String, String>,
    /// The columns that tell each row from all others, by the owner's word; empty if nothing is said.
    pub(super) primary_key: Vec<String>,
    /// Columns whose types are declared; only for text formats.
    pub(super) declared: DeclaredColumns,
    /// Columns whose values are in directory names, with their types; `None` if the names tell and the types are text.
    pub(super) partitions: Option<Vec<(String, DataType)>>,
}

/// Columns of a text file whose types are declared.
#[derive(Debug, Clone, Default)]
pub(super) struct DeclaredColumns {
    pub(super) columns: Vec<(String, DataType)>,
    /// Written as a list, which says the order of columns where the files themselves have none.
    pub(super) is_ordered: bool,
}

/// Where a table's files are, below the root.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TablePath {
    File(String),
    Files(Vec<String>),
    Directory(String),
    /// All files below `prefix` whose path from the root matches.
    Glob {
        prefix: String,
        pattern: glob::Pattern,
    },
}

/// How a table's files are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    Parquet,
    Csv(CsvFormat),
    Ndjson,
}

/// How delimited text is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CsvFormat {
    pub(super) has_header: bool,
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) encoding: &'static Encoding,
    /// Texts that mean NULL; the empty text if none are declared.
    pub(super) null_texts: Vec<String>,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            has_header: true,
            delimiter: b',',
            quote: b'"',
            encoding: encoding_rs::UTF_8,
            null_texts: vec![String::new()],
        }
    }
}

impl Format {
    /// The format that a file's extension stands for.
    pub(super) fn of_extension(path: &str) -> Option<Self> {
        let extension = Path::new(path).extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv(CsvFormat::default())),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// The word for it in a configuration.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv(_) => "csv",
            Self::Ndjson => "ndjson",
        }
    }
}

impl FilesConfig {
    /// Checks `options`; relative roots start from `base`.
    pub(super) fn parse(options: &toml::Table, base: &Path) -> Result<Self, Vec<OptionFault>> {
        let mut reader = OptionReader::new(options, "");
        let root = Root::parse(&mut reader, base);
        let written = reader.tables("table");
        let mut tables = Vec::new();
        for (position, table) in written.iter().enumerate() {
            let (table, faults) = parse_table(table, position, root.as_ref());
            tables.extend(table);
            reader.extend(faults);
        }
        reader.extend(repeated_names(&tables));
        let declared = (!written.is_empty()).then_some(tables);
        if let (None, Some(Root::Directory(directory))) = (&declared, &root) {
            reader.extend(undeclared(directory));
        }
        let faults = reader.finish();
        match root {
            Some(root) if faults.is_empty() => Ok(Self { root, declared }),
            _ => Err(faults),
        }
    }
}

/// Two tables of one name: of the second, a fault.
pub(super) fn repeated_names(tables: &[TableConfig]) -> Vec<OptionFault> {
    let mut seen = HashSet::new();
    tables
        .iter()
        .filter(|table| !seen.insert(table.name.as_str()))
        .map(|table| OptionFault::new("table", format!("two tables are named `{}`; rename one", table.name)))
        .collect()
}

/// What is wrong with the tables that a directory itself tells.
fn undeclared(directory: &Directory) -> Vec<OptionFault> {
    match directory.entries() {
        Ok(entries) if entries.is_empty() => vec![OptionFault::new("root", NO_TABLES)],
        Ok(entries) => repeated_names(&tables_of(entries)),
        Err(error) => vec![OptionFault::new("root", format!("cannot be listed: {}", error.kind()))],
    }
}
