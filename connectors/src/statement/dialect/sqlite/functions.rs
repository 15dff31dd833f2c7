//! The functions that the connector brings into a SQLite database, by name. A stored value comes with the names of its table
//! and column after it, so that one which is not of the column's type is refused by name; a literal comes alone.

/// A whole number.
pub(crate) const INTEGER: &str = "chancery_integer";
/// A float.
pub(crate) const REAL: &str = "chancery_real";
/// Text.
pub(crate) const TEXT: &str = "chancery_text";
/// Bytes.
pub(crate) const BLOB: &str = "chancery_blob";
/// A number that is a decimal of the precision and scale that come after the names; as it is stored.
pub(crate) const DECIMAL: &str = "chancery_decimal";
/// 0 or 1.
pub(crate) const BOOLEAN: &str = "chancery_boolean";
/// The days since 1970 of a date in words.
pub(crate) const DATE: &str = "chancery_date";
/// The microseconds since midnight of a time of day in words.
pub(crate) const TIME: &str = "chancery_time";
/// The microseconds since 1970 of a date and time in words; the column's time zone, if it has one, comes after the names.
pub(crate) const TIMESTAMP: &str = "chancery_timestamp";
/// What is in a column of no known type, in words.
pub(crate) const SHOWN: &str = "chancery_shown";

/// The float of some bits.
pub(crate) const FLOAT_OF_BITS: &str = "chancery_float";
/// A part of a date.
pub(crate) const PART_OF_DATE: &str = "chancery_part";
/// How many characters a text has.
pub(crate) const LENGTH: &str = "chancery_length";
/// Some characters of a text.
pub(crate) const SUBSTR: &str = "chancery_substr";
/// Whether a text begins with another.
pub(crate) const STARTS_WITH: &str = "chancery_starts_with";
/// Whether a text is of a pattern.
pub(crate) const LIKE: &str = "chancery_like";
/// The sum of whole numbers, which wraps.
pub(crate) const SUM: &str = "chancery_sum";
