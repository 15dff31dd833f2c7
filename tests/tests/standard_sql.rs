//! What SQL says and DataFusion alone does not take, as clients say it.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use harness::cluster::Cluster;
use harness::cluster::client::Client;
use harness::edge::edge;

/// The rows as text, and the names of their columns.
async fn told(client: &Client, sql: &str) -> (Vec<String>, String) {
    let answer = client.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    (names(&answer.schema), rows(&answer.batches))
}

fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// The names and types; with a value in the place of a parameter, less may be NULL.
fn types(schema: &Schema) -> Vec<(&String, &DataType)> {
    schema.fields().iter().map(|field| (field.name(), field.data_type())).collect()
}

/// `a b|c d`: rows between bars, their values between spaces.
fn rows(batches: &[RecordBatch]) -> String {
    let table = pretty_format_batches(batches).unwrap().to_string();
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
    let row = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" ");
    rows.map(row).collect::<Vec<_>>().join("|")
}

/// One text for each parameter.
fn texts(values: &[&str]) -> RecordBatch {
    let fields: Vec<Field> =
        (1..=values.len()).map(|number| Field::new(format!("${number}"), DataType::Utf8, true)).collect();
    let columns = values.iter().map(|value| Arc::new(StringArray::from(vec![*value])) as _).collect();
    RecordBatch::try_new(Schema::new(fields).into(), columns).unwrap()
}

/// The columns that a prepared statement declares, and those of its answer for these texts.
async fn bound(client: &Client, sql: &str, values: &[&str]) -> (Schema, Schema, String) {
    bound_to(client, sql, texts(values)).await
}

