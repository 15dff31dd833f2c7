//! Parses `CREATE POLICY`: masks, row filters, aggregate-only columns, audiences.

use std::collections::HashSet;

use sqlparser::tokenizer::{Token, Word};

use super::cursor::{Cursor, Parsed};
use super::filter::filter;
use super::grant::party;
use super::{AggregateOnly, Audience, Columns, Party, Policy, Rule};
use crate::mask::{ColumnMask, Generalisation};
use crate::value::Value;

/// Values that one generalisation may map.
pub const GENERALISATION_PAIRS_MAX: usize = 10_000;

/// The masks, as a refusal lists them.
const MASKS: &str = "hide, replace_with_null, fixed(value), mask_alphanum, show_first(n), show_last(n), \
    truncate_to_year, truncate_to_month, bucket(width), generalise(from => to, …, ELSE other) and pseudonym('domain')";

/// After `CREATE POLICY`.
pub(super) fn policy(cursor: &mut Cursor<'_>) -> Parsed<Policy> {
    let name = cursor.name("a policy's name")?;
    cursor.expect(&["ON"])?;
    let resource = cursor.resource()?;
    let rule = rule(cursor)?;
    Ok(Policy { name, resource, rule, audience: audience(cursor)? })
}

fn rule(cursor: &mut Cursor<'_>) -> Parsed<Rule> {
    if cursor.accept(&["COLUMN", "MASK"]) {
        Ok(Rule::Mask(mask(cursor)?, columns(cursor)?))
    } else if cursor.accept(&["ROW", "FILTER"]) {
        Ok(Rule::RowFilter(cursor.parenthesised(filter)?))
    } else if cursor.accept(&["AGGREGATE", "ONLY"]) {
        aggregate_only(cursor)
    } else {
        Err(cursor.expected("COLUMN MASK, ROW FILTER or AGGREGATE ONLY"))
    }
}

/// `COLUMNS (a, b)` or `MATCH COLUMNS has_tag('tag' [, 'value'])`.
fn columns(cursor: &mut Cursor<'_>) -> Parsed<Columns> {
    if cursor.accept(&["COLUMNS"]) {
        return Ok(Columns::Named(cursor.names()?));
    }
    if !cursor.accept(&["MATCH", "COLUMNS"]) {
        return Err(cursor.expected("COLUMNS (…) or MATCH COLUMNS has_tag(…)"));
    }
    if !cursor.accept(&["has_tag"]) {
        return Err(cursor.expected("has_tag('tag', 'value'), the only function that matches columns"));
    }
    cursor.parenthesised(|cursor| {
        let tag = cursor.text("a tag's name in single quotes")?;
        let value = cursor.accept_token(&Token::Comma).then(|| cursor.text("one of the tag's values")).transpose()?;
        Ok(Columns::Tagged { tag, value })
    })
}

/// `TO … [EXCEPT …] [FOR PURPOSE …]`.
fn audience(cursor: &mut Cursor<'_>) -> Parsed<Audience> {
    cursor.expect(&["TO"])?;
    let to = cursor.list(party)?;
    let except = if cursor.accept(&["EXCEPT"]) { cursor.list(party)? } else { Vec::new() };
    if except.contains(&Party::All) {
        return Err(cursor.fault("a policy for nobody: EXCEPT ALL leaves no one"));
    }
    let purposes = match cursor.accept(&["FOR", "PURPOSE"]) {
        true => cursor.list(|cursor| cursor.name("a purpose's name"))?,
        false => Vec::new(),
    };
    Ok(Audience { to, except, purposes })
}

fn mask(cursor: &mut Cursor<'_>) -> Parsed<ColumnMask> {
    let start = *cursor;
    let Some(Token::Word(Word { value, quote_style: None, .. })) = cursor.peek() else {
        return Err(cursor.expected(&format!("a mask ({MASKS})")));
    };
    cursor.next();
    match value.to_ascii_lowercase().as_str() {
        "hide" => Ok(ColumnMask::Hide),
        "replace_with_null" => Ok(ColumnMask::ReplaceWithNull),
        "fixed" => cursor.parenthesised(Cursor::value).map(ColumnMask::Fixed),
        "mask_alphanum" => Ok(ColumnMask::MaskAlphanum),
        "show_first" => cursor.parenthesised(characters).map(ColumnMask::ShowFirst),
        "show_last" => cursor.parenthesised(characters).map(ColumnMask::ShowLast),
        "truncate_to_year" => Ok(ColumnMask::TruncateToYear),
        "truncate_to_month" => Ok(ColumnMask::TruncateToMonth),
        "bucket" => cursor.parenthesised(width).map(ColumnMask::Bucket),
        "generalise" => cursor.parenthesised(generalisation).map(ColumnMask::Generalise),
        "pseudonym" => {
            cursor.parenthesised(|cursor| cursor.text("a domain in single quotes")).map(ColumnMask::Pseudonym)
        }
        _ => Err(start.fault(format!("the mask `{value}` is unknown; there are {MASKS}"))),
    }
}

