//! The metadata commands: catalogs, schemas, tables, table types, and the facts of the server.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_flight::sql::metadata::GetCatalogsBuilder;
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTables};

use crate::catalog::treatment::FORM_KEY;
use crate::error::{Code, EngineError, Result};
use crate::flight::door::{Door, ListedTable};
use crate::flight::sql_info;
use crate::flight::wire_types::wire_schema;
use crate::identity::Asker;

/// What tools show beside a column, by Flight SQL. In the schema of a result it would take the place of the column's name.
const REMARKS_KEY: &str = "ARROW:FLIGHT:SQL:REMARKS";

/// The schema of a metadata command's answer; `None` when the command is no metadata command.
///
/// # Errors
/// Never for the commands listed here, unless a builder is broken.
pub fn schema(command: &Command) -> Result<Option<SchemaRef>> {
    Ok(Some(match command {
        Command::CommandGetCatalogs(_) => GetCatalogsBuilder::new().schema(),
        Command::CommandGetDbSchemas(request) => request.clone().into_builder().schema(),
        Command::CommandGetTables(request) => request.clone().into_builder().schema(),
        Command::CommandGetTableTypes(request) => request.into_builder().schema(),
        Command::CommandGetSqlInfo(request) => request.clone().into_builder(&sql_info::facts()?).schema(),
        _ => return Ok(None),
    }))
}

/// The answer to a metadata command.
///
/// # Errors
/// `UNSUPPORTED` for a command that is not offered.
pub async fn answer(door: &dyn Door, asker: &Arc<Asker>, command: Command) -> Result<RecordBatch> {
    let batch = match command {
        Command::CommandGetCatalogs(_) => catalogs(door.catalogs(asker).await?),
        Command::CommandGetDbSchemas(request) => db_schemas(&door.tables(asker).await?, request),
        Command::CommandGetTables(request) => tables(&door.tables(asker).await?, request),
        Command::CommandGetTableTypes(request) => {
            let mut builder = request.into_builder();
            builder.append("BASE TABLE");
            builder.append("VIEW");
            builder.build()
        }
        Command::CommandGetSqlInfo(request) => request.into_builder(&sql_info::facts()?).build(),
        other => return Err(unsupported(&other)),
    };
    batch.map_err(EngineError::internal)
}

/// The refusal of a command that is not offered, by its name.
pub fn unsupported(command: &Command) -> EngineError {
    let name = command.type_url().rsplit('.').next().unwrap_or("this command").to_string();
    EngineError::new(Code::Unsupported, format!("the Flight SQL command {name} is not offered here"))
}

fn catalogs(catalogs: Vec<String>) -> arrow_flight::error::Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    for catalog in catalogs {
        builder.append(catalog);
    }
    builder.build()
}

fn db_schemas(tables: &[ListedTable], request: CommandGetDbSchemas) -> arrow_flight::error::Result<RecordBatch> {
    let mut schemas: Vec<(&str, &str)> =
        tables.iter().map(|table| (table.catalog.as_str(), table.schema.as_str())).collect();
    schemas.sort_unstable();
    schemas.dedup();
    let mut builder = request.into_builder();
    for (catalog, schema) in schemas {
        builder.append(catalog, schema);
    }
    builder.build()
}

fn tables(tables: &[ListedTable], request: CommandGetTables) -> arrow_flight::error::Result<RecordBatch> {
    let mut builder = request.into_builder();
    for table in tables {
        let columns = listed_columns(&table.columns);
        builder.append(&table.catalog, &table.schema, &table.table, table.table_type, &columns)?;
    }
    builder.build()
}

/// The columns of a listed table: plain types, and of all metadata the form of those that are not clear, under our own key
/// for programs and as a remark for people.
fn listed_columns(columns: &Schema) -> Schema {
    let plain = wire_schema(columns);
    let marked = plain.fields().iter().zip(columns.fields()).map(|(field, listed)| {
        let form = listed.metadata().get(FORM_KEY);
        field.as_ref().clone().with_metadata(form.map(|form| marks(form)).unwrap_or_default())
    });
    Schema::new(marked.collect::<Vec<Field>>())
}

fn marks(form: &str) -> HashMap<String, String> {
    HashMap::from([(FORM_KEY.to_string(), form.to_string()), (REMARKS_KEY.to_string(), format!("seen as {form}"))])
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    #[test]
    fn a_listed_column_keeps_its_form_and_nothing_else() {
        let noted = |name: &str, more: &[(&str, &str)]| {
            let all = more.iter().chain(&[("comment", "SECRET")]);
            let metadata = all.map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
            Field::new(name, DataType::Utf8View, true).with_metadata(metadata)
        };
        let columns = vec![noted("phone", &[(FORM_KEY, "show_last(2)")]), noted("region", &[])];
        let listed = listed_columns(&Schema::new(columns).with_metadata([("pandas".into(), "SECRET".into())].into()));
        let plain = |name| Field::new(name, DataType::Utf8, true);
        let marks = [(FORM_KEY, "show_last(2)"), (REMARKS_KEY, "seen as show_last(2)")];
        let marks = marks.map(|(key, value)| (key.to_string(), value.to_string()));
        assert_eq!(listed, Schema::new(vec![plain("phone").with_metadata(marks.into()), plain("region")]));
    }
}
