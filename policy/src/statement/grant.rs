//! Parses `GRANT` and `REVOKE`, and the parties that they and policies name.

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed, first_repeated};
use super::{Change, Grant, Mode, Party, Right};
use crate::resource::Resource;
use crate::time::Instant;

/// Characters of a grant's id.
const ID_CHARS_MAX: usize = 64;

/// After `GRANT`.
pub(super) fn grant(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    let select = cursor.accept(&["SELECT"]);
    if !select && !cursor.accept(&["JOIN"]) {
        return Err(cursor.expected("SELECT or JOIN"));
    }
    cursor.expect(&["ON"])?;
    let mut right = if select { select_right(cursor)? } else { join_right(cursor)? };
    let purpose = cursor.accept(&["FOR", "PURPOSE"]).then(|| cursor.name("a purpose's name")).transpose()?;
    if let Right::Join { min_set, .. } = &mut right {
        cursor.expect(&["MIN", "SET"])?;
        *min_set = cursor.whole("the least number of keys in a set")?;
    }
    let mode = mode(cursor, &right)?;
    if purpose.is_none() && mode != Mode::Open {
        return Err(cursor.expected("FOR PURPOSE (only MODE OPEN needs none)"));
    }
    let (from, to) = validity(cursor)?;
    let (rows_per_day, bytes_per_day) = limits(cursor)?;
    let mut references = references(cursor)?;
    let id = id(cursor, &mut references)?;
    Ok(Change::Grant(Grant { id, right, purpose, mode, from, to, rows_per_day, bytes_per_day, references }))
}

/// After `REVOKE`.
pub(super) fn revoke(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    cursor.expect(&["GRANT"])?;
    Ok(Change::RevokeGrant { id: cursor.text("the grant's id in single quotes (SHOW GRANTS lists them)")? })
}

/// `resource TO parties`.
fn select_right(cursor: &mut Cursor<'_>) -> Parsed<Right> {
    let resource = cursor.resource()?;
    cursor.expect(&["TO"])?;
    Ok(Right::Select { resource, to: cursor.list(party)? })
}

/// `TABLE t (columns) WITH SITE s`; `MIN SET` comes after the purpose.
fn join_right(cursor: &mut Cursor<'_>) -> Parsed<Right> {
    let start = *cursor;
    let Resource::Table(table) = cursor.resource()? else {
        return Err(start.fault("keys are those of a table: write GRANT JOIN ON TABLE source.table (columns)"));
    };
    let columns = cursor.names()?;
    cursor.expect(&["WITH", "SITE"])?;
    Ok(Right::Join { table, columns, site: cursor.name("a site's name")?, min_set: 0 })
}

/// `ALL`, `ROLE name`, `ORGANISATION name`, `USER name`.
pub(super) fn party(cursor: &mut Cursor<'_>) -> Parsed<Party> {
    if cursor.accept(&["ALL"]) {
        Ok(Party::All)
    } else if cursor.accept(&["ROLE"]) {
        Ok(Party::Role(cursor.name("a role's name")?))
    } else if cursor.accept(&["ORGANISATION"]) {
        Ok(Party::Organisation(cursor.name("an organisation's name")?))
    } else if cursor.accept(&["USER"]) {
        Ok(Party::User(cursor.name("a user's name")?))
    } else {
        Err(cursor.expected("ALL, ROLE, ORGANISATION or USER"))
    }
}

fn mode(cursor: &mut Cursor<'_>, right: &Right) -> Parsed<Mode> {
    if !cursor.accept(&["MODE"]) || cursor.accept(&["SHARED"]) {
        return Ok(Mode::Shared);
    }
    let Right::Select { to, .. } = right else { return Err(cursor.expected("SHARED, the only mode of a GRANT JOIN")) };
    if cursor.accept(&["OPERATED"]) {
        return Ok(Mode::Operated);
    }
    if !cursor.accept(&["OPEN"]) {
        return Err(cursor.expected("SHARED, OPEN or OPERATED"));
    }
    if *to != [Party::All] {
        return Err(cursor.fault("MODE OPEN is to everyone: write TO ALL"));
    }
    Ok(Mode::Open)
}

/// `[VALID [FROM '…'] [TO '…']]`; a date after TO belongs to the time.
fn validity(cursor: &mut Cursor<'_>) -> Parsed<(Option<Instant>, Option<Instant>)> {
    if !cursor.accept(&["VALID"]) {
        return Ok((None, None));
    }
    let from = cursor.accept(&["FROM"]).then(|| cursor.moment()).transpose()?.map(|moment| moment.start());
    let to = cursor.accept(&["TO"]).then(|| cursor.moment()).transpose()?.map(|moment| moment.end());
    match (from, to) {
        (None, None) => Err(cursor.expected("FROM or TO")),
        (Some(from), Some(to)) if from >= to => Err(cursor.fault("the grant ends before it begins")),
        _ => Ok((from, to)),
    }
}

/// `[LIMIT [ROWS n] [BYTES n] PER DAY]`.
fn limits(cursor: &mut Cursor<'_>) -> Parsed<(Option<u64>, Option<u64>)> {
    if !cursor.accept(&["LIMIT"]) {
        return Ok((None, None));
    }
    let (mut rows, mut bytes) = (None, None);
    loop {
        if rows.is_none() && cursor.accept(&["ROWS"]) {
            rows = Some(cursor.whole("a number of rows")?);
        } else if bytes.is_none() && cursor.accept(&["BYTES"]) {
            bytes = Some(cursor.whole("a number of bytes")?);
        } else {
            break;
        }
    }
    if rows.is_none() && bytes.is_none() {
        return Err(cursor.expected("ROWS or BYTES"));
    }
    cursor.expect(&["PER", "DAY"])?;
    Ok((rows, bytes))
}

/// `[WITH (id = '…', key = '…')]`.
fn references(cursor: &mut Cursor<'_>) -> Parsed<Vec<(String, String)>> {
    if !cursor.accept(&["WITH"]) {
        return Ok(Vec::new());
    }
    let pairs = cursor.parenthesised(|cursor| cursor.list(reference))?;
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
    match first_repeated(&keys) {
        Some(key) => Err(cursor.fault(format!("`{key}` stands twice in WITH (…)"))),
        None => Ok(pairs),
    }
}

/// Takes the id out of the references.
fn id(cursor: &Cursor<'_>, references: &mut Vec<(String, String)>) -> Parsed<Option<String>> {
    let id = references.iter().position(|(key, _)| key == "id").map(|at| references.remove(at).1);
    match &id {
        Some(id) if !is_id(id) => Err(cursor
            .fault(format!("'{id}' cannot be a grant's id: 1 to {ID_CHARS_MAX} of the characters A-Z a-z 0-9 . _ -"))),
        _ => Ok(id),
    }
}

fn reference(cursor: &mut Cursor<'_>) -> Parsed<(String, String)> {
    let key = cursor.name("a reference's name")?;
    cursor.expect_token(&Token::Eq)?;
    Ok((key, cursor.text("a text in single quotes")?))
}

fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)
}
