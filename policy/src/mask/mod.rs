//! Column masks: the form in which a value may be seen. One file for each, or for each family.
//!
//! ```text
//! constant     replace_with_null, fixed: nothing of the value is left
//! pseudonym    pseudonym: a keyed name (the keys: crate::pseudonym)
//! bucket       bucket: the interval of a number
//! truncate     truncate_to_year, truncate_to_month: the start of a date's year or month
//! generalise   generalise: a coarser value for each value
//! text         show_first, show_last, mask_alphanum: a part of a text
//! clamp        not a mask: the bounds of aggregate-only columns, run by the same function
//! rebuild      what they share: every value is written anew
//! function     a mask as a function of DataFusion's
//! ```
//!
//! **Invariant:** a mask's result shares no buffer with its input, its NULL slots are zero, and its texts are plain Utf8:
//! what was masked is not in the bytes that leave. (Arrow's own `substr`, `nullif` and `CASE` keep it.)
//!
//! **Invariant:** a mask does not fail on any value. A result that the type cannot hold is NULL.

mod bucket;
mod clamp;
mod constant;
mod function;
mod generalise;
mod pseudonym;
mod rebuild;
#[cfg(test)]
mod tests;
mod text;
mod truncate;

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use serde::{Deserialize, Serialize};

pub use self::function::MaskFunction;
use self::rebuild::{Rebuild, plain};
use self::truncate::Period;
use crate::pseudonym::Pseudonyms;
use crate::value::Value;

/// A mask as written. Each keeps NULL as NULL, cannot fail, is deterministic, and has one output type per input type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generalisation {
    /// From → to, in the order written; no value twice on the left.
    pub pairs: Vec<(Value, Value)>,
    /// What stands for all other values; NULL when left out.
    pub otherwise: Option<Value>,
}

/// How much a treatment takes away. Of several treatments of one column the strictest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strictness {
    /// Nothing.
    Clear,
    /// `show_first`, `show_last`, `mask_alphanum`.
    Partial,
    /// `bucket`, `truncate_to_…`, `generalise`.
    Coarse,
    /// `pseudonym`.
    Pseudonym,
    /// `AGGREGATE ONLY`.
    AggregateOnly,
    /// `fixed`.
    Fixed,
    /// `replace_with_null`.
    Null,
    /// `hide`.
    Hidden,
}

impl ColumnMask {
    /// How strict the mask is.
    pub fn rank(&self) -> Strictness {
        match self {
            ColumnMask::Hide => Strictness::Hidden,
            ColumnMask::ReplaceWithNull => Strictness::Null,
            ColumnMask::Fixed(_) => Strictness::Fixed,
            ColumnMask::Pseudonym(_) => Strictness::Pseudonym,
            ColumnMask::TruncateToYear | ColumnMask::TruncateToMonth => Strictness::Coarse,
            ColumnMask::Bucket(_) | ColumnMask::Generalise(_) => Strictness::Coarse,
            ColumnMask::MaskAlphanum | ColumnMask::ShowFirst(_) | ColumnMask::ShowLast(_) => Strictness::Partial,
        }
    }