fn characters(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    let start = *cursor;
    let count = cursor.whole("a number of characters")?;
    u32::try_from(count).map_err(|_| start.expected("a number of characters of 32 bits"))
}

fn width(cursor: &mut Cursor<'_>) -> Parsed<Value> {
    let start = *cursor;
    let width = cursor.value()?;
    let positive = match &width {
        Value::Integer(width) => *width > 0,
        Value::Decimal(width) => !width.digits.starts_with('-') && width.digits.bytes().any(|digit| digit > b'0'),
        Value::Boolean(_) | Value::Text(_) => false,
    };
    if positive { Ok(width) } else { Err(start.expected("a width greater than 0")) }
}

/// `from => to, … [, ELSE other]`.
fn generalisation(cursor: &mut Cursor<'_>) -> Parsed<Generalisation> {
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    loop {
        if !pairs.is_empty() && cursor.accept(&["ELSE"]) {
            return Ok(Generalisation { pairs, otherwise: Some(cursor.value()?) });
        }
        let from = cursor.value()?;
        if !seen.insert(from.to_string()) {
            return Err(cursor.fault(format!("generalise maps {from} twice")));
        }
        cursor.expect_token(&Token::RArrow)?;
        pairs.push((from, cursor.value()?));
        if pairs.len() > GENERALISATION_PAIRS_MAX {
            return Err(cursor.fault(format!("a generalisation maps at most {GENERALISATION_PAIRS_MAX} values")));
        }
        if !cursor.accept_token(&Token::Comma) {
            return Ok(Generalisation { pairs, otherwise: None });
        }
    }
}

/// `(MIN GROUP k ENTITY c BOUNDS [c] low TO high, … [GROUP BY (a, b)]) columns`. Bounds that name no column are those of
/// the only column.
fn aggregate_only(cursor: &mut Cursor<'_>) -> Parsed<Rule> {
    let (min_group, entity, bounds, group_by) = cursor.parenthesised(|cursor| {
        cursor.expect(&["MIN", "GROUP"])?;
        let min_group = least_group(cursor)?;
        cursor.expect(&["ENTITY"])?;
        let entity = cursor.name("the column that tells entities apart")?;
        cursor.expect(&["BOUNDS"])?;
        let bounds = cursor.list(bound)?;
        let group_by = if cursor.accept(&["GROUP", "BY"]) { cursor.names()? } else { Vec::new() };
        Ok((min_group, entity, bounds, group_by))
    })?;
    let columns = columns(cursor)?;
    let bounds = named_bounds(bounds, &columns).map_err(|message| cursor.fault(message))?;
    Ok(Rule::AggregateOnly(AggregateOnly { min_group, entity, bounds, group_by }, columns))
}

/// A group of one is a person.
fn least_group(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let start = *cursor;
    match cursor.whole("the least number of entities in a group")? {
        0 | 1 => Err(start.fault("MIN GROUP is at least 2: a group of one is one entity's value")),
        count => Ok(count),
    }
}

/// A column's bounds, or those of the only column.
type Bound = (Option<String>, Value, Value);

fn bound(cursor: &mut Cursor<'_>) -> Parsed<Bound> {
    let column = match cursor.peek() {
        Some(Token::Word(_)) => Some(cursor.name("a column's name")?),
        _ => None,
    };
    let low = numeric(cursor)?;
    cursor.expect(&["TO"])?;
    Ok((column, low, numeric(cursor)?))
}

fn numeric(cursor: &mut Cursor<'_>) -> Parsed<Value> {
    let start = *cursor;
    match cursor.value()? {
        value @ (Value::Integer(_) | Value::Decimal(_)) => Ok(value),
        Value::Boolean(_) | Value::Text(_) => Err(start.expected("a number as a bound")),
    }
}

/// Each bound with its column; exactly one for each named column.
fn named_bounds(bounds: Vec<Bound>, columns: &Columns) -> Result<Vec<(String, Value, Value)>, String> {
    let named = match columns {
        Columns::Named(names) => Some(names),
        Columns::Tagged { .. } => None,
    };
    let mut whole: Vec<(String, Value, Value)> = Vec::new();
    for (column, low, high) in bounds {
        let only = || match named.map(Vec::as_slice) {
            Some([only]) => Ok(only.clone()),
            _ => Err("BOUNDS names no column: write BOUNDS column low TO high for each column".to_owned()),
        };
        let column = column.map_or_else(only, Ok)?;
        if whole.iter().any(|(other, ..)| *other == column) {
            return Err(format!("`{column}` has bounds twice"));
        }
        if named.is_some_and(|names| !names.contains(&column)) {
            return Err(format!("BOUNDS names `{column}`, which COLUMNS does not"));
        }
        whole.push((column, low, high));
    }
    let bare = named.and_then(|names| names.iter().find(|name| !whole.iter().any(|(other, ..)| other == *name)));
    match bare {
        Some(column) => Err(format!("`{column}` has no bounds: write BOUNDS {column} low TO high")),
        None => Ok(whole),
    }
}
