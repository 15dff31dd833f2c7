//! `show_first(n)`, `show_last(n)`, `mask_alphanum`: a part of a text, counted in characters. Utf8 of any layout → Utf8.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::rebuild::{Rebuild, Texts, texts};

/// The first characters; texts that are not longer stay whole.
pub(super) fn show_first(input: &DataType, count: u32) -> Result<Rebuild, String> {
    let count = characters(count)?;
    rebuilt(input, move |text, masked| masked.extend(text.chars().take(count)))
}

/// The last characters; texts that are not longer stay whole.
pub(super) fn show_last(input: &DataType, count: u32) -> Result<Rebuild, String> {
    let count = characters(count)?;
    rebuilt(input, move |text, masked| {
        let start = count.checked_sub(1).map(|skip| text.char_indices().rev().nth(skip).map_or(0, |(at, _)| at));
        masked.push_str(text.get(start.unwrap_or(text.len())..).unwrap_or_default());
    })
}

/// Letters of any script become `x`, digits and other numerals `n`; all else stays.
pub(super) fn mask_alphanum(input: &DataType) -> Result<Rebuild, String> {
    rebuilt(input, |text, masked| masked.extend(text.chars().map(masked_character)))
}

fn masked_character(character: char) -> char {
    match character {
        letter if letter.is_alphabetic() => 'x',
        digit if digit.is_numeric() => 'n',
        other => other,
    }
}

fn characters(count: u32) -> Result<usize, String> {
    usize::try_from(count).map_err(|_| String::from("so many characters are not a part of a text"))
}

/// Writes each text anew through one buffer.
fn rebuilt(input: &DataType, change: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Result<Rebuild, String> {
    if !matches!(input, DataType::Utf8 | DataType::LargeUtf8) {
        return Err(format!("the mask is for texts; the column is of the type {input}"));
    }
    Ok(Arc::new(move |array| {
        let mut rebuilt = Texts::with_capacity(array.len(), 8);
        let mut masked = String::new();
        for text in texts(array)? {
            masked.clear();
            text.iter().for_each(|text| change(text, &mut masked));
            rebuilt.push(text.map(|_| masked.as_str()))?;
        }
        Ok(rebuilt.finish())
    }))
}
