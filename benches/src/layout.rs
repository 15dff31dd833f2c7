//! How TPC-H lies over sites: its tables, who holds them, and the statements with the names that they have there.
//!
//! ```text
//! v3           sales: customer, orders · logistics: lineitem · supply: part, partsupp, supplier, nation, region
//! h            a site for each region with its customers, suppliers, and all that is theirs; centre: part, nation, region
//! string-keys  v3, but orders and customers have UUIDs for keys, and everything else readable texts
//! mixed        v3, but sales and supply have their tables in PostgreSQL, and logistics in Parquet
//! ```

use std::path::Path;

use datafusion::dataframe::{DataFrame, DataFrameWriteOptions};
use datafusion::error::Result;
use datafusion::prelude::{Expr, SessionContext, col};
use harness::dataset::{Dataset, local_context};
use harness::oracle::Promise;
use harness::statements::{DuckDb, Statement, tpch_queries, tpch_queries_over};
use harness::tpch::{LAYOUT_V3, kept_below, primary_key, tpch};
use tempfile::TempDir;

/// The regions of TPC-H, by their keys, and the sites that they are.
const REGIONS: [&str; 5] = ["africa", "america", "asia", "europe", "middle_east"];
const CENTRE: &str = "centre";
/// The catalog of the tables that are the union of all regions'.
const NATIONAL: &str = "national";
const REGIONAL: [&str; 5] = ["customer", "orders", "lineitem", "supplier", "partsupp"];
/// What the queries of TPC-H do not ask alone: groups of a regional table, and its first rows.
const REGIONAL_STATEMENTS: [(&str, &str); 2] = [
    (
        "groups",
        "SELECT o_orderpriority, o_orderstatus, count(*) AS orders, sum(o_totalprice) AS total, avg(o_totalprice) AS mean \
         FROM national.tpch.orders GROUP BY o_orderpriority, o_orderstatus ORDER BY o_orderpriority, o_orderstatus",
    ),
    (
        "top",
        "SELECT o_orderkey, o_totalprice, o_orderdate FROM national.tpch.orders \
         ORDER BY o_totalprice DESC, o_orderkey LIMIT 10",
    ),
];
/// Changes when the files would.
const VERSION: u32 = 1;

/// A layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// Three sites by subject.
    V3,
    /// Five sites by region and one for all.
    H,
    /// Three sites by subject, whose keys are texts.
    StringKeys,
    /// Three sites by subject, two of them over PostgreSQL.
    Mixed,
}

impl Layout {
    /// The name as it is written in a command.
    pub fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::H => "h",
            Self::StringKeys => "string-keys",
            Self::Mixed => "mixed",
        }
    }

    /// The sites whose tables a federation reads from a server.
    pub fn sites_in_server(self) -> &'static [&'static str] {
        if self == Self::Mixed { &["sales", "supply"] } else { &[] }
    }

    /// The statements, with the names of this layout.
    pub fn statements(self) -> Vec<Statement> {
        if self != Self::H {
            return tpch_queries();
        }
        let catalog = |table: &str| if REGIONAL.contains(&table) { NATIONAL } else { CENTRE };
        let names = LAYOUT_V3.map(|(_, source, table)| (catalog(table), source, table));
        let more = REGIONAL_STATEMENTS.map(|(name, sql)| Statement {
            name: name.to_string(),
            sql: sql.to_string(),
            promise: Promise::Ordered,
            duckdb: DuckDb::Same,
        });
        tpch_queries_over(&names).into_iter().chain(more).collect()
    }

    /// The tables at `scale`, kept beside the build once they were made.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn dataset(self, scale: f64) -> Result<Dataset> {
        let v3 = tpch(scale)?;
        if matches!(self, Self::V3 | Self::Mixed) {
            return Ok(v3);
        }
        let ctx = local_context(&v3).await?;
        let root = kept_below().join(format!("tpch-{}-v{VERSION}-sf{scale}", self.name()));
        if self == Self::StringKeys {
            return made(&ctx, &root, string_keyed(&ctx).await?).await;
        }
        let mut dataset = made(&ctx, &root, by_region(&ctx).await?).await?;
        for table in REGIONAL {
            dataset.add_regional([NATIONAL, "tpch", table], &REGIONS);
        }
        Ok(dataset)
    }
}

/// A table of a layout: site, name, and the rows out of layout V3.
struct Made {
    site: &'static str,
    table: &'static str,
    rows: DataFrame,
}

