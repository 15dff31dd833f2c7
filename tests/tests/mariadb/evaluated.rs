//! What a site gives a database to evaluate: shown by what the server was asked, by what it answers itself, and by the rows.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::prelude::{SessionContext, ident, lit, when};
use harness::cluster::{Client, Cluster, Options};
use harness::dataset::{Dataset, local_context, quote};
use harness::mariadb::{DATABASE, MariaDb};
use harness::oracle::{Promise, compare, compare_values, local_answer};
use harness::random::generate;
use harness::random::relation::Relation;
use harness::statements::tpch_queries;
use harness::tpch::tpch;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Of TPC-H: 60,000 rows of lineitem.
const SCALE: f64 = 0.01;
/// The site whose source is the database.
const SITE: &str = "sales";

/// All tables of a data set in one database, and a federation in which a site has them as the source `db`.
async fn federation(dataset: &Dataset, server: &MariaDb, names: &dyn Fn(&str, &str, &str) -> String) -> Cluster {
    let (admin, ctx) = (server.admin().await, local_context(dataset).await.unwrap());
    for table in &dataset.tables {
        let frame = ctx.sql(&format!("SELECT * FROM {}", table.sql_name())).await.unwrap();
        let schema = SchemaRef::clone(frame.schema().inner());
        let name = quote(&names(&table.site, &table.source, &table.name));
        admin.load(&name, &schema, &frame.collect().await.unwrap()).await;
    }
    let mut source = server.options();
    source.insert("name".into(), "db".into());
    source.insert("kind".into(), "mysql".into());
    let site = dataset.sites().into_iter().find(|site| site == SITE).unwrap_or_else(|| dataset.sites()[0].clone());
    Cluster::start_with(dataset, Options { sources: vec![(site, source)], ..Options::default() }).await
}

/// The statements that read, of what the server was asked since `before`.
fn asked_since(server: &MariaDb, before: usize) -> Vec<String> {
    let of_tables = |text: &&str| text.contains(&format!("\"{DATABASE}\"."));
    // A line of the log begins with the time, or with tabs in its place.
    let log = server.log()[before..].replace("\n\t", "\n2");
    log.split("Execute\t")
        .skip(1)
        .filter_map(|text| text.split("\n2").next())
        .filter(of_tables)
        .map(str::to_string)
        .collect()
}

fn over_the_database(sql: &str) -> String {
    ["sales", "logistics", "supply"]
        .iter()
        .fold(sql.to_string(), |sql, site| sql.replace(&format!("{site}.tpch."), &format!("{SITE}.db.")))
}

async fn tpch_federation() -> (Dataset, MariaDb, Cluster) {
    let (dataset, server) = (tpch(SCALE).unwrap(), MariaDb::start().await);
    let cluster = federation(&dataset, &server, &|_, _, table| table.to_string()).await;
    (dataset, server, cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_over_one_database_is_answered_as_over_files() {
    let (dataset, _server, cluster) = tpch_federation().await;
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
}

/// Q1, Q6 and the customers' orders of Q3 run in the server, and only their answers cross.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_asked_for_whole_subtrees() {
    let (_dataset, server, cluster) = tpch_federation().await;
    let client = cluster.client().await;
    let customers_and_orders = "SELECT o.o_orderkey, o.o_orderdate FROM sales.db.customer c \
                                JOIN sales.db.orders o ON c.c_custkey = o.o_custkey \
                                WHERE c.c_mktsegment = 'BUILDING' AND o.o_orderdate < DATE '1995-03-15'";
    let query = |number: usize| over_the_database(&tpch_queries().remove(number - 1).sql);
    for (sql, must_hold) in [
        (query(1), vec!["GROUP BY", "SUM(", "TRUNCATE(SUM(", "ORDER BY"]),
        (query(6), vec!["SUM(", "l_quantity"]),
        (customers_and_orders.to_string(), vec![" JOIN ", "= 'BUILDING'"]),
    ] {
        let before = server.log().len();
        client.query(&sql).await.unwrap();
        let asked = asked_since(&server, before);
        assert_eq!(asked.len(), 1, "{sql}\n{asked:#?}");
        for words in must_hold {
            assert!(asked[0].contains(words), "{words}: {}", asked[0]);
        }
    }
}

/// Where the two dialects read one text alike, the server's own answer to the undivided statement is the federation's.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_answer_agrees() {
    let (_dataset, server, cluster) = tpch_federation().await;
    let (admin, client) = (server.admin().await, cluster.client().await);
    for sql in [
        "SELECT count(*) FROM sales.db.lineitem WHERE l_shipmode LIKE '%AIR%' AND l_quantity < 10",
        "SELECT sum(l_extendedprice * (1 - l_discount)) FROM sales.db.lineitem WHERE l_returnflag = 'R'",
        "SELECT max(c_name) FROM sales.db.customer WHERE c_acctbal > 0",
        "SELECT count(*) FROM sales.db.customer c WHERE NOT EXISTS (SELECT 1 FROM sales.db.orders o WHERE o.o_custkey = c.c_custkey)",
        "SELECT count(DISTINCT o_clerk) FROM sales.db.orders WHERE extract(YEAR FROM o_orderdate) = 1995",
        "SELECT min(l_shipdate) FROM sales.db.lineitem l JOIN sales.db.orders o ON l.l_orderkey = o.o_orderkey WHERE o.o_totalprice > 100000",
    ] {
        let own = admin.value(&sql.replace("sales.db.", "")).await;
        let ours = client.value(sql).await;
        assert_eq!(decimal(&ours), decimal(&own), "{sql}");
    }
}

