//! TPC-H at any scale over three sites (layout V3), generated once and kept beside the build.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use engine::command::demo::tpch::write;
use tempfile::TempDir;

use crate::dataset::Dataset;

pub use engine::command::demo::tpch::primary_key;

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
const VERSION: u32 = 2;

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
    let dataset = Dataset::existing(&root, &LAYOUT_V3).with_keys(primary_key);
    match dataset.tables.iter().find(|table| !table.path.is_file()) {
        None => Ok(dataset),
        Some(table) => {
            let message = format!("{} is missing: remove {} and run again", table.path.display(), root.display());
            Err(std::io::Error::other(message).into())
        }
    }
}

/// Where generated data is kept: beside the build.
pub fn kept_below() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(std::env::temp_dir).join("chancery-testdata")
}

/// All files are written elsewhere and appear at once: a directory of the final name is always complete.
fn generate(directory: &Path, root: &Path, scale: f64) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    let partial = TempDir::with_prefix_in("partial-", directory)?;
    for (site, source, name) in LAYOUT_V3 {
        let path = partial.path().join(site).join(source).join(format!("{name}.parquet"));
        write(name, scale, &path).map_err(|error| DataFusionError::External(Box::new(error)))?;
    }
    match std::fs::rename(partial.path(), root) {
        // Another process was faster: its files are the same.
        Err(_) if root.exists() => Ok(()),
        renamed => Ok(renamed?),
    }
}