/// The same for these values.
async fn bound_to(client: &Client, sql: &str, values: RecordBatch) -> (Schema, Schema, String) {
    let mut prepared =
        client.flight().prepare(sql.to_string(), None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let declared = prepared.dataset_schema().unwrap().clone();
    prepared.set_parameters(values).unwrap();
    let info = prepared.execute().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let answer = client.fetch(info).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    (declared, answer.schema.as_ref().clone(), rows(&answer.batches))
}

#[tokio::test(flavor = "multi_thread")]
async fn like_takes_an_escape_sign_of_its_own() {
    // Kept: the sites read its files.
    let data = edge().await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let of = "FROM (VALUES ('100%'), ('100x'), ('a!b'), ('c:\\d'), (NULL)) AS t(a)";
    for (condition, expected) in [
        ("a LIKE '100!%' ESCAPE '!'", "100%"),
        ("a NOT LIKE '100!%' ESCAPE '!'", "100x|a!b|c:\\d"),
        ("a ILIKE 'A!!B' ESCAPE '!'", "a!b"),
        ("a LIKE '%:\\%' ESCAPE '!'", "c:\\d"),
        ("a LIKE '100#%' ESCAPE '#' OR a LIKE 'a%'", "100%|a!b"),
    ] {
        assert_eq!(told(&client, &format!("SELECT a {of} WHERE {condition}")).await.1, expected, "{condition}");
    }
    // At a site, and as a column of the answer, which has its name from what is written.
    let (names, values) =
        told(&client, "SELECT count(*) AS n, bool_or(name LIKE 'item !_%' ESCAPE '!') AS any FROM north.trade.items WHERE name LIKE 'item !1%' ESCAPE '!'").await;
    assert_eq!((names, values), (vec!["n".to_string(), "any".to_string()], "15 false".to_string()));
    let (_, _, values) = bound(&client, &format!("SELECT a {of} WHERE a LIKE $1 ESCAPE '!'"), &["100!%"]).await;
    assert_eq!(values, "100%");
    // A pattern of each row's own.
    let told =
        client.query("SELECT count(*) FROM north.trade.items WHERE name LIKE category ESCAPE '!'").await.unwrap_err();
    assert!(!told.starts_with("INTERNAL"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_may_be_named_twice() {
    // Kept: the sites read its files.
    let data = edge().await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let of = "FROM south.ledger.customers WHERE id < 3 ORDER BY id";
    for (sql, columns, expected) in [
        (format!("SELECT id, id, city {of}"), "id id city", "1 1 北京|2 2 São Paulo"),
        (format!("SELECT id, customers.id, id {of} LIMIT 1"), "id id id", "1 1 1"),
        (format!("SELECT id AS a, city AS a {of}"), "a a", "1 北京|2 São Paulo"),
        (format!("SELECT count(*), count(*) {}", of.replace("ORDER BY id", "")), "", "2 2"),
        ("SELECT DISTINCT active, active FROM south.ledger.customers WHERE active".to_string(), "active active", "true true"),
        (
            "SELECT id, id FROM south.ledger.customers WHERE id = 1 UNION ALL SELECT id, id FROM north.trade.items WHERE id = 2 ORDER BY id".to_string(),
            "id id",
            "1 1|2 2",
        ),
        ("SELECT *, id FROM (SELECT id, city FROM south.ledger.customers) c WHERE id = 1".to_string(), "id city id", "1 北京 1"),
        ("SELECT c.id, *, city FROM (SELECT id, city FROM south.ledger.customers) c WHERE id = 1".to_string(), "id id city city", "1 1 北京 北京"),
        ("SELECT 1, 1, 2".to_string(), "", "1 1 2"),
        // An alias is what ORDER BY means, not a column of that name.
        (
            "SELECT c.*, c.id, -c.id AS tier FROM (SELECT id FROM south.ledger.customers) c \
             JOIN (SELECT id AS i, id AS tier FROM south.ledger.customers) d ON c.id = d.i WHERE id < 3 ORDER BY tier"
                .to_string(),
            "id id tier",
            "2 2 -2|1 1 -1",
        ),
    ] {
        let (names, values) = told(&client, &sql).await;
        assert_eq!(values, expected, "{sql}");
        assert!(columns.is_empty() || names.join(" ") == columns, "{sql}: {names:?}");
        // At the site's own door too, where all of it is of one site.
        if sql.contains("south") && !sql.contains("north") {
            assert_eq!(told(&cluster.client_of_site("south").await, &sql).await, (names, values), "{sql}");
        }
    }
    let (declared, sent, values) =
        bound(&client, "SELECT id, id FROM south.ledger.customers WHERE id = $1", &["2"]).await;
    assert_eq!((names(&declared), values), (vec!["id".to_string(), "id".to_string()], "2 2".to_string()));
    assert_eq!(types(&declared), types(&sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_day_of_different_widths_are_compared() {
    // Kept: the sites read its files.
    let data = edge().await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let at = |text: &str, of: &str| format!("arrow_cast('{text}', '{of}')");
    let (five, ten) = (at("00:05:00", "Time32(Second)"), at("00:10:00", "Time32(Millisecond)"));
    let exact = at("00:07:00", "Time64(Nanosecond)");
    for (condition, expected) in [
        (format!("opens = {five}"), "1"),
        (format!("{ten} < opens"), "50"),
        (format!("opens <> {exact}"), "59"),
        (format!("opens BETWEEN {five} AND {ten}"), "6"),
        (format!("opens NOT IN ({five}, {ten}, {exact})"), "57"),
        (format!("opens IN (NULL, {five})"), "1"),
        (format!("{five} < {ten}"), "60"),
    ] {
        let sql = format!("SELECT count(*) FROM east.store.items WHERE {condition}");
        assert_eq!(client.value(&sql).await, expected, "{condition}");
    }
    let joined =
        format!("SELECT count(*) FROM east.store.items i JOIN (VALUES ({five}), ({five})) AS t(at) ON i.opens = t.at");
    assert_eq!(client.value(&joined).await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_different_layouts_are_compared() {
    // Kept: the sites read its files.
    let data = edge().await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let view = |of: &str| format!("arrow_cast(make_array(id), '{of}(Int64)')");
    let (short, long) = (view("ListView"), view("LargeListView"));
    let null = "arrow_cast(CASE WHEN id = 2 THEN make_array(id) END, 'ListView(Int64)')";
    for (condition, expected) in [
        (format!("{short} = make_array(2)"), "1"),
        (format!("make_array(2) <> {long}"), "1"),
        (format!("{short} = {long}"), "2"),
        (format!("{short} = {short}"), "2"),
        (format!("{long} BETWEEN make_array(2) AND make_array(3)"), "1"),
        (format!("{short} IN (make_array(2), make_array(7))"), "1"),
        (format!("{short} NOT IN (make_array(2), make_array(7))"), "1"),
        (format!("{long} IN (make_array(2), NULL)"), "1"),
        (format!("{short} NOT IN (make_array(2), NULL)"), "0"),
        (format!("{null} = make_array(2)"), "1"),
        (format!("make_array(7) <> {null}"), "1"),
        (format!("{null} IS DISTINCT FROM make_array(2)"), "1"),
        (format!("make_array(2) IS NOT DISTINCT FROM {null}"), "1"),
    ] {
        let sql = format!("SELECT count(*) FROM south.ledger.customers WHERE id < 3 AND {condition}");
        assert_eq!(client.value(&sql).await, expected, "{condition}");
    }
    let two: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(2)])]));
    for (condition, expected) in [
        (format!("{short} BETWEEN $1 AND make_array(3)"), "1"),
        (format!("{short} IN ($1, make_array(7))"), "1"),
        (format!("{long} NOT IN ($1, make_array(7))"), "1"),
        (format!("{null} IS DISTINCT FROM $1"), "1"),
    ] {
        let sql = format!("SELECT count(*) AS n FROM south.ledger.customers WHERE id < 3 AND {condition}");
        let values = RecordBatch::try_from_iter([("$1", Arc::clone(&two))]).unwrap();
        let (declared, sent, value) = bound_to(&client, &sql, values).await;
        assert_eq!((types(&declared), value.as_str()), (types(&sent), expected), "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prepared_statement_declares_is_sent() {
    // Kept: the sites read its files.
    let data = edge().await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let (declared, sent, values) = bound(&client, "SELECT $1 || $2", &["a", "b"]).await;
    assert_eq!((types(&declared), values.as_str()), (types(&sent), "ab"));
    for select in
        ["round(price, 1) AS p", "price * 1.10 AS p", "sum(price) / 3 AS p", "avg(discount) AS p", "price + $2 AS p"]
    {
        let values: &[&str] = if select.contains('$') { &["7", "1.25"] } else { &["7"] };
        let sql = format!("SELECT {select} FROM north.trade.orders WHERE id = $1");
        let (declared, sent, _) = bound(&client, &sql, values).await;
        assert_eq!(types(&declared), types(&sent), "{sql}");
    }
}
