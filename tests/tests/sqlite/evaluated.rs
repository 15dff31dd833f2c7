//! What a site gives a file's database to evaluate: shown by the site's plans, and by the rows of a federation.

use harness::cluster::{Cluster, Options};
use harness::compared::Compared;
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::environment::number;
use harness::layout::{Kind, Layout, Layouts};
use harness::oracle::{compare_values, local_answer};
use harness::plain::plain;
use harness::random::{Plan, differential};
use harness::sqlite::SqliteFile;
use harness::statements::{corpus, tpch_queries};
use harness::tpch::tpch;

/// Of TPC-H: 12,000 rows of lineitem.
const SCALE: f64 = 0.002;
/// The site whose source is the database.
const SITE: &str = "sales";

/// All tables of TPC-H in a file, and a federation in which a site has them as the source `db`.
async fn tpch_federation() -> (Dataset, SqliteFile, Cluster) {
    let dataset = plain(&tpch(SCALE).unwrap()).await.unwrap();
    let file = SqliteFile::with("PRAGMA journal_mode = WAL");
    for table in &dataset.tables {
        let (schema, rows) = table.rows();
        file.load(&table.name, &schema, &rows);
    }
    let options = Options { sources: vec![(SITE.to_string(), file.source("db"))], ..Options::default() };
    let cluster = Cluster::start_with(&dataset, options).await;
    (dataset, file, cluster)
}

fn over_the_database(sql: &str) -> String {
    ["sales", "logistics", "supply"]
        .iter()
        .fold(sql.to_string(), |sql, site| sql.replace(&format!("{site}.tpch."), &format!("{SITE}.db.")))
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_over_one_file_is_answered_as_over_files() {
    let (dataset, _file, cluster) = tpch_federation().await;
    let (local, client) = (local_context(&dataset).await.unwrap(), cluster.client().await);
    let mut wrong = vec![];
    for query in tpch_queries() {
        let expected = local_answer(&local, &query.sql).await.unwrap();
        match client.query(&over_the_database(&query.sql)).await {
            Ok(answer) => {
                // A column without a name of its own is called by its tables.
                let difference = compare_values(&expected, &answer, query.promise).err();
                wrong.extend(difference.map(|difference| format!("{}: {difference}", query.name)));
            }
            Err(error) => wrong.push(format!("{}: {error}", query.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    // What is on a list and what is not, as the site tells.
    let site = cluster.client_of_site(SITE).await;
    let explained = async |sql: &str| {
        let plan = site.query(&format!("EXPLAIN {}", over_the_database(sql))).await.unwrap();
        arrow::util::pretty::pretty_format_batches(&plan.batches).unwrap().to_string()
    };
    let shown = explained("SELECT o_orderpriority, count(*) FROM sales.tpch.orders GROUP BY 1").await;
    assert!(shown.contains("Source: WITH") && shown.contains("GROUP BY"), "{shown}");
    let joined = "SELECT c_name, o_orderdate FROM sales.tpch.customer JOIN sales.tpch.orders ON c_custkey = o_custkey \
                  WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15'";
    let shown = explained(joined).await;
    assert!(shown.contains("Source: ") && shown.contains(" JOIN ") && shown.contains("'BUILDING'"), "{shown}");
    let shown = explained("SELECT sum(o_totalprice) FROM sales.tpch.orders").await;
    assert!(!shown.contains("Source: ") && shown.contains("TableScan"), "{shown}");
    assert!(
        shown.contains("not sent to a source") && shown.contains("sum"),
        "decimals are not computed there: {shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_over_three_sites_of_sqlite() {
    let dataset = plain(&edge().await.unwrap()).await.unwrap();
    let layout = Layout::start(&dataset, &[Kind::Sqlite]).await;
    // The rest are over columns that the plain data set has not.
    Compared::of(&dataset, &layout.cluster, &corpus()).await.unwrap().assert_all_agree(10);
}

#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_sites_of_sqlite_agree_with_one_process() {
    let plan = Plan { seed: 81, statements: number("CHANCERY_STATEMENTS_OF_DATABASES", 240) };
    let summary = differential(plan, &Layouts(&[Kind::Sqlite])).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(summary.with_rows * 3 > summary.agreed, "many answers should have rows: {summary:?}");
}
