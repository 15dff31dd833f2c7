//! A data set in types that every kind of source keeps value by value: whole numbers and floats of 64 bits, decimals, text,
//! bytes, truth, days and microseconds. What a kind makes of its other types is for its own tests.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, cast, lit, when};
use datafusion::prelude::ident;

use crate::dataset::{Dataset, local_context};

/// The same tables without columns of other types, and without those whose names differ from another's in case alone.
pub async fn plain(dataset: &Dataset) -> Result<Dataset> {
    let (mut plain, ctx) = (Dataset::temporary()?, local_context(dataset).await?);
    for table in &dataset.tables {
        let frame = ctx.sql(&format!("SELECT * FROM {}", table.sql_name())).await?;
        let columns = columns(&SchemaRef::clone(frame.schema().inner()))?;
        let frame = frame.select(columns)?;
        let schema = SchemaRef::clone(frame.schema().inner());
        plain.add([&table.site, &table.source, &table.name], &schema, &frame.collect().await?)?;
    }
    for table in &dataset.regional {
        let regions: Vec<&str> = table.arms.iter().map(|(region, _)| region.as_str()).collect();
        plain.add_regional([&table.catalog, &table.schema, &table.name], &regions);
    }
    Ok(plain)
}

/// The columns of a table that has this schema, of those types.
pub fn columns(schema: &SchemaRef) -> Result<Vec<Expr>> {
    let mut names = BTreeSet::new();
    let is_first = |field: &&Arc<Field>| names.insert(field.name().to_lowercase());
    schema.fields().iter().filter(is_first).filter_map(|field| column(field).transpose()).collect()
}

fn column(field: &Field) -> Result<Option<Expr>> {
    let column = ident(field.name());
    let micros = TimeUnit::Microsecond;
    let column = match field.data_type() {
        DataType::Utf8 | DataType::Binary | DataType::Boolean | DataType::Date32 | DataType::Decimal128(..) => column,
        whole if whole.is_integer() => cast(column, DataType::Int64),
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => cast(column, DataType::Utf8),
        DataType::Float32 | DataType::Float64 => number(cast(column, DataType::Float64))?,
        DataType::Time32(_) | DataType::Time64(_) => cast(column, DataType::Time64(micros)),
        DataType::Timestamp(_, None) => cast(column, DataType::Timestamp(micros, None)),
        DataType::Timestamp(_, Some(_)) => cast(column, DataType::Timestamp(micros, Some("UTC".into()))),
        _ => return Ok(None),
    };
    Ok(Some(column.alias(field.name())))
}

/// NULL for what is no number, and one zero.
fn number(float: Expr) -> Result<Expr> {
    let is_number = float.clone().between(lit(f64::MIN), lit(f64::MAX));
    when(float.clone().eq(lit(-0.0)), lit(0.0)).when(is_number, float).end()
}