/// The files appear at once, so that a directory of the name is complete.
async fn made(ctx: &SessionContext, root: &Path, tables: Vec<Made>) -> Result<Dataset> {
    let names: Vec<_> = tables.iter().map(|table| (table.site, "tpch", table.table)).collect();
    if !root.exists() {
        ctx.sql("SET datafusion.execution.parquet.max_row_group_size = 65536").await?;
        let partial = TempDir::with_prefix_in("partial-", kept_below())?;
        for table in tables {
            table.write(partial.path()).await?;
        }
        std::fs::rename(partial.path(), root)?;
    }
    Ok(Dataset::existing(root, &names).with_keys(primary_key))
}

impl Made {
    async fn write(self, root: &Path) -> Result<()> {
        let directory = root.join(self.site).join("tpch");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}.parquet", self.table));
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        self.rows.write_parquet(&path.to_string_lossy(), options, None).await?;
        Ok(())
    }
}

/// Customers by the region of their nation, orders by their customer's, and so on.
async fn by_region(ctx: &SessionContext) -> Result<Vec<Made>> {
    let mut tables = Vec::new();
    for (key, site) in REGIONS.into_iter().enumerate() {
        let nations = format!("SELECT n_nationkey FROM supply.tpch.nation WHERE n_regionkey = {key}");
        let customers = format!("SELECT c_custkey FROM sales.tpch.customer WHERE c_nationkey IN ({nations})");
        let orders = format!("SELECT o_orderkey FROM sales.tpch.orders WHERE o_custkey IN ({customers})");
        let suppliers = format!("SELECT s_suppkey FROM supply.tpch.supplier WHERE s_nationkey IN ({nations})");
        for (of, table, column, keys, order) in [
            ("sales", "customer", "c_nationkey", &nations, "c_custkey"),
            ("sales", "orders", "o_custkey", &customers, "o_orderkey"),
            ("logistics", "lineitem", "l_orderkey", &orders, "l_orderkey, l_linenumber"),
            ("supply", "supplier", "s_nationkey", &nations, "s_suppkey"),
            ("supply", "partsupp", "ps_suppkey", &suppliers, "ps_partkey, ps_suppkey"),
        ] {
            let sql = format!("SELECT * FROM {of}.tpch.{table} WHERE {column} IN ({keys}) ORDER BY {order}");
            tables.push(Made { site, table, rows: ctx.sql(&sql).await? });
        }
    }
    for (table, order) in [("part", "p_partkey"), ("nation", "n_nationkey"), ("region", "r_regionkey")] {
        let sql = format!("SELECT * FROM supply.tpch.{table} ORDER BY {order}");
        tables.push(Made { site: CENTRE, table, rows: ctx.sql(&sql).await? });
    }
    Ok(tables)
}

/// Every table of V3 in its order, with other keys of the same meaning.
async fn string_keyed(ctx: &SessionContext) -> Result<Vec<Made>> {
    let mut tables = Vec::new();
    for (site, source, table) in LAYOUT_V3 {
        let rows = ctx.table(format!("{site}.{source}.{table}").as_str()).await?;
        let columns: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let is_in_order = |column: &&String| is_key(column) || *column == "l_linenumber";
        let rows = rows.sort_by(columns.iter().filter(is_in_order).map(col).collect())?;
        let selected: Result<Vec<Expr>> = columns.iter().map(|column| as_text(&rows, column)).collect();
        tables.push(Made { site, table, rows: rows.clone().select(selected?)? });
    }
    Ok(tables)
}

fn is_key(column: &str) -> bool {
    column.ends_with("key")
}

/// The column, or the text that stands for its key.
fn as_text(rows: &DataFrame, column: &str) -> Result<Expr> {
    if !is_key(column) {
        return Ok(col(column));
    }
    let (_, kind) = column.split_once('_').unwrap_or_default();
    let digits = |width: u32| format!("lpad(CAST({column} AS VARCHAR), {width}, '0')");
    let text = match kind {
        "orderkey" | "custkey" => {
            let hash = format!("md5(concat('{kind}', CAST({column} AS VARCHAR)))");
            let part = |from: u32, length: u32| format!("substr({hash}, {from}, {length})");
            let parts = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)];
            format!("concat({})", parts.join(", '-', "))
        }
        "suppkey" => format!("concat('Supplier#', {})", digits(9)),
        "partkey" => format!("concat('P-', {})", digits(9)),
        _ => format!("concat('{}-', {})", kind.trim_end_matches("key").to_uppercase(), digits(2)),
    };
    Ok(rows.parse_sql_expr(&format!("arrow_cast({text}, 'Utf8')"))?.alias(column))
}
