//! What a site publishes of itself: tables, schemas and statistics, as one message that a coordinator keeps.
//!
//! The message is JSON; schemas and bounds travel inside it as Arrow IPC, so that every type survives.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connectors::connector::{ForeignKey, TableDescription};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use serde::{Deserialize, Serialize};

use crate::catalog::notes::Notes;
use crate::catalog::treatment::TableTreatment;
use crate::error::{Code, EngineError, Result};
use crate::flight::guard::Guard;

/// The action by which a coordinator asks for a [`View`].
pub const VIEW_ACTION: &str = "chancery.view";
/// The action by which a coordinator asks for a [`Directory`].
pub const DIRECTORY_ACTION: &str = "chancery.directory";

/// The tables that exist at a site, for the coordinator's own eyes: no statistics, nothing about anyone's rights.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The site's name.
    pub site: String,
    /// Every table, in the order of source and name.
    pub tables: Vec<DirectoryTable>,
}

/// A table of a [`Directory`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryTable {
    /// The source, which is the SQL schema.
    pub source: String,
    /// The table's name.
    pub name: String,
    /// The table's columns as an Arrow IPC stream without batches, base64.
    pub columns: String,
    /// What the department says about the table.
    pub comment: Option<String>,
    /// How much a scan reads: the number of decimal digits of the row count, 0 for unknown.
    pub cost_class: u8,
}

/// What one subject may see of a site, at one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The site's name.
    pub site: String,
    /// Every visible table, in the order of source and name.
    pub tables: Vec<ViewTable>,
    /// Whether the site keeps a record, `system.audit`.
    pub keeps_record: bool,
    /// Why nothing is visible, when it is the purpose: none was chosen, or one that the subject does not hold there.
    pub purpose: Option<String>,
}

/// A table of a [`View`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewTable {
    /// The source, which is the SQL schema.
    pub source: String,
    /// The table's name.
    pub name: String,
    /// Changes when the table's schema or content does; a fragment carries it, and a site that has moved on says so.
    pub version: String,
    /// Whether it is a view. Left out where it is none, as of most of a federation's hundreds of thousands of tables.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_view: bool,
    /// What the department says about the table.
    pub comment: Option<String>,
    /// What else the department says about it and its columns.
    pub notes: Notes,
    /// The columns of its primary key, in the key's order, if it has one that the asker sees in the clear.
    pub primary_key: Vec<String>,
    /// The keys of other tables that it holds, where the asker sees both in the clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_keys: Vec<ForeignKey>,
    /// Whether a version is of the rows, too: two statements at one version read the same.
    pub has_pinned_rows: bool,
    /// Rows, when the site knows or estimates them.
    pub rows: Option<Count>,
    /// Bytes of the whole table, when known.
    pub bytes: Option<Count>,
    /// Counts per column, in the order of the schema.
    pub columns: Vec<ColumnCounts>,
    /// An Arrow IPC stream of two rows, the least and the greatest value of each column (null where unknown); its
    /// schema is the table's, all columns nullable.
    pub bounds: String,
    /// Nullability per column, in the order of the schema.
    pub nullable: Vec<bool>,
    /// In which form the asker sees it.
    pub treatment: TableTreatment,
}

/// A count and whether it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// The number.
    pub value: usize,
    /// Whether it is exact.
    pub exact: bool,
}

/// What is known of a column beside its bounds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnCounts {
    /// Rows in which the column is null.
    pub nulls: Option<Count>,
    /// Different values.
    pub distinct: Option<Count>,
}

impl DirectoryTable {
    /// The entry of one table of `source`.
    pub fn new(source: &str, table: &TableDescription) -> Result<Self> {
        Ok(Self {
            source: source.to_string(),
            name: table.name.clone(),
            columns: encode(&table.schema, None)?,
            comment: table.comment.clone(),
            cost_class: table.statistics.num_rows.get_value().map_or(0, |rows| decimal_digits(*rows)),
        })
    }
}

fn decimal_digits(rows: usize) -> u8 {
    u8::try_from(rows.max(1).ilog10() + 1).unwrap_or(u8::MAX)
}

impl ViewTable {
    /// The entry of one table of `source`, described as the asker may know it.
    pub fn new(
        source: &str,
        table: &TableDescription,
        (treatment, notes): (TableTreatment, Notes),
        has_pinned_rows: bool,
    ) -> Result<Self> {
        let statistics = &table.statistics;
        Ok(Self {
            source: source.to_string(),
            name: table.name.clone(),
            version: table.version.clone(),
            is_view: table.is_view,
            comment: table.comment.clone(),
            notes,
            primary_key: table.primary_key.clone(),
            foreign_keys: table.foreign_keys.clone(),
            has_pinned_rows,
            rows: count(&statistics.num_rows),
            bytes: count(&statistics.total_byte_size),
            columns: statistics.column_statistics.iter().map(column_counts).collect(),
            bounds: encode(&table.schema, Some(statistics))?,
            nullable: table.schema.fields().iter().map(|field| field.is_nullable()).collect(),
            treatment,
        })
    }