/// Decimals are shown with all the digits of their type, or without zeros at their end.
fn decimal(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_what_the_database_evaluates() {
    let (_dataset, _server, cluster) = tpch_federation().await;
    let site = cluster.client_of_site(SITE).await;
    let plan = site.query("EXPLAIN SELECT upper(c_name), count(*) FROM sales.db.customer GROUP BY 1").await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&plan.batches).unwrap().to_string();
    assert!(shown.contains("not sent to a source") && shown.contains("upper"), "{shown}");
    let plan = site.query("EXPLAIN SELECT c_nationkey, count(*) FROM sales.db.customer GROUP BY 1").await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&plan.batches).unwrap().to_string();
    assert!(shown.contains("Source: WITH") && shown.contains("GROUP BY"), "{shown}");
}

/// The same tables with every column of a type that the database has.
async fn storable(dataset: &Dataset) -> Dataset {
    let (mut plain, ctx) = (Dataset::temporary().unwrap(), local_context(dataset).await.unwrap());
    for table in &dataset.tables {
        let frame = ctx.sql(&format!("SELECT * FROM {}", table.sql_name())).await.unwrap();
        let cast = |field: &arrow::datatypes::FieldRef| {
            let column = ident(field.name());
            match field.data_type() {
                // The server has numbers, and nothing else, in a column of numbers.
                DataType::Float64 => {
                    let is_number = column.clone().between(lit(f64::MIN), lit(f64::MAX));
                    when(is_number, column).end().unwrap().alias(field.name())
                }
                _ => column,
            }
        };
        let columns: Vec<_> = frame.schema().fields().iter().map(cast).collect();
        let frame = frame.select(columns).unwrap();
        let schema = SchemaRef::clone(frame.schema().inner());
        plain.add([&table.site, &table.source, &table.name], &schema, &frame.collect().await.unwrap()).unwrap();
    }
    plain
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

/// Random statements over random tables: with all of them in one database, the federation agrees with one process.
#[tokio::test(flavor = "multi_thread")]
async fn random_statements_over_one_database_agree_with_one_process() {
    const STATEMENTS: usize = 60;
    let (mut wrong, mut agreed) = (vec![], 0);
    for seed in 100..103 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (random, tables) = harness::random::data::dataset(&mut rng).unwrap();
        let dataset = storable(&random).await;
        let is_of_a_site = |table: &Relation| !matches!(table, Relation::Table { name, .. } if name.contains("nation"));
        let tables: Vec<Relation> = tables.into_iter().filter(is_of_a_site).collect();
        let server = MariaDb::start().await;
        let cluster = federation(&dataset, &server, &|site, source, table| format!("{site}.{source}.{table}")).await;
        let (local, client) = (local_context(&dataset).await.unwrap(), cluster.client().await);
        let site = dataset.sites()[0].clone();
        for _ in 0..STATEMENTS {
            let sql = generate::statement(&mut rng, &tables).sql();
            let asked = dataset.tables.iter().fold(sql.clone(), |sql, table| {
                let name = format!("{}.{}.{}", table.site, table.source, table.name);
                sql.replace(&table.sql_name(), &format!("\"{site}\".\"db\".{}", quote(&name)))
            });
            match compared(&local, &client, &sql, &asked).await {
                None => {}
                Some(Ok(())) => agreed += 1,
                Some(Err(difference)) => wrong.push(format!("seed {seed}: {asked}\n{difference}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(agreed > 2 * STATEMENTS, "only {agreed} agreed");
}
