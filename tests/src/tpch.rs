//! TPC-H at any scale over three sites (layout V3), generated once and kept beside the build.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use tempfile::TempDir;
use tpchgen::generators as rows;
use tpchgen_arrow as columns;
use tpchgen_arrow::RecordBatchIterator;

use crate::dataset::{Dataset, write_parquet};

/// Which site holds which table; at every site the source is `tpch`.
pub const LAYOUT_V3: [(&str, &str, &str); 8] = [
    ("sales", "tpch", "customer"),
    ("sales", "tpch", "orders"),
    ("logistics", "tpch", "lineitem"),
    ("supply", "tpch", "part"),
    ("supply", "tpch", "partsupp"),
    ("supply", "tpch", "supplier"),
    ("supply", "tpch", "nation"),
    ("supply", "tpch", "region"),
];

/// Changes when the files would: a kept directory of an older version is left alone and not used.
const VERSION: u32 = 1;

/// TPC-H at `scale` (0.1 is 600,000 rows of lineitem), from the kept files or generated now.
pub fn tpch(scale: f64) -> Result<Dataset> {
    tpch_in(&kept_below(), scale)
}

/// As [`tpch`], kept below a directory of the caller's choice.
pub fn tpch_in(directory: &Path, scale: f64) -> Result<Dataset> {
    // Tests of one process take turns, so that only the first generates; other processes are met by the rename.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);

    let root = directory.join(format!("tpch-v{VERSION}-sf{scale}"));
    if !root.exists() {
        generate(directory, &root, scale)?;
    }
    let dataset = Dataset::existing(&root, &LAYOUT_V3);
    match dataset.tables.iter().find(|table| !table.path.is_file()) {
        None => Ok(dataset),
        Some(table) => {
            let message = format!("{} is missing: remove {} and run again", table.path.display(), root.display());
            Err(std::io::Error::other(message).into())
        }
    }
}

fn kept_below() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(std::env::temp_dir).join("chancery-testdata")
}

/// All files are written elsewhere and appear at once: a directory of the final name is always complete.
fn generate(directory: &Path, root: &Path, scale: f64) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let partial = TempDir::with_prefix_in("partial-", directory)?;
    for (site, source, name) in LAYOUT_V3 {
        let path = partial.path().join(site).join(source).join(format!("{name}.parquet"));
        let batches = generator(name, scale);
        let schema = plain_strings(batches.schema());
        write_parquet(&path, &schema, batches.map(|batch| relabel(&batch, &schema)))?;
    }
    match std::fs::rename(partial.path(), root) {
        // Another process was faster: its files are the same.
        Err(_) if root.exists() => Ok(()),
        renamed => Ok(renamed?),
    }
}

fn generator(table: &str, scale: f64) -> Box<dyn RecordBatchIterator> {
    match table {
        "customer" => Box::new(columns::CustomerArrow::new(rows::CustomerGenerator::new(scale, 1, 1))),
        "orders" => Box::new(columns::OrderArrow::new(rows::OrderGenerator::new(scale, 1, 1))),
        "lineitem" => Box::new(columns::LineItemArrow::new(rows::LineItemGenerator::new(scale, 1, 1))),
        "part" => Box::new(columns::PartArrow::new(rows::PartGenerator::new(scale, 1, 1))),
        "partsupp" => Box::new(columns::PartSuppArrow::new(rows::PartSuppGenerator::new(scale, 1, 1))),
        "supplier" => Box::new(columns::SupplierArrow::new(rows::SupplierGenerator::new(scale, 1, 1))),
        "nation" => Box::new(columns::NationArrow::new(rows::NationGenerator::new(scale, 1, 1))),
        "region" => Box::new(columns::RegionArrow::new(rows::RegionGenerator::new(scale, 1, 1))),
        other => panic!("TPC-H has no table {other}"),
    }
}

/// Files hold plain strings, as most files in the world do.
fn plain_strings(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8View => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn relabel(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>();
    columns.and_then(|columns| RecordBatch::try_new(Arc::clone(schema), columns)).expect("only string layouts change")
}
