//! TPC-H data over three sites: sales, logistics, supply.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use tpchgen::generators as rows;
use tpchgen_arrow as columns;
use tpchgen_arrow::RecordBatchIterator;

use crate::error::{Code, EngineError, Result};
use crate::flight::wire_types::wire_schema;

/// Which site holds which table; the source is `tpch` at each.
pub const LAYOUT: [(&str, &str); 8] = [
    ("sales", "customer"),
    ("sales", "orders"),
    ("logistics", "lineitem"),
    ("supply", "part"),
    ("supply", "partsupp"),
    ("supply", "supplier"),
    ("supply", "nation"),
    ("supply", "region"),
];

/// Writes one table at `scale` as a Parquet file with plain text columns, as most files in the world have.
///
/// # Errors
/// `NOT_FOUND` for a table that TPC-H does not have; when the file cannot be written.
pub fn write(table: &str, scale: f64, path: &Path) -> Result<()> {
    let batches = generator(table, scale)
        .ok_or_else(|| EngineError::new(Code::NotFound, format!("TPC-H has no table `{table}`")))?;
    let schema = wire_schema(batches.schema());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(EngineError::internal)?;
    }
    let file = File::create(path).map_err(EngineError::internal)?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), None).map_err(EngineError::internal)?;
    for batch in batches {
        writer.write(&plain(&batch, &schema)?).map_err(EngineError::internal)?;
    }
    writer.close().map_err(EngineError::internal)?;
    Ok(())
}

fn generator(table: &str, scale: f64) -> Option<Box<dyn RecordBatchIterator>> {
    Some(match table {
        "customer" => Box::new(columns::CustomerArrow::new(rows::CustomerGenerator::new(scale, 1, 1))),
        "orders" => Box::new(columns::OrderArrow::new(rows::OrderGenerator::new(scale, 1, 1))),
        "lineitem" => Box::new(columns::LineItemArrow::new(rows::LineItemGenerator::new(scale, 1, 1))),
        "part" => Box::new(columns::PartArrow::new(rows::PartGenerator::new(scale, 1, 1))),
        "partsupp" => Box::new(columns::PartSuppArrow::new(rows::PartSuppGenerator::new(scale, 1, 1))),
        "supplier" => Box::new(columns::SupplierArrow::new(rows::SupplierGenerator::new(scale, 1, 1))),
        "nation" => Box::new(columns::NationArrow::new(rows::NationGenerator::new(scale, 1, 1))),
        "region" => Box::new(columns::RegionArrow::new(rows::RegionGenerator::new(scale, 1, 1))),
        _ => return None,
    })
}

fn plain(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(Schema::fields(schema))
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(EngineError::internal)?;
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(EngineError::internal)
}
