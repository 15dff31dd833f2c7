//! What a site gives a foreign server to evaluate: shown by what the server was asked and by the rows; and what is cut away because
//! the server does not take it, or takes it otherwise.

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::{Dataset, local_context};
use harness::edge::edge;
use harness::flight_proxy::{Changes, FlightProxy};
use harness::oracle::{Promise, compare, compare_values, local_answer};
use harness::random::generate;
use harness::random::relation::Relation;
use harness::roapi::{Roapi, Served};
use harness::statements::{corpus, tpch_queries};
use harness::tpch::tpch;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::reading::wait_until_closed;

/// Of TPC-H: 60,000 rows of lineitem.
const SCALE: f64 = 0.01;
/// The site whose source is the server.
const SITE: &str = "sales";

/// All tables of a data set at one server, under names of its own.
async fn serve(dataset: &Dataset, names: &dyn Fn(&harness::dataset::Table) -> String) -> Roapi {
    let ctx = local_context(dataset).await.unwrap();
    let mut tables = vec![];
    for table in &dataset.tables {
        let frame = ctx.sql(&format!("SELECT * FROM {}", table.sql_name())).await.unwrap();
        let schema = arrow::datatypes::SchemaRef::clone(frame.schema().inner());
        tables.push(Served { name: names(table), schema, batches: frame.collect().await.unwrap() });
    }
    Roapi::start(&tables)
}

/// A federation in which a site has these options as its source `db`.
async fn federation(dataset: &Dataset, site: &str, mut source: toml::Table) -> Cluster {
    source.insert("name".into(), "db".into());
    source.insert("kind".into(), "flight_sql".into());
    Cluster::start_with(dataset, Options { sources: vec![(site.to_string(), source)], ..Options::default() }).await
}

fn over_the_server(sql: &str) -> String {
    ["sales", "logistics", "supply"]
        .iter()
        .fold(sql.to_string(), |sql, site| sql.replace(&format!("{site}.tpch."), &format!("{SITE}.db.")))
}

async fn shown(client: &Client, sql: &str) -> String {
    pretty_format_batches(&client.query(sql).await.unwrap().batches).unwrap().to_string()
}