    /// How much this mask shows beside another: less, as much, or more; `None` where neither shows all that the other
    /// does.
    pub fn shows_beside(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (one, other) if one == other => Some(Ordering::Equal),
            (ColumnMask::ShowFirst(count), ColumnMask::ShowFirst(other)) => Some(count.cmp(other)),
            (ColumnMask::ShowLast(count), ColumnMask::ShowLast(other)) => Some(count.cmp(other)),
            (ColumnMask::TruncateToMonth, ColumnMask::TruncateToYear) => Some(Ordering::Greater),
            (ColumnMask::TruncateToYear, ColumnMask::TruncateToMonth) => Some(Ordering::Less),
            (ColumnMask::Bucket(width), ColumnMask::Bucket(other)) => bucket::finer(width, other),
            (one, other) if one.rank() != other.rank() => Some(other.rank().cmp(&one.rank())),
            _ => None,
        }
    }

    /// The mask's name, as written in a policy.
    pub fn name(&self) -> &'static str {
        match self {
            ColumnMask::Hide => "hide",
            ColumnMask::ReplaceWithNull => "replace_with_null",
            ColumnMask::Fixed(_) => "fixed",
            ColumnMask::MaskAlphanum => "mask_alphanum",
            ColumnMask::ShowFirst(_) => "show_first",
            ColumnMask::ShowLast(_) => "show_last",
            ColumnMask::TruncateToYear => "truncate_to_year",
            ColumnMask::TruncateToMonth => "truncate_to_month",
            ColumnMask::Bucket(_) => "bucket",
            ColumnMask::Generalise(_) => "generalise",
            ColumnMask::Pseudonym(_) => "pseudonym",
        }
    }

    /// Whether the mask can be put on a column of this type.
    ///
    /// # Errors
    /// Why not, for the policy's author.
    pub fn check(&self, input: &DataType) -> Result<(), String> {
        match self {
            ColumnMask::Hide => Ok(()),
            ColumnMask::Pseudonym(_) => pseudonym::check(&plain(input)),
            _ => self.rebuild(input, None).map(drop),
        }
    }

    /// The type of the masked column, for a type that [`ColumnMask::check`] accepts.
    pub fn output_type(&self, input: &DataType) -> DataType {
        match self {
            ColumnMask::Hide | ColumnMask::ReplaceWithNull => input.clone(),
            ColumnMask::Fixed(value) => constant::output_type(value, &plain(input)),
            ColumnMask::Generalise(mapping) => generalise::output_type(mapping, &plain(input)),
            ColumnMask::TruncateToYear | ColumnMask::TruncateToMonth | ColumnMask::Bucket(_) => plain(input),
            ColumnMask::MaskAlphanum | ColumnMask::ShowFirst(_) | ColumnMask::ShowLast(_) => DataType::Utf8,
            ColumnMask::Pseudonym(_) => DataType::Utf8,
        }
    }

    /// Whether the masked column may hold NULL: as the column does, or because the mask makes some.
    pub fn nullable(&self, input: &Field) -> bool {
        match self {
            ColumnMask::ReplaceWithNull | ColumnMask::Bucket(_) => true,
            ColumnMask::TruncateToYear | ColumnMask::TruncateToMonth => true,
            ColumnMask::Generalise(mapping) => input.is_nullable() || mapping.otherwise.is_none(),
            ColumnMask::Hide | ColumnMask::Fixed(_) | ColumnMask::Pseudonym(_) => input.is_nullable(),
            ColumnMask::MaskAlphanum | ColumnMask::ShowFirst(_) | ColumnMask::ShowLast(_) => input.is_nullable(),
        }
    }

    /// The masked array; its type is [`ColumnMask::output_type`] of the array's. A pseudonym needs its key.
    ///
    /// # Errors
    /// If the mask does not fit the array's type, the key is missing, or the result is too long for one array.
    pub fn apply(&self, array: &ArrayRef, key: Option<&Pseudonyms>) -> datafusion_common::Result<ArrayRef> {
        MaskFunction::mask(self, array.data_type(), key).map_err(rebuild::refused)?.apply(array)
    }

    /// What is done to each array of the type.
    fn rebuild(&self, input: &DataType, key: Option<&Pseudonyms>) -> Result<Rebuild, String> {
        let plain = plain(input);
        match self {
            ColumnMask::Hide => Err(String::from("a hidden column has no values")),
            ColumnMask::ReplaceWithNull => constant::replace_with_null(input),
            ColumnMask::Fixed(value) => constant::fixed(value, &plain),
            ColumnMask::MaskAlphanum => text::mask_alphanum(&plain),
            ColumnMask::ShowFirst(count) => text::show_first(&plain, *count),
            ColumnMask::ShowLast(count) => text::show_last(&plain, *count),
            ColumnMask::TruncateToYear => truncate::truncate(&plain, Period::Year),
            ColumnMask::TruncateToMonth => truncate::truncate(&plain, Period::Month),
            ColumnMask::Bucket(width) => bucket::bucket(&plain, width),
            ColumnMask::Generalise(mapping) => generalise::generalise(&plain, mapping),
            ColumnMask::Pseudonym(_) => {
                pseudonym::pseudonym(&plain, key.ok_or("this site has no secret for pseudonyms")?)
            }
        }
    }
}
