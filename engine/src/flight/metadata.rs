//! The metadata commands: catalogs, schemas, tables, table types, keys, types, and the facts of the server.

mod keys;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow_flight::sql::metadata::{GetCatalogsBuilder, SqlInfoDataBuilder};
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTables};

use crate::catalog::notes::{COMMENT_KEY, TAGS_KEY, remarks};
use crate::catalog::sql_type::sql_type;
use crate::catalog::treatment::FORM_KEY;
use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::door::{Door, ListedTable};
use crate::flight::sql_info;
use crate::flight::wire_types::Reader;

/// What tools show beside a column, by Flight SQL. In the schema of a result it would take the place of the column's name.
const REMARKS_KEY: &str = "ARROW:FLIGHT:SQL:REMARKS";
const TYPE_NAME_KEY: &str = "ARROW:FLIGHT:SQL:TYPE_NAME";
const PRECISION_KEY: &str = "ARROW:FLIGHT:SQL:PRECISION";
const SCALE_KEY: &str = "ARROW:FLIGHT:SQL:SCALE";

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
        Command::CommandGetSqlInfo(_) => Arc::new(SqlInfoDataBuilder::schema().clone()),
        Command::CommandGetXdbcTypeInfo(request) => request.into_builder(&types::all()?).schema(),
        Command::CommandGetPrimaryKeys(_) => keys::primary(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::foreign(),
        _ => return Ok(None),
    }))
}

/// The answer to a metadata command.
///
/// # Errors
/// `UNSUPPORTED` for a command that is not offered.
pub async fn answer(door: &dyn Door, caller: &Caller, limits: &Limits, command: Command) -> Result<RecordBatch> {
    let asker = &caller.asker;
    let batch = match command {
        Command::CommandGetCatalogs(_) => catalogs(door.catalogs(asker).await?),
        Command::CommandGetDbSchemas(request) => db_schemas(&door.tables(asker).await?, request),
        Command::CommandGetTables(request) => tables(&door.tables(asker).await?, caller.reader, request),
        Command::CommandGetTableTypes(request) => {
            let mut builder = request.into_builder();
            builder.append("BASE TABLE");
            builder.append("VIEW");
            builder.build()
        }
        Command::CommandGetSqlInfo(request) => request.into_builder(&sql_info::facts(limits)?).build(),
        Command::CommandGetXdbcTypeInfo(request) => request.into_builder(&types::all()?).build(),
        Command::CommandGetPrimaryKeys(request) => {
            return keys::primary_of(&door.tables(asker).await?, &request).map_err(EngineError::internal);
        }
        Command::CommandGetExportedKeys(request) => {
            return keys::exported(&door.tables(asker).await?, &request).map_err(EngineError::internal);
        }
        Command::CommandGetImportedKeys(request) => {
            return keys::imported(&door.tables(asker).await?, &request).map_err(EngineError::internal);
        }
        Command::CommandGetCrossReference(request) => {
            return keys::between(&door.tables(asker).await?, &request).map_err(EngineError::internal);
        }
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

fn tables(
    tables: &[ListedTable],
    reader: Reader,
    request: CommandGetTables,
) -> arrow_flight::error::Result<RecordBatch> {
    let mut builder = request.into_builder();
    for table in tables {
        let columns = listed_columns(&table.columns, reader);
        builder.append(&table.catalog, &table.schema, &table.table, table.table_type(), &columns)?;
    }
    builder.build()
}

/// The columns of a listed table: plain types, and of all metadata the type's name and size, the owner's words, the tags, and the
/// form of those that are not clear, under our own keys for programs and together as remarks for people.
fn listed_columns(columns: &Schema, reader: Reader) -> Schema {
    let plain = reader.schema(columns);
    let marked = plain.fields().iter().zip(columns.fields());
    Schema::new(
        marked.map(|(field, listed)| field.as_ref().clone().with_metadata(marks(listed))).collect::<Vec<Field>>(),
    )
}

fn marks(listed: &Field) -> HashMap<String, String> {
    let of = sql_type(listed.data_type());
    let noted = |key: &str| listed.metadata().get(key).cloned();
    let told = [
        (FORM_KEY, noted(FORM_KEY)),
        (COMMENT_KEY, noted(COMMENT_KEY)),
        (TAGS_KEY, noted(TAGS_KEY)),
        (REMARKS_KEY, remarks(listed)),
        (TYPE_NAME_KEY, Some(of.name.to_string())),
        (PRECISION_KEY, of.precision.or(of.fraction).map(|digits| digits.to_string())),
        (SCALE_KEY, of.scale.map(|digits| digits.to_string())),
    ];
    told.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
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
        let listed = listed_columns(
            &Schema::new(columns).with_metadata([("pandas".into(), "SECRET".into())].into()),
            Reader::Arrow,
        );
        let told = |name, more: &[(&str, &str)]| {
            let all = more.iter().chain(&[(TYPE_NAME_KEY, "VARCHAR")]);
            let metadata = all.map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
            Field::new(name, DataType::Utf8, true).with_metadata(metadata)
        };
        let phone = told("phone", &[(FORM_KEY, "show_last(2)"), (REMARKS_KEY, "seen as show_last(2)")]);
        assert_eq!(listed, Schema::new(vec![phone, told("region", &[])]));
    }
}
