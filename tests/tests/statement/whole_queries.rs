//! What a site sends to a database that has all of TPC-H: one statement for each of the queries that are simple enough to
//! be read here.

use connectors::statement::{Accepts, StoredTables, write_for_postgres};
use harness::dataset::local_context;
use harness::statements::tpch_queries;
use harness::tpch::tpch;

/// Of TPC-H: 60,000 rows of lineitem.
const SCALE: f64 = 0.01;

#[tokio::test]
async fn the_whole_of_simple_queries_goes_to_the_server() {
    let ctx = local_context(&tpch(SCALE).unwrap()).await.unwrap();
    let text = |number: usize| {
        let query = tpch_queries().remove(number - 1);
        let ctx = ctx.clone();
        async move {
            let plan = ctx.sql(&query.sql).await.unwrap().into_optimized_plan().unwrap();
            write_for_postgres(&plan, &Accepts::postgres(), &StoredTables::default()).unwrap().text
        }
    };
    insta::assert_snapshot!(text(1).await, @r#"
    WITH "n0" AS (SELECT CAST(("t0"."l_extendedprice" * (CAST('1' AS numeric(20, 0)) - "t0"."l_discount")) AS numeric(38, 4)) AS "c0_0", "t0"."l_quantity" AS "c0_1", "t0"."l_extendedprice" AS "c0_2", "t0"."l_discount" AS "c0_3", "t0"."l_tax" AS "c0_4", "t0"."l_returnflag" COLLATE "C" AS "c0_5", "t0"."l_linestatus" COLLATE "C" AS "c0_6" FROM "logistics"."tpch"."lineitem" AS "t0" WHERE ("t0"."l_shipdate" <= CAST('1998-09-02' AS date)) AND ("t0"."l_shipdate" <= CAST('1998-09-02' AS date))),
    "n1" AS (SELECT "c0_5" AS "c1_0", "c0_6" AS "c1_1", CAST(sum("c0_1") AS numeric(25, 2)) AS "c1_2", CAST(sum("c0_2") AS numeric(25, 2)) AS "c1_3", CAST(sum("c0_0") AS numeric(38, 4)) AS "c1_4", CAST(sum(CAST(("c0_0" * (CAST('1' AS numeric(20, 0)) + "c0_4")) AS numeric(38, 6))) AS numeric(38, 6)) AS "c1_5", CAST(div(sum("c0_1") * 1000000, count("c0_1")) * 0.000001 AS numeric(19, 6)) AS "c1_6", CAST(div(sum("c0_2") * 1000000, count("c0_2")) * 0.000001 AS numeric(19, 6)) AS "c1_7", CAST(div(sum("c0_3") * 1000000, count("c0_3")) * 0.000001 AS numeric(19, 6)) AS "c1_8", count(CAST('1' AS bigint)) AS "c1_9" FROM "n0" GROUP BY "c0_5", "c0_6")
    SELECT "c1_0" AS "c2_0", "c1_1" AS "c2_1", "c1_2" AS "c2_2", "c1_3" AS "c2_3", "c1_4" AS "c2_4", "c1_5" AS "c2_5", "c1_6" AS "c2_6", "c1_7" AS "c2_7", "c1_8" AS "c2_8", "c1_9" AS "c2_9" FROM "n1" ORDER BY "c2_0" ASC NULLS LAST, "c2_1" ASC NULLS LAST
    "#);
    insta::assert_snapshot!(text(6).await, @r#"
    WITH "n0" AS (SELECT CAST(sum(("t0"."l_extendedprice" * "t0"."l_discount")) AS numeric(38, 4)) AS "c0_0" FROM "logistics"."tpch"."lineitem" AS "t0" WHERE ("t0"."l_shipdate" >= CAST('1994-01-01' AS date)) AND ("t0"."l_shipdate" < CAST('1995-01-01' AS date)) AND ("t0"."l_discount" >= CAST('0.05' AS numeric(15, 2))) AND ("t0"."l_discount" <= CAST('0.07' AS numeric(15, 2))) AND ("t0"."l_quantity" < CAST('24.00' AS numeric(15, 2))) AND ("t0"."l_shipdate" >= CAST('1994-01-01' AS date)) AND ("t0"."l_shipdate" < CAST('1995-01-01' AS date)) AND ("t0"."l_discount" >= CAST('0.05' AS numeric(15, 2))) AND ("t0"."l_discount" <= CAST('0.07' AS numeric(15, 2))) AND ("t0"."l_quantity" < CAST('24.00' AS numeric(15, 2))))
    SELECT "c0_0" AS "c1_0" FROM "n0"
    "#);
    insta::assert_snapshot!(text(3).await, @r#"
    WITH "n0" AS (SELECT "t0"."c_custkey" AS "c0_0" FROM "sales"."tpch"."customer" AS "t0" WHERE ("t0"."c_mktsegment" = 'BUILDING') AND ("t0"."c_mktsegment" = 'BUILDING')),
    "n1" AS (SELECT "t1"."o_orderkey" AS "c1_0", "t1"."o_custkey" AS "c1_1", "t1"."o_orderdate" AS "c1_2", "t1"."o_shippriority" AS "c1_3" FROM "sales"."tpch"."orders" AS "t1" WHERE ("t1"."o_orderdate" < CAST('1995-03-15' AS date)) AND ("t1"."o_orderdate" < CAST('1995-03-15' AS date))),
    "n2" AS (SELECT "t2"."l_orderkey" AS "c2_0", "t2"."l_extendedprice" AS "c2_1", "t2"."l_discount" AS "c2_2" FROM "logistics"."tpch"."lineitem" AS "t2" WHERE ("t2"."l_shipdate" > CAST('1995-03-15' AS date)) AND ("t2"."l_shipdate" > CAST('1995-03-15' AS date))),
    "n3" AS (SELECT "c2_0" AS "c3_0", "c1_2" AS "c3_1", "c1_3" AS "c3_2", CAST(sum(("c2_1" * (CAST('1' AS numeric(20, 0)) - "c2_2"))) AS numeric(38, 4)) AS "c3_3" FROM "n0" JOIN "n1" ON ("c0_0" = "c1_1") JOIN "n2" ON ("c1_0" = "c2_0") GROUP BY "c2_0", "c1_2", "c1_3")
    SELECT "c3_0" AS "c4_0", "c3_3" AS "c4_1", "c3_1" AS "c4_2", "c3_2" AS "c4_3" FROM "n3" ORDER BY "c4_1" DESC NULLS FIRST, "c4_2" ASC NULLS LAST LIMIT 10
    "#);
}
