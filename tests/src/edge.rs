//! The data of the corpus: small tables at three sites that hold everything that is easily lost on the way.
//!
//! Each table is one query over a series of numbers `i`, so that a reader sees at once which values there are.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use crate::dataset::{Dataset, local_config};

/// Site, source, table, number of rows, and the select list that makes a row of `i`.
const TABLES: &[(&str, &str, &str, u32, &str)] = &[
    // Ordinary tables of a fact and its dimensions, with NULL keys, keys without partner, and repeated rows.
    (
        "north",
        "trade",
        "orders",
        200,
        "coalesce(i, 0) AS id,
         arrow_cast(nullif((i * 7) % 61, 0), 'Int32') AS customer_id,
         (i * 13) % 45 AS item_id,
         arrow_cast(nullif(i % 9, 0), 'Int32') AS quantity,
         arrow_cast(((i * 379) % 100000) * 0.01, 'Decimal128(10, 2)') AS price,
         arrow_cast(nullif(i % 5, 0) * 0.0125, 'Decimal128(5, 4)') AS discount,
         arrow_cast(1700000000000000 + i * 7777777777, 'Timestamp(Microsecond, None)') AS placed,
         arrow_cast(nullif(i % 4, 0) * 1000000 + 1700000000000000, 'Timestamp(Microsecond, Some(\"UTC\"))') AS shipped,
         CASE i % 5 WHEN 0 THEN 'open' WHEN 1 THEN 'paid' WHEN 2 THEN 'sent' WHEN 3 THEN 'Paid' END AS status,
         CASE WHEN i % 3 = 0 THEN NULL WHEN i % 10 = 1 THEN '' ELSE concat('note ', arrow_cast(i % 17, 'Utf8')) END AS note",
    ),
    (
        "north",
        "trade",
        "items",
        40,
        "coalesce(i, 0) AS id,
         CASE WHEN i % 13 = 0 THEN NULL ELSE concat('item ', arrow_cast(i % 25, 'Utf8')) END AS name,
         CASE i % 4 WHEN 0 THEN 'tools' WHEN 1 THEN 'toys' WHEN 2 THEN 'books' END AS category,
         arrow_cast((i % 7) * 0.25 + 0.1, 'Float64') AS weight,
         arrow_cast(nullif(i % 8, 3) * 12.345, 'Decimal128(12, 3)') AS price,
         CASE WHEN i % 6 = 0 THEN NULL ELSE make_array(concat('t', arrow_cast(i % 3, 'Utf8')), NULL, 'x') END AS tags",
    ),
    (
        "south",
        "ledger",
        "customers",
        55,
        "arrow_cast(i, 'Int32') AS id,
         CASE WHEN i % 11 = 0 THEN NULL ELSE concat('customer ', arrow_cast(i % 50, 'Utf8')) END AS name,
         CASE i % 6 WHEN 0 THEN 'Oslo' WHEN 1 THEN '北京' WHEN 2 THEN 'São Paulo' WHEN 3 THEN 'O''Brien' WHEN 4 THEN 'oslo' END AS city,
         arrow_cast(nullif(i % 12, 5) * 1234.5678, 'Decimal128(18, 4)') AS credit,
         arrow_cast(arrow_cast(10000 + i * 37, 'Int32'), 'Date32') AS since,
         CASE i % 3 WHEN 0 THEN TRUE WHEN 1 THEN FALSE END AS active,
         arrow_cast(i % 10, 'Float64') / 3.0 AS score,
         arrow_cast(nullif(i / 3, 0), 'Int32') AS parent_id",
    ),
    (
        "south",
        "ledger",
        "payments",
        150,
        "arrow_cast(coalesce(i, 0), 'UInt64') AS id,
         nullif((i * 17) % 211, 7) AS order_id,
         arrow_cast(((i * 991) % 70000) * 0.0101, 'Decimal128(18, 4)') AS amount,
         arrow_cast(arrow_cast(nullif(19600 + i % 30, 19607), 'Int32'), 'Date32') AS paid,
         CASE i % 4 WHEN 0 THEN 'card' WHEN 1 THEN 'cash' WHEN 2 THEN 'wire' END AS method",
    ),
    // The name that north has too, with other columns, and every small type.
    (
        "east",
        "store",
        "items",
        60,
        "coalesce(i, 0) AS id,
         arrow_cast(nullif(i % 14, 0), 'UInt32') AS stock,
         arrow_cast(CASE i % 3 WHEN 0 THEN 'aisle' WHEN 1 THEN 'yard' END, 'Dictionary(Int32, Utf8)') AS place,
         arrow_cast(i * 0.5, 'Float32') AS ratio,
         arrow_cast(nullif(i - 30, 0), 'Int8') AS small,
         arrow_cast(i * 4, 'UInt8') AS tiny,
         arrow_cast(i * -500, 'Int16') AS middle,
         arrow_cast(i * 600, 'UInt16') AS port,
         i % 2 = 0 AS flag,
         CASE WHEN i % 5 = 0 THEN NULL ELSE arrow_cast(concat('bin', arrow_cast(i % 8, 'Utf8')), 'Binary') END AS code,
         arrow_cast(concat('wide ', arrow_cast(i % 6, 'Utf8')), 'LargeUtf8') AS remark,
         arrow_cast(i * 60000000, 'Time64(Microsecond)') AS opens,
         CASE WHEN i % 9 = 0 THEN NULL ELSE named_struct('x', i, 'y', arrow_cast(i, 'Utf8')) END AS spot",
    ),
    // Time with zones on both sides of a change of the clock, and without.
    (
        "east",
        "store",
        "events",
        48,
        "coalesce(i, 0) AS id,
         arrow_cast(1710032400000000 + i * 1800000000, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at_utc,
         arrow_cast(nullif(i % 6, 0) * 5400000 + 1710032400000, 'Timestamp(Millisecond, Some(\"Asia/Shanghai\"))') AS at_shanghai,
         arrow_cast(1710032400000000 + i * 1800000000, 'Timestamp(Microsecond, Some(\"America/New_York\"))') AS at_new_york,
         arrow_cast(1710032400000000000 + i * 1800000000001, 'Timestamp(Nanosecond, None)') AS at_plain,
         arrow_cast(arrow_cast(19783 + i / 8, 'Int32'), 'Date32') AS on_day",
    ),
    // Floats that are not numbers, and zeros of both signs.
    (
        "south",
        "ledger",
        "measures",
        30,
        "coalesce(i, 0) AS id,
         i % 4 AS kind,
         CASE i % 10 WHEN 0 THEN arrow_cast('NaN', 'Float64') WHEN 1 THEN arrow_cast('inf', 'Float64') WHEN 2 THEN arrow_cast('-inf', 'Float64')
           WHEN 3 THEN arrow_cast('-0.0', 'Float64') WHEN 4 THEN arrow_cast('0.0', 'Float64') WHEN 5 THEN NULL
           WHEN 6 THEN 1e300 WHEN 7 THEN 5e-324 WHEN 8 THEN -1.5 ELSE 2.25 END AS reading,
         CASE i % 3 WHEN 0 THEN arrow_cast('NaN', 'Float32') WHEN 1 THEN arrow_cast(i * 0.1, 'Float32') END AS coarse",
    ),
    // Tables without rows, of the same name at two sites.
    (
        "north",
        "trade",
        "nothing",
        0,
        "coalesce(i, 0) AS id, arrow_cast(NULL, 'Utf8') AS label, arrow_cast(NULL, 'Decimal128(18, 4)') AS amount,
         arrow_cast(NULL, 'Date32') AS day",
    ),
    ("south", "ledger", "nothing", 0, "i AS id, arrow_cast(NULL, 'Utf8') AS label, arrow_cast(NULL, 'Boolean') AS flag"),
    // Rows without values.
    (
        "east",
        "store",
        "all_null",
        12,
        "nullif(i, i) AS id, arrow_cast(NULL, 'Int32') AS a, arrow_cast(NULL, 'Utf8') AS b, arrow_cast(NULL, 'Decimal128(9, 3)') AS c,
         arrow_cast(NULL, 'Date32') AS d, arrow_cast(NULL, 'Float64') AS e, arrow_cast(NULL, 'Boolean') AS f",
    ),
    // Names that need quoting, and names that differ in case alone.
    (
        "east",
        "store",
        "Odd \"Names\"",
        20,
        "coalesce(i, 0) AS \"select\", arrow_cast(i % 4, 'Int32') AS \"Group By\", concat('q', arrow_cast(i % 5, 'Utf8')) AS \"a\"\"b\",
         i % 3 AS \"x.y\", nullif(i % 6, 2) AS \"c0_0\", arrow_cast(i * 1.5, 'Float64') AS \"tab\tname; --\", i % 2 AS \"count(*)\"",
    ),
    ("east", "store", "Case", 10, "coalesce(i, 0) AS \"id\", i * 10 AS \"ID\", i * 100 AS \"Id\""),
    (
        "south",
        "ledger",
        "户口",
        25,
        "coalesce(i, 0) AS \"编号\", concat(CASE i % 4 WHEN 0 THEN '王' WHEN 1 THEN '李' WHEN 2 THEN '张' ELSE '𠮷' END, '伟') AS \"姓名\",
         CASE i % 5 WHEN 0 THEN '上海' WHEN 1 THEN '广州' WHEN 2 THEN '北京' WHEN 3 THEN '' END AS \"城市\",
         arrow_cast(nullif(i % 7, 4) * 1000.25, 'Decimal128(12, 2)') AS \"收入\",
         arrow_cast(arrow_cast(7000 + i * 99, 'Int32'), 'Date32') AS \"出生\"",
    ),
    // Like tables of three regions, of different sizes and with some persons in two of them.
    ("north", "civil", "people", 120, PEOPLE_NORTH),
    ("south", "civil", "people", 80, PEOPLE_SOUTH),
    ("east", "civil", "people", 5, PEOPLE_EAST),
];

const PEOPLE_NORTH: &str = "coalesce(i, 0) AS id,
    CASE WHEN i % 10 = 0 THEN NULL ELSE concat('person ', arrow_cast(i % 30, 'Utf8')) END AS name,
    arrow_cast(nullif(18 + (i * 7) % 70, 60), 'Int32') AS age,
    arrow_cast(nullif((i * 37) % 90, 0) * 1000.55, 'Decimal128(12, 2)') AS income,
    arrow_cast(arrow_cast(i * 131, 'Int32'), 'Date32') AS born";

const PEOPLE_SOUTH: &str = "coalesce(i + 100, 0) AS id, concat('person ', arrow_cast(i % 20 + 15, 'Utf8')) AS name,
    arrow_cast(nullif(20 + i % 50, 33), 'Int32') AS age,
    arrow_cast((i % 13) * 2500.10, 'Decimal128(12, 2)') AS income,
    arrow_cast(arrow_cast(nullif(i * 97, 970), 'Int32'), 'Date32') AS born";

const PEOPLE_EAST: &str =
    "coalesce(i + 175, 0) AS id, arrow_cast(NULL, 'Utf8') AS name, arrow_cast(40 + i, 'Int32') AS age,
    arrow_cast(NULL, 'Decimal128(12, 2)') AS income, arrow_cast(arrow_cast(i * -400, 'Int32'), 'Date32') AS born";

/// The tables of the corpus, and the regional table `national.civil.people`.
pub async fn edge() -> Result<Dataset> {
    let ctx = SessionContext::new_with_config(local_config());
    let mut dataset = Dataset::temporary()?;
    for (site, source, name, rows, select) in TABLES {
        // A series is never empty here, so a table without rows is one whose rows are all dropped.
        let sql = format!(
            "SELECT {select} FROM generate_series(1, greatest({rows}, 1)) AS series(i) WHERE i <= {rows} ORDER BY i"
        );
        let df = ctx.sql(&sql).await?;
        let schema = Arc::new(df.schema().as_arrow().clone());
        dataset.add([site, source, name], &schema, &df.collect().await?)?;
    }
    dataset.add_regional(["national", "civil", "people"], &["north", "south", "east"]);
    Ok(dataset)
}
