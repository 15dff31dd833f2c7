//! A large table in parts: ranges of the key that its rows lie in the order of.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};

use super::catalog::{Column, Relation, cell};
use crate::database::places::{Places, Range};

/// Fewer rows are not worth a session of their own.
const RANGE_ROWS_MIN: u64 = 100_000;

/// Types of whole numbers.
const WHOLE: &[&str] = &["tinyint", "smallint", "mediumint", "int", "bigint"];

/// The places of a table that is large, and whose primary key begins with a whole number. A table that cannot be asked now
/// has none: others are listed all the same, and who reads it is told. For one that is locked, `patience` is waited.
pub(super) async fn places(
    conn: &mut Conn,
    database: &str,
    relation: &Relation,
    patience: Duration,
) -> Result<Option<Places>, Error> {
    let rows = relation.rows.unwrap_or(0);
    let is_key = |column: &&Column| column.key_place == Some(1) && WHOLE.contains(&column.data_type.as_str());
    let key = match relation.columns.iter().find(is_key) {
        Some(key) if relation.is_transactional && rows >= 2 * RANGE_ROWS_MIN => quoted(&key.name),
        _ => return Ok(None),
    };
    let (table, seconds) = (format!("{}.{}", quoted(database), quoted(&relation.name)), patience.as_secs().max(1));
    // Only MariaDB is asked: MySQL has no snapshots that several share.
    let pin = format!("SET STATEMENT lock_wait_timeout = {seconds} FOR");
    let answer = conn.query_first(format!("{pin} SELECT MIN({key}), MAX({key}) FROM {table}")).await;
    let answer: Option<Row> = match answer {
        Err(Error::Server(_)) => return Ok(None),
        answer => answer?,
    };
    // What is no number of 64 bits, with a sign, is read by one session.
    let ends = answer.and_then(|row| Some((cell::<i64>(&row, 0).ok()?, cell::<i64>(&row, 1).ok()?)));
    Ok(ends.and_then(|(first, last)| ranges_of(key, first, last, rows)))
}

/// As many places as hold so many rows, if the rows lie evenly.
fn ranges_of(key: String, first: i64, last: i64, rows: u64) -> Option<Places> {
    let count = last.checked_sub(first)?.checked_add(1)?;
    let range_min = i128::from(count) * i128::from(RANGE_ROWS_MIN) / i128::from(rows.max(1));
    Some(Places { name: key, first, count, range_min: i64::try_from(range_min).ok()?, condition: of_keys })
}

fn of_keys(key: &str, range: Range) -> String {
    match (range.from, range.before) {
        (None, None) => "TRUE".to_owned(),
        (Some(from), None) => format!("{key} >= {from}"),
        (None, Some(before)) => format!("{key} < {before}"),
        (Some(from), Some(before)) => format!("{key} >= {from} AND {key} < {before}"),
    }
}

/// A name as the server reads it back, exactly.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_all_keys_once() {
        let check = |first, last, rows, most, expect: &[&str]| {
            let parts = ranges_of("\"k\"".into(), first, last, rows).map(|places| places.parts(most));
            assert_eq!(parts.unwrap_or_default(), expect, "{first} {last} {rows}");
        };
        check(1, 1_000_000, 1_000_000, 2, &["\"k\" < 500002", "\"k\" >= 500002"]);
        check(1, 1_000_000, 150_000, 2, &[]);
        check(-30, 29, 300_000, 3, &["\"k\" < -9", "\"k\" >= -9 AND \"k\" < 12", "\"k\" >= 12"]);
        check(i64::MIN, i64::MAX, 1_000_000, 4, &[]);
    }
}
