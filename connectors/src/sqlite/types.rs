//! Which Arrow type a column is served as, by the words that it was declared with, and what makes its values of that type.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, TimeUnit};

use super::config::Epoch;
use crate::statement::Form;
use crate::statement::sqlite_functions as functions;

/// The scale of a decimal that declares none; the precision is all that there is.
const SCALE_UNDECLARED: i8 = 10;

/// How a column is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) data_type: DataType,
    /// What makes its values, or checks them.
    pub(super) function: &'static str,
    /// What is stored, as far as it is of that type.
    pub(super) form: Form,
}

/// How a column is served that was declared with the words `declared`, which may be none, in a file whose dates may be numbers
/// that count `epoch`. Names are tried first, then the rules by which SQLite itself reads them ("Datatypes In SQLite", 3.1).
pub(super) fn served(declared: &str, epoch: Option<Epoch>) -> Served {
    let upper = declared.to_ascii_uppercase();
    let (name, sizes) = upper.split_once('(').unwrap_or((&upper, ""));
    // What comes after the sizes belongs to the name: TIMESTAMP(6) WITH TIME ZONE.
    let (sizes, rest) = sizes.split_once(')').unwrap_or((sizes, ""));
    let words: Vec<&str> = name.split_whitespace().chain(rest.split_whitespace()).collect();
    let value = |data_type, function| Served { data_type, function, form: Form::Value };
    let other = |data_type, function| Served { data_type, function, form: Form::Other };
    match words.as_slice() {
        [] | ["ANY"] => other(DataType::Utf8, functions::SHOWN),
        ["BOOLEAN" | "BOOL"] => other(DataType::Boolean, functions::BOOLEAN),
        // To SQLite every number is less than any text.
        ["DATE"] if epoch.is_some() => other(DataType::Date32, functions::DATE),
        ["DATE"] => Served { data_type: DataType::Date32, function: functions::DATE, form: Form::OrderedText },
        ["TIME"] => other(DataType::Time64(TimeUnit::Microsecond), functions::TIME),
        ["DATETIME" | "TIMESTAMP"] | ["TIMESTAMP", "WITHOUT", "TIME", "ZONE"] => {
            other(DataType::Timestamp(TimeUnit::Microsecond, None), functions::TIMESTAMP)
        }
        ["TIMESTAMPTZ" | "DATETIMEOFFSET"] | ["TIMESTAMP", "WITH", "TIME", "ZONE"] => {
            other(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), functions::TIMESTAMP)
        }
        ["DECIMAL" | "NUMERIC" | "DEC" | "NUMBER"] => match decimal(sizes) {
            Some(data_type) => value(data_type, functions::DECIMAL),
            None => other(DataType::Utf8, functions::SHOWN),
        },
        ["BINARY" | "VARBINARY" | "BYTEA"] => value(DataType::Binary, functions::BLOB),
        words if is_whole(words) => value(DataType::Int64, functions::INTEGER),
        _ if contains(name, &["INT"]) => Served { form: Form::EqualShown, ..other(DataType::Utf8, functions::SHOWN) },
        _ if contains(name, &["CHAR", "CLOB", "TEXT"]) => value(DataType::Utf8, functions::TEXT),
        _ if contains(name, &["BLOB"]) => value(DataType::Binary, functions::BLOB),
        _ if contains(name, &["REAL", "FLOA", "DOUB"]) => value(DataType::Float64, functions::REAL),
        _ => Served { form: Form::EqualShown, ..other(DataType::Utf8, functions::SHOWN) },
    }
}

/// The words that whole numbers are declared with; a POINT and an INTERVAL are none, though SQLite finds an INT in them.
fn is_whole(words: &[&str]) -> bool {
    let sizes = ["UNSIGNED", "SIGNED", "BIG", "SMALL", "TINY", "MEDIUM"];
    let names = [
        "INT",
        "INTEGER",
        "TINYINT",
        "SMALLINT",
        "MEDIUMINT",
        "BIGINT",
        "INT2",
        "INT4",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
    ];
    words.iter().any(|word| names.contains(word))
        && words.iter().all(|word| names.contains(word) || sizes.contains(word))
}

