//! `truncate_to_year`, `truncate_to_month`: the first moment of a date's year or month, in UTC. Dates and timestamps → the
//! same type. NULL where the type begins after that moment.

use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use super::rebuild::{Rebuild, primitive};
use crate::civil::Civil;

/// What a date is cut to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Period {
    Year,
    Month,
}

pub(super) fn truncate(input: &DataType, period: Period) -> Result<Rebuild, String> {
    let units = move |per_day: i64| move |value: i64| start_of(value.div_euclid(per_day), period).checked_mul(per_day);
    match input {
        DataType::Date32 => {
            Ok(primitive::<Date32Type>(input, move |days| i32::try_from(start_of(i64::from(days), period)).ok()))
        }
        DataType::Date64 => Ok(primitive::<Date64Type>(input, units(86_400_000))),
        DataType::Timestamp(unit, _) => Ok(match unit {
            TimeUnit::Second => primitive::<TimestampSecondType>(input, units(86_400)),
            TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(input, units(86_400_000)),
            TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(input, units(86_400_000_000)),
            TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(input, units(86_400_000_000_000)),
        }),
        other => Err(format!("the mask is for dates and timestamps; the column is of the type {other}")),
    }
}

/// The first day of the year or month that a day lies in; both count from 1970-01-01.
fn start_of(days: i64, period: Period) -> i64 {
    let date = Civil::of_days(days);
    match period {
        Period::Year => Civil { month: 1, day: 1, ..date }.to_days(),
        Period::Month => Civil { day: 1, ..date }.to_days(),
    }
}
