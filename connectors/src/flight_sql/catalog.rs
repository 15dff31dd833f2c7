//! The tables that the server lists, with their columns.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow_flight::sql::{CommandGetTables, ProstMessageExt};
use bytes::Bytes;
use datafusion_common::TableReference;
use prost::Message;

use super::answer::{Answer, collected};
use super::fault::is_unimplemented;
use super::server::Server;
use super::statement::columns_of;
use crate::error::ConnectorError;

/// More tables are more than a source is for.
const TABLES_MAX: usize = 100_000;

/// One table of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) name: String,
    /// `TABLE`, `VIEW`, or another word of the server's.
    pub(super) kind: String,
    /// Its columns, where the server tells them with the table.
    pub(super) columns: Option<Schema>,
}

impl Relation {
    /// The table's name at the server.
    pub(super) fn reference(&self) -> TableReference {
        let name = self.name.as_str();
        match (self.catalog.as_deref(), self.schema.as_deref()) {
            (Some(catalog), Some(schema)) => TableReference::full(catalog, schema, name),
            (None, Some(schema)) => TableReference::partial(schema, name),
            (_, None) => TableReference::bare(name),
        }
    }
}

/// Which tables are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) catalog: Option<&'a str>,
    pub(super) schema: Option<&'a str>,
    /// The one table that is asked for; `None` for all.
    pub(super) name: Option<&'a str>,
}

/// The tables that are asked for and that the account may see; `None` if the server lists none to anybody.
pub(super) async fn list(server: &Arc<Server>, asked: &Asked<'_>) -> Result<Option<Vec<Relation>>, ConnectorError> {
    if !server.lists_tables().is_assumed() {
        return Ok(None);
    }
    let asking = server.asking(server.shown());
    let info = match server.flight_info(&asking, command(asked)).await {
        Err(status) if is_unimplemented(&status) => {
            server.lists_tables().deny();
            return Ok(None);
        }
        answer => answer.map_err(|status| asking.fault(status))?,
    };
    let answer = Answer::of(server, info, asking, server.shown().into())?;
    let batches = match collected(answer, TABLES_MAX).await {
        Err(error) if is_denied(&error) => {
            server.lists_tables().deny();
            return Ok(None);
        }
        answer => answer?,
    };
    let mut relations = Vec::new();
    for batch in &batches {
        let read = relations_of(batch).ok_or_else(|| {
            ConnectorError::invalid_data(
                server.shown(),
                "the list of tables does not have the columns of Flight SQL",
                "name the tables that are to be served in `tables`, and have the server mended",
            )
        })?;
        relations.extend(read.into_iter().filter(|relation| is_asked_for(relation, asked)));
    }
    Ok(Some(relations))
}

/// Patterns narrow the list; what they let through is compared again.
fn command(asked: &Asked<'_>) -> Bytes {
    let pattern = |name: Option<&str>| name.filter(|name| !name.contains('\\')).map(str::to_owned);
    let command = CommandGetTables {
        catalog: asked.catalog.map(str::to_owned),
        db_schema_filter_pattern: pattern(asked.schema),
        table_name_filter_pattern: pattern(asked.name),
        table_types: Vec::new(),
        include_schema: true,
    };
    command.as_any().encode_to_vec().into()
}

fn is_asked_for(relation: &Relation, asked: &Asked<'_>) -> bool {
    let is = |told: &Option<String>, asked: Option<&str>| asked.is_none() || told.as_deref() == asked;
    is(&relation.catalog, asked.catalog)
        && is(&relation.schema, asked.schema)
        && asked.name.is_none_or(|name| relation.name == name)
}

fn is_denied(error: &ConnectorError) -> bool {
    let ConnectorError::Unavailable { cause, .. } = error else { return false };
    cause.downcast_ref::<tonic::Status>().is_some_and(is_unimplemented)
}

fn relations_of(batch: &RecordBatch) -> Option<Vec<Relation>> {
    let texts = |name: &str| cast(batch.column_by_name(name)?, &DataType::Utf8).ok();
    let (catalogs, schemas) = (texts("catalog_name")?, texts("db_schema_name")?);
    let (names, kinds) = (texts("table_name")?, texts("table_type")?);
    let columns = batch.column_by_name("table_schema").and_then(|told| cast(told, &DataType::Binary).ok());
    let text = |texts: &Arc<dyn Array>, row: usize| {
        texts.is_valid(row).then(|| texts.as_string::<i32>().value(row).to_owned()).filter(|text| !text.is_empty())
    };
    let columns_at = |row: usize| {
        let told = columns.as_ref().filter(|told| told.is_valid(row))?;
        columns_of(Bytes::copy_from_slice(told.as_binary::<i32>().value(row)))
    };
    let relation = |row| {
        Some(Relation {
            catalog: text(&catalogs, row),
            schema: text(&schemas, row),
            name: text(&names, row)?,
            kind: text(&kinds, row).unwrap_or_default(),
            columns: columns_at(row),
        })
    };
    Some((0..batch.num_rows()).filter_map(relation).collect())
}