fn contains(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| name.contains(part))
}

/// A decimal of the declared precision and scale, as far as one of 38 digits has them.
fn decimal(sizes: &str) -> Option<DataType> {
    let sizes: Vec<&str> = sizes.split(',').map(str::trim).filter(|size| !size.is_empty()).collect();
    let (precision, scale) = match sizes.as_slice() {
        [] => (DECIMAL128_MAX_PRECISION, SCALE_UNDECLARED),
        [precision] => (precision.parse().ok()?, 0),
        [precision, scale] => (precision.parse().ok()?, scale.parse().ok()?),
        _ => return None,
    };
    let is_one =
        (1..=DECIMAL128_MAX_PRECISION).contains(&precision) && (0..=i16::from(precision)).contains(&i16::from(scale));
    is_one.then_some(DataType::Decimal128(precision, scale))
}

/// SQLite's usual name of a type.
pub(super) fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "BOOLEAN",
        DataType::Int32 | DataType::Int64 => "INTEGER",
        DataType::Float64 => "REAL",
        DataType::Decimal128(precision, scale) => return format!("DECIMAL({precision}, {scale})"),
        DataType::Utf8 => "TEXT",
        DataType::Binary => "BLOB",
        DataType::Date32 => "DATE",
        DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "DATETIME",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ",
        other => return other.to_string(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(declared: &str, expect: &str) {
        let Served { data_type, function, form } = served(declared, None);
        let function = function.strip_prefix("chancery_").unwrap();
        assert_eq!(format!("{data_type} {function} {form:?}"), expect, "{declared}");
    }

    #[test]
    fn a_declared_name_is_one_type() {
        for declared in ["INTEGER", "int", "BIGINT", "UNSIGNED BIG INT", "INT2", "tinyint(1)", "mediumint unsigned"] {
            check(declared, "Int64 integer Value");
        }
        for declared in ["TEXT", "varchar(255)", "NVARCHAR(10)", "character(20)", "CLOB", "TINYTEXT"] {
            check(declared, "Utf8 text Value");
        }
        for declared in ["REAL", "DOUBLE", "double precision", "FLOAT"] {
            check(declared, "Float64 real Value");
        }
        for declared in ["BLOB", "LONGBLOB", "VARBINARY(16)"] {
            check(declared, "Binary blob Value");
        }
        check("boolean", "Boolean boolean Other");
        check("DATE", "Date32 date OrderedText");
        check("TIME", "Time64(µs) time Other");
        check("DATETIME", "Timestamp(µs) timestamp Other");
        check("TIMESTAMP(6)", "Timestamp(µs) timestamp Other");
        check("TIMESTAMP(6) WITH TIME ZONE", "Timestamp(µs, \"UTC\") timestamp Other");
        check("timestamptz", "Timestamp(µs, \"UTC\") timestamp Other");
    }

    #[test]
    fn dates_that_may_be_numbers_are_not_ordered_as_text() {
        for epoch in [Epoch::Seconds, Epoch::Milliseconds] {
            let Served { data_type, form, .. } = served("date", Some(epoch));
            assert_eq!((data_type, form), (DataType::Date32, Form::Other));
        }
    }

    #[test]
    fn a_decimal_has_what_it_declares() {
        check("DECIMAL(10, 2)", "Decimal128(10, 2) decimal Value");
        check("numeric(18,0)", "Decimal128(18, 0) decimal Value");
        check("NUMERIC(7)", "Decimal128(7, 0) decimal Value");
        check("decimal", "Decimal128(38, 10) decimal Value");
        check("DECIMAL(40, 2)", "Utf8 shown Other");
        check("DECIMAL(4, 5)", "Utf8 shown Other");
    }

    #[test]
    fn what_has_no_type_here_is_shown() {
        check("", "Utf8 shown Other");
        check("ANY", "Utf8 shown Other");
        for declared in ["UUID", "JSON", "NUM", "POINT", "INTERVAL", "STRING", "MONEY", "DATE NOT SO"] {
            check(declared, "Utf8 shown EqualShown");
        }
    }
}
