//! The listing commands' half of Flight SQL: patterns to metadata requests, and a table's schema to rows.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use datafusion::common::TableReference;

use super::error::ShellError;

const TYPE_NAME_KEY: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
const REMARKS_KEY: &str = "ARROW:FLIGHT:SQL:REMARKS";

/// The sites of which there is something to see, and what the queries of before moved across the border of each.
pub(super) const SITES: &str = "\
SELECT t.site, t.schemas, t.tables, l.statements, l.rows, l.bytes_sent, l.bytes_received \
FROM (SELECT table_catalog AS site, count(DISTINCT table_schema) AS schemas, count(*) AS tables \
      FROM system.information_schema.tables WHERE table_catalog <> 'system' GROUP BY table_catalog) t \
LEFT JOIN (SELECT site, count(*) AS statements, sum(rows) AS rows, sum(bytes_sent) AS bytes_sent, \
                  sum(bytes_received) AS bytes_received FROM system.queries.ledger GROUP BY site) l ON l.site = t.site \
ORDER BY t.site";

/// What tells in which form a table's columns, or those of a query, would leave, and by which policies.
pub(super) fn policy_of(subject: &str) -> String {
    let is_query = subject
        .split(char::is_whitespace)
        .next()
        .is_some_and(|word| ["SELECT", "WITH", "VALUES"].iter().any(|begin| word.eq_ignore_ascii_case(begin)));
    if is_query { format!("EXPLAIN POLICY {subject}") } else { format!("EXPLAIN POLICY SELECT * FROM {subject}") }
}

/// What sets the purpose, or asks for it.
pub(super) fn purpose_statement(purpose: Option<&str>) -> String {
    match purpose {
        None => "SHOW purpose".to_owned(),
        Some("default") => "RESET purpose".to_owned(),
        Some(name) => format!("SET purpose = '{}'", name.replace('\'', "''")),
    }
}

/// The schemas that `[SITE.]SCHEMA` matches.
pub(super) fn schemas_like(pattern: Option<&str>) -> CommandGetDbSchemas {
    let (site, schema) = match pattern {
        None => (None, None),
        Some(text) => match text.split_once('.') {
            Some((site, schema)) => (Some(site), Some(schema)),
            None => (None, Some(text)),
        },
    };
    CommandGetDbSchemas { catalog: site.map(str::to_owned), db_schema_filter_pattern: schema.map(like) }
}

/// The tables that `[[SITE.]SCHEMA.]TABLE` matches. Flight SQL has patterns for schemas and tables; a site is named.
pub(super) fn tables_like(pattern: Option<&str>) -> CommandGetTables {
    let mut parts = pattern.into_iter().flat_map(|text| text.rsplitn(3, '.'));
    let table = parts.next();
    let schema = parts.next();
    let site = parts.next();
    CommandGetTables {
        catalog: site.map(str::to_owned),
        db_schema_filter_pattern: schema.map(like),
        table_name_filter_pattern: table.map(like),
        table_types: Vec::new(),
        include_schema: false,
    }
}

/// The tables of exactly this name, with their schemas. Names are read as in SQL: quoted, or folded to lower case.
pub(super) fn tables_named(name: &str) -> CommandGetTables {
    let name = TableReference::from(name);
    CommandGetTables {
        catalog: name.catalog().map(str::to_owned),
        db_schema_filter_pattern: name.schema().map(literally),
        table_name_filter_pattern: Some(literally(name.table())),
        table_types: Vec::new(),
        include_schema: true,
    }
}

/// All tables, with their schemas.
pub(super) fn all_columns() -> CommandGetTables {
    CommandGetTables { include_schema: true, ..CommandGetTables::default() }
}

/// One row for each column of each table in the answer to [`tables_named`] or [`all_columns`].
pub(super) fn columns_of(tables: &[RecordBatch]) -> Result<RecordBatch, ShellError> {
    let mut rows = ColumnRows::default();
    for batch in tables {
        let names = ["catalog_name", "db_schema_name", "table_name"]
            .iter()
            .map(|name| text_column(batch, name))
            .collect::<Result<Vec<_>, _>>()?;
        let schemas = batch
            .column_by_name("table_schema")
            .and_then(|column| column.as_binary_opt::<i32>())
            .ok_or_else(|| missing("table_schema"))?;
        for row in 0..batch.num_rows() {
            let parts: Vec<&str> = names.iter().filter(|name| name.is_valid(row)).map(|name| name.value(row)).collect();
            let schema = Schema::try_from(IpcMessage(schemas.value(row).to_vec().into()))?;
            for field in schema.fields() {
                rows.push(&parts.join("."), field);
            }
        }
    }
    rows.finish()
}

#[derive(Default)]
struct ColumnRows {
    table: StringBuilder,
    column: StringBuilder,
    data_type: StringBuilder,
    nullable: StringBuilder,
    comment: StringBuilder,
}

