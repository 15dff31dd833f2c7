//! Random tables: few values, so that keys meet; NULLs in every density; names that need quoting.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expression::{COMPARABLE, Type};
use super::relation::Relation;
use crate::dataset::{Dataset, quote};

/// Tables are small: what goes wrong goes wrong for a few rows.
pub const ROWS_MAX: usize = 40;

/// Every string there is.
pub const WORDS: [&str; 9] = ["", "a", "b", "Ab", "ä", "北京", "O'B", "a%", " x "];

const SITES: [&str; 3] = ["alpha", "beta", "gamma"];
const NAMES: [&str; 10] = ["k", "v", "Name", "select", "a b", "数量", "c0", "x.y", "it's", "Group\"ed"];
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;
/// 1 February 2024.
const FIRST_DAY: i32 = 19_754;

/// A column of tables to be made; of a regional table, the same at every site.
struct Column {
    name: String,
    of: Type,
    /// Which of the integers. Other kinds have one type each: a large string is plain to a client, but its length is not.
    width: u8,
}

/// Two or three sites with one to three tables each, and a regional table over one table of each site.
pub fn dataset(rng: &mut StdRng) -> Result<(Dataset, Vec<Relation>)> {
    let mut dataset = Dataset::temporary()?;
    let mut tables = vec![];
    let sites = &SITES[..rng.random_range(2..=3)];
    let shared = columns(rng);
    for site in sites {
        for name in &["things", "Odd Things", "more"][..rng.random_range(1..=3)] {
            let columns = columns(rng);
            tables.push(add(rng, &mut dataset, [site, "main", name], &columns)?);
        }
        tables.push(add(rng, &mut dataset, [site, "common", "people"], &shared)?);
    }
    dataset.add_regional(["nation", "common", "people"], sites);
    tables.push(regional(&dataset, &shared));
    Ok((dataset, tables))
}

fn regional(dataset: &Dataset, shared: &[Column]) -> Relation {
    let table = &dataset.regional[0];
    let mut columns = named(shared);
    columns.push((quote(&table.region_column), Type::Text));
    Relation::Table { name: table.sql_name(), columns }
}

fn named(columns: &[Column]) -> Vec<(String, Type)> {
    columns.iter().map(|column| (quote(&column.name), column.of)).collect()
}

fn columns(rng: &mut StdRng) -> Vec<Column> {
    let mut names = NAMES.to_vec();
    names.shuffle(rng);
    let mut columns = vec![Column { name: "id".to_string(), of: Type::Integer, width: 3 }];
    for name in names.into_iter().take(rng.random_range(2..=5)) {
        let of = *COMPARABLE.choose(rng).expect("there are types");
        columns.push(Column { name: name.to_string(), of, width: rng.random_range(0..4) });
    }
    columns
}

fn add(rng: &mut StdRng, dataset: &mut Dataset, name: [&str; 3], columns: &[Column]) -> Result<Relation> {
    let rows = if rng.random_range(0..20) == 0 { 0 } else { rng.random_range(8..=ROWS_MAX) };
    // The first column is a key that is never NULL; every other has NULLs to its own degree.
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values((1..).take(rows)));
    let mut arrays = vec![(Field::new(&columns[0].name, ids.data_type().clone(), false), ids)];
    for column in &columns[1..] {
        let nulls = *[0.0, 0.0, 0.1, 0.1, 0.4, 1.0].choose(rng).expect("not empty");
        let array = array(rng, column, rows, nulls);
        arrays.push((Field::new(&column.name, array.data_type().clone(), true), array));
    }
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = arrays.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    dataset.add(name, &schema, &[batch])?;
    let [site, source, table] = name;
    Ok(Relation::Table { name: dataset.table(site, source, table).sql_name(), columns: named(columns) })
}

fn array(rng: &mut StdRng, column: &Column, rows: usize, nulls: f64) -> ArrayRef {
    let mut values: Vec<Option<i64>> = vec![];
    for _ in 0..rows {
        values.push((!rng.random_bool(nulls)).then(|| rng.random_range(0..9)));
    }
    let values = values.into_iter();
    let small = values.clone().map(|value| value.map(|value| i32::try_from(value).expect("below nine")));
    match column.of {
        Type::Integer => match column.width {
            0 => Arc::new(
                small.map(|value| value.map(|value| i16::try_from(value).expect("below nine"))).collect::<Int16Array>(),
            ),
            1 => Arc::new(small.map(|value| value.map(i32::unsigned_abs)).collect::<UInt32Array>()),
            2 => Arc::new(small.collect::<Int32Array>()),
            _ => Arc::new(values.map(|value| value.map(|value| value - 2)).collect::<Int64Array>()),
        },
        Type::Decimal => {
            let decimals =
                values.map(|value| value.map(|value| i128::from(value) * 125 - 200)).collect::<Decimal128Array>();
            Arc::new(decimals.with_precision_and_scale(12, 2).expect("a valid decimal type"))
        }
        Type::Float => {
            let floats =
                small.map(|value| value.map(|value| if value == 8 { f64::NAN } else { f64::from(value) * 0.75 - 1.5 }));
            Arc::new(floats.collect::<Float64Array>())
        }
        Type::Text => {
            let words = values.map(|value| value.map(|value| WORDS[usize::try_from(value).expect("below nine")]));
            Arc::new(words.collect::<StringArray>())
        }
        Type::Boolean => Arc::new(values.map(|value| value.map(|value| value % 2 == 0)).collect::<BooleanArray>()),
        Type::Date => Arc::new(small.map(|value| value.map(|value| FIRST_DAY + value)).collect::<Date32Array>()),
        Type::Timestamp => Arc::new(values.map(|value| value.map(instant)).collect::<TimestampMicrosecondArray>()),
        Type::Zoned => {
            let instants = values.map(|value| value.map(instant)).collect::<TimestampMicrosecondArray>();
            Arc::new(instants.with_timezone("UTC"))
        }
        Type::Shown => panic!("no table has a column of an unknown type"),
    }
}

/// Quarters of days, so that some fall together when they are cut to days.
fn instant(value: i64) -> i64 {
    i64::from(FIRST_DAY) * MICROSECONDS_A_DAY + value * MICROSECONDS_A_DAY / 4
}
