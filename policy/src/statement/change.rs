//! Parses tags, purposes, `ALTER TABLE`, `DROP` and `VALID`.

use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Parsed, first_repeated};
use super::{Change, policy};
use crate::resource::TableName;

/// What policy alters about a table.
pub(super) const ALTERATIONS: &[&[&str]] =
    &[&["SET", "TAG"], &["UNSET", "TAG"], &["ACCEPT", "COLUMN"], &["WITHDRAW", "COLUMN"]];

/// After `CREATE`.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    if cursor.accept(&["TAG"]) {
        create_tag(cursor)
    } else if cursor.accept(&["PURPOSE"]) {
        create_purpose(cursor)
    } else if cursor.accept(&["POLICY"]) {
        Ok(Change::CreatePolicy(policy::policy(cursor)?))
    } else {
        Err(cursor.expected("TAG, PURPOSE or POLICY"))
    }
}

/// `name VALUES ('a', 'b')`.
fn create_tag(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    let name = cursor.name("a tag's name")?;
    cursor.expect(&["VALUES"])?;
    let values = cursor.parenthesised(|cursor| cursor.list(|cursor| cursor.text("a value in single quotes")))?;
    match first_repeated(&values) {
        Some(value) => Err(cursor.fault(format!("the value '{value}' of the tag `{name}` stands twice"))),
        None => Ok(Change::CreateTag { name, values }),
    }
}

/// `name [UNDER parent] [COMMENT '…']`.
fn create_purpose(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    let name = cursor.name("a purpose's name")?;
    let under = cursor.accept(&["UNDER"]).then(|| cursor.name("a purpose's name")).transpose()?;
    let comment = cursor.accept(&["COMMENT"]).then(|| cursor.text("a comment in single quotes")).transpose()?;
    Ok(Change::CreatePurpose { name, under, comment })
}

/// After `DROP`.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    if cursor.accept(&["TAG"]) {
        Ok(Change::DropTag { name: cursor.name("a tag's name")? })
    } else if cursor.accept(&["PURPOSE"]) {
        Ok(Change::DropPurpose { name: cursor.name("a purpose's name")? })
    } else if cursor.accept(&["POLICY"]) {
        Ok(Change::DropPolicy { name: cursor.name("a policy's name")? })
    } else {
        Err(cursor.expected("TAG, PURPOSE or POLICY"))
    }
}

/// After `ALTER TABLE`.
pub(super) fn alter_table(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    let table = cursor.table()?;
    if cursor.accept(&["ALTER", "COLUMN"]) {
        let column = Some(cursor.name("a column's name")?);
        return tag(cursor, table, column);
    }
    if cursor.accept(&["ACCEPT", "COLUMN"]) {
        return Ok(Change::AcceptColumn { table, column: cursor.name("a column's name")? });
    }
    if cursor.accept(&["WITHDRAW", "COLUMN"]) {
        return Ok(Change::WithdrawColumn { table, column: cursor.name("a column's name")? });
    }
    if !cursor.is(&["SET"]) && !cursor.is(&["UNSET"]) {
        return Err(cursor.expected("ALTER COLUMN, SET TAG, UNSET TAG, ACCEPT COLUMN or WITHDRAW COLUMN"));
    }
    tag(cursor, table, None)
}

/// `SET TAG name = 'value'` or `UNSET TAG name`.
fn tag(cursor: &mut Cursor<'_>, table: TableName, column: Option<String>) -> Parsed<Change> {
    if cursor.accept(&["UNSET", "TAG"]) {
        return Ok(Change::UnsetTag { table, column, tag: cursor.name("a tag's name")? });
    }
    if !cursor.accept(&["SET", "TAG"]) {
        return Err(cursor.expected("SET TAG or UNSET TAG"));
    }
    let tag = cursor.name("a tag's name")?;
    cursor.expect_token(&Token::Eq)?;
    let value = cursor.text("one of the tag's values in single quotes")?;
    Ok(Change::SetTag { table, column, tag, value })
}

/// After `VALID`.
pub(super) fn valid(cursor: &mut Cursor<'_>) -> Parsed<Change> {
    if cursor.accept(&["ALWAYS"]) {
        return Ok(Change::ValidUntil(None));
    }
    if !cursor.accept(&["UNTIL"]) {
        return Err(cursor.expected("UNTIL or ALWAYS"));
    }
    Ok(Change::ValidUntil(Some(cursor.moment()?.start())))
}
