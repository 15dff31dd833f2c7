//! `pseudonym(domain)`: a keyed name in place of an identifier. Texts, integers, decimals, truth values, dates, bytes → Utf8
//! of 26 characters.
//!
//! A value is made canonical first, so that one identifier has one pseudonym whatever type a site keeps it in:
//!
//! ```text
//! texts        NFC, without white space around it      dates         2026-01-31 (Date64: the day)
//! integers     42                                      bytes, UUIDs  lower-case hexadecimal digits
//! decimals     42 for 42.00, 1.5 for 1.50              truth values  true, false
//! ```
//!
//! Floats and timestamps are refused: they have no one way to be written, so they are no identifiers.

use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Int8Type,
    Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::Result;
use unicode_normalization::UnicodeNormalization;

use super::rebuild::{Rebuild, Texts, texts, unexpected};
use crate::civil::Civil;
use crate::pseudonym::{PseudonymBuffer, Pseudonyms};

/// Whether values of the type have pseudonyms.
pub(super) fn check(input: &DataType) -> Result<(), String> {
    let fits = match input {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Boolean | DataType::Date32 | DataType::Date64 => true,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => true,
        other => other.is_numeric() && !other.is_floating(),
    };
    fits.then_some(()).ok_or_else(|| format!("values of the type {input} are no identifiers"))
}

pub(super) fn pseudonym(input: &DataType, key: &Pseudonyms) -> Result<Rebuild, String> {
    check(input)?;
    let key = key.clone();
    Ok(Arc::new(move |array| {
        let mut names = Names { key: &key, canonical: String::new(), names: Texts::with_capacity(array.len(), 26) };
        names.add_all(array)?;
        Ok(names.names.finish())
    }))
}

/// The pseudonyms of an array, as far as they are made.
struct Names<'a> {
    key: &'a Pseudonyms,
    /// The value at hand; kept to allocate once.
    canonical: String,
    names: Texts,
}

impl Names<'_> {
    fn add_all(&mut self, array: &ArrayRef) -> Result<()> {
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => self.add(texts(array)?, write_text),
            DataType::Int8 => self.integers(array.as_primitive::<Int8Type>()),
            DataType::Int16 => self.integers(array.as_primitive::<Int16Type>()),
            DataType::Int32 => self.integers(array.as_primitive::<Int32Type>()),
            DataType::Int64 => self.integers(array.as_primitive::<Int64Type>()),
            DataType::UInt8 => self.integers(array.as_primitive::<UInt8Type>()),
            DataType::UInt16 => self.integers(array.as_primitive::<UInt16Type>()),
            DataType::UInt32 => self.integers(array.as_primitive::<UInt32Type>()),
            DataType::UInt64 => self.integers(array.as_primitive::<UInt64Type>()),
            DataType::Decimal32(_, scale) => self.decimals(array.as_primitive::<Decimal32Type>(), *scale),
            DataType::Decimal64(_, scale) => self.decimals(array.as_primitive::<Decimal64Type>(), *scale),
            DataType::Decimal128(_, scale) => self.decimals(array.as_primitive::<Decimal128Type>(), *scale),
            DataType::Decimal256(_, scale) => self.decimals(array.as_primitive::<Decimal256Type>(), *scale),
            DataType::Boolean => self.add(array.as_boolean().iter(), write_shown),
            DataType::Date32 => {
                self.add(array.as_primitive::<Date32Type>().iter(), |days, text| write_date(days.into(), text))
            }
            DataType::Date64 => self.add(array.as_primitive::<Date64Type>().iter(), |millis, text| {
                write_date(millis.div_euclid(86_400_000), text)
            }),
            DataType::Binary => self.add(array.as_binary::<i32>().iter(), write_bytes),
            DataType::LargeBinary => self.add(array.as_binary::<i64>().iter(), write_bytes),
            DataType::BinaryView => self.add(array.as_binary_view().iter(), write_bytes),
            DataType::FixedSizeBinary(_) => self.add(array.as_fixed_size_binary().iter(), write_bytes),
            other => Err(unexpected(other)),
        }
    }

    fn integers<T: ArrowPrimitiveType<Native: Display>>(&mut self, array: &PrimitiveArray<T>) -> Result<()> {
        self.add(array.iter(), write_shown)
    }

    fn decimals<T: ArrowPrimitiveType<Native: Display>>(&mut self, array: &PrimitiveArray<T>, scale: i8) -> Result<()> {
        let mut digits = String::new();
        self.add(array.iter(), |value, text| {
            digits.clear();
            write_shown(value, &mut digits)?;
            write_decimal(&digits, scale, text)
        })
    }

    fn add<V>(
        &mut self,
        values: impl Iterator<Item = Option<V>>,
        mut write: impl FnMut(V, &mut String) -> std::fmt::Result,
    ) -> Result<()> {
        let mut buffer = PseudonymBuffer::default();
        for value in values {
            let Some(value) = value else {
                self.names.push(None)?;
                continue;
            };
            self.canonical.clear();
            write(value, &mut self.canonical)?;
            self.names.push(Some(self.key.of(self.canonical.as_bytes(), &mut buffer)))?;
        }
        Ok(())
    }
}

fn write_shown(value: impl Display, text: &mut String) -> std::fmt::Result {
    write!(text, "{value}")
}

fn write_text(value: &str, text: &mut String) -> std::fmt::Result {
    let trimmed = value.trim();
    if trimmed.is_ascii() {
        text.push_str(trimmed);
    } else {
        text.extend(trimmed.nfc());
    }
    Ok(())
}

fn write_date(days: i64, text: &mut String) -> std::fmt::Result {
    let Civil { year, month, day } = Civil::of_days(days);
    write!(text, "{year:04}-{month:02}-{day:02}")
}

fn write_bytes(bytes: &[u8], text: &mut String) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
}

/// The number `digits × 10^-scale`, without zeros that say nothing.
fn write_decimal(digits: &str, scale: i8, text: &mut String) -> std::fmt::Result {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let places = usize::from(scale.unsigned_abs());
    if scale < 0 && digits != "0" {
        return write!(text, "{sign}{digits}{:0>places$}", "");
    }
    let places = if scale < 0 { 0 } else { places };
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or((digits, ""));
    let whole = if whole.is_empty() { "0" } else { whole };
    write!(text, "{sign}{whole}")?;
    let padded_by = places.saturating_sub(fraction.len());
    match fraction.trim_end_matches('0') {
        "" => Ok(()),
        fraction => write!(text, ".{:0>padded_by$}{fraction}", ""),
    }
}
