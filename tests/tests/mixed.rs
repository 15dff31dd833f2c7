//! Federations of which each site has another kind of source: the rows are those of one process, as over files alone.
//!
//! A target of its own behind the features `postgres` and `mariadb`, which need servers; `tests/all` installs both and runs
//! `cargo test --workspace --features chancery-tests/postgres,chancery-tests/mariadb --test mixed`.

use harness::compared::Compared;
use harness::edge::edge;
use harness::environment::number;
use harness::layout::{Kind, Layout, Layouts};
use harness::plain::plain;
use harness::random::{Plan, differential};
use harness::statements::corpus;

/// Of three sites one has files, one PostgreSQL and one MariaDB.
const FILES_AND_SERVERS: &[Kind] = &[Kind::Files, Kind::Postgres, Kind::MariaDb];
/// Of three sites each has a database.
const DATABASES: &[Kind] = &[Kind::MariaDb, Kind::Sqlite, Kind::Postgres];

/// Statements of the corpus over columns that the plain data set has not.
const UNANSWERED_MAX: usize = 10;

async fn the_corpus_over(kinds: &[Kind]) {
    let dataset = plain(&edge().await.unwrap()).await.unwrap();
    let layout = Layout::start(&dataset, kinds).await;
    Compared::of(&dataset, &layout.cluster, &corpus()).await.unwrap().assert_all_agree(UNANSWERED_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_over_files_postgresql_and_mariadb() {
    the_corpus_over(FILES_AND_SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_over_mariadb_sqlite_and_postgresql() {
    the_corpus_over(DATABASES).await;
}

async fn random_statements_over(seed: u64, kinds: &'static [Kind]) {
    let plan = Plan { seed, statements: number("CHANCERY_STATEMENTS_OF_DATABASES", 150) };
    let summary = differential(plan, &Layouts(kinds)).await;
    let summary = summary.unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.with_rows * 3 > summary.agreed, "many answers should have rows: {summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_files_postgresql_and_mariadb() {
    random_statements_over(301, FILES_AND_SERVERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_mariadb_sqlite_and_postgresql() {
    random_statements_over(401, DATABASES).await;
}