impl ColumnRows {
    fn push(&mut self, table: &str, field: &Field) {
        let type_name = field.metadata().get(TYPE_NAME_KEY).cloned();
        self.table.append_value(table);
        self.column.append_value(field.name());
        self.data_type.append_value(type_name.unwrap_or_else(|| field.data_type().to_string()));
        self.nullable.append_value(if field.is_nullable() { "yes" } else { "no" });
        self.comment.append_value(field.metadata().get(REMARKS_KEY).map_or("", String::as_str));
    }

    fn finish(mut self) -> Result<RecordBatch, ShellError> {
        let fields =
            ["table", "column", "type", "nullable", "comment"].map(|name| Field::new(name, DataType::Utf8, false));
        let columns = [&mut self.table, &mut self.column, &mut self.data_type, &mut self.nullable, &mut self.comment]
            .map(|builder| Arc::new(builder.finish()) as _);
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), columns.to_vec())?)
    }
}

fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ShellError> {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(|| missing(name))
}

fn missing(column: &str) -> ShellError {
    ShellError::Answer(format!("the list of tables has no usable column {column}"))
}

/// A shell's pattern (`*`, `?`) as a LIKE pattern.
fn like(pattern: &str) -> String {
    literally(pattern).replace('*', "%").replace('?', "_")
}

/// A LIKE pattern that matches only `text`: the identifier arrives with its own `%` and `_` escaped.
fn literally(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray};
    use arrow_flight::SchemaAsIpc;
    use arrow_ipc::writer::IpcWriteOptions;

    use super::*;

    #[test]
    fn patterns() {
        let request = tables_like(Some("bts.on_time.f*"));
        assert_eq!(request.catalog.as_deref(), Some("bts"));
        assert_eq!(request.db_schema_filter_pattern.as_deref(), Some("on\\_time"));
        assert_eq!(request.table_name_filter_pattern.as_deref(), Some("f%"));
        assert_eq!(tables_like(None), CommandGetTables::default());
        let request = schemas_like(Some("ontime"));
        assert_eq!((request.catalog, request.db_schema_filter_pattern.as_deref()), (None, Some("ontime")));
        let request = schemas_like(Some("bts.o?time"));
        assert_eq!(
            (request.catalog.as_deref(), request.db_schema_filter_pattern.as_deref()),
            (Some("bts"), Some("o_time"))
        );
    }

    #[test]
    fn statements() {
        assert_eq!(policy_of("bts.ontime.flights"), "EXPLAIN POLICY SELECT * FROM bts.ontime.flights");
        assert_eq!(policy_of("select 1"), "EXPLAIN POLICY select 1");
        assert_eq!(policy_of("selection"), "EXPLAIN POLICY SELECT * FROM selection");
        assert_eq!(purpose_statement(None), "SHOW purpose");
        assert_eq!(purpose_statement(Some("default")), "RESET purpose");
        assert_eq!(purpose_statement(Some("it's")), "SET purpose = 'it''s'");
    }

    #[test]
    fn names() {
        let request = tables_named("BTS.ontime.\"My_航班\"");
        assert_eq!(request.catalog.as_deref(), Some("bts"));
        assert_eq!(request.db_schema_filter_pattern.as_deref(), Some("ontime"));
        assert_eq!(request.table_name_filter_pattern.as_deref(), Some("My\\_航班"));
        assert!(request.include_schema);
    }

    #[test]
    fn a_schema_becomes_rows() {
        let remarks = [(REMARKS_KEY.to_owned(), "who flew".to_owned())].into();
        let schema = Schema::new(vec![
            Field::new("carrier", DataType::Utf8, false).with_metadata(remarks),
            Field::new("n", DataType::Int64, true),
        ]);
        let options = IpcWriteOptions::default();
        let IpcMessage(bytes) = IpcMessage::try_from(SchemaAsIpc::new(&schema, &options)).unwrap();
        let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let tables = RecordBatch::try_from_iter([
            ("catalog_name", text(Some("bts"))),
            ("db_schema_name", text(Some("ontime"))),
            ("table_name", text(Some("flights"))),
            ("table_schema", Arc::new(BinaryArray::from_vec(vec![bytes.as_ref()])) as ArrayRef),
        ])
        .unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&[columns_of(&[tables]).unwrap()]).unwrap();
        let expect = "\
+--------------------+---------+-------+----------+----------+
| table              | column  | type  | nullable | comment  |
+--------------------+---------+-------+----------+----------+
| bts.ontime.flights | carrier | Utf8  | no       | who flew |
| bts.ontime.flights | n       | Int64 | yes      |          |
+--------------------+---------+-------+----------+----------+";
        assert_eq!(shown.to_string(), expect);
    }
}