    /// The table's schema and statistics.
    ///
    /// # Errors
    /// `SITE_PROTOCOL` for a message that does not fit together.
    pub fn decode(&self) -> Result<(SchemaRef, Statistics)> {
        let (bounds_schema, bounds) = decode(&self.bounds)?;
        if bounds_schema.fields().len() != self.nullable.len() {
            return Err(EngineError::new(
                Code::SiteProtocol,
                format!("the view of table `{}.{}` does not fit together", self.source, self.name),
            ));
        }
        let fields: Vec<Field> = bounds_schema
            .fields()
            .iter()
            .zip(&self.nullable)
            .map(|(field, nullable)| field.as_ref().clone().with_nullable(*nullable))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = precision(self.rows);
        statistics.total_byte_size = precision(self.bytes);
        for (index, column) in statistics.column_statistics.iter_mut().enumerate() {
            let counts = self.columns.get(index).copied().unwrap_or_default();
            *column = column_statistics(counts, bounds.as_ref().map(|batch| batch.column(index)))?;
        }
        Ok((schema, statistics))
    }
}

fn count(precision: &Precision<usize>) -> Option<Count> {
    match precision {
        Precision::Exact(value) => Some(Count { value: *value, exact: true }),
        Precision::Inexact(value) => Some(Count { value: *value, exact: false }),
        Precision::Absent => None,
    }
}

/// Statistics of a remote table are inexact for the coordinator, however exact the site knew them: rows may change
/// between the view and the scan, and no answer may be made of statistics.
fn precision(count: Option<Count>) -> Precision<usize> {
    count.map_or(Precision::Absent, |count| Precision::Inexact(count.value))
}

fn column_counts(column: &ColumnStatistics) -> ColumnCounts {
    ColumnCounts { nulls: count(&column.null_count), distinct: count(&column.distinct_count) }
}

fn column_statistics(counts: ColumnCounts, bounds: Option<&ArrayRef>) -> Result<ColumnStatistics> {
    let mut column = ColumnStatistics::new_unknown();
    column.null_count = precision(counts.nulls);
    column.distinct_count = precision(counts.distinct);
    if let Some(bounds) = bounds.filter(|array| array.len() == 2) {
        column.min_value = bound(bounds, 0)?;
        column.max_value = bound(bounds, 1)?;
    }
    Ok(column)
}

fn bound(bounds: &ArrayRef, row: usize) -> Result<Precision<ScalarValue>> {
    Ok(if bounds.is_null(row) {
        Precision::Absent
    } else {
        Precision::Inexact(ScalarValue::try_from_array(bounds, row)?)
    })
}

fn encode(schema: &Schema, statistics: Option<&Statistics>) -> Result<String> {
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(EngineError::internal)?;
    if let Some(statistics) = statistics.filter(|_| !schema.fields().is_empty()) {
        let columns = schema
            .fields()
            .iter()
            .enumerate()
            .map(|(index, field)| bounds_array(field, statistics.column_statistics.get(index)))
            .collect::<Vec<_>>();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(EngineError::internal)?;
        writer.write(&batch).map_err(EngineError::internal)?;
    }
    let bytes = writer.into_inner().map_err(EngineError::internal)?;
    Ok(STANDARD.encode(bytes))
}

/// The least and the greatest value as an array of two; nulls where they are unknown or of another type.
fn bounds_array(field: &Field, statistics: Option<&ColumnStatistics>) -> ArrayRef {
    let unknown = || new_null_array(field.data_type(), 2);
    let Some(statistics) = statistics else { return unknown() };
    let scalar = |value: &Precision<ScalarValue>| match value.get_value() {
        Some(value) if value.data_type() == *field.data_type() => Some(value.clone()),
        _ => ScalarValue::try_from(field.data_type()).ok(),
    };
    let (Some(min), Some(max)) = (scalar(&statistics.min_value), scalar(&statistics.max_value)) else {
        return unknown();
    };
    match ScalarValue::iter_to_array([min, max]) {
        Ok(array) if array.data_type() == field.data_type() => array,
        _ => unknown(),
    }
}

/// So many times as large a description may become when it is decompressed, and so many bytes at most.
const DECOMPRESSED: usize = 64;
const DESCRIPTION_BYTES_MAX: usize = 64 << 20;

fn decode(text: &str) -> Result<(SchemaRef, Option<RecordBatch>)> {
    let malformed = |detail: String| {
        EngineError::new(Code::SiteProtocol, "a table's description is not a readable Arrow stream").caused_by(detail)
    };
    let bytes = STANDARD.decode(text).map_err(|error| malformed(error.to_string()))?;
    // A site sends it: the reader takes what it is told for true.
    let batch_bytes_max = bytes.len().saturating_mul(DECOMPRESSED).min(DESCRIPTION_BYTES_MAX);
    let mut guard = Guard::new(usize::MAX, batch_bytes_max).taking_dictionaries();
    guard.check_stream(&bytes).map_err(|wrong| malformed(format!("it holds {wrong}")))?;
    // The decoder panics at some of what it does not know, and one site's description stands among those of all.
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut reader = StreamReader::try_new(std::io::Cursor::new(bytes), None)?;
        let schema = reader.schema();
        reader.next().transpose().map(|batch| (schema, batch))
    }));
    let read = read.map_err(|_| malformed("it holds what the decoder does not know".to_string()))?;
    read.map_err(|error| malformed(error.to_string()))
}

/// The columns of a [`DirectoryTable`].
///
/// # Errors
/// `SITE_PROTOCOL` for a message that cannot be read.
pub fn directory_columns(table: &DirectoryTable) -> Result<SchemaRef> {
    decode(&table.columns).map(|(schema, _)| schema)
}
