//! Plans of the rule, and its results against the undivided plan.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::prelude::SessionContext;

use super::split_unions_at;
use crate::plan::sites::Location;
use crate::plan::sites::located_table::{optimized, polished, rows, session, sites};

/// `orders`: a regional table of sites north, south (two tables of it) and west (empty), told apart by `region`.
async fn regional_session() -> SessionContext {
    let tables = vec![
        ("north", "orders_north", orders(0..17)),
        ("south", "orders_south", orders(9..40)),
        ("south", "orders_coast", orders(30..33)),
        ("west", "orders_west", orders(0..0)),
        ("north", "one", orders(0..12)),
        ("north", "other", orders(3..20)),
    ];
    let ctx = session(tables);
    let arm = |region: &str| format!("select '{region}' as region, * from orders_{region}");
    let arms = ["north", "south", "coast", "west"].map(arm).join(" union all ");
    ctx.sql(&format!("create view orders as {arms}")).await.unwrap();
    ctx
}

/// Rows whose sums are exact in every order of adding; every fifth value is NULL.
fn orders(keys: std::ops::Range<i32>) -> RecordBatch {
    let value = |key: i32| (key % 5 != 4).then_some(key);
    let array = |values: &dyn Fn(i32) -> Option<f64>| keys.clone().map(values).collect::<Float64Array>();
    let price = |precision, scale| -> ArrayRef {
        let cents = keys.clone().map(|key| value(key).map(|key| i128::from(key) * 1_037 - 9_999));
        Arc::new(cents.collect::<Decimal128Array>().with_precision_and_scale(precision, scale).unwrap())
    };
    let texts: StringArray = keys.clone().map(|key| value(key).map(|key| format!("c{}", key % 4))).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(keys.clone().map(i64::from)))),
        ("customer", Arc::new(texts)),
        ("small", Arc::new(keys.clone().map(|key| value(key).map(|key| key % 7)).collect::<Int32Array>())),
        ("count_of", Arc::new(keys.clone().map(|key| u64::try_from(key).ok()).collect::<UInt64Array>())),
        ("weight", Arc::new(array(&|key| value(key).map(|key| f64::from(key) / 4.0)))),
        ("price", price(15, 2)),
        ("wide", price(38, 4)),
        ("paid", Arc::new(keys.clone().map(|key| value(key).map(|key| key % 3 == 0)).collect::<BooleanArray>())),
        ("day", Arc::new(keys.clone().map(value).collect::<Date32Array>())),
    ];
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), *name != "id");
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

/// Splits the plan of `sql`; schema, rows and idempotence hold. Says whether the rule did anything.
async fn check(sql: &str) -> bool {
    let state = regional_session().await.state();
    let before = optimized(&state, sql).await;
    let split = split_unions_at(before.clone(), sites()).unwrap();
    let after = split.data;
    assert_eq!(before.schema().columns(), after.schema().columns(), "{sql}");
    assert_eq!(before.schema().fields(), after.schema().fields(), "{sql}");
    let twice = split_unions_at(after.clone(), sites()).unwrap();
    assert!(!twice.transformed, "{sql}\n{}", after.display_indent());
    let polished = polished(&state, after);
    assert_eq!(before.schema().fields(), polished.schema().fields(), "{sql}");
    assert_eq!(rows(&state, &before).await, rows(&state, &polished).await, "{sql}\n{}", polished.display_indent());
    split.transformed
}

async fn split(sql: &str) -> String {
    let state = regional_session().await.state();
    let plan = split_unions_at(optimized(&state, sql).await, sites()).unwrap().data;
    polished(&state, plan).display_indent().to_string()
}

/// What each site would send: the topmost plans that lie at one site.
async fn sent(sql: &str) -> Vec<String> {
    let state = regional_session().await.state();
    let plan = polished(&state, split_unions_at(optimized(&state, sql).await, sites()).unwrap().data);
    let mut sent = vec![];
    plan.apply(|node| {
        Ok(match sites().locate(node)? {
            Location::At(_) => {
                sent.push(node.display_indent().to_string());
                TreeNodeRecursion::Jump
            }
            _ => TreeNodeRecursion::Continue,
        })
    })
    .unwrap();
    sent
}

