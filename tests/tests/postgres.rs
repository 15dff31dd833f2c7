//! The `postgres` connector against a real server, each test with a cluster of its own; and every attack on policy once more,
//! over tables that such a server holds.
//!
//! A target of its own behind the feature `postgres`: `cargo test --workspace` runs what needs Rust alone, and a test that is
//! not run must not look like one that passed. `tests/all` installs a server and runs
//! `cargo test --workspace --features chancery-tests/postgres --test postgres`.

#[path = "attacks/mod.rs"]
mod attacks;
#[path = "postgres/conformance.rs"]
mod conformance;
#[path = "postgres/crossing.rs"]
mod crossing;
#[path = "postgres/describing.rs"]
mod describing;
#[path = "postgres/evaluated.rs"]
mod evaluated;
#[path = "postgres/federation.rs"]
mod federation;
#[path = "postgres/filters.rs"]
mod filters;
#[path = "postgres/reading.rs"]
mod reading;
#[path = "postgres/refusals.rs"]
mod refusals;
#[path = "postgres/types.rs"]
mod types;

/// Of the tests of a governed federation those that depend on where the rows are.
#[path = "governed"]
mod governed {
    mod controls;
    mod drift;
    mod evidence;
    mod federation;
    mod lifetimes;
}

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::Source;
use harness::cluster::Kept;
use harness::postgres::{Admin, Postgres};

/// Where the sites keep their tables, in the tests that the other binary has too.
const KEPT: Kept = Kept::InPostgres;
/// How long something may take that happens at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("postgres", "registry", options, Path::new("/")).await.unwrap()
}

/// A source over the schema `public`, with more options.
async fn source(server: &Postgres, more: &str) -> Arc<dyn Source> {
    let mut options = server.options("public");
    options.extend(more.parse::<toml::Table>().unwrap());
    open(options).await
}

/// Waits until the answer of the server is `expect`.
async fn wait_until(admin: &Admin, sql: &str, expect: &str) {
    let began = Instant::now();
    while admin.value(sql).await != expect {
        assert!(began.elapsed() < SOON, "`{sql}` is still {}", admin.value(sql).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
