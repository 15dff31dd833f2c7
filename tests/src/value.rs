//! One value of an answer, free of how Arrow lays it out: what the oracle compares.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit,
    Time64NanosecondType, TimeUnit, UInt64Type,
};

/// A value. The order is any total order (it serves to bring equal values together), not the order of SQL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// No value, of whatever type.
    Null,
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// An integer or decimal, `.0 / 10^.1`, with the smallest scale that holds it: 1.50 and 1.5 are one value.
    Number(i128, u8),
    /// A float; it is compared by [`close`], so here only its class counts.
    Float(Float),
    /// A string.
    Text(String),
    /// Bytes that are not a string.
    Bytes(Vec<u8>),
    /// Days since 1970.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Nanoseconds since 1970; the time zone is part of the type, not of the value.
    Timestamp(i128),
    /// Nanoseconds between two points in time.
    Duration(i128),
    /// Months, days and nanoseconds.
    Interval(i32, i32, i64),
    /// A list's elements.
    List(Vec<Value>),
    /// A struct's fields in their order.
    Struct(Vec<Value>),
}

/// A float that has a place in a total order, as `f64::total_cmp` gives it.
#[derive(Debug, Clone, Copy)]
pub struct Float(pub f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Floats may differ by this part of the larger one: a sum depends on the order of its terms.
const RELATIVE: f64 = 1e-9;

/// Below this, a float is as good as zero: terms that cancel leave rounding errors that no relative bound covers.
const AS_GOOD_AS_ZERO: f64 = 1e-12;

/// Equal, if floats may differ in their last digits; a float may also stand for a decimal of `scale` digits.
pub fn close(left: &Value, right: &Value, scale: Option<u8>) -> bool {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => floats_close(left.0, right.0, 0.0),
        (Value::Float(float), Value::Number(..)) | (Value::Number(..), Value::Float(float)) => {
            let number = if matches!(left, Value::Float(_)) { right } else { left };
            // One unit of the last digit: a decimal is cut where a float is not.
            let unit = scale.map_or(0.0, |scale| 10f64.powi(-i32::from(scale)));
            number.as_f64().is_some_and(|number| floats_close(float.0, number, unit))
        }
        (Value::List(left), Value::List(right)) | (Value::Struct(left), Value::Struct(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| close(left, right, scale))
        }
        _ => left == right,
    }
}

fn floats_close(left: f64, right: f64, unit: f64) -> bool {
    if left == right || (left.is_nan() && right.is_nan()) {
        return true;
    }
    let larger = left.abs().max(right.abs());
    let difference = (left - right).abs();
    difference.is_finite() && (difference <= larger * RELATIVE || difference <= unit || larger <= AS_GOOD_AS_ZERO)
}

impl Value {
    /// A date is the midnight it begins with: DuckDB answers with a timestamp where DataFusion keeps a date.
    pub fn date_as_timestamp(self) -> Self {
        match self {
            Value::Date(days) => Value::Timestamp(i128::from(days) * 86_400_000_000_000),
            Value::List(values) => Value::List(values.into_iter().map(Value::date_as_timestamp).collect()),
            Value::Struct(values) => Value::Struct(values.into_iter().map(Value::date_as_timestamp).collect()),
            other => other,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(..) => self.to_string().parse().ok(),
            _ => None,
        }
    }