#[tokio::test]
async fn an_aggregate_is_split() {
    insta::assert_snapshot!(split("select region, count(*), sum(price) from orders group by region").await, @r#"
    Projection: group_0 AS region, CASE WHEN sum(partial_0) IS NOT NULL THEN sum(partial_0) ELSE Int64(0) END AS count(*), CAST(sum(partial_1) AS Decimal128(25, 2)) AS sum(orders.price)
      Aggregate: groupBy=[[group_0]], aggr=[[sum(partial_0), sum(partial_1)]]
        Union
          Projection: orders.region AS group_0, count(Int64(1)) AS partial_0, sum(orders.price) AS partial_1
            Aggregate: groupBy=[[orders.region]], aggr=[[count(Int64(1)), sum(orders.price)]]
              Projection: Utf8("north") AS region, orders_north.price AS price
                TableScan: orders_north projection=[price]
          Projection: orders.region AS group_0, count(Int64(1)) AS partial_0, sum(orders.price) AS partial_1
            Aggregate: groupBy=[[orders.region]], aggr=[[count(Int64(1)), sum(orders.price)]]
              Projection: region AS region, price AS price
                Union
                  Projection: Utf8("south") AS region, orders_south.price AS price
                    TableScan: orders_south projection=[price]
                  Projection: Utf8("coast") AS region, orders_coast.price AS price
                    TableScan: orders_coast projection=[price]
          Projection: orders.region AS group_0, count(Int64(1)) AS partial_0, sum(orders.price) AS partial_1
            Aggregate: groupBy=[[orders.region]], aggr=[[count(Int64(1)), sum(orders.price)]]
              Projection: Utf8("west") AS region, orders_west.price AS price
                TableScan: orders_west projection=[price]
    "#);
}

#[tokio::test]
async fn every_function_that_has_parts() {
    let functions = [
        "count(*)",
        "count(small)",
        "count(small, weight)",
        "sum(id)",
        "sum(small)",
        "sum(count_of)",
        "sum(weight)",
        "sum(price)",
        "sum(wide)",
        "sum(price * (1 - price))",
        "min(price)",
        "max(customer)",
        "min(day)",
        "avg(small)",
        "avg(weight)",
        "avg(price)",
        "avg(wide)",
        "bool_and(paid)",
        "bool_or(paid)",
        "bit_and(small)",
        "bit_or(small)",
        "bit_xor(small)",
        "count(*) filter (where paid)",
        "sum(price) filter (where id > 12)",
        "avg(price) filter (where paid)",
        "min(distinct small)",
        "count(distinct customer)",
        "count(distinct small)",
        "sum(distinct small)",
        "avg(distinct weight)",
        "count(distinct 1), count(*)",
        "count(distinct small), sum(price), count(*), avg(weight)",
        "count(distinct small), count(distinct customer), max(price)",
        "sum(price), avg(price), count(price), min(price), max(price)",
    ];
    for function in functions {
        for sql in [
            format!("select {function} from orders"),
            format!("select region, {function} from orders group by region"),
            format!("select customer, small % 2, {function} from orders group by customer, small % 2"),
            format!("select {function} from orders where id > 1000"),
            format!(
                "select upper(customer), {function} from orders where paid or id > 3 group by 1 having count(*) > 1"
            ),
        ] {
            assert!(check(&sql).await, "{sql}");
        }
    }
}

#[tokio::test]
async fn duplicates_are_removed_in_the_arms() {
    for sql in [
        "select distinct customer from orders",
        "select customer, small from orders group by customer, small",
        "select customer from orders_north union select customer from orders_south",
        "select count(distinct customer) from orders",
    ] {
        assert!(check(sql).await, "{sql}");
    }
    insta::assert_snapshot!(split("select customer from orders_north union select customer from orders_south").await, @r"
    Projection: group_0 AS customer
      Aggregate: groupBy=[[group_0]], aggr=[[]]
        Union
          Projection: customer AS group_0
            Aggregate: groupBy=[[customer]], aggr=[[]]
              Projection: orders_north.customer AS customer
                TableScan: orders_north projection=[customer]
          Projection: customer AS group_0
            Aggregate: groupBy=[[customer]], aggr=[[]]
              Projection: orders_south.customer AS customer
                TableScan: orders_south projection=[customer]
    ");
}

#[tokio::test]
async fn what_has_no_parts_stays_whole() {
    for sql in [
        "select stddev(weight) from orders",
        "select customer, sum(price), median(weight) from orders group by customer",
        "select array_agg(id order by id) from orders",
        "select customer, count(*) from orders group by rollup(customer)",
        "select count(distinct small) filter (where paid), count(*) from orders",
        "select customer, count(*) from (select * from one union all select * from other) group by customer",
        "select count(*) from orders_north",
        "select sum(weight * random()) > 0 from orders",
        "select o.region, count(*) from orders o join orders_north n on o.id = n.id group by o.region",
        "select id from orders",
    ] {
        assert!(!check(sql).await, "{sql}");
    }
}

#[tokio::test]
async fn it_works_below_everything() {
    for sql in [
        "with q as (select region, sum(price) s from orders group by region) select a.region, b.s from q a join q b on a.s = b.s",
        "select id from orders_north where price > (select avg(price) from orders)",
        "select id from orders_north where customer in (select customer from orders group by customer having count(*) > 3)",
        "select region, n from (select region, count(*) n from orders group by region) where n > 3",
        "select sum(n) from (select region, count(*) n from orders group by region)",
        "select o.customer, count(*) from orders as o where o.small > 1 group by o.customer order by 2 desc, 1 limit 3",
    ] {
        assert!(check(sql).await, "{sql}");
    }
}

#[tokio::test]
async fn the_first_rows_are_the_arms_first_rows() {
    for sql in [
        "select id, region from orders order by id, region limit 7",
        "select id, region from orders order by id desc, region limit 7 offset 3",
        "select id * 2 as twice, region from orders where small > 1 order by twice, region limit 4",
        "select x.id from orders x order by x.weight nulls first, x.id, x.region limit 9",
    ] {
        assert!(check(sql).await, "{sql}");
    }
    assert!(!check("select id, region from orders order by id, region").await);
    insta::assert_snapshot!(split("select id, region from orders order by id desc, region limit 2 offset 1").await, @r#"
    Limit: skip=1, fetch=2
      Sort: orders.id DESC NULLS FIRST, orders.region ASC NULLS LAST, fetch=3
        Projection: id AS id, region AS region
          Union
            Sort: orders.id DESC NULLS FIRST, orders.region ASC NULLS LAST, fetch=3
              Projection: orders_north.id AS id, Utf8("north") AS region
                TableScan: orders_north projection=[id]
            Sort: orders.id DESC NULLS FIRST, orders.region ASC NULLS LAST, fetch=3
              Projection: id AS id, region AS region
                Union
                  Projection: Utf8("south") AS region, orders_south.id AS id
                    TableScan: orders_south projection=[id]
                  Projection: Utf8("coast") AS region, orders_coast.id AS id
                    TableScan: orders_coast projection=[id]
            Sort: orders.id DESC NULLS FIRST, orders.region ASC NULLS LAST, fetch=3
              Projection: orders_west.id AS id, Utf8("west") AS region
                TableScan: orders_west projection=[id]
    "#);
}

/// These are DataFusion's own rules: the test says so if they change.
#[tokio::test]
async fn filters_and_limits_sink_by_themselves() {
    for plan in sent("select id from orders where price > 3 limit 4 offset 2").await {
        assert!(plan.contains("fetch=6") && plan.contains("Filter"), "{plan}");
    }
    let one_region = sent("select id from orders where region = 'north'").await;
    assert_eq!(one_region.len(), 1, "{one_region:?}");
    let two_tables = sent("select count(*) from orders where region in ('south', 'coast')").await;
    assert_eq!(two_tables.len(), 1, "one site: {two_tables:?}");
}

#[tokio::test]
async fn each_site_sends_one_partial_result() {
    let sent = sent("select customer, sum(price), avg(price), count(*) from orders group by customer").await;
    assert_eq!(sent.len(), 3, "{sent:?}");
    for plan in sent {
        assert!(plan.contains("Aggregate"), "{plan}");
        // The average needs no sum and no count of its own.
        assert_eq!(plan.lines().find(|line| line.contains("Aggregate")).unwrap().matches("sum(").count(), 1, "{plan}");
    }
}

#[test]
fn averages_are_added_up_as_datafusion_does() {
    use crate::plan::average::sum_type;
    for (argument, expected) in [
        (DataType::Decimal32(5, 2), Some(DataType::Decimal64(18, 2))),
        (DataType::Decimal64(18, 2), Some(DataType::Decimal128(38, 2))),
        (DataType::Decimal128(15, 2), Some(DataType::Decimal128(38, 2))),
        (DataType::Decimal128(38, 4), Some(DataType::Decimal256(76, 4))),
        (DataType::Int64, None),
    ] {
        assert_eq!(sum_type(&argument), expected, "{argument}");
    }
}
