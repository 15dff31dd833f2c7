//! A value that has no exact form in Arrow: which table, which column, which type, never the value.

use arrow::datatypes::Field;

use super::frame::Malformed;
use super::wire::wire_name;
use crate::error::ConnectorError;

/// Why a value cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Not the form that the type has.
    Malformed,
    Infinity,
    NotANumber,
    /// More digits than the decimal holds, before or after the point.
    Digits,
    /// A date or time of a year that Arrow cannot tell.
    Year,
    /// 24:00, which is no time of a day.
    EndOfDay,
    /// An interval too long for nanoseconds.
    Interval,
    Dimensions,
    /// A database without an encoding may hold any bytes.
    Encoding,
    /// NULL in a column that was described as having none.
    Null,
}

impl From<Malformed> for Misfit {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Misfit {
    /// The error for a value of `field` of what `location` names.
    pub(super) fn at(self, location: &str, field: &Field) -> ConnectorError {
        // The description said otherwise, and it was true then.
        if self == Self::Null {
            return ConnectorError::Changed { location: location.to_owned() };
        }
        let place = format!("{location}, column `{}` of type {}", field.name(), wire_name(field.data_type()));
        let (detail, advice) = self.told(field);
        ConnectorError::invalid_data(place, detail, advice)
    }

    fn told(self, field: &Field) -> (String, &'static str) {
        let cast = "serve a view that leaves such rows out, or that casts the column to text";
        match self {
            Self::Malformed => ("holds a value in a form that is not known here".to_owned(), cast),
            Self::Infinity => ("holds an infinite value, which has no exact form".to_owned(), cast),
            Self::NotANumber => ("holds NaN, which has no exact form".to_owned(), cast),
            Self::Digits => (
                format!("holds a value that is not exactly a {}", field.data_type()),
                "declare the column's precision and scale, at most 38 digits, or serve a view that casts it to text",
            ),
            Self::Year => ("holds a value of a year beyond −262143 or 262142".to_owned(), cast),
            Self::EndOfDay => ("holds the time 24:00, which has no exact form".to_owned(), cast),
            Self::Interval => ("holds an interval of more than 292 years of hours".to_owned(), cast),
            Self::Dimensions => ("holds an array of more than one dimension".to_owned(), cast),
            Self::Encoding => (
                "holds bytes that are not UTF-8".to_owned(),
                "convert the database to UTF8, or serve a view that casts the column to bytea",
            ),
            Self::Null => ("holds NULL".to_owned(), cast),
        }
    }
}
