//! Column masks: the form in which a value may be seen. One file each.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A mask as written. Each keeps NULL as NULL, cannot fail, is deterministic, and has one output type per input type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ColumnMask {
    /// `hide`: the column does not exist for this subject.
    Hide,
    /// `replace_with_null`.
    ReplaceWithNull,
    /// `fixed(value)`: the same value in every row (NULL stays NULL).
    Fixed(Value),
    /// `mask_alphanum`: letters become `x`, digits `n`, the rest stays.
    MaskAlphanum,
    /// `show_first(n)`: the first n characters.
    ShowFirst(u32),
    /// `show_last(n)`: the last n characters.
    ShowLast(u32),
    /// `truncate_to_year`: the first day of the year.
    TruncateToYear,
    /// `truncate_to_month`: the first day of the month.
    TruncateToMonth,
    /// `bucket(width)`: the lower end of the interval that a number falls into.
    Bucket(Value),
    /// `generalise('JFK' => 'New York', …, ELSE 'elsewhere')`: a coarser value for each value.
    Generalise(Generalisation),
    /// `pseudonym('domain')`: a keyed name in place of an identifier, the same at every site that holds the secret.
    Pseudonym(String),
}

/// Which value stands for which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generalisation {
    /// From → to, in the order written; no value twice on the left.
    pub pairs: Vec<(Value, Value)>,
    /// What stands for all other values; NULL when left out.
    pub otherwise: Option<Value>,
}