    fn number(mut units: i128, scale: i8) -> Self {
        let mut scale = i32::from(scale);
        while scale < 0 {
            units *= 10;
            scale += 1;
        }
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        Value::Number(units, u8::try_from(scale).expect("a scale is at most 76"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => write!(f, "NULL"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Number(units, 0) => write!(f, "{units}"),
            Value::Number(units, scale) => {
                let digits = format!("{:0>width$}", units.unsigned_abs(), width = usize::from(*scale) + 1);
                let (whole, part) = digits.split_at(digits.len() - usize::from(*scale));
                write!(f, "{}{whole}.{part}", if *units < 0 { "-" } else { "" })
            }
            Value::Float(value) => write!(f, "{:?}", value.0),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::Bytes(value) => {
                write!(f, "0x{}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            Value::Date(days) => write!(f, "date {days}"),
            Value::Time(nanoseconds) => write!(f, "time {nanoseconds}"),
            Value::Timestamp(nanoseconds) => write!(f, "timestamp {nanoseconds}"),
            Value::Duration(nanoseconds) => write!(f, "duration {nanoseconds}"),
            Value::Interval(months, days, nanoseconds) => {
                write!(f, "interval {months}/{days}/{nanoseconds}")
            }
            Value::List(values) => write!(f, "[{}]", join(values)),
            Value::Struct(values) => write!(f, "{{{}}}", join(values)),
        }
    }
}

/// Values as one line.
pub fn join(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}

/// The values of one column, in the order of its rows.
pub fn column_values(column: &ArrayRef) -> Vec<Value> {
    let some = values_of(column);
    some.into_iter().enumerate().map(|(row, value)| if column.is_null(row) { Value::Null } else { value }).collect()
}

/// As [`column_values`], where a NULL is any value: each type is first brought to the widest of its kind.
fn values_of(column: &ArrayRef) -> Vec<Value> {
    let widened = |to: &DataType| cast(column, to).unwrap_or_else(|e| panic!("{} as {to}: {e}", column.data_type()));
    match column.data_type() {
        DataType::Null => vec![Value::Null; column.len()],
        DataType::Boolean => {
            column.as_boolean().iter().map(|value| Value::Boolean(value.unwrap_or_default())).collect()
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let integers = widened(&DataType::Int64);
            integers
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .map(|value| Value::number(i128::from(*value), 0))
                .collect()
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            let integers = widened(&DataType::UInt64);
            integers
                .as_primitive::<UInt64Type>()
                .values()
                .iter()
                .map(|value| Value::number(i128::from(*value), 0))
                .collect()
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            let decimals = widened(&DataType::Decimal128(*precision, *scale));
            decimals
                .as_primitive::<Decimal128Type>()
                .values()
                .iter()
                .map(|value| Value::number(*value, *scale))
                .collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let floats = widened(&DataType::Float64);
            floats.as_primitive::<Float64Type>().values().iter().map(|value| Value::Float(Float(*value))).collect()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = widened(&DataType::LargeUtf8);
            texts.as_string::<i64>().iter().map(|value| Value::Text(value.unwrap_or_default().to_string())).collect()
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = widened(&DataType::LargeBinary);
            bytes.as_binary::<i64>().iter().map(|value| Value::Bytes(value.unwrap_or_default().to_vec())).collect()
        }
        DataType::Date32 | DataType::Date64 => {
            let dates = widened(&DataType::Date32);
            dates.as_primitive::<Date32Type>().values().iter().map(|value| Value::Date(*value)).collect()
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let times = widened(&DataType::Time64(TimeUnit::Nanosecond));
            times.as_primitive::<Time64NanosecondType>().values().iter().map(|value| Value::Time(*value)).collect()
        }
        DataType::Timestamp(unit, _) => nanoseconds(column, unit).into_iter().map(Value::Timestamp).collect(),
        DataType::Duration(unit) => nanoseconds(column, unit).into_iter().map(Value::Duration).collect(),
        DataType::Interval(_) => {
            let intervals = widened(&DataType::Interval(IntervalUnit::MonthDayNano));
            let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
            intervals
                .values()
                .iter()
                .map(|value| Value::Interval(value.months, value.days, value.nanoseconds))
                .collect()
        }
        DataType::Dictionary(_, values) => column_values(&widened(values)),
        DataType::List(_) => column.as_list::<i32>().iter().map(list_value).collect(),
        DataType::LargeList(_) => column.as_list::<i64>().iter().map(list_value).collect(),
        DataType::FixedSizeList(_, _) => column.as_fixed_size_list().iter().map(list_value).collect(),
        DataType::Struct(_) => structs(column.as_struct()),
        other => {
            panic!("the oracle cannot compare values of type {other} yet: teach it in value.rs")
        }
    }
}

fn list_value(list: Option<ArrayRef>) -> Value {
    list.map_or(Value::Null, |list| Value::List(column_values(&list)))
}

fn structs(column: &StructArray) -> Vec<Value> {
    let fields: Vec<Vec<Value>> = column.columns().iter().map(column_values).collect();
    (0..column.len()).map(|row| Value::Struct(fields.iter().map(|field| field[row].clone()).collect())).collect()
}

/// Timestamps and durations are counts of a unit.
fn nanoseconds(column: &ArrayRef, unit: &TimeUnit) -> Vec<i128> {
    let counts = cast(column, &DataType::Int64).expect("a count of a unit is an Int64");
    let nanoseconds = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    counts.as_primitive::<Int64Type>().values().iter().map(|count| i128::from(*count) * nanoseconds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_scale_are_one_value() {
        assert_eq!(Value::number(1500, 3), Value::number(15, 1));
        assert_eq!(Value::number(3, -2), Value::number(300, 0));
        assert_eq!(Value::number(-5, 3).to_string(), "-0.005");
        assert_eq!(Value::number(0, 4).to_string(), "0");
    }

    #[test]
    fn closeness_is_relative_and_knows_odd_floats() {
        let check = |left: f64, right: f64, expect: bool| {
            assert_eq!(close(&Value::Float(Float(left)), &Value::Float(Float(right)), None), expect, "{left} {right}");
        };
        check(1e12, 1e12 + 100.0, true);
        check(1e12, 1e12 + 10_000.0, false);
        check(f64::NAN, -f64::NAN, true);
        check(f64::INFINITY, f64::NEG_INFINITY, false);
        check(f64::INFINITY, 1e300, false);
        check(0.0, -0.0, true);
        check(1e-16, 0.0, true);
        check(1.0, 1.0001, false);
        check(f64::NAN, 0.0, false);
    }

    #[test]
    fn a_float_may_stand_for_a_decimal_cut_at_its_scale() {
        let third = Value::Float(Float(1.0 / 3.0));
        assert!(close(&Value::number(333_333, 6), &third, Some(6)));
        assert!(!close(&Value::number(333_300, 6), &third, Some(6)));
        assert!(!close(&Value::Null, &third, Some(6)));
    }
}
