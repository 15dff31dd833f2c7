//! Guesses against what the tables hold.

use datafusion::common::stats::Precision;

use super::{estimate_rows, estimate_statistics};
use crate::plan::sites::located_table::{optimized, rows, tpch_session};

/// The guess for `sql` lies within `factor` of the truth, either way.
async fn check(sql: &str, factor: f64) {
    let state = tpch_session().state();
    let plan = optimized(&state, sql).await;
    let truth = rows(&state, &plan).await.len() as f64;
    let guess = estimate_rows(&plan).unwrap();
    assert!(guess <= truth * factor && truth <= guess * factor, "{sql}: {guess} guessed, {truth} true");
}

#[tokio::test]
async fn scans_and_ranges() {
    check("select * from orders", 1.0).await;
    check("select * from orders where o_orderdate >= date '1994-01-01' and o_orderdate < date '1995-01-01'", 1.1).await;
    check("select * from lineitem where l_quantity between 10 and 20", 1.2).await;
    check("select * from part where p_size = 15", 1.5).await;
    check("select * from part where p_size in (1, 2, 3)", 1.5).await;
    check("select * from lineitem where l_shipmode <> 'AIR' or l_quantity < 3", 1.2).await;
    check("select * from orders order by o_orderdate limit 5", 1.0).await;
}

#[tokio::test]
async fn joins_by_one_key_and_by_two() {
    check("select * from orders join lineitem on o_orderkey = l_orderkey", 1.2).await;
    check("select * from orders join lineitem on o_orderkey = l_orderkey where o_orderdate < date '1993-01-01'", 1.2)
        .await;
    check("select * from partsupp join lineitem on ps_partkey = l_partkey and ps_suppkey = l_suppkey", 1.2).await;
    check("select * from supplier join customer on s_nationkey = c_nationkey", 1.3).await;
    check("select * from orders where o_custkey in (select c_custkey from customer where c_nationkey = 3)", 2.0).await;
    check("select * from customer where not exists (select 1 from orders where o_custkey = c_custkey)", 1.3).await;
}

#[tokio::test]
async fn groups_and_unions() {
    check("select l_returnflag, l_linestatus, count(*) from lineitem group by 1, 2", 2.0).await;
    check("select o_custkey from orders group by o_custkey", 1.1).await;
    check("select max(o_custkey) from orders", 1.0).await;
    check("select n_name from nation union all select r_name from region", 1.0).await;
    check("select distinct s_nationkey from supplier", 1.1).await;
}

/// That few groups are very large is enough to know; how few is not guessed well.
#[tokio::test]
async fn groups_by_their_sums() {
    check("select o_custkey from orders group by 1 having count(*) > 5", 3.0).await;
    check("select o_custkey from orders group by 1 having count(*) <= 20", 3.0).await;
    let state = tpch_session().state();
    for (sql, most) in [
        ("select l_orderkey from lineitem group by 1 having sum(l_quantity) > 300", 0.1),
        ("select l_orderkey from lineitem group by 1 having count(*) > 6", 0.25),
    ] {
        let all =
            rows(&state, &optimized(&state, "select l_orderkey from lineitem group by 1").await).await.len() as f64;
        let guess = estimate_rows(&optimized(&state, sql).await).unwrap();
        assert!(guess <= all * most, "{sql}: {guess} of {all}");
    }
}

#[tokio::test]
async fn statistics_are_inexact() {
    let state = tpch_session().state();
    let plan = optimized(&state, "select n_nationkey, n_name from nation").await;
    let statistics = estimate_statistics(&plan);
    assert_eq!(statistics.num_rows, Precision::Inexact(25));
    assert_eq!(statistics.total_byte_size, Precision::Inexact(25 * (8 + 24)));
    assert_eq!(statistics.column_statistics.len(), 2);
    assert_eq!(statistics.column_statistics[0].distinct_count, Precision::Inexact(25));
}

#[tokio::test]
async fn a_table_without_statistics_has_no_estimate() {
    let ctx = tpch_session();
    let schema = ctx.table_provider("nation").await.unwrap().schema();
    let unknown = datafusion::common::Statistics::new_unknown(&schema);
    let site = crate::catalog::site_table::SiteId::new("a");
    let table = crate::catalog::site_table::SiteTable::new(site, schema, unknown);
    ctx.register_table("quiet", std::sync::Arc::new(table)).unwrap();
    let plan = optimized(&ctx.state(), "select n_name from quiet").await;
    assert_eq!(estimate_rows(&plan), None);
    assert_eq!(estimate_statistics(&plan).num_rows, Precision::Absent);
}
