//! Values as people write them, in policies and as attributes, before a column gives them a type.

use serde::{Deserialize, Serialize};

/// A value without a column's type yet. Dates, times and decimals are texts and numbers until a column types them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number, as its decimal digits were written (`1.50`); never rounded through a float.
    Decimal(Decimal),
    /// A text; also how dates and times are written.
    Text(String),
}

/// A number with a fraction, kept as it was written: an optional sign, digits, a point, digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decimal {
    /// The digits.
    pub digits: String,
}
