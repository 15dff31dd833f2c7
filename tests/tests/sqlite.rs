//! The `sqlite` connector over real files, written and locked by SQLite itself.

mod conformance;
mod describing;
mod evaluated;
mod federation;
mod filters;
mod governed;
mod reading;
mod refusals;
mod types;

use std::path::Path;
use std::sync::Arc;

use connectors::Source;
use harness::sqlite::SqliteFile;

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("sqlite", "registry", options, Path::new("/")).await.unwrap()
}

/// A source over a file, with more options.
async fn source(file: &SqliteFile, more: &str) -> Arc<dyn Source> {
    let mut options = file.options();
    options.extend(more.parse::<toml::Table>().unwrap());
    open(options).await
}
