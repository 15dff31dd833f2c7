//! Columns that come after LIMIT, from outside: that they do where they may, that they do not where they must not, and that the
//! answer is that of one process.

use harness::cluster::Cluster;
use harness::dataset::local_context;
use harness::oracle::{Promise, compare, local_answer};
use harness::tpch::tpch;

/// What EXPLAIN says of the scan of what comes late.
const LATE: &str = "key set 1: sales.tpch.customer.c_custkey";

const RETURNED: &str = "sales.tpch.customer c JOIN sales.tpch.orders o ON c.c_custkey = o.o_custkey \
                        JOIN logistics.tpch.lineitem l ON l.l_orderkey = o.o_orderkey";

/// Statement, and whether columns come late.
fn statements() -> Vec<(String, bool)> {
    let all = [
        // Groups; the key among the columns of the answer, or not; renamed; and computed with.
        (
            "c_custkey, c_name, c_address, c_comment, sum(l_quantity) AS q",
            "GROUP BY 1, 2, 3, 4 ORDER BY q DESC, 1 LIMIT 20",
            true,
        ),
        (
            "c_name, c_address, sum(l_quantity) AS q",
            "GROUP BY c_custkey, 1, 2 ORDER BY q DESC, c_custkey LIMIT 20",
            true,
        ),
        (
            "c_custkey AS c, c_name AS n, c_phone, sum(l_quantity) AS q",
            "GROUP BY 1, 2, 3 ORDER BY q DESC, c LIMIT 5",
            true,
        ),
        (
            "upper(c_name) AS n, c_address, c_comment, count(*) AS k",
            "GROUP BY c_custkey, c_name, 2, 3 ORDER BY k DESC, n LIMIT 9",
            true,
        ),
        // A column twice, once to order by.
        (
            "c_custkey, c_name AS a, c_name AS b, c_address, c_comment",
            "WHERE l_quantity > 49 GROUP BY 1, 2, 4, 5 ORDER BY a LIMIT 5",
            true,
        ),
        // Rows, also with OFFSET.
        (
            "o_orderkey, l_linenumber, c_name, c_address, c_phone",
            "WHERE l_quantity > 45 ORDER BY l_extendedprice DESC, 1, 2 LIMIT 10",
            true,
        ),
        ("c_name, c_comment, l_linenumber", "ORDER BY l_extendedprice DESC, l_orderkey, 3 LIMIT 7 OFFSET 3", true),
        ("c_name, c_comment, l_linenumber", "WHERE l_quantity * 2 < 1 ORDER BY l_extendedprice LIMIT 7", true),
        // A name that means something else outside.
        (
            "c_custkey, upper(o_comment) AS c_comment, c_address, l_linenumber",
            "ORDER BY l_extendedprice DESC, l_orderkey, 4 LIMIT 4",
            true,
        ),
        // Groups without the key, order by what would come late, too many rows, no order at all.
        ("c_name, c_comment, sum(l_quantity) AS q", "GROUP BY 1, 2 ORDER BY q DESC, 1 LIMIT 20", false),
        ("c_custkey, c_address, sum(l_quantity) AS q", "GROUP BY 1, 2 ORDER BY q DESC, c_address LIMIT 20", false),
        ("c_name, c_comment, l_orderkey, l_linenumber", "ORDER BY l_extendedprice DESC, 3, 4 LIMIT 5000", false),
    ];
    let mut statements: Vec<(String, bool)> =
        all.iter().map(|(columns, rest, late)| (format!("SELECT {columns} FROM {RETURNED} {rest}"), *late)).collect();
    // An outer join that leaves the table's row out; two scans of one table, only one of which has the columns.
    statements.push((
        "SELECT l_orderkey, l_linenumber, c_custkey, c_name, c_comment FROM logistics.tpch.lineitem l LEFT JOIN \
         (SELECT * FROM sales.tpch.orders JOIN sales.tpch.customer ON c_custkey = o_custkey WHERE c_acctbal > 9000) \
         ON l_orderkey = o_orderkey ORDER BY l_extendedprice DESC, 1, 2 LIMIT 10"
            .to_string(),
        false,
    ));
    // A derived table that shows another column by the key's name, and names that would mean two columns.
    statements.push((
        "SELECT x.c_custkey, x.c_name, x.c_address, l_linenumber FROM (SELECT d.c_custkey, c.c_name, c.c_address \
         FROM sales.tpch.customer c JOIN sales.tpch.customer d ON d.c_custkey = c.c_custkey + 1) x \
         JOIN sales.tpch.orders o ON o.o_custkey = x.c_custkey JOIN logistics.tpch.lineitem l ON l.l_orderkey = o.o_orderkey \
         ORDER BY l_extendedprice DESC, l_orderkey, l_linenumber LIMIT 6"
            .to_string(),
        false,
    ));
    statements.push((
        "SELECT x.c_name, x.c_address, c_custkey FROM (SELECT c_name, c_address, c_nationkey FROM sales.tpch.customer) x \
         JOIN (SELECT n_nationkey AS nk, n_regionkey AS c_custkey FROM supply.tpch.nation) ON nk = c_nationkey \
         ORDER BY c_custkey, c_name LIMIT 5"
            .to_string(),
        false,
    ));
    statements.push((
        format!(
            "SELECT c.c_custkey, d.c_custkey AS other, d.c_name, d.c_address, l_linenumber FROM {RETURNED} \
             JOIN sales.tpch.customer d ON d.c_custkey = c.c_custkey + 1 ORDER BY l_extendedprice DESC, l_orderkey, 5 LIMIT 6"
        ),
        true,
    ));
    statements
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_columns_come_after_limit_and_the_answer_stays() {
    let data = tpch(0.1).unwrap();
    let local = local_context(&data).await.unwrap();
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    let mut wrong = Vec::new();
    for (sql, is_late) in statements() {
        let plan = client.query(&format!("EXPLAIN {sql}")).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let plan = arrow::util::pretty::pretty_format_batches(&plan.batches).unwrap().to_string();
        if plan.contains(LATE) != is_late {
            wrong.push(format!("{sql}\n{plan}"));
        }
        let actual = client.query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let expected = local_answer(&local, &sql).await.unwrap();
        if let Err(difference) = compare(&expected, &actual, Promise::Ordered) {
            wrong.push(format!("{sql}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A table of which no key is known is read as ever.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_comes_late() {
    let data = tpch(0.1).unwrap().with_keys(|_| &[]);
    let cluster = Cluster::start(&data).await;
    let client = cluster.client().await;
    for (sql, _) in statements() {
        let plan = client.query(&format!("EXPLAIN {sql}")).await.unwrap();
        let plan = arrow::util::pretty::pretty_format_batches(&plan.batches).unwrap().to_string();
        assert!(!plan.contains(LATE), "{sql}\n{plan}");
    }
}
