//! The `mysql` connector against a real MariaDB server, each test with one of its own.
//!
//! A target of its own behind the feature `mariadb`: `cargo test --workspace` runs what needs Rust alone, and a test that is
//! not run must not look like one that passed. `tests/all` installs a server and runs
//! `cargo test --workspace --features chancery-tests/mariadb --test mariadb`.

#[path = "mariadb/conformance.rs"]
mod conformance;
#[path = "mariadb/describing.rs"]
mod describing;
#[path = "mariadb/evaluated.rs"]
mod evaluated;
#[path = "mariadb/federation.rs"]
mod federation;
#[path = "mariadb/filters.rs"]
mod filters;
#[path = "mariadb/governed.rs"]
mod governed;
#[path = "mariadb/moments.rs"]
mod moments;
#[path = "mariadb/reading.rs"]
mod reading;
#[path = "mariadb/refusals.rs"]
mod refusals;
#[path = "mariadb/types.rs"]
mod types;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::Source;
use harness::mariadb::{Admin, MariaDb};

/// How long something may take that happens at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("mysql", "registry", options, Path::new("/")).await.unwrap()
}

/// A source over the server's database, with more options.
async fn source(server: &MariaDb, more: &str) -> Arc<dyn Source> {
    let mut options = server.options();
    options.extend(more.parse::<toml::Table>().unwrap());
    open(options).await
}

/// Says that every write of the server is in its binary log.
const SHARED: &str = "share_snapshots = true";

/// Waits until the answer of the server is `expect`.
async fn wait_until(admin: &Admin, sql: &str, expect: &str) {
    let began = Instant::now();
    while admin.value(sql).await != expect {
        assert!(began.elapsed() < SOON, "`{sql}` is still {}", admin.value(sql).await);
        // The server shows its transactions anew only where nobody has looked for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// How many of our sessions the server is working for, or keeping a moment for.
const AT_WORK: &str = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'reader' AND COMMAND <> 'Sleep' \
                       OR ID IN (SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX)";