async fn tpch_is_answered(dataset: &Dataset, client: &Client) {
    let local = local_context(dataset).await.unwrap();
    let mut wrong = vec![];
    for query in tpch_queries() {
        let expected = local_answer(&local, &query.sql).await.unwrap();
        match client.query(&over_the_server(&query.sql)).await {
            Ok(answer) => {
                // A column without a name of its own is called by its tables.
                let difference = compare_values(&expected, &answer, query.promise).err();
                wrong.extend(difference.map(|difference| format!("{}: {difference}", query.name)));
            }
            Err(error) => wrong.push(format!("{}: {error}", query.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_over_one_server_is_answered_as_over_files() {
    let dataset = tpch(SCALE).unwrap();
    let server = serve(&dataset, &|table| table.name.clone()).await;
    let cluster = federation(&dataset, SITE, server.options()).await;
    let client = cluster.client().await;
    tpch_is_answered(&dataset, &client).await;
    // Whole subtrees went there.
    for (number, must_hold) in
        [(1, vec!["GROUP BY", "\"sum\"(", "\"avg\"(", "ORDER BY"]), (6, vec!["\"sum\"(", "l_quantity"])]
    {
        let before = server.log().len();
        client.query(&over_the_server(&tpch_queries()[number - 1].sql)).await.unwrap();
        let mut asked = server.asked_since(before);
        asked.dedup();
        assert_eq!(asked.len(), 1, "once to be told whether it is taken, once to be run: {asked:#?}");
        for words in must_hold {
            assert!(asked[0].contains(words), "{words}: {}", asked[0]);
        }
    }
}

/// The same, through one that refuses more and more of what it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_refuses_is_cut_away_and_told() {
    let dataset = tpch(SCALE).unwrap();
    let server = serve(&dataset, &|table| table.name.clone()).await;
    for refuses in [vec![" JOIN "], vec!["GROUP BY", "LIKE"], vec!["arrow_cast"], vec!["WHERE", "LIMIT", "WITH", "sum"]]
    {
        let told = refuses.clone();
        let proxy = FlightProxy::open(&server.address(), Changes { refuses, ..Changes::default() }).await;
        let cluster = federation(&dataset, SITE, server.options_at(proxy.address())).await;
        tpch_is_answered(&dataset, &cluster.client().await).await;
        let site = cluster.client_of_site(SITE).await;
        if told.contains(&"GROUP BY") {
            let sql = "EXPLAIN SELECT o_orderpriority, count(*) FROM sales.db.orders WHERE o_orderkey < 100 AND o_comment LIKE 'a%' GROUP BY 1";
            let plan = shown(&site, sql).await;
            assert!(plan.contains("not sent to a source") && plan.contains("is not accepted by the server"), "{plan}");
            assert!(plan.contains("Aggregate: ") && !plan.contains("Source: ") && !plan.contains("SECRET"), "{plan}");
        }
        if told.contains(&"WHERE") {
            let read = "SELECT count(*) FROM (SELECT o_orderkey FROM sales.db.orders WHERE o_orderkey < 100 LIMIT 5)";
            assert_eq!(site.value(read).await, "5");
        }
        wait_until_closed(&proxy).await;
    }
}

/// What versions evaluate otherwise stays at the site: this one answers `NOT IN` over a NULL with rows.
#[tokio::test(flavor = "multi_thread")]
async fn what_versions_evaluate_otherwise_is_not_sent() {
    let dataset = tpch(SCALE).unwrap();
    let server = serve(&dataset, &|table| table.name.clone()).await;
    let cluster = federation(&dataset, SITE, server.options()).await;
    let site = cluster.client_of_site(SITE).await;
    for (sql, expected, refused) in [
        (
            "SELECT count(*) FROM sales.db.nation WHERE n_nationkey NOT IN \
             (SELECT nullif(r_regionkey, 0) FROM sales.db.region)",
            "0",
            "subquery",
        ),
        ("SELECT count(*) FROM sales.db.nation WHERE n_name LIKE '%A%I%'", "6", "like"),
        ("SELECT count(*) FROM sales.db.nation WHERE upper(n_name) = 'FRANCE'", "1", "upper"),
        ("SELECT max(9223372036854775807 + n_nationkey) < 0 FROM sales.db.nation WHERE n_nationkey > 0", "true", "+"),
    ] {
        assert_eq!(site.value(sql).await, expected, "{sql}");
        let plan = shown(&site, &format!("EXPLAIN {sql}")).await;
        assert!(plan.contains("not sent to a source") && plan.contains(refused), "{refused}: {plan}");
    }
}

/// What the federation answers to `asked` against what one process answers to `sql`; nothing if the latter fails.
async fn compared(local: &SessionContext, client: &Client, sql: &str, asked: &str) -> Option<Result<(), String>> {
    let (ctx, text) = (local.clone(), sql.to_string());
    // In a task of its own, because DataFusion 55.2 panics on a statement in a few thousand.
    let expected = tokio::spawn(async move { local_answer(&ctx, &text).await }).await.ok()?.ok()?;
    Some(match client.query(asked).await {
        Ok(answer) => compare(&expected, &answer, Promise::Multiset),
        Err(error) => Err(format!("one process answers, the federation fails: {error}")),
    })
}

/// The names that a table has at a server, which takes them for a part of a URL.
fn flat(table: &harness::dataset::Table) -> String {
    let name: String = table.sql_name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    name.to_lowercase()
}

fn renamed(sql: &str, dataset: &Dataset, site: &str) -> String {
    dataset.tables.iter().fold(sql.to_string(), |sql, table| {
        sql.replace(&table.sql_name(), &format!("\"{site}\".\"db\".\"{}\"", flat(table)))
    })
}

/// Random statements over random tables: with all of them at one server, the federation agrees with one process.
#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_one_server_agree_with_one_process() {
    const STATEMENTS: usize = 60;
    let (mut wrong, mut agreed) = (vec![], 0);
    for seed in 100..103 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (dataset, tables) = harness::random::data::dataset(&mut rng).unwrap();
        let is_of_a_site = |table: &Relation| !matches!(table, Relation::Table { name, .. } if name.contains("nation"));
        let tables: Vec<Relation> = tables.into_iter().filter(is_of_a_site).collect();
        let server = serve(&dataset, &flat).await;
        let site = dataset.sites()[0].clone();
        let cluster = federation(&dataset, &site, server.options()).await;
        let (local, client) = (local_context(&dataset).await.unwrap(), cluster.client().await);
        for _ in 0..STATEMENTS {
            let sql = generate::statement(&mut rng, &tables).sql();
            let asked = renamed(&sql, &dataset, &site);
            let before = server.log().len();
            match compared(&local, &client, &sql, &asked).await {
                None => {}
                Some(Ok(())) => agreed += 1,
                Some(Err(difference)) => {
                    let by_the_site = server.asked_since(before).join("\n");
                    wrong.push(format!("seed {seed}: {asked}\n{difference}\nthe server was asked {by_the_site}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(agreed > 2 * STATEMENTS, "only {agreed} agreed");
}

/// The corpus, whose tables hold everything that is easily lost on the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_over_one_server_is_answered_as_over_files() {
    let dataset = edge().await.unwrap();
    let server = serve(&dataset, &flat).await;
    let site = dataset.sites()[0].clone();
    let cluster = federation(&dataset, &site, server.options()).await;
    let (local, client) = (local_context(&dataset).await.unwrap(), cluster.client().await);
    let (mut wrong, mut agreed) = (vec![], 0);
    for statement in corpus() {
        let asked = renamed(&statement.sql, &dataset, &site);
        let expected = local_answer(&local, &statement.sql).await;
        match (expected, client.query(&asked).await) {
            (Ok(expected), Ok(answer)) => match compare_values(&expected, &answer, statement.promise) {
                Ok(()) => agreed += 1,
                Err(difference) => wrong.push(format!("{}: {asked}\n{difference}", statement.name)),
            },
            (Err(_), Err(_)) => agreed += 1,
            (expected, answer) => {
                let (expected, answer) = (expected.map(drop), answer.map(drop));
                wrong.push(format!("{}: expected {expected:?}, came {answer:?}: {asked}", statement.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(agreed > 50, "only {agreed} agreed");
}
