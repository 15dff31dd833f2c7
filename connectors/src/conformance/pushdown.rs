//! Checks of what a source does itself: claimed, it happens; not claimed, it is never used and the rows are right.

use datafusion_expr::{Expr, TableProviderFilterPushDown, col, ident, lit};

use super::rows::{Request, Row, named, rows_where};
use super::{Trial, Verdict, expect, unexpected};
use crate::capability::FilterPushdown;
use crate::connector::Table;

pub(super) async fn projection(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let table = source.table("orders").await.map_err(unexpected)?;
    let orders = named(&tables, "orders")?;
    for columns in [vec![], vec![6], vec![1, 0], vec![2, 5, 3]] {
        let request = Request { projection: Some(columns.clone()), ..Request::default() };
        let plan = trial.plan(&table, &request).await.map_err(unexpected)?;
        let asked = orders.rows.schema().project(&columns).map_err(unexpected)?;
        let names = |schema: &arrow::datatypes::Schema| -> Vec<String> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        let (came, asked) = (names(&plan.schema()), names(&asked));
        expect(came == asked, || format!("expected columns {asked:?}, came {came:?}"))?;
        let rows = trial.rows(&table, &request).await?;
        let mut expected: Vec<Row> = rows_where(orders, |_| true)?
            .into_iter()
            .map(|row| columns.iter().filter_map(|column| row.get(*column).cloned()).collect())
            .collect();
        expected.sort();
        expect(rows == expected, || format!("columns {columns:?}: expected {expected:?}, came {rows:?}"))?;
    }
    Ok(())
}

pub(super) async fn filter(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    let table = source.table("orders").await.map_err(unexpected)?;
    let orders = named(&tables, "orders")?;
    let claim = source.capability().filter;
    let mut strongest = FilterPushdown::Unsupported;
    for (filter, column, accepts) in filters() {
        let expected = rows_where(orders, |row| row.get(column).and_then(Option::as_deref).is_some_and(accepts))?;
        let answer = answer(&table, &filter)?;
        expect(answer <= claim, || format!("`{filter}`: {answer:?} is answered and {claim:?} is claimed"))?;
        strongest = strongest.max(answer);
        let filters = if answer == FilterPushdown::Unsupported { vec![] } else { vec![filter.clone()] };
        let rows = trial.rows(&table, &Request { filters, ..Request::default() }).await?;
        expect(expected.iter().all(|row| rows.contains(row)), || format!("`{filter}`: rows are missing: {rows:?}"))?;
        let is_exact = rows == expected;
        expect(is_exact || answer != FilterPushdown::Exact, || format!("`{filter}` is Exact; came {rows:?}"))?;
    }
    expect(strongest == claim, || format!("{claim:?} is claimed and the strongest answer is {strongest:?}"))
}

/// Claimed: filters over directory names are exact, and nothing else is. Not claimed: there are no partitions.
pub(super) async fn partition_filter(trial: Trial<'_>) -> Verdict {
    let (tables, _) = trial.loaded().await?;
    let regions = named(&tables, "地区")?;
    let loaded = trial.place.load_partitioned(regions, "区域").await;
    if trial.place.connector().capability().partition_filter == FilterPushdown::Unsupported {
        return expect(loaded.is_err(), || "not claimed, and partitions were accepted".to_owned());
    }
    let source = loaded.map_err(unexpected)?;
    let claim = source.capability().partition_filter;
    let table = source.table("地区").await.map_err(unexpected)?;
    let all = trial.rows(&table, &Request::default()).await?;
    expect(all == rows_where(regions, |_| true)?, || format!("partitioned, the rows are {all:?}"))?;
    for (filter, accepts) in partition_filters() {
        let answer = answer(&table, &filter)?;
        expect(answer == claim, || format!("`{filter}`: {claim:?} is claimed and {answer:?} is answered"))?;
        let rows = trial.rows(&table, &Request { filters: vec![filter.clone()], ..Request::default() }).await?;
        let expected = rows_where(regions, |row| row.get(1).and_then(Option::as_deref).is_some_and(accepts))?;
        expect(rows == expected, || format!("`{filter}`: expected {expected:?}, came {rows:?}"))?;
    }
    let mixed = ident("区域").eq(lit("华北")).or(ident("编号").eq(lit(3_i64)));
    expect(answer(&table, &mixed)? <= source.capability().filter, || format!("`{mixed}` also needs an ordinary column"))
}

/// A limit gives at least as many rows as there are up to it; claimed, not all rows of a long table.
pub(super) async fn limit(trial: Trial<'_>) -> Verdict {
    let (tables, source) = trial.loaded().await?;
    for (name, limit) in [("long", 10), ("orders", 100), ("nothing", 1)] {
        let table = source.table(name).await.map_err(unexpected)?;
        let total = named(&tables, name)?.rows.num_rows();
        let rows = trial.rows(&table, &Request { limit: Some(limit), ..Request::default() }).await?.len();
        expect(rows >= limit.min(total), || format!("`{name}`: limit {limit} gave {rows} of {total} rows"))?;
        let stops = !source.capability().limit || total <= limit || rows < total;
        expect(stops, || format!("`{name}`: limit {limit} is claimed and all {total} rows came"))?;
    }
    Ok(())
}

/// A filter, the position of the column it is about, and which of its values it accepts.
type FilterCase = (Expr, usize, fn(&str) -> bool);

/// A filter over the partition column, and which of its values it accepts.
type PartitionCase = (Expr, fn(&str) -> bool);

fn filters() -> Vec<FilterCase> {
    vec![
        (col("id").gt(lit(0_i64)), 0, |text| text.parse::<i64>().is_ok_and(|id| id > 0)),
        (col("id").in_list(vec![lit(1_i64), lit(7_i64)], false), 0, |text| matches!(text, "1" | "7")),
        (ident("客户").eq(lit("𠮷野家")), 1, |text| text == "𠮷野家"),
        (ident("客户").not_eq(lit("")), 1, |text| !text.is_empty()),
        (ident("Ratio").lt(lit(0.0_f64)), 3, |text| text.starts_with('-')),
        (col("paid").is_true(), 4, |text| text == "true"),
        (col("id").is_not_null(), 0, |_| true),
    ]
}

fn partition_filters() -> Vec<PartitionCase> {
    vec![
        (ident("区域").eq(lit("华北")), |text| text == "华北"),
        (ident("区域").not_eq(lit("华北")), |text| text != "华北"),
        (ident("区域").eq(lit("西")), |_| false),
        (ident("区域").is_not_null(), |_| true),
        (ident("区域").in_list(vec![lit("华南"), lit("华东")], false), |text| text != "华北"),
    ]
}

fn answer(table: &Table, filter: &Expr) -> Result<FilterPushdown, String> {
    let answers = table.provider.supports_filters_pushdown(&[filter]).map_err(unexpected)?;
    match answers.as_slice() {
        [TableProviderFilterPushDown::Exact] => Ok(FilterPushdown::Exact),
        [TableProviderFilterPushDown::Inexact] => Ok(FilterPushdown::Inexact),
        [TableProviderFilterPushDown::Unsupported] => Ok(FilterPushdown::Unsupported),
        other => Err(format!("one filter was asked about, and the answer is {other:?}")),
    }
}
