//! TPC-H data over three sites: sales, logistics, supply.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tpchgen::generators as rows;
use tpchgen_arrow as columns;
use tpchgen_arrow::RecordBatchIterator;

use crate::error::{Code, EngineError, Result};
use crate::flight::wire_types::wire_schema;
use connectors::plain::conform;

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

/// The columns that tell each row of a table from all others; of what is no table of TPC-H, none.
pub fn primary_key(table: &str) -> &'static [&'static str] {
    match table {
        "customer" => &["c_custkey"],
        "orders" => &["o_orderkey"],
        "lineitem" => &["l_orderkey", "l_linenumber"],
        "part" => &["p_partkey"],
        "partsupp" => &["ps_partkey", "ps_suppkey"],
        "supplier" => &["s_suppkey"],
        "nation" => &["n_nationkey"],
        "region" => &["r_regionkey"],
        _ => &[],
    }
}

/// Small enough that a small scale has several row groups too, so that pruning and streaming are at work.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// Writes one table at `scale` as a Parquet file with plain text columns, as most files in the world have.
///
/// # Errors
/// `NOT_FOUND` for a table that TPC-H does not have; when the file cannot be written.
pub fn write(table: &str, scale: f64, path: &Path) -> Result<()> {
    let (schema, batches) = batches(table, scale)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(EngineError::internal)?;
    }
    let file = File::create(path).map_err(EngineError::internal)?;
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP_ROWS)).build();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(EngineError::internal)?;
    for batch in batches {
        writer.write(&batch?).map_err(EngineError::internal)?;
    }
    writer.close().map_err(EngineError::internal)?;
    Ok(())
}

/// The rows of one table at `scale`, with plain text columns.
///
/// # Errors
/// `NOT_FOUND` for a table that TPC-H does not have.
pub(crate) fn batches(table: &str, scale: f64) -> Result<(SchemaRef, impl Iterator<Item = Result<RecordBatch>>)> {
    let batches = generator(table, scale)
        .ok_or_else(|| EngineError::new(Code::NotFound, format!("TPC-H has no table `{table}`")))?;
    let schema = wire_schema(batches.schema());
    let plain = Arc::clone(&schema);
    Ok((schema, batches.map(move |batch| conform(&batch, &plain).map_err(EngineError::internal))))
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
