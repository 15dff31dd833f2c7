//! The standard fixture: what real tables hold that toy tables do not.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::error::ArrowError;

/// Enough rows that a scan which stops early can be told from one that does not.
const LONG_ROWS: i64 = 50_000;

/// A table to be loaded.
#[derive(Debug, Clone)]
pub struct FixtureTable {
    /// Its name.
    pub name: String,
    /// All its rows.
    pub rows: RecordBatch,
}

impl FixtureTable {
    fn new<const N: usize>(name: &str, columns: [(&str, ArrayRef); N]) -> Result<Self, ArrowError> {
        // Every column may be NULL, whether it is or not: what text can say of itself.
        let columns = columns.into_iter().map(|(name, values)| (name, values, true));
        Ok(Self { name: name.to_owned(), rows: RecordBatch::try_from_iter_with_nullable(columns)? })
    }
}

/// All tables of the fixture.
///
/// # Errors
/// None in practice: arrow's constructors are fallible.
pub fn fixture() -> Result<Vec<FixtureTable>, ArrowError> {
    let orders = orders()?;
    let nothing = FixtureTable { name: "nothing".to_owned(), rows: orders.rows.slice(0, 0) };
    Ok(vec![long()?, nothing, orders, regions()?])
}

/// One column of each type, with NULLs, signs, extremes, and text that a careless reader breaks on.
fn orders() -> Result<FixtureTable, ArrowError> {
    let text =
        [Some("北京市, \"朝阳\"区"), Some(""), None, Some("two\nlines"), Some("𠮷野家"), Some("NULL"), Some(" x ")];
    let amounts = Decimal128Array::from(vec![Some(1), Some(-250), None, Some(0), Some(99_999_999), Some(5), None]);
    let ids = [Some(1), Some(-2), Some(3), Some(i64::MAX), Some(i64::MIN), None, Some(7)];
    let ratios = [Some(0.5), None, Some(-1e300), Some(0.1), Some(3.0), Some(2.5e-7), Some(-0.25)];
    FixtureTable::new(
        "orders",
        [
            ("id", Arc::new(Int64Array::from_iter(ids)) as ArrayRef),
            ("客户", Arc::new(StringArray::from_iter(text))),
            ("amount", Arc::new(amounts.with_precision_and_scale(18, 2)?)),
            ("Ratio", Arc::new(Float64Array::from_iter(ratios))),
            ("paid", Arc::new(BooleanArray::from_iter([Some(true), Some(false), None, Some(true), None, None, None]))),
            ("day", Arc::new(Date32Array::from_iter([Some(0), Some(19_782), None, Some(-1), Some(1), Some(2), None]))),
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from_iter([
                    Some(0),
                    Some(1_709_251_199_123_456),
                    None,
                    Some(-1_000_001),
                    Some(1),
                    None,
                    Some(2_000_000),
                ])),
            ),
        ],
    )
}

/// A table whose name and columns are Chinese, and whose one column repeats: what partitions are made of.
fn regions() -> Result<FixtureTable, ArrowError> {
    let regions = ["华北", "华北", "华东", "华南", "华东"].map(Some);
    FixtureTable::new(
        "地区",
        [
            ("编号", Arc::new(Int64Array::from_iter([Some(1), Some(2), Some(3), Some(4), None])) as ArrayRef),
            ("区域", Arc::new(StringArray::from_iter(regions))),
        ],
    )
}

fn long() -> Result<FixtureTable, ArrowError> {
    let labels = (0..LONG_ROWS).map(|row| Some(format!("row {row}")));
    FixtureTable::new(
        "long",
        [
            ("n", Arc::new(Int64Array::from_iter_values(0..LONG_ROWS)) as ArrayRef),
            ("label", Arc::new(StringArray::from_iter(labels))),
        ],
    )
}
