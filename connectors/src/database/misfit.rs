//! A value that has no exact form in Arrow: which table, which column, which type, never the value.

use arrow::datatypes::{DataType, Field};

use crate::error::ConnectorError;

/// Why a value cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Not the form that the type has.
    Malformed,
    Infinity,
    NotANumber,
    /// More digits than the decimal holds, before or after the point.
    Digits,
    /// A date or time of a year that Arrow cannot tell.
    Year,
    /// A date that no calendar has, such as 0000-00-00.
    Date,
    /// 24:00, which is no time of a day.
    EndOfDay,
    /// A time that is a span: below zero, or of a day and more.
    Time,
    /// A number in place of truth that is neither 0 nor 1.
    Truth,
    /// An interval too long for nanoseconds.
    Interval,
    Dimensions,
    /// Text of other bytes than UTF-8, where a database does not check them.
    Encoding,
    /// A value of another kind than the column was declared for, where the database holds it all the same.
    Kind,
    /// Text that is no date, time or truth in the form that is read.
    Words,
    /// NULL in a column that was described as having none.
    Null,
}

impl Misfit {
    /// The error for a value of `field` of what `location` names; `type_name` is the database's name of a type.
    pub(crate) fn at(self, location: &str, field: &Field, type_name: fn(&DataType) -> String) -> ConnectorError {
        // The description said otherwise, and it was true then.
        if self == Self::Null {
            return ConnectorError::Changed { location: location.to_owned() };
        }
        let place = format!("{location}, column `{}` of type {}", field.name(), type_name(field.data_type()));
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
            Self::Date => (
                "holds a date that is none, such as 0000-00-00".to_owned(),
                "correct the data, or serve a view that makes such dates NULL or casts the column to text",
            ),
            Self::Time => ("holds a time that is below zero or not of one day".to_owned(), cast),
            Self::Truth => (
                "holds a number that is neither 0 nor 1".to_owned(),
                "serve the column as a number: the source's options say how",
            ),
            Self::EndOfDay => ("holds the time 24:00, which has no exact form".to_owned(), cast),
            Self::Interval => ("holds an interval of more than 292 years of hours".to_owned(), cast),
            Self::Dimensions => ("holds an array of more than one dimension".to_owned(), cast),
            Self::Encoding => (
                "holds bytes that are not UTF-8".to_owned(),
                "convert the database to UTF-8, or serve a view that casts the column to bytes",
            ),
            Self::Kind => (
                format!("holds a value that is not a {}", field.data_type()),
                "correct the data, or serve a view that casts the column or leaves such rows out",
            ),
            Self::Words => (
                format!("holds text that is not read as a {}", field.data_type()),
                "correct the data, or serve a view that casts the column to text",
            ),
            Self::Null => ("holds NULL".to_owned(), cast),
        }
    }
}
