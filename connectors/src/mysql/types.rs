//! Which Arrow type a column of the server is served as, and what the server casts it to before it sends it.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};

use super::catalog::Column;

/// Text of another character set, and what has a text form, is cast to this.
const TEXT: &str = "CHAR CHARACTER SET utf8mb4";
/// The server compares a year with a number of two digits as if a century were meant.
const NUMBER: &str = "SIGNED";
/// Bits are bytes to some expressions and a number to others.
const UNSIGNED: &str = "UNSIGNED";

/// How a column is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) data_type: DataType,
    /// The type that the server casts it to; `None` if it is sent as it is.
    pub(super) cast: Option<&'static str>,
    /// Whether the type holds every value of the column; a decimal may have digits that it does not.
    pub(super) is_exact: bool,
}

/// How `column` is served; `None` if its type has no form here.
pub(super) fn served(column: &Column, tinyint1_is_boolean: bool) -> Option<Served> {
    let is_unsigned = column.declared.contains("unsigned");
    let as_it_is = |data_type| Some(Served { data_type, cast: None, is_exact: true });
    let cast = |data_type, to| Some(Served { data_type, cast: Some(to), is_exact: true });
    match (column.data_type.as_str(), is_unsigned) {
        ("tinyint", false) if tinyint1_is_boolean && column.declared == "tinyint(1)" => as_it_is(DataType::Boolean),
        ("tinyint", false) => as_it_is(DataType::Int8),
        ("tinyint", true) => as_it_is(DataType::UInt8),
        ("smallint", false) => as_it_is(DataType::Int16),
        ("smallint", true) => as_it_is(DataType::UInt16),
        ("mediumint" | "int", false) => as_it_is(DataType::Int32),
        ("mediumint" | "int", true) => as_it_is(DataType::UInt32),
        ("bigint", false) => as_it_is(DataType::Int64),
        ("bigint", true) => as_it_is(DataType::UInt64),
        ("year", _) => cast(DataType::Int16, NUMBER),
        ("decimal", _) => decimal(column),
        ("float", _) => as_it_is(DataType::Float32),
        ("double", _) => as_it_is(DataType::Float64),
        ("date", _) => as_it_is(DataType::Date32),
        ("time", _) => as_it_is(DataType::Time64(TimeUnit::Microsecond)),
        ("datetime", _) => as_it_is(DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("timestamp", _) => as_it_is(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext", _) => match &column.character_set {
            Some(set) if set == "utf8mb4" => as_it_is(DataType::Utf8),
            _ => cast(DataType::Utf8, TEXT),
        },
        ("enum" | "set" | "json" | "uuid" | "inet4" | "inet6", _) => cast(DataType::Utf8, TEXT),
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => as_it_is(DataType::Binary),
        ("bit", _) if column.precision == Some(1) => cast(DataType::Boolean, UNSIGNED),
        ("bit", _) => cast(DataType::UInt64, UNSIGNED),
        _ => None,
    }
}

/// What it declares, as far as a decimal of 38 digits has it.
fn decimal(column: &Column) -> Option<Served> {
    let precision = u8::try_from(column.precision?).ok()?;
    let scale = i8::try_from(column.scale?).ok()?;
    let is_exact = precision <= DECIMAL128_MAX_PRECISION;
    Some(Served {
        data_type: DataType::Decimal128(precision.min(DECIMAL128_MAX_PRECISION), scale),
        cast: None,
        is_exact,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: &str, numbers: (Option<u64>, Option<u64>), character_set: Option<&str>, expect: &str) {
        let name = declared.split(['(', ' ']).next().unwrap_or_default();
        let column = Column {
            name: "c".into(),
            data_type: name.into(),
            declared: declared.into(),
            precision: numbers.0,
            scale: numbers.1,
            character_set: character_set.map(str::to_owned),
            ..Column::default()
        };
        let told = served(&column, true).map_or("nothing".to_owned(), |served| {
            let cast = served.cast.map(|to| format!(" by {to}")).unwrap_or_default();
            let exact = if served.is_exact { "" } else { ", not exactly" };
            format!("{}{cast}{exact}", served.data_type)
        });
        assert_eq!(told, expect, "{declared}");
    }

    #[test]
    fn a_type_is_served_as_one_type() {
        let none = (None, None);
        check("tinyint(1)", none, None, "Boolean");
        check("tinyint(4)", none, None, "Int8");
        check("tinyint", none, None, "Int8");
        check("tinyint(1) unsigned", none, None, "UInt8");
        check("mediumint(8) unsigned", none, None, "UInt32");
        check("bigint(20) unsigned zerofill", none, None, "UInt64");
        check("decimal(12,2)", (Some(12), Some(2)), None, "Decimal128(12, 2)");
        check("decimal(65,30)", (Some(65), Some(30)), None, "Decimal128(38, 30), not exactly");
        check("timestamp(3)", none, None, "Timestamp(µs, \"UTC\")");
        check("varchar(5)", none, Some("utf8mb4"), "Utf8");
        check("varchar(5)", none, Some("gbk"), "Utf8 by CHAR CHARACTER SET utf8mb4");
        check("enum('a','b')", none, Some("utf8mb4"), "Utf8 by CHAR CHARACTER SET utf8mb4");
        check("bit(1)", (Some(1), None), None, "Boolean by UNSIGNED");
        check("bit(7)", (Some(7), None), None, "UInt64 by UNSIGNED");
        check("year(4)", none, None, "Int16 by SIGNED");
        check("point", none, None, "nothing");
        check("vector(3)", none, None, "nothing");
    }
}
